//! How our pallets are joined to staking, to each other and to the pool of transactions.

use entropy_shared::{AccountId, Genesis, Scheme, lifecycle::key::KeyState};
use frame_support::{assert_noop, assert_ok};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve};
use sp_runtime::transaction_validity::InvalidTransaction;

use super::{
    chain::{advance_to, apply, begin_block, end_block, local},
    servers::{bind, party, report_call},
    transactions::extensions,
};
use crate::{
    Balances, Runtime, RuntimeOrigin, Session, Staking, System, UncheckedExtrinsic,
    threshold_api::runtime_decl_for_threshold_api::ThresholdApi as _,
};

const VALIDATORS: [Sr25519Keyring; 4] = [Alice, Bob, Charlie, Dave];

fn bind_all() {
    for validator in VALIDATORS {
        assert_ok!(bind(validator));
    }
}

/// A report of `validator`'s server that it missed another, as a transaction of nobody's account.
fn report(validator: Sr25519Keyring, missed: Sr25519Keyring) -> UncheckedExtrinsic {
    let call = report_call(validator, Scheme::SchnorrTaproot, Some(vec![party(missed)]));
    UncheckedExtrinsic::new_transaction(call, extensions(0))
}

fn told() -> Vec<crate::AccountId> {
    pallet_entropy_staking::ActiveValidators::<Runtime>::get().to_vec()
}

#[test]
fn the_active_validators_are_told_at_genesis_and_at_each_session() {
    local(5).execute_with(|| {
        assert_eq!(told().len(), 4);
        assert_eq!(told(), Session::validators());
        advance_to(1);
        assert_ok!(Staking::chill(RuntimeOrigin::signed(Dave.to_account_id())));
        // The era after next is elected without Dave.
        advance_to(2 * 3 * 5 + 1);
        assert_eq!(told().len(), 3);
        assert_eq!(told(), Session::validators());
    });
}

#[test]
fn only_who_validates_can_bind_a_server() {
    local(20).execute_with(|| {
        advance_to(1);
        assert_noop!(
            bind(Eve),
            pallet_entropy_staking::Error::<Runtime>::NotAValidator
        );
        assert_ok!(bind(Alice));
    });
}

#[test]
fn bound_servers_begin_key_generation_and_see_each_other() {
    local(20).execute_with(|| {
        advance_to(1);
        bind_all();
        advance_to(2);
        let view = Runtime::view(party(Alice));
        assert_eq!(view.block, 2);
        assert_eq!(view.genesis, Genesis(System::block_hash(0).into()));
        assert_eq!(
            view.binding.expect("is bound").stash,
            AccountId(Alice.to_raw_public())
        );
        let mut peers: Vec<_> = view.peers.iter().map(|peer| peer.server).collect();
        peers.sort();
        let mut others = [Bob, Charlie, Dave].map(party);
        others.sort();
        assert_eq!(peers, others);
        assert!(
            view.keys
                .iter()
                .all(|key| matches!(key.state, KeyState::Generating(_)))
        );
        assert_eq!(Runtime::parameters(), view.parameters);
    });
}

#[test]
fn a_servers_report_needs_no_account_and_pays_nothing() {
    local(20).execute_with(|| {
        advance_to(1);
        bind_all();
        advance_to(2);
        begin_block();
        let issued = Balances::total_issuance();
        apply(report(Alice, Bob))
            .expect("is authorised")
            .expect("cannot fail");
        assert_eq!(
            apply(report(Alice, Bob)),
            Err(InvalidTransaction::Stale.into())
        );
        assert_eq!(
            apply(report(Eve, Bob)),
            Err(InvalidTransaction::BadSigner.into())
        );
        end_block();
        assert_eq!(Balances::total_issuance(), issued);
        assert!(!System::account_exists(&crate::AccountId::new(
            party(Alice).0
        )));
    });
}
