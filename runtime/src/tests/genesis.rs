//! What a chain specification gets from the runtime, and what the runtime makes of one.

use entropy_shared::Parameters;
use frame_support::traits::Get;
use serde_json::json;
use sp_consensus_babe::runtime_decl_for_babe_api::BabeApi;
use sp_genesis_builder::{
    DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET,
    runtime_decl_for_genesis_builder::GenesisBuilder,
};
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave};

use super::chain::{genesis_json, local};
use crate::{
    AccountId, Grandpa, Runtime, Session, StakingExtension, TEMPLATE_PRESET,
    parameters::{BondedSessions, BondingEras, ReportLongevity, SessionsPerEra, SlashDeferEras},
};

fn accounts(keys: &[Sr25519Keyring]) -> Vec<AccountId> {
    let mut accounts: Vec<_> = keys.iter().map(|key| key.to_account_id()).collect();
    accounts.sort();
    accounts
}

fn state_of_preset(preset: &str) -> TestExternalities {
    let json = genesis_json(preset, &json!({}));
    let mut state = TestExternalities::default();
    state.execute_with(|| {
        Runtime::build_state(json.to_string().into_bytes()).expect("the preset is valid");
    });
    state
}

#[test]
fn presets_elect_their_validators() {
    assert_eq!(
        Runtime::preset_names(),
        [
            DEV_RUNTIME_PRESET,
            LOCAL_TESTNET_RUNTIME_PRESET,
            TEMPLATE_PRESET
        ]
    );
    for (preset, validators) in [
        (DEV_RUNTIME_PRESET, &[Alice][..]),
        (
            LOCAL_TESTNET_RUNTIME_PRESET,
            &[Alice, Bob, Charlie, Dave][..],
        ),
    ] {
        state_of_preset(preset).execute_with(|| {
            let mut active = Session::validators();
            active.sort();
            assert_eq!(active, accounts(validators), "{preset}");
            assert_eq!(Runtime::configuration().authorities.len(), validators.len());
            assert_eq!(Grandpa::grandpa_authorities().len(), validators.len());
            assert_eq!(
                pallet_sudo::Key::<Runtime>::get(),
                Some(Alice.to_account_id())
            );
            assert_eq!(StakingExtension::parameters().check(), Ok(()));
        });
    }
}

#[test]
fn an_unknown_preset_is_none() {
    assert_eq!(Runtime::get_preset(&Some("production".into())), None);
}

/// Fails for the reason that it says, in an error: a panic would leave nobody the wiser.
#[test]
fn the_template_makes_no_genesis_and_says_what_is_missing() {
    let template = genesis_json(TEMPLATE_PRESET, &json!({}));
    let build = |json: serde_json::Value| {
        TestExternalities::default()
            .execute_with(|| Runtime::build_state(json.to_string().into_bytes()))
    };
    let error = build(template.clone()).expect_err("has placeholders");
    assert!(
        error.contains("balances.balances[0][0]") && error.contains(" more"),
        "{error}"
    );

    // One that is left is enough.
    let mut nearly = genesis_json(LOCAL_TESTNET_RUNTIME_PRESET, &json!({}));
    nearly["sudo"]["key"] = template["sudo"]["key"].clone();
    let error = build(nearly).expect_err("has a placeholder");
    assert!(error.ends_with(": sudo.key"), "{error}");
}

#[test]
fn the_template_knows_nobody_and_has_the_parameters_of_production() {
    let template = genesis_json(TEMPLATE_PRESET, &json!({}));
    let text = template.to_string();
    for key in Sr25519Keyring::well_known() {
        assert!(!text.contains(&key.to_account_id().to_string()), "{key}");
    }
    let parameters: Parameters =
        serde_json::from_value(template["stakingExtension"]["parameters"].clone())
            .expect("are parameters");
    assert_eq!(parameters, Parameters::default());
}

#[test]
fn lengths_come_from_the_specification() {
    local(7).execute_with(|| {
        let parameters = StakingExtension::parameters();
        assert_eq!(parameters.session_blocks, 7);
        assert_eq!(Runtime::configuration().epoch_length, 7);
        assert_eq!(Runtime::configuration().slot_duration, 3_000);
        assert_eq!(SessionsPerEra::get(), parameters.sessions_per_era);
        assert_eq!(BondingEras::get(), parameters.bonding_eras);
        assert_eq!(SlashDeferEras::get(), parameters.slash_defer_eras);
        let sessions = u64::from(parameters.bonding_eras * parameters.sessions_per_era);
        assert_eq!(BondedSessions::get(), sessions);
        assert_eq!(ReportLongevity::get(), 7 * sessions);
    });
}

#[test]
fn without_a_specification_the_parameters_are_those_of_production() {
    let config: serde_json::Value =
        serde_json::from_slice(&Runtime::get_preset(&None).expect("there is a default"))
            .expect("is JSON");
    let parameters: Parameters =
        serde_json::from_value(config["stakingExtension"]["parameters"].clone())
            .expect("are parameters");
    assert_eq!(parameters, Parameters::default());
}
