//! The runtime as a whole: genesis, sessions, transactions, offences. What a single pallet does is
//! tested where the pallet is.

mod accounts;
mod chain;
mod consensus;
mod genesis;
mod hooks;
mod metadata;
mod random;
mod servers;
mod threshold;
mod transactions;
mod walk;

use crate::{Programs, Registry, Signing, StakingExtension};

/// Checks what must hold in every state of our pallets.
fn check_invariants() {
    assert_eq!(StakingExtension::check_invariants(), Ok(()));
    assert_eq!(Programs::check_invariants(), Ok(()));
    assert_eq!(Registry::check_invariants(), Ok(()));
    assert_eq!(Programs::check_references(&Registry::references()), Ok(()));
    assert_eq!(Signing::check_invariants(), Ok(()));
}
