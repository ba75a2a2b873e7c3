//! Every behaviour and every error of the pallet; its invariants are checked after every call.

use entropy_shared::{
    AccountId, DerivationPath, KeyId, ProgramId, Scheme, TaprootTweak, VerifyingKey,
    derivation::derive,
    lifecycle::{
        registry::{AttachedProgram, KeyRecord, RETIRED_BYTES, Requesters},
        request::RequestFailure,
    },
    traits::Keys as KeysTrait,
};
use frame_support::{
    assert_noop, assert_ok,
    traits::fungible::{Inspect, InspectHold},
};
use proptest::prelude::*;
use sp_runtime::{DispatchError, DispatchResult, TokenError};

use crate::{ByVerifyingKey, Error, Event, HoldReason, Keys, KeysOf, MAX_LISTED, Retired, mock::*};

const SCHEME: Scheme = Scheme::EcdsaCggmp24;
const SALT: [u8; 32] = [3; 32];

fn register(
    number: u8,
    scheme: Scheme,
    salt: [u8; 32],
    programs: Vec<AttachedProgram>,
    requesters: Requesters,
) -> DispatchResult {
    let origin = RuntimeOrigin::signed(account(number));
    call(|| Registry::register(origin, scheme, salt, programs, requesters))
}

/// Registers the key of `number` that nobody else may use and nothing guards.
fn register_plain(number: u8) -> DispatchResult {
    register(number, SCHEME, SALT, vec![], Requesters::Owner)
}

fn set_policy(
    number: u8,
    id: KeyId,
    programs: Vec<AttachedProgram>,
    requesters: Requesters,
) -> DispatchResult {
    let origin = RuntimeOrigin::signed(account(number));
    call(|| Registry::set_policy(origin, id, programs, requesters))
}

fn offer(number: u8, id: KeyId, to: Option<u8>) -> DispatchResult {
    let origin = RuntimeOrigin::signed(account(number));
    call(|| Registry::offer(origin, id, to.map(account)))
}

fn accept(number: u8, id: KeyId) -> DispatchResult {
    call(|| Registry::accept(RuntimeOrigin::signed(account(number)), id))
}

fn close(number: u8, id: KeyId) -> DispatchResult {
    call(|| Registry::close(RuntimeOrigin::signed(account(number)), id))
}

fn give(from: u8, id: KeyId, to: u8) {
    assert_ok!(offer(from, id, Some(to)));
    assert_ok!(accept(to, id));
}

fn id(number: u8, scheme: Scheme) -> KeyId {
    KeyId::of(&GENESIS, scheme, &AccountId([number; 32]), &SALT)
}

fn program(number: u8, configuration: usize) -> AttachedProgram {
    AttachedProgram {
        program: ProgramId([number; 32]),
        configuration: vec![number; configuration],
    }
}

fn accounts<const N: usize>(numbers: [u8; N]) -> Requesters {
    Requesters::Accounts(numbers.map(|number| AccountId([number; 32])).to_vec())
}

fn references(number: u8) -> u64 {
    References::get()[&ProgramId([number; 32])]
}

fn held(number: u8) -> u128 {
    Balances::balance_on_hold(
        &RuntimeHoldReason::Registry(HoldReason::Key),
        &account(number),
    )
}

fn last_event() -> RuntimeEvent {
    System::events().pop().unwrap().event
}

#[test]
fn a_key_is_the_child_of_the_root_key_that_everybody_derives() {
    new_ext().execute_with(|| {
        for scheme in SCHEMES {
            let id = id(1, scheme);
            let programs = vec![program(1, 10), program(2, 0)];
            assert_ok!(register(1, scheme, SALT, programs.clone(), accounts([2])));
            let verifying_key = derive(scheme, &root_key(scheme), &id, &DerivationPath::default())
                .unwrap()
                .key;
            let record = KeyRecord {
                owner: AccountId([1; 32]),
                offered_to: None,
                registrant: AccountId([1; 32]),
                scheme,
                salt: SALT,
                verifying_key,
                programs,
                requesters: accounts([2]),
                registered: 1,
            };
            assert_eq!(Registry::key(&id), Some(record.clone()));
            assert_eq!(<Registry as KeysTrait>::key(&id), Some(record));
            assert_eq!(
                last_event(),
                Event::Registered {
                    id,
                    owner: account(1),
                    scheme,
                    verifying_key
                }
                .into()
            );
        }
        assert_eq!((references(1), references(3)), (4, 0));
        assert_eq!(Registry::key(&KeyId([0; 32])), None);
    });
}

