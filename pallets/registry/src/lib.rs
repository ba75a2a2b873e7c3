//! Users' keys: children of the network's root keys, with the programs that must allow what they sign.
//!
//! A key costs no ceremony: its public half is derived here, by the function that the servers use
//! too. The pallet holds no secret and asks nobody for one. What a key may have attached, what it
//! costs and how it changes hands is decided by the rules of `entropy_shared::lifecycle::registry`.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod invariants;
pub mod weights;

#[cfg(test)]
mod mock;
#[cfg(test)]
mod tests;

pub use pallet::*;

/// The most ids that [`Pallet::keys_of`] lists at once.
pub const MAX_LISTED: u32 = 256;

#[frame_support::pallet]
pub mod pallet {
    use alloc::vec::Vec;

    use entropy_shared::{
        AccountId, Balance, DerivationPath, KeyId, Scheme, VerifyingKey,
        derivation::derive,
        lifecycle::{
            registry::{
                AttachedProgram, KeyPolicyError, KeyRecord, OwnershipError, Requesters,
                check_policy, policy_bytes,
            },
            request::RequestFailure,
        },
        traits::{Keys as KeysTrait, Network, Programs, Requests},
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{
            fungible::{Mutate, MutateHold},
            tokens::{Fortitude, Precision, Preservation},
        },
    };
    use frame_system::pallet_prelude::*;
    use sp_runtime::SaturatedConversion;

    use crate::{MAX_LISTED, weights::WeightInfo};

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
        /// Holds the deposits for keys, and burns what a transfer costs.
        type Currency: Mutate<Self::AccountId, Balance = Balance>
            + MutateHold<Self::AccountId, Balance = Balance, Reason: From<HoldReason>>;

        /// Gives the chain's id, its parameters and its root keys.
        type Network: Network;

        /// Counts which programs are needed.
        type Programs: Programs;

        /// Ends what a key was still to sign when it is closed or goes to another owner.
        type Requests: Requests;

