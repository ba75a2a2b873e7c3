//! A cheater for every offence: tolerated while enough others deal, else the same blame at everyone that can tell.

use std::{cell::Cell, collections::BTreeSet};

use codec::Encode;
use entropy_protocol::{
    Blame, Evidence, KeyShare, MAX_PAYLOAD_BYTES, Offence, ReshareContext, evidence::EvidenceError,
};
use entropy_shared::{PartyId, Scheme};
use k256::Scalar;
use proptest::prelude::*;
use rand::{Rng, RngCore, SeedableRng};
use rand_chacha::ChaCha20Rng;

use crate::{
    common::{Network, Packet, Run, new_shares, reshare_context, reshares, servers},
    forge::{Claim, Dealt, Polynomial, Seen, Statement, read, secret},
    honest::{Shares, any, assert_same_key, old_shares},
};

/// Where the ceremony's messages are, if nobody is in dispute.
pub(crate) const DEALING: u8 = 1;
pub(crate) const STATEMENT: u8 = 2;
pub(crate) const HEARD: u8 = 3;
pub(crate) const ANSWER: u8 = 4;
const AGREEMENT: u8 = 7;

/// A re-dealing of shares 2 of 3 to three servers, threshold 2.
pub(crate) struct Case {
    pub(crate) old: Shares,
    pub(crate) context: ReshareContext,
    /// A dealer that leaves.
    pub(crate) leaver: PartyId,
    /// A dealer that stays.
    pub(crate) stayer: PartyId,
    /// A new holder without an old share.
    pub(crate) joiner: PartyId,
}

impl Case {
    /// With so many dealers: with 3 there is one to spare, with 2 there is not.
    pub(crate) fn new(dealers: usize) -> Self {
        let old = old_shares(Scheme::SchnorrTaproot, 2, 3);
        // Number 2 stays, 0 and 1 leave.
        let (stayer, leaver, joiner) = (servers(2..3)[0], servers(0..1)[0], servers(3..4)[0]);
        let mut chosen: Vec<_> = match dealers {
            2 => vec![leaver, stayer],
            _ => old.keys().copied().collect(),
        };
        chosen.sort();
        let context = reshare_context(any(&old).public(), &chosen, &servers(2..5), 2);
        Self {
            old,
            context,
            leaver,
            stayer,
            joiner,
        }
    }

    pub(crate) fn spare() -> Self {
        Self::new(3)
    }

    pub(crate) fn tight() -> Self {
        Self::new(2)
    }

    pub(crate) fn run(&self, network: Network) -> Run<Option<KeyShare>> {
        network.run(reshares(&self.context, &self.old))
    }

    /// All evidence at honest parties holds; gives whom it accuses of what.
    pub(crate) fn proven(
        &self,
        run: &Run<Option<KeyShare>>,
        culprit: Option<PartyId>,
    ) -> BTreeSet<(PartyId, Offence)> {
        let honest = run
            .evidence
            .iter()
            .filter(|(party, _)| Some(**party) != culprit);
        let verified = |evidence: &Evidence| {
            let again = Evidence::from_bytes(&evidence.to_bytes()).unwrap();
            assert_eq!(again, *evidence);
            let offence = again.verify(&self.context).unwrap();
            let mut other = self.context.clone();
            other.attempt += 1;
            assert_eq!(again.verify(&other), Err(EvidenceError::NotSigned));
            (again.accused(), offence)
        };
        honest
            .flat_map(|(_, evidence)| evidence)
            .map(verified)
            .collect()
    }

    pub(crate) fn assert_good(&self, run: Run<Option<KeyShare>>) {
        let accused: BTreeSet<_> = self.proven(&run, None).into_iter().map(|it| it.0).collect();
        assert!(accused.len() <= 1, "there is one cheater at most");
        assert_same_key(&self.context, &self.old, &new_shares(&self.context, run));
    }

