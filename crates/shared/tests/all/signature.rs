//! Verification against libsecp256k1, `p256` and `ring`, which sign and judge here.

use bitcoin::{
    key::Secp256k1,
    secp256k1::{Keypair, Message, SecretKey},
};
use codec::{Decode, Encode};
use entropy_shared::{Digest, Hasher, Signature, SignatureError, VerifyingKey};
use proptest::prelude::*;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

use crate::support::ecdsa_bytes;

pub(crate) mod ed25519;
mod vectors;

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

/// The order of P-256's group, big-endian.
const P256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Signs as the holders of a P-256 key do: low s, with the recovery id.
pub(crate) fn ecdsa_p256(secret: &p256::SecretKey, digest: &Digest) -> (VerifyingKey, [u8; 65]) {
    let signing = p256::ecdsa::SigningKey::from(secret);
    let (signature, id) = signing.sign_prehash_recoverable(&digest.0).unwrap();
    let (signature, id) = match signature.normalize_s() {
        Some(low) => (low, id.to_byte() ^ 1),
        None => (signature, id.to_byte()),
    };
    let key = signing.verifying_key().to_encoded_point(true);
    let key = VerifyingKey::P256(key.as_bytes().try_into().unwrap());
    (key, ecdsa_bytes(&signature.to_bytes().into(), id))
}

/// What `ring`, which hashes by itself, says of a signature of `message`.
pub(crate) fn ring_verifies_p256(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> bool {
    let key = p256::PublicKey::from_sec1_bytes(key.as_bytes()).unwrap();
    let uncompressed = p256::EncodedPoint::from(key);
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, uncompressed.as_bytes())
        .verify(message, signature)
        .is_ok()
}

/// The order minus `s`.
fn negate(order: &[u8; 32], s: &[u8]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = 0;
    for i in (0..32).rev() {
        let digit = i32::from(order[i]) - i32::from(s[i]) - borrow;
        borrow = i32::from(digit < 0);
        difference[i] = digit.rem_euclid(256) as u8;
    }
    difference
}

/// Whether `s` is in the upper half of the order, and below it.
fn is_high(order: &[u8; 32], s: &[u8]) -> bool {
    s < &order[..] && s > &negate(order, s)[..]
}

/// A good signature verifies, and of all its copies with another s or another id none does.
fn verifies_and_no_copy(
    signature: fn([u8; 65]) -> Signature,
    order: &[u8; 32],
    key: &VerifyingKey,
    bytes: [u8; 65],
    digest: &Digest,
) -> Result<(), TestCaseError> {
    let verify = |bytes| signature(bytes).verify(key, &digest.0);
    prop_assert_eq!(verify(bytes), Ok(()));
    let mut high = bytes;
    high[32..64].copy_from_slice(&negate(order, &bytes[32..64]));
    high[64] ^= 1;
    prop_assert_eq!(verify(high), Err(SignatureError::HighS));
    let with_id = |id| ecdsa_bytes(bytes[..64].try_into().unwrap(), id);
    for id in (0..=3).filter(|id| *id != bytes[64]) {
        prop_assert_eq!(verify(with_id(id)), Err(SignatureError::BadRecoveryId));
    }
    prop_assert_eq!(verify(with_id(4)), Err(SignatureError::Malformed));
    Ok(())
}

fn p256_secret() -> impl Strategy<Value = p256::SecretKey> {
    any::<[u8; 32]>().prop_filter_map("a secret key", |bytes| {
        p256::SecretKey::from_slice(&bytes).ok()
    })
}

fn secret() -> impl Strategy<Value = SecretKey> {
    any::<[u8; 32]>().prop_filter_map("a secret key", |bytes| SecretKey::from_slice(&bytes).ok())
}

