//! A runtime of this pallet alone, on a chain without servers.

use entropy_shared::{
    Genesis, PartyId, Scheme, lifecycle::key::ActiveKey, parameters::Parameters, traits::Network,
};
use frame_support::{
    derive_impl,
    traits::{ConstU32, ConstU128},
};
use sp_core::crypto::AccountId32;
use sp_runtime::{BuildStorage, traits::IdentityLookup};

use crate as programs;

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
        RuntimeTask
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type Programs = programs;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlockU32<Test>;
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ConstU128<1>;
    type AccountStore = System;
}

pub struct Chain;

impl Network for Chain {
    fn genesis() -> Genesis {
        Genesis([69; 32])
    }

    fn parameters() -> Parameters {
        Parameters {
            program_byte_deposit: BYTE_DEPOSIT,
            ..Parameters::default()
        }
    }

    fn active_key(_: Scheme) -> Option<ActiveKey> {
        None
    }

    fn is_bound(_: &PartyId) -> bool {
        false
    }
}

impl programs::Config for Test {
    type Currency = Balances;
    type WeightInfo = crate::weights::HandMade<Test>;
    type Network = Chain;
    type MaxCodeBytes = ConstU32<MAX_CODE_BYTES>;
    type MaxSchemaBytes = ConstU32<MAX_SCHEMA_BYTES>;
    type MaxMetadataBytes = ConstU32<MAX_METADATA_BYTES>;
}

pub(crate) const BYTE_DEPOSIT: u128 = 10;
pub(crate) const ENDOWMENT: u128 = 10_000;
pub(crate) const MAX_CODE_BYTES: u32 = 512;
pub(crate) const MAX_SCHEMA_BYTES: u32 = 64;
pub(crate) const MAX_METADATA_BYTES: u32 = 32;

/// The state after genesis, in block 1; accounts 1 and 2 have funds.
pub(crate) fn new_ext() -> sp_io::TestExternalities {
    let balances = [1, 2].map(|number| (account(number), ENDOWMENT)).to_vec();
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances,
            ..Default::default()
        },
        ..Default::default()
    };
    let mut ext = sp_io::TestExternalities::from(genesis.build_storage().unwrap());
    ext.execute_with(|| System::set_block_number(1));
    ext
}

pub(crate) fn account(number: u8) -> AccountId32 {
    AccountId32::new([number; 32])
}
