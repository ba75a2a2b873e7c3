//! The lifecycle of a root key: single steps, and what holds in every history.

use entropy_shared::{
    Digest, Genesis, PartyId, Scheme, Signature, VerifyingKey,
    lifecycle::key::{
        ActiveKey, Attempt, AttemptOutcome, AttemptReport, FAILURE_GRACE_BLOCKS, KeyNote, KeyState,
        LeftOutReason, ReportError, begin,
    },
};
use proptest::prelude::*;

use crate::support::{GENESIS, Root, committee, failed, parameters, party};

const SCHEME: Scheme = Scheme::SchnorrTaproot;
const START: u32 = 10;
const PUBLIC: Digest = Digest([7; 32]);

fn begun(size: u8, threshold: u16) -> KeyState {
    begin(committee(size, threshold), START, &parameters()).state
}

fn generating(state: &KeyState) -> &Attempt {
    let KeyState::Generating(attempt) = state else {
        panic!("an attempt is made, not {state:?}")
    };
    attempt
}

/// Counts a report that must count.
fn count(state: &mut KeyState, report: &AttemptReport, now: u32) -> Vec<KeyNote> {
    let transition = state
        .report(&GENESIS, report, now, &parameters(), |_| None)
        .unwrap();
    *state = transition.state;
    transition.notes
}

/// The same in the block in which the attempt began.
fn count_at_once(state: &mut KeyState, report: &AttemptReport) {
    let started = generating(state).started;
    count(state, report, started);
}

fn tick(state: &mut KeyState, now: u32) -> Vec<KeyNote> {
    let transition = state.tick(now, &parameters(), |_| None).unwrap();
    *state = transition.state;
    transition.notes
}

#[test]
fn an_attempt_begins_with_the_whole_target() {
    let transition = begin(committee(4, 3), START, &parameters());
    let deadline = START + parameters().attempt_deadline_blocks;
    assert_eq!(
        transition.notes,
        [KeyNote::Started {
            epoch: 1,
            attempt: 1,
            deadline,
            without: vec![]
        }]
    );
    let generating = generating(&transition.state);
    assert_eq!(
        (generating.epoch, generating.attempt, generating.started),
        (1, 1, START)
    );
    assert_eq!(
        (&generating.target, &generating.committee),
        (&committee(4, 3), &committee(4, 3))
    );
    assert_eq!(generating.deadline, deadline);
    assert!(generating.reports.is_empty() && generating.left_out.is_empty());
    assert!(transition.state.active().is_none());
}

#[test]
fn the_key_is_active_when_the_last_party_has_reported_the_same() {
    for scheme in [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot] {
        let (root, mut state) = (Root::new(5), begun(4, 3));
        for number in 1..=3 {
            assert!(
                count(
                    &mut state,
                    &root.ready(party(number), scheme, 1, PUBLIC),
                    12
                )
                .is_empty()
            );
            assert!(state.active().is_none());
        }
        let notes = count(&mut state, &root.ready(party(4), scheme, 1, PUBLIC), 13);
        assert_eq!(
            notes,
            [KeyNote::Activated {
                epoch: 1,
                root_key: root.key()
            }]
        );
        let expected = ActiveKey {
            epoch: 1,
            attempt: 1,
            committee: committee(4, 3),
            root_key: root.key(),
            public_digest: PUBLIC,
            protocol_version: parameters().protocol_version,
            since: 13,
            attempts: 0,
        };
        assert_eq!(state.active(), Some(&expected));
        assert_eq!(state.tick(1_000, &parameters(), |_| None), None);
    }
}