    /// Every new holder blames exactly this; so does every dealer that leaves, if its part was not over before.
    pub(crate) fn assert_blamed(
        &self,
        run: &Run<Option<KeyShare>>,
        culprit: PartyId,
        offence: Offence,
    ) {
        for (accused, _) in self.proven(run, Some(culprit)) {
            assert_eq!(accused, culprit, "no honest party is proven guilty");
        }
        let blame = vec![Blame {
            party: culprit,
            offence,
        }];
        for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != culprit) {
            match outcome {
                Ok(None) if !self.context.committee.contains(party) => {}
                Ok(_) => panic!("{party} did not fail"),
                Err(failure) => assert_eq!(failure.blame, blame, "{party}: {failure}"),
            }
        }
    }

    pub(crate) fn dealers(&self) -> [PartyId; 2] {
        [self.leaver, self.stayer]
    }

    pub(crate) fn polynomial(
        &self,
        dealer: &PartyId,
        change: Scalar,
        coefficients: usize,
    ) -> Polynomial {
        Polynomial::new(secret(&self.old[dealer]) + change, coefficients, 8)
    }
}

/// Replaces what `dealer` deals, and drops its answers.
pub(crate) fn dealing(
    dealer: PartyId,
    mut replace: impl FnMut(&Packet) -> Packet + 'static,
) -> Network {
    Network::orderly(4).tamper(
        move |packet| match (packet.from == dealer, packet.round()) {
            (true, DEALING) => vec![replace(&packet)],
            (true, ANSWER) => vec![],
            _ => vec![packet],
        },
    )
}

/// A dealing that is wrong for everyone: costs nothing with a dealer to spare, and is blamed without.
///
/// A dealer that stays is also a holder, with honest code: where the wrong dealing is signed it shows the others a second one,
/// elsewhere it passes on its own answer.
fn wrong_dealing(
    offence: Offence,
    signed: bool,
    replace: impl Fn(&Case, &PartyId, &Packet) -> Packet + Copy + 'static,
) {
    for position in 0..2 {
        for (case, spare) in [(Case::spare(), true), (Case::tight(), false)] {
            let culprit = case.dealers()[position];
            let inner = if spare { Case::spare() } else { Case::tight() };
            let run = case.run(dealing(culprit, move |packet| {
                replace(&inner, &culprit, packet)
            }));
            if spare || (position == 1 && !signed) {
                case.assert_good(run);
            } else if position == 1 {
                case.assert_blamed(&run, culprit, Offence::Equivocation);
            } else {
                case.assert_blamed(&run, culprit, offence);
            }
        }
    }
}

pub(crate) fn deal_from(
    case: &Case,
    dealer: &PartyId,
    packet: &Packet,
    polynomial: &Polynomial,
) -> Packet {
    let dealt = polynomial.dealt(&case.context, dealer, &packet.to);
    packet.with_body(dealt.encode())
}

/// Its commitments, signatures and subshares all fit each other: without this check all shares would be of another key.
#[test]
fn a_dealer_of_another_secret_is_caught() {
    wrong_dealing(Offence::BadShare, true, |case, dealer, packet| {
        let polynomial = case.polynomial(dealer, Scalar::ONE, 2);
        deal_from(case, dealer, packet, &polynomial)
    });
}

/// One too many would leave dead shares; one too few would lower the threshold.
#[test]
fn a_polynomial_of_another_degree_is_malformed() {
    for coefficients in [1, 3] {
        wrong_dealing(Offence::Malformed, true, move |case, dealer, packet| {
            let polynomial = case.polynomial(dealer, Scalar::ZERO, coefficients);
            deal_from(case, dealer, packet, &polynomial)
        });
    }
}

#[test]
fn an_honest_dealing_made_by_the_test_is_taken() {
    let case = Case::tight();
    let inner = Case::tight();
    let polynomial = case.polynomial(&case.leaver, Scalar::ZERO, 2);
    let leaver = case.leaver;
    let run = case.run(dealing(leaver, move |packet| {
        deal_from(&inner, &leaver, packet, &polynomial)
    }));
    case.assert_good(run);
}

