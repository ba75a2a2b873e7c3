//! What holds in every state of the pallet, for tests and for those who inspect a live chain.

use alloc::collections::BTreeMap;

use entropy_shared::{
    AccountId, Balance, DerivationPath, KeyId, ProgramId,
    derivation::derive,
    lifecycle::registry::{KeyRecord, check_policy},
    traits::Network,
};
use frame_support::{ensure, traits::fungible::InspectHold};

use crate::{ByVerifyingKey, Config, HoldReason, Keys, KeysOf, Pallet, Retired};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of the pallet's storage; the first that does not hold.
    ///
    /// Reads all of the pallet's storage: never called while a block is executed.
    pub fn check_invariants() -> Result<(), &'static str> {
        let mut count = 0;
        for (id, record) in Keys::<T>::iter() {
            check_key::<T>(&id, &record)?;
            count += 1;
        }
        ensure!(
            ByVerifyingKey::<T>::iter().count() == count,
            "no verifying key is of a key that is not registered"
        );
        ensure!(
            KeysOf::<T>::iter().count() == count,
            "each key stands under one owner"
        );
        let mut deposits = BTreeMap::<[u8; 32], Balance>::new();
        for (owner, _, deposit) in KeysOf::<T>::iter() {
            let sum = deposits.entry(owner.into()).or_default();
            *sum = sum.saturating_add(deposit);
        }
        for (owner, deposit) in deposits {
            let held = T::Currency::balance_on_hold(&HoldReason::Key.into(), &owner.into());
            ensure!(
                held == deposit,
                "the deposits of an owner are what is held for keys"
            );
        }
        Ok(())
    }

    /// How many keys name each program, counted anew: what the count kept with each program must equal.
    ///
    /// Reads all keys: never called while a block is executed.
    pub fn references() -> BTreeMap<ProgramId, u64> {
        let mut references = BTreeMap::<_, u64>::new();
        for attached in Keys::<T>::iter_values().flat_map(|record| record.programs) {
            let count = references.entry(attached.program).or_default();
            *count = count.saturating_add(1);
        }
        references
    }
}

fn check_key<T: Config>(id: &KeyId, record: &KeyRecord) -> Result<(), &'static str> {
    let AccountId(owner) = record.owner;
    ensure!(
        *id == KeyId::of(
            &T::Network::genesis(),
            record.scheme,
            &record.registrant,
            &record.salt
        ),
        "an id commits to chain, scheme, registrant and salt"
    );
    ensure!(
        !Retired::<T>::contains_key(id),
        "an id that is retired is not registered"
    );
    ensure!(
        KeysOf::<T>::contains_key(T::AccountId::from(owner), id),
        "a key stands under its owner"
    );
    ensure!(
        ByVerifyingKey::<T>::get(record.verifying_key) == Some(*id),
        "a key is found by its verifying key"
    );
    ensure!(
        record.offered_to != Some(record.owner),
        "a key is offered to another than its owner"
    );
    ensure!(
        check_policy(&record.programs, &record.requesters).is_ok(),
        "programs and requesters are possible"
    );
    if let Some(active) = T::Network::active_key(record.scheme) {
        let child = derive(
            record.scheme,
            &active.root_key,
            id,
            &DerivationPath::default(),
        );
        ensure!(
            child.is_ok_and(|child| child.key == record.verifying_key),
            "a verifying key is the child of the root key"
        );
    }
    Ok(())
}
