//! Scheme `SchnorrTaproot`: FROST (RFC 9591) with BIP-340 signatures, on rounds of our own around `frost-secp256k1-tr`.
//!
//! A party's identifier is its index in the committee, never one that a message claims. Every message has one length and
//! one encoding. Nothing here draws randomness but from its argument, and nobody is blamed on another party's word.
//!
//! The root key is the library's group key as it stands after key generation: a full point of either parity, already
//! tweaked by the library (`P + H(P) G` with P made even, so that no dealer can hide a script in it). Shares and
//! verification shares belong to exactly this point. A child key adds one public scalar to all of them; only then, for
//! the x-coordinate that BIP-340 knows, may the library negate: a parent normalised first would give another child.

mod gather;
mod keygen;
mod sign;

pub(crate) use keygen::Keygen;
pub(crate) use sign::Sign;

use entropy_shared::{Committee, PartyId, VerifyingKey};
use frost_secp256k1_tr::{Error, Identifier, keys};
use k256::{
    ProjectivePoint, PublicKey, Scalar,
    elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
};
use zeroize::Zeroizing;

use crate::{
    ceremony::{Failure, Offence},
    guard::RoundMessage,
    share::DecodeError,
};

/// A party's signing share of the root key: a scalar, not zero.
pub(crate) struct Secret(Zeroizing<Scalar>);

impl Secret {
    /// The scalar, big-endian, 32 bytes.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.to_bytes().to_vec())
    }

    /// Reads what [`Self::encode`] wrote.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(
            bytes
                .try_into()
                .map_err(|_| DecodeError::Malformed("a FROST secret has 32 bytes"))?,
        );
        let scalar: Option<Scalar> = Scalar::from_repr((*bytes).into()).into();
        match scalar {
            Some(scalar) if !bool::from(scalar.is_zero()) => Ok(Self(Zeroizing::new(scalar))),
            _ => Err(DecodeError::Malformed(
                "a FROST secret is a scalar from 1 to the group order",
            )),
        }
    }

    /// Whether this is the secret of the verification share.
    pub(crate) fn fits(&self, verification: &VerifyingKey) -> bool {
        compress(&(ProjectivePoint::GENERATOR * *self.0))
            .is_some_and(|own| VerifyingKey::Secp256k1(own) == *verification)
    }

    fn of(share: &keys::SigningShare) -> Result<Self, DecodeError> {
        Self::decode(&Zeroizing::new(share.serialize()))
    }
}

/// The party's index, as the library's identifier.
fn identifier(committee: &Committee, party: &PartyId) -> Option<Identifier> {
    Identifier::try_from(committee.index(party)?).ok()
}

/// SEC1 compressed bytes; the identity has none.
fn compress(point: &ProjectivePoint) -> Option<[u8; 33]> {
    point
        .to_affine()
        .to_encoded_point(true)
        .as_bytes()
        .try_into()
        .ok()
}

fn point(key: &VerifyingKey) -> Option<ProjectivePoint> {
    match key {
        VerifyingKey::Secp256k1(bytes) => PublicKey::from_sec1_bytes(bytes)
            .ok()
            .map(|key| key.to_projective()),
        VerifyingKey::XOnly(_) | VerifyingKey::P256(_) | VerifyingKey::Ed25519(_) => None,
    }
}

/// Parses bytes that must be the one encoding of their value: the library's parser also takes trailing bytes and a
/// second form of points.
fn canonical<T>(
    bytes: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, Error>,
    encode: impl FnOnce(&T) -> Result<Vec<u8>, Error>,
) -> Option<T> {
    let value = decode(bytes).ok()?;
    let again = Zeroizing::new(encode(&value).ok()?);
    (again.as_slice() == bytes).then_some(value)
}

/// What an error of the library means: it names at most one culprit.
fn failure(error: &Error, committee: &Committee) -> Failure {
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
