//! Dealing a key's shares anew, who forms the next committee, and what one dishonest party can delay.

use entropy_shared::{
    Committee, Digest, Epoch, PartyId, Scheme, ThresholdRule,
    lifecycle::{
        key::{
            AttemptOutcome, AttemptReport, KeyNote, KeyState, LeftOutReason, ReportError,
            ReshareError, Transition, begin,
        },
        membership::{Candidates, choose},
        standing::{ReadyError, Standing},
    },
    parameters::Parameters,
};
use proptest::prelude::*;

use crate::support::{GENESIS, Root, committee, parameters, party};

const SCHEME: Scheme = Scheme::SchnorrTaproot;
const PUBLIC: Digest = Digest([7; 32]);

fn parties(numbers: &[u8]) -> Vec<PartyId> {
    numbers.iter().copied().map(party).collect()
}

fn of(numbers: &[u8], threshold: u16) -> Committee {
    Committee::new(parties(numbers), threshold).unwrap()
}

fn ready(root: &Root, state: &KeyState, server: PartyId) -> AttemptReport {
    let attempt = state.attempt().unwrap();
    root.ready_in(attempt.epoch, server, SCHEME, attempt.attempt, PUBLIC)
}

fn failed(state: &KeyState, server: PartyId, accused: &[u8], missed: &[u8]) -> AttemptReport {
    let attempt = state.attempt().unwrap();
    AttemptReport {
        server,
        scheme: SCHEME,
        epoch: attempt.epoch,
        attempt: attempt.attempt,
        outcome: AttemptOutcome::Failed {
            accused: parties(accused),
            missed: parties(missed),
        },
    }
}

fn report(state: &mut KeyState, report: &AttemptReport, now: u32) -> Vec<KeyNote> {
    let transition = state
        .report(&GENESIS, report, now, &parameters(), |_| None)
        .unwrap();
    *state = transition.state;
    transition.notes
}

/// Every party of the attempt reports the same share.
fn all_ready(state: &mut KeyState, root: &Root, now: u32) -> Vec<KeyNote> {
    let parties = state.attempt().unwrap().committee.parties().to_vec();
    let notes = parties
        .into_iter()
        .map(|server| report(state, &ready(root, state, server), now));
    notes.last().unwrap()
}

/// A key held by parties 1 to `size` since block 12.
fn active(size: u8, threshold: u16) -> (Root, KeyState) {
    let root = Root::new(5);
    let mut state = begin(committee(size, threshold), 10, &parameters()).state;
    all_ready(&mut state, &root, 12);
    (root, state)
}

#[test]
fn a_reshare_keeps_the_key_and_moves_it_to_the_target() {
    let (root, state) = active(4, 3);
    let before = state.active().unwrap().clone();
    let target = of(&[2, 3, 4, 5, 6], 4);
    let transition = state.reshare(target.clone(), 20, &parameters()).unwrap();
    assert!(matches!(
        transition.notes[..],
        [KeyNote::Started {
            epoch: 2,
            attempt: 1,
            ..
        }]
    ));
    let mut state = transition.state;
    assert_eq!(state.active(), Some(&before), "the present holders sign");
    assert!(state.involves(&party(1)) && state.involves(&party(6)));
    let attempt = state.attempt().unwrap();
    assert_eq!((attempt.epoch, &attempt.committee), (2, &target));

    // The holder that leaves deals, but holds nothing that it could report.
    let leaving = ready(&root, &state, party(1));
    assert_eq!(
        state.check_report(&GENESIS, &leaving, 21),
        Err(ReportError::NotAParty)
    );
    // Another key is refused, however well it is proven.
    let other = ready(&Root::new(6), &state, party(2));
    assert_eq!(
        state.check_report(&GENESIS, &other, 21),
        Err(ReportError::WrongKey)
    );
    // The leaving dealer can be accused; a stranger can't.
    let accused = failed(&state, party(2), &[1], &[3]);
    assert_eq!(state.check_report(&GENESIS, &accused, 21), Ok(()));
    let strange = failed(&state, party(2), &[9], &[]);
    assert_eq!(
        state.check_report(&GENESIS, &strange, 21),
        Err(ReportError::BadAccusation)
    );

    let notes = all_ready(&mut state, &root, 22);
    assert_eq!(
        notes,
        [KeyNote::Activated {
            epoch: 2,
            root_key: root.key()
        }]
    );
    let after = state.active().unwrap();
    assert_eq!(after.root_key, before.root_key);
    assert_eq!(
        (after.epoch, &after.committee, after.since),
        (2, &target, 22)
    );
    assert!(!state.involves(&party(1)));
    let late = AttemptReport {
        epoch: 2,
        ..ready_of(&root, 2, 1, party(2))
    };
    assert_eq!(
        state.check_report(&GENESIS, &late, 23),
        Err(ReportError::Obsolete)
    );
}

