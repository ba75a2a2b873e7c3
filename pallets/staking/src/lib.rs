//! Which server works for which validator, who forms a committee, and how the network comes to its
//! root keys.
//!
//! The pallet extends Substrate's staking and depends on nothing of it: the runtime tells it who
//! validates. It decides nothing itself: every rule of key generation is a function of

#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

mod authorize;
mod invariants;
mod keys;
mod view;
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
        AccountId, Balance, BlockNumber, Epoch, Genesis, PartyId, Scheme, SchemeSet,
        canonical::{ServerInfo, binding_bytes},
        lifecycle::{
            key::{ActiveKey, AttemptReport, KeyNote, KeyState, LeftOutReason},
            standing::Standing,
        },
        parameters::Parameters,
        traits::{Network, Validators},
        view::Binding,
    };
    use frame_support::{
        pallet_prelude::*,
        traits::{fungible::MutateHold, tokens::Precision},
    };
    use frame_system::{ensure_authorized, ensure_root, pallet_prelude::*};
    use sp_core::ed25519;
    use sp_runtime::{SaturatedConversion, traits::Zero};

    use crate::weights::WeightInfo;

    /// How many offences of one server are remembered, the latest of them.
    pub const MAX_OFFENCES: u32 = 16;

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

        /// What the calls and hooks cost.
        type WeightInfo: WeightInfo;
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

    /// What a server was left out of an attempt for.
    #[derive(
        Clone,
        Copy,
        Debug,
        PartialEq,
        Eq,
        Encode,
        Decode,
        DecodeWithMemTracking,
        MaxEncodedLen,
        TypeInfo,
    )]
    pub struct OffenceRecord {
        /// Why.
        pub reason: LeftOutReason,
        /// The scheme of the key.
        pub scheme: Scheme,
        /// The epoch of the attempt.
        pub epoch: Epoch,
        /// The number of the attempt.
        pub attempt: u32,
        /// The block in which it was found out.
        pub at: BlockNumber,
    }

    /// What is to be looked at as soon as no attempt is under way.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
    pub enum Review {
        /// Whether the committee ought to be another.
        Committee,
        /// The shares are dealt anew in any case.
        Refresh,
        /// The shares are dealt anew in any case, as soon as a session has begun: too few servers were there.
        Deferred,
    }

    /// The chain's parameters, set at genesis; root may change some.
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

    /// What each server was left out of attempts for, the latest last; forgotten when it is unbound.
    #[pallet::storage]
    pub type Offences<T: Config> = StorageMap<
        _,
        Blake2_128Concat,
        PartyId,
        BoundedVec<OffenceRecord, ConstU32<MAX_OFFENCES>>,
        ValueQuery,
    >;

    /// The keys whose committees are to be looked at.
    #[pallet::storage]
    pub type Reviews<T: Config> = StorageMap<_, Twox64Concat, Scheme, Review>;

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
        /// A server reported on an attempt.
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
        /// A root key or an attempt at it went on; [`KeyNote::TooManyLeftOut`] is an alert to operators.
        Key {
            /// The scheme of the key.
            scheme: Scheme,
            /// What happened.
            note: KeyNote,
        },
        /// The key's committee stays as it is: too few servers are there for another.
        NotEnoughServers {
            /// The scheme of the key.
            scheme: Scheme,
        },
        /// A server is not chosen for committees until it says that it is ready.
        Suspended {
            /// The server.
            server: PartyId,
            /// The first block in which it may say so.
            until: BlockNumber,
        },
        /// A server that was suspended is ready again.
        ServerReady {
            /// The server.
            server: PartyId,
        },
        /// Root changed the chain's parameters.
        ParametersChanged {
            /// What they are now.
            parameters: Parameters,
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
        /// The validator's server is in a committee or in an attempt at one, so that it can be neither changed nor unbound.
        ServerInUse,
        /// The validator has no server.
        NoServer,
        /// The validator's server was suspended, and has held no share since: it can be unbound after 64 times the chain's parameter
        /// `suspensionBlocks`.
        ServerSuspended,
        /// The report does not count; nothing that was authorised is refused so.
        ReportRefused,
        /// The server is not suspended, or not for long enough; nothing that was authorised is refused so.
        NotSuspended,
        /// These parameters are not possible, alone or on this running chain: session, era, bonding and slashing never change, the
        /// protocol version never falls, a scheme with a key stays.
        BadParameters,
        /// No key of this scheme is active, or its shares are being dealt anew already.
        NoActiveKey,
        /// This scheme's key is neither being generated nor being dealt anew.
        NoAttempt,
    }

    #[pallet::hooks]
    impl<T: Config> Hooks<BlockNumberFor<T>> for Pallet<T> {
        fn on_initialize(_: BlockNumberFor<T>) -> Weight {
            Self::advance_keys()
        }

        #[cfg(feature = "try-runtime")]
        fn try_state(_: BlockNumberFor<T>) -> Result<(), sp_runtime::TryRuntimeError> {
            Self::check_invariants().map_err(Into::into)
        }
    }

    #[pallet::call]
    impl<T: Config> Pallet<T> {
        /// Binds a server to the validator that signs this, or publishes a new endpoint or Noise key of the server it has.
        ///
        /// `proof` is the server's Ed25519 signature over `entropy_shared::canonical::binding_bytes`. A deposit is held
        /// for the first binding. Another server can be bound instead only while the old one is in no committee; if that was
        /// suspended, so is the new one.
        #[pallet::call_index(0)]
        #[pallet::weight(T::WeightInfo::bind_server())]
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
            let message = binding_bytes(&Self::genesis(), &id, &info);
            ensure!(
                Self::has_signed(&server, &message, &proof),
                Error::<T>::BadProof
            );

            let (deposit, standing) = match old {
                Some(old) if old_server == Some(server) => (old.deposit, old.binding.standing),
                Some(old) => {
                    Self::forget(&stash, &old.binding);
                    // A suspension is not shaken off: the new server has to end it.
                    (old.deposit, old.binding.standing)
                }
                None => {
                    let deposit = ChainParameters::<T>::get().server_deposit;
                    T::Currency::hold(&HoldReason::Server.into(), &stash, deposit)?;
                    (deposit, Standing::default())
                }
            };
            ServerOf::<T>::insert(&stash, server);
            Servers::<T>::insert(
                server,
                BoundServer {
                    binding: Binding {
                        stash: id,
                        info,
                        standing,
                    },
                    deposit,
                },
            );
            Self::deposit_event(Event::ServerBound { stash, server });
            Ok(())
        }

        /// Takes back the binding of the signer's server and its deposit, unless the server is in a committee or an attempt at one,
        /// or has been suspended since it last held a share and not long ago.
        #[pallet::call_index(1)]
        #[pallet::weight(T::WeightInfo::unbind_server())]
        pub fn unbind_server(origin: OriginFor<T>) -> DispatchResult {
            let stash = ensure_signed(origin)?;
            let server = ServerOf::<T>::get(&stash).ok_or(Error::<T>::NoServer)?;
            let bound = Servers::<T>::get(server).ok_or(Error::<T>::NoServer)?;
            ensure!(!Self::is_in_use(&server), Error::<T>::ServerInUse);
            // Otherwise it would be bound again, and its suspensions be forgotten.
            ensure!(
                Self::now() >= bound.binding.standing.bound_until,
                Error::<T>::ServerSuspended
            );
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

        /// Counts a server's report on an attempt to generate a key or to deal its shares anew. Free: the report carries the server's own signature.
        ///
        /// A general transaction; `signature` is the server's over `entropy_shared::canonical::attempt_report_bytes`,
        /// `valid_until` at most 64 blocks ahead. A report that does not count is refused before it is included.
        #[pallet::call_index(2)]
        #[pallet::weight((T::WeightInfo::report_attempt(), DispatchClass::Operational))]
        #[pallet::authorize(Pallet::<T>::authorize_report)]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_report())]
        pub fn report_attempt(
            origin: OriginFor<T>,
            report: AttemptReport,
            valid_until: BlockNumber,
            signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            // Both have been judged by `authorize`, without which this origin does not exist.
            let _ = (valid_until, signature);
            let transition = Self::count(&report).ok_or(Error::<T>::ReportRefused)?;
            Self::deposit_event(Event::Reported {
                server: report.server,
                scheme: report.scheme,
                attempt: report.attempt,
                ready: report.is_ready(),
            });
            Self::apply(report.scheme, transition);
            Ok(())
        }

        /// Ends the suspension of a server, so that it is chosen for committees again. Free: it carries the server's own signature.
        ///
        /// A general transaction; `signature` is the server's over `entropy_shared::canonical::ready_bytes`, `number` that of
        /// its latest suspension, `valid_until` at most 64 blocks ahead. Refused before it is included if it comes too early.
        #[pallet::call_index(3)]
        #[pallet::weight((T::WeightInfo::ready(), DispatchClass::Operational))]
        #[pallet::authorize(Pallet::<T>::authorize_ready)]
        #[pallet::weight_of_authorize(T::WeightInfo::authorize_ready())]
        pub fn ready(
            origin: OriginFor<T>,
            server: PartyId,
            number: u32,
            valid_until: BlockNumber,
            signature: [u8; 64],
        ) -> DispatchResult {
            ensure_authorized(origin)?;
            // Both have been judged by `authorize`, without which this origin does not exist.
            let _ = (valid_until, signature);
            let mut bound = Servers::<T>::get(server).ok_or(Error::<T>::NotSuspended)?;
            bound.binding.standing = bound
                .binding
                .standing
                .ready(number, Self::now())
                .map_err(|_| Error::<T>::NotSuspended)?;
            Servers::<T>::insert(server, bound);
            Self::deposit_event(Event::ServerReady { server });
            Ok(())
        }

        /// Sets the chain's parameters. Only root.
        ///
        /// Committee size, threshold and protocol version take effect by a reshare, which begins as soon as none is under
        /// way; a scheme that is new gets its key by itself. What consensus and staking read never changes.
        #[pallet::call_index(4)]
        #[pallet::weight(T::WeightInfo::set_parameters())]
        pub fn set_parameters(origin: OriginFor<T>, parameters: Parameters) -> DispatchResult {
            ensure_root(origin)?;
            let old = ChainParameters::<T>::get();
            let in_use: SchemeSet = Scheme::ALL
                .into_iter()
                .filter(|scheme| KeyStates::<T>::get(scheme) != KeyState::Absent)
                .collect();
            old.check_change(&parameters, in_use)
                .map_err(|_| Error::<T>::BadParameters)?;
            let review = if parameters.protocol_version == old.protocol_version {
                Review::Committee
            } else {
                Review::Refresh
            };
            ChainParameters::<T>::put(&parameters);
            Self::review_all(review);
            Self::deposit_event(Event::ParametersChanged { parameters });
            Ok(())
        }

        /// Asks for the shares of an active key to be dealt anew, to the committee that ought to hold them. Only root.
        #[pallet::call_index(5)]
        #[pallet::weight(T::WeightInfo::ask())]
        pub fn refresh(origin: OriginFor<T>, scheme: Scheme) -> DispatchResult {
            ensure_root(origin)?;
            ensure!(
                matches!(KeyStates::<T>::get(scheme), KeyState::Active(_)),
                Error::<T>::NoActiveKey
            );
            Reviews::<T>::insert(scheme, Review::Refresh);
            Ok(())
        }

        /// Gives up the attempts at the present target of a scheme. Only root.
        ///
        /// If a key's shares were being dealt anew, its present holders stay until the next session; a refresh that has been asked
        /// for meanwhile waits until then, too. A key that was being generated is tried for anew, with whoever is there.
        #[pallet::call_index(6)]
        #[pallet::weight(T::WeightInfo::give_up())]
        pub fn give_up(origin: OriginFor<T>, scheme: Scheme) -> DispatchResult {
            ensure_root(origin)?;
            let transition = Self::given_up(scheme).ok_or(Error::<T>::NoAttempt)?;
            Reviews::<T>::mutate_exists(scheme, |asked| {
                *asked = match asked {
                    Some(Review::Refresh | Review::Deferred) => Some(Review::Deferred),
                    Some(Review::Committee) | None => None,
                };
            });
            Self::apply(scheme, transition);
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
            Self::review_all(Review::Committee);
        }

        /// What the server was left out of attempts for, the latest last.
        pub fn offences(server: &PartyId) -> Vec<OffenceRecord> {
            Offences::<T>::get(server).into_inner()
        }

        /// Lets every key's committee be looked at; a refresh that is asked for already stays asked for.
        fn review_all(review: Review) {
            for scheme in Scheme::ALL {
                if KeyStates::<T>::get(scheme).active().is_some() {
                    Reviews::<T>::mutate(scheme, |asked| {
                        *asked = match asked {
                            Some(Review::Refresh | Review::Deferred) => Some(Review::Refresh),
                            Some(Review::Committee) | None => Some(review),
                        };
                    });
                }
            }
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
                .any(|scheme| KeyStates::<T>::get(scheme).involves(server))
        }

        /// Removes all traces of a binding but its deposit.
        fn forget(stash: &T::AccountId, binding: &Binding) {
            ServerOf::<T>::remove(stash);
            Servers::<T>::remove(binding.info.server);
            Offences::<T>::remove(binding.info.server);
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
            KeyStates::<T>::get(scheme).active().cloned()
        }

        fn is_bound(server: &PartyId) -> bool {
            Servers::<T>::contains_key(server)
        }
    }
}
