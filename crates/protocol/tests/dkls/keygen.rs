//! Key generation: honest runs, a cheater for every message, and that nothing is shown too early.

use dkls_curve::{CurveAffine, Group};
use dkls_k256::{AffinePoint, ProjectivePoint, Scalar, Secp256k1};
use dkls23::utilities::proofs::{DLogProof, EncProof};
use entropy_protocol::{
    Blame, KeyShare, KeygenContext, MAX_PAYLOAD_BYTES, Offence, SetupError, keygen,
};
use entropy_shared::{PartyId, Scheme, VerifyingKey};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;
use serde::{Deserialize, Serialize};

use crate::{
    common::{Network, Packet, Run, accounts, keygen_context, keygens, signs},
    context, edited, parties, shares,
};

const HASH: u8 = 1;
const POINTS: u8 = 2;
const ECHO: u8 = 3;
const SHARE: u8 = 4;
const COMMITMENT: u8 = 5;
const OPENING: u8 = 6;
const READY: u8 = 7;

/// What round 6 opens, written down a second time.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Opening {
    share: DLogProof<Secp256k1>,
    seed: [u8; 32],
    salt: Vec<u8>,
    base: DLogProof<Secp256k1>,
    gadget: Scalar,
    choices: Vec<EncProof<Secp256k1>>,
    base_seed: [u8; 32],
}

fn wanted(t: u16, n: u16) -> KeygenContext {
    keygen_context(Scheme::EcdsaDkls23, t, n)
}

/// The second party sends something else in `round`, to all.
fn run(
    (t, n): (u16, u16),
    round: u8,
    cheat: impl FnMut(&Packet) -> Packet + 'static,
) -> (PartyId, Run<KeyShare>) {
    let context = wanted(t, n);
    let culprit = context.committee.parties()[1];
    let run = Network::orderly(1)
        .cheat(culprit, round, cheat)
        .run(keygens(&context));
    (culprit, run)
}

fn all_blame(round: u8, offence: Offence, edit: impl Fn(&mut Vec<u8>) + 'static) {
    let (culprit, run) = run((3, 4), round, move |packet| packet.edited(&edit));
    run.assert_all_blame(culprit, offence);
}

fn nobody_is_blamed(run: &Run<KeyShare>, culprit: PartyId) {
    for party in run.outcomes.keys().filter(|party| **party != culprit) {
        assert_eq!(run.failure(party).blame, vec![], "{}", run.failure(party));
    }
}

fn opening(offence: Offence, edit: impl Fn(&mut Opening) + 'static) {
    let (culprit, run) = run((2, 3), OPENING, move |packet| edited(packet, &edit));
    run.assert_all_blame(culprit, offence);
}

fn other_point() -> AffinePoint {
    (ProjectivePoint::generator() * Scalar::from(77u64)).into()
}

#[test]
fn committees_of_every_shape_agree() {
    for (scheme, t, n) in [
        (Scheme::EcdsaDkls23, 2, 2),
        (Scheme::EcdsaDkls23, 2, 3),
        (Scheme::EcdsaDkls23, 3, 4),
        (Scheme::EcdsaDkls23, 3, 5),
        (Scheme::EcdsaP256, 2, 2),
        (Scheme::EcdsaP256, 2, 3),
    ] {
        let shares = shares(scheme, t, n);
        let context = keygen_context(scheme, t, n);
        let public = shares.values().next().unwrap().public();
        assert_eq!(shares.len(), usize::from(n));
        assert!(shares.values().all(|share| share.public() == public));
        assert_eq!((public.genesis, public.scheme), (context.genesis, scheme));
        assert_eq!(
            (public.epoch, public.attempt),
            (context.epoch, context.attempt)
        );
        assert_eq!(public.committee, context.committee);
        let keys: std::collections::BTreeSet<_> = [public.root_key]
            .into_iter()
            .chain(public.verification_shares.clone())
            .collect();
        assert_eq!(keys.len(), usize::from(n) + 1, "degree t - 1, no less");
        for key in keys {
            assert!(key.is_valid());
            assert_eq!(
                matches!(key, VerifyingKey::P256(_)),
                scheme == Scheme::EcdsaP256
            );
        }
        assert!(shares.iter().all(|(party, share)| share.party() == *party));
    }
}

#[test]
fn order_and_duplicates_do_not_matter() {
    for seed in 0..2 {
        let outputs = Network::chaotic(seed).run(keygens(&wanted(2, 3))).outputs();
        let public = outputs.values().next().unwrap().public();
        assert!(outputs.values().all(|share| share.public() == public));
    }
}