fn ready_of(root: &Root, epoch: Epoch, attempt: u32, server: PartyId) -> AttemptReport {
    root.ready_in(epoch, server, SCHEME, attempt, PUBLIC)
}

#[test]
fn at_least_t_holders_stay_and_only_an_active_key_is_dealt_anew() {
    let (_, state) = active(4, 3);
    let newcomers = of(&[3, 4, 5, 6, 7], 4);
    assert_eq!(
        state.reshare(newcomers, 20, &parameters()),
        Err(ReshareError::TooFewStay)
    );
    // Four stay; three newcomers are fewer than a threshold of five, but not than one of three.
    let grown = |threshold| of(&[1, 2, 3, 4, 5, 6, 7], threshold);
    assert_eq!(
        state.reshare(grown(3), 20, &parameters()),
        Err(ReshareError::TooManyNew)
    );
    assert!(state.reshare(grown(4), 20, &parameters()).is_ok());
    let running = state
        .reshare(committee(4, 3), 20, &parameters())
        .unwrap()
        .state;
    assert_eq!(
        running.reshare(committee(4, 3), 21, &parameters()),
        Err(ReshareError::NotActive)
    );
    assert_eq!(
        KeyState::Absent.reshare(committee(4, 3), 21, &parameters()),
        Err(ReshareError::NotActive)
    );
}

#[test]
fn a_reshare_that_is_given_up_leaves_the_holders_and_its_attempt_never_comes_again() {
    let (root, state) = active(4, 3);
    let before = state.active().unwrap().clone();
    assert_eq!(give_up(&state), None);
    let mut state = state
        .reshare(committee(4, 3), 20, &parameters())
        .unwrap()
        .state;
    let early = ready(&root, &state, party(1));
    let deadline = state.attempt().unwrap().deadline;
    state = state
        .tick(deadline + 1, &parameters(), |_| None)
        .unwrap()
        .state;
    assert_eq!(state.attempt().unwrap().attempt, 2);
    let transition = give_up(&state).unwrap();
    assert_eq!(transition.notes, [KeyNote::GivenUp]);
    let state = transition.state;
    assert_eq!(state.active().unwrap().committee, before.committee);
    assert_eq!(
        state.check_report(&GENESIS, &early, 90),
        Err(ReportError::Obsolete)
    );
    let again = state
        .reshare(committee(4, 3), 90, &parameters())
        .unwrap()
        .state;
    assert_eq!(again.attempt().unwrap().attempt, 3);
}

fn give_up(state: &KeyState) -> Option<Transition> {
    state.give_up(90, &parameters(), |_| {
        unreachable!("the holders stay, so that nobody is chosen")
    })
}

