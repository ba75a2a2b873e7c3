//! The runtime of the Entropy chain: which pallets there are, in which order, and how they are
//! joined.
//!
//! It holds no rule of threshold signing: those are in our pallets and in `entropy_shared`, which
//! this crate only wires together. Everything that a deployment may choose (length of a session,
//! eras, bonding, committee, signing) is in the genesis configuration, never in a feature of this
//! crate, so that one Wasm binary serves every network.

#![cfg_attr(not(feature = "std"), no_std)]
#![recursion_limit = "256"]

extern crate alloc;

#[cfg(feature = "std")]
include!(concat!(env!("OUT_DIR"), "/wasm_binary.rs"));

mod apis;
mod configs;
mod parameters;
mod presets;
mod session_manager;
#[cfg(test)]
mod tests;
pub mod threshold_api;

use alloc::{borrow::Cow, vec::Vec};

use sp_runtime::{
    MultiAddress, MultiSignature, generic, impl_opaque_keys,
    traits::{BlakeTwo256, IdentifyAccount, Verify},
};
use sp_version::RuntimeVersion;

pub use apis::{RUNTIME_API_VERSIONS, RuntimeApi};
pub use configs::ProxyType;
pub use presets::TEMPLATE_PRESET;

/// How a user signs: Ed25519, Sr25519 or ECDSA over secp256k1.
pub type Signature = MultiSignature;
/// An account: 32 bytes, shown as SS58 with prefix 42.
pub type AccountId = <<Signature as Verify>::Signer as IdentifyAccount>::AccountId;
/// How an extrinsic names an account.
pub type Address = MultiAddress<AccountId, ()>;
/// An amount of the native token in its smallest part; see [`UNIT`].
pub type Balance = u128;
/// The number of a block; the genesis is 0.
pub type BlockNumber = u32;
/// How many signed transactions an account has sent.
pub type Nonce = u32;
/// The hash of blocks, of state tries and of everything else on the chain: BLAKE2b-256.
pub type Hash = sp_core::H256;
/// The header of a block.
pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
/// A block as the runtime sees it.
pub type Block = generic::Block<Header, UncheckedExtrinsic>;
/// An extrinsic as it comes over the wire, its signature not yet checked.
pub type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<Address, RuntimeCall, Signature, TransactionExtensions>;

/// What every transaction passes through, in this order.
///
/// `AuthorizeCall` comes first: a call that carries its own authority (a server's report or result)
/// gets its origin there, and those behind it then ask for neither a sender nor a fee.
pub type TransactionExtensions = (
    frame_system::AuthorizeCall<Runtime>,
    frame_system::CheckNonZeroSender<Runtime>,
    frame_system::CheckSpecVersion<Runtime>,
    frame_system::CheckTxVersion<Runtime>,
    frame_system::CheckGenesis<Runtime>,
    frame_system::CheckMortality<Runtime>,
    frame_system::CheckNonce<Runtime>,
    frame_system::CheckWeight<Runtime>,
    pallet_transaction_payment::ChargeTransactionPayment<Runtime>,
    frame_metadata_hash_extension::CheckMetadataHash<Runtime>,
    frame_system::WeightReclaim<Runtime>,
);

/// Executes blocks.
pub type Executive = frame_executive::Executive<
    Runtime,
    Block,
    frame_system::ChainContext<Runtime>,
    Runtime,
    AllPalletsWithSystem,
>;

/// The types of a block for those that needn't know its calls: the node.
pub mod opaque {
    use super::{BlakeTwo256, BlockNumber, generic};

    pub use sp_runtime::OpaqueExtrinsic as UncheckedExtrinsic;

    /// The header of a block.
    pub type Header = generic::Header<BlockNumber, BlakeTwo256>;
    /// A block whose extrinsics are bytes.
    pub type Block = generic::Block<Header, UncheckedExtrinsic>;
}

impl_opaque_keys! {
    /// The keys with which a validator takes part in consensus for a session.
    pub struct SessionKeys {
        /// Signs blocks (Sr25519).
        pub babe: Babe,
        /// Votes on finality (Ed25519).
        pub grandpa: Grandpa,
        /// Signs the addresses under which other nodes find the validator (Sr25519).
        pub authority_discovery: AuthorityDiscovery,
    }
}

