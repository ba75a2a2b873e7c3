//! Accounts that act together (multisig) or for one another (proxies).
//!
//! What a proxy may do is decided here by its kind, and nowhere else. pallet-proxy applies the filter to the call and to
//! the calls of a batch in it; what Proxy and Multisig dispatch has a fresh origin, so these are closed but for the calls
//! that manage proxies.

use frame_support::{
    parameter_types,
    traits::{ConstU32, InstanceFilter},
};
use sp_runtime::traits::BlakeTwo256;

use crate::{Balance, Balances, MILLIUNIT, Runtime, RuntimeCall, RuntimeEvent, System, UNIT};

/// What is held for `items` entries of a map with `bytes` in all.
const fn deposit(items: Balance, bytes: Balance) -> Balance {
    items * UNIT / 10 + bytes * MILLIUNIT
}

parameter_types! {
    // A hash and an account as key; block, index, deposit, depositor and the lengths as value.
    pub const MultisigDeposit: Balance = deposit(1, 96);
    pub const SignatoryDeposit: Balance = deposit(0, 32);
    // An account as key, the deposit and the length as value.
    pub const ProxiesDeposit: Balance = deposit(1, 56);
    // An account, a kind and a delay.
    pub const ProxyDeposit: Balance = deposit(0, 37);
    pub const AnnouncementsDeposit: Balance = deposit(1, 56);
    // An account, a hash and a block.
    pub const AnnouncementDeposit: Balance = deposit(0, 68);
}

impl pallet_multisig::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type DepositBase = MultisigDeposit;
    type DepositFactor = SignatoryDeposit;
    type MaxSignatories = ConstU32<100>;
    type WeightInfo = pallet_multisig::weights::SubstrateWeight<Runtime>;
    type BlockNumberProvider = System;
}

impl pallet_proxy::Config for Runtime {
    type RuntimeEvent = RuntimeEvent;
    type RuntimeCall = RuntimeCall;
    type Currency = Balances;
    type ProxyType = ProxyType;
    type ProxyDepositBase = ProxiesDeposit;
    type ProxyDepositFactor = ProxyDeposit;
    type MaxProxies = ConstU32<32>;
    type WeightInfo = pallet_proxy::weights::SubstrateWeight<Runtime>;
    type MaxPending = ConstU32<32>;
    type CallHasher = BlakeTwo256;
    type AnnouncementDepositBase = AnnouncementsDeposit;
    type AnnouncementDepositFactor = AnnouncementDeposit;
    type BlockNumberProvider = System;
}

/// What an account lets another do in its name. A new kind comes last: the number is part of the state.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    codec::Encode,
    codec::Decode,
    codec::DecodeWithMemTracking,
    codec::MaxEncodedLen,
    scale_info::TypeInfo,
)]
pub enum ProxyType {
    /// Everything.
    #[default]
    Any,
    /// What moves nothing of value: neither tokens, nor keys, nor signatures, with which whoever
    /// gets them may move tokens elsewhere. Staking, programs, and proxies of no greater kind.
    NonTransfer,
    /// Asking for signatures and registering keys, but neither owning nor changing an existing key:
    /// for a program that signs every day, while the owner's account stays in a safe.
    Signing,
    /// What a validator or nominator does with what is bonded, but not where rewards go; session keys, and the server bound to
    /// the stash.
    Staking,
}

impl InstanceFilter<RuntimeCall> for ProxyType {
    fn filter(&self, call: &RuntimeCall) -> bool {
        // Allowed is only what is listed: a pallet that comes later is closed until somebody thinks about it.
        let staking = || match call {
            // They say where rewards go.
            RuntimeCall::Staking(
                pallet_staking::Call::bond { .. }
                | pallet_staking::Call::set_payee { .. }
                | pallet_staking::Call::update_payee { .. },
            ) => false,
            RuntimeCall::Staking(..)
            | RuntimeCall::Session(..)
            | RuntimeCall::StakingExtension(..) => true,
            _ => false,
        };
        // The calls inside of a batch are filtered one by one.
        let batch = || matches!(call, RuntimeCall::Utility(..));
        match self {
            Self::Any => true,
            Self::NonTransfer => {
                staking()
                    || batch()
                    || matches!(
                        call,
                        RuntimeCall::System(..)
                            | RuntimeCall::Programs(..)
                            | RuntimeCall::Proxy(
                                pallet_proxy::Call::add_proxy { .. }
                                    | pallet_proxy::Call::remove_proxy { .. }
                                    | pallet_proxy::Call::reject_announcement { .. }
                                    | pallet_proxy::Call::remove_announcement { .. }
                            )
                    )
            }
            Self::Signing => {
                batch()
                    || matches!(
                        call,
                        RuntimeCall::Signing(..)
                            | RuntimeCall::Registry(pallet_entropy_registry::Call::register { .. })
                    )
            }
            Self::Staking => staking() || batch(),
        }
    }

    fn is_superset(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (Self::NonTransfer, Self::Staking) => true,
            (this, that) => this == that,
        }
    }
}
