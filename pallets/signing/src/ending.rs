//! How requests end: expiry, the queue for removal, and the return of deposits. Bounded in each block.

use entropy_shared::{BlockNumber, RequestId, traits::Network as _};
use frame_support::{
    defensive,
    traits::{fungible::MutateHold, tokens::Precision},
};

use crate::{
    Config, Due, DueFrom, Ended, EndedPlaces, Event, HoldReason, Pallet, Requests, StoredRequest,
};

/// How many requests may expire, and how many be removed, in one block; what is due beyond that waits for the next.
pub(crate) const MAX_ENDED_PER_BLOCK: u32 = 128;

/// How many blocks' lists of due requests are looked at in one block.
const MAX_LISTS_PER_BLOCK: u32 = 16;

impl<T: Config> Pallet<T> {
    /// Gives up requests whose time is over, those due first first; returns how many.
    pub(crate) fn expire_due(now: BlockNumber) -> u64 {
        let mut from = DueFrom::<T>::get();
        let mut expired = 0;
        for _ in 0..MAX_LISTS_PER_BLOCK {
            if from > now {
                break;
            }
            let due = Due::<T>::get(from);
            let room = MAX_ENDED_PER_BLOCK as usize - expired;
            for id in due.iter().take(room) {
                let Some(stored) = Requests::<T>::get(id) else {
                    defensive!("what is due is kept");
                    continue;
                };
                let record = stored.record.clone().expire(now);
                Self::end(*id, StoredRequest { record, ..stored }, now);
                Self::deposit_event(Event::Expired { id: *id });
                expired += 1;
            }
            if due.len() > room {
                break;
            }
            Due::<T>::remove(from);
            from = from.saturating_add(1);
        }
        DueFrom::<T>::put(from);
        expired as u64
    }

    /// Takes an ended request from the open ones and puts it into the queue for its removal.
    pub(crate) fn end(id: RequestId, stored: StoredRequest, now: BlockNumber) {
        Self::unlist(&id, &stored);
        Requests::<T>::insert(id, stored);
        EndedPlaces::<T>::mutate(|places| {
            Ended::<T>::insert(places.end, (id, now));
            places.end = places.end.saturating_add(1);
        });
    }

    /// Forgets the requests that have been kept long enough, and gives their deposits back; returns how many.
    ///
    /// How long is long enough is today's parameter, so that none waits for one that was kept under another.
    pub(crate) fn remove_due(now: BlockNumber) -> u64 {
        let retention = T::Network::parameters().request_retention_blocks;
        let mut places = EndedPlaces::<T>::get();
        let mut removed = 0;
        while removed < u64::from(MAX_ENDED_PER_BLOCK) && places.first < places.end {
            match Ended::<T>::get(places.first) {
                Some((_, ended)) if ended.saturating_add(retention) > now => break,
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
        let Some(StoredRequest {
            record, deposit, ..
        }) = Requests::<T>::take(id)
        else {
            return;
        };
        let requester = T::AccountId::from(record.requester.0);
        let reason = HoldReason::Request.into();
        if T::Currency::release(&reason, &requester, deposit, Precision::BestEffort).is_err() {
            defensive!("what was held from an existing account can be released");
        }
    }
}
