//! Derived and tweaked keys against `bitcoin`'s BIP-32 and Taproot, the published vectors of BIP-341, plain arithmetic with
//! the root's secret, and golden values.

use core::str::FromStr;

use bitcoin::{
    NetworkKind, TapNodeHash, XOnlyPublicKey,
    bip32::{ChainCode, ChildNumber, Fingerprint, Xpriv, Xpub},
    hashes::Hash,
    key::{Secp256k1, TapTweak},
    secp256k1::SecretKey,
};
use codec::{Decode, Encode};
use curve25519_dalek::EdwardsPoint;
use entropy_shared::{
    DerivationError, DerivationPath, Derived, Hasher, KeyId, Scheme, Signature, TaprootTweak,
    VerifyingKey,
    derivation::{PathError, derive},
};
use p256::elliptic_curve::PrimeField;
use proptest::prelude::*;

use crate::{
    signature::{
        ecdsa_p256,
        ed25519::{self, ring_verifies},
        ring_verifies_p256,
    },
    support::{Root, hex32, hex33},
};

fn path() -> impl Strategy<Value = DerivationPath> {
    proptest::collection::vec(0u32..1 << 31, 0..=5)
        .prop_map(|steps| DerivationPath::new(steps).unwrap())
}

fn bytes(key: &VerifyingKey) -> [u8; 33] {
    let VerifyingKey::Secp256k1(bytes) = key else {
        panic!("a full point")
    };
    *bytes
}

fn p256_key(secret: &p256::SecretKey) -> VerifyingKey {
    let point = p256::EncodedPoint::from(secret.public_key()).compress();
    VerifyingKey::P256(point.as_bytes().try_into().unwrap())
}

fn ed25519_key(secret: &curve25519_dalek::Scalar) -> VerifyingKey {
    VerifyingKey::Ed25519(EdwardsPoint::mul_base(secret).compress().to_bytes())
}

/// A root key of each scheme.
fn roots() -> [(Scheme, VerifyingKey); 5] {
    let p256 = p256_key(&p256::SecretKey::from_slice(&[7; 32]).unwrap());
    let edwards = ed25519_key(&curve25519_dalek::Scalar::from_bytes_mod_order([9; 32]));
    Scheme::ALL.map(|scheme| match scheme {
        Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot => {
            (scheme, Root::new(1).key())
        }
        Scheme::EcdsaP256 => (scheme, p256),
        Scheme::SchnorrEd25519 => (scheme, edwards),
    })
}

fn xpub(derived: &Derived) -> Xpub {
    Xpub {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key: bitcoin::secp256k1::PublicKey::from_slice(&bytes(&derived.key)).unwrap(),
        chain_code: ChainCode::from(derived.chain_code),
    }
}

