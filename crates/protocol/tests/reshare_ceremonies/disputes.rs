//! Complaints and their answers, which only a re-dealing without a dealer to spare needs.

use codec::Encode;
use entropy_protocol::Offence;
use entropy_shared::PartyId;
use k256::Scalar;

use crate::{
    cheats::{ANSWER, Case, DEALING, STATEMENT, insisting},
    common::{Network, Packet},
    forge::{Answer, Dealt, Relay, Seen, read},
};

const RELAY: u8 = 5;
const RELAY_HEARD: u8 = 6;

/// The dealer's subshare for the joiner is spoilt, rightly signed; what follows goes through `then`.
fn bad_subshare(
    case: &Case,
    dealer: PartyId,
    mut then: impl FnMut(Packet) -> Vec<Packet> + 'static,
) -> Network {
    let (context, joiner) = (case.context.clone(), case.joiner);
    Network::orderly(4).tamper(move |packet| {
        if packet.from == dealer && packet.to == joiner && packet.round() == DEALING {
            let mut dealt: Dealt = read(&packet);
            dealt.subshare[31] ^= 1;
            return vec![packet.with_body(dealt.signed(&context, &dealer, &joiner).encode())];
        }
        then(packet)
    })
}

/// The same dispute, but nobody is to blame for it: the dealing to the joiner is lost.
fn lost_dealing(
    case: &Case,
    dealer: PartyId,
    mut then: impl FnMut(Packet) -> Vec<Packet> + 'static,
) -> Network {
    let joiner = case.joiner;
    Network::orderly(4).tamper(move |packet| {
        if (packet.from, packet.to, packet.round()) == (dealer, joiner, DEALING) {
            return vec![];
        }
        then(packet)
    })
}

fn rounds(transcript: &[Packet]) -> Vec<u8> {
    let rounds: std::collections::BTreeSet<_> = transcript.iter().map(Packet::round).collect();
    rounds.into_iter().collect()
}

#[test]
fn a_complaint_that_is_answered_costs_nothing() {
    let case = Case::tight();
    for dealer in case.dealers() {
        let run = case.run(bad_subshare(&case, dealer, |packet| vec![packet]));
        assert_eq!(rounds(&run.transcript), [1, 2, 3, 4, 5, 6, 7]);
        case.assert_good(run);
    }
}

#[test]
fn with_a_dealer_to_spare_nobody_answers() {
    let case = Case::spare();
    for dealer in case.dealers() {
        let run = case.run(bad_subshare(&case, dealer, |packet| vec![packet]));
        assert_eq!(rounds(&run.transcript), [1, 2, 3, 7]);
        case.assert_good(run);
    }
}

/// Nothing is published but what the accuser should have.
#[test]
fn an_answer_holds_the_accusers_subshare_only() {
    let case = Case::tight();
    let run = case.run(bad_subshare(&case, case.leaver, |packet| vec![packet]));
    let answers: Vec<_> = run
        .transcript
        .iter()
        .filter(|it| it.round() == ANSWER)
        .collect();
    assert!(answers.iter().all(|it| it.from == case.leaver));
    assert!(
        answers
            .iter()
            .all(|it| read::<Answer>(it).subshares.len() == 1)
    );
}

/// `dealer` answers with what `edit` makes of its answer, or not at all; one that stays insists on that in its relay.
fn answering(
    case: &Case,
    dealer: PartyId,
    edit: impl Fn(&mut Answer) -> bool + 'static,
) -> impl FnMut(Packet) -> Vec<Packet> + 'static {
    let mut relay = relaying(case, dealer, |relay| relay.answers[0] = None);
    let mut insist = insisting(dealer, RELAY, move |packet| {
        let edited = relay(packet);
        let seen = read::<Relay>(&edited).seen();
        (edited, seen)
    });
    move |packet| {
        if packet.from != dealer || packet.round() != ANSWER {
            return insist(packet);
        }
        let mut answer: Answer = read(&packet);
        let sent = edit(&mut answer);
        sent.then(|| packet.with_body(answer.encode()))
            .into_iter()
            .collect()
    }
}

