//! Every behaviour and every error of the pallet, and those who would cheat it.

mod endings;
mod random;
mod requests;
mod results;

use frame_support::traits::fungible::InspectHold;

use crate::{HoldReason, mock::*};

fn held(number: u8) -> u128 {
    Balances::balance_on_hold(
        &RuntimeHoldReason::Signing(HoldReason::Request),
        &account(number),
    )
}

/// What holds of the state between any two calls.
fn check_state() {
    assert_eq!(Signing::check_invariants(), Ok(()));
}
