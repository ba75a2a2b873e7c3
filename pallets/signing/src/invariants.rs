//! What holds in every state of the pallet, for tests and for those who inspect a live chain.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use entropy_shared::{Balance, lifecycle::request::RequestState, view::OpenRequest};
use frame_support::{
    ensure,
    traits::{Get, fungible::InspectHold},
};

use crate::{
    Config, Due, DueFrom, Ended, EndedPlaces, HoldReason, OpenOfKey, OpenOfRequester, OpenPages,
    PageLengths, Pallet, Requests,
};

impl<T: Config> Pallet<T> {
    /// Checks every invariant of the pallet's storage; the first that does not hold.
    ///
    /// Reads all of the pallet's storage: never called while a block is executed.
    pub fn check_invariants() -> Result<(), &'static str> {
        let mut held = BTreeMap::<_, Balance>::new();
        let mut of_key = BTreeMap::<_, usize>::new();
        let mut of_requester = BTreeMap::<_, u32>::new();
        let mut due = BTreeMap::<_, usize>::new();
        let (mut open, mut ended) = (0u32, 0u64);
        for (id, stored) in Requests::<T>::iter() {
            let record = &stored.record;
            let sum = held.entry(record.requester).or_default();
            *sum = sum.saturating_add(stored.deposit);
            if record.state != RequestState::Open {
                ended += 1;
                continue;
            }
            open += 1;
            ensure!(
                OpenPages::<T>::get(stored.page).contains(&OpenRequest::new(id, record)),
                "an open request stands on its page"
            );
            ensure!(
                OpenOfKey::<T>::get(record.content.key).contains(&id),
                "an open request is listed with its key"
            );
            ensure!(
                Due::<T>::get(record.expires).contains(&id),
                "an open request is listed with the block in which it expires"
            );
            *of_key.entry(record.content.key).or_default() += 1;
            *of_requester.entry(record.requester).or_default() += 1;
            *due.entry(record.expires).or_default() += 1;
        }
        for (account, deposits) in held {
            let account = T::AccountId::from(account.0);
            ensure!(
                T::Currency::balance_on_hold(&HoldReason::Request.into(), &account) == deposits,
                "the deposits of an account's requests are what is held"
            );
        }
        ensure!(
            open <= T::MaxOpenRequests::get(),
            "no more requests are open than may be"
        );
        let lengths = PageLengths::<T>::get();
        ensure!(
            lengths.iter().sum::<u32>() == open,
            "the pages list the open requests and no others"
        );
        let real: Vec<_> = (0..lengths.len() as u32)
            .map(|page| OpenPages::<T>::decode_len(page).unwrap_or(0) as u32)
            .collect();
        ensure!(real == lengths[..], "pages are as long as noted");
        ensure!(
            OpenPages::<T>::iter()
                .all(|(page, open)| (page as usize) < lengths.len() && !open.is_empty()),
            "there are no other pages, and no empty ones"
        );
        ensure!(
            OpenOfKey::<T>::iter().all(|(key, ids)| of_key.get(&key) == Some(&ids.len())),
            "keys list their open requests and no others"
        );
        ensure!(
            OpenOfRequester::<T>::iter().all(|(account, n)| of_requester.get(&account) == Some(&n)),
            "the open requests of accounts are counted"
        );
        ensure!(
            Due::<T>::iter().all(|(block, ids)| due.get(&block) == Some(&ids.len())),
            "blocks list the open requests that expire in them and no others"
        );
        let from = DueFrom::<T>::get();
        ensure!(
            Due::<T>::iter_keys().all(|block| block >= from),
            "no block's list of due requests is passed over"
        );
        let places = EndedPlaces::<T>::get();
        ensure!(
            places.end.checked_sub(places.first) == Some(ended),
            "every request that has ended waits for its removal"
        );
        ensure!(
            Ended::<T>::iter_keys().count() as u64 == ended,
            "the queue has no other places"
        );
        let distinct: BTreeSet<_> = Ended::<T>::iter_values().map(|(id, _)| id).collect();
        ensure!(
            distinct.len() as u64 == ended,
            "a request waits for its removal once"
        );
        for place in places.first..places.end {
            let id = Ended::<T>::get(place).map(|(id, _)| id);
            let record = id.and_then(|id| Self::record(&id));
            ensure!(
                record.is_some_and(|record| record.state != RequestState::Open),
                "what waits for its removal has ended"
            );
        }
        Ok(())
    }
}
