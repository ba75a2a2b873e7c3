//! Every behaviour and every error of the pallet.

use entropy_shared::{
    AccountId, DerivationPath, KeyId, ProgramId, Scheme, derivation::derive,
    lifecycle::request::KeyRecord, traits::Keys as _,
};
use frame_support::{
    assert_noop, assert_ok, assert_storage_noop, storage, traits::fungible::InspectHold,
};
use sp_runtime::{DispatchError, DispatchResult, TokenError};

use crate::{Error, Event, HoldReason, Keys, KeysOf, mock::*};

const SCHEME: Scheme = Scheme::EcdsaCggmp24;
const SALT: [u8; 32] = [3; 32];

fn register(
    number: u8,
    scheme: Scheme,
    salt: [u8; 32],
    programs: Vec<ProgramId>,
) -> DispatchResult {
    // As a block does, which takes everything back if a call fails.
    storage::with_storage_layer(|| {
        Registry::register(
            RuntimeOrigin::signed(account(number)),
            scheme,
            salt,
            programs,
        )
    })
}

fn remove(number: u8, id: KeyId) -> DispatchResult {
    Registry::remove(RuntimeOrigin::signed(account(number)), id)
}

fn id(number: u8, scheme: Scheme) -> KeyId {
    KeyId::of(&GENESIS, scheme, &AccountId([number; 32]), &SALT)
}

fn program(number: u8) -> ProgramId {
    ProgramId([number; 32])
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
        for scheme in [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot] {
            let id = id(1, scheme);
            assert_ok!(register(1, scheme, SALT, vec![program(1), program(2)]));
            let verifying_key = derive(scheme, &root_key(), &id, &DerivationPath::default())
                .unwrap()
                .key;
            let record = KeyRecord {
                owner: AccountId([1; 32]),
                scheme,
                salt: SALT,
                verifying_key,
                programs: vec![program(1), program(2)],
                registered: 1,
            };
            assert_eq!(Registry::key(&id), Some(record));
            assert_eq!(KeysOf::<Test>::get(account(1), id), Some(DEPOSIT));
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
        assert_eq!(held(1), 2 * DEPOSIT);
        assert_eq!(References::get()[&program(1)], 2);
        assert_eq!(References::get()[&program(3)], 0);
        assert_eq!(Registry::key(&KeyId([0; 32])), None);
    });
}

#[test]
fn a_salt_makes_another_key_and_serves_once() {
    new_ext().execute_with(|| {
        assert_ok!(register(1, SCHEME, SALT, vec![]));
        assert_noop!(
            register(1, SCHEME, SALT, vec![]),
            Error::<Test>::AlreadyRegistered
        );
        assert_noop!(
            register(1, SCHEME, SALT, vec![program(1)]),
            Error::<Test>::AlreadyRegistered
        );
        assert_ok!(register(1, SCHEME, [4; 32], vec![]));
        assert_ok!(register(1, Scheme::SchnorrTaproot, SALT, vec![]));
        assert_ok!(register(2, SCHEME, SALT, vec![]));
        assert_eq!(Keys::<Test>::iter().count(), 4);
        assert_eq!(KeysOf::<Test>::iter_key_prefix(account(1)).count(), 3);
    });
}

#[test]
fn without_a_root_key_there_are_no_keys() {
    new_ext().execute_with(|| {
        for scheme in [
            Scheme::EcdsaP256,
            Scheme::EcdsaDkls23,
            Scheme::SchnorrEd25519,
        ] {
            assert_noop!(register(1, scheme, SALT, vec![]), Error::<Test>::NoRootKey);
        }
        Active::set(Default::default());
        assert_noop!(register(1, SCHEME, SALT, vec![]), Error::<Test>::NoRootKey);
    });
}

#[test]
fn a_scheme_that_cannot_be_derived_is_refused_even_if_the_chain_had_its_root_key() {
    new_ext().execute_with(|| {
        Active::set([Scheme::EcdsaP256].into());
        assert_noop!(
            register(1, Scheme::EcdsaP256, SALT, vec![]),
            Error::<Test>::NoSuchChild
        );
    });
}

#[test]
fn programs_must_be_stored_different_and_few() {
    new_ext().execute_with(|| {
        let eight: Vec<_> = (0..8).map(program).collect();
        let nine: Vec<_> = (0..9).map(program).collect();
        assert_noop!(
            register(1, SCHEME, SALT, nine),
            Error::<Test>::TooManyPrograms
        );
        assert_noop!(
            register(1, SCHEME, SALT, vec![program(99)]),
            Error::<Test>::UnknownProgram
        );
        assert_noop!(
            register(1, SCHEME, SALT, vec![program(1), program(2), program(1)]),
            Error::<Test>::DuplicateProgram
        );
        assert_ok!(register(1, SCHEME, SALT, eight));
    });
}

#[test]
fn who_lacks_the_deposit_registers_nothing() {
    new_ext().execute_with(|| {
        for number in 0..9 {
            assert_ok!(register(1, SCHEME, [number; 32], vec![]));
        }
        assert_noop!(
            register(1, SCHEME, [9; 32], vec![]),
            TokenError::FundsUnavailable
        );
        assert_noop!(
            Registry::register(RuntimeOrigin::none(), SCHEME, SALT, vec![]),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn only_the_owner_removes_a_key_and_only_when_no_request_is_open() {
    new_ext().execute_with(|| {
        let id = id(1, SCHEME);
        assert_noop!(remove(1, id), Error::<Test>::UnknownKey);
        assert_ok!(register(1, SCHEME, SALT, vec![program(1)]));
        assert_noop!(remove(2, id), Error::<Test>::NotOwner);
        assert_noop!(
            Registry::remove(RuntimeOrigin::none(), id),
            DispatchError::BadOrigin
        );
        Busy::set([id].into());
        assert_noop!(remove(1, id), Error::<Test>::OpenRequests);
        Busy::set(Default::default());
        let before = Registry::key(&id).unwrap();
        assert_ok!(remove(1, id));
        assert_eq!(last_event(), Event::Removed { id }.into());
        assert_eq!((held(1), Registry::key(&id)), (0, None));
        assert_eq!(KeysOf::<Test>::iter().count(), 0);
        assert_eq!(References::get()[&program(1)], 0);
        assert_storage_noop!(remove(1, id).unwrap_err());
        // With the same salt it comes back, the same.
        assert_ok!(register(1, SCHEME, SALT, vec![]));
        assert_eq!(
            Registry::key(&id).unwrap().verifying_key,
            before.verifying_key
        );
    });
}