        /// What the calls and hooks cost.
        type WeightInfo: WeightInfo;
    }

    /// Why the pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A key is registered.
        #[codec(index = 0)]
        Key,
    }

    /// The registered keys.
    #[pallet::storage]
    pub type Keys<T: Config> = StorageMap<_, Identity, KeyId, KeyRecord>;

    /// The ids of each owner's keys, and what is held from the owner for each.
    #[pallet::storage]
    pub type KeysOf<T: Config> =
        StorageDoubleMap<_, Blake2_128Concat, T::AccountId, Identity, KeyId, Balance>;

    /// The id of the key with this public half, at the empty path and before any tweak.
    #[pallet::storage]
    pub type ByVerifyingKey<T: Config> = StorageMap<_, Blake2_128Concat, VerifyingKey, KeyId>;

    /// The ids that are never registered again: of keys that were closed by another owner than who had registered them.
    #[pallet::storage]
    pub type Retired<T: Config> = StorageMap<_, Identity, KeyId, ()>;

    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A key is registered.
        Registered {
            /// Its id.
            id: KeyId,
            /// Its owner.
            owner: T::AccountId,
            /// Its scheme.
            scheme: Scheme,
            /// The key at the empty path, before any tweak.
            verifying_key: VerifyingKey,
        },
        /// The programs and the requesters of a key were set.
        PolicySet {
            /// Its id.
            id: KeyId,
        },
        /// The owner of a key offers it to another account, or takes the offer back.
        Offered {
            /// Its id.
            id: KeyId,
            /// Who may accept it.
            to: Option<T::AccountId>,
        },
        /// A key has another owner.
        Transferred {
            /// Its id.
            id: KeyId,
            /// Who owned it.
            from: T::AccountId,
            /// Who owns it.
            to: T::AccountId,
        },
        /// A key is registered no more.
        Closed {
            /// Its id.
            id: KeyId,
            /// Whether the id is never registered again.
            retired: bool,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The chain has not enabled this scheme.
        SchemeNotEnabled,
        /// The network has no root key of this scheme in use yet: key generation has not ended. Try again later.
        NoRootKey,
        /// The signer has registered a key of this scheme with this salt already.
        AlreadyRegistered,
        /// A key of the signer with this scheme and salt was given to another account, which closed it: take another salt.
        Retired,
        /// A key carries at most 8 programs.
        TooManyPrograms,
        /// A program is named twice.
        DuplicateProgram,
        /// A program's configuration has at most 4096 bytes.
        ConfigurationTooLong,
        /// A key names at most 32 requesters.
        TooManyRequesters,
        /// Requesters are listed in strictly ascending order.
        RequestersNotAscending,
        /// A key for which anybody may request signatures needs at least one program.
        Unguarded,
        /// No program with one of these ids is stored.
        UnknownProgram,
        /// No key exists for this salt (probability below 2^-127): take another.
        NoSuchChild,
        /// No key with this id is registered.
        UnknownKey,
        /// Only the owner manages a key.
        NotOwner,
        /// A key is offered to another account than its owner.
        AlreadyOwner,
        /// Only the account to which its owner has offered a key can accept it.
        NotOffered,
    }

    impl<T> From<KeyPolicyError> for Error<T> {
        fn from(error: KeyPolicyError) -> Self {
            match error {
                KeyPolicyError::TooManyPrograms(_) => Self::TooManyPrograms,
                KeyPolicyError::DuplicateProgram(_) => Self::DuplicateProgram,
                KeyPolicyError::ConfigurationTooLong(_) => Self::ConfigurationTooLong,
                KeyPolicyError::TooManyRequesters(_) => Self::TooManyRequesters,
                KeyPolicyError::RequestersNotAscending => Self::RequestersNotAscending,
                KeyPolicyError::Unguarded => Self::Unguarded,
            }
        }
    }

    impl<T> From<OwnershipError> for Error<T> {
        fn from(error: OwnershipError) -> Self {
            match error {
                OwnershipError::AlreadyOwner => Self::AlreadyOwner,
                OwnershipError::NotOffered => Self::NotOffered,
            }
        }
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_invariants().map_err(Into::into)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Registers a key of the signer; its id follows from the chain, the scheme, the signer and the salt.
        ///
        /// All of `programs` must allow whatever the key signs, and only `requesters` may ask for it. A deposit is held for the
        /// key and for each byte of programs, configurations and requesters.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::register(programs.len(), policy_bytes(programs, requesters)))]
        pub fn register(
            origin: OriginFor<T>,
            scheme: Scheme,
            salt: [u8; 32],
            programs: Vec<AttachedProgram>,
            requesters: Requesters,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            check_policy(&programs, &requesters).map_err(Error::<T>::from)?;
            let parameters = T::Network::parameters();
            ensure!(
                parameters.schemes.contains(scheme),
                Error::<T>::SchemeNotEnabled
            );
            let root = T::Network::active_key(scheme)
                .ok_or(Error::<T>::NoRootKey)?
                .root_key;
            let registrant = AccountId(owner.clone().into());
            let id = KeyId::of(&T::Network::genesis(), scheme, &registrant, &salt);
            ensure!(!Keys::<T>::contains_key(id), Error::<T>::AlreadyRegistered);
            ensure!(!Retired::<T>::contains_key(id), Error::<T>::Retired);
            let verifying_key = derive(scheme, &root, &id, &DerivationPath::default())
                .map_err(|_| Error::<T>::NoSuchChild)?
                .key;
            ensure!(
                !ByVerifyingKey::<T>::contains_key(verifying_key),
                Error::<T>::NoSuchChild
            );
            Self::add_references(&programs, &[])?;

            let registered = frame_system::Pallet::<T>::block_number().saturated_into();
            let record = KeyRecord {
                owner: registrant,
                offered_to: None,
                registrant,
                scheme,
                salt,
                verifying_key,
                programs,
                requesters,
                registered,
            };
            let deposit = record.deposit(&parameters);
            T::Currency::hold(&HoldReason::Key.into(), &owner, deposit)?;
            Keys::<T>::insert(id, record);
            KeysOf::<T>::insert(&owner, id, deposit);
            ByVerifyingKey::<T>::insert(verifying_key, id);
            Self::deposit_event(Event::Registered {
                id,
                owner,
                scheme,
                verifying_key,
            });
            Ok(())
        }

        /// Closes a key of the signer and gives its deposit back. Requests that are still open for it fail.
        ///
        /// What it has signed stays valid. The account that registered the key gets the same key again if it registers the same
        /// scheme and salt again. If the signer has the key from another account, nobody ever gets it again: the id stays taken.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::close())]
        pub fn close(origin: OriginFor<T>, id: KeyId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let record = Self::owned(&who, &id)?;
            T::Requests::fail_open(&id, RequestFailure::KeyClosed);

            Self::release(&who, KeysOf::<T>::take(&who, id).unwrap_or_default())?;
            let retired = record.retires();
            if retired {
                Retired::<T>::insert(id, ());
            }
            Self::remove_references(&record.programs, &[]);
            ByVerifyingKey::<T>::remove(record.verifying_key);
            Keys::<T>::remove(id);
            Self::deposit_event(Event::Closed { id, retired });
            Ok(())
        }

        /// Sets which programs must allow what a key of the signer signs, and who may ask for it, in place of what was set.
        ///
        /// The deposit becomes what such a key costs now. Requests that are still open are signed only if the new policy allows
        /// them.
        #[pallet::call_index(2)]
        #[pallet::weight(T::WeightInfo::set_policy(programs.len(), policy_bytes(programs, requesters)))]
        pub fn set_policy(
            origin: OriginFor<T>,
            id: KeyId,
            programs: Vec<AttachedProgram>,
            requesters: Requesters,
        ) -> DispatchResult {
            let who = ensure_signed(origin)?;
            check_policy(&programs, &requesters).map_err(Error::<T>::from)?;
            let old = Self::owned(&who, &id)?;
            Self::add_references(&programs, &old.programs)?;
            Self::remove_references(&old.programs, &programs);

            let record = KeyRecord {
                programs,
                requesters,
                ..old
            };
            let due = record.deposit(&T::Network::parameters());
            let held = KeysOf::<T>::get(&who, id).unwrap_or_default();
            if due > held {
                T::Currency::hold(&HoldReason::Key.into(), &who, due.saturating_sub(held))?;
            } else {
                Self::release(&who, held.saturating_sub(due))?;
            }
            KeysOf::<T>::insert(&who, id, due);
            Keys::<T>::insert(id, record);
            Self::deposit_event(Event::PolicySet { id });
            Ok(())
        }

        /// Offers a key of the signer to another account, in place of any earlier offer; none takes the offer back.
        ///
        /// Nothing else changes until the other account accepts.
        #[pallet::call_index(3)]
        #[pallet::weight(T::WeightInfo::offer())]
        pub fn offer(origin: OriginFor<T>, id: KeyId, to: Option<T::AccountId>) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let record = Self::owned(&who, &id)?
                .offer(to.clone().map(|to| AccountId(to.into())))
                .map_err(Error::<T>::from)?;
            Keys::<T>::insert(id, record);
            Self::deposit_event(Event::Offered { id, to });
            Ok(())
        }

        /// Accepts a key that its owner has offered to the signer, who owns it from now on.
        ///
        /// The signer's deposit is held and the former owner's given back; if that is who registered the key, the price of 64 bytes
        /// is burnt. Requests that are still open for the key fail. Programs and requesters stay as the former owner has set
        /// them, which may have been just now: set them in the same batch.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::accept())]
        pub fn accept(origin: OriginFor<T>, id: KeyId) -> DispatchResult {
            let to = ensure_signed(origin)?;
            let old = Keys::<T>::get(id).ok_or(Error::<T>::UnknownKey)?;
            let parameters = T::Network::parameters();
            let from = T::AccountId::from(old.owner.0);
            let fee = old.transfer_fee(&parameters);
            let record = old
                .accept(AccountId(to.clone().into()))
                .map_err(Error::<T>::from)?;

            T::Currency::burn_from(
                &to,
                fee,
                Preservation::Preserve,
                Precision::Exact,
                Fortitude::Polite,
            )?;
            let deposit = record.deposit(&parameters);
            T::Currency::hold(&HoldReason::Key.into(), &to, deposit)?;
            Self::release(&from, KeysOf::<T>::take(&from, id).unwrap_or_default())?;
            KeysOf::<T>::insert(&to, id, deposit);
            Keys::<T>::insert(id, record);
            T::Requests::fail_open(&id, RequestFailure::KeyTransferred);
            Self::deposit_event(Event::Transferred { id, from, to });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The key with this id.
        pub fn key(id: &KeyId) -> Option<KeyRecord> {
            Keys::<T>::get(id)
        }

        /// The id of the key with this public half: at the empty path, before any tweak.
        ///
        /// A Taproot key is also found by its x-coordinate alone, as its users know it.
        pub fn by_verifying_key(key: &VerifyingKey) -> Option<KeyId> {
            let VerifyingKey::XOnly(x) = key else {
                return ByVerifyingKey::<T>::get(key);
            };
            [2, 3].into_iter().find_map(|parity| {
                let mut point = [parity; 33];
                point[1..].copy_from_slice(x);
                ByVerifyingKey::<T>::get(VerifyingKey::Secp256k1(point)).filter(|id| {
                    Keys::<T>::get(id).is_some_and(|key| key.scheme == Scheme::SchnorrTaproot)
                })
            })
        }

        /// The ids of an owner's keys after `start_after`, in ascending order; at most `limit`, and never more than
        /// [`MAX_LISTED`].
        pub fn keys_of(owner: &T::AccountId, start_after: Option<KeyId>, limit: u32) -> Vec<KeyId> {
            let keys = match start_after {
                Some(id) => {
                    KeysOf::<T>::iter_key_prefix_from(owner, KeysOf::<T>::hashed_key_for(owner, id))
                }
                None => KeysOf::<T>::iter_key_prefix(owner),
            };
            keys.take(limit.min(MAX_LISTED) as usize).collect()
        }

        /// The key with this id, if `who` owns it.
        fn owned(who: &T::AccountId, id: &KeyId) -> Result<KeyRecord, Error<T>> {
            let record = Keys::<T>::get(id).ok_or(Error::<T>::UnknownKey)?;
            ensure!(
                record.owner == AccountId(who.clone().into()),
                Error::<T>::NotOwner
            );
            Ok(record)
        }

        fn release(who: &T::AccountId, amount: Balance) -> DispatchResult {
            T::Currency::release(&HoldReason::Key.into(), who, amount, Precision::BestEffort)
                .map(drop)
        }

        /// Counts one more key for each of `programs` that is not among `but` already.
        fn add_references(
            programs: &[AttachedProgram],
            but: &[AttachedProgram],
        ) -> Result<(), Error<T>> {
            programs
                .iter()
                .filter(|attached| !names(but, attached))
                .try_for_each(|attached| T::Programs::add_reference(&attached.program))
                .map_err(|_| Error::<T>::UnknownProgram)
        }

        /// Takes back what [`Self::add_references`] counted for each of `programs` that is not among `but` still.
        fn remove_references(programs: &[AttachedProgram], but: &[AttachedProgram]) {
            programs
                .iter()
                .filter(|attached| !names(but, attached))
                .for_each(|attached| T::Programs::remove_reference(&attached.program));
        }
    }

    fn names(programs: &[AttachedProgram], attached: &AttachedProgram) -> bool {
        programs
            .iter()
            .any(|other| other.program == attached.program)
    }

    impl<T: Config> KeysTrait for Pallet<T> {
        fn key(id: &KeyId) -> Option<KeyRecord> {
            Keys::<T>::get(id)
        }
    }
}
