//! Users' keys: children of the network's root keys, with the programs that must allow what they sign.
//!
//! A key costs no ceremony: its public half is derived here, by the function that the servers use
//! too. The pallet holds no secret and asks nobody for one.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

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
        AccountId, Balance, DerivationPath, KeyId, ProgramId, Scheme, VerifyingKey,
        derivation::derive,
        lifecycle::request::{KeyRecord, MAX_PROGRAMS},
        traits::{Keys as KeysTrait, Network, Programs, Requests},
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible::MutateHold, tokens::Precision},
    };
    use frame_system::pallet_prelude::*;
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
        /// Holds the deposits for keys.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason: From<HoldReason>>;

        /// Gives the chain's id, its parameters and its root keys.
        type Network: Network;

        /// Counts which programs are needed.
        type Programs: Programs;

        /// Says whether a key is still to sign something.
        type Requests: Requests;
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

    #[pallet::event]
    #[pallet::generate_deposit(fn deposit_event)]
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
        /// A key is registered no more.
        Removed {
            /// Its id.
            id: KeyId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The network has no root key of this scheme in use: key generation has not ended, or the chain has not enabled it.
        NoRootKey,
        /// The signer has registered a key of this scheme with this salt already.
        AlreadyRegistered,
        /// A key carries at most 8 programs.
        TooManyPrograms,
        /// A program is named twice.
        DuplicateProgram,
        /// No program with one of these ids is stored.
        UnknownProgram,
        /// No key exists for this salt (probability below 2^-127): take another.
        NoSuchChild,
        /// No key with this id is registered.
        UnknownKey,
        /// Only the owner can remove a key.
        NotOwner,
        /// A request for the key awaits its signature.
        OpenRequests,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Registers a key of the signer; its id follows from the chain, the scheme, the signer and the salt.
        ///
        /// All of `programs` must allow whatever the key signs.
        #[pallet::call_index(0)]
        #[pallet::weight(weights::register::<T>(programs.len()))]
        pub fn register(
            origin: OriginFor<T>,
            scheme: Scheme,
            salt: [u8; 32],
            programs: Vec<ProgramId>,
        ) -> DispatchResult {
            let owner = ensure_signed(origin)?;
            ensure!(
                programs.len() <= MAX_PROGRAMS as usize,
                Error::<T>::TooManyPrograms
            );
            let root = T::Network::active_key(scheme)
                .ok_or(Error::<T>::NoRootKey)?
                .root_key;
            let owner_id = AccountId(owner.clone().into());
            let id = KeyId::of(&T::Network::genesis(), scheme, &owner_id, &salt);
            ensure!(!Keys::<T>::contains_key(id), Error::<T>::AlreadyRegistered);
            for (i, program) in programs.iter().enumerate() {
                ensure!(
                    !programs[..i].contains(program),
                    Error::<T>::DuplicateProgram
                );
                T::Programs::add_reference(program).map_err(|_| Error::<T>::UnknownProgram)?;
            }
            let verifying_key = derive(scheme, &root, &id, &DerivationPath::default())
                .map_err(|_| Error::<T>::NoSuchChild)?
                .key;

            let deposit = T::Network::parameters().key_deposit;
            T::Currency::hold(&HoldReason::Key.into(), &owner, deposit)?;
            let registered = frame_system::Pallet::<T>::block_number().saturated_into();
            let record = KeyRecord {
                owner: owner_id,
                scheme,
                salt,
                verifying_key,
                programs,
                registered,
            };
            Keys::<T>::insert(id, record);
            KeysOf::<T>::insert(&owner, id, deposit);
            Self::deposit_event(Event::Registered {
                id,
                owner,
                scheme,
                verifying_key,
            });
            Ok(())
        }

        /// Removes a key of the signer for which no request is open, and gives its deposit back.
        ///
        /// What it has signed stays valid; registered again with the same salt, it is the same key.
        #[pallet::call_index(1)]
        #[pallet::weight(weights::remove::<T>())]
        pub fn remove(origin: OriginFor<T>, id: KeyId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let record = Keys::<T>::get(id).ok_or(Error::<T>::UnknownKey)?;
            ensure!(
                record.owner == AccountId(who.clone().into()),
                Error::<T>::NotOwner
            );
            ensure!(!T::Requests::has_open(&id), Error::<T>::OpenRequests);
            let deposit = KeysOf::<T>::take(&who, id).unwrap_or_default();
            T::Currency::release(
                &HoldReason::Key.into(),
                &who,
                deposit,
                Precision::BestEffort,
            )?;
            record
                .programs
                .iter()
                .for_each(T::Programs::remove_reference);
            Keys::<T>::remove(id);
            Self::deposit_event(Event::Removed { id });
            Ok(())
        }
    }

    impl<T: Config> KeysTrait for Pallet<T> {
        fn key(id: &KeyId) -> Option<KeyRecord> {
            Keys::<T>::get(id)
        }
    }
}
