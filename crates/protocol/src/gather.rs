//! One value from each of some parties: what a round waits for.

use std::collections::{BTreeMap, BTreeSet};

use entropy_shared::PartyId;

/// What has come and who is still awaited.
pub(crate) struct Gather<T> {
    awaited: BTreeSet<PartyId>,
    values: BTreeMap<PartyId, T>,
}

impl<T> Gather<T> {
    pub(crate) fn from_each(parties: &[PartyId]) -> Self {
        Self {
            awaited: parties.iter().copied().collect(),
            values: BTreeMap::new(),
        }
    }

    pub(crate) fn awaited(&self) -> Vec<PartyId> {
        self.awaited.iter().copied().collect()
    }

    /// Takes `from`'s value; true once nobody is awaited any more.
    pub(crate) fn insert(&mut self, from: &PartyId, value: T) -> bool {
        if self.awaited.remove(from) {
            self.values.insert(*from, value);
        }
        self.awaited.is_empty()
    }

    pub(crate) fn into_values(self) -> BTreeMap<PartyId, T> {
        self.values
    }
}
