//! Derived and tweaked keys against `bitcoin`'s BIP-32 and Taproot, and the published vectors of BIP-341.

use core::str::FromStr;

use bitcoin::{
    NetworkKind, TapNodeHash, XOnlyPublicKey,
    bip32::{ChainCode, ChildNumber, Fingerprint, Xpriv, Xpub},
    hashes::Hash,
    key::{Secp256k1, TapTweak},
    secp256k1::SecretKey,
};
use codec::{Decode, Encode};
use entropy_shared::{
    DerivationError, DerivationPath, Derived, KeyId, Scheme, TaprootTweak, VerifyingKey,
    derivation::{PathError, derive},
};
use proptest::prelude::*;

use crate::support::{Root, hex32};

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
        let root = Root::new(1);
        let child = |id| derive(Scheme::EcdsaCggmp24, &root.key(), &KeyId(id), &DerivationPath::default()).unwrap();
        prop_assert_ne!(child(a).key, child(b).key);
        prop_assert_ne!(child(a).chain_code, child(b).chain_code);
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

#[test]
fn what_cannot_be_derived_says_why() {
    let (root, id, path) = (Root::new(1), KeyId([0; 32]), DerivationPath::default());
    for scheme in [Scheme::EcdsaP256, Scheme::SchnorrEd25519] {
        assert_eq!(
            derive(scheme, &root.key(), &id, &path),
            Err(DerivationError::UnsupportedScheme(scheme))
        );
    }
    for bad in [
        VerifyingKey::XOnly([1; 32]),
        VerifyingKey::Secp256k1([0; 33]),
        VerifyingKey::Secp256k1([5; 33]),
    ] {
        assert_eq!(
            derive(Scheme::EcdsaCggmp24, &bad, &id, &path),
            Err(DerivationError::BadRootKey)
        );
    }
    let derived = derive(Scheme::EcdsaCggmp24, &root.key(), &id, &path).unwrap();
    assert_eq!(
        derived.final_key(Scheme::EcdsaCggmp24, &TaprootTweak::KeyPath),
        Err(DerivationError::TweakWithoutTaproot)
    );
    assert_eq!(
        derived.final_key(Scheme::EcdsaCggmp24, &TaprootTweak::None),
        Ok(derived.key)
    );
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