/// The dealing is from the generator that is passed in, the set-up from the library's own.
#[test]
fn the_same_seed_gives_the_same_key_and_another_set_up() {
    let transcript = |seed| {
        let run = Network::orderly(seed).run(keygens(&wanted(2, 2)));
        let (dealing, setup): (Vec<_>, Vec<_>) = run
            .transcript
            .into_iter()
            .partition(|packet| packet.round() < COMMITMENT);
        (dealing, setup)
    };
    let (first, again, other) = (transcript(1), transcript(1), transcript(2));
    assert_eq!(first.0, again.0);
    assert_ne!(first.1, again.1);
    assert_ne!(first.0, other.0);
}

/// Pins ceremony id, envelope and every message's length; the dealing to the byte.
#[test]
fn golden_bytes() {
    let run = Network::orderly(1).run(keygens(&wanted(2, 2)));
    let text: String = run
        .transcript
        .iter()
        .step_by(2)
        .map(|packet| match packet.round() {
            round @ ..COMMITMENT => format!("{round} {}\n", hex::encode(&packet.payload)),
            round => format!(
                "{round} {} bytes beginning {}\n",
                packet.payload.len(),
                hex::encode(&packet.payload[..36])
            ),
        })
        .collect();
    assert_eq!(text, include_str!("../golden/dkls_keygen.txt"), "{text}");
    let longest = run
        .transcript
        .iter()
        .map(|packet| packet.payload.len())
        .max();
    assert!(longest.unwrap() < MAX_PAYLOAD_BYTES);
}

#[test]
fn a_stranger_has_no_side() {
    let stranger = accounts(5)
        .into_iter()
        .find(|(party, _)| !wanted(3, 4).committee.contains(party));
    if let Some((party, account)) = stranger {
        assert_eq!(
            keygen(&wanted(3, 4), party, &account).err(),
            Some(SetupError::NotAParty)
        );
    }
}

/// Nobody shows its commitments before it has everybody's hash, a secret before all heard the same, or an opening before it has every commitment.
#[test]
fn nothing_is_shown_too_early() {
    let context = wanted(2, 3);
    let late = context.committee.parties()[2];
    for round in [HASH, POINTS, ECHO, COMMITMENT] {
        let run = Network::orderly(1)
            .tamper(move |packet| {
                let kept = packet.from != late || packet.round() != round;
                kept.then_some(packet).into_iter().collect()
            })
            .run(keygens(&context));
        run.assert_all_blame(late, Offence::Silent);
        assert!(
            run.transcript
                .iter()
                .all(|packet| packet.from == late || packet.round() <= round),
            "round {round}"
        );
    }
}

#[test]
fn who_says_nothing_is_named() {
    let context = wanted(2, 3);
    let silent = context.committee.parties()[0];
    for round in [SHARE, OPENING, READY] {
        let run = Network::orderly(1)
            .tamper(move |packet| {
                let kept = packet.from != silent || packet.round() != round;
                kept.then_some(packet).into_iter().collect()
            })
            .run(keygens(&context));
        run.assert_all_blame(silent, Offence::Silent);
    }
}

#[test]
fn messages_of_the_dealing_have_one_form() {
    for round in [HASH, POINTS, ECHO, SHARE] {
        all_blame(round, Offence::Malformed, |body| body.push(0));
        all_blame(round, Offence::Malformed, |body| {
            body.pop();
        });
        all_blame(round, Offence::Malformed, Vec::clear);
    }
    all_blame(SHARE, Offence::Malformed, |body| body.fill(0xff));
}

/// However many there are, and whether or not their hash was announced.
#[test]
fn only_exactly_t_coefficients_are_taken() {
    let fewer: fn(&mut Vec<u8>) = |body| body.truncate(2 * 33);
    let more: fn(&mut Vec<u8>) = |body| body.extend_from_within(..33);
    let many: fn(&mut Vec<u8>) = |body| *body = body[..33].repeat(10_000);
    for edit in [fewer, more, many] {
        all_blame(POINTS, Offence::Malformed, edit);
    }
    // 65,536 more than t, which is t to who counts in 16 bits: longer than any message may be.
    all_blame(POINTS, Offence::Malformed, |body| {
        *body = body[..33].repeat(65_536 + 3)
    });
}

#[test]
fn commitments_are_points_in_their_one_form() {
    let identity: fn(&mut Vec<u8>) = |body| body[33..66].fill(0);
    let compact: fn(&mut Vec<u8>) = |body| body[33] = 5;
    let uncompressed: fn(&mut Vec<u8>) = |body| body[33] = 4;
    let no_point: fn(&mut Vec<u8>) = |body| body[34..66].fill(0xff);
    for edit in [identity, compact, uncompressed, no_point] {
        all_blame(POINTS, Offence::Malformed, edit);
    }
}

