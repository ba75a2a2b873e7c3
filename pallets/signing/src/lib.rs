//! Users' requests for signatures: from the extrinsic to the result that the chain has verified, or
//! to the block in which nobody waits any more.
//!
//! The pallet decides nothing itself: the rules of a request are functions of
//! `entropy_shared::lifecycle::request`; here are only storage, origins, deposits and events.
//!
//! Open requests are kept twice: compactly in a few pages, which is what servers read at every block, and whole by their
//! ids. Those due in a block stand in a list of that block; those that have ended wait in a queue for their removal. So a
//! block has only the heads of the two to look at, and no call can fail for want of room in a future block.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod authorize;
mod ending;
mod invariants;
mod open;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;

#[frame_support::pallet]
pub mod pallet {
    use alloc::vec::Vec;

    use entropy_shared::{
        AccountId, Balance, BlockNumber, DigestError, Epoch, KeyId, PartyId, RequestId, Signature,
        derivation::DerivationError,
        lifecycle::request::{
            self, CancelError, OpenError, Refusal, RefusalError, RequestContent, RequestFailure,
            RequestRecord, ResultError,
        },
        parameters::MAX_OPEN_PER_KEY,
        traits::{Keys, Network, Requests as RequestsTrait},
        view::OpenRequest,
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{Mutate, MutateHold},
            tokens::{Fortitude, Precision, Preservation},
        },
    };
    use frame_system::{ensure_authorized, pallet_prelude::*};
    use sp_runtime::SaturatedConversion;

    use crate::weights::WeightInfo;

    /// How many open requests one page holds.
    pub const PAGE: u32 = 32;

    /// The most requests that one batch makes.
    pub const MAX_BATCH: u32 = 16;

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
        /// Holds the deposits for requests, and burns their fees.
        type Currency: Mutate<Self::AccountId, Balance = Balance>
            + MutateHold<Self::AccountId, Balance = Balance, Reason: From<HoldReason>>;

        /// Gives the chain's id, its parameters, its root keys and servers.
        type Network: Network;

        /// The registered keys.
        type Keys: Keys;

        /// The most requests that can be open at once, in pages of [`PAGE`].
        #[pallet::constant]
        type MaxOpenRequests: Get<u32>;

        /// What the calls and hooks cost.
        type WeightInfo: WeightInfo;
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
        /// The page that lists it while it is open.
        pub page: u32,
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

    /// The open requests as servers see them, in pages that are filled where there is room.
    #[pallet::storage]
    pub type OpenPages<T: Config> =
        StorageMap<_, Twox64Concat, u32, BoundedVec<OpenRequest, ConstU32<PAGE>>, ValueQuery>;

    /// How many requests each page lists.
    #[pallet::storage]
    pub type PageLengths<T: Config> =
        StorageValue<_, BoundedVec<u32, T::MaxOpenRequests>, ValueQuery>;

    /// The open requests of each key.
    #[pallet::storage]
    pub type OpenOfKey<T: Config> = StorageMap<
        _,
        Identity,
        KeyId,
        BoundedVec<RequestId, ConstU32<MAX_OPEN_PER_KEY>>,
        ValueQuery,
    >;

    /// How many open requests each account has.
    #[pallet::storage]
    pub type OpenOfRequester<T: Config> =
        StorageMap<_, Blake2_128Concat, AccountId, u32, ValueQuery>;

    /// The open requests that expire in each block.
    #[pallet::storage]
    pub type Due<T: Config> = StorageMap<
        _,
        Twox64Concat,
        BlockNumber,
        BoundedVec<RequestId, T::MaxOpenRequests>,
        ValueQuery,
    >;

    /// The first block whose due requests may not have expired yet.
    #[pallet::storage]
    pub type DueFrom<T: Config> = StorageValue<_, BlockNumber, ValueQuery>;

    /// The requests that have ended, in that order, each with the block in which it did.
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
        /// A holder of the root key will not or cannot sign a request.
        Refused {
            /// The request.
            id: RequestId,
            /// The server.
            server: PartyId,
            /// Why.
            refusal: Refusal,
        },
        /// Nothing can sign a request.
        Failed {
            /// The request.
            id: RequestId,
            /// Why.
            failure: RequestFailure,
        },
        /// Its requester wants a request no more.
        Cancelled {
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
        /// Only the key's owner, and whom the owner has named, may request signatures.
        NotAllowed,
        /// A request stays open for at least 1 block and at most as many as the chain's parameter `requestExpiryBlocks` says.
        BadLifeTime,
        /// A batch has 1 to 16 requests.
        BadBatch,
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
        /// As many requests are open for this key as a key can have; try again when one has ended.
        TooManyOpenForKey,
        /// The account has as many requests open as it can have; try again when one has ended.
        TooManyOpenForRequester,
        /// No request with this id is kept.
        UnknownRequest,
        /// The request has ended: it was signed, expired, failed or was cancelled.
        NotOpen,
        /// The signature does not verify: it must be of the request's digest under its final key.
        BadSignature,
        /// Only who asked can cancel a request.
        NotRequester,
        /// A refusal is of the present epoch of the key's scheme.
        WrongEpoch,
        /// Only a server that holds a share of the root key can refuse a request.
        NotAHolder,
        /// A server refuses a request once.
        AlreadyRefused,
        /// A server blames other holders than itself, each once.
        BadAccusation,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            let now = Self::now();
            let expired = Self::expire_due(now);
            let removed = Self::remove_due(now);
            T::WeightInfo::clean_up(expired, removed)
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_invariants().map_err(Into::into)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Asks for one signature by a key that the signer may use, burns a fee, and holds a deposit while the request is kept.
        ///
        /// The fee is the chain's parameter `requestFee`, doubled with each eighth of the list of open requests that is taken.
        /// It stays open for `lifetime` blocks, or for as many as the chain allows. Its id is
        /// `entropy_shared::lifecycle::request::request_id` with the nonce of this very transaction: the account's nonce
        /// before it is included.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::request(content.path.steps().len(), content.message.len()))]
        pub fn request(
            origin: OriginFor<T>,
            content: RequestContent,
            lifetime: Option<BlockNumber>,
        ) -> DispatchResult {
            let requester = ensure_signed(origin)?;
            Self::open(&requester, content, lifetime)
        }

        /// Records the signature that answers a request. Free: a bound server vouches for it.
        ///
        /// A general transaction; `server_signature` is the server's over `entropy_shared::canonical::result_bytes`,
        /// `valid_until` at most 64 blocks ahead. A result that is not taken is refused before it is included.
        #[pallet::call_index(1)]
        #[pallet::weight((T::WeightInfo::record_result(), DispatchClass::Operational))]
        #[pallet::authorize(Pallet::<T>::authorize_result)]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_result())]
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
        #[pallet::weight(T::WeightInfo::record_result())]
        pub fn submit_result_paid(
            origin: OriginFor<T>,
            request: RequestId,
            signature: Signature,
        ) -> DispatchResult {
            ensure_signed(origin)?;
            Self::record_result(request, signature)
        }

        /// Asks for several signatures at once, 1 to 16, of all or of none; each as by `request`. No two may be the same.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::request_batch(contents))]
        pub fn request_batch(
            origin: OriginFor<T>,
            contents: Vec<RequestContent>,
            lifetime: Option<BlockNumber>,
        ) -> DispatchResult {
            let requester = ensure_signed(origin)?;
            let possible = 1..=MAX_BATCH as usize;
            ensure!(possible.contains(&contents.len()), Error::<T>::BadBatch);
            contents
                .into_iter()
                .try_for_each(|content| Self::open(&requester, content, lifetime))
        }

        /// Ends an open request of the signer. It may have been signed all the same. The deposit comes back when it is removed.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::end())]
        pub fn cancel(origin: OriginFor<T>, id: RequestId) -> DispatchResult {
            let who = AccountId(ensure_signed(origin)?.into());
            let now = Self::now();
            let stored = Requests::<T>::get(id).ok_or(Error::<T>::UnknownRequest)?;
            let record = stored
                .record
                .clone()
                .cancel(&who, now)
                .map_err(Error::<T>::from)?;
            Self::end(id, StoredRequest { record, ..stored }, now);
            Self::deposit_event(Event::Cancelled { id });
            Ok(())
        }

        /// Counts that a holder of the root key will not or cannot sign a request. Free: it carries the server's own signature.
        ///
        /// When fewer than a threshold of the holders are left, the request has failed. A refusal counts in its `epoch` only.
        /// A general transaction; `server_signature` is the server's over `entropy_shared::canonical::refusal_bytes`,
        /// `valid_until` at most 64 blocks ahead. A refusal that does not count is refused before it is included.
        #[pallet::call_index(5)]
        #[pallet::weight((T::WeightInfo::refuse(), DispatchClass::Operational))]
        #[pallet::authorize(Pallet::<T>::authorize_refusal)]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_refusal())]
        pub fn refuse(
            origin: OriginFor<T>,
            request: RequestId,
            epoch: Epoch,
            refusal: Refusal,
            server: PartyId,
            valid_until: BlockNumber,
            server_signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            // Both have been judged by `authorize`, without which this origin does not exist.
            let _ = (valid_until, server_signature);
            let now = Self::now();
            let stored = Requests::<T>::get(request).ok_or(Error::<T>::UnknownRequest)?;
            let holders =
                T::Network::active_key(stored.record.scheme).ok_or(Error::<T>::NoRootKey)?;
            let record = stored
                .record
                .clone()
                .refuse(server, epoch, refusal.clone(), &holders, now)
                .map_err(Error::<T>::from)?;
            Self::deposit_event(Event::Refused {
                id: request,
                server,
                refusal,
            });
            let failure = record.failure().cloned();
            let stored = StoredRequest { record, ..stored };
            match failure {
                None => Requests::<T>::insert(request, stored),
                Some(failure) => {
                    Self::end(request, stored, now);
                    Self::deposit_event(Event::Failed {
                        id: request,
                        failure,
                    });
                }
            }
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The request with this id, if the chain keeps it.
        pub fn record(id: &RequestId) -> Option<RequestRecord> {
            Requests::<T>::get(id).map(|stored| stored.record)
        }

        /// The number of the block that is being executed, or whose state is looked at.
        pub(crate) fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        fn open(
            requester: &T::AccountId,
            content: RequestContent,
            lifetime: Option<BlockNumber>,
        ) -> DispatchResult {
            let id = AccountId(requester.clone().into());
            // `CheckNonce` has counted this transaction by now.
            let nonce: u32 = frame_system::Pallet::<T>::account_nonce(requester).saturated_into();
            let genesis = T::Network::genesis();
            let request = request::request_id(&genesis, &id, nonce.saturating_sub(1), &content);
            ensure!(!Requests::<T>::contains_key(request), Error::<T>::Duplicate);

            let key_id = content.key;
            let key = T::Keys::key(&key_id).ok_or(Error::<T>::UnknownKey)?;
            let root = T::Network::active_key(key.scheme)
                .ok_or(Error::<T>::NoRootKey)?
                .root_key;
            let parameters = T::Network::parameters();
            let record =
                request::open(content, id, &key, &root, lifetime, Self::now(), &parameters)
                    .map_err(Error::<T>::from)?;
            let open = PageLengths::<T>::get().iter().sum();
            T::Currency::burn_from(
                requester,
                request::fee(open, T::MaxOpenRequests::get(), &parameters),
                Preservation::Preserve,
                Precision::Exact,
                Fortitude::Polite,
            )?;
            let deposit = parameters.request_deposit;
            T::Currency::hold(&HoldReason::Request.into(), requester, deposit)?;
            Self::list(request, record, deposit, &parameters)?;
            Self::deposit_event(Event::Requested {
                id: request,
                key: key_id,
                requester: requester.clone(),
            });
            Ok(())
        }

        fn record_result(id: RequestId, signature: Signature) -> DispatchResult {
            let now = Self::now();
            let stored = Requests::<T>::get(id).ok_or(Error::<T>::UnknownRequest)?;
            let record = stored
                .record
                .clone()
                .answer(signature, now)
                .map_err(Error::<T>::from)?;
            Self::end(id, StoredRequest { record, ..stored }, now);
            Self::deposit_event(Event::Signed { id, signature });
            Ok(())
        }
    }

    impl<T: Config> RequestsTrait for Pallet<T> {
        fn fail_open(key: &KeyId, failure: RequestFailure) {
            let now = Self::now();
            for id in OpenOfKey::<T>::get(key) {
                let Some(stored) = Requests::<T>::get(id) else {
                    continue;
                };
                let record = stored.record.clone().fail(failure.clone(), now);
                let event = match record.failure().cloned() {
                    Some(failure) => Event::Failed { id, failure },
                    None => Event::Expired { id },
                };
                Self::end(id, StoredRequest { record, ..stored }, now);
                Self::deposit_event(event);
            }
        }
    }

    impl<T> From<OpenError> for Error<T> {
        fn from(error: OpenError) -> Self {
            match error {
                OpenError::NotAllowed => Self::NotAllowed,
                OpenError::LifeTime(_) => Self::BadLifeTime,
                OpenError::Digest(DigestError::NotADigest(_)) => Self::MessageNotADigest,
                OpenError::Digest(DigestError::TooLong(_)) => Self::MessageTooLong,
                OpenError::Derivation(DerivationError::TweakWithoutTaproot) => {
                    Self::TweakWithoutTaproot
                }
                OpenError::Derivation(DerivationError::Unlucky) => Self::NoSuchChild,
                OpenError::Derivation(DerivationError::BadRootKey) => Self::NoRootKey,
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

    impl<T> From<CancelError> for Error<T> {
        fn from(error: CancelError) -> Self {
            match error {
                CancelError::NotOpen => Self::NotOpen,
                CancelError::NotRequester => Self::NotRequester,
            }
        }
    }

    impl<T> From<RefusalError> for Error<T> {
        fn from(error: RefusalError) -> Self {
            match error {
                RefusalError::NotOpen => Self::NotOpen,
                RefusalError::Future | RefusalError::Obsolete => Self::WrongEpoch,
                RefusalError::NotAHolder => Self::NotAHolder,
                RefusalError::Repeated => Self::AlreadyRefused,
                RefusalError::BadAccusation => Self::BadAccusation,
            }
        }
    }
}
