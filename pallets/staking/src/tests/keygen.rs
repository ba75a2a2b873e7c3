//! When key generation begins, with whom, and how it goes on without reports.

use entropy_shared::{
    Committee, Parameters, Scheme, ThresholdRule,
    lifecycle::key::{KeyNote, KeyState},
    traits::Network,
};
use frame_support::assert_ok;

use crate::{Event, mock::*};

const SCHEMES: [Scheme; 2] = [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot];

#[test]
fn it_begins_by_itself_for_each_enabled_scheme_once_enough_active_validators_have_servers() {
    new_ext().execute_with(|| {
        (1..=3).for_each(bind);
        StakingExtension::note_active_validators((1..=4).map(stash).collect());
        run_to(5);
        assert!(
            Scheme::ALL
                .iter()
                .all(|scheme| state(*scheme) == KeyState::Absent)
        );
        bind(4);
        run_to(6);
        let started = KeyNote::Started {
            epoch: 1,
            attempt: 1,
            deadline: 26,
            without: vec![],
        };
        assert_eq!(
            events(),
            SCHEMES.map(|scheme| Event::Key {
                scheme,
                note: started.clone()
            })
        );
        for scheme in SCHEMES {
            let attempt = attempt(scheme);
            assert_eq!(
                attempt.target,
                Committee::new((1..=4).map(server), 3).unwrap()
            );
            assert_eq!(
                (attempt.started, attempt.deadline, attempt.epoch),
                (6, 26, 1)
            );
        }
        assert!(
            Scheme::ALL
                .iter()
                .all(|scheme| SCHEMES.contains(scheme) || state(*scheme) == KeyState::Absent)
        );
        // It begins once.
        run_to(7);
        assert_eq!(attempt(SCHEMES[0]).started, 6);
    });
}

#[test]
fn servers_of_validators_that_are_not_active_do_not_count() {
    new_ext().execute_with(|| {
        (1..=5).for_each(bind);
        StakingExtension::note_active_validators((3..=6).map(stash).collect());
        run_to(5);
        assert_eq!(state(SCHEMES[0]), KeyState::Absent);
        bind(6);
        run_to(6);
        assert_eq!(
            attempt(SCHEMES[0]).target,
            Committee::new((3..=6).map(server), 3).unwrap()
        );
    });
}

#[test]
fn a_committee_is_of_the_first_active_validators_and_not_larger_than_allowed() {
    new_ext().execute_with(|| {
        (1..=6).for_each(bind);
        StakingExtension::note_active_validators([6, 5, 4, 3, 2, 1].map(stash).to_vec());
        run_to(2);
        assert_eq!(
            attempt(SCHEMES[0]).target,
            Committee::new((2..=6).map(server), 4).unwrap()
        );
    });
}

#[test]
fn the_threshold_is_that_of_the_rule() {
    let fixed = |threshold| Parameters {
        threshold: ThresholdRule::Fixed(threshold),
        committee_min: 3,
        committee_max: 3,
        ..parameters()
    };
    new_ext_with(fixed(2)).execute_with(|| {
        form_committee(4);
        assert_eq!(
            attempt(SCHEMES[0]).target,
            Committee::new((1..=3).map(server), 2).unwrap()
        );
    });
}

#[test]
fn a_key_is_active_when_all_have_reported_and_others_can_see_it() {
    new_ext().execute_with(|| {
        form_committee(4);
        for scheme in SCHEMES {
            assert_eq!(StakingExtension::active_key(scheme), None);
            all_ready(scheme);
            let key = StakingExtension::active_key(scheme).unwrap();
            assert_eq!(
                (key.root_key, key.public_digest, key.since),
                (root_key(), PUBLIC, now())
            );
            let note = KeyNote::Activated {
                epoch: 1,
                root_key: root_key(),
            };
            assert_eq!(events().last(), Some(&Event::Key { scheme, note }));
        }
        run_to(1_000);
        assert!(
            SCHEMES
                .iter()
                .all(|scheme| StakingExtension::active_key(*scheme).is_some())
        );
    });
}

#[test]
fn after_the_deadline_comes_the_next_attempt_without_the_silent() {
    new_ext().execute_with(|| {
        form_committee(4);
        let deadline = attempt(SCHEMES[0]).deadline;
        for number in 1..=3 {
            assert_ok!(submit(call(
                ready(number, SCHEMES[0], 1),
                now() + 10,
                number
            )));
        }
        run_to(deadline);
        assert_eq!(attempt(SCHEMES[0]).attempt, 1);
        run_to(deadline + 1);
        let next = attempt(SCHEMES[0]);
        assert_eq!((next.attempt, next.left_out.clone()), (2, vec![server(4)]));
        let note = KeyNote::Started {
            epoch: 1,
            attempt: 2,
            deadline: next.deadline,
            without: vec![server(4)],
        };
        assert!(events().contains(&Event::Key {
            scheme: SCHEMES[0],
            note
        }));
        // The scheme of which nobody reported anything: everybody again, with more time.
        let other = attempt(SCHEMES[1]);
        assert_eq!(
            (other.attempt, other.left_out.len(), other.doublings),
            (2, 0, 1)
        );
        all_ready(SCHEMES[0]);
        assert_eq!(StakingExtension::active_key(SCHEMES[0]).unwrap().attempt, 2);
    });
}

#[test]
fn losing_too_many_alerts_the_operators() {
    new_ext().execute_with(|| {
        form_committee(4);
        // One silent, then two accusers against another: two of four, where only one may be left out.
        for number in 1..=3 {
            assert_ok!(submit(call(
                ready(number, SCHEMES[0], 1),
                now() + 10,
                number
            )));
        }
        run_to(attempt(SCHEMES[0]).deadline + 1);
        for number in 1..=2 {
            let report = failed(number, SCHEMES[0], 2, vec![server(3)]);
            assert_ok!(submit(call(report, now() + 10, number)));
        }
        run_to(attempt(SCHEMES[0]).deadline + 1);
        let alert = Event::Key {
            scheme: SCHEMES[0],
            note: KeyNote::TooManyLeftOut,
        };
        assert!(events().contains(&alert));
        // The target is chosen anew from those that can be: two are suspended, and two are too few for another.
        assert_eq!(attempt(SCHEMES[0]).committee.size(), 4);
        assert_eq!(attempt(SCHEMES[0]).attempt, 3);
    });
}

#[test]
fn a_target_that_lost_too_many_gives_way_to_one_of_servers_that_answer() {
    new_ext().execute_with(|| {
        (1..=6).for_each(bind);
        session(&[1, 2, 3, 4, 5, 6]);
        assert_eq!(attempt(SCHEMES[0]).target.size(), 5);
        // Of five one may be left out; the second is one too many.
        without(SCHEMES[0], 5);
        for number in 1..=2 {
            let report = failed(number, SCHEMES[0], 2, vec![server(4)]);
            assert_ok!(submit(call(report, now() + 10, number)));
        }
        run_to(attempt(SCHEMES[0]).deadline + 1);
        let next = attempt(SCHEMES[0]);
        assert_eq!(
            next.target,
            Committee::new([1, 2, 3, 6].map(server), 3).unwrap()
        );
        assert_eq!((next.attempt, next.epoch), (3, 1));
    });
}
