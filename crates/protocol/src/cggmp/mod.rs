//! Scheme `EcdsaCggmp24`: CGGMP'24 (ePrint 2021/060, revision 2024-10-21) by synedrion over manul, with threshold shares by our own redistribution (`crate::redistribution`).
//!
//! The libraries see authenticated messages of their current round only, each once. Nothing of theirs leaves this module:
//! their errors become blame, their panics are contained here or by the guard, their evidence is not exported (it binds no recipient).

mod auxiliary;
mod keygen;
mod secret;
mod session;
mod sign;
mod wire;

pub(crate) use auxiliary::{Auxiliary, ROUNDS as AUXILIARY_ROUNDS, secret};
pub(crate) use keygen::Keygen;
pub(crate) use secret::Secret;
pub(crate) use sign::Sign;

use crate::group::{Group, Secp256k1};

/// The parameters of the paper's appendix C.1 for secp256k1: 112 bits of security, 2048-bit Paillier moduli.
type Production = synedrion::k256::ProductionParams112;

/// A point in SEC1's compressed form.
type PointBytes = [u8; 33];

/// The compressed form; the identity has none.
fn compress(point: &k256::ProjectivePoint) -> Option<PointBytes> {
    Secp256k1::compress(point)
}

/// The point of a compressed form; never the identity.
fn decompress(bytes: &PointBytes) -> Option<k256::ProjectivePoint> {
    Secp256k1::decompress(bytes)
}
