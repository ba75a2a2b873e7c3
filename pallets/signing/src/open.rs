//! The open requests: in pages for those who read them all, by key and by requester for the limits, by block for expiry.

use alloc::vec::Vec;

use entropy_shared::{
    Balance, BlockNumber, KeyId, RequestId, lifecycle::request::RequestRecord,
    parameters::Parameters, view::OpenRequest,
};
use frame_support::{ensure, traits::Get};
use sp_runtime::DispatchError;

use crate::{
    Config, Due, Error, OpenOfKey, OpenOfRequester, OpenPages, PAGE, PageLengths, Pallet, Requests,
    StoredRequest,
};

impl<T: Config> Pallet<T> {
    /// The open requests, oldest first; at most [`Config::MaxOpenRequests`].
    ///
    /// Those whose time is over are left out, whether or not a block has had room to give them up.
    pub fn open_requests() -> Vec<OpenRequest> {
        let now = Self::now();
        let pages = PageLengths::<T>::get().len() as u32;
        let mut open: Vec<_> = (0..pages)
            .flat_map(OpenPages::<T>::get)
            .filter(|request| now < request.expires)
            .collect();
        open.sort_by_key(|request| (request.submitted, request.id));
        open
    }

    /// Stores a new request wherever open ones are looked for, if no limit forbids it.
    pub(crate) fn list(
        id: RequestId,
        record: RequestRecord,
        deposit: Balance,
        parameters: &Parameters,
    ) -> Result<(), DispatchError> {
        let of_key = OpenOfKey::<T>::decode_len(record.content.key).unwrap_or(0);
        ensure!(
            of_key < parameters.max_open_per_key as usize,
            Error::<T>::TooManyOpenForKey
        );
        let of_requester = OpenOfRequester::<T>::get(record.requester);
        ensure!(
            of_requester < parameters.max_open_per_requester,
            Error::<T>::TooManyOpenForRequester
        );
        let page = Self::page_with_room().ok_or(Error::<T>::TooManyOpenRequests)?;
        OpenPages::<T>::try_append(page, OpenRequest::new(id, &record))
            .map_err(|()| Error::<T>::TooManyOpenRequests)?;
        OpenOfKey::<T>::try_append(record.content.key, id)
            .map_err(|()| Error::<T>::TooManyOpenForKey)?;
        OpenOfRequester::<T>::insert(record.requester, of_requester.saturating_add(1));
        Due::<T>::try_append(record.expires, id).map_err(|()| Error::<T>::TooManyOpenRequests)?;
        Requests::<T>::insert(
            id,
            StoredRequest {
                record,
                deposit,
                page,
            },
        );
        Ok(())
    }

    /// Counts one more request on the first page that is not full, and says which that is.
    fn page_with_room() -> Option<u32> {
        PageLengths::<T>::mutate(|lengths| {
            let total: u32 = lengths.iter().sum();
            if total >= T::MaxOpenRequests::get() {
                return None;
            }
            let page = match lengths.iter().position(|length| *length < PAGE) {
                Some(page) => page,
                None => {
                    lengths.try_push(0).ok()?;
                    lengths.len() - 1
                }
            };
            if let Some(length) = lengths.get_mut(page) {
                *length = length.saturating_add(1);
            }
            u32::try_from(page).ok()
        })
    }

    /// Removes a request from wherever open ones are looked for.
    pub(crate) fn unlist(id: &RequestId, stored: &StoredRequest) {
        let record = &stored.record;
        OpenPages::<T>::mutate_exists(stored.page, |page| {
            if let Some(entries) = page {
                entries.retain(|open| open.id != *id);
                if entries.is_empty() {
                    *page = None;
                }
            }
        });
        PageLengths::<T>::mutate(|lengths| {
            if let Some(length) = lengths.get_mut(stored.page as usize) {
                *length = length.saturating_sub(1);
            }
            while lengths.last() == Some(&0) {
                lengths.pop();
            }
        });
        Self::forget_of_key(&record.content.key, id);
        OpenOfRequester::<T>::mutate_exists(record.requester, |count| {
            *count = count
                .and_then(|count| count.checked_sub(1))
                .filter(|count| *count > 0);
        });
        Self::forget_due(record.expires, id);
    }

    fn forget_of_key(key: &KeyId, id: &RequestId) {
        OpenOfKey::<T>::mutate_exists(key, |open| {
            if let Some(ids) = open {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    *open = None;
                }
            }
        });
    }

    fn forget_due(block: BlockNumber, id: &RequestId) {
        Due::<T>::mutate_exists(block, |due| {
            if let Some(ids) = due {
                ids.retain(|other| other != id);
                if ids.is_empty() {
                    *due = None;
                }
            }
        });
    }
}
