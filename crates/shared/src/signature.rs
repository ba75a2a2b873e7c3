//! Verifying keys and signatures of every scheme, and whether one verifies under the other.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY, traits::IsIdentity};
use ecdsa::{
    RecoveryId,
    elliptic_curve::{
        Curve, CurveArithmetic, PrimeCurve, PublicKey,
        consts::U32,
        point::DecompressPoint,
        sec1::{FromEncodedPoint, ToEncodedPoint},
    },
    hazmat::VerifyPrimitive,
};
use k256::{Secp256k1, schnorr};
use p256::NistP256;
use scale_info::TypeInfo;
use schnorr::signature::hazmat::PrehashVerifier;

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
    /// A point of P-256 (secp256r1), SEC1 compressed.
    #[codec(index = 2)]
    P256([u8; 33]),
    /// A point of Ed25519's prime-order group, as RFC 8032 encodes it.
    #[codec(index = 3)]
    Ed25519([u8; 32]),
}

impl VerifyingKey {
    /// The key's bytes in the form that its users know.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Secp256k1(bytes) | Self::P256(bytes) => bytes,
            Self::XOnly(bytes) | Self::Ed25519(bytes) => bytes,
        }
    }

    /// Whether the bytes are a key: the one encoding of a point of the prime-order group, and not of its identity.
    ///
    /// SEC1's compact form (prefix 5) is refused, and for Ed25519 every encoding but the canonical one, every point of small
    /// order and every point with a torsion component.
    pub fn is_valid(&self) -> bool {
        match self {
            Self::Secp256k1(bytes) => parse_sec1::<Secp256k1>(bytes).is_some(),
            Self::XOnly(bytes) => schnorr::VerifyingKey::from_bytes(bytes).is_ok(),
            Self::P256(bytes) => parse_sec1::<NistP256>(bytes).is_some(),
            Self::Ed25519(bytes) => parse_ed25519(bytes).is_some(),
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
    /// `r || s || recovery id`, as for secp256k1: s in the lower half of the group order, although most of P-256's users take both.
    #[codec(index = 2)]
    EcdsaP256([u8; 65]),
    /// `R || S` (RFC 8032).
    #[codec(index = 3)]
    Ed25519([u8; 64]),
}

/// Why a signature is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// The signature is of another kind than the key.
    WrongKind,
    /// What is signed must be a digest of 32 bytes; it has this many.
    NotADigest(usize),
    /// The key's bytes are no key: see [`VerifyingKey::is_valid`].
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
            Self::NotADigest(got) => {
                return write!(
                    f,
                    "a signature of this kind is over a 32-byte digest, not over {got} bytes"
                );
            }
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
            Self::EcdsaSecp256k1(bytes) | Self::EcdsaP256(bytes) => bytes,
            Self::Bip340(bytes) | Self::Ed25519(bytes) => bytes,
        }
    }

    /// Checks the signature under `key` of `message`: what [`crate::digest::signed_bytes`] gives.
    ///
    /// * ECDSA (SEC1 v2 section 4.1.4): a digest of exactly 32 bytes; low s, and the recovery id must recover the key.
    /// * BIP-340: a digest of exactly 32 bytes.
    /// * Ed25519 (RFC 8032, neither `ctx` nor `ph`): any bytes. S must be below the group order (so there is no second S); R must
    ///   be the canonical encoding of a point that is not of small order; the equation is checked without cofactor,
    ///   `[S]B = R + [k]A`. As the key is in the prime-order group and canonically encoded, an accepted R is too, so
    ///   verifiers with the cofactor and those without agree on every signature that is accepted here.
    pub fn verify(&self, key: &VerifyingKey, message: &[u8]) -> Result<(), SignatureError> {
        match (self, key) {
            (Self::EcdsaSecp256k1(bytes), VerifyingKey::Secp256k1(key)) => {
                verify_ecdsa::<Secp256k1>(bytes, key, digest(message)?)
            }
            (Self::Bip340(bytes), VerifyingKey::XOnly(key)) => {
                verify_bip340(bytes, key, digest(message)?)
            }
            (Self::EcdsaP256(bytes), VerifyingKey::P256(key)) => {
                verify_ecdsa::<NistP256>(bytes, key, digest(message)?)
            }
            (Self::Ed25519(bytes), VerifyingKey::Ed25519(key)) => {
                verify_ed25519(bytes, key, message)
            }
            _ => Err(SignatureError::WrongKind),
        }
    }
}