#[test]
fn a_subshare_that_does_not_fit_is_caught() {
    wrong_dealing(Offence::BadShare, false, |case, dealer, packet| {
        let mut dealt: Dealt = read(packet);
        dealt.subshare[31] ^= 1;
        packet.with_body(dealt.signed(&case.context, dealer, &packet.to).encode())
    });
}

#[test]
fn wrong_signatures_are_failed_proofs() {
    wrong_dealing(Offence::FailedProof, false, |_, _, packet| {
        let mut dealt: Dealt = read(packet);
        dealt.signature[0] ^= 1;
        packet.with_body(dealt.encode())
    });
    wrong_dealing(Offence::FailedProof, false, |_, _, packet| {
        let mut dealt: Dealt = read(packet);
        dealt.subshare_signature[0] ^= 1;
        packet.with_body(dealt.encode())
    });
    // What it signed for another recipient.
    wrong_dealing(Offence::FailedProof, false, |case, dealer, packet| {
        let other = servers(2..5)
            .into_iter()
            .find(|it| *it != packet.to)
            .unwrap();
        let dealt: Dealt = read(packet);
        packet.with_body(dealt.signed(&case.context, dealer, &other).encode())
    });
    // What it signed in another attempt.
    wrong_dealing(Offence::FailedProof, false, |case, dealer, packet| {
        let mut context = case.context.clone();
        context.attempt += 1;
        let dealt: Dealt = read(packet);
        packet.with_body(dealt.signed(&context, dealer, &packet.to).encode())
    });
}

const SPOILT: [fn(&Packet) -> Packet; 7] = [
    |packet| packet.edited(|body| body.push(0)),
    |packet| packet.edited(|body| body.truncate(body.len() - 1)),
    |packet| packet.edited(Vec::clear),
    |packet| packet.with_body(vec![0xff; packet.frame().body.len()]),
    |packet| packet.with_body(vec![0; MAX_PAYLOAD_BYTES - 64]),
    |packet| Packet {
        payload: vec![0; MAX_PAYLOAD_BYTES + 1],
        ..packet.clone()
    },
    |packet| Packet {
        payload: packet.payload[..packet.payload.len() - 1].to_vec(),
        ..packet.clone()
    },
];

#[test]
fn garbage_for_a_dealing_is_malformed() {
    for spoil in SPOILT {
        wrong_dealing(Offence::Malformed, false, move |_, _, packet| spoil(packet));
    }
}

#[test]
fn garbage_of_a_holder_is_blamed_by_everyone() {
    for round in [STATEMENT, HEARD, AGREEMENT] {
        for (number, spoil) in SPOILT.into_iter().enumerate() {
            println!("round {round}, spoilt in way {number}");
            if (round, number) == (AGREEMENT, 3) {
                // Any 32 bytes are a digest.
                continue;
            }
            let case = Case::spare();
            for culprit in [case.stayer, case.joiner] {
                let run = case.run(Network::orderly(4).cheat(culprit, round, spoil));
                case.assert_blamed(&run, culprit, Offence::Malformed);
            }
        }
    }
}

#[test]
fn a_message_of_another_attempt_is_refused() {
    let case = Case::spare();
    let mut other = Case::spare();
    other.context.attempt = 2;
    let recorded = other.run(Network::orderly(4)).transcript;
    let replayed = move |packet: &Packet| {
        let same = |old: &&Packet| {
            (old.from, old.to, old.round()) == (packet.from, packet.to, packet.round())
        };
        recorded.iter().find(same).unwrap().clone()
    };
    for round in [STATEMENT, HEARD, AGREEMENT] {
        let run = case.run(Network::orderly(5).cheat(case.joiner, round, replayed.clone()));
        case.assert_blamed(&run, case.joiner, Offence::OtherCeremony);
    }
    // A dealing is not needed of everyone.
    let run = case.run(Network::orderly(5).cheat(case.leaver, DEALING, replayed.clone()));
    case.assert_good(run);
    // Nor could its content be taken from there, in an envelope of this ceremony.
    let moved = move |packet: &Packet| packet.with_body(replayed(packet).frame().body);
    let run = case.run(Network::orderly(5).cheat(case.joiner, STATEMENT, moved));
    case.assert_blamed(&run, case.joiner, Offence::FailedProof);
}

