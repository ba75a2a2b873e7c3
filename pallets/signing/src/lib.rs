//! Users' requests for signatures: from the extrinsic to the result that the chain has verified, or
//! to the block in which nobody waits any more.
//!
//! The pallet decides nothing itself: the rules of a request are functions of
//! `entropy_shared::lifecycle::request`; here are only storage, origins, deposits and events.
//!
//! Requests wait in one list, in the order of their inclusion, which is also that of their expiry;
//! those that have ended wait in a queue for their removal. So a block has only the heads of the two
//! to look at, and no call can fail for want of room in a future block.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod authorize;
mod ending;
mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use alloc::vec::Vec;

    use entropy_shared::{
        AccountId, Balance, BlockNumber, DigestError, KeyId, PartyId, RequestId, Signature,
        derivation::DerivationError,
        lifecycle::request::{self, OpenError, RequestContent, RequestRecord, ResultError},
        traits::{Keys, Network, Requests as RequestsTrait},
        view::{MAX_VIEW_REQUESTS, OpenRequest},
    };
    use frame_support::{pallet_prelude::*, traits::fungible::MutateHold};
    use frame_system::{ensure_authorized, pallet_prelude::*};
    use sp_runtime::SaturatedConversion;

    use crate::weights;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// What the pallet needs of the runtime.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<
            AccountId: Into<[u8; 32]> + From<[u8; 32]>,
            RuntimeEvent: From<Event<Self>>,
        >
    {
        /// Holds the deposits for requests.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason: From<HoldReason>>;

        /// Gives the chain's id, its parameters, its root keys and servers.
        type Network: Network;

        /// The registered keys.
        type Keys: Keys;

        /// The most requests that can be open at once.
        #[pallet::constant]
        type MaxOpenRequests: Get<u32>;
    }

    /// Why the pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A request is kept.
        #[codec(index = 0)]
        Request,
    }

    /// A request and what is held for it.
    #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
    pub struct StoredRequest {
        /// The request.
        pub record: RequestRecord,
        /// What is held from the requester for it.
        pub deposit: Balance,
    }

    /// The first and the last place of a queue that are taken: `first..end`.
    #[derive(
        Clone, Copy, Debug, Default, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo,
    )]
    pub struct Places {
        /// The place of the oldest entry.
        pub first: u64,
        /// The place of the next entry to come.
        pub end: u64,
    }

    /// Every request that the chain keeps.
    #[pallet::storage]
    pub type Requests<T: Config> = StorageMap<_, Identity, RequestId, StoredRequest>;

    /// The open requests in the order of their inclusion, each with the first block in which a result no longer counts.
    #[pallet::storage]
    pub type Open<T: Config> =
        StorageValue<_, BoundedVec<(RequestId, BlockNumber), T::MaxOpenRequests>, ValueQuery>;

    /// How many open requests each key has.
    #[pallet::storage]
    pub type OpenOfKey<T: Config> = StorageMap<_, Identity, KeyId, u32, ValueQuery>;

    /// The requests that have ended, in that order, each with the block in which it is removed.
    #[pallet::storage]
    pub type Ended<T: Config> = StorageMap<_, Twox64Concat, u64, (RequestId, BlockNumber)>;

    /// The places of [`Ended`] that are taken.
    #[pallet::storage]
    pub type EndedPlaces<T: Config> = StorageValue<_, Places, ValueQuery>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A signature is asked for.
        Requested {
            /// The request.
            id: RequestId,
            /// The key to sign with.
            key: KeyId,
            /// Who asked.
            requester: T::AccountId,
        },
        /// A request has its signature.
        Signed {
            /// The request.
            id: RequestId,
            /// The signature, which the chain has verified.
            signature: Signature,
        },
        /// No signature came in time. One may exist all the same.
        Expired {
            /// The request.
            id: RequestId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// No key with this id is registered.
        UnknownKey,
        /// The network has no root key of the key's scheme in use.
        NoRootKey,
        /// Only the key's owner may request signatures.
        NotAllowed,
        /// Hasher `identity` signs a 32-byte digest, and the message has another length.
        MessageNotADigest,
        /// A message has at most 8192 bytes.
        MessageTooLong,
        /// A Taproot tweak goes with scheme `schnorr-taproot` only.
        TweakWithoutTaproot,
        /// No key exists at this path (probability below 2^-127): take another.
        NoSuchChild,
        /// The same request was made with the same account nonce, as in one batch, or by proxy before: vary the content.
        Duplicate,
        /// As many requests are open as the chain can have; try again later.
        TooManyOpenRequests,
        /// No request with this id is kept.
        UnknownRequest,
        /// The request has its signature already, or has expired.
        NotOpen,
        /// The signature does not verify: it must be of the request's digest under its final key.
        BadSignature,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            let now = Self::now();
            let expired = Self::expire_due(now);
            let removed = Self::remove_due(now);
            weights::clean_up::<T>(expired, removed)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Asks for one signature by a key of the signer, and holds a deposit while the request is kept.
        ///
        /// The request's id is `entropy_shared::lifecycle::request::request_id` with the nonce of this very transaction:
        /// the account's nonce before it is included.
        #[pallet::call_index(0)]
        #[pallet::weight(weights::request::<T>(content.path.steps().len(), content.message.len()))]
        pub fn request(origin: OriginFor<T>, content: RequestContent) -> DispatchResult {
            let requester = ensure_signed(origin)?;
            let requester_id = AccountId(requester.clone().into());
            // `CheckNonce` has counted this transaction by now.
            let nonce: u32 = frame_system::Pallet::<T>::account_nonce(&requester).saturated_into();
            let genesis = T::Network::genesis();
            let id =
                request::request_id(&genesis, &requester_id, nonce.saturating_sub(1), &content);
            ensure!(!Requests::<T>::contains_key(id), Error::<T>::Duplicate);

            let key_id = content.key;
            let key = T::Keys::key(&key_id).ok_or(Error::<T>::UnknownKey)?;
            let root = T::Network::active_key(key.scheme)
                .ok_or(Error::<T>::NoRootKey)?
                .root_key;
            let parameters = T::Network::parameters();
            let record =
                request::open(content, requester_id, &key, &root, Self::now(), &parameters)
                    .map_err(Error::<T>::from)?;
            Open::<T>::try_append((id, record.expires))
                .map_err(|()| Error::<T>::TooManyOpenRequests)?;
            OpenOfKey::<T>::mutate(key_id, |count| *count = count.saturating_add(1));

            let deposit = parameters.request_deposit;
            T::Currency::hold(&HoldReason::Request.into(), &requester, deposit)?;
            Requests::<T>::insert(id, StoredRequest { record, deposit });
            Self::deposit_event(Event::Requested {
                id,
                key: key_id,
                requester,
            });
            Ok(())
        }

        /// Records the signature that answers a request. Free: a bound server vouches for it.
        ///
        /// A general transaction; `server_signature` is the server's over `entropy_shared::canonical::result_bytes`,
        /// `valid_until` at most 64 blocks ahead. A result that is not taken is refused before it is included.
        #[pallet::call_index(1)]
        #[pallet::weight((weights::record_result::<T>(), DispatchClass::Operational))]
        #[pallet::authorize(Pallet::<T>::authorize_result)]
        #[pallet::weight_of_authorize(weights::authorize_result::<T>())]
        pub fn submit_result(
            origin: OriginFor<T>,
            request: RequestId,
            signature: Signature,
            server: PartyId,
            valid_until: BlockNumber,
            server_signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            // They have been judged by `authorize`, without which this origin does not exist.
            let _ = (server, valid_until, server_signature);
            Self::record_result(request, signature)
        }

        /// Records the signature that answers a request; anybody can bring it who pays for the transaction.
        #[pallet::call_index(2)]
        #[pallet::weight(weights::record_result::<T>())]
        pub fn submit_result_paid(
            origin: OriginFor<T>,
            request: RequestId,
            signature: Signature,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::record_result(request, signature)
        }
    }

    impl<T: Config> Pallet<T> {
        /// The request with this id, if the chain keeps it.
        pub fn record(id: &RequestId) -> Option<RequestRecord> {
            Requests::<T>::get(id).map(|stored| stored.record)
        }

        /// The open requests, oldest first, at most [`MAX_VIEW_REQUESTS`].
        pub fn open_requests() -> Vec<OpenRequest> {
            Open::<T>::get()
                .iter()
                .take(MAX_VIEW_REQUESTS as usize)
                .filter_map(|(id, _)| Self::record(id).map(|record| OpenRequest::new(*id, &record)))
                .collect()
        }

        /// The number of the block that is being executed, or whose state is looked at.
        pub(crate) fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        fn record_result(id: RequestId, signature: Signature) -> DispatchResult {
            let now = Self::now();
            let StoredRequest { record, deposit } =
                Requests::<T>::get(id).ok_or(Error::<T>::UnknownRequest)?;
            let record = record.answer(signature, now).map_err(Error::<T>::from)?;
            Open::<T>::mutate(|open| open.retain(|(other, _)| *other != id));
            Self::end(id, StoredRequest { record, deposit }, now);
            Self::deposit_event(Event::Signed { id, signature });
            Ok(())
        }
    }

    impl<T: Config> RequestsTrait for Pallet<T> {
        fn has_open(key: &KeyId) -> bool {
            OpenOfKey::<T>::contains_key(key)
        }
    }

    impl<T> From<OpenError> for Error<T> {
        fn from(error: OpenError) -> Self {
            match error {
                OpenError::NotAllowed => Self::NotAllowed,
                OpenError::Digest(DigestError::NotADigest(_)) => Self::MessageNotADigest,
                OpenError::Digest(DigestError::TooLong(_)) => Self::MessageTooLong,
                OpenError::Derivation(DerivationError::TweakWithoutTaproot) => {
                    Self::TweakWithoutTaproot
                }
                OpenError::Derivation(DerivationError::Unlucky) => Self::NoSuchChild,
                OpenError::Derivation(
                    DerivationError::BadRootKey | DerivationError::UnsupportedScheme(_),
                ) => Self::NoRootKey,
            }
        }
    }

    impl<T> From<ResultError> for Error<T> {
        fn from(error: ResultError) -> Self {
            match error {
                ResultError::NotOpen => Self::NotOpen,
                ResultError::Signature(_) => Self::BadSignature,
            }
        }
    }
}
