//! Asking, expiring, being forgotten, and what others see of it.

use entropy_shared::{
    AccountId, Hasher, KeyId, Scheme, TaprootTweak,
    lifecycle::{
        registry::Requesters,
        request::{RequestContent, RequestState, request_id},
    },
    view::OpenRequest,
};
use frame_support::{assert_noop, assert_ok, traits::fungible::Inspect as _};
use sp_runtime::{DispatchError, TokenError, traits::Dispatchable as _};

use super::{check_state, held};
use crate::{Error, Event, OpenOfKey, PageLengths, Requests, ending::MAX_ENDED_PER_BLOCK, mock::*};

const SCHEME: Scheme = Scheme::SchnorrTaproot;

#[test]
fn a_request_is_kept_for_a_deposit_under_an_id_that_the_requester_can_tell_before() {
    new_ext().execute_with(|| {
        for scheme in [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot] {
            let nonce = System::account_nonce(account(1));
            let content = content(scheme, b"pay Bob");
            let id = request_id(&GENESIS, &AccountId([1; 32]), nonce, &content);
            assert_ok!(request(1, content.clone()));
            let record = Signing::record(&id).unwrap();
            assert_eq!(record.content, content);
            assert_eq!(
                (record.requester, record.scheme),
                (AccountId([1; 32]), scheme)
            );
            assert_eq!((record.submitted, record.expires), (1, 1 + EXPIRY));
            assert_eq!(record.state, RequestState::Open);
            assert_eq!(record.digest, Hasher::Sha256.digest(b"pay Bob").unwrap());
            let requested = Event::Requested {
                id,
                key: key(scheme),
                requester: account(1),
            };
            assert_eq!(events().last(), Some(&requested));
            assert_eq!(OpenOfKey::<Test>::get(key(scheme)).to_vec(), [id]);
        }
        assert_eq!(held(1), 2 * DEPOSIT);
        // The fee is gone, whatever becomes of the requests.
        let spent = 2 * (DEPOSIT + FEE);
        assert_eq!(Balances::free_balance(account(1)), ENDOWMENT - spent);
        assert_eq!(Signing::record(&entropy_shared::RequestId([0; 32])), None);
        check_state();
    });
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    new_ext().execute_with(|| {
        let good = || content(Scheme::EcdsaCggmp24, b"pay Bob");
        let unknown = RequestContent {
            key: KeyId([0; 32]),
            ..good()
        };
        assert_noop!(
            Signing::request(RuntimeOrigin::signed(account(1)), unknown, None),
            Error::<Test>::UnknownKey
        );
        let ask = |number, content| {
            Signing::request(RuntimeOrigin::signed(account(number)), content, None)
        };
        assert_noop!(ask(2, good()), Error::<Test>::NotAllowed);
        let undigested = RequestContent {
            hasher: Hasher::Identity,
            ..good()
        };
        assert_noop!(ask(1, undigested), Error::<Test>::MessageNotADigest);
        let long = RequestContent {
            message: vec![0; 8_193],
            ..good()
        };
        assert_noop!(ask(1, long), Error::<Test>::MessageTooLong);
        let tweaked = RequestContent {
            tweak: TaprootTweak::KeyPath,
            ..good()
        };
        assert_noop!(ask(1, tweaked), Error::<Test>::TweakWithoutTaproot);
        assert_noop!(
            Signing::request(RuntimeOrigin::none(), good(), None),
            DispatchError::BadOrigin
        );
        RootsActive::set(false);
        assert_noop!(ask(1, good()), Error::<Test>::NoRootKey);
    });
}

#[test]
fn the_same_request_with_the_same_nonce_is_refused_and_another_is_not() {
    new_ext().execute_with(|| {
        // As in one batch, whose calls share a nonce.
        let ask = |message| {
            Signing::request(
                RuntimeOrigin::signed(account(1)),
                content(SCHEME, message),
                None,
            )
        };
        System::inc_account_nonce(account(1));
        assert_ok!(ask(b"a"));
        assert_noop!(ask(b"a"), Error::<Test>::Duplicate);
        assert_ok!(ask(b"b"));
        // The next transaction may ask for the same once more.
        System::inc_account_nonce(account(1));
        assert_ok!(ask(b"a"));
        check_state();
    });
}