#[test]
fn reports_that_do_not_count_say_why() {
    let (root, mut state) = (Root::new(5), begun(4, 3));
    let good = root.ready(party(1), SCHEME, 1, PUBLIC);
    let check =
        |state: &KeyState, report: &AttemptReport, now| state.check_report(&GENESIS, report, now);
    assert_eq!(check(&state, &good, 12), Ok(()));
    assert_eq!(check(&state, &good, generating(&state).deadline), Ok(()));
    assert_eq!(
        check(&state, &good, generating(&state).deadline + 1),
        Err(ReportError::Obsolete)
    );
    assert_eq!(
        check(&KeyState::Absent, &good, 12),
        Err(ReportError::Future)
    );
    let of = |attempt, epoch| AttemptReport {
        attempt,
        epoch,
        ..good.clone()
    };
    assert_eq!(check(&state, &of(2, 1), 12), Err(ReportError::Future));
    assert_eq!(check(&state, &of(1, 2), 12), Err(ReportError::Future));
    assert_eq!(check(&state, &of(0, 1), 12), Err(ReportError::Obsolete));
    assert_eq!(check(&state, &of(9, 0), 12), Err(ReportError::Obsolete));
    let outsider = AttemptReport {
        server: party(9),
        ..good.clone()
    };
    assert_eq!(check(&state, &outsider, 12), Err(ReportError::NotAParty));

    count(&mut state, &good, 12);
    assert_eq!(check(&state, &good, 12), Err(ReportError::Repeated));
    for number in 2..=4 {
        count(
            &mut state,
            &root.ready(party(number), SCHEME, 1, PUBLIC),
            12,
        );
    }
    assert_eq!(check(&state, &good, 12), Err(ReportError::Obsolete));
    assert_eq!(check(&state, &of(1, 2), 12), Err(ReportError::Future));
    assert_eq!(check(&state, &of(7, 1), 12), Err(ReportError::Obsolete));
}

#[test]
fn accusations_that_cannot_be_are_refused() {
    let state = begun(4, 3);
    for accused in [
        vec![1],
        vec![9],
        vec![2, 2],
        vec![2, 3, 4, 4],
        vec![2, 3, 4, 1],
    ] {
        let report = failed(
            party(1),
            SCHEME,
            1,
            accused.into_iter().map(party).collect(),
        );
        assert_eq!(
            state.check_report(&GENESIS, &report, 12),
            Err(ReportError::BadAccusation)
        );
    }
    for accused in [vec![], vec![2], vec![4, 2, 3]] {
        let report = failed(
            party(1),
            SCHEME,
            1,
            accused.into_iter().map(party).collect(),
        );
        assert_eq!(state.check_report(&GENESIS, &report, 12), Ok(()));
    }
}

#[test]
fn a_proof_is_of_this_chain_scheme_attempt_digest_and_key() {
    let (root, state) = (Root::new(5), begun(4, 3));
    let good = root.ready(party(1), SCHEME, 1, PUBLIC);
    let AttemptOutcome::Ready { result, proof } = good.outcome.clone() else {
        unreachable!()
    };
    let bad = |report: &AttemptReport| {
        assert_eq!(
            state.check_report(&GENESIS, report, 12),
            Err(ReportError::BadProof)
        );
    };
    assert_eq!(
        state.check_report(&Genesis([9; 32]), &good, 12),
        Err(ReportError::BadProof)
    );
    let with = |result, proof| AttemptReport {
        outcome: AttemptOutcome::Ready { result, proof },
        ..good.clone()
    };
    let mut other = result;
    other.public_digest = Digest([8; 32]);
    bad(&with(other, proof));
    let mut other = result;
    other.root_key = Root::new(6).key();
    bad(&with(other, proof));
    other.root_key = VerifyingKey::XOnly([5; 32]);
    bad(&with(other, proof));
    other.root_key = VerifyingKey::Secp256k1([0; 33]);
    bad(&with(other, proof));
    bad(&with(result, Signature::Bip340([1; 64])));
    bad(&with(result, Signature::EcdsaSecp256k1([1; 65])));
    bad(&AttemptReport {
        scheme: Scheme::EcdsaCggmp24,
        ..good.clone()
    });
    bad(&AttemptReport {
        scheme: Scheme::EcdsaP256,
        ..good.clone()
    });
    // That of an earlier attempt.
    let AttemptOutcome::Ready { proof, .. } = root.ready(party(1), SCHEME, 9, PUBLIC).outcome
    else {
        unreachable!()
    };
    bad(&with(result, proof));
}

#[test]
fn an_attempt_that_t_survived_goes_on_without_the_silent_and_with_the_same_threshold() {
    let (root, mut state) = (Root::new(5), begun(4, 3));
    for number in 1..=3 {
        count(
            &mut state,
            &root.ready(party(number), SCHEME, 1, PUBLIC),
            12,
        );
    }
    let over = generating(&state).deadline + 1;
    assert_eq!(state.tick(over - 1, &parameters(), |_| None), None);
    let notes = tick(&mut state, over);
    let deadline = over + parameters().attempt_deadline_blocks;
    assert_eq!(
        notes,
        [
            KeyNote::LeftOut {
                party: party(4),
                reason: LeftOutReason::Silent
            },
            KeyNote::Started {
                epoch: 1,
                attempt: 2,
                deadline,
                without: vec![party(4)]
            }
        ]
    );
    let next = generating(&state);
    assert_eq!(
        (&next.committee, &next.target),
        (&committee(3, 3), &committee(4, 3))
    );
    assert_eq!(
        (next.attempt, next.doublings, &next.left_out),
        (2, 0, &vec![party(4)])
    );
    assert!(next.reports.is_empty());
    // The three go on and finish.
    let other = Root::new(6);
    for number in 1..=3 {
        count(
            &mut state,
            &other.ready(party(number), SCHEME, 2, PUBLIC),
            over,
        );
    }
    assert_eq!(state.active().unwrap().committee, committee(3, 3));
    assert_eq!(state.active().unwrap().attempt, 2);
}