proptest! {
    #[test]
    fn ecdsa_of_libsecp256k1_verifies_and_no_copy_of_it(secret in secret(), digest: [u8; 32]) {
        let digest = Digest(digest);
        let (key, bytes) = ecdsa(&secret, &digest);
        verifies_and_no_copy(Signature::EcdsaSecp256k1, &ORDER, &key, bytes, &digest)?;
    }

    #[test]
    fn ecdsa_of_p256_verifies_and_no_copy_of_it(secret in p256_secret(), message: Vec<u8>) {
        let digest = Hasher::Sha256.digest(&message).unwrap();
        let (key, bytes) = ecdsa_p256(&secret, &digest);
        verifies_and_no_copy(Signature::EcdsaP256, &P256_ORDER, &key, bytes, &digest)?;
        prop_assert!(ring_verifies_p256(&key, &message, &bytes[..64]));
    }

    #[test]
    fn bip340_of_libsecp256k1_verifies(secret in secret(), digest: [u8; 32], aux: [u8; 32]) {
        let (key, bytes) = bip340(&secret, &Digest(digest), &aux);
        prop_assert_eq!(Signature::Bip340(bytes).verify(&key, &digest), Ok(()));
    }

    #[test]
    fn a_changed_bit_is_seen(secret in secret(), digest: [u8; 32], bit in 0usize..512) {
        let digest = Digest(digest);
        let flip = |bytes: &mut [u8]| bytes[bit / 8] ^= 1 << (bit % 8);
        let (key, mut bytes) = ecdsa(&secret, &digest);
        flip(&mut bytes);
        prop_assert!(Signature::EcdsaSecp256k1(bytes).verify(&key, &digest.0).is_err());
        let (key, mut bytes) = ecdsa_p256(&p256::SecretKey::from_slice(&[7; 32]).unwrap(), &digest);
        flip(&mut bytes);
        prop_assert!(Signature::EcdsaP256(bytes).verify(&key, &digest.0).is_err());
        let (key, mut bytes) = bip340(&secret, &digest, &[0; 32]);
        flip(&mut bytes);
        prop_assert!(Signature::Bip340(bytes).verify(&key, &digest.0).is_err());
    }

    #[test]
    fn another_digest_or_key_is_seen(a in secret(), b in secret(), digest: [u8; 32], other: [u8; 32]) {
        prop_assume!(a != b && digest != other);
        let (digest, other) = (Digest(digest), Digest(other));
        let (key, bytes) = ecdsa(&a, &digest);
        let signature = Signature::EcdsaSecp256k1(bytes);
        prop_assert_eq!(signature.verify(&key, &other.0), Err(SignatureError::Invalid));
        prop_assert_eq!(signature.verify(&ecdsa(&b, &digest).0, &digest.0), Err(SignatureError::Invalid));
        let (key, bytes) = bip340(&a, &digest, &[0; 32]);
        let signature = Signature::Bip340(bytes);
        prop_assert_eq!(signature.verify(&key, &other.0), Err(SignatureError::Invalid));
    }

    #[test]
    fn bytes_of_strangers_never_panic(key: [u8; 32], parity: u8, a: [u8; 32], b: [u8; 32], id: u8) {
        let mut point = [parity; 33];
        point[1..].copy_from_slice(&key);
        let mut both = [0; 64];
        both[..32].copy_from_slice(&a);
        both[32..].copy_from_slice(&b);
        let recoverable = ecdsa_bytes(&both, id);
        for key in keys(point, key) {
            for signature in signatures(recoverable, both) {
                prop_assert!(signature.verify(&key, &a).is_err());
            }
            let _ = key.is_valid();
        }
    }
}

fn keys(point: [u8; 33], x: [u8; 32]) -> [VerifyingKey; 4] {
    [
        VerifyingKey::Secp256k1(point),
        VerifyingKey::XOnly(x),
        VerifyingKey::P256(point),
        VerifyingKey::Ed25519(x),
    ]
}

fn signatures(recoverable: [u8; 65], plain: [u8; 64]) -> [Signature; 4] {
    [
        Signature::EcdsaSecp256k1(recoverable),
        Signature::Bip340(plain),
        Signature::EcdsaP256(recoverable),
        Signature::Ed25519(plain),
    ]
}

/// A good key and signature of each kind.
fn good(digest: &Digest) -> [(VerifyingKey, Signature); 4] {
    let secret = SecretKey::from_slice(&[1; 32]).unwrap();
    let (point, secp256k1) = ecdsa(&secret, digest);
    let (x, schnorr) = bip340(&secret, digest, &[0; 32]);
    let (p256, ecdsa) = ecdsa_p256(&p256::SecretKey::from_slice(&[1; 32]).unwrap(), digest);
    let (edwards, ed25519) = ed25519::sign(&curve25519_dalek::Scalar::from(9u8), &digest.0);
    [
        (point, Signature::EcdsaSecp256k1(secp256k1)),
        (x, Signature::Bip340(schnorr)),
        (p256, Signature::EcdsaP256(ecdsa)),
        (edwards, Signature::Ed25519(ed25519)),
    ]
}