#[test]
fn commitments_are_those_of_the_hash() {
    all_blame(POINTS, Offence::FailedProof, |body| body[0] ^= 1);
    all_blame(HASH, Offence::FailedProof, |body| body[31] ^= 1);
}

/// Who repeats another's hash and commitments, as if they were its own.
#[test]
fn anothers_commitments_are_refused() {
    let context = wanted(2, 3);
    let [original, copyist, _] = context.committee.parties() else {
        panic!("three parties")
    };
    let (original, copyist) = (*original, *copyist);
    let mut heard = std::collections::BTreeMap::new();
    let run = Network::orderly(1)
        .tamper(move |packet| {
            if packet.from == original {
                heard.insert(packet.round(), packet.frame().body);
            }
            match heard.get(&packet.round()) {
                Some(body) if packet.from == copyist && packet.round() <= POINTS => {
                    vec![packet.with_body(body.clone())]
                }
                _ => vec![packet],
            }
        })
        .run(keygens(&context));
    run.assert_all_blame(copyist, Offence::FailedProof);
}

/// Two tales of the same hash and points: nobody can tell whose, and no secret leaves.
#[test]
fn equivocated_commitments_end_before_a_secret_leaves() {
    let context = wanted(3, 4);
    let [_, culprit, victim, _] = context.committee.parties() else {
        panic!("four parties")
    };
    let (culprit, victim) = (*culprit, *victim);
    // The other tale is the one of another seed: well made, for the same ceremony.
    let other = Network::orderly(99).run(keygens(&context)).transcript;
    let run = Network::orderly(1)
        .tamper(move |packet| {
            if packet.from != culprit || packet.to != victim || packet.round() > POINTS {
                return vec![packet];
            }
            let tale = other.iter().find(|other| {
                (other.from, other.to, other.round()) == (packet.from, packet.to, packet.round())
            });
            vec![tale.unwrap().clone()]
        })
        .run(keygens(&context));
    nobody_is_blamed(&run, culprit);
    assert!(run.transcript.iter().all(|packet| packet.round() < SHARE));
}

#[test]
fn a_lying_echo_stops_everyone_and_proves_nothing() {
    let (culprit, run) = run((3, 4), ECHO, |packet| packet.edited(|body| body[0] ^= 1));
    nobody_is_blamed(&run, culprit);
    assert!(
        run.transcript
            .iter()
            .all(|packet| packet.from == culprit || packet.round() < SHARE)
    );
}

#[test]
fn a_wrong_share_is_its_dealers() {
    all_blame(SHARE, Offence::BadShare, |body| body[31] ^= 1);
    // The share of another party, or one of a polynomial with a coefficient more than was committed to.
    let mut all = Vec::new();
    let (culprit, run) = run((3, 4), SHARE, move |packet| {
        all.push(packet.frame().body);
        packet.with_body(all[0].clone())
    });
    let blames = run
        .outcomes
        .keys()
        .filter(|party| **party != culprit)
        .filter(|party| {
            run.failure(party).blame
                == vec![Blame {
                    party: culprit,
                    offence: Offence::BadShare,
                }]
        });
    assert_eq!(blames.count(), 2, "all but the one who got its own");
}

#[test]
fn another_digest_contradicts_what_was_agreed() {
    for round in [COMMITMENT, READY] {
        let (culprit, run) = run((2, 3), round, |packet| packet.edited(|body| body[0] ^= 1));
        run.assert_all_blame(culprit, Offence::Equivocation);
    }
}

#[test]
fn messages_of_the_set_up_have_one_form() {
    for round in [COMMITMENT, OPENING, READY] {
        for edit in [(|body| body.push(0)) as fn(&mut Vec<u8>), |body| {
            body.pop();
        }] {
            let (culprit, run) = run((2, 3), round, move |packet| packet.edited(edit));
            run.assert_all_blame(culprit, Offence::Malformed);
        }
    }
}

#[test]
fn openings_are_those_of_the_commitments() {
    // The proof's commitment, then the seed's.
    for at in [32, 64] {
        let (culprit, run) = run((2, 3), COMMITMENT, move |packet| {
            packet.edited(|body| body[at] ^= 1)
        });
        run.assert_all_blame(culprit, Offence::FailedProof);
    }
    opening(Offence::FailedProof, |opening| opening.seed[0] ^= 1);
    opening(Offence::FailedProof, |opening| opening.salt[0] ^= 1);
    opening(Offence::FailedProof, |opening| {
        opening.share.rand_commitments.swap(0, 1)
    });
}

#[test]
fn a_proof_is_of_the_share_that_the_party_holds() {
    opening(Offence::FailedProof, |opening| {
        opening.share.point = other_point()
    });
    opening(Offence::FailedProof, |opening| {
        std::mem::swap(&mut opening.share, &mut opening.base)
    });
}