/// Two dealings with good signatures, each with the right constant: the signatures are the proof.
#[test]
fn a_dealer_that_shows_two_dealings_is_out() {
    for (case, spare) in [(Case::spare(), true), (Case::tight(), false)] {
        for position in 0..2 {
            let culprit = case.dealers()[position];
            let inner = if spare { Case::spare() } else { Case::tight() };
            let second = case.polynomial(&culprit, Scalar::ZERO, 2);
            let deceived = case.joiner;
            let run = case.run(dealing(culprit, move |packet| {
                if packet.to == deceived {
                    deal_from(&inner, &culprit, packet, &second)
                } else {
                    packet.clone()
                }
            }));
            if spare {
                case.assert_good(run);
            } else {
                case.assert_blamed(&run, culprit, Offence::Equivocation);
            }
        }
    }
}

/// Two different dealings to one holder, which complains of it. The others have one.
#[test]
fn two_dealings_for_one_holder_cost_their_dealer_only() {
    for (case, spare) in [(Case::spare(), true), (Case::tight(), false)] {
        let culprit = case.leaver;
        let inner = if spare { Case::spare() } else { Case::tight() };
        let second = case.polynomial(&culprit, Scalar::ZERO, 2);
        let run = case.run(Network::orderly(4).tamper(move |packet| {
            match (packet.from == culprit, packet.round()) {
                (true, DEALING) => {
                    vec![
                        packet.clone(),
                        deal_from(&inner, &culprit, &packet, &second),
                    ]
                }
                (true, ANSWER) => vec![],
                _ => vec![packet],
            }
        }));
        if spare {
            case.assert_good(run);
        } else {
            case.assert_blamed(&run, culprit, Offence::Equivocation);
        }
    }
}

/// `culprit` says what `edit` makes of its words in `round`, and claims in the next one that it has never said anything else.
pub(crate) fn insisting(
    culprit: PartyId,
    round: u8,
    mut edit: impl FnMut(&Packet) -> (Packet, Seen) + 'static,
) -> impl FnMut(Packet) -> Vec<Packet> + 'static {
    let (mut before, mut after) = (None, None);
    move |packet| {
        if packet.from != culprit {
            return vec![packet];
        }
        if packet.round() == round {
            let (edited, seen) = edit(&packet);
            let signature = &packet.frame().body[packet.frame().body.len() - 64..];
            before = Some(signature.to_vec());
            after = Some(seen);
            return vec![edited];
        }
        if packet.round() == round + 1 {
            let mut heard: Vec<Seen> = read(&packet);
            let own = |seen: &&mut Seen| Some(seen.signature.to_vec()) == before;
            *heard.iter_mut().find(own).unwrap() = after.unwrap();
            return vec![packet.with_body(heard.encode())];
        }
        vec![packet]
    }
}

/// `culprit`'s statement with its claims edited, signed again.
pub(crate) fn stating(
    culprit: PartyId,
    context: ReshareContext,
    edit: impl Fn(&mut Vec<Claim>) + 'static,
) -> impl FnMut(&Packet) -> Packet + 'static {
    move |packet| {
        let mut statement: Statement = read(packet);
        edit(&mut statement.claims);
        packet.with_body(statement.signed(&context, &culprit).encode())
    }
}

#[test]
fn a_holder_that_says_two_things_is_blamed_by_everyone() {
    for culprit in [Case::spare().stayer, Case::spare().joiner] {
        for deceived in Case::spare().context.parties() {
            let case = Case::spare();
            if deceived == culprit {
                continue;
            }
            let mut other = stating(culprit, case.context.clone(), |claims| {
                claims[0].fault = Some(crate::forge::BAD_SHARE);
            });
            let run = case.run(
                Network::orderly(4).cheat(culprit, STATEMENT, move |packet| {
                    if packet.to == deceived {
                        other(packet)
                    } else {
                        packet.clone()
                    }
                }),
            );
            // If only a leaver was deceived, the holders among themselves heard one thing, and go on.
            if case.context.committee.contains(&deceived) {
                case.assert_blamed(&run, culprit, Offence::Equivocation);
            } else {
                run.assert_blames(&deceived, culprit, Offence::Equivocation);
                assert!(matches!(run.outcomes[&case.joiner], Ok(Some(_))));
            }
        }
    }
}

