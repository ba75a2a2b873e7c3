//! How shares pass to another committee when validators come and go, and to the same one for a refresh.

use entropy_shared::{Committee, Parameters, Scheme, traits::Network};
use frame_support::{BoundedVec, assert_noop, assert_ok};

use crate::{ActiveValidators, Error, Event, Reviews, mock::*};

const SCHEME: Scheme = Scheme::SchnorrTaproot;

/// Servers 1 to 4 hold the key; servers 5 and 6 are bound.
fn with_key() -> sp_io::TestExternalities {
    let mut ext = new_ext_with(Parameters {
        schemes: [SCHEME].into_iter().collect(),
        committee_max: 4,
        session_blocks: 10,
        ..parameters()
    });
    ext.execute_with(|| {
        form_committee(4);
        all_ready(SCHEME);
        bind(5);
        bind(6);
    });
    ext
}

fn of(numbers: [u8; 4]) -> Committee {
    Committee::new(numbers.map(server), 3).unwrap()
}

#[test]
fn a_session_with_the_same_servers_changes_nothing() {
    with_key().execute_with(|| {
        session(&[4, 3, 2, 1]);
        session(&[6, 5, 4, 3, 2, 1]);
        assert!(state(SCHEME).attempt().is_none());
        assert!(!Reviews::<Test>::contains_key(SCHEME));
    });
}

#[test]
fn a_validator_that_leaves_is_replaced_and_the_key_stays() {
    with_key().execute_with(|| {
        let before = StakingExtension::active_key(SCHEME).unwrap();
        session(&[2, 3, 4, 5, 6]);
        assert_eq!(attempt(SCHEME).target, of([2, 3, 4, 5]));
        assert_eq!(
            StakingExtension::active_key(SCHEME),
            Some(before.clone()),
            "the old holders sign"
        );
        // Both committees talk to each other.
        let sees = |viewer: u8, other: u8| {
            let view = StakingExtension::view(&server(viewer), vec![]);
            view.peers.iter().any(|info| info.server == server(other))
        };
        assert!(sees(1, 5) && sees(5, 1) && !sees(6, 1) && !sees(1, 6));
        // Until the end nobody may go.
        for number in [1, 5] {
            assert_noop!(
                StakingExtension::unbind_server(RuntimeOrigin::signed(stash(number))),
                Error::<Test>::ServerInUse
            );
        }
        all_ready(SCHEME);
        let after = StakingExtension::active_key(SCHEME).unwrap();
        assert_eq!((after.root_key, after.epoch), (before.root_key, 2));
        assert_eq!(after.committee, of([2, 3, 4, 5]));
        assert_ok!(StakingExtension::unbind_server(RuntimeOrigin::signed(
            stash(1)
        )));
    });
}

#[test]
fn a_session_during_a_reshare_is_looked_at_when_it_has_ended() {
    with_key().execute_with(|| {
        session(&[2, 3, 4, 5]);
        session(&[3, 4, 5, 6]);
        assert_eq!(attempt(SCHEME).target, of([2, 3, 4, 5]));
        all_ready(SCHEME);
        run_to(now() + 1);
        assert_eq!(attempt(SCHEME).target, of([3, 4, 5, 6]));
    });
}

#[test]
fn more_than_n_minus_t_leave_in_steps() {
    with_key().execute_with(|| {
        session(&[3, 4, 5, 6]);
        let kept = attempt(SCHEME).target;
        let stayed = [1, 2, 3, 4]
            .into_iter()
            .filter(|number| kept.contains(&server(*number)))
            .count();
        assert_eq!((stayed, kept.size()), (3, 4));
        all_ready(SCHEME);
        session(&[3, 4, 5, 6]);
        assert_eq!(attempt(SCHEME).target, of([3, 4, 5, 6]));
    });
}