proptest! {
    #[test]
    fn a_path_is_what_bip32_derives(seed in 1u8..255, id: [u8; 32], path in path()) {
        let (secp, root, id) = (Secp256k1::new(), Root::new(seed), KeyId(id));
        let base = derive(Scheme::EcdsaCggmp24, &root.key(), &id, &DerivationPath::default()).unwrap();
        let steps: Vec<_> = path.steps().iter().map(|index| ChildNumber::Normal { index: *index }).collect();
        let expected = xpub(&base).derive_pub(&secp, &steps).unwrap();
        let derived = derive(Scheme::EcdsaCggmp24, &root.key(), &id, &path).unwrap();
        prop_assert_eq!(bytes(&derived.key), expected.public_key.serialize());
        prop_assert_eq!(&derived.chain_code, expected.chain_code.as_bytes());
    }

    #[test]
    fn the_offset_leads_from_the_roots_secret_to_the_childs(seed in 1u8..255, id: [u8; 32], path in path()) {
        let (secp, root) = (Secp256k1::new(), Root::new(seed));
        let derived = derive(Scheme::EcdsaCggmp24, &root.key(), &KeyId(id), &path).unwrap();
        let offset = bitcoin::secp256k1::Scalar::from_be_bytes(derived.offset).unwrap();
        let secret = SecretKey::from_slice(&[seed; 32]).unwrap().add_tweak(&offset).unwrap();
        prop_assert_eq!(bytes(&derived.key), secret.public_key(&secp).serialize());
        // A child's private key on BIP-32's other road, from the secret, is the same.
        let base = derive(Scheme::EcdsaCggmp24, &root.key(), &KeyId(id), &DerivationPath::default()).unwrap();
        let offset = bitcoin::secp256k1::Scalar::from_be_bytes(base.offset).unwrap();
        let parent = Xpriv {
            network: NetworkKind::Main,
            depth: 0,
            parent_fingerprint: Fingerprint::default(),
            child_number: ChildNumber::Normal { index: 0 },
            private_key: SecretKey::from_slice(&[seed; 32]).unwrap().add_tweak(&offset).unwrap(),
            chain_code: ChainCode::from(base.chain_code),
        };
        let steps: Vec<_> = path.steps().iter().map(|index| ChildNumber::Normal { index: *index }).collect();
        prop_assert_eq!(parent.derive_priv(&secp, &steps).unwrap().private_key, secret);
    }

    /// And what holders of the child sign verifies under it, also for a judge that shares no code with ours.
    #[test]
    fn the_offset_leads_to_the_childs_secret_on_p256(seed in 1u8..255, id: [u8; 32], path in path(), message: Vec<u8>) {
        let root = p256::SecretKey::from_slice(&[seed; 32]).unwrap();
        let derived = derive(Scheme::EcdsaP256, &p256_key(&root), &KeyId(id), &path).unwrap();
        let offset = p256::Scalar::from_repr(derived.offset.into()).unwrap();
        let secret = *root.to_nonzero_scalar() + offset;
        let secret = p256::SecretKey::from_bytes(&secret.to_repr()).unwrap();
        prop_assert_eq!(derived.key, p256_key(&secret));
        let digest = Hasher::Sha256.digest(&message).unwrap();
        let (key, bytes) = ecdsa_p256(&secret, &digest);
        let final_key = derived.final_key(Scheme::EcdsaP256, &TaprootTweak::None).unwrap();
        prop_assert_eq!(key, final_key);
        prop_assert_eq!(Signature::EcdsaP256(bytes).verify(&final_key, &digest.0), Ok(()));
        prop_assert!(ring_verifies_p256(&final_key, &message, &bytes[..64]));
    }

    #[test]
    fn the_offset_leads_to_the_childs_secret_on_ed25519(seed in 1u8..255, id: [u8; 32], path in path(), message: Vec<u8>) {
        let root = curve25519_dalek::Scalar::from_bytes_mod_order([seed; 32]);
        let derived = derive(Scheme::SchnorrEd25519, &ed25519_key(&root), &KeyId(id), &path).unwrap();
        let offset = curve25519_dalek::Scalar::from_canonical_bytes(derived.offset).unwrap();
        let secret = root + offset;
        prop_assert_eq!(derived.key, ed25519_key(&secret));
        prop_assert!(derived.key.is_valid());
        let (key, bytes) = ed25519::sign(&secret, &message);
        let final_key = derived.final_key(Scheme::SchnorrEd25519, &TaprootTweak::None).unwrap();
        prop_assert_eq!(key, final_key);
        prop_assert_eq!(Signature::Ed25519(bytes).verify(&final_key, &message), Ok(()));
        prop_assert!(ring_verifies(&final_key, &message, &bytes));
    }

    #[test]
    fn taproot_tweaks_are_those_of_bip341(seed in 1u8..255, id: [u8; 32], path in path(), merkle: [u8; 32]) {
        let (secp, root) = (Secp256k1::new(), Root::new(seed));
        let derived = derive(Scheme::SchnorrTaproot, &root.key(), &KeyId(id), &path).unwrap();
        let internal = XOnlyPublicKey::from_slice(&bytes(&derived.key)[1..]).unwrap();
        let key = |tweak| derived.final_key(Scheme::SchnorrTaproot, &tweak).unwrap();
        prop_assert_eq!(key(TaprootTweak::None), VerifyingKey::XOnly(internal.serialize()));
        let expected = |root| {
            let (output, _) = internal.tap_tweak(&secp, root);
            VerifyingKey::XOnly(output.serialize())
        };
        prop_assert_eq!(key(TaprootTweak::KeyPath), expected(None));
        let node = TapNodeHash::from_byte_array(merkle);
        prop_assert_eq!(key(TaprootTweak::MerkleRoot(merkle)), expected(Some(node)));
    }

    #[test]
    fn different_keys_have_different_children(a: [u8; 32], b: [u8; 32]) {
        prop_assume!(a != b);
        for (scheme, root) in roots() {
            let child = |id| derive(scheme, &root, &KeyId(id), &DerivationPath::default()).unwrap();
            prop_assert_ne!(child(a).key, child(b).key);
            prop_assert_ne!(child(a).chain_code, child(b).chain_code);
        }
    }

    #[test]
    fn a_path_survives_text_and_bytes(path in path()) {
        prop_assert_eq!(path.to_string().parse::<DerivationPath>(), Ok(path.clone()));
        prop_assert_eq!(DerivationPath::decode(&mut &path.encode()[..]).unwrap(), path);
    }

    #[test]
    fn bytes_of_strangers_are_no_path_or_a_good_one(bytes: Vec<u8>) {
        if let Ok(path) = DerivationPath::decode(&mut &bytes[..]) {
            prop_assert!(path.steps().len() <= 5 && path.steps().iter().all(|step| *step < 1 << 31));
        }
    }
}

