//! Results: which are taken, what the pool is told, who cannot cheat, and that what is authorised succeeds.

use codec::Encode;
use entropy_shared::{
    AccountId, Genesis, RequestId, Scheme, Signature,
    canonical::result_bytes,
    lifecycle::request::{Refusal, RequestState, request_id},
};
use frame_support::{
    assert_noop, assert_ok,
    dispatch::{DispatchClass, GetDispatchInfo, RawOrigin},
    pallet_prelude::*,
    traits::Authorize,
};
use proptest::prelude::*;
use sp_core::Pair;
use sp_runtime::{
    DispatchError,
    traits::{Applyable, Checkable, Dispatchable},
};

use super::{check_state, held};
use crate::{Call, Error, Event, authorize::BAD_RESULT, mock::*};

const SCHEMES: [Scheme; 2] = [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot];

fn invalid(error: InvalidTransaction) -> TransactionValidityError {
    TransactionValidityError::Invalid(error)
}

fn unknown() -> TransactionValidityError {
    TransactionValidityError::Unknown(UnknownTransaction::CannotLookup)
}

#[test]
fn a_server_submits_the_signature_that_answers_a_request_once() {
    new_ext().execute_with(|| {
        for scheme in SCHEMES {
            let id = open(scheme, b"pay Bob");
            run_to(now() + 1);
            let signature = answer(&id);
            assert_ok!(submit(call(id, signature, 2, now() + 10, 2)));
            let state = RequestState::Signed {
                signature,
                at: now(),
            };
            assert_eq!(Signing::record(&id).unwrap().state, state);
            assert_eq!(events(), [Event::Signed { id, signature }]);
            assert_eq!(held(1), DEPOSIT);
            check_state();
            // Another server comes too late.
            assert_eq!(
                submit(call(id, signature, 3, now() + 10, 3)),
                Err(invalid(InvalidTransaction::Stale))
            );
            run_to(now() + RETENTION);
            assert_eq!((Signing::record(&id), held(1)), (None, 0));
        }
    });
}

#[test]
fn anybody_may_bring_a_result_and_pay_for_it() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[0], b"pay Bob");
        let signature = answer(&id);
        let bring = |id, signature| {
            Signing::submit_result_paid(RuntimeOrigin::signed(account(2)), id, signature)
        };
        assert_noop!(
            bring(RequestId([0; 32]), signature),
            Error::<Test>::UnknownRequest
        );
        let wrong = Signature::EcdsaSecp256k1([1; 65]);
        assert_noop!(bring(id, wrong), Error::<Test>::BadSignature);
        assert_noop!(
            Signing::submit_result_paid(RuntimeOrigin::none(), id, signature),
            DispatchError::BadOrigin
        );
        assert_ok!(bring(id, signature));
        assert_eq!(events().last(), Some(&Event::Signed { id, signature }));
        assert_noop!(bring(id, signature), Error::<Test>::NotOpen);
        check_state();
        let paid = RuntimeCall::from(Call::submit_result_paid {
            request: id,
            signature,
        });
        assert_eq!(paid.get_dispatch_info().class, DispatchClass::Normal);
        assert_eq!(paid.authorize(TransactionSource::External), None);
    });
}

#[test]
fn the_pool_keeps_one_result_for_each_request_whoever_sends_it() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[1], b"pay Bob");
        let signature = answer(&id);
        let good = call(id, signature, 1, now() + 10, 1);
        let transaction = authorize(&good).unwrap();
        assert_eq!(
            transaction.provides,
            [("entropy/submit-result", id).encode()]
        );
        assert!(transaction.requires.is_empty() && transaction.propagate);
        assert_eq!(
            (transaction.priority, transaction.longevity),
            (u64::MAX / 2, 11)
        );
        let other = authorize(&call(id, signature, 2, now() + 9, 2)).unwrap();
        assert_eq!(other.provides, transaction.provides);
        assert_eq!(good.get_dispatch_info().class, DispatchClass::Operational);
        assert!(good.weight_of_authorize().ref_time() > 0);
    });
}

#[test]
fn a_request_that_this_node_has_not_seen_is_unknown_and_one_that_is_over_is_stale() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[1], b"pay Bob");
        let signature = answer(&id);
        let judge = |id| authorize(&call(id, signature, 1, now() + 10, 1));
        assert_eq!(judge(RequestId([0; 32])), Err(unknown()));
        run_to(EXPIRY);
        assert_ok!(judge(id));
        run_to(EXPIRY + 1);
        assert_eq!(judge(id), Err(invalid(InvalidTransaction::Stale)));
    });
}