/// What derivation and verification need of secp256k1 and P-256.
pub(crate) trait Weierstrass:
    PrimeCurve
    + Curve<FieldBytesSize = U32>
    + CurveArithmetic<
        AffinePoint: FromEncodedPoint<Self>
                         + ToEncodedPoint<Self>
                         + DecompressPoint<Self>
                         + VerifyPrimitive<Self>,
    >
{
    /// The key with these bytes.
    fn verifying_key(bytes: [u8; 33]) -> VerifyingKey;
}

impl Weierstrass for Secp256k1 {
    fn verifying_key(bytes: [u8; 33]) -> VerifyingKey {
        VerifyingKey::Secp256k1(bytes)
    }
}

impl Weierstrass for NistP256 {
    fn verifying_key(bytes: [u8; 33]) -> VerifyingKey {
        VerifyingKey::P256(bytes)
    }
}

/// A point in SEC1's compressed form. The libraries also read the compact one (prefix 5), which would give one key two encodings.
pub(crate) fn parse_sec1<C: Weierstrass>(bytes: &[u8; 33]) -> Option<PublicKey<C>> {
    matches!(bytes[0], 2 | 3)
        .then(|| PublicKey::from_sec1_bytes(bytes).ok())
        .flatten()
}

/// A point of the prime-order group other than the identity.
///
/// That its encoding is the canonical one needs no check of its own, although the library reads others: y beyond the field, and a
/// sign of x = 0. There are 40 of those strings, and each is no point, or the identity, or a point with torsion.
pub(crate) fn parse_ed25519(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*bytes)
        .decompress()
        .filter(|point| !point.is_identity() && point.is_torsion_free())
}

fn digest(message: &[u8]) -> Result<&[u8; 32], SignatureError> {
    message
        .try_into()
        .map_err(|_| SignatureError::NotADigest(message.len()))
}

fn verify_ecdsa<C: Weierstrass>(
    bytes: &[u8; 65],
    key: &[u8; 33],
    digest: &[u8; 32],
) -> Result<(), SignatureError> {
    let key = ecdsa::VerifyingKey::from(parse_sec1::<C>(key).ok_or(SignatureError::BadKey)?);
    let signature =
        ecdsa::Signature::<C>::from_slice(&bytes[..64]).map_err(|_| SignatureError::Malformed)?;
    if signature.normalize_s().is_some() {
        return Err(SignatureError::HighS);
    }
    let recovery = RecoveryId::from_byte(bytes[64]).ok_or(SignatureError::Malformed)?;
    // A valid signature has one right id among four; users of `ecrecover` depend on it. What recovers the key also verifies.
    match ecdsa::VerifyingKey::recover_from_prehash(digest, &signature, recovery) {
        Ok(recovered) if recovered == key => Ok(()),
        _ => Err(match key.verify_prehash(digest, &signature) {
            Ok(()) => SignatureError::BadRecoveryId,
            Err(_) => SignatureError::Invalid,
        }),
    }
}

fn verify_bip340(
    bytes: &[u8; 64],
    key: &[u8; 32],
    digest: &[u8; 32],
) -> Result<(), SignatureError> {
    let key = schnorr::VerifyingKey::from_bytes(key).map_err(|_| SignatureError::BadKey)?;
    let signature =
        schnorr::Signature::try_from(&bytes[..]).map_err(|_| SignatureError::Malformed)?;
    key.verify_prehash(digest, &signature)
        .map_err(|_| SignatureError::Invalid)
}

fn verify_ed25519(bytes: &[u8; 64], key: &[u8; 32], message: &[u8]) -> Result<(), SignatureError> {
    let key = ed25519_dalek::VerifyingKey::from(parse_ed25519(key).ok_or(SignatureError::BadKey)?);
    let signature = ed25519_dalek::Signature::from_bytes(bytes);
    if bool::from(Scalar::from_canonical_bytes(*signature.s_bytes()).is_none()) {
        return Err(SignatureError::Malformed);
    }
    key.verify_strict(message, &signature)
        .map_err(|_| SignatureError::Invalid)
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