#[test]
fn a_dealer_without_an_answer_is_blamed() {
    let case = Case::tight();
    for dealer in case.dealers() {
        let run = case.run(bad_subshare(
            &case,
            dealer,
            answering(&case, dealer, |_| false),
        ));
        case.assert_blamed(&run, dealer, Offence::BadShare);
    }
}

#[test]
fn a_dealer_with_a_wrong_answer_is_blamed() {
    let edits: [fn(&mut Answer); 5] = [
        |answer| answer.subshares[0][31] ^= 1,
        |answer| answer.subshares.clear(),
        |answer| answer.subshares.push([1; 32]),
        |answer| answer.signature[0] ^= 1,
        |answer| answer.commitments.swap(0, 1),
    ];
    let case = Case::tight();
    for dealer in case.dealers() {
        for edit in edits {
            let wrong = answering(&case, dealer, move |answer| {
                edit(answer);
                true
            });
            let run = case.run(bad_subshare(&case, dealer, wrong));
            case.assert_blamed(&run, dealer, Offence::BadShare);
        }
    }
}

/// Whoever gets the answer passes it on.
#[test]
fn an_answer_that_one_holder_gets_is_enough() {
    let case = Case::tight();
    for lucky in case.context.committee.parties().to_vec() {
        for dealer in case.dealers() {
            if lucky == dealer {
                continue;
            }
            let run = case.run(bad_subshare(&case, dealer, move |packet| {
                if packet.from == dealer && packet.round() == ANSWER && packet.to != lucky {
                    vec![]
                } else {
                    vec![packet]
                }
            }));
            case.assert_good(run);
        }
    }
}

/// An accuser that got what it says it lacks looks like one that did not: the dealer answers, and nobody is blamed.
#[test]
fn a_false_complaint_costs_nothing() {
    for case in [Case::spare(), Case::tight()] {
        for dealer in case.dealers() {
            for accuser in case.context.committee.parties().to_vec() {
                if accuser == dealer {
                    continue;
                }
                let run = case.run(Network::orderly(4).tamper(move |packet| {
                    let lost =
                        (packet.from, packet.to, packet.round()) == (dealer, accuser, DEALING);
                    if lost { vec![] } else { vec![packet] }
                }));
                case.assert_good(run);
            }
        }
    }
}

/// All dealings of one dealer are lost: it answers everyone, and nobody is blamed.
#[test]
fn lost_dealings_are_dealt_again_in_public() {
    let case = Case::tight();
    let leaver = case.leaver;
    let run = case.run(Network::orderly(4).tamper(move |packet| {
        if packet.from == leaver && packet.round() == DEALING {
            vec![]
        } else {
            vec![packet]
        }
    }));
    case.assert_good(run);
}

/// What comes after the holders went on without it is no offence.
#[test]
fn a_late_dealing_is_no_offence() {
    for case in [Case::spare(), Case::tight()] {
        let leaver = case.leaver;
        let mut late = Vec::new();
        let run = case.run(Network::orderly(4).tamper(move |packet| {
            if packet.from == leaver && packet.round() == DEALING {
                late.push(packet);
                return vec![];
            }
            let mut due = Vec::new();
            if packet.round() == STATEMENT {
                due.append(&mut late);
            }
            due.push(packet);
            due
        }));
        case.assert_good(run);
    }
}

#[test]
fn a_dealer_that_nobody_hears_is_silent() {
    let case = Case::tight();
    let run = case.run(Network::orderly(4).silence(case.leaver));
    case.assert_blamed(&run, case.leaver, Offence::Silent);
}

/// Different dealings in the answers, where nobody holds one from before.
#[test]
fn two_answers_are_equivocation() {
    let case = Case::tight();
    let inner = Case::tight();
    let (leaver, joiner) = (case.leaver, case.joiner);
    let second = case.polynomial(&leaver, Scalar::ZERO, 2);
    let run = case.run(Network::orderly(4).tamper(move |packet| {
        match (packet.from == leaver, packet.round()) {
            (true, DEALING) => vec![],
            (true, ANSWER) if packet.to == joiner => {
                let dealt = second.dealt(&inner.context, &leaver, &joiner);
                let indices = 1..=inner.context.committee.size();
                let answer = Answer {
                    commitments: dealt.commitments,
                    signature: dealt.signature,
                    subshares: indices.map(|index| second.evaluate(index)).collect(),
                };
                vec![packet.with_body(answer.encode())]
            }
            _ => vec![packet],
        }
    }));
    case.assert_blamed(&run, leaver, Offence::Equivocation);
}

