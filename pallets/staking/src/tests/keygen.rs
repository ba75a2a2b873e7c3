//! When key generation begins, with whom, and how it goes on without reports.

use entropy_shared::{
    Committee, Parameters, Scheme, ThresholdRule,
    lifecycle::keygen::{KeyState, KeygenNote},
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
        let started = KeygenNote::Started {
            attempt: 1,
            deadline: 26,
            left_out: vec![],
        };
        assert_eq!(
            events(),
            SCHEMES.map(|scheme| Event::Keygen {
                scheme,
                note: started.clone()
            })
        );
        for scheme in SCHEMES {
            let generating = generating(scheme);
            assert_eq!(
                generating.target,
                Committee::new((1..=4).map(server), 3).unwrap()
            );
            assert_eq!(
                (generating.started, generating.deadline, generating.epoch),
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
        assert_eq!(generating(SCHEMES[0]).started, 6);
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
            generating(SCHEMES[0]).target,
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
            generating(SCHEMES[0]).target,
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
            generating(SCHEMES[0]).target,
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
            all_ready(scheme, 4);
            let key = StakingExtension::active_key(scheme).unwrap();
            assert_eq!(
                (key.root_key, key.public_digest, key.since),
                (root_key(), PUBLIC, now())
            );
            let note = KeygenNote::Activated {
                root_key: root_key(),
            };
            assert_eq!(events().last(), Some(&Event::Keygen { scheme, note }));
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
        let deadline = generating(SCHEMES[0]).deadline;
        for number in 1..=3 {
            assert_ok!(submit(call(
                ready(number, SCHEMES[0], 1),
                now() + 10,
                number
            )));
        }
        run_to(deadline);
        assert_eq!(generating(SCHEMES[0]).attempt, 1);
        run_to(deadline + 1);
        let next = generating(SCHEMES[0]);
        assert_eq!((next.attempt, next.left_out.clone()), (2, vec![server(4)]));
        let note = KeygenNote::Started {
            attempt: 2,
            deadline: next.deadline,
            left_out: vec![server(4)],
        };
        assert!(events().contains(&Event::Keygen {
            scheme: SCHEMES[0],
            note
        }));
        // The scheme of which nobody reported anything: everybody again, with more time.
        let other = generating(SCHEMES[1]);
        assert_eq!(
            (other.attempt, other.left_out.len(), other.doublings),
            (2, 0, 1)
        );
        all_ready(SCHEMES[0], 3);
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
        run_to(generating(SCHEMES[0]).deadline + 1);
        for number in 1..=2 {
            let report = failed(number, SCHEMES[0], 2, vec![server(3)]);
            assert_ok!(submit(call(report, now() + 10, number)));
        }
        run_to(generating(SCHEMES[0]).deadline + 1);
        let alert = Event::Keygen {
            scheme: SCHEMES[0],
            note: KeygenNote::TooManyLeftOut,
        };
        assert!(events().contains(&alert));
        assert_eq!(generating(SCHEMES[0]).committee.size(), 4);
    });
}
