//! Schemes `SchnorrTaproot` and `SchnorrEd25519`: FROST (RFC 9591) on rounds of our own around `frost-core`, with BIP-340 or Ed25519 signatures.
//!
//! A party's identifier is its index in the committee, never one that a message claims. Every message has one length and
//! one encoding. Nothing here draws randomness but from its argument, and nobody is blamed on another party's word.
//!
//! The root key is the library's group key as it stands after key generation. For Taproot this is a full point of either
//! parity, already tweaked by the library (`P + H(P) G` with P made even, so that no dealer can hide a script in it). Shares
//! and verification shares belong to exactly this point. A child key adds one public scalar to all of them; only then, for
//! the x-coordinate that BIP-340 knows, may the library negate: a parent normalised first would give another child.
//! Ed25519 has neither tweak nor parity; its secrets are scalars modulo the group's order, not hashed and clamped seeds.

mod keygen;
mod sign;
mod suite;

pub(crate) use frost_ed25519::Ed25519Sha512;
pub(crate) use frost_secp256k1_tr::Secp256K1Sha256TR;
pub(crate) use keygen::Keygen;
pub(crate) use sign::Sign;

use entropy_shared::{Committee, PartyId, Scheme, VerifyingKey};
use frost_core::{Ciphersuite, Error, Identifier};
use zeroize::Zeroizing;

use crate::{
    ceremony::{Failure, Offence},
    group::{Ed25519, Group, Secp256k1},
    guard::RoundMessage,
    share::DecodeError,
};

/// A party's signing share of the root key: the one encoding of a scalar that is not zero, in the byte order of its curve.
pub(crate) struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The scalar's 32 bytes: big-endian for secp256k1, little-endian for Ed25519.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_vec())
    }

    /// Reads what [`Self::encode`] wrote for a share of this scheme.
    pub(crate) fn decode(scheme: Scheme, bytes: &[u8]) -> Result<Self, DecodeError> {
        let secret: Zeroizing<[u8; 32]> = Zeroizing::new(
            bytes
                .try_into()
                .map_err(|_| DecodeError::Malformed("a FROST secret has 32 bytes"))?,
        );
        let is_secret = match scheme {
            Scheme::SchnorrTaproot => Secp256k1::decode_secret(bytes).is_some(),
            Scheme::SchnorrEd25519 => Ed25519::decode_secret(bytes).is_some(),
            _ => return Err(DecodeError::Malformed("not a scheme of FROST")),
        };
        is_secret
            .then_some(Self(secret))
            .ok_or(DecodeError::Malformed(
                "a FROST secret is a scalar from 1 to the group order",
            ))
    }

    /// Whether this is the secret of the verification share.
    pub(crate) fn fits(&self, verification: &VerifyingKey) -> bool {
        match verification {
            VerifyingKey::Secp256k1(_) => self.fits_in::<Secp256k1>(verification),
            VerifyingKey::Ed25519(_) => self.fits_in::<Ed25519>(verification),
            VerifyingKey::XOnly(_) | VerifyingKey::P256(_) => false,
        }
    }

    fn fits_in<G: Group>(&self, verification: &VerifyingKey) -> bool {
        self.scalar::<G>()
            .is_some_and(|secret| G::key(&G::generate(&secret)).as_ref() == Some(verification))
    }

    /// The scalar, if this is one of the group.
    pub(crate) fn scalar<G: Group>(&self) -> Option<Zeroizing<G::Scalar>> {
        G::decode_secret(self.0.as_slice())
    }
}

/// The party's index, as the library's identifier.
fn identifier<C: Ciphersuite>(committee: &Committee, party: &PartyId) -> Option<Identifier<C>> {
    Identifier::try_from(committee.index(party)?).ok()
}

/// Parses bytes that must be the one encoding of their value: the library's parser also takes trailing bytes and a
/// second form of points.
fn canonical<C: Ciphersuite, T>(
    bytes: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, Error<C>>,
    encode: impl FnOnce(&T) -> Result<Vec<u8>, Error<C>>,
) -> Option<T> {
    let value = decode(bytes).ok()?;
    let again = Zeroizing::new(encode(&value).ok()?);
    (again.as_slice() == bytes).then_some(value)
}

/// What an error of the library means: it names at most one culprit.
fn failure<C: Ciphersuite>(error: &Error<C>, committee: &Committee) -> Failure {
    let offence = match error {
        Error::InvalidProofOfKnowledge { .. } => Offence::FailedProof,
        Error::InvalidSecretShare { .. } | Error::InvalidSignatureShare { .. } => Offence::BadShare,
        _ => return Failure::unattributed(format!("the library refused: {error}")),
    };
    let culprits = error.culprits();
    let named =
        |party: &&PartyId| identifier(committee, party).is_some_and(|id| culprits.contains(&id));
    match committee.parties().iter().find(named) {
        Some(party) => Failure::blaming(*party, offence),
        None => Failure::unattributed(format!("the library refused without a culprit: {error}")),
    }
}

fn to_all(parties: &[PartyId], round: u8, body: &[u8]) -> Vec<RoundMessage> {
    parties
        .iter()
        .map(|to| RoundMessage {
            to: *to,
            round,
            body: body.to_vec(),
        })
        .collect()
}
