//! WebAssembly programs, stored under the hash of their bytes, with a deposit for each byte and a
//! count of the keys that need them.
//!
//! The pallet never runs a program: servers do, before they sign.

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
        AccountId, Balance, ProgramId,
        traits::{Network, Programs, UnknownProgram},
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible::MutateHold, tokens::Precision},
    };
    use frame_system::pallet_prelude::*;

    use crate::weights;

    /// What every binary WebAssembly module of version 1 begins with.
    const WASM_HEADER: &[u8] = b"\0asm\x01\0\0\0";

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
        /// Holds the deposits for programs.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason: From<HoldReason>>;

        /// Gives the deposit for a byte.
        type Network: Network;

        /// The most bytes that a program may have.
        #[pallet::constant]
        type MaxCodeBytes: Get<u32>;
    }

    /// Why the pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// The bytes of a program are stored.
        #[codec(index = 0)]
        Program,
    }

    /// What the chain knows of a stored program.
    #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
    pub struct ProgramRecord {
        /// Who uploaded it, and may remove it.
        pub author: AccountId,
        /// How many bytes it has.
        pub bytes: u32,
        /// What is held from the author for it.
        pub deposit: Balance,
        /// How many keys need it.
        pub references: u64,
    }

    /// What is known of each program.
    #[pallet::storage]
    pub type Records<T: Config> = StorageMap<_, Identity, ProgramId, ProgramRecord>;

    /// The bytes of each program.
    #[pallet::storage]
    pub type Code<T: Config> = StorageMap<_, Identity, ProgramId, BoundedVec<u8, T::MaxCodeBytes>>;

    #[pallet::event]
    #[pallet::generate_deposit(fn deposit_event)]
    pub enum Event<T: Config> {
        /// A program is stored.
        Uploaded {
            /// Its id.
            id: ProgramId,
            /// Who uploaded it.
            author: T::AccountId,
        },
        /// A program is stored no more.
        Removed {
            /// Its id.
            id: ProgramId,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// The code has more bytes than a program may have.
        TooLarge,
        /// The code does not begin as a WebAssembly module of version 1 does: `00 61 73 6d 01 00 00 00`.
        NotWasm,
        /// A program with the same bytes is stored already; use its id.
        AlreadyUploaded,
        /// No program with this id is stored.
        Unknown,
        /// Only the author can remove a program.
        NotAuthor,
        /// A registered key needs the program.
        InUse,
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Stores a WebAssembly module under the hash of its bytes, and holds a deposit for each byte.
        #[pallet::call_index(0)]
        #[pallet::weight(weights::upload::<T>(code.len()))]
        pub fn upload(origin: OriginFor<T>, code: Vec<u8>) -> DispatchResult {
            let author = ensure_signed(origin)?;
            let code = BoundedVec::try_from(code).map_err(|_| Error::<T>::TooLarge)?;
            ensure!(code.starts_with(WASM_HEADER), Error::<T>::NotWasm);
            let id = ProgramId::of(&code);
            ensure!(!Records::<T>::contains_key(id), Error::<T>::AlreadyUploaded);

            let bytes = code.len() as u32;
            let deposit = T::Network::parameters()
                .program_byte_deposit
                .saturating_mul(bytes.into());
            T::Currency::hold(&HoldReason::Program.into(), &author, deposit)?;
            let record = ProgramRecord {
                author: AccountId(author.clone().into()),
                bytes,
                deposit,
                references: 0,
            };
            Records::<T>::insert(id, record);
            Code::<T>::insert(id, code);
            Self::deposit_event(Event::Uploaded { id, author });
            Ok(())
        }

        /// Removes a program of the signer that no key needs, and gives the deposit back.
        #[pallet::call_index(1)]
        #[pallet::weight(weights::remove::<T>())]
        pub fn remove(origin: OriginFor<T>, id: ProgramId) -> DispatchResult {
            let who = ensure_signed(origin)?;
            let record = Records::<T>::get(id).ok_or(Error::<T>::Unknown)?;
            ensure!(
                record.author == AccountId(who.clone().into()),
                Error::<T>::NotAuthor
            );
            ensure!(record.references == 0, Error::<T>::InUse);
            T::Currency::release(
                &HoldReason::Program.into(),
                &who,
                record.deposit,
                Precision::BestEffort,
            )?;
            Records::<T>::remove(id);
            Code::<T>::remove(id);
            Self::deposit_event(Event::Removed { id });
            Ok(())
        }
    }

    impl<T: Config> Programs for Pallet<T> {
        fn add_reference(id: &ProgramId) -> Result<(), UnknownProgram> {
            Records::<T>::try_mutate(id, |record| {
                let record = record.as_mut().ok_or(UnknownProgram)?;
                record.references = record.references.saturating_add(1);
                Ok(())
            })
        }

        fn remove_reference(id: &ProgramId) {
            Records::<T>::mutate(id, |record| {
                if let Some(record) = record {
                    record.references = record.references.saturating_sub(1);
                }
            });
        }
    }
}