#[test]
fn the_deposit_is_for_the_key_and_for_each_byte_of_its_policy() {
    new_ext().execute_with(|| {
        assert_ok!(register_plain(1));
        assert_eq!(held(1), DEPOSIT);
        let programs = vec![program(1, 10), program(2, 0)];
        assert_ok!(register(2, SCHEME, SALT, programs, accounts([3, 4])));
        assert_eq!(held(2), DEPOSIT + (2 * 32 + 10 + 2 * 32) * BYTE_DEPOSIT);
    });
}

#[test]
fn a_salt_makes_another_key_and_serves_once() {
    new_ext().execute_with(|| {
        assert_ok!(register_plain(1));
        assert_noop!(register_plain(1), Error::<Test>::AlreadyRegistered);
        assert_noop!(
            register(1, SCHEME, SALT, vec![program(1, 0)], Requesters::Anyone),
            Error::<Test>::AlreadyRegistered
        );
        assert_ok!(register(1, SCHEME, [4; 32], vec![], Requesters::Owner));
        assert_ok!(register(
            1,
            Scheme::SchnorrTaproot,
            SALT,
            vec![],
            Requesters::Owner
        ));
        assert_ok!(register_plain(2));
        assert_eq!(Keys::<Test>::iter().count(), 4);
        assert_eq!(ByVerifyingKey::<Test>::iter().count(), 4);
    });
}

#[test]
fn without_a_root_key_there_are_no_keys() {
    new_ext().execute_with(|| {
        assert_noop!(
            register(1, Scheme::EcdsaDkls23, SALT, vec![], Requesters::Owner),
            Error::<Test>::SchemeNotEnabled
        );
        Active::set([Scheme::SchnorrTaproot].into());
        assert_noop!(register_plain(1), Error::<Test>::NoRootKey);
        assert_ok!(register(
            1,
            Scheme::SchnorrTaproot,
            SALT,
            vec![],
            Requesters::Owner
        ));
    });
}

#[test]
fn what_a_key_cannot_have_attached_is_refused_when_it_is_registered_and_later() {
    new_ext().execute_with(|| {
        assert_ok!(register_plain(2));
        let many = |count: u8| (0..count).map(|number| program(number, 0)).collect();
        let many_accounts = Requesters::Accounts(vec![AccountId([1; 32]); 33]);
        let owner = Requesters::Owner;
        let bad: Vec<(Vec<_>, _, Error<Test>)> = vec![
            (many(9), owner.clone(), Error::TooManyPrograms),
            (
                vec![program(1, 0), program(2, 0), program(1, 1)],
                owner.clone(),
                Error::DuplicateProgram,
            ),
            (
                vec![program(1, 4_097)],
                owner.clone(),
                Error::ConfigurationTooLong,
            ),
            (vec![], many_accounts, Error::TooManyRequesters),
            (vec![], accounts([2, 1]), Error::RequestersNotAscending),
            (vec![], Requesters::Anyone, Error::Unguarded),
            // The first of the two is stored, and its count must not stay raised.
            (
                vec![program(1, 0), program(99, 0)],
                owner.clone(),
                Error::UnknownProgram,
            ),
        ];
        for (programs, requesters, error) in bad {
            let error = DispatchError::from(error);
            let (again, asked) = (programs.clone(), requesters.clone());
            assert_noop!(register(1, SCHEME, SALT, programs, requesters), error);
            assert_noop!(set_policy(2, id(2, SCHEME), again, asked), error);
        }
        assert_eq!(references(1), 0);
        assert_ok!(register(1, SCHEME, SALT, many(8), Requesters::Anyone));
    });
}

