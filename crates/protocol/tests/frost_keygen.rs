//! Key generation of scheme `SchnorrTaproot`: honest runs of every shape, and a cheater for every offence.

mod common;

use std::collections::BTreeSet;

use codec::Encode;
use common::{Frame, Network, Packet, Running, accounts, keygen_context, keygens, shares};
use ed25519_dalek::SigningKey;
use entropy_protocol::{KeyShare, KeygenContext, MAX_PAYLOAD_BYTES, Offence, SetupError, keygen};
use entropy_shared::{PartyId, Scheme, VerifyingKey};
use frost_secp256k1_tr::{
    Identifier, VerifyingKey as FrostKey,
    keys::{
        VerifiableSecretSharingCommitment,
        dkg::{part1, round1},
    },
};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

const SCHEME: Scheme = Scheme::SchnorrTaproot;

fn context(t: u16, n: u16) -> KeygenContext {
    keygen_context(SCHEME, t, n)
}

fn party(context: &KeygenContext, position: usize) -> PartyId {
    context.committee.parties()[position]
}

/// A round 1 package that the library makes for these parameters.
fn package(index: u16, t: u16, n: u16, seed: u64) -> round1::Package {
    let identifier = Identifier::try_from(index).unwrap();
    part1(identifier, n, t, ChaCha20Rng::seed_from_u64(seed))
        .unwrap()
        .1
}

#[test]
fn committees_of_every_shape_agree() {
    for (t, n) in [(2, 2), (2, 3), (3, 4), (5, 5), (11, 15)] {
        let context = context(t, n);
        let shares = Network::orderly(u64::from(n))
            .run(keygens(&context))
            .outputs();
        assert_eq!(shares.len(), usize::from(n));
        let public = shares[&party(&context, 0)].public().clone();
        assert!(
            shares.values().all(|share| *share.public() == public),
            "{t} of {n}"
        );
        assert_eq!((public.genesis, public.scheme), (context.genesis, SCHEME));
        assert_eq!(
            (public.epoch, public.attempt),
            (context.epoch, context.attempt)
        );
        assert_eq!(public.committee, context.committee);
        assert!(
            matches!(public.root_key, VerifyingKey::Secp256k1(_)) && public.root_key.is_valid()
        );
        assert!(
            public
                .verification_shares
                .iter()
                .all(VerifyingKey::is_valid)
        );
        // Degree t - 1, no less: the verification shares are all different, and none is the root.
        let distinct: BTreeSet<_> = public
            .verification_shares
            .iter()
            .chain([&public.root_key])
            .collect();
        assert_eq!(distinct.len(), usize::from(n) + 1);
        assert!(shares.iter().all(|(party, share)| share.party() == *party));
    }
}

#[test]
fn every_run_makes_another_key() {
    assert_ne!(
        shares(SCHEME, 2, 2, 1)
            .values()
            .next()
            .unwrap()
            .public()
            .root_key,
        shares(SCHEME, 2, 2, 2)
            .values()
            .next()
            .unwrap()
            .public()
            .root_key
    );
}

