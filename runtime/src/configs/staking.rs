//! Nominated proof of stake with an election on the chain.
//!
//! The number of voters and of candidates that an election looks at is bounded, so that the block
//! that elects stays within its weight.

use frame_election_provider_support::{
    SequentialPhragmen,
    bounds::{ElectionBounds, ElectionBoundsBuilder},
    onchain::OnChainExecution,
};
use frame_support::{
    parameter_types,
    traits::{ConstBool, ConstU32, Nothing},
};
use frame_system::EnsureRoot;
use sp_runtime::Perbill;
use sp_staking::{EraPayout, currency_to_vote::U128CurrencyToVote};

use crate::{
    AccountId, Balance, Balances, MAX_VALIDATORS, Runtime, RuntimeEvent, RuntimeHoldReason,
    Session, Staking, Timestamp,
    parameters::{BondingEras, SessionsPerEra, SlashDeferEras},
};

/// The most voters (validators and nominators) that an election looks at.
pub(crate) const MAX_VOTERS: u32 = 1_000;
/// The most candidates that an election looks at.
const MAX_CANDIDATES: u32 = 200;
/// The most candidates that one nominator can name.
const MAX_NOMINATIONS: u32 = 16;
/// What validators and their nominators get in a year, as a part of all tokens there are.
const YEARLY_INFLATION: Perbill = Perbill::from_percent(8);
const YEAR_MILLIS: u64 = 1_000 * 3_600 * 24 * 36_525 / 100;

parameter_types! {
    pub Bounds: ElectionBounds = ElectionBoundsBuilder::default()
        .voters_count(MAX_VOTERS.into())
        .targets_count(MAX_CANDIDATES.into())
        .build();
}

/// The election: Phragmén's sequential method.
pub struct Election;

impl frame_election_provider_support::onchain::Config for Election {
    type System = Runtime;
    type Solver = SequentialPhragmen<AccountId, Perbill>;
    type DataProvider = Staking;
    type WeightInfo = frame_election_provider_support::weights::SubstrateWeight<Runtime>;
    type MaxBackersPerWinner = ConstU32<MAX_VOTERS>;
    type MaxWinnersPerPage = ConstU32<MAX_VALIDATORS>;
    type Sort = ConstBool<true>;
    type Bounds = Bounds;
}

/// Pays a fixed yearly inflation for the time that an era took, all of it to those who stake.
pub struct Inflation;

impl EraPayout<Balance> for Inflation {
    fn era_payout(_staked: Balance, issued: Balance, era_millis: u64) -> (Balance, Balance) {
        // An era never counts for more than a year, however long the chain stood still.
        let part_of_year = Perbill::from_rational(era_millis.min(YEAR_MILLIS), YEAR_MILLIS);
        (part_of_year * (YEARLY_INFLATION * issued), 0)
    }
}

/// How large a benchmark of the staking pallet would be.
pub struct Benchmarking;

impl pallet_staking::BenchmarkingConfig for Benchmarking {
    type MaxValidators = ConstU32<MAX_VALIDATORS>;
    type MaxNominators = ConstU32<MAX_VOTERS>;
}

impl pallet_staking::Config for Runtime {
    type OldCurrency = Balances;
    type Currency = Balances;
    type RuntimeHoldReason = RuntimeHoldReason;
    type CurrencyBalance = Balance;
    type UnixTime = Timestamp;
    type CurrencyToVote = U128CurrencyToVote;
    type ElectionProvider = OnChainExecution<Election>;
    type GenesisElectionProvider = OnChainExecution<Election>;
    type NominationsQuota = pallet_staking::FixedNominationsQuota<MAX_NOMINATIONS>;
    type HistoryDepth = ConstU32<84>;
    type RewardRemainder = ();
    type RuntimeEvent = RuntimeEvent;
    // What is slashed is burnt, what is paid is minted.
    type Slash = ();
    type Reward = ();
    type SessionsPerEra = SessionsPerEra;
    type BondingDuration = BondingEras;
    type SlashDeferDuration = SlashDeferEras;
    type AdminOrigin = EnsureRoot<AccountId>;
    type SessionInterface = Self;
    type EraPayout = Inflation;
    type NextNewSession = Session;
    type MaxExposurePageSize = ConstU32<64>;
    type MaxValidatorSet = ConstU32<MAX_VALIDATORS>;
    type VoterList = pallet_staking::UseNominatorsAndValidatorsMap<Self>;
    type TargetList = pallet_staking::UseValidatorsMap<Self>;
    type MaxUnlockingChunks = ConstU32<32>;
    type MaxControllersInDeprecationBatch = ConstU32<100>;
    type EventListeners = ();
    type Filter = Nothing;
    type BenchmarkingConfig = Benchmarking;
    type WeightInfo = pallet_staking::weights::SubstrateWeight<Runtime>;
}