#[test]
fn a_result_is_valid_for_at_most_64_blocks_and_until_its_last() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[1], b"pay Bob");
        run_to(5);
        let valid = |until| authorize(&call(id, answer(&id), 1, until, 1));
        assert_eq!(valid(4), Err(invalid(InvalidTransaction::Stale)));
        assert_eq!(valid(5).unwrap().longevity, 1);
        assert_eq!(valid(5 + 64).unwrap().longevity, 65);
        assert_eq!(valid(5 + 65), Err(unknown()));
    });
}

#[test]
fn only_a_bound_server_submits_for_nothing_and_only_for_itself() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[1], b"pay Bob");
        let signature = answer(&id);
        let until = now() + 10;
        assert_eq!(
            authorize(&call(id, signature, 9, until, 9)),
            Err(invalid(InvalidTransaction::BadSigner))
        );
        for signer in [2, 9] {
            assert_eq!(
                authorize(&call(id, signature, 1, until, signer)),
                Err(invalid(InvalidTransaction::BadProof))
            );
        }
        // Its signature is for one chain, one request, one result, one period.
        let with = |message: [u8; 32]| {
            let server_signature = server_pair(1).sign(&message).0;
            let server = server(1);
            let call: RuntimeCall = Call::submit_result {
                request: id,
                signature,
                server,
                valid_until: until,
                server_signature,
            }
            .into();
            authorize(&call)
        };
        assert_ok!(with(result_bytes(
            &GENESIS,
            &server(1),
            &id,
            &signature,
            until
        )));
        let bad = Err(invalid(InvalidTransaction::BadProof));
        assert_eq!(
            with(result_bytes(
                &Genesis([0; 32]),
                &server(1),
                &id,
                &signature,
                until
            )),
            bad
        );
        assert_eq!(
            with(result_bytes(
                &GENESIS,
                &server(1),
                &RequestId([0; 32]),
                &signature,
                until
            )),
            bad
        );
        assert_eq!(
            with(result_bytes(
                &GENESIS,
                &server(1),
                &id,
                &Signature::Bip340([0; 64]),
                until
            )),
            bad
        );
        assert_eq!(
            with(result_bytes(
                &GENESIS,
                &server(1),
                &id,
                &signature,
                until + 1
            )),
            bad
        );
    });
}

#[test]
fn a_result_that_does_not_verify_is_refused_whatever_a_server_says() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[1], b"pay Bob");
        let other = open(SCHEMES[1], b"pay Eve");
        let ecdsa = open(SCHEMES[0], b"pay Bob");
        for wrong in [answer(&other), answer(&ecdsa), Signature::Bip340([1; 64])] {
            assert_eq!(
                authorize(&call(id, wrong, 1, now() + 10, 1)),
                Err(invalid(InvalidTransaction::Custom(BAD_RESULT)))
            );
        }
    });
}

#[test]
fn without_authority_nothing_is_recorded() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[1], b"pay Bob");
        for origin in [
            RawOrigin::None,
            RawOrigin::Root,
            RawOrigin::Signed(account(1)),
        ] {
            let good = call(id, answer(&id), 1, now() + 10, 1);
            assert_eq!(
                good.dispatch(origin.into()).unwrap_err().error,
                DispatchError::BadOrigin
            );
        }
        // And if authority were given to what does not verify, that is refused all the same.
        assert_noop!(
            Signing::submit_result(
                RawOrigin::Authorized.into(),
                id,
                Signature::Bip340([1; 64]),
                server(1),
                now(),
                [0; 64]
            ),
            Error::<Test>::BadSignature
        );
    });
}

#[test]
fn a_general_transaction_without_sender_carries_the_result_into_a_block_once() {
    new_ext().execute_with(|| {
        let id = open(SCHEMES[0], b"pay Bob");
        let signature = answer(&id);
        let apply = || {
            let extension = (frame_system::AuthorizeCall::<Test>::new(),);
            let good = call(id, signature, 1, now() + 10, 1);
            let transaction = UncheckedExtrinsic::new_transaction(good, extension);
            let (info, len) = (transaction.get_dispatch_info(), transaction.encoded_size());
            let checked = transaction
                .check(&frame_system::ChainContext::<Test>::default())
                .unwrap();
            checked.apply::<Test>(&info, len)
        };
        assert_ok!(apply().unwrap());
        assert!(matches!(
            Signing::record(&id).unwrap().state,
            RequestState::Signed { .. }
        ));
        assert_eq!(apply(), Err(invalid(InvalidTransaction::Stale)));
    });
}

