//! What every chain has: accounts, blocks, time, the superuser, batches.

use entropy_shared::parameters::BLOCK_MILLIS;
use frame_support::{
    derive_impl,
    dispatch::DispatchClass,
    parameter_types,
    traits::ConstU64,
    weights::{
        Weight,
        constants::{ParityDbWeight, WEIGHT_REF_TIME_PER_SECOND},
    },
};
use frame_system::limits::{BlockLength, BlockWeights};
use sp_runtime::Perbill;
use sp_version::RuntimeVersion;

use crate::{
    AccountId, Babe, Balance, Block, Nonce, OriginCaller, PalletInfo, Runtime, RuntimeCall,
    RuntimeEvent, RuntimeOrigin, RuntimeTask, SS58_PREFIX, UncheckedExtrinsic, VERSION,
};

/// How much of a block may be filled with ordinary transactions; the rest is for operational ones,
/// which the servers' reports are.
const NORMAL_RATIO: Perbill = Perbill::from_percent(75);

const MAX_BLOCK_BYTES: u32 = 5 * 1024 * 1024;

parameter_types! {
    pub const Version: RuntimeVersion = VERSION;
    pub const Ss58Prefix: u16 = SS58_PREFIX;
    // A third of a slot, because an author has two thirds of it for everything. There is no relay
    // chain to prove anything to, so that the size of proofs isn't limited.
    pub Weights: BlockWeights = BlockWeights::with_sensible_defaults(
        Weight::from_parts(
            WEIGHT_REF_TIME_PER_SECOND / 1_000 * BLOCK_MILLIS / 3,
            u64::MAX,
        ),
        NORMAL_RATIO,
    );
    pub Length: BlockLength = BlockLength::builder()
        .max_length(MAX_BLOCK_BYTES)
        .modify_max_length_for_class(DispatchClass::Normal, |bytes| *bytes = NORMAL_RATIO * *bytes)
        .build();
    pub const BlockHashCount: u32 = 2_400;
}

#[derive_impl(frame_system::config_preludes::SolochainDefaultConfig)]
impl frame_system::Config for Runtime {
    type Block = Block;
    type Nonce = Nonce;
    type AccountId = AccountId;
    type AccountData = pallet_balances::AccountData<Balance>;
    type Version = Version;
    type SS58Prefix = Ss58Prefix;
    type BlockWeights = Weights;
    type BlockLength = Length;
    type BlockHashCount = BlockHashCount;
    type DbWeight = ParityDbWeight;
    type SystemWeightInfo = frame_system::weights::SubstrateWeight<Runtime>;
    type ExtensionsWeightInfo = frame_system::SubstrateExtensionsWeight<Runtime>;
}

impl<C> frame_system::offchain::CreateTransactionBase<C> for Runtime
where
    RuntimeCall: From<C>,
{
    type Extrinsic = UncheckedExtrinsic;
    type RuntimeCall = RuntimeCall;
}

impl<C> frame_system::offchain::CreateBare<C> for Runtime
where
    RuntimeCall: From<C>,
{
    fn create_bare(call: RuntimeCall) -> UncheckedExtrinsic {
        UncheckedExtrinsic::new_bare(call)
    }
}

impl pallet_timestamp::Config for Runtime {
    type Moment = u64;
    type OnTimestampSet = Babe;
    type MinimumPeriod = ConstU64<{ BLOCK_MILLIS / 2 }>;
    type WeightInfo = pallet_timestamp::weights::SubstrateWeight<Runtime>;
}

impl pallet_sudo::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type WeightInfo = pallet_sudo::weights::SubstrateWeight<Runtime>;
}

impl pallet_utility::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type PalletsOrigin = OriginCaller;
    type WeightInfo = pallet_utility::weights::SubstrateWeight<Runtime>;
}