#[test]
fn statements_that_say_nothing_or_lie_about_signatures_are_blamed() {
    let case = Case::spare();
    let culprit = case.joiner;
    let network = |edit: fn(&mut Vec<Claim>)| {
        let mut edit = stating(culprit, case.context.clone(), edit);
        Network::orderly(4).tamper(insisting(culprit, STATEMENT, move |packet| {
            let edited = edit(packet);
            let seen = read::<Statement>(&edited).seen();
            (edited, seen)
        }))
    };
    let malformed: [fn(&mut Vec<Claim>); 3] = [
        |claims| claims.truncate(2),
        |claims| claims.push(claims[0].clone()),
        |claims| {
            claims[1] = Claim {
                seen: None,
                fault: None,
            }
        },
    ];
    for edit in malformed {
        case.assert_blamed(&case.run(network(edit)), culprit, Offence::Malformed);
    }
    let forged: [fn(&mut Vec<Claim>); 2] = [
        |claims| claims[0].seen.as_mut().unwrap().hash[0] ^= 1,
        |claims| claims[0].seen = claims[1].seen,
    ];
    for edit in forged {
        case.assert_blamed(&case.run(network(edit)), culprit, Offence::FailedProof);
    }
    let unsigned = Network::orderly(4).cheat(culprit, STATEMENT, |packet| {
        let mut statement: Statement = read(packet);
        statement.signature[0] ^= 1;
        packet.with_body(statement.encode())
    });
    case.assert_blamed(&case.run(unsigned), culprit, Offence::FailedProof);
}

#[test]
fn a_false_echo_is_a_failed_proof() {
    let case = Case::spare();
    let network = |edit: fn(&mut Vec<Seen>)| {
        Network::orderly(4).cheat(case.joiner, HEARD, move |packet| {
            let mut heard: Vec<Seen> = read(packet);
            edit(&mut heard);
            packet.with_body(heard.encode())
        })
    };
    let own = case.context.committee.index(&case.joiner).unwrap();
    let lie: fn(&mut Vec<Seen>) = match own {
        1 => |heard| heard[1].hash[0] ^= 1,
        _ => |heard| heard[0].hash[0] ^= 1,
    };
    case.assert_blamed(&case.run(network(lie)), case.joiner, Offence::FailedProof);
    let short = case.run(network(|heard| heard.truncate(2)));
    case.assert_blamed(&short, case.joiner, Offence::Malformed);
}

#[test]
fn another_digest_at_the_end_is_out_of_place() {
    let case = Case::spare();
    let run = case.run(Network::orderly(4).cheat(case.joiner, AGREEMENT, |packet| {
        packet.edited(|body| body[0] ^= 1)
    }));
    case.assert_blamed(&run, case.joiner, Offence::Unexpected);
}

/// Messages that are not the sender's to send: of a joiner they end it, of a leaver they change nothing.
#[test]
fn messages_out_of_place() {
    let at = |packet: &Packet, round: u8| {
        let mut frame = packet.frame();
        frame.round = round;
        Packet {
            payload: frame.encode(),
            ..packet.clone()
        }
    };
    for round in [0, 8, 255] {
        let case = Case::spare();
        let run =
            case.run(Network::orderly(4).cheat(case.joiner, STATEMENT, move |it| at(it, round)));
        case.assert_blamed(&run, case.joiner, Offence::Unexpected);
    }
    let case = Case::spare();
    let run =
        case.run(Network::orderly(4).cheat(case.joiner, STATEMENT, move |it| at(it, DEALING)));
    case.assert_blamed(&run, case.joiner, Offence::Unexpected);
    for round in [0, STATEMENT, HEARD, ANSWER, AGREEMENT, 8] {
        let leaver = case.leaver;
        let run = case.run(Network::orderly(4).tamper(move |packet| {
            if packet.from == leaver {
                vec![packet.clone(), at(&packet, round)]
            } else {
                vec![packet]
            }
        }));
        case.assert_good(run);
    }
}

