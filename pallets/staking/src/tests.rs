//! Every behaviour and every error of the pallet, and those who would cheat it.

mod binding;
mod keygen;
mod parameters;
mod reports;
mod reshare;
mod standing;
mod view;

use frame_support::{assert_ok, traits::fungible::InspectHold};
use sp_core::crypto::AccountId32;

use crate::{HoldReason, mock::*};

fn held(account: &AccountId32) -> u128 {
    Balances::balance_on_hold(
        &RuntimeHoldReason::StakingExtension(HoldReason::Server),
        account,
    )
}

#[test]
fn genesis_keeps_the_parameters() {
    new_ext().execute_with(|| assert_eq!(StakingExtension::parameters(), parameters()));
}

#[test]
#[should_panic(
    expected = "the chain specification's parameters are not possible: sessionBlocks must be at least 1"
)]
fn a_chain_with_impossible_parameters_does_not_begin() {
    new_ext_with(entropy_shared::Parameters {
        session_blocks: 0,
        ..parameters()
    });
}

#[test]
fn active_validators_beyond_the_bound_are_not_considered() {
    new_ext().execute_with(|| {
        StakingExtension::note_active_validators((1..=9).map(stash).collect());
        let expected: Vec<_> = (1..=6).map(stash).collect();
        assert_eq!(crate::ActiveValidators::<Test>::get().to_vec(), expected);
        StakingExtension::note_active_validators(vec![stash(3)]);
        assert_eq!(crate::ActiveValidators::<Test>::get().to_vec(), [stash(3)]);
        assert_ok!(StakingExtension::bind_server(
            RuntimeOrigin::signed(stash(1)),
            info(1),
            proof(1, 1, &info(1))
        ));
    });
}
