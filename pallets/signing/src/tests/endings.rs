//! Requests that end without a signature: cancelled, refused by too many, or with their key.

use entropy_shared::{
    AccountId, Genesis, RequestId, Scheme,
    canonical::refusal_bytes,
    lifecycle::request::{Refusal, RequestFailure, RequestState},
    traits::Requests as _,
};
use frame_support::{
    assert_noop, assert_ok,
    pallet_prelude::{InvalidTransaction, TransactionValidityError, UnknownTransaction},
};
use sp_core::Pair as _;
use sp_runtime::DispatchError;

use super::{check_state, held};
use crate::{Call, Error, Event, authorize::BAD_ACCUSATION, mock::*};

const SCHEME: Scheme = Scheme::SchnorrTaproot;

fn state(id: &RequestId) -> RequestState {
    Signing::record(id).unwrap().state
}

fn invalid(error: InvalidTransaction) -> TransactionValidityError {
    TransactionValidityError::Invalid(error)
}

fn cannot(accused: &[u8]) -> Refusal {
    Refusal::CannotSign {
        accused: accused.iter().copied().map(server).collect(),
    }
}

#[test]
fn who_asked_cancels_and_nobody_else() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        let signature = answer(&id);
        let cancel = |number| Signing::cancel(RuntimeOrigin::signed(account(number)), id);
        assert_noop!(cancel(2), Error::<Test>::NotRequester);
        assert_noop!(
            Signing::cancel(RuntimeOrigin::none(), id),
            DispatchError::BadOrigin
        );
        assert_noop!(
            Signing::cancel(RuntimeOrigin::signed(account(1)), RequestId([0; 32])),
            Error::<Test>::UnknownRequest
        );
        assert_ok!(cancel(1));
        assert_eq!(state(&id), RequestState::Cancelled { at: 1 });
        assert_eq!(events().last(), Some(&Event::Cancelled { id }));
        assert!(Signing::open_requests().is_empty());
        check_state();
        assert_noop!(cancel(1), Error::<Test>::NotOpen);
        assert_eq!(
            authorize(&call(id, signature, 1, now() + 1, 1)),
            Err(invalid(InvalidTransaction::Stale))
        );
        // It is kept for a while, like every other, and does not expire once more.
        assert_eq!(held(1), DEPOSIT);
        run_to(1 + EXPIRY + 1);
        assert!(events().is_empty());
        run_to(1 + RETENTION);
        assert_eq!(Signing::record(&id), None);
        assert_eq!(held(1), 0);
        // One whose time is over can't be cancelled, marked or not.
        let late = open(SCHEME, b"b");
        System::set_block_number(now() + EXPIRY);
        assert_noop!(
            Signing::cancel(RuntimeOrigin::signed(account(1)), late),
            Error::<Test>::NotOpen
        );
    });
}

#[test]
fn a_request_fails_when_fewer_than_a_threshold_are_left() {
    new_ext().execute_with(|| {
        // Two of three sign: one may refuse.
        let id = open(SCHEME, b"a");
        assert_ok!(submit(refuse_call(id, Refusal::ProgramRefused, 1, 1)));
        assert_eq!(state(&id), RequestState::Open);
        let refused = Event::Refused {
            id,
            server: server(1),
            refusal: Refusal::ProgramRefused,
        };
        assert_eq!(events().last(), Some(&refused));
        assert_ok!(submit(refuse_call(id, cannot(&[3]), 2, 2)));
        // As many say the one as the other: the first of them in the order of the reasons.
        let failure = RequestFailure::Refused {
            reason: Refusal::ProgramRefused,
            blamed: vec![],
        };
        assert_eq!(
            state(&id),
            RequestState::Failed {
                failure: failure.clone(),
                at: 1
            }
        );
        assert_eq!(events().last(), Some(&Event::Failed { id, failure }));
        assert!(Signing::open_requests().is_empty());
        check_state();

        // Whom more than n - t blame is named.
        let id = open(SCHEME, b"b");
        assert_ok!(submit(refuse_call(id, cannot(&[2]), 1, 1)));
        assert_ok!(submit(refuse_call(id, cannot(&[2, 1]), 3, 3)));
        let RequestState::Failed {
            failure: RequestFailure::Refused { reason, blamed },
            ..
        } = state(&id)
        else {
            panic!("two of three refuse")
        };
        assert_eq!((reason, blamed), (cannot(&[]), vec![server(2)]));
    });
}