#[test]
fn a_key_generation_that_is_given_up_begins_anew_with_whom_it_chooses() {
    let state = begin(committee(4, 3), 10, &parameters()).state;
    let fresh = of(&[1, 2, 5, 6], 3);
    let transition = state
        .give_up(20, &parameters(), |left_out| {
            assert_eq!(left_out, []);
            Some(fresh.clone())
        })
        .unwrap();
    assert!(matches!(
        transition.notes[..],
        [
            KeyNote::GivenUp,
            KeyNote::Started {
                epoch: 1,
                attempt: 2,
                ..
            }
        ]
    ));
    assert_eq!(transition.state.attempt().unwrap().target, fresh);
    let same = transition.state.give_up(21, &parameters(), |_| None);
    let same = same.unwrap().state;
    let attempt = same.attempt().unwrap();
    assert_eq!((attempt.attempt, &attempt.target), (3, &fresh));
    assert!(
        KeyState::Absent
            .give_up(22, &parameters(), |_| None)
            .is_none()
    );
}

#[test]
fn a_refresh_is_due_after_its_sessions_and_never_if_there_are_none() {
    let (_, state) = active(4, 3);
    let key = state.active().unwrap();
    let every = |refresh_sessions| Parameters {
        refresh_sessions,
        session_blocks: 10,
        ..parameters()
    };
    assert!(!key.is_refresh_due(1_000_000, &every(0)));
    assert!(!key.is_refresh_due(key.since + 19, &every(2)));
    assert!(key.is_refresh_due(key.since + 20, &every(2)));
}

#[test]
fn a_target_that_has_lost_too_many_is_chosen_anew_and_its_attempts_count_on() {
    let mut state = begin(committee(4, 3), 10, &parameters()).state;
    let root = Root::new(5);
    for silent in [4, 3] {
        let attempt = state.attempt().unwrap().clone();
        for server in attempt.committee.parties() {
            if *server != party(silent) {
                // Of the second attempt all that report accuse the one that is silent.
                let told = match attempt.attempt {
                    1 => ready(&root, &state, *server),
                    _ => failed(&state, *server, &[silent], &[]),
                };
                report(&mut state, &told, attempt.started);
            }
        }
        let over = state.attempt().unwrap().deadline + 1;
        let fresh = |left_out: &[PartyId]| {
            assert_eq!(left_out, parties(&[3, 4]));
            Some(of(&[1, 2, 5, 6], 3))
        };
        let transition = state.tick(over, &parameters(), fresh).unwrap();
        let exhausted = transition.notes.contains(&KeyNote::TooManyLeftOut);
        assert_eq!(exhausted, silent == 3);
        state = transition.state;
    }
    let attempt = state.attempt().unwrap();
    assert_eq!(attempt.target, of(&[1, 2, 5, 6], 3));
    assert_eq!(attempt.committee, attempt.target);
    assert_eq!((attempt.attempt, attempt.epoch), (3, 1));
    assert!(attempt.left_out.is_empty() && attempt.suspects.is_empty());
}

#[test]
fn an_attempt_of_only_t_parties_is_not_stuck_when_one_more_falls_silent() {
    let mut state = begin(committee(4, 3), 10, &parameters()).state;
    // All but 4 report the first attempt, so that three are left; then 3 is silent, and two alone are fewer than a threshold.
    for (silent, reporters) in [(4, vec![1, 2, 3]), (3, vec![1, 2])] {
        let attempt = state.attempt().unwrap().clone();
        for server in reporters {
            let told = failed(&state, party(server), &[], &[silent]);
            report(&mut state, &told, attempt.started);
        }
        let over = state.attempt().unwrap().deadline + 1;
        let transition = state.tick(over, &parameters(), |left_out| {
            assert_eq!(left_out, parties(&[3, 4]));
            Some(of(&[1, 2, 5, 6], 3))
        });
        let transition = transition.unwrap();
        let left_out = KeyNote::LeftOut {
            party: party(silent),
            reason: LeftOutReason::Silent,
        };
        assert_eq!(transition.notes[0], left_out);
        state = transition.state;
    }
    assert_eq!(state.attempt().unwrap().target, of(&[1, 2, 5, 6], 3));
}

