//! How requests end: expiry, the queue for removal, and the return of deposits. Bounded in each block.

use entropy_shared::{BlockNumber, RequestId, traits::Network};
use frame_support::{
    defensive,
    traits::{fungible::MutateHold, tokens::Precision},
};

use crate::{
    Config, Ended, EndedPlaces, Event, HoldReason, Open, OpenOfKey, Pallet, Requests, StoredRequest,
};

/// How many requests may expire, and how many be removed, in one block; what is due beyond that waits for the next.
pub(crate) const MAX_ENDED_PER_BLOCK: u32 = 128;

impl<T: Config> Pallet<T> {
    /// Gives up the oldest requests whose time is over; returns how many.
    pub(crate) fn expire_due(now: BlockNumber) -> u64 {
        let is_due = |(_, expires): &&(RequestId, BlockNumber)| *expires <= now;
        let mut open = Open::<T>::get();
        let due = open
            .iter()
            .take(MAX_ENDED_PER_BLOCK as usize)
            .take_while(is_due)
            .count();
        if due == 0 {
            return 0;
        }
        for (id, _) in open.drain(..due) {
            if let Some(StoredRequest { record, deposit }) = Requests::<T>::get(id) {
                Self::end(
                    id,
                    StoredRequest {
                        record: record.expire(now),
                        deposit,
                    },
                    now,
                );
                Self::deposit_event(Event::Expired { id });
            }
        }
        Open::<T>::put(open);
        due as u64
    }

    /// Stores a request that is open no longer, and queues it for removal.
    pub(crate) fn end(id: RequestId, stored: StoredRequest, now: BlockNumber) {
        OpenOfKey::<T>::mutate_exists(stored.record.content.key, |count| {
            *count = count
                .and_then(|count| count.checked_sub(1))
                .filter(|count| *count > 0);
        });
        Requests::<T>::insert(id, stored);
        let removal = now.saturating_add(T::Network::parameters().request_retention_blocks);
        EndedPlaces::<T>::mutate(|places| {
            Ended::<T>::insert(places.end, (id, removal));
            places.end = places.end.saturating_add(1);
        });
    }

    /// Forgets the requests that have been kept long enough, and gives their deposits back; returns how many.
    pub(crate) fn remove_due(now: BlockNumber) -> u64 {
        let mut places = EndedPlaces::<T>::get();
        let mut removed = 0;
        while removed < u64::from(MAX_ENDED_PER_BLOCK) && places.first < places.end {
            match Ended::<T>::get(places.first) {
                Some((_, removal)) if removal > now => break,
                Some((id, _)) => Self::remove(&id),
                None => {
                    defensive!("the queue of ended requests has no gaps");
                }
            }
            Ended::<T>::remove(places.first);
            places.first = places.first.saturating_add(1);
            removed += 1;
        }
        if removed > 0 {
            EndedPlaces::<T>::put(places);
        }
        removed
    }

    fn remove(id: &RequestId) {
        let Some(StoredRequest { record, deposit }) = Requests::<T>::take(id) else {
            return;
        };
        let requester = T::AccountId::from(record.requester.0);
        let reason = HoldReason::Request.into();
        if T::Currency::release(&reason, &requester, deposit, Precision::BestEffort).is_err() {
            defensive!("what was held from an existing account can be released");
        }
    }
}
