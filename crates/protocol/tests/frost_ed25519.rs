//! Scheme `SchnorrEd25519`, by the same code as Taproot's: what differs, judged by `ed25519-dalek`.

mod common;

use std::collections::BTreeMap;

use codec::Encode;
use common::{Network, account, keygen_context, keygens, sets_of, shares, signing_context, signs};
use curve25519_dalek::{EdwardsPoint, constants::EIGHT_TORSION, edwards::CompressedEdwardsY};
use entropy_protocol::{DecodeError, KeyShare, Offence, SetupError, SigningContext, sign};
use entropy_shared::{
    DerivationPath, Digest, Hasher, PartyId, Scheme, TaprootTweak, VerifyingKey, request_digest,
    signed_bytes,
};
use proptest::prelude::*;

const SCHEME: Scheme = Scheme::SchnorrEd25519;

type Shares = BTreeMap<PartyId, KeyShare>;

fn first(shares: &Shares) -> &KeyShare {
    shares.values().next().unwrap()
}

/// A request for this message with this hasher, as chain and servers would make it.
fn request(
    shares: &Shares,
    signers: &[PartyId],
    path: &str,
    hasher: Hasher,
    message: &[u8],
) -> SigningContext {
    let path: DerivationPath = path.parse().unwrap();
    let digest = request_digest(SCHEME, hasher, message).unwrap();
    let context = signing_context(first(shares), signers, path, TaprootTweak::None, digest.0);
    SigningContext {
        message: (hasher == Hasher::Identity).then(|| message.to_vec()),
        ..context
    }
}

fn sign_and_judge(shares: &Shares, context: &SigningContext, signed: &[u8], network: Network) {
    assert_eq!(context.signed_bytes(), signed);
    let signatures = network.run(signs(context, shares)).outputs();
    assert_eq!(signatures.len(), context.signers.len());
    let VerifyingKey::Ed25519(key) = context.final_key else {
        panic!("{:?}", context.final_key)
    };
    let key = ed25519_dalek::VerifyingKey::from_bytes(&key).unwrap();
    for signature in signatures.values() {
        let signature = ed25519_dalek::Signature::from_slice(signature.as_bytes()).unwrap();
        key.verify_strict(signed, &signature).unwrap();
    }
}

#[test]
fn any_threshold_signs_messages_of_any_length() {
    for (t, n) in [(2, 2), (2, 3), (3, 4), (11, 15)] {
        let shares = shares(SCHEME, t, n, 1);
        let parties: Vec<_> = shares.keys().copied().collect();
        let public = first(&shares).public();
        assert!(shares.values().all(|share| share.public() == public));
        assert!(matches!(public.root_key, VerifyingKey::Ed25519(_)) && public.root_key.is_valid());
        let sets = sets_of(usize::from(t), &parties).into_iter();
        let lengths = [0, 1, 31, 32, 33, 8192].into_iter().cycle();
        for (signers, length) in sets.zip(lengths).take(8) {
            for path in ["m", "m/0/2147483647/5"] {
                let message = vec![length as u8; length];
                let context = request(&shares, &signers, path, Hasher::Identity, &message);
                sign_and_judge(&shares, &context, &message, Network::orderly(2));
            }
        }
    }
}

#[test]
fn a_hashers_digest_is_signed_as_a_message() {
    let shares = shares(SCHEME, 2, 3, 1);
    let parties: Vec<_> = shares.keys().copied().collect();
    for hasher in Hasher::ALL {
        let message = [9; 32];
        let context = request(&shares, &parties[1..], "m/1", hasher, &message);
        let signed = signed_bytes(SCHEME, hasher, &message).unwrap();
        sign_and_judge(&shares, &context, &signed, Network::chaotic(2));
    }
}

