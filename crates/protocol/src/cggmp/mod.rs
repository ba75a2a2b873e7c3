//! Scheme `EcdsaCggmp24`: CGGMP'24 (ePrint 2021/060, revision 2024-10-21) by synedrion over manul, with threshold shares by our own redistribution.
//!
//! The libraries see authenticated messages of their current round only, each once. Nothing of theirs leaves this module:
//! their errors become blame, their panics are contained here or by the guard, their evidence is not exported (it binds no recipient).

mod keygen;
mod redistribution;
mod secret;
mod session;
mod sign;
mod wire;

pub(crate) use keygen::Keygen;
pub(crate) use secret::Secret;
pub(crate) use sign::Sign;

use k256::{
    AffinePoint, ProjectivePoint,
    elliptic_curve::sec1::{FromEncodedPoint, ToEncodedPoint},
};

/// The parameters of the paper's appendix C.1 for secp256k1: 112 bits of security, 2048-bit Paillier moduli.
type Production = synedrion::k256::ProductionParams112;

/// A point in SEC1's compressed form.
type PointBytes = [u8; 33];

/// The compressed form; the identity has none.
fn compress(point: &ProjectivePoint) -> Option<PointBytes> {
    point
        .to_affine()
        .to_encoded_point(true)
        .as_bytes()
        .try_into()
        .ok()
}

/// The point of a compressed form; never the identity.
fn decompress(bytes: &PointBytes) -> Option<ProjectivePoint> {
    let encoded = k256::EncodedPoint::from_bytes(bytes).ok()?;
    let point: Option<AffinePoint> = AffinePoint::from_encoded_point(&encoded).into();
    point
        .filter(|point| *point != AffinePoint::IDENTITY)
        .map(Into::into)
}