#[test]
fn too_few_servers_is_a_state_and_no_halt() {
    with_key().execute_with(|| {
        for number in [5, 6] {
            assert_ok!(StakingExtension::unbind_server(RuntimeOrigin::signed(
                stash(number)
            )));
        }
        // Holder 4 is no validator any more; as nobody is there for it, it stays.
        session(&[1, 2, 3]);
        assert!(state(SCHEME).attempt().is_none());
        assert!(events().is_empty());
        let parameters = Parameters {
            committee_min: 5,
            committee_max: 5,
            ..StakingExtension::parameters()
        };
        let root = RuntimeOrigin::root;
        assert_ok!(StakingExtension::set_parameters(root(), parameters));
        assert_ok!(StakingExtension::refresh(root(), SCHEME));
        run_to(now() + 1);
        assert!(state(SCHEME).attempt().is_none());
        assert!(StakingExtension::active_key(SCHEME).is_some());
        assert!(events().contains(&Event::NotEnoughServers { scheme: SCHEME }));
        // It is said once a session, and what root asked for is not forgotten.
        frame_system::Pallet::<Test>::reset_events();
        run_to(now() + 5);
        assert!(events().is_empty());
        bind(5);
        run_to(now() + 5);
        assert!(state(SCHEME).attempt().is_none());
        session(&[1, 2, 3, 4, 5]);
        assert_eq!(attempt(SCHEME).target.size(), 5);
    });
}

#[test]
fn root_asks_for_a_refresh_and_gives_a_reshare_up() {
    with_key().execute_with(|| {
        let root = RuntimeOrigin::root;
        assert_noop!(
            StakingExtension::refresh(root(), Scheme::EcdsaP256),
            Error::<Test>::NoActiveKey
        );
        assert_noop!(
            StakingExtension::give_up(root(), SCHEME),
            Error::<Test>::NoAttempt
        );
        assert_ok!(StakingExtension::refresh(root(), SCHEME));
        run_to(now() + 1);
        assert_eq!(
            (attempt(SCHEME).target, attempt(SCHEME).epoch),
            (of([1, 2, 3, 4]), 2)
        );
        assert_noop!(
            StakingExtension::refresh(root(), SCHEME),
            Error::<Test>::NoActiveKey
        );
        assert_ok!(StakingExtension::give_up(root(), SCHEME));
        run_to(now() + 3);
        assert_eq!(StakingExtension::active_key(SCHEME).unwrap().epoch, 1);
        assert!(state(SCHEME).attempt().is_none());
        assert_ok!(StakingExtension::refresh(root(), SCHEME));
        run_to(now() + 1);
        assert_eq!(attempt(SCHEME).attempt, 2, "no attempt comes twice");
        all_ready(SCHEME);
        assert_eq!(StakingExtension::active_key(SCHEME).unwrap().epoch, 2);
    });
}

#[test]
fn a_refresh_that_is_asked_for_during_a_reshare_outlives_its_end() {
    with_key().execute_with(|| {
        let root = RuntimeOrigin::root;
        session(&[2, 3, 4, 5]);
        // As a change of the ceremonies' version does.
        Reviews::<Test>::insert(SCHEME, crate::Review::Refresh);
        assert_ok!(StakingExtension::give_up(root(), SCHEME));
        run_to(now() + 5);
        assert!(state(SCHEME).attempt().is_none(), "not before a session");
        session(&[1, 2, 3, 4]);
        assert_eq!(attempt(SCHEME).target, of([1, 2, 3, 4]));
    });
}

#[test]
fn root_begins_a_key_generation_anew_with_whoever_is_there() {
    let mut ext = new_ext_with(Parameters {
        schemes: [SCHEME].into_iter().collect(),
        committee_max: 4,
        ..parameters()
    });
    ext.execute_with(|| {
        form_committee(4);
        bind(5);
        ActiveValidators::<Test>::put(BoundedVec::truncate_from([2, 3, 4, 5].map(stash).to_vec()));
        assert_ok!(StakingExtension::give_up(RuntimeOrigin::root(), SCHEME));
        let attempt = attempt(SCHEME);
        assert_eq!((attempt.target, attempt.attempt), (of([2, 3, 4, 5]), 2));
        all_ready(SCHEME);
    });
}

#[test]
fn shares_are_refreshed_every_so_many_sessions() {
    with_key().execute_with(|| {
        let parameters = Parameters {
            refresh_sessions: 2,
            ..StakingExtension::parameters()
        };
        assert_ok!(StakingExtension::set_parameters(
            RuntimeOrigin::root(),
            parameters
        ));
        let since = StakingExtension::active_key(SCHEME).unwrap().since;
        session(&[1, 2, 3, 4]);
        assert!(state(SCHEME).attempt().is_none());
        run_to(since + 20);
        assert!(state(SCHEME).attempt().is_none(), "only with a session");
        session(&[1, 2, 3, 4]);
        assert_eq!(attempt(SCHEME).target, of([1, 2, 3, 4]));
    });
}
