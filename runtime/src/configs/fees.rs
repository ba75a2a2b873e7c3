//! Balances and what a transaction costs. Fees are burnt: validators are paid by inflation.

use frame_support::{
    parameter_types,
    traits::{ConstU8, ConstU32, ConstU128, VariantCountOf},
    weights::{ConstantMultiplier, IdentityFee},
};
use pallet_transaction_payment::{FungibleAdapter, Multiplier, TargetedFeeAdjustment};
use sp_arithmetic::{FixedPointNumber, Perquintill, traits::Bounded};

use crate::{
    Balance, Balances, EXISTENTIAL_DEPOSIT, Runtime, RuntimeEvent, RuntimeFreezeReason,
    RuntimeHoldReason, System, UNIT,
};

parameter_types! {
    pub const TargetFullness: Perquintill = Perquintill::from_percent(25);
    pub AdjustmentSpeed: Multiplier = Multiplier::saturating_from_rational(75, 1_000_000);
    pub LowestMultiplier: Multiplier = Multiplier::saturating_from_rational(1, 10);
    pub HighestMultiplier: Multiplier = Bounded::max_value();
}

impl pallet_balances::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeHoldReason = RuntimeHoldReason;
    type RuntimeFreezeReason = RuntimeFreezeReason;
    type WeightInfo = pallet_balances::weights::SubstrateWeight<Runtime>;
    type Balance = Balance;
    type DustRemoval = ();
    type ExistentialDeposit = ConstU128<EXISTENTIAL_DEPOSIT>;
    type AccountStore = System;
    type ReserveIdentifier = [u8; 8];
    type FreezeIdentifier = RuntimeFreezeReason;
    type MaxLocks = ConstU32<50>;
    type MaxReserves = ConstU32<50>;
    type MaxFreezes = VariantCountOf<RuntimeFreezeReason>;
    type DoneSlashHandler = ();
}

impl pallet_transaction_payment::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type OnChargeTransaction = FungibleAdapter<Balances, ()>;
    // A picosecond of the reference machine costs the smallest part of a token, a byte a millionth
    // of a token.
    type WeightToFee = IdentityFee<Balance>;
    type LengthToFee = ConstantMultiplier<Balance, ConstU128<{ UNIT / 1_000_000 }>>;
    type FeeMultiplierUpdate = TargetedFeeAdjustment<
        Runtime,
        TargetFullness,
        AdjustmentSpeed,
        LowestMultiplier,
        HighestMultiplier,
    >;
    type OperationalFeeMultiplier = ConstU8<5>;
    type WeightInfo = pallet_transaction_payment::weights::SubstrateWeight<Runtime>;
}
