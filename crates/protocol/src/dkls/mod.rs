//! Schemes `EcdsaDkls23` and `EcdsaP256`: DKLs23 (ePrint 2023/765) by `dkls23`, one code over two curves, on rounds of our own.
//!
//! A party's share is one of a Shamir sharing whose every verification share all agree on; the pairwise set-up that signing
//! multiplies with (ePrint 2023/602, functionalities 3.4 and 3.5 of 2023/765) is made for exactly these shares, and a set-up
//! for any other is refused. A party's index is its coordinate in the committee, never one that a message claims.
//!
//! The library draws its randomness itself, from the operating system: the one exception to this crate's rule. So these
//! ceremonies are not replayed byte by byte from a seed; what they send, blame and give is. Its chain codes and addresses are
//! not used. Of what it keeps between phases it erases what signing keeps; what set-up keeps is freed without being erased.

mod keygen;
mod secret;
mod setup;
mod sign;

pub(crate) use keygen::Keygen;
pub(crate) use secret::Secret;
pub(crate) use setup::{AnySetup, ROUNDS as SETUP_ROUNDS, set_up};
pub(crate) use sign::Sign;

use std::panic::{AssertUnwindSafe, catch_unwind};

use dkls23::{
    curve::DklsCurve,
    protocols::{Abort, AbortKind, AbortReason, Parameters, PartyIndex},
};
use entropy_shared::{Committee, PartyId, Signature};
use k256_dkls::elliptic_curve::{CurveArithmetic, PrimeField, group::GroupEncoding};
use serde::{Serialize, de::DeserializeOwned};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    ceremony::{Failure, Offence},
    group::{Group, P256, Secp256k1},
    share,
};

/// A point in SEC1's compressed form.
type PointBytes = [u8; 33];

/// A curve that the library signs over.
pub(crate) trait Curve: Group<PointBytes = PointBytes> {
    /// The library's own type of the curve.
    type Library: DklsCurve<AffinePoint: Serialize + DeserializeOwned, Scalar: Serialize + DeserializeOwned>
        + Clone
        + Send;

    /// A share's secret on this curve.
    fn wrap(secret: Box<Secret<Self>>) -> share::Secret
    where
        Self: Sized;

    /// A signature of the curve's scheme: `r || s || recovery id`.
    fn signature(bytes: [u8; 65]) -> Signature;
}

impl Curve for Secp256k1 {
    type Library = k256_dkls::Secp256k1;

    fn wrap(secret: Box<Secret<Self>>) -> share::Secret {
        share::Secret::Dkls(secret)
    }

    fn signature(bytes: [u8; 65]) -> Signature {
        Signature::EcdsaSecp256k1(bytes)
    }
}

impl Curve for P256 {
    type Library = p256_dkls::NistP256;

    fn wrap(secret: Box<Secret<Self>>) -> share::Secret {
        share::Secret::DklsP256(secret)
    }

    fn signature(bytes: [u8; 65]) -> Signature {
        Signature::EcdsaP256(bytes)
    }
}

/// The library's scalar.
type LibraryScalar<C> = <<C as Curve>::Library as CurveArithmetic>::Scalar;
/// The library's point.
type LibraryPoint<C> = <<C as Curve>::Library as CurveArithmetic>::AffinePoint;

/// A scalar as the library has it.
fn to_library<C: Curve>(scalar: &C::Scalar) -> Option<Zeroizing<LibraryScalar<C>>> {
    let mut repr = <LibraryScalar<C> as PrimeField>::Repr::default();
    AsMut::<[u8]>::as_mut(&mut repr).copy_from_slice(C::encode_scalar(scalar).as_slice());
    let scalar = LibraryScalar::<C>::from_repr(repr);
    AsMut::<[u8]>::as_mut(&mut repr).zeroize();
    Option::from(scalar).map(Zeroizing::new)
}

/// A scalar of the library's.
fn of_library<C: Curve>(scalar: &LibraryScalar<C>) -> Option<Zeroizing<C::Scalar>> {
    let mut repr = scalar.to_repr();
    let secret = C::decode_secret(repr.as_ref());
    AsMut::<[u8]>::as_mut(&mut repr).zeroize();
    secret
}

/// The bytes of a point of the library's; those of the identity are no point's.
fn point_bytes<C: Curve>(point: &LibraryPoint<C>) -> Option<PointBytes> {
    point.to_bytes().as_ref().try_into().ok()
}

/// `n` and `t` as the library has them.
fn parameters(committee: &Committee) -> Option<Parameters> {
    let threshold = u8::try_from(committee.threshold()).ok()?;
    Parameters::new(threshold, u8::try_from(committee.size()).ok()?).ok()
}

/// A party's index: its coordinate.
fn index(committee: &Committee, party: &PartyId) -> Option<PartyIndex> {
    let index = u8::try_from(committee.index(party)?).ok()?;
    PartyIndex::new(index).ok()
}

/// A library's value as bytes.
fn encode<T: Serialize>(value: &T) -> Option<Zeroizing<Vec<u8>>> {
    postcard::to_allocvec(value).ok().map(Zeroizing::new)
}

/// Reads a library's value, whose encoding must be exactly `bytes`.
fn decode_canonical<T: Serialize + DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let value = postcard::from_bytes::<T>(bytes).ok()?;
    (encode(&value)?.as_slice() == bytes).then_some(value)
}

/// Runs what nobody's message is to blame for, with panics contained.
fn contained<T>(
    committee: &Committee,
    call: impl FnOnce() -> Result<T, Abort>,
) -> Result<T, Failure> {
    // What the call has borrowed is dropped with the failed ceremony and never looked at again.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|abort| failure(committee, &abort)),
        Err(_) => Err(Failure::unattributed(
            "the library panicked between messages",
        )),
    }
}

/// Whom an abort of the library's blames. Its `index` is who found the fault, not who made it.
fn failure(committee: &Committee, abort: &Abort) -> Failure {
    let (culprit, offence) = match (&abort.kind, &abort.reason) {
        (AbortKind::BanCounterparty(counterparty), _) => (*counterparty, Offence::Banned),
        (
            AbortKind::Recoverable,
            AbortReason::ProofVerificationFailed { counterparty }
            | AbortReason::CommitmentMismatch { counterparty }
            | AbortReason::TrivialInstancePoint { counterparty }
            | AbortReason::ZeroShareDecommitFailed { counterparty }
            | AbortReason::OtConsistencyCheckFailed { counterparty }
            | AbortReason::MultiplicationVerificationFailed { counterparty, .. }
            | AbortReason::GammaUInconsistency { counterparty },
        ) => (*counterparty, Offence::FailedProof),
        (AbortKind::Recoverable, AbortReason::SessionBindingMismatch { counterparty }) => {
            (*counterparty, Offence::OtherCeremony)
        }
        (AbortKind::Recoverable, reason) => {
            return Failure::unattributed(format!("the library stopped: {reason}"));
        }
    };
    // The library checks its own part of a proof too, and would name ourselves.
    let party = committee
        .parties()
        .get(usize::from(culprit.as_u8()).wrapping_sub(1))
        .filter(|_| culprit != abort.index);
    match party {
        Some(party) => Failure {
            reason: format!("{party} {offence}: {}", abort.reason),
            ..Failure::blaming(*party, offence)
        },
        None => Failure::unattributed(format!("the library stopped: {}", abort.reason)),
    }
}
