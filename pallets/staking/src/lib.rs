//! Which server works for which validator, who forms a committee, and how the network comes to its
//! root keys.
//!
//! The pallet extends Substrate's staking and depends on nothing of it: the runtime tells it who
//! validates. It decides nothing itself: every rule of key generation is a function of
//! `entropy_shared::lifecycle::keygen`; here are only storage, origins, deposits and events.

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod authorize;
mod keygen;
mod view;
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
        AccountId, Balance, BlockNumber, Genesis, PartyId, Scheme,
        canonical::{ServerInfo, binding_bytes},
        lifecycle::keygen::{ActiveKey, KeyState, KeygenNote, KeygenReport},
        parameters::Parameters,
        traits::{Network, Validators},
        view::Binding,
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible::MutateHold, tokens::Precision},
    };
    use frame_system::{ensure_authorized, pallet_prelude::*};
    use sp_core::ed25519;
    use sp_runtime::{SaturatedConversion, traits::Zero};

    use crate::weights;

    #[pallet::pallet]
    pub struct Pallet<T>(_);

    /// What the pallet needs of the runtime.
    #[pallet::config]
    pub trait Config:
        frame_system::Config<
            AccountId: Into<[u8; 32]> + From<[u8; 32]>,
            Hash: Into<[u8; 32]>,
            RuntimeEvent: From<Event<Self>>,
        >
    {
        /// Holds the deposits for servers.
        type Currency: MutateHold<Self::AccountId, Balance = Balance, Reason: From<HoldReason>>;

        /// Says who may bind a server.
        type Validators: Validators;

        /// The most validators that can be active in a session; those beyond it get no part in committees.
        #[pallet::constant]
        type MaxActiveValidators: Get<u32>;
    }

    /// Why the pallet holds funds.
    #[pallet::composite_enum]
    pub enum HoldReason {
        /// A validator has bound a server.
        #[codec(index = 0)]
        Server,
    }

    /// A server that a validator has bound, and what was held for it.
    #[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
    pub struct BoundServer {
        /// The validator's stash and what the server published.
        pub binding: Binding,
        /// What is held from the stash for it.
        pub deposit: Balance,
    }

    /// The chain's parameters, set at genesis.
    #[pallet::storage]
    pub type ChainParameters<T: Config> = StorageValue<_, Parameters, ValueQuery>;

    /// Where the root key of each scheme stands.
    #[pallet::storage]
    pub type KeyStates<T: Config> = StorageMap<_, Twox64Concat, Scheme, KeyState, ValueQuery>;

    /// The bound servers by their accounts.
    #[pallet::storage]
    pub type Servers<T: Config> = StorageMap<_, Blake2_128Concat, PartyId, BoundServer>;

    /// The server of each validator, by its stash.
    #[pallet::storage]
    pub type ServerOf<T: Config> = StorageMap<_, Blake2_128Concat, T::AccountId, PartyId>;

    /// The server that published each Noise key, so that no two publish the same.
    #[pallet::storage]
    pub type ServerByNoiseKey<T: Config> = StorageMap<_, Blake2_128Concat, [u8; 32], PartyId>;

    /// The validators of the present session, in the order in which the session has them.
    #[pallet::storage]
    pub type ActiveValidators<T: Config> =
        StorageValue<_, BoundedVec<T::AccountId, T::MaxActiveValidators>, ValueQuery>;

    /// The chain's parameters as its specification gives them.
    #[pallet::genesis_config]
    #[derive(frame_support::DefaultNoBound)]
    pub struct GenesisConfig<T: Config> {
        /// The parameters; a chain with impossible ones does not begin.
        pub parameters: Parameters,
        /// Nothing; ties the configuration to the runtime.
        #[serde(skip)]
        pub _config: core::marker::PhantomData<T>,
    }

    #[pallet::genesis_build]
    impl<T: Config> BuildGenesisConfig for GenesisConfig<T> {
        fn build(&self) {
            if let Err(error) = self.parameters.check() {
                panic!("the chain specification's parameters are not possible: {error}");
            }
            ChainParameters::<T>::put(&self.parameters);
        }
    }

    #[pallet::event]
    #[pallet::generate_deposit(pub(crate) fn deposit_event)]
    pub enum Event<T: Config> {
        /// A validator bound a server, or published new facts about the one it has.
        ServerBound {
            /// The validator's stash.
            stash: T::AccountId,
            /// The server's account.
            server: PartyId,
        },
        /// A validator has its server no more.
        ServerUnbound {
            /// The validator's stash.
            stash: T::AccountId,
            /// The server's account.
            server: PartyId,
        },
        /// A server reported on a key generation.
        Reported {
            /// The server.
            server: PartyId,
            /// The scheme of the key.
            scheme: Scheme,
            /// The number of the attempt.
            attempt: u32,
            /// Whether it holds a share that works.
            ready: bool,
        },
        /// A key generation went on; [`KeygenNote::TooManyLeftOut`] is an alert to operators.
        Keygen {
            /// The scheme of the key.
            scheme: Scheme,
            /// What happened.
            note: KeygenNote,
        },
    }

    #[pallet::error]
    pub enum Error<T> {
        /// Only an account that has bonded and asked to validate can bind a server.
        NotAValidator,
        /// The endpoint is not a `ws://` or `wss://` URL of at most 128 printable ASCII characters without a path.
        BadEndpoint,
        /// The proof is not the server's Ed25519 signature over this chain, this validator and what the server publishes.
        BadProof,
        /// Another validator has bound this server.
        ServerTaken,
        /// Another server publishes this Noise key.
        NoiseKeyTaken,
        /// The validator's server is in a committee or in an attempt at one, so that it can be neither changed nor unbound.
        ServerInUse,
        /// The validator has no server.
        NoServer,
        /// The report does not count; nothing that was authorised is refused so.
        ReportRefused,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::advance_keygen()
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Binds a server to the validator that signs this, or publishes a new endpoint or Noise key of the server it has.
        ///
        /// `proof` is the server's Ed25519 signature over `entropy_shared::canonical::binding_bytes`. A deposit is held
        /// for the first binding. Another server can be bound instead only while the old one is in no committee.
        #[pallet::call_index(0)]
        #[pallet::weight(weights::bind_server::<T>())]
        pub fn bind_server(
            origin: OriginFor<T>,
            info: ServerInfo,
            proof: [u8; 64],
        ) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            let id = AccountId(stash.clone().into());
            let server = info.server;
            let old = ServerOf::<T>::get(&stash).and_then(Servers::<T>::get);
            let old_server = old.as_ref().map(|bound| bound.binding.info.server);

            ensure!(info.checked_endpoint().is_some(), Error::<T>::BadEndpoint);
            if old_server != Some(server) {
                ensure!(T::Validators::is_validator(&id), Error::<T>::NotAValidator);
                ensure!(
                    !old_server.is_some_and(|old| Self::is_in_use(&old)),
                    Error::<T>::ServerInUse
                );
                ensure!(!Servers::<T>::contains_key(server), Error::<T>::ServerTaken);
            }
            let holder = ServerByNoiseKey::<T>::get(info.noise_key);
            ensure!(
                holder.is_none() || holder == old_server,
                Error::<T>::NoiseKeyTaken
            );
            let message = binding_bytes(&Self::genesis(), &id, &info);
            ensure!(
                Self::has_signed(&server, &message, &proof),
                Error::<T>::BadProof
            );

            let deposit = match &old {
                Some(old) => {
                    Self::forget(&stash, &old.binding);
                    old.deposit
                }
                None => {
                    let deposit = ChainParameters::<T>::get().server_deposit;
                    T::Currency::hold(&HoldReason::Server.into(), &stash, deposit)?;
                    deposit
                }
            };
            ServerOf::<T>::insert(&stash, server);
            ServerByNoiseKey::<T>::insert(info.noise_key, server);
            Servers::<T>::insert(
                server,
                BoundServer {
                    binding: Binding { stash: id, info },
                    deposit,
                },
            );
            Self::deposit_event(Event::ServerBound { stash, server });
            Ok(())
        }

        /// Takes back the binding of the signer's server and its deposit, unless the server is in a committee or an attempt at one.
        #[pallet::call_index(1)]
        #[pallet::weight(weights::unbind_server::<T>())]
        pub fn unbind_server(origin: OriginFor<T>) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            let server = ServerOf::<T>::get(&stash).ok_or(Error::<T>::NoServer)?;
            let bound = Servers::<T>::get(server).ok_or(Error::<T>::NoServer)?;
            ensure!(!Self::is_in_use(&server), Error::<T>::ServerInUse);
            T::Currency::release(
                &HoldReason::Server.into(),
                &stash,
                bound.deposit,
                Precision::BestEffort,
            )?;
            Self::forget(&stash, &bound.binding);
            Self::deposit_event(Event::ServerUnbound { stash, server });
            Ok(())
        }

        /// Counts a server's report on a key generation. Free: the report carries the server's own signature.
        ///
        /// A general transaction; `signature` is the server's over `entropy_shared::canonical::keygen_report_bytes`,
        /// `valid_until` at most 64 blocks ahead. A report that does not count is refused before it is included.
        #[pallet::call_index(2)]
        #[pallet::weight((weights::report_keygen::<T>(), DispatchClass::Operational))]
        #[pallet::authorize(Pallet::<T>::authorize_report)]
        #[pallet::weight_of_authorize(weights::authorize_report::<T>())]
        pub fn report_keygen(
            origin: OriginFor<T>,
            report: KeygenReport,
            valid_until: BlockNumber,
            signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            // Both have been judged by `authorize`, without which this origin does not exist.
            let _ = (valid_until, signature);
            let transition = KeyStates::<T>::get(report.scheme)
                .report(
                    &Self::genesis(),
                    &report,
                    Self::now(),
                    &ChainParameters::<T>::get(),
                )
                .map_err(|_| Error::<T>::ReportRefused)?;
            Self::deposit_event(Event::Reported {
                server: report.server,
                scheme: report.scheme,
                attempt: report.attempt,
                ready: report.is_ready(),
            });
            Self::apply(report.scheme, transition);
            Ok(())
        }
    }

    impl<T: Config> Pallet<T> {
        /// The chain's parameters; before genesis has set them, the defaults.
        pub fn parameters() -> Parameters {
            ChainParameters::<T>::get()
        }

        /// Which chain this is: the hash of its first block.
        ///
        /// In the state of that block itself, where the chain cannot have recorded it yet, it is computed.
        pub fn genesis() -> Genesis {
            let zero = BlockNumberFor::<T>::zero();
            if !frame_system::Pallet::<T>::block_number().is_zero() {
                // frame_system never forgets the hash of block 0.
                return Genesis(frame_system::Pallet::<T>::block_hash(zero).into());
            }
            Genesis(crate::view::first_block_hash::<T>().into())
        }

        /// Takes note of the validators of the session that begins, in the order in which the session has them.
        ///
        /// The runtime calls this at genesis and at the start of each session. Those beyond
        /// [`Config::MaxActiveValidators`] are not considered for committees.
        pub fn note_active_validators(validators: Vec<T::AccountId>) {
            ActiveValidators::<T>::put(BoundedVec::truncate_from(validators));
        }

        /// The number of the block that is being executed, or whose state is looked at.
        pub(crate) fn now() -> BlockNumber {
            frame_system::Pallet::<T>::block_number().saturated_into()
        }

        /// Whether `signature` is the server's over `message`.
        pub(crate) fn has_signed(
            server: &PartyId,
            message: &[u8; 32],
            signature: &[u8; 64],
        ) -> bool {
            sp_io::crypto::ed25519_verify(
                &ed25519::Signature::from_raw(*signature),
                message,
                &ed25519::Public::from_raw(server.0),
            )
        }

        /// Whether the server holds a share, or may come to hold one in the attempt under way.
        fn is_in_use(server: &PartyId) -> bool {
            Scheme::ALL
                .into_iter()
                .any(|scheme| crate::view::involves(&KeyStates::<T>::get(scheme), server))
        }

        /// Removes all traces of a binding but its deposit.
        fn forget(stash: &T::AccountId, binding: &Binding) {
            ServerOf::<T>::remove(stash);
            Servers::<T>::remove(binding.info.server);
            ServerByNoiseKey::<T>::remove(binding.info.noise_key);
        }
    }

    impl<T: Config> Network for Pallet<T> {
        fn genesis() -> Genesis {
            Self::genesis()
        }

        fn parameters() -> Parameters {
            Self::parameters()
        }

        fn active_key(scheme: Scheme) -> Option<ActiveKey> {
            match KeyStates::<T>::get(scheme) {
                KeyState::Active(key) => Some(key),
                KeyState::Absent | KeyState::Generating(_) => None,
            }
        }

        fn is_bound(server: &PartyId) -> bool {
            Servers::<T>::contains_key(server)
        }
    }
}
