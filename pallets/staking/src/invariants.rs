//! What holds in every state of the pallet, for tests and for those who inspect a live chain.

use entropy_shared::{
    Scheme,
    lifecycle::key::{Attempt, KeyState},
};
use frame_support::{ensure, traits::fungible::InspectHold};

use crate::{
    ChainParameters, Config, HoldReason, KeyStates, Offences, Pallet, Reviews, ServerOf, Servers,
};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of the pallet's storage; the first that does not hold.
    ///
    /// Reads all of the pallet's storage: never called while a block is executed.
    pub fn check_invariants() -> Result<(), &'static str> {
        let parameters = ChainParameters::<T>::get();
        ensure!(parameters.check().is_ok(), "the parameters are possible");

        for (server, bound) in Servers::<T>::iter() {
            let stash = T::AccountId::from(bound.binding.stash.0);
            ensure!(
                bound.binding.info.server == server,
                "a binding stands under its own server"
            );
            ensure!(
                ServerOf::<T>::get(&stash) == Some(server),
                "both directions of a binding agree"
            );
            let held = T::Currency::balance_on_hold(&HoldReason::Server.into(), &stash);
            ensure!(
                held == bound.deposit,
                "the deposit of a server is what is held"
            );
        }
        ensure!(
            ServerOf::<T>::iter_values().all(Servers::<T>::contains_key),
            "every validator's server is bound"
        );
        ensure!(
            Offences::<T>::iter_keys().all(Servers::<T>::contains_key),
            "offences are of bound servers"
        );
        for scheme in Scheme::ALL {
            let state = KeyStates::<T>::get(scheme);
            ensure!(
                state == KeyState::Absent || parameters.schemes.contains(scheme),
                "a scheme with a key is enabled"
            );
            ensure!(
                !Reviews::<T>::contains_key(scheme) || state.active().is_some(),
                "only a key that exists is to be looked at"
            );
            check_state::<T>(&state)?;
        }
        Ok(())
    }
}

fn check_state<T: Config>(state: &KeyState) -> Result<(), &'static str> {
    if let Some(key) = state.active() {
        ensure!(key.root_key.is_valid(), "a root key is a point");
        ensure!(
            key.committee
                .parties()
                .iter()
                .all(Servers::<T>::contains_key),
            "every holder is bound"
        );
    }
    if let Some(attempt) = state.attempt() {
        check_attempt::<T>(attempt)?;
        if let Some(from) = state.active() {
            ensure!(
                from.check_target(&attempt.target).is_ok(),
                "a target keeps a threshold of the holders, and newcomers are fewer than its own"
            );
            ensure!(
                attempt.dealers(from).len() >= usize::from(from.committee.threshold()),
                "a threshold of the holders deals"
            );
            ensure!(
                attempt.epoch == from.epoch.saturating_add(1),
                "shares are dealt anew for the next epoch"
            );
        }
    }
    Ok(())
}

fn check_attempt<T: Config>(attempt: &Attempt) -> Result<(), &'static str> {
    let (target, committee) = (&attempt.target, &attempt.committee);
    ensure!(
        target.parties().iter().all(Servers::<T>::contains_key),
        "everybody in a target is bound"
    );
    ensure!(
        committee.threshold() == target.threshold(),
        "leaving out never lowers the threshold"
    );
    let lost = attempt.without().filter(|party| target.contains(party));
    ensure!(
        lost.count() <= usize::from(target.size() - target.threshold()),
        "at most n - t are left out"
    );
    let makes_it = |party| attempt.without().all(|other| other != party);
    ensure!(
        target
            .parties()
            .iter()
            .all(|party| committee.contains(party) == makes_it(party)),
        "an attempt is made by the target less those left out"
    );
    ensure!(
        attempt.reports.len() < usize::from(committee.size())
            && attempt
                .reports
                .iter()
                .all(|reported| committee.contains(&reported.party)),
        "only parties have reported, and not all"
    );
    Ok(())
}