#[test]
fn one_that_only_deals_is_left_out_when_it_spoils_attempts() {
    for attributed in [true, false] {
        let (root, state) = active(4, 3);
        let bad = party(4);
        let mut state = state
            .reshare(of(&[1, 2, 3, 5], 3), 20, &parameters())
            .unwrap()
            .state;
        while state.attempt().is_some() {
            let attempt = state.attempt().unwrap().clone();
            assert!(attempt.attempt <= 8, "dealer 4 still delays");
            let dealers = attempt.dealers(state.active().unwrap());
            assert!(dealers.len() >= 3, "a threshold deals");
            for member in attempt.committee.parties() {
                let told = if !dealers.contains(&bad) {
                    ready(&root, &state, *member)
                } else if attributed {
                    failed(&state, *member, &[4], &[])
                } else {
                    failed(&state, *member, &[], &[])
                };
                let notes = report(&mut state, &told, attempt.started);
                let accused = KeyNote::LeftOut {
                    party: bad,
                    reason: LeftOutReason::Accused,
                };
                assert!(attributed || !notes.contains(&accused));
            }
            assert!(
                state
                    .attempt()
                    .is_none_or(|now| now.attempt > attempt.attempt)
            );
        }
        assert_eq!(state.active().unwrap().epoch, 2);
    }
}

#[test]
fn whoever_is_only_set_aside_is_suspected_once_the_others_succeed_and_not_before() {
    let root = Root::new(5);
    let mut state = begin(committee(4, 3), 10, &parameters()).state;
    let mut set_aside = Vec::new();
    while state.active().is_none() {
        let attempt = state.attempt().unwrap().clone();
        let mut notes = Vec::new();
        for member in attempt.committee.parties() {
            let told = if attempt.set_aside.is_empty() {
                failed(&state, *member, &[], &[])
            } else {
                ready(&root, &state, *member)
            };
            notes = report(&mut state, &told, attempt.started);
        }
        let suspected: Vec<_> = notes
            .iter()
            .filter_map(|note| match note {
                KeyNote::LeftOut { party, reason } => Some((*party, *reason)),
                _ => None,
            })
            .collect();
        let expected = attempt
            .set_aside
            .iter()
            .map(|party| (*party, LeftOutReason::Suspected));
        assert_eq!(suspected, expected.collect::<Vec<_>>());
        set_aside = attempt.set_aside;
    }
    assert_eq!(set_aside.len(), 1);
    assert!(!state.active().unwrap().committee.contains(&set_aside[0]));
}

/// What one dishonest party does in each attempt that it takes part in, as the reports show it.
#[derive(Clone, Copy, Debug)]
enum Spoiler {
    /// It spoils the attempt so that nobody can say who did.
    Unattributed,
    /// It spoils the attempt and accuses an honest party, which accuses it.
    Quarrels,
    /// It is silent towards one honest party, for which all others wait in vain, and says that it missed that one.
    DeafTo,
    /// All others come to shares; it says that it did not, and that it missed somebody.
    Pretends,
    /// It does not even report.
    Silent,
    /// It spoils attempts at the whole target, and falls silent in those that do without an honest party.
    SilentLater,
    /// All accuse it.
    Caught,
}