#[test]
fn who_lacks_the_deposit_gets_nothing() {
    new_ext().execute_with(|| {
        assert_ok!(register_plain(1));
        KeyDeposit::set(ENDOWMENT + 1);
        assert_noop!(register_plain(2), TokenError::FundsUnavailable);
        let id = id(1, SCHEME);
        assert_noop!(
            set_policy(1, id, vec![program(1, 0)], Requesters::Owner),
            TokenError::FundsUnavailable
        );
        assert_ok!(offer(1, id, Some(2)));
        assert_noop!(accept(2, id), TokenError::FundsUnavailable);
    });
}

#[test]
fn only_who_signs_calls() {
    new_ext().execute_with(|| {
        let (none, id) = (RuntimeOrigin::none, KeyId([1; 32]));
        let owner = Requesters::Owner;
        for result in [
            Registry::register(none(), SCHEME, SALT, vec![], owner.clone()),
            Registry::close(none(), id),
            Registry::set_policy(none(), id, vec![], owner),
            Registry::offer(none(), id, None),
            Registry::accept(none(), id),
        ] {
            assert_eq!(result, Err(DispatchError::BadOrigin));
        }
    });
}

#[test]
fn only_the_owner_manages_a_key() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        let refused = |number, error: Error<Test>| {
            let error = DispatchError::from(error);
            assert_noop!(close(number, id), error);
            assert_noop!(offer(number, id, Some(3)), error);
            assert_noop!(set_policy(number, id, vec![], Requesters::Owner), error);
        };
        refused(1, Error::UnknownKey);
        assert_noop!(accept(1, id), Error::<Test>::UnknownKey);
        assert_ok!(register(1, SCHEME, SALT, vec![], accounts([2])));
        // A requester is no owner, and an offer makes none.
        refused(2, Error::NotOwner);
        assert_ok!(offer(1, id, Some(2)));
        refused(2, Error::NotOwner);
        assert_ok!(accept(2, id));
        refused(1, Error::NotOwner);
    });
}

#[test]
fn a_policy_is_replaced_with_its_references_and_its_deposit() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        let first = vec![program(1, 100), program(2, 0)];
        assert_ok!(register(1, SCHEME, SALT, first, Requesters::Anyone));
        let before = Registry::key(&id).unwrap();
        let counts = || [1, 2, 3].map(references);
        assert_eq!((counts(), held(1)), ([1, 1, 0], DEPOSIT + 164));

        let second = vec![program(2, 500), program(3, 0)];
        assert_ok!(set_policy(1, id, second.clone(), accounts([2, 3])));
        assert_eq!(last_event(), Event::PolicySet { id }.into());
        assert_eq!((counts(), held(1)), ([0, 1, 1], DEPOSIT + 564 + 64));
        let after = KeyRecord {
            programs: second,
            requesters: accounts([2, 3]),
            ..before
        };
        assert_eq!(Registry::key(&id), Some(after));

        assert_ok!(set_policy(1, id, vec![], Requesters::Owner));
        assert_eq!((counts(), held(1)), ([0, 0, 0], DEPOSIT));
        // What a key costs by now, whether more or less than when it was registered.
        for deposit in [DEPOSIT + 50, DEPOSIT - 50] {
            KeyDeposit::set(deposit);
            assert_ok!(set_policy(1, id, vec![], Requesters::Owner));
            assert_eq!(held(1), deposit);
        }
    });
}

