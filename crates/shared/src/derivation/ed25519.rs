//! Derivation in the prime-order group of Ed25519. SLIP-10 has no public derivation there, so this one is our own: see [`super::derive`].
//!
//! Secrets are scalars modulo the group order, as FROST makes them: not RFC 8032's hashed and clamped seeds, which cannot be added to.

use codec::Encode;
use curve25519_dalek::{EdwardsPoint, Scalar, traits::IsIdentity};
use sha2::{Digest as _, Sha512};

use super::{DerivationError, DerivationPath, Derived, step_hash};
use crate::{
    digest::tagged_hash,
    ids::KeyId,
    signature::{VerifyingKey, parse_ed25519},
};

pub(super) fn derive(
    root: &[u8; 32],
    id: &KeyId,
    path: &DerivationPath,
) -> Result<Derived, DerivationError> {
    let mut offset = hash_to_scalar("entropy/ed25519-child-offset/v1", &(root, id));
    let mut chain_code = tagged_hash("entropy/ed25519-child-chain-code/v1", &(root, id));
    let root = parse_ed25519(root).ok_or(DerivationError::BadRootKey)?;
    let mut point = root + EdwardsPoint::mul_base(&offset);
    for index in path.steps() {
        let parent = point.compress().to_bytes();
        let (left, right) = step_hash(&chain_code, &[&parent, &index.to_be_bytes()]);
        let tweak = hash_to_scalar("entropy/ed25519-step-offset/v1", &left);
        offset += tweak;
        point += EdwardsPoint::mul_base(&tweak);
        chain_code = right;
    }
    if point.is_identity() {
        return Err(DerivationError::Unlucky);
    }
    Ok(Derived {
        key: VerifyingKey::Ed25519(point.compress().to_bytes()),
        offset: offset.to_bytes(),
        chain_code,
    })
}

/// 512 bits of hash modulo a group order of 253 bits: no scalar is likelier than another by more than 2^-250.
fn hash_to_scalar(tag: &str, data: &impl Encode) -> Scalar {
    let tag = Sha512::digest(tag.as_bytes());
    let hash = Sha512::new()
        .chain_update(tag)
        .chain_update(tag)
        .chain_update(data.encode());
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}