/// Every party stops before each of its messages: either the others do without it, or all of them miss it.
#[test]
fn a_party_that_stops_at_any_message() {
    for case in [Case::spare(), Case::tight()] {
        for party in case.context.parties() {
            for kept in 0.. {
                let (sent, cut) = (Cell::new(0), std::rc::Rc::new(Cell::new(false)));
                let seen = cut.clone();
                let run = case.run(Network::orderly(6).tamper(move |packet| {
                    if packet.from != party {
                        return vec![packet];
                    }
                    sent.set(sent.get() + 1);
                    if sent.get() > kept {
                        seen.set(true);
                        return vec![];
                    }
                    vec![packet]
                }));
                if !cut.get() {
                    break;
                }
                let holders = || {
                    let others = run.outcomes.iter().filter(|(it, _)| **it != party);
                    others.filter(|(it, _)| case.context.committee.contains(it))
                };
                let missed = vec![Blame {
                    party,
                    offence: Offence::Silent,
                }];
                for (holder, outcome) in holders() {
                    match outcome {
                        Ok(share) => assert!(share.is_some()),
                        // Who failed for the crash of another's is missed in turn by those who wait for it.
                        Err(failure) => assert!(
                            failure.blame == missed
                                || failure.blame.iter().all(|it| it.offence == Offence::Silent),
                            "{holder}: {failure}"
                        ),
                    }
                }
                let (good, bad): (Vec<_>, Vec<_>) = holders().partition(|(_, it)| it.is_ok());
                let leaves = !case.context.committee.contains(&party);
                let spare = case.context.dealers.len() == 3;
                assert!(!(leaves && spare) || bad.is_empty(), "one to spare");
                let packages: BTreeSet<_> = good
                    .iter()
                    .map(|(_, it)| it.as_ref().unwrap().as_ref().unwrap().public().digest())
                    .collect();
                assert!(
                    packages.len() <= 1,
                    "who ends well has what the others have"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever one party sends: no panic, no other party is blamed for more than silence, and all who end well agree.
    #[test]
    fn a_party_that_sends_garbage_harms_nobody(seed: u64, rate in 0.05f64..1.0, who in 0usize..5, spare: bool) {
        let case = if spare { Case::spare() } else { Case::tight() };
        let parties = case.context.parties();
        let liar = parties[who % parties.len()];
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let run = case.run(Network::chaotic(seed).tamper(move |packet| {
            if packet.from != liar || !rng.gen_bool(rate) {
                return vec![packet];
            }
            let spoilt = packet.edited(|body| {
                if rng.gen_bool(0.3) || body.is_empty() {
                    body.resize(rng.gen_range(0..400), 0);
                    rng.fill_bytes(body);
                } else {
                    let at = rng.gen_range(0..body.len());
                    body[at] ^= 1 << rng.gen_range(0..8);
                }
            });
            if rng.gen_bool(0.2) { vec![packet, spoilt] } else { vec![spoilt] }
        }));
        for (accused, _) in case.proven(&run, Some(liar)) {
            prop_assert_eq!(accused, liar);
        }
        let mut digests = BTreeSet::new();
        for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != liar) {
            match outcome {
                Ok(Some(share)) => { digests.insert(share.public().digest()); }
                Ok(None) => prop_assert!(!case.context.committee.contains(party)),
                Err(failure) => for blame in &failure.blame {
                    prop_assert!(blame.party == liar || blame.offence == Offence::Silent, "{}", failure);
                },
            }
        }
        prop_assert!(digests.len() <= 1);
    }
}