#[test]
fn a_refusal_that_does_not_count_is_refused_before_it_is_included() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        let no = Refusal::NotAuthorised;
        let judge = |refusal: &Refusal, number, signer| {
            authorize(&refuse_call(id, refusal.clone(), number, signer))
        };
        let good = judge(&no, 1, 1).unwrap();
        let other = judge(&no, 2, 2).unwrap();
        assert!(good.propagate && good.provides != other.provides);
        assert_eq!((good.priority, good.longevity), (u64::MAX / 2, 6));
        assert_eq!(judge(&no, 1, 2), Err(invalid(InvalidTransaction::BadProof)));
        // Server 4 is bound, but holds no share.
        assert_eq!(
            judge(&no, 4, 4),
            Err(invalid(InvalidTransaction::BadSigner))
        );
        for accused in [&[1][..], &[4], &[2, 2], &[1, 2, 3]] {
            assert_eq!(
                judge(&cannot(accused), 1, 1),
                Err(invalid(InvalidTransaction::Custom(BAD_ACCUSATION)))
            );
        }
        let nobodys = refuse_call(RequestId([0; 32]), no.clone(), 1, 1);
        assert_eq!(
            authorize(&nobodys),
            Err(UnknownTransaction::CannotLookup.into())
        );
        assert_ok!(submit(refuse_call(id, no.clone(), 1, 1)));
        assert_eq!(judge(&no, 1, 1), Err(invalid(InvalidTransaction::Stale)));
        // The others sign all the same.
        assert_ok!(submit(call(id, answer(&id), 2, now() + 1, 2)));
        assert_eq!(judge(&no, 3, 3), Err(invalid(InvalidTransaction::Stale)));
        assert_noop!(
            Signing::refuse(
                RuntimeOrigin::signed(account(1)),
                id,
                1,
                no.clone(),
                server(3),
                now(),
                [0; 64]
            ),
            DispatchError::BadOrigin
        );
        let authorized = frame_system::RawOrigin::Authorized;
        assert_noop!(
            Signing::refuse(authorized.into(), id, 1, no, server(3), now(), [0; 64]),
            Error::<Test>::NotOpen
        );
    });
}

#[test]
fn a_refusal_is_for_one_chain_one_request_one_epoch_one_reason_and_one_period() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        let until = now() + 5;
        let no = Refusal::NotAuthorised;
        let with = |message: [u8; 32]| {
            let call: RuntimeCall = Call::refuse {
                request: id,
                epoch: 1,
                refusal: no.clone(),
                server: server(1),
                valid_until: until,
                server_signature: server_pair(1).sign(&message).0,
            }
            .into();
            authorize(&call).map(|_| ())
        };
        let other = RequestId([0; 32]);
        let good = refusal_bytes(&GENESIS, &server(1), &id, 1, &no, until);
        assert_ok!(with(good));
        for bad in [
            refusal_bytes(&Genesis([0; 32]), &server(1), &id, 1, &no, until),
            refusal_bytes(&GENESIS, &server(2), &id, 1, &no, until),
            refusal_bytes(&GENESIS, &server(1), &other, 1, &no, until),
            refusal_bytes(&GENESIS, &server(1), &id, 2, &no, until),
            refusal_bytes(&GENESIS, &server(1), &id, 1, &cannot(&[]), until),
            refusal_bytes(&GENESIS, &server(1), &id, 1, &no, until + 1),
        ] {
            assert_eq!(with(bad), Err(invalid(InvalidTransaction::BadProof)));
        }
    });
}