/// Which version of the runtime this is; peers and wallets compare it.
#[sp_version::runtime_version]
pub const VERSION: RuntimeVersion = RuntimeVersion {
    spec_name: Cow::Borrowed("entropy"),
    impl_name: Cow::Borrowed("entropy"),
    authoring_version: 1,
    spec_version: 1,
    impl_version: 1,
    apis: apis::RUNTIME_API_VERSIONS,
    transaction_version: 1,
    system_version: 1,
};

/// One token.
pub const UNIT: Balance = 1_000_000_000_000;
/// A thousandth of a token.
pub const MILLIUNIT: Balance = UNIT / 1_000;
/// What an account must hold to exist.
pub const EXISTENTIAL_DEPOSIT: Balance = MILLIUNIT;
/// The most validators that can be active at once.
pub const MAX_VALIDATORS: u32 = 100;
/// The prefix of addresses in SS58: the generic one.
pub const SS58_PREFIX: u16 = 42;

/// How BABE gives out slots: a block in a quarter of the slots by lottery, in the others by turn.
pub const BABE_EPOCH_CONFIGURATION: sp_consensus_babe::BabeEpochConfiguration =
    sp_consensus_babe::BabeEpochConfiguration {
        c: (1, 4),
        allowed_slots: sp_consensus_babe::AllowedSlots::PrimaryAndSecondaryVRFSlots,
    };

/// The version of the runtime that this library was compiled from.
#[cfg(feature = "std")]
pub fn wasm_binary() -> Result<&'static [u8], MissingWasm> {
    WASM_BINARY.ok_or(MissingWasm)
}

/// The runtime was compiled with `SKIP_WASM_BUILD`: there is nothing that a chain could run.
#[cfg(feature = "std")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MissingWasm;

#[cfg(feature = "std")]
impl core::fmt::Display for MissingWasm {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(
            "this program was built without the Wasm runtime (SKIP_WASM_BUILD was set); \
             build it again without that variable",
        )
    }
}

#[cfg(feature = "std")]
impl std::error::Error for MissingWasm {}

// The order of the indices is the order of genesis and of the hooks. Ours that holds the parameters
// comes before whatever reads them, Authorship before Session so that an author is noted in the
// right session, Babe before Session because it says when a session ends.
#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask,
        RuntimeViewFunction
    )]
    pub struct Runtime;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Timestamp = pallet_timestamp;

    #[runtime::pallet_index(10)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(11)]
    pub type TransactionPayment = pallet_transaction_payment;

    #[runtime::pallet_index(12)]
    pub type StakingExtension = pallet_entropy_staking;

    #[runtime::pallet_index(20)]
    pub type Babe = pallet_babe;
    #[runtime::pallet_index(21)]
    pub type Authorship = pallet_authorship;
    #[runtime::pallet_index(22)]
    pub type Staking = pallet_staking;
    #[runtime::pallet_index(23)]
    pub type Session = pallet_session;
    #[runtime::pallet_index(24)]
    pub type Historical = pallet_session::historical;
    #[runtime::pallet_index(25)]
    pub type Grandpa = pallet_grandpa;
    #[runtime::pallet_index(26)]
    pub type Offences = pallet_offences;
    #[runtime::pallet_index(27)]
    pub type AuthorityDiscovery = pallet_authority_discovery;

    #[runtime::pallet_index(30)]
    pub type Sudo = pallet_sudo;
    #[runtime::pallet_index(31)]
    pub type Utility = pallet_utility;
    #[runtime::pallet_index(32)]
    pub type Multisig = pallet_multisig;
    #[runtime::pallet_index(33)]
    pub type Proxy = pallet_proxy;

    #[runtime::pallet_index(40)]
    pub type Programs = pallet_entropy_programs;
    #[runtime::pallet_index(41)]
    pub type Registry = pallet_entropy_registry;
    #[runtime::pallet_index(42)]
    pub type Signing = pallet_entropy_signing;
}
