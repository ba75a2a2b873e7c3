//! Schemes `EcdsaDkls23` and `EcdsaP256`: DKLs23 (ePrint 2023/765) by the crate `dkls23`, on rounds of our own, one code for both curves.
//!
//! The library gives the two-party set-up (base OT, seeds of zero sharings), the proofs of knowledge and the signing phases.
//! Ours are the rounds around them, the sharing of the key with Feldman's commitments, what is stored, and the blame. A party's index is its coordinate in
//! the committee, never one that a message claims. The library's chain code is zero for all; keys are derived by `shared` alone.
//!
//! The library draws its randomness itself, from its thread's generator seeded by the operating system: nothing here can be
//! replayed to the byte from a seed, only schedule, outcome and blame can. Our own polynomials come from the generator that is passed in.
//!
//! The library is built on the generation of RustCrypto's traits after ours. What crosses between the two crosses as bytes.
//!
//! What is erased: shares, seeds, OT states and everything kept between the phases of a signature, when they are dropped. What is not: copies that
//! the library makes on its stack, the one-time scalars inside of its proofs, and what its set-up functions drop on their way.

mod dealing;
mod keygen;
mod pair;
mod secret;
mod setup;
mod sign;
#[cfg(test)]
mod tests;
mod wire;

pub(crate) use keygen::Keygen;
pub(crate) use secret::Secret;
pub(crate) use setup::{ROUNDS as SETUP_ROUNDS, Setup, setup};
pub(crate) use sign::Sign;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use dkls_curve::{FieldBytes, Group, PrimeField, group::GroupEncoding};
use dkls_k256::Secp256k1;
use dkls_p256::NistP256;
use dkls23::{curve::DklsCurve, protocols::PartyIndex};
use entropy_shared::{Committee, PartyId, Scheme, Signature, VerifyingKey};
use rand_core::CryptoRngCore;
use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

use crate::{ceremony::Failure, guard::RoundMessage, share};

/// A curve that the library signs over, and how this crate names what belongs to it.
pub(crate) trait Curve:
    DklsCurve<AffinePoint: Serialize + DeserializeOwned, Scalar: Serialize + DeserializeOwned>
{
    const SCHEME: Scheme;

    fn key(bytes: [u8; 33]) -> VerifyingKey;

    /// The bytes of a key of this curve.
    fn key_bytes(key: &VerifyingKey) -> Option<&[u8; 33]>;

    fn signature(bytes: [u8; 65]) -> Signature;

    fn wrap(secret: Box<Secret<Self>>) -> share::Secret;

    fn unwrap(secret: &share::Secret) -> Option<&Secret<Self>>;
}

impl Curve for Secp256k1 {
    const SCHEME: Scheme = Scheme::EcdsaDkls23;

    fn key(bytes: [u8; 33]) -> VerifyingKey {
        VerifyingKey::Secp256k1(bytes)
    }

    fn key_bytes(key: &VerifyingKey) -> Option<&[u8; 33]> {
        match key {
            VerifyingKey::Secp256k1(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn signature(bytes: [u8; 65]) -> Signature {
        Signature::EcdsaSecp256k1(bytes)
    }

    fn wrap(secret: Box<Secret<Self>>) -> share::Secret {
        share::Secret::Dkls(secret)
    }

    fn unwrap(secret: &share::Secret) -> Option<&Secret<Self>> {
        match secret {
            share::Secret::Dkls(secret) => Some(secret),
            _ => None,
        }
    }
}

impl Curve for NistP256 {
    const SCHEME: Scheme = Scheme::EcdsaP256;

    fn key(bytes: [u8; 33]) -> VerifyingKey {
        VerifyingKey::P256(bytes)
    }

    fn key_bytes(key: &VerifyingKey) -> Option<&[u8; 33]> {
        match key {
            VerifyingKey::P256(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn signature(bytes: [u8; 65]) -> Signature {
        Signature::EcdsaP256(bytes)
    }

    fn wrap(secret: Box<Secret<Self>>) -> share::Secret {
        share::Secret::DklsP256(secret)
    }

    fn unwrap(secret: &share::Secret) -> Option<&Secret<Self>> {
        match secret {
            share::Secret::DklsP256(secret) => Some(secret),
            _ => None,
        }
    }
}

/// The party's coordinate, as the library names it.
fn party_index(committee: &Committee, party: &PartyId) -> Option<PartyIndex> {
    let index = u8::try_from(committee.index(party)?).ok()?;
    PartyIndex::new(index).ok()
}

/// A scalar from its one encoding: 32 bytes, big-endian, below the group order.
fn scalar<C: Curve>(bytes: &[u8; 32]) -> Option<C::Scalar> {
    let bytes: &FieldBytes<C> = bytes.as_slice().try_into().ok()?;
    C::Scalar::from_repr(*bytes).into()
}

fn scalar_bytes<C: Curve>(scalar: &C::Scalar) -> Zeroizing<[u8; 32]> {
    let repr = Zeroizing::new(scalar.to_repr());
    let mut bytes = Zeroizing::new([0; 32]);
    bytes.copy_from_slice(&repr);
    bytes
}

/// Uniform below the group order: a draw that is not below it is thrown away.
fn random_scalar<C: Curve>(rng: &mut dyn CryptoRngCore) -> C::Scalar {
    let mut bytes = Zeroizing::new([0; 32]);
    loop {
        rng.fill_bytes(&mut *bytes);
        if let Some(scalar) = scalar::<C>(&bytes) {
            return scalar;
        }
    }
}

/// SEC1's compressed form; the identity has none.
fn compress<C: Curve>(point: &C::ProjectivePoint) -> Option<[u8; 33]> {
    if bool::from(point.is_identity()) {
        return None;
    }
    let affine: C::AffinePoint = (*point).into();
    affine.to_bytes().as_ref().try_into().ok()
}

/// The point of a compressed form; never the identity, nor SEC1's compact form.
fn decompress<C: Curve>(bytes: &[u8; 33]) -> Option<C::ProjectivePoint> {
    if !matches!(bytes[0], 2 | 3) {
        return None;
    }
    let mut repr = <C::AffinePoint as GroupEncoding>::Repr::default();
    repr.as_mut().copy_from_slice(bytes);
    let point: Option<C::AffinePoint> = C::AffinePoint::from_bytes(&repr).into();
    point.map(Into::into)
}

fn point<C: Curve>(key: &VerifyingKey) -> Option<C::ProjectivePoint> {
    decompress::<C>(C::key_bytes(key)?)
}

/// Runs the library over the messages of many peers at once. A panic there is nobody's in particular, least of all the last sender's.
fn contained<T>(call: impl FnOnce() -> T) -> Result<T, Failure> {
    // What the call has borrowed or taken is dropped with the ceremony that fails here.
    catch_unwind(AssertUnwindSafe(call))
        .map_err(|_| Failure::unattributed("the library panicked over a round's messages"))
}

/// Our own side could not do what it should; never because of what a peer sent.
fn refused(what: &str) -> Failure {
    Failure::unattributed(format!("the library refused {what}"))
}

/// Those of the peers of whom nothing is there yet.
fn missing<T>(peers: &[PartyId], heard: &BTreeMap<PartyId, T>) -> Vec<PartyId> {
    let missing = peers.iter().filter(|peer| !heard.contains_key(peer));
    missing.copied().collect()
}

fn to_all(peers: &[PartyId], round: u8, body: &[u8]) -> Vec<RoundMessage> {
    let message = |to: &PartyId| RoundMessage {
        to: *to,
        round,
        body: body.to_vec(),
    };
    peers.iter().map(message).collect()
}