#[test]
fn the_same_seed_gives_the_same_transcript() {
    let run = |seed| {
        Network::orderly(seed)
            .run(keygens(&context(2, 3)))
            .transcript
    };
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

/// Pins envelope, library encodings and derivation of the ceremony's id: a change of any needs a new protocol version.
#[test]
fn golden_bytes() {
    let transcript = Network::orderly(1).run(keygens(&context(2, 2))).transcript;
    let expected = include_str!("golden/frost_keygen.txt");
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
    fn order_and_duplicates_do_not_matter(seed: u64) {
        let orderly = Network::orderly(seed).run(keygens(&context(3, 4))).outputs();
        let chaotic = Network::chaotic(seed).run(keygens(&context(3, 4))).outputs();
        for (party, share) in chaotic {
            prop_assert_eq!(share.public().committee.size(), orderly[&party].public().committee.size());
            prop_assert_eq!(share.encode(), orderly[&party].encode());
        }
    }

    /// Whatever one party sends: no panic, all who finish agree, and nobody else is accused of anything but silence.
    #[test]
    fn a_party_that_sends_garbage_blames_nobody(seed: u64, rate in 0.05f64..1.0) {
        let context = context(2, 3);
        let culprit = party(&context, 1);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let run = Network::chaotic(seed)
            .tamper(move |mut packet| {
                if packet.from == culprit && rng.gen_bool(rate) {
                    let at = rng.gen_range(0..packet.payload.len());
                    packet.payload[at] ^= 1 << rng.gen_range(0..8);
                }
                vec![packet]
            })
            .run(keygens(&context));
        for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != culprit) {
            let Err(failure) = outcome else { continue };
            for blame in &failure.blame {
                prop_assert!(blame.party == culprit || blame.offence == Offence::Silent, "{} says {}", party, failure);
            }
        }
        let publics: Vec<_> = run.outcomes.values().flatten().map(|share| share.public().clone()).collect();
        prop_assert!(publics.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[test]
fn a_silent_party_is_named_by_everyone() {
    let context = context(3, 4);
    for silent in context.committee.parties() {
        let run = Network::chaotic(3).silence(*silent).run(keygens(&context));
        assert_eq!(run.outcomes.len(), 3);
        run.assert_all_blame(*silent, Offence::Silent);
    }
}

#[test]
fn a_party_that_falls_silent_later_is_named_by_everyone() {
    let context = context(3, 4);
    let silent = party(&context, 2);
    for round in 2..=4 {
        let run = Network::orderly(3)
            .tamper(move |packet| {
                if packet.from == silent && packet.round() >= round {
                    vec![]
                } else {
                    vec![packet]
                }
            })
            .run(keygens(&context));
        run.assert_all_blame(silent, Offence::Silent);
    }
}

#[test]
fn bytes_that_are_no_message_are_malformed() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    let spoil: [fn(&Packet) -> Packet; 6] = [
        |packet| packet.edited(|body| body.push(0)),
        |packet| packet.edited(|body| body.truncate(body.len() - 1)),
        |packet| packet.edited(Vec::clear),
        |packet| packet.with_body(vec![0; MAX_PAYLOAD_BYTES - 64]),
        |packet| packet.with_body(vec![0xff; packet.frame().body.len() + 1]),
        |packet| Packet {
            payload: vec![0; MAX_PAYLOAD_BYTES + 1],
            ..packet.clone()
        },
    ];
    for round in 1..=4 {
        for (number, spoil) in spoil.into_iter().enumerate() {
            println!("round {round}, spoilt in way {number}");
            let run = Network::orderly(4)
                .cheat(culprit, round, spoil)
                .run(keygens(&context));
            run.assert_all_blame(culprit, Offence::Malformed);
        }
    }
}

#[test]
fn a_payload_that_is_no_envelope_is_malformed() {
    let context = context(2, 3);
    let culprit = party(&context, 0);
    for garbage in [vec![], vec![1], vec![0xff; 200]] {
        let run = Network::orderly(4)
            .cheat(culprit, 1, move |packet| Packet {
                payload: garbage.clone(),
                ..packet.clone()
            })
            .run(keygens(&context));
        run.assert_all_blame(culprit, Offence::Malformed);
    }
}

/// SEC1 has a second 33-byte form of a point, which the library reads.
#[test]
fn a_second_encoding_of_a_point_is_malformed() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    let compact = |packet: &Packet| {
        packet.edited(|body| {
            // Behind the library's header (5 bytes) and the number of coefficients.
            assert!(matches!(body[6], 2 | 3));
            body[6] = 5;
        })
    };
    let run = Network::orderly(4)
        .cheat(culprit, 1, compact)
        .run(keygens(&context));
    run.assert_all_blame(culprit, Offence::Malformed);
}

/// The library counts coefficients modulo 2^16: with the last of these it would finish, and the key would be dead.
#[test]
fn a_polynomial_of_another_degree_is_malformed() {
    let context = context(3, 4);
    let culprit = party(&context, 1);
    let generator = FrostKey::deserialize(&hex::decode(GENERATOR).unwrap())
        .unwrap()
        .serialize()
        .unwrap();
    let honest = package(2, 3, 4, 9);
    let mut coefficients = honest.commitment().serialize().unwrap();
    coefficients.resize(3 + (1 << 16), generator);
    let commitment = VerifiableSecretSharingCommitment::deserialize(coefficients).unwrap();
    let wrapped = round1::Package::new(commitment, *honest.proof_of_knowledge());
    for package in [package(2, 2, 4, 9), package(2, 4, 4, 9), wrapped] {
        let body = package.serialize().unwrap();
        let run = Network::orderly(4)
            .cheat(culprit, 1, move |packet| packet.with_body(body.clone()))
            .run(keygens(&context));
        run.assert_all_blame(culprit, Offence::Malformed);
    }
}

const GENERATOR: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

#[test]
fn a_proof_for_another_index_fails() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    // Made for index 3, sent by index 2.
    let body = package(3, 2, 3, 9).serialize().unwrap();
    let run = Network::orderly(4)
        .tamper(
            move |packet| match (packet.from == culprit, packet.round()) {
                (true, 1) => vec![packet.with_body(body.clone())],
                // It echoes what it sent, which is what the other one heard.
                (true, _) => vec![],
                (false, 2) if packet.to == culprit => {
                    vec![Packet {
                        from: culprit,
                        to: packet.from,
                        payload: packet.payload,
                    }]
                }
                (false, _) => vec![packet],
            },
        )
        .run(keygens(&context));
    run.assert_all_blame(culprit, Offence::FailedProof);
    let dealt = run
        .transcript
        .iter()
        .any(|packet| packet.from != culprit && packet.round() == 3);
    assert!(!dealt, "no secret leaves on a false proof");
}

