//! A cheater for every message of a signature and every field of it, the blame that follows, and bans that are remembered.

use dkls_k256::{AffinePoint, Scalar, Secp256k1};
use dkls23::protocols::{
    PartyIndex,
    signing::{Broadcast3to4, TransmitPhase1to2, TransmitPhase2to3},
};
use entropy_protocol::{Blame, KeyShare, Offence, SetupError, sign};
use entropy_shared::{PartyId, Scheme, Signature};

use crate::{
    common::{Network, Packet, Run, accounts, signs},
    context, edited, parties, shares,
    sign::judge,
};

type First = TransmitPhase1to2;
type Second = TransmitPhase2to3<Secp256k1>;
type Third = Broadcast3to4<Secp256k1>;

/// The second of three signers sends something else in `round`, to all.
fn run(round: u8, cheat: impl FnMut(&Packet) -> Packet + 'static) -> (PartyId, Run<Signature>) {
    let shares = shares(Scheme::EcdsaDkls23, 3, 4);
    let signers = &parties(shares)[..3];
    let context = context(shares, signers, "m/1");
    let run = Network::orderly(1)
        .cheat(signers[1], round, cheat)
        .run(signs(&context, shares));
    (signers[1], run)
}

fn first(edit: impl Fn(&mut First) + 'static, offence: Offence) {
    let (culprit, run) = run(1, move |packet| edited(packet, &edit));
    run.assert_all_blame(culprit, offence);
}

fn second(edit: impl Fn(&mut Second) + 'static, offence: Offence) {
    let (culprit, run) = run(2, move |packet| edited(packet, &edit));
    run.assert_all_blame(culprit, offence);
}

fn other_point() -> AffinePoint {
    use dkls_curve::Group;
    (dkls_k256::ProjectivePoint::generator() * Scalar::from(77u64)).into()
}

#[test]
fn a_changed_binding_is_of_another_ceremony() {
    first(
        |message| message.session_binding[0] ^= 1,
        Offence::OtherCeremony,
    );
    second(
        |message| message.session_binding[0] ^= 1,
        Offence::OtherCeremony,
    );
}

#[test]
fn what_was_not_committed_to_is_no_opening() {
    first(|message| message.commitment[31] ^= 1, Offence::FailedProof);
    second(|message| message.psi += Scalar::ONE, Offence::FailedProof);
    second(
        |message| message.instance_point = other_point(),
        Offence::FailedProof,
    );
    second(|message| message.salt[0] ^= 1, Offence::FailedProof);
}

/// What could tell a peer about the OT state that later signatures use again.
#[test]
fn a_failed_multiplication_bans() {
    first(
        |message| message.mul_transmit.nonce[0] ^= 1,
        Offence::Banned,
    );
    first(|message| message.mul_transmit.u[0][0] ^= 1, Offence::Banned);
    first(
        |message| message.mul_transmit.verify_x[0] ^= 1,
        Offence::Banned,
    );
    first(
        |message| message.mul_transmit.verify_t[255][25] ^= 1,
        Offence::Banned,
    );
    second(
        |message| message.mul_transmit.vector_of_tau[0][0] += Scalar::ONE,
        Offence::Banned,
    );
    second(
        |message| message.mul_transmit.ote_salt[0] ^= 1,
        Offence::Banned,
    );
    second(
        |message| message.mul_transmit.verify_r[0] ^= 1,
        Offence::Banned,
    );
    second(
        |message| message.mul_transmit.verify_u[1] += Scalar::ONE,
        Offence::Banned,
    );
    second(
        |message| message.mul_transmit.gamma_sender[0] += Scalar::ONE,
        Offence::Banned,
    );
    second(
        |message| message.mul_transmit.gamma_sender[1] += Scalar::ONE,
        Offence::Banned,
    );
    second(|message| message.gamma_u = other_point(), Offence::Banned);
    second(|message| message.gamma_v = other_point(), Offence::Banned);
    second(
        |message| message.public_share = other_point(),
        Offence::Banned,
    );
}

/// Wrong shapes are no cheating at the multiplication, and ban nobody.
#[test]
fn messages_have_one_form() {
    let one = PartyIndex::new(1).unwrap();
    first(
        move |message| message.parties.sender = one,
        Offence::Malformed,
    );
    first(
        |message| message.parties.receiver = message.parties.sender,
        Offence::Malformed,
    );
    second(
        |message| message.parties.receiver = message.parties.sender,
        Offence::Malformed,
    );
    // The same length in all, but not of the parts.
    first(
        |message| {
            message.mul_transmit.verify_t.pop();
        },
        Offence::Malformed,
    );
    second(
        |message| {
            let moved = message.mul_transmit.vector_of_tau[0].pop().unwrap();
            message.mul_transmit.vector_of_tau[1].push(moved);
        },
        Offence::Malformed,
    );
    second(
        |message| {
            let moved = message.mul_transmit.verify_u.pop().unwrap();
            message.mul_transmit.gamma_sender.push(moved);
        },
        Offence::Malformed,
    );
    for round in 1..=3 {
        for edit in [
            (|body| body.push(0)) as fn(&mut Vec<u8>),
            |body| {
                body.pop();
            },
            Vec::clear,
        ] {
            let (culprit, run) = run(round, move |packet| packet.edited(edit));
            run.assert_all_blame(culprit, Offence::Malformed);
        }
    }
}

