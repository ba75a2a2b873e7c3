//! WebAssembly programs, stored under the hash of code and configuration schema, with a deposit for
//! each byte and a count of the keys that need them.
//!
//! The pallet never runs a program: servers do, before they sign. Nor does it read schema or metadata.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod invariants;
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
        AccountId, Balance, ProgramId,
        traits::{Network, Programs, UnknownProgram},
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible::MutateHold, tokens::Precision},
    };
    use frame_system::pallet_prelude::*;

    use crate::weights::WeightInfo;

    /// What a binary core module of WebAssembly 1 begins with, and what a component does: magic, version and layer.
    const WASM_HEADERS: [&[u8; 8]; 2] = [b"\0asm\x01\0\0\0", b"\0asm\x0d\0\x01\0"];

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

        /// The most bytes that a program's code may have.
        #[pallet::constant]
        type MaxCodeBytes: Get<u32>;

        /// The most bytes that the schema of a program's configuration may have.
        #[pallet::constant]
        type MaxSchemaBytes: Get<u32>;

        /// The most bytes that a program's metadata may have.
        #[pallet::constant]
        type MaxMetadataBytes: Get<u32>;

        /// What the calls and hooks cost.
        type WeightInfo: WeightInfo;
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
        /// How many bytes code, schema and metadata have together.
        pub bytes: u32,
        /// What is held from the author for it.
        pub deposit: Balance,
        /// How many keys need it.
        pub references: u64,
    }

    /// What is known of each program.
    #[pallet::storage]
    pub type Records<T: Config> = StorageMap<_, Identity, ProgramId, ProgramRecord>;

    /// The code of each program.
    #[pallet::storage]
    pub type Code<T: Config> = StorageMap<_, Identity, ProgramId, BoundedVec<u8, T::MaxCodeBytes>>;

    /// What each program's configuration on a key looks like; empty if it takes none.
    #[pallet::storage]
    pub type Schemas<T: Config> =
        StorageMap<_, Identity, ProgramId, BoundedVec<u8, T::MaxSchemaBytes>>;

    /// What the author of each program says about it, such as its name and where its source is. The id does not commit to it.
    #[pallet::storage]
    pub type Metadata<T: Config> =
        StorageMap<_, Identity, ProgramId, BoundedVec<u8, T::MaxMetadataBytes>>;

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
        /// The code has more bytes than `MaxCodeBytes` says.
        CodeTooLarge,
        /// The schema has more bytes than `MaxSchemaBytes` says.
        SchemaTooLarge,
        /// The metadata has more bytes than `MaxMetadataBytes` says.
        MetadataTooLarge,
        /// The code does not begin as a WebAssembly module (`00 61 73 6d 01 00 00 00`) or component (`00 61 73 6d 0d 00 01 00`) does.
        NotWasm,
        /// A program with the same code and schema is stored already; use its id.
        AlreadyUploaded,
        /// No program with this id is stored.
        Unknown,
        /// Only the author can remove a program.
        NotAuthor,
        /// A registered key needs the program.
        InUse,
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
        /// Stores a WebAssembly module or component, with the schema of its configuration, under the hash of both.
        ///
        /// `metadata` is for people; nobody checks it. A deposit is held for each byte of all three, until the program is
        /// removed.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::upload(
            code.len().saturating_add(schema.len()).saturating_add(metadata.len())
        ))]
        pub fn upload(
            origin: OriginFor<T>,
            code: Vec<u8>,
            schema: Vec<u8>,
            metadata: Vec<u8>,
        ) -> DispatchResult {
            let author = ensure_signed(origin)?;
            let code = BoundedVec::try_from(code).map_err(|_| Error::<T>::CodeTooLarge)?;
            let schema = BoundedVec::try_from(schema).map_err(|_| Error::<T>::SchemaTooLarge)?;
            let metadata =
                BoundedVec::try_from(metadata).map_err(|_| Error::<T>::MetadataTooLarge)?;
            ensure!(
                WASM_HEADERS.iter().any(|header| code.starts_with(*header)),
                Error::<T>::NotWasm
            );
            let id = ProgramId::of(&code, &schema);
            ensure!(!Records::<T>::contains_key(id), Error::<T>::AlreadyUploaded);

            let bytes = [code.len(), schema.len(), metadata.len()]
                .into_iter()
                .fold(0_u32, |sum, length| sum.saturating_add(length as u32));
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
            Schemas::<T>::insert(id, schema);
            Metadata::<T>::insert(id, metadata);
            Self::deposit_event(Event::Uploaded { id, author });
            Ok(())
        }

        /// Removes a program of the signer that no key needs, and gives the deposit back.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::remove())]
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
            Schemas::<T>::remove(id);
            Metadata::<T>::remove(id);
            Self::deposit_event(Event::Removed { id });
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// What is known of the program with this id.
        pub fn program(id: &ProgramId) -> Option<ProgramRecord> {
            Records::<T>::get(id)
        }

        /// The program's code.
        pub fn code(id: &ProgramId) -> Option<Vec<u8>> {
            Code::<T>::get(id).map(Into::into)
        }

        /// What the program's configuration looks like; empty if it takes none.
        pub fn schema(id: &ProgramId) -> Option<Vec<u8>> {
            Schemas::<T>::get(id).map(Into::into)
        }

        /// What the program's author says about it.
        pub fn metadata(id: &ProgramId) -> Option<Vec<u8>> {
            Metadata::<T>::get(id).map(Into::into)
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
