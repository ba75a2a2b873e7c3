//! Verification against libsecp256k1, which signs here.

use bitcoin::{
    key::Secp256k1,
    secp256k1::{Keypair, Message, SecretKey},
};
use entropy_shared::{Digest, Signature, SignatureError, VerifyingKey};
use proptest::prelude::*;

use crate::support::ecdsa_bytes;

/// The order of secp256k1's group, big-endian.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe,
    0xba, 0xae, 0xdc, 0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

fn ecdsa(secret: &SecretKey, digest: &Digest) -> (VerifyingKey, [u8; 65]) {
    let secp = Secp256k1::new();
    let (recovery, bytes) = secp
        .sign_ecdsa_recoverable(&Message::from_digest(digest.0), secret)
        .serialize_compact();
    let key = VerifyingKey::Secp256k1(secret.public_key(&secp).serialize());
    (key, ecdsa_bytes(&bytes, recovery.to_i32() as u8))
}

fn bip340(secret: &SecretKey, digest: &Digest, aux: &[u8; 32]) -> (VerifyingKey, [u8; 64]) {
    let secp = Secp256k1::new();
    let keypair = Keypair::from_secret_key(&secp, secret);
    let signature = secp.sign_schnorr_with_aux_rand(&Message::from_digest(digest.0), &keypair, aux);
    (
        VerifyingKey::XOnly(keypair.x_only_public_key().0.serialize()),
        signature.serialize(),
    )
}

/// The order minus `s`.
fn negate(s: &[u8]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = 0;
    for i in (0..32).rev() {
        let digit = i32::from(ORDER[i]) - i32::from(s[i]) - borrow;
        borrow = i32::from(digit < 0);
        difference[i] = digit.rem_euclid(256) as u8;
    }
    difference
}

fn secret() -> impl Strategy<Value = SecretKey> {
    any::<[u8; 32]>().prop_filter_map("a secret key", |bytes| SecretKey::from_slice(&bytes).ok())
}

proptest! {
    #[test]
    fn ecdsa_of_libsecp256k1_verifies_and_no_copy_of_it(secret in secret(), digest: [u8; 32]) {
        let digest = Digest(digest);
        let (key, bytes) = ecdsa(&secret, &digest);
        prop_assert_eq!(Signature::EcdsaSecp256k1(bytes).verify(&key, &digest), Ok(()));

        let mut high = bytes;
        high[32..64].copy_from_slice(&negate(&bytes[32..64]));
        high[64] ^= 1;
        prop_assert_eq!(Signature::EcdsaSecp256k1(high).verify(&key, &digest), Err(SignatureError::HighS));
        for id in (0..=3).filter(|id| *id != bytes[64]) {
            let other = Signature::EcdsaSecp256k1(ecdsa_bytes(bytes[..64].try_into().unwrap(), id));
            prop_assert_eq!(other.verify(&key, &digest), Err(SignatureError::BadRecoveryId));
        }
        let beyond = Signature::EcdsaSecp256k1(ecdsa_bytes(bytes[..64].try_into().unwrap(), 4));
        prop_assert_eq!(beyond.verify(&key, &digest), Err(SignatureError::Malformed));
    }

    #[test]
    fn bip340_of_libsecp256k1_verifies(secret in secret(), digest: [u8; 32], aux: [u8; 32]) {
        let (key, bytes) = bip340(&secret, &Digest(digest), &aux);
        prop_assert_eq!(Signature::Bip340(bytes).verify(&key, &Digest(digest)), Ok(()));
    }

    #[test]
    fn a_changed_bit_is_seen(secret in secret(), digest: [u8; 32], bit in 0usize..512) {
        let digest = Digest(digest);
        let flip = |bytes: &mut [u8]| bytes[bit / 8] ^= 1 << (bit % 8);
        let (key, mut bytes) = ecdsa(&secret, &digest);
        flip(&mut bytes);
        prop_assert!(Signature::EcdsaSecp256k1(bytes).verify(&key, &digest).is_err());
        let (key, mut bytes) = bip340(&secret, &digest, &[0; 32]);
        flip(&mut bytes);
        prop_assert!(Signature::Bip340(bytes).verify(&key, &digest).is_err());
    }

    #[test]
    fn another_digest_or_key_is_seen(a in secret(), b in secret(), digest: [u8; 32], other: [u8; 32]) {
        prop_assume!(a != b && digest != other);
        let (digest, other) = (Digest(digest), Digest(other));
        let (key, bytes) = ecdsa(&a, &digest);
        let signature = Signature::EcdsaSecp256k1(bytes);
        prop_assert_eq!(signature.verify(&key, &other), Err(SignatureError::Invalid));
        prop_assert_eq!(signature.verify(&ecdsa(&b, &digest).0, &digest), Err(SignatureError::Invalid));
        let (key, bytes) = bip340(&a, &digest, &[0; 32]);
        let signature = Signature::Bip340(bytes);
        prop_assert_eq!(signature.verify(&key, &other), Err(SignatureError::Invalid));
    }

    #[test]
    fn bytes_of_strangers_never_panic(key: [u8; 32], parity: u8, a: [u8; 32], b: [u8; 32], id: u8) {
        let mut point = [parity; 33];
        point[1..].copy_from_slice(&key);
        let mut both = [0; 64];
        both[..32].copy_from_slice(&a);
        both[32..].copy_from_slice(&b);
        for key in [VerifyingKey::Secp256k1(point), VerifyingKey::XOnly(key)] {
            prop_assert!(Signature::Bip340(both).verify(&key, &Digest(a)).is_err());
            prop_assert!(Signature::EcdsaSecp256k1(ecdsa_bytes(&both, id)).verify(&key, &Digest(a)).is_err());
            let _ = key.is_valid();
        }
    }
}