#[test]
fn who_lacks_the_deposit_asks_for_nothing() {
    new_ext().execute_with(|| {
        let id = key(SCHEME);
        Registered::mutate(|keys| keys.get_mut(&id).unwrap().owner = AccountId([9; 32]));
        assert_eq!(
            request(9, content(SCHEME, b"a")),
            Err(TokenError::FundsUnavailable.into())
        );
        assert_eq!(Requests::<Test>::iter().count(), 0);
        check_state();
    });
}

#[test]
fn a_chain_that_takes_no_fee_and_no_deposit_serves_who_has_nothing() {
    new_ext().execute_with(|| {
        RequestDeposit::set(0);
        RequestFee::set(0);
        let id = open(SCHEME, b"a");
        assert_eq!(Balances::free_balance(account(1)), ENDOWMENT);
        check_state();
        // What is given back is what was held, whatever a request costs by now.
        RequestDeposit::set(DEPOSIT);
        let other = open(SCHEME, b"b");
        RequestDeposit::set(2 * DEPOSIT);
        run_to(1 + EXPIRY + RETENTION);
        assert_eq!(
            (Signing::record(&id), Signing::record(&other)),
            (None, None)
        );
        assert_eq!(held(1), 0);
        assert_eq!(Balances::free_balance(account(1)), ENDOWMENT);
        check_state();
    });
}

#[test]
fn as_many_requests_are_open_as_the_chain_can_have() {
    new_ext().execute_with(|| {
        // The fuller the list, the dearer: by eighths, so that nobody fills it for the price of using it.
        let mut fees = Vec::new();
        let mut ids = Vec::new();
        for number in 0..MAX_OPEN {
            let before = Balances::total_balance(&account(1));
            ids.push(open_one_of_many(number));
            fees.push(before - Balances::total_balance(&account(1)));
        }
        assert_eq!((fees.first(), fees.last()), (Some(&FEE), Some(&(FEE << 7))));
        assert!(fees.is_sorted());
        assert_eq!(
            request(1, content(SCHEME, b"one too many")),
            Err(Error::<Test>::TooManyOpenRequests.into())
        );
        check_state();
        // As soon as one is answered there is room.
        assert_ok!(submit(call(ids[7], answer(&ids[7]), 1, now() + 1, 1)));
        open(SCHEME, b"one more");
        check_state();
    });
}

#[test]
fn neither_a_key_nor_an_account_can_fill_the_list() {
    new_ext().execute_with(|| {
        let first = open(SCHEME, b"first");
        for number in 1..PER_KEY {
            open(SCHEME, &number.to_le_bytes());
        }
        let ask = |key| RequestContent {
            key,
            ..content(SCHEME, b"one too many")
        };
        assert_eq!(
            request(1, ask(key(SCHEME))),
            Err(Error::<Test>::TooManyOpenForKey.into())
        );
        PerRequester::set(PER_KEY + 1);
        assert_ok!(request(1, ask(another_key(1))));
        assert_eq!(
            request(1, ask(another_key(2))),
            Err(Error::<Test>::TooManyOpenForRequester.into())
        );
        // Another account that may use the key is not hindered by that.
        let of = another_key(3);
        let requesters = Requesters::Accounts(vec![AccountId([2; 32])]);
        Registered::mutate(|keys| keys.get_mut(&of).unwrap().requesters = requesters);
        assert_ok!(request(2, ask(of)));
        assert_eq!(
            request(2, ask(another_key(4))),
            Err(Error::<Test>::NotAllowed.into())
        );
        assert_ok!(submit(call(first, answer(&first), 1, now() + 1, 1)));
        assert_ok!(request(1, ask(key(SCHEME))));
        check_state();
    });
}

#[test]
fn a_batch_is_of_all_or_of_none() {
    new_ext().execute_with(|| {
        let batch = |messages: &[&[u8]], lifetime| {
            let contents = messages.iter().map(|message| content(SCHEME, message));
            let call = RuntimeCall::from(crate::Call::request_batch {
                contents: contents.collect(),
                lifetime,
            });
            System::inc_account_nonce(account(1));
            call.dispatch(RuntimeOrigin::signed(account(1)))
                .map(|_| ())
                .map_err(|error| error.error)
        };
        assert_ok!(batch(&[b"a", b"b", b"c"], Some(5)));
        let open = Signing::open_requests();
        assert_eq!(open.len(), 3);
        assert!(open.iter().all(|request| request.expires == now() + 5));
        assert_eq!(held(1), 3 * DEPOSIT);
        for (messages, error) in [
            (&[][..], Error::<Test>::BadBatch),
            (&[&b"x"[..]; 17], Error::<Test>::BadBatch),
            (&[b"d", b"d"], Error::<Test>::Duplicate),
            (&[b"d", &[0; 8_193]], Error::<Test>::MessageTooLong),
        ] {
            assert_eq!(batch(messages, None), Err(error.into()));
            assert_eq!(Signing::open_requests(), open);
        }
        check_state();
    });
}