#[test]
fn a_key_changes_hands_in_two_steps_and_so_does_the_deposit() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        let programs = vec![program(1, 10)];
        assert_ok!(register(1, SCHEME, SALT, programs, accounts([4])));
        let before = Registry::key(&id).unwrap();
        let deposit = held(1);

        assert_noop!(offer(1, id, Some(1)), Error::<Test>::AlreadyOwner);
        assert_noop!(accept(2, id), Error::<Test>::NotOffered);
        assert_ok!(offer(1, id, Some(2)));
        let offered = Event::Offered {
            id,
            to: Some(account(2)),
        };
        assert_eq!(last_event(), offered.into());
        assert_eq!((held(1), held(2)), (deposit, 0));
        assert_noop!(accept(3, id), Error::<Test>::NotOffered);
        assert_ok!(offer(1, id, None));
        assert_eq!(last_event(), Event::Offered { id, to: None }.into());
        assert_noop!(accept(2, id), Error::<Test>::NotOffered);
        assert_ok!(offer(1, id, Some(3)));
        assert_ok!(offer(1, id, Some(2)));
        assert_noop!(accept(3, id), Error::<Test>::NotOffered);

        assert_ok!(accept(2, id));
        let (from, to) = (account(1), account(2));
        assert_eq!(last_event(), Event::Transferred { id, from, to }.into());
        assert_eq!((held(1), held(2)), (0, deposit));
        assert_eq!(KeysOf::<Test>::iter_key_prefix(account(1)).count(), 0);
        let after = KeyRecord {
            owner: AccountId([2; 32]),
            ..before
        };
        assert_eq!(Registry::key(&id), Some(after));
        assert_noop!(accept(2, id), Error::<Test>::NotOffered);
    });
}

#[test]
fn who_registered_a_key_gets_the_same_again_after_closing_it() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        let programs = vec![program(1, 10)];
        assert_ok!(register(1, SCHEME, SALT, programs, Requesters::Owner));
        let before = Registry::key(&id).unwrap();
        assert_ok!(close(1, id));
        assert_eq!(last_event(), Event::Closed { id, retired: false }.into());
        assert_eq!(Ended::get(), [(id, RequestFailure::KeyClosed)]);
        assert_eq!((held(1), Registry::key(&id)), (0, None));
        assert_eq!(Balances::balance(&account(1)), ENDOWMENT);
        assert_eq!(references(1), 0);
        assert_eq!(Registry::by_verifying_key(&before.verifying_key), None);
        assert_noop!(close(1, id), Error::<Test>::UnknownKey);
        assert_eq!(Retired::<Test>::iter().count(), 0);

        assert_ok!(register_plain(1));
        let after = Registry::key(&id).unwrap();
        assert_eq!(after.verifying_key, before.verifying_key);
    });
}

#[test]
fn a_key_that_its_new_owner_closes_never_comes_back() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        assert_ok!(register_plain(1));
        give(1, id, 2);
        // What the memory of the id costs is gone with the transfer, at the rate of that day.
        let fee = BYTE_DEPOSIT * u128::from(RETIRED_BYTES);
        assert!(fee > 0);
        assert_eq!(Balances::total_issuance(), 4 * ENDOWMENT - fee);
        // While it lives, its registrant cannot have it either.
        assert_noop!(register_plain(1), Error::<Test>::AlreadyRegistered);
        assert_ok!(close(2, id));
        assert_eq!(last_event(), Event::Closed { id, retired: true }.into());
        assert_noop!(register_plain(1), Error::<Test>::Retired);
        // The new owner's id for the same salt is another.
        assert_ok!(register_plain(2));
        assert_eq!(Registry::key(&id), None);

        assert_eq!(held(2), DEPOSIT);
        assert_eq!(Balances::balance(&account(2)), ENDOWMENT - DEPOSIT - fee);
        assert_eq!(Balances::total_issuance(), 4 * ENDOWMENT - fee);
    });
}

#[test]
fn a_key_that_came_back_to_its_registrant_is_the_registrants_again() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        assert_ok!(register_plain(1));
        give(1, id, 2);
        give(2, id, 1);
        assert_ok!(close(1, id));
        assert_eq!(last_event(), Event::Closed { id, retired: false }.into());
        assert_ok!(register_plain(1));
    });
}

