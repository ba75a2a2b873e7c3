//! Ed25519's malleability: what some verifiers take and others do not, ours never takes. `ring` judges beside it.

use curve25519_dalek::{EdwardsPoint, Scalar, constants::EIGHT_TORSION, traits::Identity};
use entropy_shared::{Signature, SignatureError, VerifyingKey};
use proptest::prelude::*;
use ring::signature::{ED25519, UnparsedPublicKey};
use sha2::{Digest as _, Sha512};

/// The group order, little-endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Signs under a scalar that no seed is known for, as a committee does.
pub(crate) fn sign(secret: &Scalar, message: &[u8]) -> (VerifyingKey, [u8; 64]) {
    let key = EdwardsPoint::mul_base(secret);
    let nonce = Sha512::new().chain_update([7; 32]).chain_update(message);
    let nonce = Scalar::from_bytes_mod_order_wide(&nonce.finalize().into());
    let signature = forge(
        secret,
        &nonce,
        &EdwardsPoint::mul_base(&nonce),
        &key,
        message,
    );
    (VerifyingKey::Ed25519(key.compress().to_bytes()), signature)
}

pub(crate) fn ring_verifies(key: &VerifyingKey, message: &[u8], signature: &[u8; 64]) -> bool {
    UnparsedPublicKey::new(&ED25519, key.as_bytes())
        .verify(message, signature)
        .is_ok()
}

/// `R || S` with the S that fits a nonce point `r` (of the nonce `nonce`, up to torsion) under `key`.
fn forge(
    secret: &Scalar,
    nonce: &Scalar,
    r: &EdwardsPoint,
    key: &EdwardsPoint,
    message: &[u8],
) -> [u8; 64] {
    let r = r.compress();
    let hash = Sha512::new()
        .chain_update(r.as_bytes())
        .chain_update(key.compress().as_bytes())
        .chain_update(message);
    let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut bytes = [0; 64];
    bytes[..32].copy_from_slice(r.as_bytes());
    bytes[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
    bytes
}

fn key_of(point: &EdwardsPoint) -> VerifyingKey {
    VerifyingKey::Ed25519(point.compress().to_bytes())
}

fn scalar() -> impl Strategy<Value = Scalar> {
    any::<[u8; 32]>()
        .prop_map(Scalar::from_bytes_mod_order)
        .prop_filter("not zero", |scalar| *scalar != Scalar::ZERO)
}

proptest! {
    #[test]
    fn signatures_verify_for_messages_of_any_length(secret in scalar(), message: Vec<u8>, bit in 0usize..512) {
        let (key, mut bytes) = sign(&secret, &message);
        prop_assert!(key.is_valid());
        prop_assert_eq!(Signature::Ed25519(bytes).verify(&key, &message), Ok(()));
        prop_assert!(ring_verifies(&key, &message, &bytes));
        let longer = [&message[..], &[0]].concat();
        prop_assert_eq!(Signature::Ed25519(bytes).verify(&key, &longer), Err(SignatureError::Invalid));
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Signature::Ed25519(bytes).verify(&key, &message).is_err());
    }

    #[test]
    fn a_second_s_is_refused(secret in scalar(), message: Vec<u8>) {
        let (key, mut bytes) = sign(&secret, &message);
        let mut carry = 0;
        for (digit, order) in bytes[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*digit) + u16::from(order) + carry;
            *digit = sum as u8;
            carry = sum >> 8;
        }
        prop_assert_eq!(Signature::Ed25519(bytes).verify(&key, &message), Err(SignatureError::Malformed));
    }

    /// A verifier that multiplies by the cofactor takes these, one that does not refuses them.
    #[test]
    fn a_nonce_with_torsion_is_refused(secret in scalar(), nonce in scalar(), torsion in 1usize..8) {
        let (key, r) = (EdwardsPoint::mul_base(&secret), EdwardsPoint::mul_base(&nonce));
        let plain = forge(&secret, &nonce, &r, &key, b"message");
        prop_assert_eq!(Signature::Ed25519(plain).verify(&key_of(&key), b"message"), Ok(()));
        let twisted = forge(&secret, &nonce, &(r + EIGHT_TORSION[torsion]), &key, b"message");
        prop_assert_eq!(
            Signature::Ed25519(twisted).verify(&key_of(&key), b"message"),
            Err(SignatureError::Invalid)
        );
    }

    #[test]
    fn a_key_with_torsion_is_no_key(secret in scalar(), torsion in 1usize..8) {
        let key = EdwardsPoint::mul_base(&secret) + EIGHT_TORSION[torsion];
        prop_assert!(!key_of(&key).is_valid());
        let signature = forge(&secret, &Scalar::ONE, &EdwardsPoint::mul_base(&Scalar::ONE), &key, b"message");
        prop_assert_eq!(
            Signature::Ed25519(signature).verify(&key_of(&key), b"message"),
            Err(SignatureError::BadKey)
        );
    }
}

#[test]
fn the_identity_as_nonce_is_refused_although_the_equation_holds() {
    let secret = Scalar::from(5u8);
    let key = EdwardsPoint::mul_base(&secret);
    let bytes = forge(
        &secret,
        &Scalar::ZERO,
        &EdwardsPoint::identity(),
        &key,
        b"message",
    );
    assert!(ring_verifies(&key_of(&key), b"message", &bytes));
    assert_eq!(
        Signature::Ed25519(bytes).verify(&key_of(&key), b"message"),
        Err(SignatureError::Invalid)
    );
}

#[test]
fn points_of_small_order_are_no_keys() {
    for point in EIGHT_TORSION {
        let key = key_of(&point);
        assert!(!key.is_valid(), "{key}");
        // With S = 0 and R = 0 such a key "signs" an eighth of all messages, or all.
        let bytes = forge(
            &Scalar::ZERO,
            &Scalar::ZERO,
            &EdwardsPoint::identity(),
            &point,
            b"",
        );
        assert_eq!(
            Signature::Ed25519(bytes).verify(&key, b""),
            Err(SignatureError::BadKey)
        );
    }
}

/// All that are not canonical and yet read by the library.
#[test]
fn a_key_has_one_encoding() {
    // 2^255 - 19 + k for k from 0 to 18, which the library reads as y = k; each with either sign of x.
    for k in 0..19 {
        for sign in [0, 0x80] {
            let mut bytes = [0xff; 32];
            bytes[0] = 0xed + k;
            bytes[31] = 0x7f | sign;
            assert!(!VerifyingKey::Ed25519(bytes).is_valid(), "y = p + {k}");
        }
    }
    // y = 1 and y = -1 have x = 0, which has no sign.
    let mut one = [0; 32];
    (one[0], one[31]) = (1, 0x80);
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    for bytes in [one, minus_one] {
        assert!(!VerifyingKey::Ed25519(bytes).is_valid());
    }
    assert!(key_of(&curve25519_dalek::constants::ED25519_BASEPOINT_POINT).is_valid());
}