#[test]
fn a_request_stays_open_for_as_long_as_its_requester_wants_and_the_chain_allows() {
    new_ext().execute_with(|| {
        for bad in [0, EXPIRY + 1, u32::MAX] {
            assert_eq!(
                request_for(1, content(SCHEME, b"a"), Some(bad)),
                Err(Error::<Test>::BadLifeTime.into())
            );
        }
        let long = open(SCHEME, b"long");
        assert_ok!(request_for(1, content(SCHEME, b"short"), Some(1)));
        let short = Signing::open_requests()
            .into_iter()
            .find(|request| request.id != long)
            .unwrap()
            .id;
        run_to(2);
        let state = |id| Signing::record(&id).unwrap().state;
        assert_eq!(state(short), RequestState::Expired { at: 2 });
        assert_eq!(state(long), RequestState::Open);
        check_state();
    });
}

#[test]
fn the_view_lists_open_requests_oldest_first_and_not_too_many() {
    new_ext().execute_with(|| {
        let ids: Vec<_> = (0..5u32)
            .map(|number| {
                run_to(now() + 1);
                open(SCHEME, &number.to_le_bytes())
            })
            .collect();
        assert_ok!(submit(call(ids[2], answer(&ids[2]), 1, now() + 1, 1)));
        let expected: Vec<_> = [0, 1, 3, 4]
            .map(|number: usize| {
                OpenRequest::new(ids[number], &Signing::record(&ids[number]).unwrap())
            })
            .into();
        assert_eq!(Signing::open_requests(), expected);
        for number in 5..MAX_OPEN {
            open_one_of_many(number);
        }
        let listed = Signing::open_requests();
        assert_eq!(listed.len(), MAX_OPEN as usize - 1);
        // Those of one block are in the order of their ids.
        assert_eq!(listed[..3], expected[..3]);
        // A place that has become free is taken, but the newest stays the last.
        run_to(now() + 1);
        let newest = open(SCHEME, b"newest");
        assert_eq!(Signing::open_requests().last().unwrap().id, newest);
    });
}

#[test]
fn a_request_expires_is_kept_for_a_while_and_is_forgotten() {
    new_ext().execute_with(|| {
        let id = open(SCHEME, b"a");
        run_to(EXPIRY);
        assert_eq!(Signing::record(&id).unwrap().state, RequestState::Open);
        run_to(EXPIRY + 1);
        assert_eq!(
            Signing::record(&id).unwrap().state,
            RequestState::Expired { at: EXPIRY + 1 }
        );
        assert_eq!(events(), [Event::Expired { id }]);
        assert!(Signing::open_requests().is_empty());
        assert_eq!(held(1), DEPOSIT);
        check_state();
        run_to(EXPIRY + RETENTION);
        assert!(Signing::record(&id).is_some());
        run_to(EXPIRY + RETENTION + 1);
        assert_eq!(Signing::record(&id), None);
        assert_eq!(held(1), 0);
        check_state();
        run_to(500);
        assert!(events().is_empty());
    });
}

#[test]
fn what_is_due_beyond_the_bound_of_a_block_waits_for_the_next() {
    new_ext().execute_with(|| {
        let many = MAX_OPEN;
        let ids: Vec<_> = (0..many).map(open_one_of_many).collect();
        let late = *ids.last().unwrap();
        let signature = answer(&late);
        let mut left = many;
        for block in 0..3 {
            run_to(1 + EXPIRY + block);
            left -= left.min(MAX_ENDED_PER_BLOCK);
            assert_eq!(PageLengths::<Test>::get().iter().sum::<u32>(), left);
            // What has not been marked yet is over all the same.
            assert!(Signing::open_requests().is_empty());
            assert!(authorize(&call(late, signature, 1, now() + 1, 1)).is_err());
            check_state();
        }
        assert_eq!(left, 0);
        run_to(1 + EXPIRY + RETENTION);
        assert_eq!(
            Requests::<Test>::iter().count() as u32,
            many - MAX_ENDED_PER_BLOCK
        );
        run_to(3 + EXPIRY + RETENTION);
        assert_eq!(Requests::<Test>::iter().count(), 0);
        check_state();
    });
}
