//! Our pallets, and how each gets from another what it needs.

use entropy_shared::traits::Validators;
use frame_support::traits::ConstU32;

use crate::{
    AccountId, Balances, MAX_VALIDATORS, Programs, Registry, Runtime, Signing, StakingExtension,
};

/// The most bytes that a program may have.
const MAX_PROGRAM_BYTES: u32 = 256 * 1024;
/// The most bytes that the schema of a program's configuration may have.
const MAX_SCHEMA_BYTES: u32 = 16 * 1024;
/// The most bytes that an author may say of a program.
const MAX_METADATA_BYTES: u32 = 4 * 1024;
/// The most requests that can be open at once: what one view lists, so that a request that is taken
/// is also seen by the servers, and a flood is refused where it comes in.
const MAX_OPEN_REQUESTS: u32 = entropy_shared::view::MAX_VIEW_REQUESTS;

/// The validators of pallet-staking.
pub struct StakedValidators;

impl Validators for StakedValidators {
    fn is_validator(stash: &entropy_shared::AccountId) -> bool {
        pallet_staking::Validators::<Runtime>::contains_key(AccountId::new(stash.0))
    }
}

impl pallet_entropy_staking::Config for Runtime {
    type WeightInfo = pallet_entropy_staking::weights::HandMade<Runtime>;
    type Currency = Balances;
    type Validators = StakedValidators;
    type MaxActiveValidators = ConstU32<MAX_VALIDATORS>;
}

impl pallet_entropy_programs::Config for Runtime {
    type WeightInfo = pallet_entropy_programs::weights::HandMade<Runtime>;
    type Currency = Balances;
    type Network = StakingExtension;
    type MaxCodeBytes = ConstU32<MAX_PROGRAM_BYTES>;
    type MaxSchemaBytes = ConstU32<MAX_SCHEMA_BYTES>;
    type MaxMetadataBytes = ConstU32<MAX_METADATA_BYTES>;
}

impl pallet_entropy_registry::Config for Runtime {
    type WeightInfo = pallet_entropy_registry::weights::HandMade<Runtime>;
    type Currency = Balances;
    type Network = StakingExtension;
    type Programs = Programs;
    type Requests = Signing;
}

impl pallet_entropy_signing::Config for Runtime {
    type WeightInfo = pallet_entropy_signing::weights::HandMade<Runtime>;
    type Currency = Balances;
    type Network = StakingExtension;
    type Keys = Registry;
    type MaxOpenRequests = ConstU32<MAX_OPEN_REQUESTS>;
}