#[test]
fn one_party_that_spoils_every_attempt_delays_a_key_for_few_attempts_and_keeps_its_place_in_none() {
    use Spoiler::{Caught, DeafTo, Pretends, Quarrels, Silent, SilentLater, Unattributed};
    for spoiler in [
        Unattributed,
        Quarrels,
        DeafTo,
        Pretends,
        Silent,
        SilentLater,
        Caught,
    ] {
        for (size, threshold) in [(4u8, 3u16), (7, 5), (15, 11)] {
            let (root, bad) = (Root::new(5), party(2));
            let mut state = begin(committee(size, threshold), 10, &parameters()).state;
            while state.active().is_none() {
                let attempt = state.attempt().unwrap().clone();
                assert!(
                    attempt.attempt <= u32::from(size) + 3,
                    "{spoiler:?} of {size} still delays in attempt {}",
                    attempt.attempt
                );
                let members = attempt.committee.parties().to_vec();
                let spoilt = members.contains(&bad);
                let spoiler = match spoiler {
                    SilentLater if members.len() == usize::from(size) => Unattributed,
                    SilentLater => Silent,
                    other => other,
                };
                let victim = *members.iter().find(|member| **member != bad).unwrap();
                for member in members {
                    let is_bad = member == bad;
                    let (bad, victim) = (bad.0[0], victim.0[0]);
                    let told = match spoiler {
                        _ if !spoilt => ready(&root, &state, member),
                        Unattributed => failed(&state, member, &[], &[]),
                        Quarrels if is_bad => failed(&state, member, &[victim], &[]),
                        Quarrels if member == party(victim) => failed(&state, member, &[bad], &[]),
                        Quarrels => failed(&state, member, &[], &[victim]),
                        DeafTo if member == party(victim) => failed(&state, member, &[], &[bad]),
                        DeafTo => failed(&state, member, &[], &[victim]),
                        Pretends if is_bad => failed(&state, member, &[], &[victim]),
                        Pretends => ready(&root, &state, member),
                        Silent if is_bad => continue,
                        Silent => failed(&state, member, &[], &[bad]),
                        Caught if is_bad => failed(&state, member, &[], &[]),
                        Caught => failed(&state, member, &[bad], &[]),
                        SilentLater => unreachable!("is one of two others by now"),
                    };
                    report(&mut state, &told, attempt.started);
                }
                // Silence is over with the deadline.
                if state
                    .attempt()
                    .is_some_and(|now| now.attempt == attempt.attempt)
                {
                    let over = state.attempt().unwrap().deadline + 1;
                    state = state.tick(over, &parameters(), |_| None).unwrap().state;
                }
            }
            let key = state.active().unwrap();
            assert!(!key.committee.contains(&bad), "{spoiler:?}");
            assert_eq!(key.committee.threshold(), threshold);
        }
    }
}

#[test]
fn whoever_failed_because_another_did_is_not_blamed_for_having_stopped() {
    let mut state = begin(committee(4, 3), 10, &parameters()).state;
    // 2 cheats 1, which stops; 3 and 4 wait for 1 in vain.
    for told in [
        failed(&state, party(1), &[2], &[]),
        failed(&state, party(3), &[], &[1]),
        failed(&state, party(4), &[], &[1]),
    ] {
        report(&mut state, &told, 11);
    }
    let told = failed(&state, party(2), &[], &[1]);
    let notes = report(&mut state, &told, 11);
    assert!(
        !notes
            .iter()
            .any(|note| matches!(note, KeyNote::LeftOut { .. }))
    );
    let attempt = state.attempt().unwrap();
    assert_eq!(attempt.set_aside.len(), 1, "one of the two disputants");
    assert!([party(1), party(2)].contains(&attempt.set_aside[0]));

    // Had 1 named nobody, the two that waited for it would have been enough.
    let mut state = begin(committee(4, 3), 10, &parameters()).state;
    for (server, missed) in [(1, vec![]), (2, vec![1]), (3, vec![1]), (4, vec![1])] {
        let told = failed(&state, party(server), &[], &missed);
        let notes = report(&mut state, &told, 11);
        if server == 4 {
            let expected = KeyNote::LeftOut {
                party: party(1),
                reason: LeftOutReason::Failed,
            };
            assert!(notes.contains(&expected));
        }
    }
}

