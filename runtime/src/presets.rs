//! Genesis configurations: `development` and `local_testnet` for one's own machine, `template` for a
//! network of one's own.
//!
//! The keys of the first two are the well-known ones of Alice and her friends; everybody knows the
//! secrets. The template has none: where an account or a key belongs there is a placeholder, and no
//! genesis is built as long as one is left.

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};

use entropy_shared::Parameters;
use frame_support::build_struct_json_patch;
use pallet_staking::StakerStatus;
use serde_json::{Value, json};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET, PresetId};
use sp_keyring::{Ed25519Keyring, Sr25519Keyring};
use sp_runtime::Perbill;

use crate::{
    AccountId, BABE_EPOCH_CONFIGURATION, BabeConfig, Balance, BalancesConfig, RuntimeGenesisConfig,
    SessionConfig, SessionKeys, StakingConfig, StakingExtensionConfig, SudoConfig, UNIT,
};

const ENDOWMENT: Balance = 1_000_000 * UNIT;
const STAKE: Balance = 100_000 * UNIT;
/// Room for validators that join later: an election never chooses more than this.
const VALIDATOR_COUNT: u32 = 15;
/// The part of a slash that goes to whoever reported the offence.
const SLASH_REWARD: Perbill = Perbill::from_percent(10);

/// The name of the preset with placeholders, of which operators make a network of their own.
pub const TEMPLATE_PRESET: &str = "template";
/// How a placeholder of the template begins; no address, key or name does.
const PLACEHOLDER: &str = "FILL IN: ";
/// How many validators the template has room for; there may be more, and fewer down to `committeeMin`.
const TEMPLATE_VALIDATORS: u32 = 4;
/// The least that a validator and a nominator of the template must bond.
const TEMPLATE_BONDS: (Balance, Balance) = (10_000 * UNIT, 100 * UNIT);
/// The most placeholders that an error names.
const NAMED_PLACEHOLDERS: usize = 3;

/// The names of the presets.
pub(crate) fn names() -> Vec<PresetId> {
    vec![
        PresetId::from(DEV_RUNTIME_PRESET),
        PresetId::from(LOCAL_TESTNET_RUNTIME_PRESET),
        PresetId::from(TEMPLATE_PRESET),
    ]
}

/// The preset of that name as JSON, to be merged into the default configuration; `None` if there is
/// no such preset.
pub(crate) fn get(id: &PresetId) -> Option<Vec<u8>> {
    use Sr25519Keyring::{Alice, Bob, Charlie, Dave};
    let patch = match id.as_str() {
        DEV_RUNTIME_PRESET => genesis(&[Alice]),
        LOCAL_TESTNET_RUNTIME_PRESET => genesis(&[Alice, Bob, Charlie, Dave]),
        TEMPLATE_PRESET => template(),
        _ => return None,
    };
    Some(patch.to_string().into_bytes())
}

/// Refuses a genesis configuration in which a placeholder of the template is left, and says where.
pub(crate) fn check_filled_in(json: &[u8]) -> Result<(), String> {
    // What is no JSON is refused with a better word where it is read for good.
    let Ok(config) = serde_json::from_slice::<Value>(json) else {
        return Ok(());
    };
    let mut left = Vec::new();
    find_placeholders(&config, String::new(), &mut left);
    if left.is_empty() {
        return Ok(());
    }
    let named = &left[..left.len().min(NAMED_PLACEHOLDERS)];
    let more = match left.len() - named.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Err(format!(
        "the chain specification is a template whose placeholders are not all filled in: {}{more}",
        named.join(", ")
    ))
}

/// Adds the path of every placeholder in `value`, which is at `path`, to `found`.
fn find_placeholders(value: &Value, path: String, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.starts_with(PLACEHOLDER) => found.push(path),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                find_placeholders(item, format!("{path}[{index}]"), found);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                find_placeholders(field, format!("{path}{dot}{name}"), found);
            }
        }
        _ => {}
    }
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
        authority_discovery: validator.public().into(),
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
            slash_reward_fraction: SLASH_REWARD,
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

/// Production's parameters, all of them written out, and a placeholder wherever somebody's key belongs.
fn template() -> Value {
    let fill_in = |what: &str| format!("{PLACEHOLDER}{what}");
    let stash = |i: u32| fill_in(&format!("the address of the stash of validator {i}"));
    let root = fill_in("the address that may change parameters and the runtime, or null");
    let (validator_bond, nominator_bond) = TEMPLATE_BONDS;
    let validators = 1..=TEMPLATE_VALIDATORS;
    let mut balances: Vec<_> = validators.clone().map(|i| (stash(i), ENDOWMENT)).collect();
    balances.push((root.clone(), ENDOWMENT));
    let stakers = validators.clone().map(|i| {
        // The second account is the controller of former times, which is the stash itself.
        (
            stash(i),
            stash(i),
            STAKE,
            StakerStatus::<AccountId>::Validator,
        )
    });
    let keys = validators.map(|i| {
        let key = |kind, name| fill_in(&format!("the {kind} key `{name}` of validator {i}"));
        let keys = json!({
            "babe": key("Sr25519", "babe"),
            "grandpa": key("Ed25519", "gran"),
            "authority_discovery": key("Sr25519", "audi"),
        });
        (stash(i), stash(i), keys)
    });
    json!({
        "balances": { "balances": balances },
        "stakingExtension": { "parameters": Parameters::default() },
        "babe": { "epochConfig": BABE_EPOCH_CONFIGURATION },
        "staking": {
            "validatorCount": VALIDATOR_COUNT,
            "minimumValidatorCount": TEMPLATE_VALIDATORS,
            "minValidatorBond": validator_bond,
            "minNominatorBond": nominator_bond,
            "slashRewardFraction": SLASH_REWARD,
            "stakers": stakers.collect::<Vec<_>>(),
        },
        "session": { "keys": keys.collect::<Vec<_>>() },
        "sudo": { "key": root },
    })
}