/// A digest must be the one of the message, and only Ed25519 signs messages.
#[test]
fn a_message_that_the_digest_does_not_stand_for_is_refused() {
    let held = shares(SCHEME, 2, 2, 1);
    let parties: Vec<_> = held.keys().copied().collect();
    let good = request(&held, &parties, "m", Hasher::Identity, b"pay 1");
    let refusal = |context: &SigningContext, shares: &Shares| {
        sign(context, &shares[&parties[0]], account(&parties[0])).err()
    };
    assert_eq!(refusal(&good, &held), None);
    let mut other = good.clone();
    other.message = Some(b"pay 2".to_vec());
    assert_eq!(refusal(&other, &held), Some(SetupError::Message));
    let hashed = Hasher::Sha256.digest(b"pay 1").unwrap();
    let mut wrong_tag = good.clone();
    wrong_tag.digest = hashed;
    assert_eq!(refusal(&wrong_tag, &held), Some(SetupError::Message));
    let mut long = good.clone();
    long.message = Some(vec![0; 8193]);
    assert_eq!(refusal(&long, &held), Some(SetupError::Message));
    // The two ways to sign never share an id, whatever the digest.
    let mut digest_only = good.clone();
    digest_only.message = None;
    assert_ne!(digest_only.id(), good.id());
    let taproot = shares(Scheme::SchnorrTaproot, 2, 2, 1);
    let mut context = signing_context(
        first(&taproot),
        &parties,
        DerivationPath::default(),
        TaprootTweak::None,
        [5; 32],
    );
    assert_eq!(refusal(&context, &taproot), None);
    context.message = Some(vec![5; 32]);
    assert_eq!(refusal(&context, &taproot), Some(SetupError::Message));
    let mut tweaked = good;
    tweaked.tweak = TaprootTweak::KeyPath;
    assert!(matches!(
        refusal(&tweaked, &held),
        Some(SetupError::Derivation(_))
    ));
}

#[test]
fn a_wrong_signature_share_blames_its_signer() {
    let shares = shares(SCHEME, 2, 3, 1);
    let parties: Vec<_> = shares.keys().copied().collect();
    let context = request(&shares, &parties[..2], "m", Hasher::Identity, b"hello");
    let culprit = parties[1];
    let run = Network::orderly(1)
        .cheat(culprit, 3, |packet| packet.edited(|body| body[0] ^= 1))
        .run(signs(&context, &shares));
    run.assert_blames(&parties[0], culprit, Offence::BadShare);
}

/// A point of the prime-order group plus one of small order, the identity, and y beyond the field, in place of a commitment.
#[test]
fn points_outside_of_the_subgroup_are_malformed() {
    let context = keygen_context(SCHEME, 2, 3);
    let culprit = context.committee.parties()[1];
    let spoilt: [fn(&mut [u8]); 3] = [
        |bytes| {
            let point = CompressedEdwardsY::from_slice(bytes)
                .unwrap()
                .decompress()
                .unwrap();
            let mixed: EdwardsPoint = point + EIGHT_TORSION[1];
            bytes.copy_from_slice(mixed.compress().as_bytes());
        },
        |bytes| bytes.copy_from_slice(EIGHT_TORSION[0].compress().as_bytes()),
        |bytes| bytes.copy_from_slice(&[0xff; 32]),
    ];
    for spoil in spoilt {
        let run = Network::orderly(4)
            // Behind the library's header (5 bytes) and the number of coefficients.
            .cheat(culprit, 1, move |packet| {
                packet.edited(|body| spoil(&mut body[6..38]))
            })
            .run(keygens(&context));
        run.assert_all_blame(culprit, Offence::Malformed);
    }
    let shares = shares(SCHEME, 2, 2, 1);
    let parties: Vec<_> = shares.keys().copied().collect();
    let context = request(&shares, &parties, "m", Hasher::Identity, b"hello");
    for spoil in spoilt {
        let run = Network::orderly(4)
            .cheat(parties[1], 1, move |packet| {
                packet.edited(|body| {
                    let start = body.len() - 32;
                    spoil(&mut body[start..]);
                })
            })
            .run(signs(&context, &shares));
        run.assert_blames(&parties[0], parties[1], Offence::Malformed);
    }
}