#[test]
fn kinds_do_not_mix() {
    let digest = Digest([2; 32]);
    let good = good(&digest);
    for (i, (key, _)) in good.iter().enumerate() {
        for (j, (_, signature)) in good.iter().enumerate() {
            let expected = if i == j {
                Ok(())
            } else {
                Err(SignatureError::WrongKind)
            };
            assert_eq!(signature.verify(key, &digest.0), expected);
        }
    }
    // The bytes of one kind as another.
    let [(point, ecdsa), _, (p256, other), _] = good;
    let [
        Signature::EcdsaSecp256k1(ecdsa),
        Signature::EcdsaP256(other),
    ] = [ecdsa, other]
    else {
        unreachable!("made above")
    };
    assert!(
        Signature::EcdsaP256(ecdsa)
            .verify(&p256, &digest.0)
            .is_err()
    );
    assert!(
        Signature::EcdsaSecp256k1(other)
            .verify(&point, &digest.0)
            .is_err()
    );
}

#[test]
fn only_ed25519_takes_what_is_no_digest() {
    let digest = Digest([2; 32]);
    for (key, signature) in good(&digest) {
        for length in [0, 31, 33, 64] {
            let expected = match signature {
                Signature::Ed25519(_) => SignatureError::Invalid,
                _ => SignatureError::NotADigest(length),
            };
            assert_eq!(signature.verify(&key, &vec![2; length]), Err(expected));
        }
    }
}

#[test]
fn encodings_are_stable() {
    let of_key = |key: VerifyingKey| key.encode()[0];
    let of_signature = |signature: Signature| signature.encode()[0];
    assert_eq!(keys([2; 33], [3; 32]).map(of_key), [0, 1, 2, 3]);
    assert_eq!(signatures([2; 65], [3; 64]).map(of_signature), [0, 1, 2, 3]);
    assert_eq!(
        keys([2; 33], [3; 32]).map(|key| key.encode().len()),
        [34, 33, 34, 33]
    );
    assert_eq!(
        signatures([2; 65], [3; 64]).map(|one| one.encode().len()),
        [66, 65, 66, 65]
    );
    assert!(VerifyingKey::decode(&mut &[4; 40][..]).is_err());
    assert!(Signature::decode(&mut &[4; 70][..]).is_err());
}

#[test]
fn numbers_out_of_range_and_points_off_the_curve_are_told() {
    let digest = Digest([2; 32]);
    let secret = SecretKey::from_slice(&[1; 32]).unwrap();
    let (point, _) = ecdsa(&secret, &digest);
    let (p256, _) = ecdsa_p256(&p256::SecretKey::from_slice(&[1; 32]).unwrap(), &digest);
    let (x, _) = bip340(&secret, &digest, &[0; 32]);
    for bytes in [[0; 65], [0xff; 65]] {
        assert_eq!(
            Signature::EcdsaSecp256k1(bytes).verify(&point, &digest.0),
            Err(SignatureError::Malformed)
        );
        assert_eq!(
            Signature::EcdsaP256(bytes).verify(&p256, &digest.0),
            Err(SignatureError::Malformed)
        );
    }
    assert!(Signature::Bip340([0xff; 64]).verify(&x, &digest.0).is_err());
    for (key, signature) in keys([0; 33], [0xff; 32])
        .into_iter()
        .zip(signatures([1; 65], [1; 64]))
    {
        assert!(!key.is_valid());
        assert_eq!(
            signature.verify(&key, &digest.0),
            Err(SignatureError::BadKey)
        );
    }
    assert!(point.is_valid() && x.is_valid() && p256.is_valid());
    // SEC1's compact form would be a second encoding of the same point.
    for (key, signature) in [
        (point, Signature::EcdsaSecp256k1([1; 65])),
        (p256, Signature::EcdsaP256([1; 65])),
    ] {
        let compact = match key {
            VerifyingKey::Secp256k1(mut bytes) => {
                bytes[0] = 5;
                VerifyingKey::Secp256k1(bytes)
            }
            VerifyingKey::P256(mut bytes) => {
                bytes[0] = 5;
                VerifyingKey::P256(bytes)
            }
            _ => unreachable!("made above"),
        };
        assert!(!compact.is_valid());
        assert_eq!(
            signature.verify(&compact, &digest.0),
            Err(SignatureError::BadKey)
        );
    }
}
