//! Reports as authorised calls: what the pool is told, who cannot cheat, and that what is authorised succeeds.

use codec::Encode;
use entropy_shared::{
    Digest, Genesis, Scheme, Signature,
    canonical::attempt_report_bytes,
    lifecycle::key::{AttemptOutcome, AttemptReport, AttemptResult},
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

use crate::{
    Call, Error, Event, Servers,
    authorize::{BAD_ACCUSATION, BAD_SHARE_PROOF},
    mock::*,
};

const SCHEME: Scheme = Scheme::SchnorrTaproot;

fn invalid(error: InvalidTransaction) -> TransactionValidityError {
    TransactionValidityError::Invalid(error)
}

fn unknown() -> TransactionValidityError {
    TransactionValidityError::Unknown(UnknownTransaction::CannotLookup)
}

/// Calls the pool with the report of server `number`, signed by itself and valid for ten blocks.
fn judge(report: AttemptReport, signer: u8) -> Result<ValidTransaction, TransactionValidityError> {
    authorize(&call(report, now() + 10, signer))
}

#[test]
fn the_pool_learns_what_the_report_provides_and_for_how_long() {
    new_ext().execute_with(|| {
        form_committee(4);
        let transaction = judge(ready(1, SCHEME, 1), 1).unwrap();
        let provides = ("entropy/report-attempt", (server(1), SCHEME, 1u32, 1u32)).encode();
        assert_eq!(transaction.provides, [provides]);
        assert!(transaction.requires.is_empty() && transaction.propagate);
        assert_eq!(transaction.priority, u64::MAX / 2);
        // The pool bans what it keeps for longer than this from the present block, which is the one before `now`.
        assert_eq!(transaction.longevity, 11);
        // A retry provides the same; another outcome too.
        let again = authorize(&call(ready(1, SCHEME, 1), now() + 11, 1)).unwrap();
        let failure = judge(failed(1, SCHEME, 1, vec![]), 1).unwrap();
        assert!(again.provides == transaction.provides && failure.provides == transaction.provides);
        let other = judge(ready(2, SCHEME, 1), 2).unwrap();
        assert_ne!(other.provides, transaction.provides);

        let info = call(ready(1, SCHEME, 1), now() + 10, 1).get_dispatch_info();
        assert_eq!(info.class, DispatchClass::Operational);
        assert!(
            call(ready(1, SCHEME, 1), now() + 10, 1)
                .weight_of_authorize()
                .ref_time()
                > 0
        );
    });
}

#[test]
fn a_report_counts_once() {
    new_ext().execute_with(|| {
        form_committee(4);
        assert_ok!(submit(call(ready(1, SCHEME, 1), now() + 10, 1)));
        let expected = Event::Reported {
            server: server(1),
            scheme: SCHEME,
            attempt: 1,
            ready: true,
        };
        assert_eq!(events().last(), Some(&expected));
        assert_eq!(attempt(SCHEME).reports.len(), 1);
        for report in [ready(1, SCHEME, 1), failed(1, SCHEME, 1, vec![])] {
            assert_eq!(judge(report, 1), Err(invalid(InvalidTransaction::Stale)));
        }
    });
}

#[test]
fn a_failure_counts_too() {
    new_ext().execute_with(|| {
        form_committee(4);
        assert_ok!(submit(call(
            failed(1, SCHEME, 1, vec![server(4)]),
            now() + 10,
            1
        )));
        let expected = Event::Reported {
            server: server(1),
            scheme: SCHEME,
            attempt: 1,
            ready: false,
        };
        assert_eq!(events().last(), Some(&expected));
        assert_eq!(attempt(SCHEME).reports[0].accused, [server(4)]);
    });
}

#[test]
fn what_may_come_true_is_unknown_and_what_cannot_is_stale() {
    new_ext().execute_with(|| {
        // Before any attempt.
        assert_eq!(judge(ready(1, SCHEME, 1), 1), Err(unknown()));
        form_committee(4);
        assert_eq!(judge(ready(1, SCHEME, 2), 1), Err(unknown()));
        assert_eq!(
            judge(
                AttemptReport {
                    epoch: 2,
                    ..ready(1, SCHEME, 1)
                },
                1
            ),
            Err(unknown())
        );
        let over = attempt(SCHEME).deadline + 1;
        run_to(over);
        assert_eq!(
            judge(ready(1, SCHEME, 1), 1),
            Err(invalid(InvalidTransaction::Stale))
        );
        assert_ok!(judge(ready(1, SCHEME, 2), 1));
        all_ready(SCHEME);
        assert_eq!(
            judge(ready(1, SCHEME, 2), 1),
            Err(invalid(InvalidTransaction::Stale))
        );
    });
}

#[test]
fn a_report_is_valid_for_at_most_64_blocks_and_until_its_last() {
    new_ext().execute_with(|| {
        form_committee(4);
        let valid = |until| authorize(&call(ready(1, SCHEME, 1), until, 1));
        assert_eq!(valid(now() - 1), Err(invalid(InvalidTransaction::Stale)));
        assert_eq!(valid(now()).unwrap().longevity, 1);
        assert_eq!(valid(now() + 64).unwrap().longevity, 65);
        assert_eq!(valid(now() + 65), Err(unknown()));
        assert_eq!(valid(u32::MAX), Err(unknown()));
    });
}

#[test]
fn nobody_reports_for_another() {
    new_ext().execute_with(|| {
        bind(6);
        form_committee(4);
        // With another server's key: a member's, a bound outsider's, a stranger's.
        for signer in [2, 6, 9] {
            assert_eq!(
                judge(ready(1, SCHEME, 1), signer),
                Err(invalid(InvalidTransaction::BadProof))
            );
        }
        // In its own name, but outside of the attempt.
        for number in [6, 9] {
            assert_eq!(
                judge(ready(number, SCHEME, 1), number),
                Err(invalid(InvalidTransaction::BadSigner))
            );
        }
        // A member whose binding is gone, which no call can bring about.
        Servers::<Test>::remove(server(1));
        assert_eq!(
            judge(ready(1, SCHEME, 1), 1),
            Err(invalid(InvalidTransaction::BadSigner))
        );
    });
}

#[test]
fn a_signature_is_for_one_chain_one_report_and_one_period() {
    new_ext().execute_with(|| {
        form_committee(4);
        let report = ready(1, SCHEME, 1);
        let until = now() + 10;
        let with = |message: [u8; 32], valid_until| {
            let signature = server_pair(1).sign(&message).0;
            let call: RuntimeCall = Call::report_attempt {
                report: report.clone(),
                valid_until,
                signature,
            }
            .into();
            authorize(&call)
        };
        let genesis = StakingExtension::genesis();
        assert_ok!(with(attempt_report_bytes(&genesis, &report, until), until));
        let bad = Err(invalid(InvalidTransaction::BadProof));
        assert_eq!(
            with(
                attempt_report_bytes(&Genesis([0; 32]), &report, until),
                until
            ),
            bad
        );
        assert_eq!(
            with(attempt_report_bytes(&genesis, &report, until), until + 1),
            bad
        );
        let failure = failed(1, SCHEME, 1, vec![]);
        assert_eq!(
            with(attempt_report_bytes(&genesis, &failure, until), until),
            bad
        );
    });
}

#[test]
fn a_share_must_be_proven() {
    new_ext().execute_with(|| {
        form_committee(4);
        let custom = Err(invalid(InvalidTransaction::Custom(BAD_SHARE_PROOF)));
        let with = |public_digest, proof| {
            let result = AttemptResult {
                public_digest,
                root_key: root_key(),
            };
            let outcome = AttemptOutcome::Ready { result, proof };
            judge(
                AttemptReport {
                    outcome,
                    ..ready(1, SCHEME, 1)
                },
                1,
            )
        };
        assert_ok!(with(PUBLIC, share_proof(SCHEME, 1, 1, &PUBLIC)));
        assert_eq!(with(PUBLIC, Signature::Bip340([1; 64])), custom);
        assert_eq!(
            with(Digest([8; 32]), share_proof(SCHEME, 1, 1, &PUBLIC)),
            custom
        );
        assert_eq!(with(PUBLIC, share_proof(SCHEME, 1, 2, &PUBLIC)), custom);
        assert_eq!(
            with(PUBLIC, share_proof(Scheme::EcdsaCggmp24, 1, 1, &PUBLIC)),
            custom
        );
    });
}

#[test]
fn nonsense_is_no_accusation() {
    new_ext().execute_with(|| {
        form_committee(4);
        let everybody: Vec<_> = (1..=4).map(server).collect();
        for accused in [
            vec![server(1)],
            vec![server(9)],
            vec![server(2), server(2)],
            everybody,
        ] {
            assert_eq!(
                judge(failed(1, SCHEME, 1, accused), 1),
                Err(invalid(InvalidTransaction::Custom(BAD_ACCUSATION)))
            );
        }
    });
}

#[test]
fn without_authority_nothing_counts() {
    new_ext().execute_with(|| {
        form_committee(4);
        for origin in [
            RawOrigin::None,
            RawOrigin::Root,
            RawOrigin::Signed(stash(1)),
        ] {
            let good = call(ready(1, SCHEME, 1), now() + 10, 1);
            assert_eq!(
                good.dispatch(origin.into()).unwrap_err().error,
                DispatchError::BadOrigin
            );
        }
        // And if it were given to what does not count, that is refused all the same.
        let Call::report_attempt {
            report,
            valid_until,
            signature,
        } = (match call(ready(1, SCHEME, 2), now() + 10, 1) {
            RuntimeCall::StakingExtension(call) => call,
            _ => unreachable!(),
        })
        else {
            unreachable!()
        };
        assert_noop!(
            StakingExtension::report_attempt(
                RawOrigin::Authorized.into(),
                report,
                valid_until,
                signature
            ),
            Error::<Test>::ReportRefused
        );
        assert_eq!(
            RuntimeCall::from(Call::<Test>::unbind_server {})
                .authorize(TransactionSource::External),
            None
        );
    });
}

#[test]
fn a_general_transaction_without_sender_carries_the_report_into_a_block_once() {
    new_ext().execute_with(|| {
        form_committee(4);
        let apply = || {
            let extension = (frame_system::AuthorizeCall::<Test>::new(),);
            let transaction = UncheckedExtrinsic::new_transaction(
                call(ready(1, SCHEME, 1), now() + 10, 1),
                extension,
            );
            let (info, len) = (transaction.get_dispatch_info(), transaction.encoded_size());
            let checked = transaction
                .check(&frame_system::ChainContext::<Test>::default())
                .unwrap();
            checked.apply::<Test>(&info, len)
        };
        assert_ok!(apply().unwrap());
        assert_eq!(attempt(SCHEME).reports.len(), 1);
        assert_eq!(apply(), Err(invalid(InvalidTransaction::Stale)));
    });
}

/// What a cheater may change about a report.
#[derive(Clone, Debug)]
struct Trial {
    number: u8,
    signer: u8,
    attempt: u32,
    epoch: u32,
    ecdsa: bool,
    ready: bool,
    /// Of the attempt that the proof is for.
    proven: u32,
    public: u8,
    accused: Vec<u8>,
    until: i64,
    wait: u32,
}

fn attempts() -> impl Strategy<Value = Vec<Trial>> {
    let attempt = (
        (
            1u8..=6,
            prop_oneof![6 => Just(None), 1 => (1u8..=6).prop_map(Some)],
        ),
        (0u32..=3, prop_oneof![5 => Just(1u32), 1 => 0u32..=2]),
        (any::<bool>(), prop::bool::weighted(0.7)),
        (
            prop_oneof![5 => Just(None), 1 => (0u32..=3).prop_map(Some)],
            7u8..=8,
        ),
        proptest::collection::vec(1u8..=6, 0..3),
        (-2i64..=70, prop_oneof![6 => Just(0u32), 1 => 0u32..40]),
    )
        .prop_map(
            |(
                (number, signer),
                (attempt, epoch),
                (ecdsa, ready),
                (proven, public),
                accused,
                (until, wait),
            )| Trial {
                number,
                signer: signer.unwrap_or(number),
                attempt,
                epoch,
                ecdsa,
                ready,
                proven: proven.unwrap_or(attempt),
                public,
                accused,
                until,
                wait,
            },
        );
    proptest::collection::vec(attempt, 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// `submit` panics if what was authorised fails.
    #[test]
    fn whatever_is_authorised_succeeds(attempts in attempts()) {
        new_ext().execute_with(|| {
            bind(6);
            form_committee(5);
            for it in attempts {
                run_to(now() + it.wait);
                let scheme = if it.ecdsa { Scheme::EcdsaCggmp24 } else { SCHEME };
                let public_digest = Digest([it.public; 32]);
                let outcome = if it.ready {
                    let proof = share_proof(scheme, 1, it.proven, &public_digest);
                    AttemptOutcome::Ready { result: AttemptResult { public_digest, root_key: root_key() }, proof }
                } else {
                    AttemptOutcome::Failed { accused: it.accused.iter().copied().map(server).collect(), missed: vec![] }
                };
                let report = AttemptReport {
                    server: server(it.number), scheme, epoch: it.epoch, attempt: it.attempt, outcome,
                };
                let until = u32::try_from(i64::from(now()) + it.until).unwrap_or_default();
                let before = state(scheme);
                let result = submit(call(report, until, it.signer));
                assert_eq!(result.is_ok(), before != state(scheme), "what counts changes something: {result:?}");
            }
        });
    }
}