/// Shorter by 32 bytes than any other point, so something else must be longer.
#[test]
fn the_identity_is_no_point() {
    use dkls_curve::CurveAffine;
    for point in 0..4 {
        second(
            move |message| {
                let points = [
                    &mut message.gamma_u,
                    &mut message.gamma_v,
                    &mut message.public_share,
                    &mut message.instance_point,
                ];
                *points.into_iter().nth(point).unwrap() = AffinePoint::identity();
                message.salt.extend([0; 32]);
            },
            Offence::Malformed,
        );
    }
}

#[test]
fn anothers_message_is_refused() {
    for round in [1, 2] {
        let mut copies: Vec<Packet> = Vec::new();
        let (culprit, run) = run(round, move |packet| {
            copies.push(packet.clone());
            packet.with_body(copies[0].frame().body)
        });
        // The first recipient got its own, and then waits for the other, which has failed.
        let blame = vec![Blame {
            party: culprit,
            offence: Offence::Malformed,
        }];
        let honest = run.outcomes.keys().filter(|party| **party != culprit);
        let blaming = honest.filter(|party| run.failure(party).blame == blame);
        assert_eq!(blaming.count(), 1, "round {round}");
    }
}

/// The sum is wrong, and nobody can tell which summand; but nobody takes it for a signature.
#[test]
fn a_wrong_part_of_the_signature_is_nobodys() {
    for edit in [(|part| part.u += Scalar::ONE) as fn(&mut Third), |part| {
        part.w += Scalar::ONE
    }] {
        let (culprit, run) = run(3, move |packet| edited(packet, edit));
        for party in run.outcomes.keys().filter(|party| **party != culprit) {
            assert_eq!(run.failure(party).blame, vec![], "{}", run.failure(party));
        }
    }
}

/// What is shown to one signer only costs that one its signature, and no other.
#[test]
fn an_equivocated_part_is_no_danger() {
    let shares = shares(Scheme::EcdsaDkls23, 3, 4);
    let signers = &parties(shares)[..3];
    let context = context(shares, signers, "m/1");
    let victim = signers[0];
    let run = Network::orderly(1)
        .cheat(signers[1], 3, move |packet| {
            if packet.to == victim {
                edited(packet, |part: &mut Third| part.w += Scalar::ONE)
            } else {
                packet.clone()
            }
        })
        .run(signs(&context, shares));
    assert_eq!(run.failure(&victim).blame, vec![]);
    judge(&context, run.outcomes[&signers[2]].as_ref().unwrap());
}

#[test]
fn who_says_nothing_is_named() {
    let shares = shares(Scheme::EcdsaDkls23, 3, 4);
    let signers = &parties(shares)[..3];
    let context = context(shares, signers, "m");
    for round in 1..=3 {
        let silent = signers[2];
        let run = Network::orderly(1)
            .tamper(move |packet| {
                let kept = packet.from != silent || packet.round() != round;
                kept.then_some(packet).into_iter().collect()
            })
            .run(signs(&context, shares));
        run.assert_all_blame(silent, Offence::Silent);
    }
}

#[test]
fn two_messages_for_one_are_equivocation() {
    let shares = shares(Scheme::EcdsaDkls23, 3, 4);
    let signers = &parties(shares)[..3];
    let context = context(shares, signers, "m");
    for round in 1..=3 {
        let culprit = signers[1];
        let run = Network::orderly(1)
            .tamper(move |packet| {
                let twice = packet.from == culprit && packet.round() == round;
                let other = twice.then(|| packet.edited(|body| body[40] ^= 1));
                [Some(packet), other].into_iter().flatten().collect()
            })
            .run(signs(&context, shares));
        for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != culprit) {
            // Who has its signature no longer listens.
            if round < 3 || outcome.is_err() {
                run.assert_blames(party, culprit, Offence::Equivocation);
            }
        }
    }
}

#[test]
fn a_ban_outlives_the_process_and_holds_for_the_pair_alone() {
    let (culprit, run) = run(1, |packet| {
        edited(packet, |message: &mut First| {
            message.mul_transmit.verify_x[0] ^= 1
        })
    });
    let shares = shares(Scheme::EcdsaDkls23, 3, 4);
    let all = parties(shares);
    let me = all[0];
    assert_eq!(
        run.failure(&me).blame,
        vec![Blame {
            party: culprit,
            offence: Offence::Banned
        }]
    );
    let mut share = KeyShare::decode(&shares[&me].encode()).unwrap();
    assert!(share.banned().is_empty());
    assert!(share.ban(culprit) && !share.ban(culprit), "once is news");
    assert!(
        !share.ban(me) && !share.ban(PartyId([0xee; 32])),
        "no peers of this share"
    );
    let restored = KeyShare::decode(&share.encode()).unwrap();
    assert_eq!(restored.banned().iter().collect::<Vec<_>>(), vec![&culprit]);
    assert_eq!(restored.encode(), share.encode());
    assert_ne!(restored.encode(), shares[&me].encode());
    assert_eq!(
        restored.public(),
        shares[&me].public(),
        "the ban is ours alone"
    );
    let accounts = accounts(4);
    for share in [&share, &restored] {
        let with = context(shares, &all[..3], "m");
        assert_eq!(
            sign(&with, share, &accounts[&me]).err(),
            Some(SetupError::BannedPair(culprit))
        );
    }
    let without = context(shares, &[all[0], all[2], all[3]], "m");
    let mut sides = signs(&without, shares);
    sides[0].1 = sign(&without, &restored, &accounts[&me]).unwrap();
    let outputs = Network::orderly(1).run(sides).outputs();
    outputs
        .values()
        .for_each(|signature| judge(&without, signature));
}