/// `culprit`'s relay edited, signed again.
fn relaying(
    case: &Case,
    culprit: PartyId,
    edit: fn(&mut Relay),
) -> impl FnMut(&Packet) -> Packet + 'static {
    let context = case.context.clone();
    move |packet| {
        let mut relay: Relay = read(packet);
        edit(&mut relay);
        packet.with_body(relay.signed(&context, &culprit).encode())
    }
}

#[test]
fn a_holder_that_passes_on_what_is_no_answer_is_blamed() {
    type Edit = fn(&mut Relay);
    let edits: [(Edit, Offence); 2] = [
        (
            |relay| relay.answers[0].as_mut().unwrap().subshares[0][31] ^= 1,
            Offence::FailedProof,
        ),
        (|relay| relay.answers.clear(), Offence::Malformed),
    ];
    for (edit, offence) in edits {
        let case = Case::tight();
        let mut relay = relaying(&case, case.stayer, edit);
        let cheat = insisting(case.stayer, RELAY, move |packet| {
            let edited = relay(packet);
            let seen = read::<Relay>(&edited).seen();
            (edited, seen)
        });
        let run = case.run(lost_dealing(&case, case.leaver, cheat));
        case.assert_blamed(&run, case.stayer, offence);
    }
}

#[test]
fn a_holder_that_passes_on_two_things_is_blamed() {
    let case = Case::tight();
    let (culprit, deceived) = (case.stayer, case.joiner);
    let mut relay = relaying(&case, culprit, |relay| relay.answers[0] = None);
    let network = lost_dealing(&case, case.leaver, move |packet| {
        if (packet.from, packet.to, packet.round()) == (culprit, deceived, RELAY) {
            vec![relay(&packet)]
        } else {
            vec![packet]
        }
    });
    case.assert_blamed(&case.run(network), culprit, Offence::Equivocation);
}

#[test]
fn false_echoes_and_garbage_in_a_dispute_are_blamed() {
    let case = Case::tight();
    let culprit = case.joiner;
    let own = case.context.committee.index(&culprit).unwrap();
    let network = bad_subshare(&case, case.leaver, move |packet| {
        if packet.from != culprit || packet.round() != RELAY_HEARD {
            return vec![packet];
        }
        let mut heard: Vec<Seen> = read(&packet);
        heard[usize::from(own == 1)].hash[0] ^= 1;
        vec![packet.with_body(heard.encode())]
    });
    case.assert_blamed(&case.run(network), culprit, Offence::FailedProof);
    for round in [RELAY, RELAY_HEARD] {
        for cut in [true, false] {
            let network = bad_subshare(&case, case.leaver, move |packet| {
                if packet.from != culprit || packet.round() != round {
                    return vec![packet];
                }
                let spoil = |body: &mut Vec<u8>| {
                    if cut {
                        body.pop();
                    } else {
                        body.push(0);
                    }
                };
                vec![packet.edited(spoil)]
            });
            case.assert_blamed(&case.run(network), culprit, Offence::Malformed);
        }
    }
}

#[test]
fn garbage_for_an_answer_is_no_answer() {
    let case = Case::tight();
    for whole in [true, false] {
        let leaver = case.leaver;
        let run = case.run(bad_subshare(&case, leaver, move |packet| {
            if packet.from != leaver || packet.round() != ANSWER {
                return vec![packet];
            }
            if whole {
                let payload = vec![7; 99];
                return vec![Packet { payload, ..packet }];
            }
            vec![packet.with_body(vec![7; 99])]
        }));
        case.assert_blamed(&run, leaver, Offence::BadShare);
    }
}