#[test]
fn taproot_tweaks_are_those_of_the_published_vectors() {
    // BIP-341, wallet test vectors: internal key, Merkle root, output key.
    let vectors = [
        (
            "d6889cb081036e0faefa3a35157ad71086b123b2b144b649798b494c300a961d",
            None,
            "53a1f6e454df1aa2776a2814a721372d6258050de330b3c6d10ee8f4e0dda343",
        ),
        (
            "187791b6f712a8ea41c8ecdd0ee77fab3e85263b37e1ec18a3651926b3a6cf27",
            Some("5b75adecf53548f3ec6ad7d78383bf84cc57b55a3127c72b9a2481752dd88b21"),
            "147c9c57132f6e7ecddba9800bb0c4449251c92a1e60371ee77557b6620f3ea3",
        ),
        (
            "93478e9488f956df2396be2ce6c5cced75f900dfa18e7dabd2428aae78451820",
            Some("c525714a7f49c28aedbbba78c005931a81c234b2f6c99a73e4d06082adc8bf2b"),
            "e4d810fd50586274face62b8a807eb9719cef49c04177cc6b76a9a4251d5450e",
        ),
    ];
    for (internal, merkle, output) in vectors {
        let tweak = merkle.map_or(TaprootTweak::KeyPath, |root| {
            TaprootTweak::MerkleRoot(hex32(root))
        });
        // The parity of the internal key's point does not matter.
        for parity in [2, 3] {
            let mut key = [parity; 33];
            key[1..].copy_from_slice(&hex32(internal));
            let derived = Derived {
                key: VerifyingKey::Secp256k1(key),
                offset: [0; 32],
                chain_code: [0; 32],
            };
            let final_key = derived.final_key(Scheme::SchnorrTaproot, &tweak).unwrap();
            assert_eq!(final_key, VerifyingKey::XOnly(hex32(output)));
        }
    }
}

/// Computed by a separate program from the docstring of `derive`.
#[test]
fn children_on_p256_are_these() {
    let (_, root) = roots()[2];
    for (path, key, offset, chain_code) in [
        (
            "m",
            "02d568f49a61916a36b2d00fbe3d2ff034887fa67abc3b9f48c76210875154f064",
            "4271ce30e66e6bdf7f4f193ab91edf4827d9c8dd0129b7ea7a51b390fc5d44fa",
            "7a9812012fbb24461d9fbff2cb3d0c776477dde5d4db9a69179b7ad2e28111fb",
        ),
        (
            "m/0/5",
            "02b3d17faa273dc70818f01b0e6c9172e8efbf48dbd02095e829c89edf64020551",
            "87b64d0d442a8d96d26f039754ba632fba822968aa419ff4b84b5d0f56137437",
            "e9c71e0b6bce45fc73cfa4707c618f2979abd69820abe130d8f7ee20a8dcf7c1",
        ),
        (
            "m/2147483647/1/2/3/4",
            "03e7725b859fd9bdd738827bb67017a356643d4bbab0290e232a16abcbd94943d6",
            "c2f511264b42686864574eb02159181028ae123cf7266da5828060440792ca12",
            "8b38cd026eb35bfef82e730e95f4898ec57a714ede189f21586536f34394e9cc",
        ),
    ] {
        let derived = derive(
            Scheme::EcdsaP256,
            &root,
            &KeyId([0x22; 32]),
            &path.parse().unwrap(),
        )
        .unwrap();
        let expected = Derived {
            key: VerifyingKey::P256(hex33(key)),
            offset: hex32(offset),
            chain_code: hex32(chain_code),
        };
        assert_eq!(derived, expected, "{path}");
    }
}