#[test]
fn a_transfer_ends_open_requests_and_burns_a_fee_only_when_the_registrant_gives_the_key_away() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        assert_ok!(register_plain(1));
        let fee = BYTE_DEPOSIT * u128::from(RETIRED_BYTES);
        for (from, to, burnt) in [(1, 2, fee), (2, 3, fee), (3, 1, fee), (1, 2, 2 * fee)] {
            give(from, id, to);
            assert_eq!(Balances::total_issuance(), 4 * ENDOWMENT - burnt);
            assert_eq!(Ended::take(), [(id, RequestFailure::KeyTransferred)]);
            assert_eq!((held(from), held(to)), (0, DEPOSIT));
        }
    });
}

#[test]
fn a_key_is_found_by_its_verifying_key() {
    new_ext().execute_with(|| {
        for scheme in SCHEMES {
            assert_ok!(register(1, scheme, SALT, vec![], Requesters::Owner));
        }
        give(1, id(1, SCHEME), 2);
        for scheme in SCHEMES {
            let id = id(1, scheme);
            let key = Registry::key(&id).unwrap().verifying_key;
            assert_eq!(Registry::by_verifying_key(&key), Some(id));
        }
        assert_eq!(Registry::by_verifying_key(&root_key(SCHEME)), None);
    });
}

#[test]
fn a_taproot_key_is_found_by_its_x_coordinate_and_an_ecdsa_key_is_not() {
    new_ext().execute_with(|| {
        let path = DerivationPath::default();
        // Several, as the point's y is even or odd.
        for number in 0..8 {
            for scheme in [Scheme::SchnorrTaproot, Scheme::EcdsaCggmp24] {
                let salt = [number; 32];
                assert_ok!(register(1, scheme, salt, vec![], Requesters::Owner));
                let id = KeyId::of(&GENESIS, scheme, &AccountId([1; 32]), &salt);
                let child = derive(scheme, &root_key(scheme), &id, &path).unwrap();
                let x_only = child
                    .final_key(Scheme::SchnorrTaproot, &TaprootTweak::None)
                    .unwrap();
                assert!(matches!(x_only, VerifyingKey::XOnly(_)));
                let taproot = scheme == Scheme::SchnorrTaproot;
                assert_eq!(Registry::by_verifying_key(&x_only), taproot.then_some(id));
            }
        }
    });
}

#[test]
fn an_owners_keys_are_listed_in_parts() {
    new_ext().execute_with(|| {
        KeyDeposit::set(0);
        let listed = |after, limit| Registry::keys_of(&account(1), after, limit);
        assert!(listed(None, 10).is_empty());
        let count = MAX_LISTED as u16 + 10;
        let mut ids: Vec<_> = (0..count)
            .map(|number| {
                let mut salt = [0; 32];
                salt[..2].copy_from_slice(&number.to_le_bytes());
                let origin = RuntimeOrigin::signed(account(1));
                Registry::register(origin, SCHEME, salt, vec![], Requesters::Owner).unwrap();
                KeyId::of(&GENESIS, SCHEME, &AccountId([1; 32]), &salt)
            })
            .collect();
        assert_ok!(register_plain(2));
        ids.sort();
        assert_eq!(listed(None, 10), ids[..10]);
        assert_eq!(listed(Some(ids[9]), 5), ids[10..15]);
        assert_eq!(listed(None, u32::MAX), ids[..MAX_LISTED as usize]);
        assert_eq!(
            listed(Some(ids[MAX_LISTED as usize - 1]), u32::MAX),
            ids[MAX_LISTED as usize..]
        );
        assert!(listed(Some(*ids.last().unwrap()), 10).is_empty());
        assert!(listed(None, 0).is_empty());
        // The list goes on after an id that is gone by now.
        assert_ok!(close(1, ids[9]));
        assert_eq!(listed(Some(ids[9]), 5), ids[10..15]);
    });
}