#[derive(Clone, Debug)]
enum Step {
    Refuse {
        of: usize,
        number: u8,
        accused: Option<u8>,
    },
    Cancel {
        of: usize,
    },
    Ask {
        number: u8,
        taproot: bool,
        message: u8,
    },
    Wait {
        blocks: u32,
    },
    /// A result for one of the requests so far, true or for another, by a server.
    Submit {
        of: usize,
        answer: usize,
        number: u8,
        signer: u8,
        until: i64,
    },
    Bring {
        of: usize,
        answer: usize,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = || 0usize..6;
    let right = move || {
        (
            index(),
            prop_oneof![4 => Just(None), 1 => index().prop_map(Some)],
        )
    };
    let server = || {
        (
            1u8..=4,
            prop_oneof![6 => Just(None), 1 => (1u8..=4).prop_map(Some)],
        )
    };
    let step = prop_oneof![
        3 => (1u8..=2, any::<bool>(), 0u8..3).prop_map(|(number, taproot, message)| Step::Ask { number, taproot, message }),
        2 => (1u32..30).prop_map(|blocks| Step::Wait { blocks }),
        4 => (right(), server(), -2i64..70).prop_map(|((of, answer), (number, signer), until)| Step::Submit {
            of, answer: answer.unwrap_or(of), number, signer: signer.unwrap_or(number), until,
        }),
        2 => (0usize..8, 1u8..=5, prop::option::of(1u8..=4)).prop_map(|(of, number, accused)| Step::Refuse { of, number, accused }),
        1 => (0usize..8).prop_map(|of| Step::Cancel { of }),
        1 => right().prop_map(|(of, answer)| Step::Bring { of, answer: answer.unwrap_or(of) }),
    ];
    proptest::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// `submit` panics if what was authorised fails.
    #[test]
    fn whatever_is_authorised_succeeds_and_the_state_stays_whole(steps in steps()) {
        new_ext().execute_with(|| {
            let mut asked: Vec<(RequestId, Signature)> = Vec::new();
            for step in steps {
                match step {
                    Step::Ask { number, taproot, message } => {
                        let content = content(SCHEMES[usize::from(taproot)], &[message]);
                        let nonce = System::account_nonce(account(number));
                        let id = request_id(&GENESIS, &AccountId([number; 32]), nonce, &content);
                        let result = request(number, content);
                        assert_eq!(result.is_ok(), number == 1);
                        if result.is_ok() {
                            asked.push((id, answer(&id)));
                        }
                    }
                    Step::Wait { blocks } => run_to(now() + blocks),
                    Step::Refuse { of, number, accused } if !asked.is_empty() => {
                        let (id, _) = asked[of % asked.len()];
                        let refusal = match accused {
                            Some(accused) => Refusal::CannotSign { accused: vec![server(accused)] },
                            None => Refusal::ProgramsNotSupported,
                        };
                        if submit(refuse_call(id, refusal, number, number)).is_ok() {
                            assert!(number <= 3);
                        }
                    }
                    Step::Cancel { of } if !asked.is_empty() => {
                        let (id, _) = asked[of % asked.len()];
                        let before = Signing::record(&id).map(|record| record.check_open(now()).is_ok());
                        let result = Signing::cancel(RuntimeOrigin::signed(account(1)), id);
                        assert_eq!(result.is_ok(), before == Some(true));
                    }
                    Step::Submit { of, answer, number, signer, until } if !asked.is_empty() => {
                        let (id, right) = asked[of % asked.len()];
                        let signature = asked[answer % asked.len()].1;
                        let until = u32::try_from(i64::from(now()) + until).unwrap_or_default();
                        let before = Signing::record(&id);
                        if submit(call(id, signature, number, until, signer)).is_ok() {
                            assert_eq!(signature, right);
                            assert!(number == signer && number <= 4);
                            let before = before.unwrap();
                            assert!(before.state == RequestState::Open && now() < before.expires);
                        }
                    }
                    Step::Bring { of, answer } if !asked.is_empty() => {
                        let (id, right) = asked[of % asked.len()];
                        let signature = asked[answer % asked.len()].1;
                        let result =
                            Signing::submit_result_paid(RuntimeOrigin::signed(account(2)), id, signature);
                        assert!(result.is_err() || signature == right);
                    }
                    Step::Submit { .. } | Step::Bring { .. } | Step::Refuse { .. } | Step::Cancel { .. } => {}
                }
                check_state();
            }
            run_to(now() + EXPIRY + RETENTION + 1);
            assert_eq!(crate::Requests::<Test>::iter().count(), 0);
            check_state();
        });
    }
}