/// Computed by a separate program from the docstring of `derive`.
#[test]
fn children_on_ed25519_are_these() {
    let (_, root) = roots()[4];
    for (path, key, offset, chain_code) in [
        (
            "m",
            "5130f1a9b4b3f7e1295ed069fa1d8176d699a44286ea7006e7d03317aabbb9f7",
            "5d34449319eaec23e8791050c273aa40804da6414fe0fee31626b14b22722a0c",
            "8fccd79572a356bfc159f28eb54b08e5cf13b95aaea66c202383caca039138c5",
        ),
        (
            "m/0/5",
            "4eccea42d50ad34c01212d1aa483532c22eea3d40300ff54d4d506d929062e82",
            "21215c1f49fad63043bc1895df043804613074b39089be0610e1c00878831808",
            "cf0d40cf60a90c7ecf6cc4f56ae2e10b59378d4366260fc60b7d26c9e12ff2d9",
        ),
        (
            "m/2147483647/1/2/3/4",
            "3d12a028f8efc253ef11ae19407482e653d1738d5526a6b48a99e259069c2cc7",
            "68d4b7fd558313aee02fc3ba7aa4fd251ec6e9af289e34cff23615c85255c30e",
            "b708945553c7f80ab6dbadc6509855a3dbb6d41207e2fee1cb9b81a334321c12",
        ),
    ] {
        let path = path.parse().unwrap();
        let derived = derive(Scheme::SchnorrEd25519, &root, &KeyId([0x22; 32]), &path).unwrap();
        let expected = Derived {
            key: VerifyingKey::Ed25519(hex32(key)),
            offset: hex32(offset),
            chain_code: hex32(chain_code),
        };
        assert_eq!(derived, expected, "{path}");
    }
}

#[test]
fn schemes_of_one_curve_derive_alike() {
    let (id, path) = (KeyId([3; 32]), "m/1/2".parse().unwrap());
    let [cggmp, dkls, _, taproot, _] =
        roots().map(|(scheme, root)| derive(scheme, &root, &id, &path).unwrap());
    assert_eq!(cggmp, dkls);
    assert_eq!(cggmp, taproot);
    assert_eq!(
        dkls.final_key(Scheme::EcdsaDkls23, &TaprootTweak::None),
        Ok(dkls.key)
    );
}

#[test]
fn what_cannot_be_derived_says_why() {
    let (id, path) = (KeyId([0; 32]), DerivationPath::default());
    let mut torsion = EdwardsPoint::mul_base(&curve25519_dalek::Scalar::ONE);
    torsion += curve25519_dalek::constants::EIGHT_TORSION[1];
    for (scheme, root) in roots() {
        let derived = derive(scheme, &root, &id, &path).unwrap();
        for bad in [
            VerifyingKey::XOnly([1; 32]),
            VerifyingKey::Secp256k1([0; 33]),
            VerifyingKey::Secp256k1([5; 33]),
            VerifyingKey::P256([0; 33]),
            VerifyingKey::P256([5; 33]),
            VerifyingKey::Ed25519([0; 32]),
            VerifyingKey::Ed25519(torsion.compress().to_bytes()),
        ] {
            let refused = derive(scheme, &bad, &id, &path);
            assert_eq!(
                refused,
                Err(DerivationError::BadRootKey),
                "{scheme} {bad:?}"
            );
        }
        // Another scheme's root and derived keys.
        for (other, root) in roots() {
            let same = core::mem::discriminant(&root) == core::mem::discriminant(&derived.key);
            let refused = Err(DerivationError::BadRootKey);
            if !same {
                assert_eq!(derive(scheme, &root, &id, &path), refused);
                assert_eq!(
                    derived.final_key(other, &TaprootTweak::None),
                    refused.map(|_: Derived| root)
                );
            }
        }
        if scheme == Scheme::SchnorrTaproot {
            continue;
        }
        for tweak in [TaprootTweak::KeyPath, TaprootTweak::MerkleRoot([1; 32])] {
            assert_eq!(
                derived.final_key(scheme, &tweak),
                Err(DerivationError::TweakWithoutTaproot)
            );
        }
        assert_eq!(
            derived.final_key(scheme, &TaprootTweak::None),
            Ok(derived.key)
        );
    }
}

#[test]
fn a_path_has_at_most_five_steps_without_hardening() {
    assert_eq!(DerivationPath::new(vec![0; 6]), Err(PathError::TooDeep(6)));
    assert_eq!(DerivationPath::new(vec![1 << 31]), Err(PathError::Hardened));
    for (text, error) in [
        ("m/0'", PathError::Hardened),
        ("m/0h", PathError::Hardened),
        ("m/2147483648", PathError::Hardened),
        ("m/0/0/0/0/0/0", PathError::TooDeep(6)),
        ("0/1", PathError::Syntax),
        ("", PathError::Syntax),
        ("m/", PathError::Syntax),
        ("m/-1", PathError::Syntax),
        ("m/4294967296", PathError::Syntax),
    ] {
        assert_eq!(DerivationPath::from_str(text), Err(error), "{text}");
    }
    assert!(DerivationPath::decode(&mut &vec![0u32; 6].encode()[..]).is_err());
    assert!(DerivationPath::decode(&mut &vec![1u32 << 31].encode()[..]).is_err());
}