#[test]
fn base_transfers_are_proven() {
    opening(Offence::FailedProof, |opening| {
        opening.base.point = other_point()
    });
    opening(Offence::FailedProof, |opening| {
        opening.base.proofs.swap(3, 4)
    });
    opening(Offence::FailedProof, |opening| opening.base_seed[0] ^= 1);
    opening(Offence::FailedProof, |opening| opening.choices.swap(17, 18));
    opening(Offence::FailedProof, |opening| {
        opening.choices[255].challenge0 += Scalar::ONE
    });
    opening(Offence::FailedProof, |opening| {
        opening.choices[0].proof1.point_u = other_point()
    });
}

/// Shorter by 32 bytes than any other point, so something else must be longer for the whole to be of the right length.
#[test]
fn the_identity_is_no_point() {
    opening(Offence::Malformed, |opening| {
        opening.base.point = AffinePoint::identity();
        opening.salt.extend([0; 32]);
    });
    opening(Offence::Malformed, |opening| {
        opening.choices[9].proof0.point_v = AffinePoint::identity();
        opening.share.proofs[0].challenge.extend([0; 32]);
    });
    opening(Offence::Malformed, |opening| {
        opening.share.rand_commitments[5] = AffinePoint::identity();
    });
}

/// No check of the set-up sees this lie: the pair's first signature does, and each side names the other.
#[test]
fn two_gadgets_for_one_show_in_the_first_signature() {
    let (culprit, run) = run((2, 3), OPENING, |packet| {
        edited(packet, |opening: &mut Opening| {
            opening.gadget += Scalar::ONE
        })
    });
    let made = run.outputs();
    let all = parties(&made);
    let signers = [all[0], culprit];
    let run = Network::orderly(1).run(signs(&context(&made, &signers, "m"), &made));
    run.assert_blames(&all[0], culprit, Offence::OtherCeremony);
    // The others are not concerned.
    let context = context(&made, &[all[0], all[2]], "m");
    Network::orderly(1).run(signs(&context, &made)).outputs();
}

#[test]
fn messages_of_another_attempt_are_refused() {
    let (first, mut second) = (wanted(2, 3), wanted(2, 3));
    second.attempt += 1;
    let culprit = second.committee.parties()[1];
    let transcript = Network::orderly(1).run(keygens(&first)).transcript;
    let expected = [
        (HASH, Offence::FailedProof),
        (POINTS, Offence::FailedProof),
        (SHARE, Offence::BadShare),
        (COMMITMENT, Offence::Equivocation),
        (OPENING, Offence::FailedProof),
        (READY, Offence::Equivocation),
    ];
    for (round, disguised) in expected {
        for disguise in [false, true] {
            // As it is, it is refused by its envelope: once will do.
            if !disguise && round != HASH {
                continue;
            }
            let (transcript, id) = (transcript.clone(), second.id());
            let run = Network::orderly(2)
                .cheat(culprit, round, move |packet| {
                    let old = transcript.iter().find(|old| {
                        (old.from, old.to, old.round()) == (packet.from, packet.to, round)
                    });
                    let mut old = old.unwrap().clone();
                    if disguise {
                        old.payload[2..34].copy_from_slice(&id.0);
                    }
                    old
                })
                .run(keygens(&second));
            let offence = if disguise {
                disguised
            } else {
                Offence::OtherCeremony
            };
            run.assert_all_blame(culprit, offence);
        }
    }
}

/// Whatever one party sends in one round: no panic, and nobody else is accused of anything but silence.
#[test]
fn a_party_that_sends_garbage_blames_nobody() {
    for round in HASH..=READY {
        let seeds = if round < COMMITMENT { 12 } else { 2 };
        for seed in 0..seeds {
            println!("round {round}, seed {seed}");
            let mut rng = ChaCha20Rng::seed_from_u64(seed);
            let (culprit, run) = run((2, 3), round, move |packet| {
                packet.edited(|body| {
                    if seed % 2 == 0 {
                        rng.fill_bytes(body);
                    } else {
                        let at = rng.next_u32() as usize % body.len();
                        body[at] ^= 1 << (rng.next_u32() % 8);
                    }
                })
            });
            for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != culprit) {
                let Err(failure) = outcome else { continue };
                assert!(!failure.reason.contains("panic"), "{failure}");
                for blame in &failure.blame {
                    assert!(
                        blame.party == culprit || blame.offence == Offence::Silent,
                        "{party} says {failure}"
                    );
                    assert_ne!(blame.offence, Offence::Panic);
                }
            }
        }
    }
}
