//! Every behaviour and every error of the pallet; its invariants are checked after every call.

use std::collections::BTreeMap;

use entropy_shared::{
    AccountId, ProgramId,
    traits::{Programs as _, UnknownProgram},
};
use frame_support::{BoundedVec, assert_noop, assert_ok, traits::fungible::InspectHold};
use proptest::prelude::*;
use sp_runtime::{DispatchError, DispatchResult, TokenError};

use crate::{Code, Error, Event, HoldReason, Metadata, ProgramRecord, Records, Schemas, mock::*};

const MODULE: &[u8; 8] = b"\0asm\x01\0\0\0";
const COMPONENT: &[u8; 8] = b"\0asm\x0d\0\x01\0";

/// A module of `size` bytes that differs by `fill`.
fn code(size: usize, fill: u8) -> Vec<u8> {
    let mut code = MODULE.to_vec();
    code.resize(size, fill);
    code
}

/// The id of a module without a schema.
fn id(code: &[u8]) -> ProgramId {
    ProgramId::of(code, b"")
}

fn upload_all(number: u8, code: &[u8], schema: &[u8], metadata: &[u8]) -> DispatchResult {
    let origin = RuntimeOrigin::signed(account(number));
    let result = Programs::upload(origin, code.to_vec(), schema.to_vec(), metadata.to_vec());
    Programs::check_invariants().unwrap();
    result
}

fn upload(number: u8, code: Vec<u8>) -> DispatchResult {
    upload_all(number, &code, b"", b"")
}

