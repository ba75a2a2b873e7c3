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
    AccountId, Grandpa, Runtime, Session, StakingExtension,
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
        [DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET]
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
