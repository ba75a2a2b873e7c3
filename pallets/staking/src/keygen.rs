//! How key generation goes on by itself: when it begins, with whom, and what a deadline does.
//!
//! The rules are `entropy_shared`'s; here they meet the storage.

use alloc::vec::Vec;

use entropy_shared::{
    Committee, Scheme,
    lifecycle::keygen::{self, KeyState, Transition},
    parameters::Parameters,
};
use frame_support::{traits::Get, weights::Weight};

use crate::{
    ActiveValidators, ChainParameters, Config, Event, KeyStates, Pallet, ServerOf, weights,
};

impl<T: Config> Pallet<T> {
    /// Lets a block pass for every scheme's key; begins to generate one that is absent.
    pub(crate) fn advance_keygen() -> Weight {
        let now = Self::now();
        let parameters = ChainParameters::<T>::get();
        let mut candidates = None;
        let mut changed = 0;
        for scheme in parameters.schemes.iter() {
            let transition = match KeyStates::<T>::get(scheme) {
                KeyState::Absent => candidates
                    .get_or_insert_with(|| Self::next_committee(&parameters))
                    .clone()
                    .map(|target| keygen::begin(target, now, &parameters)),
                state => state.tick(now, &parameters),
            };
            if let Some(transition) = transition {
                changed += 1;
                Self::apply(scheme, transition);
            }
        }
        let looked_up = if candidates.is_some() {
            T::MaxActiveValidators::get()
        } else {
            0
        };
        weights::advance_keygen::<T>(looked_up, changed)
    }

    /// The committee that could form now: the servers of the first active validators that have one.
    fn next_committee(parameters: &Parameters) -> Option<Committee> {
        let servers: Vec<_> = ActiveValidators::<T>::get()
            .into_iter()
            .filter_map(ServerOf::<T>::get)
            .take(parameters.committee_max.into())
            .collect();
        let size = u16::try_from(servers.len())
            .ok()
            .filter(|size| *size >= parameters.committee_min)?;
        // With a fixed threshold there are sizes that make no committee.
        Committee::new(servers, parameters.threshold.threshold(size)).ok()
    }

    pub(crate) fn apply(scheme: Scheme, transition: Transition) {
        KeyStates::<T>::insert(scheme, transition.state);
        for note in transition.notes {
            Self::deposit_event(Event::Keygen { scheme, note });
        }
    }
}
