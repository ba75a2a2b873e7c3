//! What holds in every state of the pallet, for tests and for those who inspect a live chain.

use alloc::collections::BTreeMap;

use entropy_shared::{Balance, ProgramId};
use frame_support::{ensure, traits::fungible::InspectHold};

use crate::{Code, Config, HoldReason, Metadata, Pallet, Records, Schemas};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of the pallet's storage; the first that does not hold.
    ///
    /// Reads all of the pallet's storage: never called while a block is executed.
    pub fn check_invariants() -> Result<(), &'static str> {
        let mut count = 0;
        let mut deposits = BTreeMap::<[u8; 32], Balance>::new();
        for (id, record) in Records::<T>::iter() {
            let code = Code::<T>::get(id).ok_or("every program has its code")?;
            let schema = Schemas::<T>::get(id).ok_or("every program has its schema")?;
            let metadata = Metadata::<T>::get(id).ok_or("every program has its metadata")?;
            ensure!(
                id == ProgramId::of(&code, &schema),
                "an id is the hash of code and schema"
            );
            ensure!(
                record.bytes as usize == code.len() + schema.len() + metadata.len(),
                "all bytes of a program are counted"
            );
            let sum = deposits.entry(record.author.0).or_default();
            *sum = sum.saturating_add(record.deposit);
            count += 1;
        }
        ensure!(
            [
                Code::<T>::iter_keys().count(),
                Schemas::<T>::iter_keys().count(),
                Metadata::<T>::iter_keys().count()
            ] == [count; 3],
            "nothing is stored for a program that is not"
        );
        for (author, deposit) in deposits {
            let held = T::Currency::balance_on_hold(&HoldReason::Program.into(), &author.into());
            ensure!(
                held == deposit,
                "the deposits of an author are what is held for programs"
            );
        }
        Ok(())
    }

    /// Checks that each program's count of references is `named`'s: how many keys name the program.
    ///
    /// Who knows the keys says so, as this pallet does not. Reads all records: never called while a block is executed.
    pub fn check_references(named: &BTreeMap<ProgramId, u64>) -> Result<(), &'static str> {
        ensure!(
            Records::<T>::iter()
                .all(|(id, record)| record.references == named.get(&id).copied().unwrap_or(0)),
            "each program's count of references is of the keys that name it"
        );
        ensure!(
            named.keys().all(Records::<T>::contains_key),
            "every program that a key names is stored"
        );
        Ok(())
    }
}