fn remove(number: u8, id: ProgramId) -> DispatchResult {
    let result = Programs::remove(RuntimeOrigin::signed(account(number)), id);
    Programs::check_invariants().unwrap();
    result
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
fn a_program_is_stored_with_schema_and_metadata_for_a_deposit_by_the_byte() {
    new_ext().execute_with(|| {
        let code = code(100, 1);
        let (schema, metadata) = (&[7; 20], &[8; 3]);
        let id = ProgramId::of(&code, schema);
        assert_ok!(upload_all(1, &code, schema, metadata));
        let record = ProgramRecord {
            author: AccountId([1; 32]),
            bytes: 123,
            deposit: 1_230,
            references: 0,
        };
        assert_eq!(Programs::program(&id), Some(record));
        assert_eq!(Programs::code(&id), Some(code));
        assert_eq!(Programs::schema(&id), Some(schema.to_vec()));
        assert_eq!(Programs::metadata(&id), Some(metadata.to_vec()));
        assert_eq!(held(1), 123 * BYTE_DEPOSIT);
        assert_eq!(
            last_event(),
            Event::Uploaded {
                id,
                author: account(1)
            }
            .into()
        );
        let other = ProgramId([0; 32]);
        assert_eq!(Programs::program(&other), None);
        assert_eq!(Programs::code(&other), None);
        assert_eq!(Programs::schema(&other), None);
        assert_eq!(Programs::metadata(&other), None);
    });
}

#[test]
fn modules_and_components_are_taken_and_nothing_else() {
    new_ext().execute_with(|| {
        for bad in [
            &b""[..],
            b"\0asm",
            b"\0asm\x01\0\0",
            b"\0asm\x02\0\0\0",
            // A component of another version, and its version with a module's layer.
            b"\0asm\x0c\0\x01\0",
            b"\0asm\x0d\0\0\0",
            b"\0asm\x01\0\x01\0",
            b"(module)",
            b"asm\0\x01\0\0\0",
        ] {
            assert_noop!(upload(1, bad.to_vec()), Error::<Test>::NotWasm);
        }
        for good in [MODULE, COMPONENT] {
            assert_ok!(upload(1, good.to_vec()));
            assert_ok!(upload(1, [&good[..], b"more"].concat()));
        }
    });
}

#[test]
fn each_part_has_its_bound() {
    new_ext().execute_with(|| {
        let of = |bytes: u32| vec![1; bytes as usize];
        let large = code(MAX_CODE_BYTES as usize, 0);
        let (schema, metadata) = (of(MAX_SCHEMA_BYTES), of(MAX_METADATA_BYTES));
        assert_noop!(
            upload_all(1, &[&large[..], b"x"].concat(), &schema, &metadata),
            Error::<Test>::CodeTooLarge
        );
        assert_noop!(
            upload_all(1, &large, &of(MAX_SCHEMA_BYTES + 1), &metadata),
            Error::<Test>::SchemaTooLarge
        );
        assert_noop!(
            upload_all(1, &large, &schema, &of(MAX_METADATA_BYTES + 1)),
            Error::<Test>::MetadataTooLarge
        );
        assert_ok!(upload_all(1, &large, &schema, &metadata));
        assert_noop!(
            Programs::upload(RuntimeOrigin::none(), code(8, 0), vec![], vec![]),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn the_same_code_and_schema_are_stored_once() {
    new_ext().execute_with(|| {
        let code = code(100, 1);
        assert_ok!(upload_all(1, &code, b"schema", b"mine"));
        for (number, metadata) in [(1, &b"mine"[..]), (2, b"mine"), (2, b"theirs")] {
            assert_noop!(
                upload_all(number, &code, b"schema", metadata),
                Error::<Test>::AlreadyUploaded
            );
        }
        // Another schema makes another program, also if all bytes together are the same.
        assert_ok!(upload_all(2, &code, b"scheme", b""));
        assert_ok!(upload_all(2, &[&code[..], b"s"].concat(), b"chema", b""));
        assert_eq!(Records::<Test>::iter().count(), 3);
    });
}

#[test]
fn who_lacks_the_deposit_stores_nothing() {
    new_ext().execute_with(|| {
        for fill in 0..3 {
            assert_ok!(upload(1, code(300, fill)));
        }
        assert_noop!(upload(1, code(100, 9)), TokenError::FundsUnavailable);
        // Schema and metadata count too.
        assert_noop!(
            upload_all(1, &code(60, 9), &[1; 30], &[1; 20]),
            TokenError::FundsUnavailable
        );
        assert_ok!(upload(1, code(60, 9)));
    });
}

#[test]
fn only_the_author_removes_a_program_and_only_one_that_no_key_needs() {
    new_ext().execute_with(|| {
        let id = id(&code(100, 1));
        assert_noop!(remove(1, id), Error::<Test>::Unknown);
        assert_ok!(upload_all(1, &code(100, 1), b"", b"about"));
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
        assert_eq!(Programs::program(&id), None);
        assert_eq!(Programs::code(&id), None);
        assert_eq!(Programs::metadata(&id), None);
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

#[test]
fn references_are_checked_against_the_keys_that_name_programs() {
    new_ext().execute_with(|| {
        let id = id(&code(100, 1));
        assert_ok!(upload(1, code(100, 1)));
        assert_ok!(Programs::check_references(&BTreeMap::new()));
        assert_ok!(Programs::add_reference(&id));
        assert!(Programs::check_references(&BTreeMap::new()).is_err());
        assert_ok!(Programs::check_references(&[(id, 1)].into()));
        assert!(Programs::check_references(&[(id, 2)].into()).is_err());
        let unknown = ProgramId([1; 32]);
        assert!(Programs::check_references(&[(id, 1), (unknown, 1)].into()).is_err());
    });
}

#[test]
fn the_invariants_notice_what_is_broken() {
    let breaks: [fn(ProgramId); 8] = [
        |id| Records::<Test>::remove(id),
        |id| Records::<Test>::mutate(id, |record| record.as_mut().unwrap().deposit += 1),
        |id| Records::<Test>::mutate(id, |record| record.as_mut().unwrap().bytes += 1),
        |id| Code::<Test>::remove(id),
        |id| Schemas::<Test>::remove(id),
        |id| Metadata::<Test>::remove(id),
        |id| {
            let other = code(100, 2);
            Code::<Test>::insert(id, BoundedVec::truncate_from(other));
        },
        |_| Metadata::<Test>::insert(ProgramId([0; 32]), BoundedVec::default()),
    ];
    for spoil in breaks {
        new_ext().execute_with(|| {
            assert_ok!(upload(1, code(100, 1)));
            spoil(id(&code(100, 1)));
            assert!(Programs::check_invariants().is_err());
        });
    }
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
    fn deposits_and_counts_match_in_every_history(
        steps in proptest::collection::vec(
            (0u8..4, 1u8..=2, 0u8..4).prop_map(|(kind, who, program)| match kind {
                0 => Step::Upload { who, program },
                1 => Step::Remove { who, program },
                2 => Step::Add { program },
                _ => Step::Drop { program },
            }),
            0..40,
        )
    ) {
        new_ext().execute_with(|| {
            // Pairs of programs have the same code and another schema.
            let parts = |program: u8| (code(20, program / 2), vec![program % 2; 5]);
            let named = |program: u8| {
                let (code, schema) = parts(program);
                ProgramId::of(&code, &schema)
            };
            // The keys that need each program, as the registry would know them.
            let mut needed = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Upload { who, program } => {
                        let (code, schema) = parts(program);
                        let stored = Programs::program(&named(program)).is_some();
                        let result = upload_all(who, &code, &schema, &vec![who; who.into()]);
                        assert_eq!(result.is_err(), stored);
                    }
                    Step::Remove { who, program } => {
                        let id = named(program);
                        let may = Programs::program(&id).is_some_and(|record| {
                            record.author == AccountId([who; 32]) && !needed.contains_key(&id)
                        });
                        assert_eq!(remove(who, id).is_ok(), may);
                    }
                    Step::Add { program } => {
                        let id = named(program);
                        if Programs::add_reference(&id).is_ok() {
                            *needed.entry(id).or_insert(0) += 1;
                        }
                    }
                    // A key takes back only what it has added.
                    Step::Drop { program } => {
                        let id = named(program);
                        if let Some(count) = needed.get_mut(&id) {
                            Programs::remove_reference(&id);
                            *count -= 1;
                            if *count == 0 {
                                needed.remove(&id);
                            }
                        }
                    }
                }
                Programs::check_invariants().unwrap();
                Programs::check_references(&needed).unwrap();
                // Also of who has no program: nothing stays held.
                for who in 1..=2 {
                    let due: u128 = Records::<Test>::iter_values()
                        .filter(|record| record.author == AccountId([who; 32]))
                        .map(|record| record.deposit)
                        .sum();
                    assert_eq!(held(who), due);
                }
            }
        });
    }
}