#[test]
fn kinds_do_not_mix() {
    let secret = SecretKey::from_slice(&[1; 32]).unwrap();
    let digest = Digest([2; 32]);
    let (point, ecdsa) = ecdsa(&secret, &digest);
    let (x, bip340) = bip340(&secret, &digest, &[0; 32]);
    assert_eq!(
        Signature::EcdsaSecp256k1(ecdsa).verify(&x, &digest),
        Err(SignatureError::WrongKind)
    );
    assert_eq!(
        Signature::Bip340(bip340).verify(&point, &digest),
        Err(SignatureError::WrongKind)
    );
}

#[test]
fn numbers_out_of_range_and_points_off_the_curve_are_told() {
    let digest = Digest([2; 32]);
    let secret = SecretKey::from_slice(&[1; 32]).unwrap();
    let (point, _) = ecdsa(&secret, &digest);
    let (x, _) = bip340(&secret, &digest, &[0; 32]);
    for bytes in [[0; 65], [0xff; 65]] {
        assert_eq!(
            Signature::EcdsaSecp256k1(bytes).verify(&point, &digest),
            Err(SignatureError::Malformed)
        );
    }
    assert!(Signature::Bip340([0xff; 64]).verify(&x, &digest).is_err());
    let off = [
        VerifyingKey::Secp256k1([0; 33]),
        VerifyingKey::XOnly([0xff; 32]),
    ];
    assert!(off.iter().all(|key| !key.is_valid()));
    assert_eq!(
        Signature::EcdsaSecp256k1([1; 65]).verify(&off[0], &digest),
        Err(SignatureError::BadKey)
    );
    assert_eq!(
        Signature::Bip340([1; 64]).verify(&off[1], &digest),
        Err(SignatureError::BadKey)
    );
    assert!(point.is_valid() && x.is_valid());
    // SEC1's compact form would be a second encoding of the same point.
    let VerifyingKey::Secp256k1(mut compact) = point else {
        unreachable!("made above")
    };
    compact[0] = 5;
    let compact = VerifyingKey::Secp256k1(compact);
    assert!(!compact.is_valid());
    assert_eq!(
        Signature::EcdsaSecp256k1([1; 65]).verify(&compact, &digest),
        Err(SignatureError::BadKey)
    );
}