#[test]
fn a_committee_changes_only_as_far_as_it_must() {
    let holders = of(&[1, 2, 3, 4], 3);
    let parameters = Parameters {
        committee_min: 3,
        committee_max: 5,
        ..Parameters::default()
    };
    let chosen = |eligible: &[u8], retained: &[u8]| {
        let (eligible, retained) = (parties(eligible), parties(retained));
        let candidates = Candidates {
            eligible: &eligible,
            retained: &retained,
        };
        choose(Some(&holders), candidates, &parameters)
    };
    // The order of the session does not matter to those who hold.
    assert_eq!(chosen(&[4, 1, 3, 2], &[]), Some(holders.clone()));
    // Newcomers take what room there is.
    assert_eq!(
        chosen(&[6, 4, 5, 1, 3, 2], &[]),
        Some(of(&[1, 2, 3, 4, 6], 4))
    );
    // One that left is replaced.
    assert_eq!(chosen(&[6, 4, 5, 3, 2], &[]), Some(of(&[2, 3, 4, 5, 6], 4)));
    // Two that left: one must stay until the next change, so that three of four holders are in it.
    assert_eq!(
        chosen(&[6, 4, 5, 3], &[1, 2]),
        Some(of(&[1, 3, 4, 5, 6], 4))
    );
    // Holders that are unfit for now stay rather than that there is no committee.
    assert_eq!(chosen(&[4, 3], &[1, 2]), Some(of(&[1, 3, 4], 3)));
    // If it can't, nothing can be done.
    assert_eq!(chosen(&[6, 4, 5, 3], &[]), None);
    // A first committee.
    let eligible = parties(&[3, 1, 2]);
    let candidates = Candidates {
        eligible: &eligible,
        retained: &[],
    };
    assert_eq!(
        choose(None, candidates, &parameters),
        Some(of(&[1, 2, 3], 3))
    );
    let few = Candidates {
        eligible: &eligible[..2],
        retained: &[],
    };
    assert_eq!(choose(None, few, &parameters), None);
    let too_high = Parameters {
        threshold: ThresholdRule::Fixed(4),
        ..parameters
    };
    assert_eq!(choose(None, candidates, &too_high), None);
}

#[test]
fn a_committee_grows_in_steps_so_that_newcomers_never_reach_a_threshold_alone() {
    let all: Vec<u8> = (1..=15).collect();
    let eligible = parties(&all);
    let candidates = Candidates {
        eligible: &eligible,
        retained: &[],
    };
    let parameters = Parameters::default();
    let mut holders = of(&[1, 2, 3, 4], 3);
    let mut sizes = Vec::new();
    while holders.size() < 15 {
        let target = choose(Some(&holders), candidates, &parameters).unwrap();
        let new = target.size() - holders.size();
        assert!(new < target.threshold(), "{new} newcomers");
        sizes.push((target.size(), target.threshold()));
        holders = target;
    }
    // One more newcomer would have been a threshold: of 13, 9 are new and 9 sign.
    assert_eq!(sizes, [(12, 9), (15, 11)]);
}

#[test]
fn a_suspended_server_waits_longer_each_time_and_its_word_counts_once() {
    let parameters = Parameters {
        suspension_blocks: 10,
        ..Parameters::default()
    };
    let new = Standing::default();
    assert!(new.is_eligible());
    assert_eq!(new.check_ready(0, 5), Err(ReadyError::NotSuspended));
    assert_eq!(new.check_ready(1, 5), Err(ReadyError::Future));
    let once = new.suspend(100, &parameters);
    assert!(!once.is_eligible());
    assert_eq!(once.suspend(105, &parameters), once);
    assert_eq!(once.check_ready(1, 109), Err(ReadyError::TooEarly(110)));
    assert_eq!(once.check_ready(0, 110), Err(ReadyError::NotSuspended));
    let back = once.ready(1, 110).unwrap();
    assert!(back.is_eligible());
    assert_eq!(back.check_ready(1, 111), Err(ReadyError::NotSuspended));
    let twice = back.suspend(200, &parameters);
    assert_eq!(twice.suspended_until, Some(220));
    assert_eq!(twice.check_ready(1, 300), Err(ReadyError::NotSuspended));
    // A share makes good what was before, but an old word never counts again.
    let redeemed = twice.ready(2, 220).unwrap().redeem();
    let again = redeemed.suspend(300, &parameters);
    assert_eq!((again.suspended_until, again.number), (Some(310), 3));
}