#[test]
fn when_fewer_than_t_report_everybody_gets_more_time_and_then_another_target_is_looked_for() {
    let (root, mut state) = (Root::new(5), begun(4, 3));
    let mut time = parameters().attempt_deadline_blocks;
    for attempt in 1..=6 {
        count_at_once(&mut state, &root.ready(party(1), SCHEME, attempt, PUBLIC));
        let over = generating(&state).deadline + 1;
        let notes = tick(&mut state, over);
        match attempt {
            1 => assert!(
                matches!(notes[..], [KeyNote::Started { .. }]),
                "this is no alert"
            ),
            _ => assert!(matches!(
                notes[..],
                [KeyNote::TooManyLeftOut, KeyNote::Started { .. }]
            )),
        }
        let next = generating(&state);
        assert!(next.left_out.is_empty());
        time = (time * 2).min(parameters().attempt_deadline_blocks * 16);
        assert_eq!((next.attempt, next.deadline), (attempt + 1, over + time));
    }
    let over = generating(&state).deadline + 1;
    let other = entropy_shared::Committee::new([1, 5, 6, 7].map(party), 3).unwrap();
    let transition = state.tick(over, &parameters(), |left_out| {
        assert_eq!(left_out, [], "it is not known who was silent");
        Some(other.clone())
    });
    assert_eq!(generating(&transition.unwrap().state).target, other);
}

#[test]
fn a_failure_leaves_the_others_a_grace_and_no_more() {
    let mut state = begun(4, 3);
    let whole = generating(&state).deadline;
    count(&mut state, &failed(party(1), SCHEME, 1, vec![party(4)]), 11);
    assert_eq!(
        generating(&state).deadline,
        whole,
        "one party alone cannot cut it short"
    );
    // n - t = 1: one of two is honest.
    count(&mut state, &failed(party(2), SCHEME, 1, vec![party(4)]), 12);
    assert_eq!(generating(&state).deadline, 12 + FAILURE_GRACE_BLOCKS);
    // A later one does not prolong it.
    count(&mut state, &failed(party(3), SCHEME, 1, vec![]), 14);
    assert_eq!(generating(&state).deadline, 12 + FAILURE_GRACE_BLOCKS);
    // Nor do those late in the attempt.
    let mut late = begun(4, 3);
    let deadline = generating(&late).deadline;
    count(
        &mut late,
        &failed(party(2), SCHEME, 1, vec![]),
        deadline - 1,
    );
    count(
        &mut late,
        &failed(party(1), SCHEME, 1, vec![]),
        deadline - 1,
    );
    assert_eq!(generating(&late).deadline, deadline);
}

#[test]
fn more_than_n_minus_t_accusers_leave_a_party_out_and_fewer_do_not() {
    // n - t = 1: two accusers suffice.
    for (accusers, left_out) in [(1, vec![]), (2, vec![party(4)])] {
        let (root, mut state) = (Root::new(5), begun(4, 3));
        for number in 1..=4 {
            let report = if number <= accusers {
                failed(party(number), SCHEME, 1, vec![party(4)])
            } else {
                root.ready(party(number), SCHEME, 1, PUBLIC)
            };
            count(&mut state, &report, 12);
        }
        assert_eq!(
            (generating(&state).attempt, &generating(&state).left_out),
            (2, &left_out)
        );
    }
}

