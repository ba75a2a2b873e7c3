//! Every behaviour and every error of the pallet.

use entropy_shared::{
    AccountId, ProgramId,
    traits::{Programs as _, UnknownProgram},
};
use frame_support::{assert_noop, assert_ok, traits::fungible::InspectHold};
use proptest::prelude::*;
use sp_runtime::{DispatchError, DispatchResult, TokenError};

use crate::{Code, Error, Event, HoldReason, ProgramRecord, Records, mock::*};

/// A module of `size` bytes that differs by `fill`.
fn code(size: usize, fill: u8) -> Vec<u8> {
    let mut code = b"\0asm\x01\0\0\0".to_vec();
    code.resize(size, fill);
    code
}

fn upload(number: u8, code: Vec<u8>) -> DispatchResult {
    Programs::upload(RuntimeOrigin::signed(account(number)), code)
}

fn remove(number: u8, id: ProgramId) -> DispatchResult {
    Programs::remove(RuntimeOrigin::signed(account(number)), id)
}

fn held(number: u8) -> u128 {
    Balances::balance_on_hold(
        &RuntimeHoldReason::Programs(HoldReason::Program),
        &account(number),
    )
}

fn last_event() -> RuntimeEvent {
    System::events().pop().unwrap().event
}

#[test]
fn a_program_is_stored_under_the_hash_of_its_bytes_for_a_deposit_by_the_byte() {
    new_ext().execute_with(|| {
        let code = code(100, 1);
        let id = ProgramId::of(&code);
        assert_ok!(upload(1, code.clone()));
        let record = ProgramRecord {
            author: AccountId([1; 32]),
            bytes: 100,
            deposit: 1_000,
            references: 0,
        };
        assert_eq!(Records::<Test>::get(id), Some(record));
        assert_eq!(Code::<Test>::get(id).unwrap().to_vec(), code);
        assert_eq!(held(1), 100 * BYTE_DEPOSIT);
        assert_eq!(
            last_event(),
            Event::Uploaded {
                id,
                author: account(1)
            }
            .into()
        );
    });
}

#[test]
fn what_is_no_module_or_too_large_is_refused() {
    new_ext().execute_with(|| {
        for bad in [
            &b""[..],
            b"\0asm",
            b"\0asm\x02\0\0\0",
            b"(module)",
            b"asm\0\x01\0\0\0",
        ] {
            assert_noop!(upload(1, bad.to_vec()), Error::<Test>::NotWasm);
        }
        assert_noop!(
            upload(1, code(MAX_CODE_BYTES as usize + 1, 0)),
            Error::<Test>::TooLarge
        );
        assert_ok!(upload(1, code(MAX_CODE_BYTES as usize, 0)));
        assert_noop!(
            Programs::upload(RuntimeOrigin::none(), code(8, 0)),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn the_same_bytes_are_stored_once() {
    new_ext().execute_with(|| {
        assert_ok!(upload(1, code(100, 1)));
        assert_noop!(upload(1, code(100, 1)), Error::<Test>::AlreadyUploaded);
        assert_noop!(upload(2, code(100, 1)), Error::<Test>::AlreadyUploaded);
        assert_ok!(upload(2, code(100, 2)));
    });
}

#[test]
fn who_lacks_the_deposit_stores_nothing() {
    new_ext().execute_with(|| {
        for fill in 0..3 {
            assert_ok!(upload(1, code(300, fill)));
        }
        assert_noop!(upload(1, code(100, 9)), TokenError::FundsUnavailable);
    });
}

#[test]
fn only_the_author_removes_a_program_and_only_one_that_no_key_needs() {
    new_ext().execute_with(|| {
        let id = ProgramId::of(&code(100, 1));
        assert_noop!(remove(1, id), Error::<Test>::Unknown);
        assert_ok!(upload(1, code(100, 1)));
        assert_noop!(remove(2, id), Error::<Test>::NotAuthor);
        assert_noop!(
            Programs::remove(RuntimeOrigin::none(), id),
            DispatchError::BadOrigin
        );
        assert_ok!(Programs::add_reference(&id));
        assert_ok!(Programs::add_reference(&id));
        Programs::remove_reference(&id);
        assert_noop!(remove(1, id), Error::<Test>::InUse);
        Programs::remove_reference(&id);
        assert_ok!(remove(1, id));
        assert_eq!(held(1), 0);
        assert!(Records::<Test>::get(id).is_none() && Code::<Test>::get(id).is_none());
        assert_eq!(last_event(), Event::Removed { id }.into());
        // Somebody else may store it now.
        assert_ok!(upload(2, code(100, 1)));
    });
}

#[test]
fn what_is_not_stored_is_not_counted() {
    new_ext().execute_with(|| {
        let id = ProgramId([1; 32]);
        assert_eq!(Programs::add_reference(&id), Err(UnknownProgram));
        Programs::remove_reference(&id);
        assert_eq!(Records::<Test>::iter().count(), 0);
    });
}

#[derive(Clone, Debug)]
enum Step {
    Upload { who: u8, program: u8 },
    Remove { who: u8, program: u8 },
    Add { program: u8 },
    Drop { program: u8 },
}

proptest! {
    #[test]
    fn deposits_and_records_match_in_every_history(
        steps in proptest::collection::vec(
            (0u8..4, 1u8..=2, 0u8..3).prop_map(|(kind, who, program)| match kind {
                0 => Step::Upload { who, program },
                1 => Step::Remove { who, program },
                2 => Step::Add { program },
                _ => Step::Drop { program },
            }),
            0..40,
        )
    ) {
        new_ext().execute_with(|| {
            let module = |program: u8| code(20 + usize::from(program), program);
            for step in steps {
                match step {
                    Step::Upload { who, program } => drop(upload(who, module(program))),
                    Step::Remove { who, program } => {
                        let id = ProgramId::of(&module(program));
                        let needed = Records::<Test>::get(id).is_some_and(|record| record.references > 0);
                        assert!(remove(who, id).is_err() || !needed);
                    }
                    Step::Add { program } => drop(Programs::add_reference(&ProgramId::of(&module(program)))),
                    Step::Drop { program } => Programs::remove_reference(&ProgramId::of(&module(program))),
                }
                for who in 1..=2 {
                    let due: u128 = Records::<Test>::iter_values()
                        .filter(|record| record.author == AccountId([who; 32]))
                        .map(|record| record.deposit)
                        .sum();
                    assert_eq!(held(who), due);
                }
                for (id, record) in Records::<Test>::iter() {
                    let code = Code::<Test>::get(id).unwrap();
                    assert_eq!((ProgramId::of(&code), code.len()), (id, record.bytes as usize));
                }
                assert_eq!(Records::<Test>::iter().count(), Code::<Test>::iter().count());
            }
        });
    }
}
