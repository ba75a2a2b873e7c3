//! Genesis configurations for networks on one's own machine: `development` and `local_testnet`.
//!
//! Their keys are the well-known ones of Alice and her friends; everybody knows the secrets. A real
//! network brings a chain specification of its own.

use alloc::{string::ToString, vec, vec::Vec};

use entropy_shared::Parameters;
use frame_support::build_struct_json_patch;
use pallet_staking::StakerStatus;
use serde_json::Value;
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};

use crate::{
    AccountId, BABE_EPOCH_CONFIGURATION, BabeConfig, Balance, BalancesConfig, RuntimeGenesisConfig,
    SessionConfig, SessionKeys, StakingConfig, StakingExtensionConfig, SudoConfig, UNIT,
};

const ENDOWMENT: Balance = 1_000_000 * UNIT;
const STAKE: Balance = 100_000 * UNIT;
/// Room for validators that join later: an election never chooses more than this.
const VALIDATOR_COUNT: u32 = 15;

/// The names of the presets.
pub(crate) fn names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
    ]
}

/// The preset of that name as JSON, to be merged into the default configuration; `None` if there is
/// no such preset.
pub(crate) fn get(id: &PresetId) -> Option<Vec<u8>> {
    use Sr25519Keyring::{Alice, Bob, Charlie, Dave};
    let patch = match id.as_str() {
        DEV_RUNTIME_PRESET => genesis(&[Alice]),
        LOCAL_TESTNET_RUNTIME_PRESET => genesis(&[Alice, Bob, Charlie, Dave]),
        _ => return None,
    };
    Some(patch.to_string().into_bytes())
}

/// Sessions of a minute and eras of three, so that what takes days in production can be watched.
fn parameters() -> Parameters {
    Parameters {
        session_blocks: 20,
        sessions_per_era: 3,
        bonding_eras: 4,
        slash_defer_eras: 2,
        ..Parameters::default()
    }
}

fn session_keys(validator: Sr25519Keyring) -> SessionKeys {
    let name: &str = validator.into();
    // The keyrings of the two kinds of key name the same people.
    let grandpa = Ed25519Keyring::iter()
        .find(|key| <&str>::from(*key) == name)
        .expect("every name of the one keyring is in the other");
    SessionKeys {
        babe: validator.public().into(),
        grandpa: grandpa.public().into(),
    }
}

fn genesis(validators: &[Sr25519Keyring]) -> Value {
    let account = |key: &Sr25519Keyring| -> AccountId { key.to_account_id() };
    build_struct_json_patch!(RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: Sr25519Keyring::well_known()
                .map(|key| (key.to_account_id(), ENDOWMENT))
                .collect(),
        },
        staking_extension: StakingExtensionConfig {
            parameters: parameters()
        },
        babe: BabeConfig {
            epoch_config: BABE_EPOCH_CONFIGURATION
        },
        staking: StakingConfig {
            validator_count: VALIDATOR_COUNT,
            minimum_validator_count: 1,
            slash_reward_fraction: sp_runtime::Perbill::from_percent(10),
            stakers: validators
                .iter()
                .map(|key| (account(key), account(key), STAKE, StakerStatus::Validator))
                .collect(),
        },
        session: SessionConfig {
            keys: validators
                .iter()
                .map(|key| (account(key), account(key), session_keys(*key)))
                .collect(),
        },
        sudo: SudoConfig {
            key: Some(Sr25519Keyring::Alice.to_account_id())
        },
    })
}
