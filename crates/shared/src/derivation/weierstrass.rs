//! Derivation on secp256k1 and P-256, which differ in what a step does if its hash is no scalar, and Taproot's output key.

use k256::elliptic_curve::{
    AffinePoint, Group, PrimeField, ProjectivePoint, Scalar, point::AffineCoordinates,
    sec1::ToEncodedPoint,
};

use super::{DerivationError, DerivationPath, Derived, TaprootTweak, step_hash};
use crate::{
    digest::{tagged_hash, tagged_hash_bytes},
    ids::KeyId,
    signature::{VerifyingKey, Weierstrass, parse_sec1},
};

/// How often a hash may be repeated. On P-256 one in 2^32 is no scalar, so that this many in a row never are.
const TRIES: usize = 8;

/// Whose steps a path takes.
#[derive(Clone, Copy)]
pub(super) enum Steps {
    /// BIP-32's CKDpub: `I = HMAC-SHA512(c_par, serP(K_par) || ser32(i))`, `K_i = parse256(I_L) G + K_par`, `c_i = I_R`;
    /// where I_L is no scalar or K_i is infinity there is no such child.
    Bip32,
    /// SLIP-10's CKDpub: the same, but there I is hashed again, `I = HMAC-SHA512(c_par, 0x01 || I_R || ser32(i))`.
    Slip10,
}

/// A child and what leads to it from its parent.
pub(super) struct Child<C: Weierstrass> {
    /// What is added to the parent's secret.
    pub(super) tweak: Scalar<C>,
    pub(super) point: ProjectivePoint<C>,
    pub(super) bytes: [u8; 33],
    pub(super) chain_code: [u8; 32],
}

pub(super) fn derive<C: Weierstrass>(
    steps: Steps,
    root: &[u8; 33],
    id: &KeyId,
    path: &DerivationPath,
) -> Result<Derived, DerivationError> {
    let mut offset = child_offset::<C>(tagged_hash("entropy/child-offset/v1", &(root, id)))?;
    let mut point = parse::<C>(root)? + ProjectivePoint::<C>::generator() * offset;
    let mut bytes = compress::<C>(&point).ok_or(DerivationError::Unlucky)?;
    let mut chain_code = tagged_hash("entropy/child-chain-code/v1", &(root, id));
    for index in path.steps() {
        let child = child::<C>(steps, &point, &bytes, &chain_code, *index)?;
        offset += child.tweak;
        (point, bytes, chain_code) = (child.point, child.bytes, child.chain_code);
    }
    Ok(Derived {
        key: C::verifying_key(bytes),
        offset: offset.to_repr().into(),
        chain_code,
    })
}

/// The first of `hash` and the hashes that follow it which is a scalar.
pub(super) fn child_offset<C: Weierstrass>(
    mut hash: [u8; 32],
) -> Result<Scalar<C>, DerivationError> {
    for _ in 0..TRIES {
        match scalar::<C>(&hash) {
            Some(offset) => return Ok(offset),
            None => hash = tagged_hash("entropy/child-offset-again/v1", &hash),
        }
    }
    Err(DerivationError::Unlucky)
}

/// The child with this index of the key `point`, whose bytes are `bytes`.
pub(super) fn child<C: Weierstrass>(
    steps: Steps,
    point: &ProjectivePoint<C>,
    bytes: &[u8; 33],
    chain_code: &[u8; 32],
    index: u32,
) -> Result<Child<C>, DerivationError> {
    let index = index.to_be_bytes();
    let tries = match steps {
        Steps::Bip32 => 1,
        Steps::Slip10 => TRIES,
    };
    let (mut left, mut right) = step_hash(chain_code, &[bytes, &index]);
    for _ in 0..tries {
        let child = scalar::<C>(&left).and_then(|tweak| {
            let point = *point + ProjectivePoint::<C>::generator() * tweak;
            let bytes = compress::<C>(&point)?;
            Some(Child {
                tweak,
                point,
                bytes,
                chain_code: right,
            })
        });
        if let Some(child) = child {
            return Ok(child);
        }
        (left, right) = step_hash(chain_code, &[&[1], &right, &index]);
    }
    Err(DerivationError::Unlucky)
}

/// BIP-341: `Q = lift_x(P) + H_TapTweak(x(P) || root) G`; with [`TaprootTweak::None`] just x(P).
pub(super) fn taproot_output(
    key: &[u8; 33],
    tweak: &TaprootTweak,
) -> Result<VerifyingKey, DerivationError> {
    type C = k256::Secp256k1;
    let x: [u8; 32] = parse::<C>(key)?.to_affine().x().into();
    let hash = match tweak {
        TaprootTweak::None => return Ok(VerifyingKey::XOnly(x)),
        TaprootTweak::KeyPath => tagged_hash_bytes("TapTweak", &[&x]),
        TaprootTweak::MerkleRoot(root) => tagged_hash_bytes("TapTweak", &[&x, root]),
    };
    let mut even = [2; 33];
    even[1..].copy_from_slice(&x);
    let tweak = scalar::<C>(&hash).ok_or(DerivationError::Unlucky)?;
    let output = parse::<C>(&even)? + ProjectivePoint::<C>::GENERATOR * tweak;
    compress::<C>(&output).ok_or(DerivationError::Unlucky)?;
    Ok(VerifyingKey::XOnly(output.to_affine().x().into()))
}

pub(super) fn parse<C: Weierstrass>(
    bytes: &[u8; 33],
) -> Result<ProjectivePoint<C>, DerivationError> {
    parse_sec1::<C>(bytes)
        .map(|key| key.to_projective())
        .ok_or(DerivationError::BadRootKey)
}

/// SEC1 compressed bytes; infinity has none.
pub(super) fn compress<C: Weierstrass>(point: &ProjectivePoint<C>) -> Option<[u8; 33]> {
    let point: AffinePoint<C> = (*point).into();
    point.to_encoded_point(true).as_bytes().try_into().ok()
}

/// A scalar from a hash that must be below the group order, as BIP-32, SLIP-10 and BIP-341 demand; not reduced.
pub(super) fn scalar<C: Weierstrass>(hash: &[u8; 32]) -> Option<Scalar<C>> {
    Option::from(Scalar::<C>::from_repr((*hash).into()))
}