#[test]
fn parties_that_report_different_things_are_told_apart_from_those_that_fail() {
    let (root, mut state) = (Root::new(5), begun(4, 3));
    for number in 1..=3 {
        count(
            &mut state,
            &root.ready(party(number), SCHEME, 1, PUBLIC),
            12,
        );
    }
    let notes = count(
        &mut state,
        &root.ready(party(4), SCHEME, 1, Digest([8; 32])),
        12,
    );
    assert_eq!(notes[0], KeyNote::Disagreed);
    assert_eq!(
        notes[1],
        KeyNote::LeftOut {
            party: party(4),
            reason: LeftOutReason::Contradicted
        }
    );
    assert!(matches!(notes[2], KeyNote::Started { attempt: 2, .. }));
    // Three of four agree, as many as sign: who contradicts them is left out.
    assert_eq!(generating(&state).left_out, vec![party(4)]);
    assert_eq!(generating(&state).doublings, 0);

    // Two against two: nobody can tell who is right.
    let mut state = begun(4, 3);
    for (number, digest) in [
        (1, PUBLIC),
        (2, PUBLIC),
        (3, Digest([8; 32])),
        (4, Digest([8; 32])),
    ] {
        count(
            &mut state,
            &root.ready(party(number), SCHEME, 1, digest),
            12,
        );
    }
    assert!(generating(&state).left_out.is_empty());
    assert_eq!(generating(&state).doublings, 1);
}

#[test]
fn more_left_out_than_n_minus_t_raises_the_alert_and_brings_everybody_back() {
    let (root, mut state) = (Root::new(5), begun(4, 3));
    let attempt = |state: &mut KeyState, number: u32, silent: u8| {
        let mut reporters = generating(state).committee.parties().to_vec();
        reporters.retain(|reporter| *reporter != party(silent));
        for reporter in reporters {
            count_at_once(state, &root.ready(reporter, SCHEME, number, PUBLIC));
        }
        let over = generating(state).deadline + 1;
        tick(state, over)
    };
    attempt(&mut state, 1, 4);
    assert_eq!(generating(&state).left_out, [party(4)]);
    // Of the three that are left all are needed: silence of one leaves two reports, fewer than t.
    let notes = attempt(&mut state, 2, 3);
    assert!(!notes.contains(&KeyNote::TooManyLeftOut));
    assert_eq!(generating(&state).left_out, [party(4)]);
    // Two accusers against the third in an attempt of three, of whom one is honest.
    count_at_once(&mut state, &failed(party(1), SCHEME, 3, vec![party(3)]));
    count_at_once(&mut state, &failed(party(2), SCHEME, 3, vec![party(3)]));
    let over = generating(&state).deadline + 1;
    let notes = tick(&mut state, over);
    assert_eq!(notes[1], KeyNote::TooManyLeftOut);
    let next = generating(&state);
    assert!(next.left_out.is_empty());
    assert_eq!(next.committee, committee(4, 3));
    assert_eq!(next.doublings, 2);
}

#[derive(Clone, Debug)]
enum Event {
    Ready {
        server: u8,
        key: u8,
        public: u8,
    },
    Failed {
        server: u8,
        accused: Vec<u8>,
    },
    /// Of another attempt than the present one.
    Astray {
        server: u8,
        offset: i8,
    },
    /// With a proof that is not one.
    Forged {
        server: u8,
    },
    Wait {
        blocks: u32,
    },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let server = || 1u8..=9;
    let event = prop_oneof![
        6 => (server(), 5u8..=6, 0u8..=1).prop_map(|(server, key, public)| Event::Ready { server, key, public }),
        4 => (server(), proptest::collection::vec(server(), 0..4)).prop_map(|(server, accused)| Event::Failed { server, accused }),
        1 => (server(), -2i8..=2).prop_map(|(server, offset)| Event::Astray { server, offset }),
        1 => server().prop_map(|server| Event::Forged { server }),
        3 => (1u32..60).prop_map(|blocks| Event::Wait { blocks }),
    ];
    proptest::collection::vec(event, 0..60)
}

fn report_of(event: &Event, attempt: u32) -> Option<AttemptReport> {
    Some(match event {
        Event::Ready {
            server,
            key,
            public,
        } => Root::new(*key).ready(party(*server), SCHEME, attempt, Digest([*public; 32])),
        Event::Failed { server, accused } => failed(
            party(*server),
            SCHEME,
            attempt,
            accused.iter().copied().map(party).collect(),
        ),
        Event::Astray { server, offset } => {
            let attempt = attempt.saturating_add_signed((*offset).into());
            Root::new(5).ready(party(*server), SCHEME, attempt, PUBLIC)
        }
        Event::Forged { server } => {
            let mut report = Root::new(5).ready(party(*server), SCHEME, attempt, PUBLIC);
            report.outcome = match report.outcome {
                AttemptOutcome::Ready { result, .. } => AttemptOutcome::Ready {
                    result,
                    proof: Signature::Bip340([3; 64]),
                },
                failed => failed,
            };
            report
        }
        Event::Wait { .. } => return None,
    })
}