#[test]
fn a_disputed_broadcast_ends_it_before_any_secret_is_sent() {
    let context = context(2, 3);
    let (liar, deceived) = (party(&context, 1), party(&context, 2));
    let body = package(2, 2, 3, 9).serialize().unwrap();
    let run = Network::chaotic(4)
        .tamper(move |packet| {
            if packet.from == liar && packet.to == deceived && packet.round() == 1 {
                vec![packet.with_body(body.clone())]
            } else {
                vec![packet]
            }
        })
        .run(keygens(&context));
    for party in run.outcomes.keys() {
        let failure = run.failure(party);
        assert!(
            failure.blame.is_empty(),
            "nobody can tell who lied: {failure}"
        );
        assert!(
            failure.reason.contains("did not hear the same"),
            "{failure}"
        );
    }
    assert!(run.transcript.iter().all(|packet| packet.round() < 3));
}

#[test]
fn a_false_echo_blames_nobody_for_certain() {
    let context = context(2, 3);
    let liar = party(&context, 1);
    let run = Network::orderly(4)
        .cheat(liar, 2, |packet| packet.edited(|body| body[0] ^= 1))
        .run(keygens(&context));
    for party in run.outcomes.keys().filter(|party| **party != liar) {
        assert!(run.failure(party).blame.is_empty());
    }
}

#[test]
fn two_messages_for_one_are_equivocation() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    let body = package(2, 2, 3, 9).serialize().unwrap();
    let run = Network::orderly(4)
        .tamper(move |packet| {
            if packet.from == culprit && packet.round() == 1 {
                vec![packet.clone(), packet.with_body(body.clone())]
            } else {
                vec![packet]
            }
        })
        .run(keygens(&context));
    run.assert_all_blame(culprit, Offence::Equivocation);
}