#[test]
fn nobody_repeats_a_refusal_after_a_change_of_holders() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        let no = Refusal::ProgramRefused;
        let first = refuse_call(id, no.clone(), 1, 1);
        // Of an epoch that this node may only not have seen yet.
        let early = refuse_call_in(2, id, no.clone(), 2, 2);
        assert_eq!(
            authorize(&early),
            Err(UnknownTransaction::CannotLookup.into())
        );
        assert_ok!(submit(first.clone()));
        Epoch::set(2);
        assert_ok!(submit(early));
        // Server 1 holds a share of this epoch too, but said nothing in it.
        assert_eq!(authorize(&first), Err(invalid(InvalidTransaction::Stale)));
        let authorized = || frame_system::RawOrigin::Authorized.into();
        let refuse = |epoch, number, refusal| {
            Signing::refuse(
                authorized(),
                id,
                epoch,
                refusal,
                server(number),
                now(),
                [0; 64],
            )
        };
        assert_noop!(refuse(1, 1, no.clone()), Error::<Test>::WrongEpoch);
        assert_noop!(refuse(3, 1, no.clone()), Error::<Test>::WrongEpoch);
        assert_noop!(refuse(2, 2, no.clone()), Error::<Test>::AlreadyRefused);
        assert_noop!(refuse(2, 4, no.clone()), Error::<Test>::NotAHolder);
        assert_noop!(refuse(2, 1, cannot(&[1])), Error::<Test>::BadAccusation);
        assert_eq!(state(&id), RequestState::Open);
        RootsActive::set(false);
        assert_noop!(refuse(2, 1, no.clone()), Error::<Test>::NoRootKey);
        assert_eq!(
            authorize(&refuse_call(id, no.clone(), 1, 1)),
            Err(UnknownTransaction::CannotLookup.into())
        );
        RootsActive::set(true);
        assert_ok!(submit(refuse_call(id, no, 1, 1)));
        assert!(matches!(state(&id), RequestState::Failed { .. }));
    });
}

#[test]
fn what_holders_of_an_earlier_epoch_said_does_not_count_any_more() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        assert_ok!(submit(refuse_call(id, Refusal::ProgramRefused, 1, 1)));
        Epoch::set(2);
        Holders::set(vec![2, 3, 4]);
        assert_ok!(submit(refuse_call(id, Refusal::ProgramRefused, 2, 2)));
        assert_eq!(state(&id), RequestState::Open, "one of the present holders");
        assert!(authorize(&refuse_call(id, Refusal::ProgramRefused, 1, 1)).is_err());
        assert_ok!(submit(refuse_call(id, Refusal::ProgramRefused, 4, 4)));
        assert!(matches!(state(&id), RequestState::Failed { .. }));
    });
}

#[test]
fn closing_a_key_gives_up_what_is_over_as_expired() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        // As if the block had no room to give it up.
        System::set_block_number(1 + EXPIRY);
        Signing::fail_open(&key(SCHEME), RequestFailure::KeyClosed);
        assert_eq!(state(&id), RequestState::Expired { at: 1 + EXPIRY });
        assert_eq!(events().last(), Some(&Event::Expired { id }));
        check_state();
    });
}

#[test]
fn closing_a_key_ends_its_requests_and_no_others() {
    new_ext().execute_with(|| {
        let ids: Vec<_> = (0..5u8).map(|number| open(SCHEME, &[number])).collect();
        let other = open(Scheme::EcdsaCggmp24, b"other");
        assert_ok!(submit(call(ids[0], answer(&ids[0]), 1, now() + 1, 1)));
        Signing::fail_open(&key(SCHEME), RequestFailure::KeyClosed);
        check_state();
        for id in &ids[1..] {
            let expected = RequestState::Failed {
                failure: RequestFailure::KeyClosed,
                at: 1,
            };
            assert_eq!(state(id), expected);
        }
        assert!(matches!(state(&ids[0]), RequestState::Signed { .. }));
        assert_eq!(state(&other), RequestState::Open);
        assert_eq!(
            Signing::record(&ids[1]).unwrap().requester,
            AccountId([1; 32])
        );
    });
}
