//! Verifying keys and signatures of every scheme, and whether one verifies under the other.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use k256::{
    ecdsa::{self, RecoveryId, signature::hazmat::PrehashVerifier},
    schnorr,
};
use scale_info::TypeInfo;

use crate::ids::Digest;

/// A public key under which signatures verify.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum VerifyingKey {
    /// A point of secp256k1, SEC1 compressed: ECDSA keys, and Taproot keys before they are reduced to their x-coordinate.
    #[codec(index = 0)]
    Secp256k1([u8; 33]),
    /// The x-coordinate of a point of secp256k1 (BIP-340).
    #[codec(index = 1)]
    XOnly([u8; 32]),
}

impl VerifyingKey {
    /// The key's bytes in the form that its users know.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Secp256k1(bytes) => bytes,
            Self::XOnly(bytes) => bytes,
        }
    }

    /// Whether the bytes are a point of the curve.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Secp256k1(bytes) => parse_secp256k1(bytes).is_some(),
            Self::XOnly(bytes) => schnorr::VerifyingKey::from_bytes(bytes).is_ok(),
        }
    }
}

impl fmt::Display for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({self})")
    }
}

/// A signature of any scheme.
#[derive(
    Clone, Copy, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub enum Signature {
    /// `r || s || recovery id`, s in the lower half of the group order, recovery id 0 to 3.
    #[codec(index = 0)]
    EcdsaSecp256k1([u8; 65]),
    /// `x(R) || s` (BIP-340).
    #[codec(index = 1)]
    Bip340([u8; 64]),
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The signature is of another kind than the key.
    WrongKind,
    /// The key's bytes are not a point of the curve.
    BadKey,
    /// The signature's numbers are out of range.
    Malformed,
    /// An ECDSA signature with `s` in the upper half: a malleated copy of a good one.
    HighS,
    /// The recovery id recovers another key.
    BadRecoveryId,
    /// The signature does not verify.
    Invalid,
}

impl fmt::Display for SignatureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WrongKind => "the signature is of another kind than the key",
            Self::BadKey => "the key is not a point of the curve",
            Self::Malformed => "the signature's numbers are out of range",
            Self::HighS => "s is in the upper half of the group order",
            Self::BadRecoveryId => "the recovery id recovers another key",
            Self::Invalid => "the signature does not verify",
        })
    }
}

impl core::error::Error for SignatureError {}

impl Signature {
    /// The signature's bytes in the form that its users know.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::EcdsaSecp256k1(bytes) => bytes,
            Self::Bip340(bytes) => bytes,
        }
    }

    /// Checks the signature of `digest` under `key`: ECDSA (SEC1 v2 section 4.1.4, low s and the recovery id required), BIP-340.
    pub fn verify(&self, key: &VerifyingKey, digest: &Digest) -> Result<(), SignatureError> {
        match (self, key) {
            (Self::EcdsaSecp256k1(bytes), VerifyingKey::Secp256k1(key)) => {
                verify_ecdsa(bytes, key, digest)
            }
            (Self::Bip340(bytes), VerifyingKey::XOnly(key)) => {
                let key =
                    schnorr::VerifyingKey::from_bytes(key).map_err(|_| SignatureError::BadKey)?;
                let signature = schnorr::Signature::try_from(&bytes[..])
                    .map_err(|_| SignatureError::Malformed)?;
                key.verify_prehash(&digest.0, &signature)
                    .map_err(|_| SignatureError::Invalid)
            }
            _ => Err(SignatureError::WrongKind),
        }
    }
}

/// A point in SEC1's compressed form. The library also reads the compact one (prefix 5), which would give one key two encodings.
pub(crate) fn parse_secp256k1(bytes: &[u8; 33]) -> Option<k256::PublicKey> {
    matches!(bytes[0], 2 | 3)
        .then(|| k256::PublicKey::from_sec1_bytes(bytes).ok())
        .flatten()
}

fn verify_ecdsa(bytes: &[u8; 65], key: &[u8; 33], digest: &Digest) -> Result<(), SignatureError> {
    let expected = parse_secp256k1(key).ok_or(SignatureError::BadKey)?;
    let signature =
        ecdsa::Signature::from_slice(&bytes[..64]).map_err(|_| SignatureError::Malformed)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureError::HighS);
    }
    let recovery = RecoveryId::from_byte(bytes[64]).ok_or(SignatureError::Malformed)?;
    let verifying = ecdsa::VerifyingKey::from(expected);
    verifying
        .verify_prehash(&digest.0, &signature)
        .map_err(|_| SignatureError::Invalid)?;
    // A valid signature has one right id among four; users of `ecrecover` depend on it.
    let recovered = ecdsa::VerifyingKey::recover_from_prehash(&digest.0, &signature, recovery)
        .map_err(|_| SignatureError::BadRecoveryId)?;
    if recovered.to_encoded_point(true).as_bytes() != &key[..] {
        return Err(SignatureError::BadRecoveryId);
    }
    Ok(())
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}