#[test]
fn a_subshare_that_does_not_fit_blames_its_dealer() {
    let context = context(3, 4);
    let culprit = party(&context, 3);
    let run = Network::orderly(4)
        .cheat(culprit, 3, |packet| {
            packet.edited(|body| *body.last_mut().unwrap() ^= 1)
        })
        .run(keygens(&context));
    run.assert_all_blame(culprit, Offence::BadShare);
}

#[test]
fn a_digest_that_contradicts_its_echo_is_equivocation() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    let run = Network::orderly(4)
        .cheat(culprit, 4, |packet| packet.edited(|body| body[0] ^= 1))
        .run(keygens(&context));
    run.assert_all_blame(culprit, Offence::Equivocation);
}

#[test]
fn a_message_of_another_attempt_is_refused() {
    let first = context(2, 3);
    let second = KeygenContext {
        attempt: 2,
        ..first.clone()
    };
    let culprit = party(&first, 1);
    let recorded = Network::orderly(4).run(keygens(&first)).transcript;
    let run = Network::orderly(5)
        .cheat(culprit, 1, move |packet| {
            recorded
                .iter()
                .find(|old| old.from == packet.from && old.to == packet.to)
                .unwrap()
                .clone()
        })
        .run(keygens(&second));
    run.assert_all_blame(culprit, Offence::OtherCeremony);
}

#[test]
fn another_protocol_version_is_refused() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    let run = Network::orderly(5)
        .cheat(culprit, 1, |packet| Packet {
            payload: Frame {
                version: 2,
                ..packet.frame()
            }
            .encode(),
            ..packet.clone()
        })
        .run(keygens(&context));
    run.assert_all_blame(culprit, Offence::OtherCeremony);
}

#[test]
fn rounds_that_do_not_exist_are_out_of_place() {
    let context = context(2, 3);
    let culprit = party(&context, 1);
    for round in [0, 5, 255] {
        let run = Network::orderly(5)
            .cheat(culprit, 1, move |packet| Packet {
                payload: Frame {
                    round,
                    ..packet.frame()
                }
                .encode(),
                ..packet.clone()
            })
            .run(keygens(&context));
        run.assert_all_blame(culprit, Offence::Unexpected);
    }
}

#[test]
fn strangers_frames_change_nothing() {
    let context = context(2, 3);
    let stranger = PartyId([9; 32]);
    let run = Network::orderly(5)
        .tamper(move |packet| {
            let forged = Packet {
                from: stranger,
                ..packet.edited(|body| body.clear())
            };
            let garbage = Packet {
                from: stranger,
                payload: vec![1, 2, 3],
                ..packet.clone()
            };
            let echo = Packet {
                from: packet.to,
                payload: vec![1, 2, 3],
                ..packet.clone()
            };
            vec![forged, garbage, echo, packet]
        })
        .run(keygens(&context));
    assert_eq!(run.outputs().len(), 3);
}

#[test]
fn a_ceremony_needs_a_member() {
    let account = SigningKey::from_bytes(&[1; 32]);
    let refusal = |context: &KeygenContext, me| keygen(context, me, &account).err();
    assert_eq!(
        refusal(&context(2, 3), PartyId([9; 32])),
        Some(SetupError::NotAParty)
    );
}

#[test]
fn an_expired_ceremony_is_over() {
    let context = context(2, 2);
    let me = party(&context, 0);
    let peer = party(&context, 1);
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let side = |me| -> Running<KeyShare> { keygen(&context, me, &accounts(2)[&me]).unwrap() };
    let (mut ceremony, mut other) = (side(me), side(peer));
    assert_eq!(ceremony.start(&mut rng).outbound.len(), 1);
    let message = other.start(&mut rng).outbound.remove(0);
    let failure = ceremony.expire(&mut rng).outcome.unwrap().unwrap_err();
    assert_eq!((failure.blame.len(), failure.blame[0].party), (1, peer));
    let late = ceremony.receive(&peer, &message.payload, &mut rng);
    assert!(late.outbound.is_empty() && late.outcome.is_none());
    assert!(ceremony.expire(&mut rng).outcome.is_none());
}