fn check_generating(state: &Attempt, target: &entropy_shared::Committee) {
    assert_eq!(state.target, *target, "a target does not change");
    assert_eq!(
        state.committee.threshold(),
        target.threshold(),
        "leaving out never lowers the threshold"
    );
    assert!(
        state.without().count() <= usize::from(target.size() - target.threshold()),
        "at most n - t are left out"
    );
    let expected: Vec<PartyId> = target
        .parties()
        .iter()
        .filter(|party| state.without().all(|other| other != *party))
        .copied()
        .collect();
    assert_eq!(
        state.committee.parties(),
        expected,
        "the attempt is the target less those left out"
    );
    let mut reporters: Vec<_> = state
        .reports
        .iter()
        .map(|reported| reported.party)
        .collect();
    assert!(
        reporters
            .iter()
            .all(|party| state.committee.contains(party)),
        "only parties have reported"
    );
    reporters.sort_unstable();
    reporters.dedup();
    assert_eq!(
        reporters.len(),
        state.reports.len(),
        "nobody has reported twice"
    );
    assert!(
        state.reports.len() < usize::from(state.committee.size()),
        "an attempt that all reported is over"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn in_every_history_the_rules_hold(size in 2u8..=7, t in 2u16..=7, events in events()) {
        prop_assume!(t <= size.into());
        let target = committee(size, t);
        let mut state = begin(target.clone(), START, &parameters()).state;
        let mut now = START;
        // What the chain was told in this attempt by reports that it counted.
        let mut told: Vec<AttemptReport> = Vec::new();
        for event in &events {
            let before = state.clone();
            let attempt = match &before {
                KeyState::Generating(generating) => generating.attempt,
                KeyState::Active(key) => key.attempt,
                KeyState::Absent | KeyState::Resharing { .. } => unreachable!(),
            };
            let transition = match report_of(event, attempt) {
                Some(report) => {
                    let check = state.check_report(&GENESIS, &report, now);
                    let result = state.report(&GENESIS, &report, now, &parameters(), |_| None);
                    prop_assert_eq!(check, result.as_ref().map(|_| ()).map_err(|error| *error), "check and report agree");
                    if result.is_ok() {
                        prop_assert!(!matches!(event, Event::Forged { .. }), "no forged proof counts");
                        prop_assert_eq!(report.attempt, attempt, "only the present attempt counts");
                        told.push(report);
                    }
                    result.ok()
                }
                None => {
                    let Event::Wait { blocks } = event else { unreachable!() };
                    now += blocks;
                    state.tick(now, &parameters(), |_| None)
                }
            };
            if let Some(transition) = transition {
                state = transition.state;
            }
            match (&before, &state) {
                (KeyState::Active(old), new) => prop_assert_eq!(Some(old), new.active(), "an active key stays"),
                (KeyState::Generating(old), KeyState::Generating(new)) => {
                    check_generating(new, &target);
                    prop_assert!(new.attempt == old.attempt || new.attempt == old.attempt + 1);
                    if new.attempt != old.attempt {
                        prop_assert!(new.deadline > now, "a new attempt has time");
                        told.clear();
                    } else {
                        prop_assert!(new.deadline <= old.deadline, "an attempt is not prolonged");
                    }
                }
                (KeyState::Generating(old), KeyState::Active(key)) => {
                    prop_assert_eq!(&key.committee, &old.committee);
                    prop_assert_eq!((key.attempt, key.epoch), (old.attempt, old.epoch));
                    prop_assert_eq!(told.len(), usize::from(key.committee.size()), "every party has reported");
                    for report in &told {
                        let AttemptOutcome::Ready { result, proof } = &report.outcome else {
                            return Err(TestCaseError::fail("a failure was reported"));
                        };
                        prop_assert_eq!((result.root_key, result.public_digest), (key.root_key, key.public_digest));
                        let id = entropy_shared::KeyId::of_proof(&GENESIS, SCHEME);
                        let digest = entropy_shared::canonical::proof_digest(&GENESIS, SCHEME, 1, key.attempt, &key.public_digest);
                        let owner = [5, 6].map(Root::new).into_iter().find(|root| root.key() == key.root_key).unwrap();
                        let final_key = owner.final_key(SCHEME, &id, &Default::default());
                        prop_assert_eq!(proof.verify(&final_key, &digest.0), Ok(()));
                    }
                }
                _ => return Err(TestCaseError::fail("a key generation that has begun does not vanish")),
            }
        }
    }
}