#[test]
fn the_invariants_notice_what_is_broken() {
    let breaks: [fn(KeyId); 7] = [
        |id| Keys::<Test>::remove(id),
        |id| Keys::<Test>::mutate(id, |key| key.as_mut().unwrap().salt = [9; 32]),
        |id| KeysOf::<Test>::remove(account(1), id),
        |id| KeysOf::<Test>::insert(account(1), id, DEPOSIT + 1),
        |id| ByVerifyingKey::<Test>::remove(Registry::key(&id).unwrap().verifying_key),
        |id| ByVerifyingKey::<Test>::insert(root_key(SCHEME), id),
        |id| Retired::<Test>::insert(id, ()),
    ];
    for spoil in breaks {
        new_ext().execute_with(|| {
            assert_ok!(register_plain(1));
            spoil(id(1, SCHEME));
            assert!(Registry::check_invariants().is_err());
        });
    }
}

#[derive(Clone, Debug)]
enum Step {
    Register(u8, u8, Vec<u8>, u8),
    SetPolicy(u8, u8, Vec<u8>, u8),
    Offer(u8, u8, Option<u8>),
    Accept(u8, u8),
    Close(u8, u8),
    Deposit(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let who = || 1u8..=3;
    let key = || 0u8..4;
    let programs = || proptest::collection::vec(0u8..12, 0..4);
    let step = prop_oneof![
        3 => (who(), key(), programs(), 0u8..4).prop_map(|(a, b, c, d)| Step::Register(a, b, c, d)),
        3 => (who(), key(), programs(), 0u8..4).prop_map(|(a, b, c, d)| Step::SetPolicy(a, b, c, d)),
        3 => (who(), key(), proptest::option::of(who())).prop_map(|(a, b, c)| Step::Offer(a, b, c)),
        3 => (who(), key()).prop_map(|(a, b)| Step::Accept(a, b)),
        2 => (who(), key()).prop_map(|(a, b)| Step::Close(a, b)),
        1 => any::<u8>().prop_map(Step::Deposit),
    ];
    proptest::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_history_breaks_the_invariants_nor_gives_back_a_key_that_was_given_away(steps in steps()) {
        new_ext().execute_with(|| {
            // Keys 0 and 1 are of account 1, 2 and 3 of account 2: each with two schemes.
            let scheme = |key: u8| SCHEMES[usize::from(key % 2)];
            let key_id = |key: u8| id(1 + key / 2, scheme(key));
            let attached = |numbers: Vec<u8>| numbers.iter().map(|n| program(*n, usize::from(*n))).collect();
            let asked = |kind: u8| match kind {
                0 => Requesters::Owner,
                1 => Requesters::Anyone,
                number => accounts([number, number + 1]),
            };
            let mut gone = std::collections::BTreeSet::new();
            for step in steps {
                let before: Vec<_> = (0..4).map(|key| Registry::key(&key_id(key))).collect();
                // Every call checks the invariants at its end.
                let result = match step {
                    Step::Register(who, key, programs, kind) => {
                        register(who, scheme(key), SALT, attached(programs), asked(kind))
                    }
                    Step::SetPolicy(who, key, programs, kind) => {
                        set_policy(who, key_id(key), attached(programs), asked(kind))
                    }
                    Step::Offer(who, key, to) => offer(who, key_id(key), to),
                    Step::Accept(who, key) => accept(who, key_id(key)),
                    Step::Close(who, key) => {
                        let id = key_id(key);
                        let record = Registry::key(&id);
                        close(who, id).inspect(|()| {
                            if record.unwrap().retires() {
                                gone.insert(id);
                            }
                        })
                    }
                    Step::Deposit(deposit) => {
                        KeyDeposit::set(deposit.into());
                        Ok(())
                    }
                };
                for (key, before) in (0..4).zip(before) {
                    let after = Registry::key(&key_id(key));
                    assert!(result.is_ok() || after == before);
                    assert!(after.is_none() || !gone.contains(&key_id(key)));
                    if let (Some(before), Some(after)) = (before, after) {
                        assert_eq!(after.verifying_key, before.verifying_key);
                        let offered = before.offered_to == Some(after.owner);
                        assert!(after.owner == before.owner || offered);
                    }
                }
            }
        });
    }
}