/// The library counts coefficients modulo 2^16: with the last of these it would finish, and the key would be dead.
#[test]
fn a_polynomial_of_another_degree_is_malformed() {
    use frost_ed25519::{
        Identifier, VerifyingKey as FrostKey,
        keys::{
            VerifiableSecretSharingCommitment,
            dkg::{part1, round1},
        },
    };
    use rand::SeedableRng;
    let context = keygen_context(SCHEME, 3, 4);
    let culprit = context.committee.parties()[1];
    let index = Identifier::try_from(2).unwrap();
    let package = |t| {
        let rng = rand_chacha::ChaCha20Rng::seed_from_u64(9);
        part1(index, 4, t, rng).unwrap().1
    };
    let generator = ed25519_dalek::SigningKey::from_bytes(&[1; 32]).verifying_key();
    let generator = FrostKey::deserialize(generator.as_bytes())
        .unwrap()
        .serialize()
        .unwrap();
    let honest = package(3);
    let mut coefficients = honest.commitment().serialize().unwrap();
    coefficients.resize(3 + (1 << 16), generator);
    let commitment = VerifiableSecretSharingCommitment::deserialize(coefficients).unwrap();
    let wrapped = round1::Package::new(commitment, *honest.proof_of_knowledge());
    for package in [package(2), package(4), wrapped] {
        let body = package.serialize().unwrap();
        let run = Network::orderly(4)
            .cheat(culprit, 1, move |packet| packet.with_body(body.clone()))
            .run(keygens(&context));
        run.assert_all_blame(culprit, Offence::Malformed);
    }
}

#[test]
fn shares_of_the_two_schemes_are_not_each_others() {
    let ours = shares(SCHEME, 2, 2, 1);
    let theirs = shares(Scheme::SchnorrTaproot, 2, 2, 1);
    for (party, share) in &ours {
        let bytes = share.encode();
        let again = KeyShare::decode(&bytes).unwrap();
        assert_eq!(again.encode(), bytes);
        let secret = |share: &KeyShare| share.encode()[share.encode().len() - 32..].to_vec();
        let swapped = (1u8, share.public(), party, secret(&theirs[party])).encode();
        assert!(KeyShare::decode(&swapped).is_err());
        let mut public = share.public().clone();
        public.scheme = Scheme::SchnorrTaproot;
        let renamed = (1u8, &public, party, secret(share)).encode();
        assert!(
            KeyShare::decode(&renamed).is_err(),
            "a scheme of another group"
        );
        let mut bad = bytes.to_vec();
        let start = bad.len() - 32;
        bad[start..].fill(0xff);
        assert!(
            matches!(KeyShare::decode(&bad), Err(DecodeError::Malformed(text)) if text.contains("scalar"))
        );
    }
}

/// Pins the library's encodings and the ids: a change of any needs a new protocol version.
#[test]
fn golden_bytes() {
    let keygen = Network::orderly(1).run(keygens(&keygen_context(SCHEME, 2, 2)));
    let shares = shares(SCHEME, 2, 2, 1);
    let parties: Vec<_> = shares.keys().copied().collect();
    let context = request(&shares, &parties, "m", Hasher::Identity, b"golden");
    let sign = Network::orderly(1).run(signs(&context, &shares));
    let mut actual = String::new();
    for (name, transcript) in [("keygen", keygen.transcript), ("sign", sign.transcript)] {
        for round in 1..=4 {
            let first = transcript
                .iter()
                .find(|packet| packet.round() == round)
                .unwrap();
            actual += &format!("{name} {round} {}\n", hex::encode(&first.payload));
        }
    }
    let share = shares.values().next().unwrap().encode();
    actual += &format!("share {}\n", hex::encode(&share));
    if std::env::var("ENTROPY_GOLDEN").as_deref() == Ok("write") {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/golden/frost_ed25519.txt"
        );
        std::fs::write(path, &actual).unwrap();
        panic!("written: look at what has changed");
    }
    assert_eq!(actual, include_str!("golden/frost_ed25519.txt"));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_message_in_any_order(seed: u64, message in prop::collection::vec(any::<u8>(), 0..200)) {
        let shares = shares(SCHEME, 3, 4, 3);
        let parties: Vec<_> = shares.keys().copied().collect();
        let signers = &parties[(seed % 2) as usize..][..3];
        let mut context = request(&shares, signers, "m/7", Hasher::Identity, &message);
        context.leader = signers[(seed % 3) as usize];
        sign_and_judge(&shares, &context, &message, Network::chaotic(seed));
    }
}

#[test]
fn a_message_stands_apart_from_its_digest() {
    assert_ne!(
        request_digest(SCHEME, Hasher::Identity, &[7; 32]).unwrap(),
        Digest([7; 32])
    );
}
