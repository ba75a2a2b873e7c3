//! Servers that fall silent are suspended, and come back by their own word.

use entropy_shared::{
    Scheme,
    lifecycle::{key::LeftOutReason, standing::Standing},
};
use frame_support::{
    assert_noop, assert_ok,
    pallet_prelude::{InvalidTransaction, TransactionValidityError, UnknownTransaction},
};

use crate::{Error, Event, MAX_OFFENCES, Offences, Servers, mock::*};

const SCHEME: Scheme = Scheme::SchnorrTaproot;
const UNKNOWN: TransactionValidityError =
    TransactionValidityError::Unknown(UnknownTransaction::CannotLookup);

fn standing<R>(number: u8, of: impl FnOnce(Standing) -> R) -> R {
    of(Servers::<Test>::get(server(number))
        .unwrap()
        .binding
        .standing)
}

fn suspended_until(number: u8) -> Option<u32> {
    standing(number, |it| it.suspended_until)
}

fn invalid(error: InvalidTransaction) -> TransactionValidityError {
    TransactionValidityError::Invalid(error)
}

/// Five servers are bound; server 4 of the four in the committee was silent while the key was generated.
fn silent() -> sp_io::TestExternalities {
    let mut ext = new_ext_with(entropy_shared::Parameters {
        schemes: [SCHEME].into_iter().collect(),
        committee_max: 4,
        ..parameters()
    });
    ext.execute_with(|| {
        form_committee(4);
        bind(5);
        without(SCHEME, 4);
    });
    ext
}

#[test]
fn who_is_silent_while_t_report_is_suspended_and_the_offence_recorded() {
    silent().execute_with(|| {
        let until = now() + 30;
        assert_eq!(suspended_until(4), Some(until));
        assert!((1..=3).all(|number| suspended_until(number).is_none()));
        let offences = StakingExtension::offences(&server(4));
        assert_eq!(offences.len(), 1);
        assert_eq!(
            (offences[0].reason, offences[0].attempt, offences[0].epoch),
            (LeftOutReason::Silent, 1, 1)
        );
        assert!(events().contains(&Event::Suspended {
            server: server(4),
            until
        }));
        let view = StakingExtension::view(&server(4), vec![]);
        assert_eq!(view.binding.unwrap().standing.suspended_until, Some(until));
    });
}

#[test]
fn a_suspended_server_is_not_chosen_until_it_is_ready() {
    silent().execute_with(|| {
        all_ready(SCHEME);
        // A dead server causes no reshare, session after session; its place goes to another.
        session(&[1, 2, 3, 4]);
        assert!(state(SCHEME).attempt().is_none());
        let until = suspended_until(4).unwrap();
        run_to(until - 1);
        assert_eq!(authorize(&ready_call(4, 1, now() + 9, 4)), Err(UNKNOWN));
        run_to(until);
        assert_eq!(authorize(&ready_call(4, 2, now() + 9, 4)), Err(UNKNOWN));
        assert_eq!(
            authorize(&ready_call(4, 1, now() + 9, 3)),
            Err(invalid(InvalidTransaction::BadProof))
        );
        assert_eq!(
            authorize(&ready_call(9, 1, now() + 9, 9)),
            Err(invalid(InvalidTransaction::BadSigner))
        );
        assert_eq!(
            authorize(&ready_call(4, 1, now() - 1, 4)),
            Err(invalid(InvalidTransaction::Stale))
        );
        assert_eq!(authorize(&ready_call(4, 1, now() + 65, 4)), Err(UNKNOWN));
        assert_ok!(submit(ready_call(4, 1, now() + 9, 4)));
        assert_eq!(
            events().last(),
            Some(&Event::ServerReady { server: server(4) })
        );
        assert_eq!(
            authorize(&ready_call(4, 1, now() + 8, 4)),
            Err(invalid(InvalidTransaction::Stale)),
            "its word counts once"
        );
        session(&[1, 2, 3, 4]);
        assert!(attempt(SCHEME).target.contains(&server(4)));
        all_ready(SCHEME);
        let standing = Servers::<Test>::get(server(4)).unwrap().binding.standing;
        assert_eq!((standing.suspensions, standing.number), (0, 1));
    });
}

#[test]
fn without_authority_nobody_is_ready() {
    silent().execute_with(|| {
        run_to(suspended_until(4).unwrap());
        assert_noop!(
            StakingExtension::ready(
                RuntimeOrigin::signed(stash(4)),
                server(4),
                1,
                now(),
                [0; 64]
            ),
            sp_runtime::DispatchError::BadOrigin
        );
        assert_noop!(
            StakingExtension::ready(
                frame_system::RawOrigin::Authorized.into(),
                server(3),
                0,
                now(),
                [0; 64]
            ),
            Error::<Test>::NotSuspended
        );
    });
}

#[test]
fn a_suspension_is_not_shaken_off_by_binding_again() {
    silent().execute_with(|| {
        all_ready(SCHEME);
        let unbind = || StakingExtension::unbind_server(RuntimeOrigin::signed(stash(4)));
        assert_noop!(unbind(), Error::<Test>::ServerSuspended);
        // A new endpoint is no new server.
        bind(4);
        let (until, bound_until) = standing(4, |it| (it.suspended_until.unwrap(), it.bound_until));
        assert_eq!(bound_until, until - 30 + 30 * 64);
        // Its own word is not enough: it has to hold a share again, or to wait as long as anybody ever has to.
        run_to(until);
        assert_ok!(submit(ready_call(4, 1, now() + 9, 4)));
        assert_noop!(unbind(), Error::<Test>::ServerSuspended);
        run_to(bound_until);
        assert_ok!(unbind());
        assert!(Offences::<Test>::get(server(4)).is_empty());
    });
}

#[test]
fn another_server_of_the_same_validator_takes_the_suspension_over() {
    silent().execute_with(|| {
        all_ready(SCHEME);
        let before = standing(4, |it| it);
        let fresh = info(8);
        let proof = proof(8, 4, &fresh);
        let signed = RuntimeOrigin::signed(stash(4));
        assert_ok!(StakingExtension::bind_server(signed, fresh, proof));
        assert_eq!(standing(8, |it| it), before);
        run_to(before.suspended_until.unwrap());
        assert_ok!(submit(ready_call(8, 1, now() + 9, 8)));
        assert_eq!(standing(8, |it| it.suspensions), 1);
    });
}

#[test]
fn the_latest_offences_are_kept_and_the_waits_grow() {
    silent().execute_with(|| {
        all_ready(SCHEME);
        let mut wait = 30;
        for number in 1..=MAX_OFFENCES + 2 {
            run_to(suspended_until(4).unwrap());
            assert_ok!(submit(ready_call(4, number, now() + 9, 4)));
            session(&[1, 2, 3, 4]);
            without(SCHEME, 4);
            wait = (wait * 2).min(30 * 64);
            assert_eq!(suspended_until(4), Some(now() + wait));
            all_ready(SCHEME);
        }
        let kept = StakingExtension::offences(&server(4));
        assert_eq!(kept.len(), MAX_OFFENCES as usize);
        assert!(kept.is_sorted_by_key(|offence| offence.at));
        assert_eq!(kept.last().unwrap().epoch, MAX_OFFENCES + 3);
    });
}