#[derive(Clone, Debug)]
enum Event {
    Ready {
        server: u8,
        other_key: bool,
        public: u8,
    },
    Failed {
        server: u8,
        accused: Vec<u8>,
        missed: Vec<u8>,
    },
    Wait {
        blocks: u32,
    },
    Reshare {
        members: Vec<u8>,
        threshold: u16,
    },
    Stop,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let server = || 1u8..=7;
    let some = || proptest::collection::vec(1u8..=7, 0..4);
    let event = prop_oneof![
        12 => (server(), prop::bool::weighted(0.1), prop::bool::weighted(0.1))
            .prop_map(|(server, other_key, other)| Event::Ready { server, other_key, public: other.into() }),
        4 => (server(), some(), some()).prop_map(|(server, accused, missed)| Event::Failed { server, accused, missed }),
        2 => (1u32..60).prop_map(|blocks| Event::Wait { blocks }),
        2 => (proptest::collection::vec(1u8..=7, 2..7), 2u16..=5).prop_map(|(members, threshold)| Event::Reshare { members, threshold }),
        1 => Just(Event::Stop),
    ];
    proptest::collection::vec(event, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn in_every_history_of_reshares_the_rules_hold(events in events()) {
        let (root, mut state) = active(4, 3);
        let root_key = root.key();
        let mut now = 20;
        // Who has reported a share of the present attempt.
        let mut holders: Vec<PartyId> = Vec::new();
        for event in &events {
            let before = state.clone();
            let transition = match event {
                Event::Ready { server, other_key, public } => {
                    let Some(attempt) = state.attempt() else { continue };
                    let root = if *other_key { Root::new(6) } else { Root::new(5) };
                    let told = root.ready_in(attempt.epoch, party(*server), SCHEME, attempt.attempt, Digest([*public; 32]));
                    let result = state.report(&GENESIS, &told, now, &parameters(), |_| None);
                    prop_assert_eq!(state.check_report(&GENESIS, &told, now).is_ok(), result.is_ok());
                    if result.is_ok() {
                        prop_assert!(!other_key, "another key never counts");
                        holders.push(party(*server));
                    }
                    result.ok()
                }
                Event::Failed { server, accused, missed } => {
                    if state.attempt().is_none() { continue }
                    let told = failed(&state, party(*server), accused, missed);
                    state.report(&GENESIS, &told, now, &parameters(), |_| None).ok()
                }
                Event::Wait { blocks } => {
                    now += blocks;
                    state.tick(now, &parameters(), |_| None)
                }
                Event::Reshare { members, threshold } => {
                    let Ok(target) = Committee::new(parties(members), *threshold) else { continue };
                    state.reshare(target, now, &parameters()).ok()
                }
                Event::Stop => state.give_up(now, &parameters(), |_| None),
            };
            let Some(transition) = transition else { continue };
            state = transition.state;
            let (old, new) = (before.active().unwrap(), state.active().expect("a key is never lost"));
            prop_assert_eq!(new.root_key, root_key, "the key never changes");
            prop_assert!(new.epoch == old.epoch || new.epoch == old.epoch + 1, "an epoch never goes back");
            if new.epoch == old.epoch {
                prop_assert_eq!(&new.committee, &old.committee, "holders change with the epoch only");
            } else {
                for member in new.committee.parties() {
                    prop_assert!(holders.contains(member), "every holder has reported its share");
                }
                let attempt = before.attempt().unwrap();
                let stay = old.committee.parties().iter().filter(|member| attempt.target.contains(member)).count();
                prop_assert!(stay >= usize::from(old.committee.threshold()), "enough of the holders stay");
                let newcomers = new.committee.parties().iter().filter(|member| !old.committee.contains(member)).count();
                prop_assert!(newcomers < usize::from(new.committee.threshold()), "newcomers alone never sign");
                prop_assert_eq!(new.committee.threshold(), attempt.target.threshold());
            }
            match (before.attempt(), state.attempt()) {
                (Some(old), Some(new)) if (old.epoch, old.attempt) == (new.epoch, new.attempt) => {
                    prop_assert!(new.deadline <= old.deadline);
                }
                (_, Some(new)) => {
                    holders.clear();
                    let last = before.attempt().map_or(before.active().unwrap().attempts, |old| old.attempt);
                    prop_assert_eq!(new.attempt, last + 1, "no attempt comes twice");
                    prop_assert!(new.deadline > now);
                    let lost = new.without().filter(|party| new.target.contains(party)).count();
                    prop_assert!(lost <= usize::from(new.target.size() - new.target.threshold()));
                    let from = state.active().unwrap();
                    prop_assert!(new.dealers(from).len() >= usize::from(from.committee.threshold()));
                }
                (_, None) => holders.clear(),
            }
        }
    }

    /// Whatever up to `n - t` parties say, in any order, nobody else is left out of anything for good: the others tell the
    /// truth, that they have their shares or that somebody among those let them down.
    #[test]
    fn a_minority_leaves_no_honest_party_out(
        (size, threshold) in prop_oneof![Just((4u8, 3u16)), Just((5, 4)), Just((7, 5))],
        lies in proptest::collection::vec((0u8..4, proptest::collection::vec(1u8..=7, 0..5), proptest::collection::vec(1u8..=7, 0..5)), 1..60),
        waits in proptest::collection::vec(any::<bool>(), 1..60),
    ) {
        let spare = usize::from(u16::from(size) - threshold);
        let dishonest: Vec<PartyId> = (1..=spare as u8).map(party).collect();
        let root = Root::new(5);
        let mut state = begin(committee(size, threshold), 10, &parameters()).state;
        let mut lies = lies.into_iter();
        for late in waits {
            let Some(attempt) = state.attempt().cloned() else { break };
            let spoilt = attempt.committee.parties().iter().any(|member| dishonest.contains(member));
            let mut notes = Vec::new();
            for member in attempt.committee.parties() {
                if state.attempt().is_none_or(|now| now.attempt != attempt.attempt) { break }
                let told = if dishonest.contains(member) {
                    let Some((kind, accused, missed)) = lies.next() else { continue };
                    match kind {
                        0 => continue,
                        1 => root.ready_in(1, *member, SCHEME, attempt.attempt, Digest([9; 32])),
                        _ => failed(&state, *member, &accused, &missed),
                    }
                } else if spoilt && late {
                    // Each honest party says whom among the dishonest it waited for.
                    let awaited: Vec<u8> = dishonest.iter().filter(|bad| attempt.committee.contains(bad)).map(|bad| bad.0[0]).collect();
                    failed(&state, *member, &[], &awaited)
                } else {
                    ready(&root, &state, *member)
                };
                if let Ok(transition) = state.report(&GENESIS, &told, attempt.started, &parameters(), |_| None) {
                    state = transition.state;
                    notes.extend(transition.notes);
                }
            }
            if state.attempt().is_some_and(|now| now.attempt == attempt.attempt) {
                let over = state.attempt().unwrap().deadline + 1;
                let transition = state.tick(over, &parameters(), |_| None).unwrap();
                state = transition.state;
                notes.extend(transition.notes);
            }
            for note in notes {
                // Whoever was set aside by lot is suspended for once; that takes no report of anybody's.
                if let KeyNote::LeftOut { party, reason } = note && reason != LeftOutReason::Suspected {
                    prop_assert!(dishonest.contains(&party), "an honest party was left out");
                }
            }
        }
    }
}
