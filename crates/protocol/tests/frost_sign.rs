//! Signing of scheme `SchnorrTaproot`, judged by libsecp256k1 and the `bitcoin` crate, and a cheater for every offence.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use bitcoin::{
    NetworkKind, TapNodeHash,
    bip32::{ChainCode, ChildNumber, Fingerprint, Xpub},
    hashes::Hash,
    key::TapTweak,
    secp256k1::{Message, PublicKey, Secp256k1, schnorr},
};
use codec::Encode;
use common::{Frame, Network, Packet, Running, accounts, sets_of, shares, signing_context, signs};
use entropy_protocol::{KeyShare, MAX_PAYLOAD_BYTES, Offence, SetupError, SigningContext, sign};
use entropy_shared::{
    DerivationPath, Digest, KeyId, PartyId, Scheme, Signature, TaprootTweak, VerifyingKey,
    derivation,
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const TWEAKS: [TaprootTweak; 3] = [
    TaprootTweak::None,
    TaprootTweak::KeyPath,
    TaprootTweak::MerkleRoot([0x42; 32]),
];

type Shares = BTreeMap<PartyId, KeyShare>;

fn committee(t: u16, n: u16, seed: u64) -> (Vec<PartyId>, Shares) {
    let shares = shares(Scheme::SchnorrTaproot, t, n, seed);
    (shares.keys().copied().collect(), shares)
}

fn any(shares: &Shares) -> &KeyShare {
    shares.values().next().unwrap()
}

/// A signature of the key itself, led by the first signer.
fn plain(shares: &Shares, signers: &[PartyId]) -> SigningContext {
    signing_context(
        any(shares),
        signers,
        DerivationPath::default(),
        TaprootTweak::None,
        [0x55; 32],
    )
}

/// Follows path and tweak with code that is not ours, and lets libsecp256k1 verify.
fn judge(root: &VerifyingKey, context: &SigningContext, signature: &Signature) {
    let secp = Secp256k1::verification_only();
    let key = derivation::derive(
        Scheme::SchnorrTaproot,
        root,
        &context.key,
        &DerivationPath::default(),
    )
    .unwrap();
    let parent = Xpub {
        network: NetworkKind::Main,
        depth: 0,
        parent_fingerprint: Fingerprint::default(),
        child_number: ChildNumber::Normal { index: 0 },
        public_key: PublicKey::from_slice(key.key.as_bytes()).unwrap(),
        chain_code: ChainCode::from(key.chain_code),
    };
    let path: Vec<_> = context
        .path
        .steps()
        .iter()
        .map(|step| ChildNumber::Normal { index: *step })
        .collect();
    let internal = parent.derive_pub(&secp, &path).unwrap().to_x_only_pub();
    let output = match context.tweak {
        TaprootTweak::None => internal,
        TaprootTweak::KeyPath => internal.tap_tweak(&secp, None).0.to_x_only_public_key(),
        TaprootTweak::MerkleRoot(root) => internal
            .tap_tweak(&secp, Some(TapNodeHash::from_byte_array(root)))
            .0
            .to_x_only_public_key(),
    };
    assert_eq!(VerifyingKey::XOnly(output.serialize()), context.final_key);
    let signature = schnorr::Signature::from_slice(signature.as_bytes()).unwrap();
    secp.verify_schnorr(&signature, &Message::from_digest(context.digest.0), &output)
        .unwrap();
}

/// Runs the ceremony; every signer must come to the same good signature.
fn sign_and_judge(shares: &Shares, context: &SigningContext, network: Network) {
    let signatures = network.run(signs(context, shares)).outputs();
    assert_eq!(signatures.len(), context.signers.len());
    assert_eq!(
        signatures
            .values()
            .map(|signature| signature.encode())
            .collect::<BTreeSet<_>>()
            .len(),
        1
    );
    judge(
        &any(shares).public().root_key,
        context,
        signatures.values().next().unwrap(),
    );
}

#[test]
fn any_threshold_of_the_parties_signs() {
    for (t, n) in [(2, 2), (2, 3), (3, 4), (5, 5)] {
        let (parties, shares) = committee(t, n, 1);
        for (number, signers) in sets_of(usize::from(t), &parties).into_iter().enumerate() {
            for tweak in TWEAKS {
                let path = DerivationPath::new(vec![number as u32]).unwrap();
                let mut context =
                    signing_context(any(&shares), &signers, path, tweak, [number as u8; 32]);
                context.leader = signers[number % signers.len()];
                sign_and_judge(&shares, &context, Network::orderly(number as u64));
            }
        }
    }
}

#[test]
fn eleven_of_fifteen_sign() {
    let (parties, shares) = committee(11, 15, 1);
    for signers in [&parties[..11], &parties[4..]] {
        sign_and_judge(&shares, &plain(&shares, signers), Network::chaotic(1));
    }
}

#[test]
fn paths_of_every_depth_and_every_tweak() {
    let (parties, shares) = committee(2, 3, 2);
    let steps = [0, 1, 0x7fff_ffff, 44, 5];
    for depth in 0..=steps.len() {
        for tweak in TWEAKS {
            let path = DerivationPath::new(steps[..depth].to_vec()).unwrap();
            let context =
                signing_context(any(&shares), &parties[1..], path, tweak, [depth as u8; 32]);
            sign_and_judge(&shares, &context, Network::orderly(7));
        }
    }
}

/// The root key, its child and the output key can each have odd y; a wrong sign in any place fails for one of them.
#[test]
fn keys_of_either_parity_sign() {
    let odd = |key: &VerifyingKey| matches!(key, VerifyingKey::Secp256k1(bytes) if bytes[0] == 3);
    let mut seen = BTreeSet::new();
    for seed in 0..6 {
        let (parties, shares) = committee(2, 2, seed);
        let root = any(&shares).public().root_key;
        for index in 0..4 {
            let path = DerivationPath::new(vec![index]).unwrap();
            for tweak in TWEAKS {
                let context = signing_context(any(&shares), &parties, path.clone(), tweak, [9; 32]);
                let child = derivation::derive(Scheme::SchnorrTaproot, &root, &context.key, &path)
                    .unwrap()
                    .key;
                sign_and_judge(&shares, &context, Network::orderly(seed));
                seen.insert((odd(&root), odd(&child), tweak));
            }
        }
    }
    assert_eq!(
        seen.len(),
        2 * 2 * TWEAKS.len(),
        "both parities of root and child, with every tweak"
    );
}

#[test]
fn the_same_seed_gives_the_same_transcript() {
    let (parties, shares) = committee(2, 3, 2);
    let context = plain(&shares, &parties[..2]);
    let run = |seed| {
        Network::orderly(seed)
            .run(signs(&context, &shares))
            .transcript
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// Pins envelope, library encodings and derivation of the ceremony's id: a change of any needs a new protocol version.
#[test]
fn golden_bytes() {
    let (parties, shares) = committee(2, 2, 1);
    let transcript = Network::orderly(1)
        .run(signs(&plain(&shares, &parties), &shares))
        .transcript;
    let expected = include_str!("golden/frost_sign.txt");
    let first_of = |round| {
        transcript
            .iter()
            .find(|packet| packet.round() == round)
            .unwrap()
    };
    let actual: String = (1..=4)
        .map(|round| format!("{round} {}\n", hex::encode(&first_of(round).payload)))
        .collect();
    assert_eq!(actual, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_duplicates_do_not_matter(seed: u64, digest: [u8; 32], tweak in prop::sample::select(TWEAKS.to_vec())) {
        let (parties, shares) = committee(3, 4, 3);
        let signers = &parties[(seed % 2) as usize..][..3];
        let mut context = signing_context(any(&shares), signers, DerivationPath::default(), tweak, digest);
        context.leader = signers[(seed % 3) as usize];
        sign_and_judge(&shares, &context, Network::chaotic(seed));
    }

    /// Whatever one party sends: no panic, whoever finishes has a good signature, and nobody else is accused of anything but silence.
    #[test]
    fn a_party_that_sends_garbage_blames_nobody(seed: u64, rate in 0.05f64..1.0, leads: bool) {
        let (parties, shares) = committee(3, 3, 3);
        let mut context = plain(&shares, &parties);
        let culprit = parties[1];
        context.leader = parties[usize::from(leads)];
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let run = Network::chaotic(seed)
            .tamper(move |mut packet| {
                if packet.from == culprit && rng.gen_bool(rate) {
                    let at = rng.gen_range(0..packet.payload.len());
                    packet.payload[at] ^= 1 << rng.gen_range(0..8);
                }
                vec![packet]
            })
            .run(signs(&context, &shares));
        for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != culprit) {
            match outcome {
                Ok(signature) => judge(&any(&shares).public().root_key, &context, signature),
                Err(failure) => for blame in &failure.blame {
                    prop_assert!(blame.party == culprit || blame.offence == Offence::Silent, "{} says {}", party, failure);
                },
            }
        }
    }
}

#[test]
fn a_silent_signer_is_named_by_the_leader() {
    let (parties, shares) = committee(3, 4, 3);
    let context = plain(&shares, &parties[..3]);
    for silent in &parties[1..3] {
        let run = Network::chaotic(3)
            .silence(*silent)
            .run(signs(&context, &shares));
        run.assert_blames(&context.leader, *silent, Offence::Silent);
    }
    let late = parties[2];
    let run = Network::orderly(3)
        .tamper(move |packet| {
            if packet.from == late && packet.round() == 3 {
                vec![]
            } else {
                vec![packet]
            }
        })
        .run(signs(&context, &shares));
    run.assert_blames(&context.leader, late, Offence::Silent);
}

#[test]
fn a_silent_leader_is_named_by_everyone() {
    let (parties, shares) = committee(3, 4, 3);
    let context = plain(&shares, &parties[..3]);
    let run = Network::chaotic(3)
        .silence(context.leader)
        .run(signs(&context, &shares));
    assert_eq!(run.outcomes.len(), 2);
    run.assert_all_blame(context.leader, Offence::Silent);
    let leader = context.leader;
    let run = Network::orderly(3)
        .tamper(move |packet| {
            if packet.from == leader && packet.round() == 4 {
                vec![]
            } else {
                vec![packet]
            }
        })
        .run(signs(&context, &shares));
    assert!(
        run.outcomes[&leader].is_ok(),
        "the leader has the signature"
    );
    run.assert_all_blame(leader, Offence::Silent);
}

#[test]
fn a_share_that_does_not_fit_is_blamed_by_name() {
    let (parties, shares) = committee(3, 4, 3);
    let mut context = plain(&shares, &parties[..3]);
    for leader in 0..3 {
        context.leader = parties[leader];
        for culprit in parties[..3]
            .iter()
            .filter(|party| **party != context.leader)
        {
            let run = Network::chaotic(3)
                .cheat(*culprit, 3, |packet| packet.edited(|body| body[31] ^= 1))
                .run(signs(&context, &shares));
            run.assert_blames(&context.leader, *culprit, Offence::BadShare);
            assert!(
                run.transcript.iter().all(|packet| packet.round() < 4),
                "no signature is sent"
            );
        }
    }
}

#[test]
fn a_share_of_another_epoch_cannot_join() {
    let (parties, old) = committee(2, 2, 3);
    let (_, new) = committee(2, 2, 4);
    let context = plain(&new, &parties);
    let me = parties[0];
    let refused = sign(&context, &old[&me], &accounts(2)[&me]).err();
    assert_eq!(refused, Some(SetupError::OtherShare));
}

#[test]
fn bytes_that_are_no_message_are_malformed() {
    let (parties, shares) = committee(2, 3, 3);
    let context = plain(&shares, &parties[..2]);
    let (leader, signer) = (parties[0], parties[1]);
    let spoil: [fn(&Packet) -> Packet; 7] = [
        |packet| packet.edited(|body| body.push(0)),
        |packet| packet.edited(|body| body.extend([0; 2])),
        |packet| packet.edited(|body| body.truncate(body.len() - 1)),
        |packet| packet.edited(Vec::clear),
        |packet| packet.with_body(vec![0; MAX_PAYLOAD_BYTES - 64]),
        |packet| packet.with_body(vec![0xff; packet.frame().body.len() * 2]),
        |packet| Packet {
            payload: vec![0; MAX_PAYLOAD_BYTES + 1],
            ..packet.clone()
        },
    ];
    for (round, culprit, victim) in [
        (1, signer, leader),
        (2, leader, signer),
        (3, signer, leader),
        (4, leader, signer),
    ] {
        for (number, spoil) in spoil.into_iter().enumerate() {
            println!("round {round}, spoilt in way {number}");
            let run = Network::orderly(4)
                .cheat(culprit, round, spoil)
                .run(signs(&context, &shares));
            run.assert_blames(&victim, culprit, Offence::Malformed);
        }
    }
}

#[test]
fn a_package_with_another_commitment_of_ours_is_not_signed() {
    let (parties, shares) = committee(2, 3, 3);
    let context = plain(&shares, &parties[..2]);
    let (leader, signer) = (parties[0], parties[1]);
    let swapped: fn(&mut Vec<u8>) = |body| {
        let half = body.len() / 2;
        body.rotate_left(half);
    };
    let twice: fn(&mut Vec<u8>) = |body| {
        let half = body.len() / 2;
        body.copy_within(..half, half);
    };
    for edit in [swapped, twice] {
        let run = Network::orderly(4)
            .cheat(leader, 2, move |packet| packet.edited(edit))
            .run(signs(&context, &shares));
        run.assert_blames(&signer, leader, Offence::Malformed);
        assert!(
            run.transcript.iter().all(|packet| packet.round() < 3),
            "no share is sent"
        );
    }
}

/// A second package for the same nonces would give the signer's secret away.
#[test]
fn nonces_sign_once() {
    let (parties, shares) = committee(2, 3, 3);
    let context = plain(&shares, &parties[..2]);
    let (leader, signer) = (parties[0], parties[1]);
    let other = Network::orderly(9).run(signs(&context, &shares)).transcript;
    let other = other
        .iter()
        .find(|packet| packet.round() == 2)
        .unwrap()
        .frame()
        .body;
    let run = Network::orderly(4)
        .tamper(move |packet| {
            if packet.from == leader && packet.round() == 2 {
                let second = packet.edited(|body| {
                    let half = body.len() / 2;
                    body[..half].copy_from_slice(&other[..half]);
                });
                vec![packet, second]
            } else {
                vec![packet]
            }
        })
        .run(signs(&context, &shares));
    run.assert_blames(&signer, leader, Offence::Equivocation);
    let answers = run
        .transcript
        .iter()
        .filter(|packet| packet.from == signer && packet.round() == 3);
    assert_eq!(answers.count(), 1);
}

#[test]
fn a_signature_that_does_not_verify_blames_the_leader() {
    let (parties, shares) = committee(2, 3, 3);
    let context = plain(&shares, &parties[..2]);
    for at in [0, 63] {
        let run = Network::orderly(4)
            .cheat(context.leader, 4, move |packet| {
                packet.edited(|body| body[at] ^= 1)
            })
            .run(signs(&context, &shares));
        run.assert_all_blame(context.leader, Offence::FailedProof);
    }
}

#[test]
fn a_message_of_another_run_is_refused() {
    let (parties, shares) = committee(2, 3, 3);
    let first = plain(&shares, &parties[..2]);
    let mut second = first.clone();
    second.signers[0].1 = [0xaa; 32];
    assert_ne!(first.id(), second.id());
    let culprit = parties[1];
    let recorded = Network::orderly(4).run(signs(&first, &shares)).transcript;
    let run = Network::orderly(5)
        .cheat(culprit, 1, move |packet| {
            recorded
                .iter()
                .find(|old| old.from == packet.from && old.to == packet.to)
                .unwrap()
                .clone()
        })
        .run(signs(&second, &shares));
    run.assert_blames(&second.leader, culprit, Offence::OtherCeremony);
}

#[test]
fn a_signer_that_plays_the_leader_is_out_of_place() {
    let (parties, shares) = committee(3, 4, 3);
    let context = plain(&shares, &parties[..3]);
    let (culprit, victim) = (parties[1], parties[2]);
    for round in [1, 2] {
        let run = Network::orderly(4)
            .cheat(culprit, 1, move |packet| Packet {
                to: victim,
                payload: Frame {
                    round,
                    ..packet.frame()
                }
                .encode(),
                ..packet.clone()
            })
            .run(signs(&context, &shares));
        run.assert_blames(&victim, culprit, Offence::Unexpected);
    }
}

#[test]
fn a_member_that_does_not_sign_is_a_stranger() {
    let (parties, shares) = committee(2, 3, 3);
    let context = plain(&shares, &parties[..2]);
    let stranger = parties[2];
    let network = Network::orderly(5).tamper(move |packet| {
        vec![
            Packet {
                from: stranger,
                payload: vec![1],
                ..packet.clone()
            },
            packet,
        ]
    });
    sign_and_judge(&shares, &context, network);
}

#[test]
fn the_context_must_fit_the_share() {
    let (parties, shares) = committee(2, 3, 3);
    let good = plain(&shares, &parties[..2]);
    let me = parties[0];
    let refusal = |edit: &dyn Fn(&mut SigningContext)| {
        let mut context = good.clone();
        edit(&mut context);
        sign(&context, &shares[&me], &accounts(3)[&me]).err()
    };
    let signers = Some(SetupError::Signers { expected: 2 });
    assert_eq!(refusal(&|_| ()), None);
    assert_eq!(
        refusal(&|context| context.public_digest = Digest([0; 32])),
        Some(SetupError::OtherShare)
    );
    assert_eq!(refusal(&|context| context.signers.reverse()), signers);
    assert_eq!(refusal(&|context| context.signers.truncate(1)), signers);
    assert_eq!(
        refusal(&|context| context.signers.push((parties[2], [0; 32]))),
        signers
    );
    assert_eq!(refusal(&|context| context.signers[1].0 = me), signers);
    assert_eq!(
        refusal(&|context| context.signers[1].0 = PartyId([0xff; 32])),
        signers
    );
    let without_me = |context: &mut SigningContext| {
        context.signers = parties[1..].iter().map(|party| (*party, [0; 32])).collect();
    };
    assert_eq!(refusal(&without_me), Some(SetupError::NotAParty));
    assert_eq!(
        refusal(&|context| context.leader = parties[2]),
        Some(SetupError::Leader)
    );
    let final_key = Some(SetupError::FinalKey);
    assert_eq!(refusal(&|context| context.key = KeyId([0; 32])), final_key);
    assert_eq!(
        refusal(&|context| context.path = DerivationPath::new(vec![0]).unwrap()),
        final_key
    );
    assert_eq!(
        refusal(&|context| context.tweak = TaprootTweak::KeyPath),
        final_key
    );
}

/// Each signer binds the digest by the ceremony's id and by its own computation: one that signs another one is alone.
#[test]
fn signers_of_different_digests_do_not_meet() {
    let (parties, shares) = committee(2, 3, 3);
    let good = plain(&shares, &parties[..2]);
    let evil = SigningContext {
        digest: Digest([0x66; 32]),
        ..good.clone()
    };
    let side = |context: &SigningContext, party: PartyId| -> (PartyId, Running<Signature>) {
        (
            party,
            sign(context, &shares[&party], &accounts(3)[&party]).unwrap(),
        )
    };
    let run = Network::orderly(4).run(vec![side(&evil, parties[0]), side(&good, parties[1])]);
    run.assert_blames(&parties[0], parties[1], Offence::OtherCeremony);
    assert!(run.transcript.iter().all(|packet| packet.round() == 1));
}
