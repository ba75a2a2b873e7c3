//! The chain specifications that the program brings along, and what they let one choose.

use entropy_node::chain_spec::{ChainSpec, load};
use serde_json::Value;
use sp_core::{crypto::AccountId32, storage::well_known_keys};
use sp_io::hashing::{blake2_256, twox_128};
use sp_runtime::BuildStorage as _;

fn edited(id: &str, edit: impl FnOnce(&mut Value)) -> ChainSpec {
    let plain = load(id)
        .expect("is built in")
        .as_json(false)
        .expect("is JSON");
    let mut json: Value = serde_json::from_str(&plain).expect("is JSON");
    edit(&mut json["genesis"]["runtimeGenesis"]["patch"]);
    ChainSpec::from_json_bytes(json.to_string().into_bytes()).expect("is a specification")
}

#[test]
fn the_built_in_specifications_make_a_genesis() {
    for id in ["dev", "local", ""] {
        let storage = load(id)
            .expect("is built in")
            .build_storage()
            .expect("is valid");
        assert!(storage.top.contains_key(well_known_keys::CODE), "{id}");
    }
}

#[test]
fn a_specification_chooses_the_length_of_a_session() {
    let spec = edited("local", |genesis| {
        genesis["stakingExtension"]["parameters"]["sessionBlocks"] = 9.into();
    });
    let storage = spec.build_storage().expect("is valid");
    let key = [twox_128(b"StakingExtension"), twox_128(b"ChainParameters")].concat();
    // The length of a session is the first parameter.
    assert_eq!(storage.top[&key][..4], 9u32.to_le_bytes());
}

#[test]
fn a_misspelt_parameter_is_refused() {
    let spec = edited("local", |genesis| {
        genesis["stakingExtension"]["parameters"]["sessionBlock"] = 9.into();
    });
    let error = spec
        .build_storage()
        .expect_err("there is no such parameter");
    assert!(error.contains("sessionBlock"), "{error}");
}

#[test]
fn what_is_no_specification_is_refused_with_what_would_be() {
    let error = load("prodution").err().expect("there is no such file");
    assert!(error.contains("`dev`, `local`"), "{error}");
}

#[test]
fn the_template_makes_no_genesis_before_it_is_filled_in() {
    let error = load("template")
        .expect("is built in")
        .build_storage()
        .expect_err("has placeholders");
    assert!(
        error.contains("placeholders") && error.contains("balances.balances[0][0]"),
        "{error}"
    );
}

/// What an operator does with the template: an address or a key instead of each placeholder.
#[test]
fn the_template_filled_in_is_a_network_with_the_parameters_of_production() {
    let spec = edited("template", fill_in);
    let storage = spec.build_storage().expect("is valid");
    let key = [twox_128(b"StakingExtension"), twox_128(b"ChainParameters")].concat();
    assert_eq!(storage.top[&key][..4], 1_200u32.to_le_bytes());
    let validators = [twox_128(b"Session"), twox_128(b"Validators")].concat();
    // A compact length before the accounts.
    assert_eq!(storage.top[&validators][0], 4 << 2);
}

/// Replaces placeholders that say the same by the same 32 bytes, which are taken for any kind of public key.
fn fill_in(value: &mut Value) {
    match value {
        Value::String(text) if text.starts_with("FILL IN") => {
            *text = AccountId32::new(blake2_256(text.as_bytes())).to_string();
        }
        Value::Array(items) => items.iter_mut().for_each(fill_in),
        Value::Object(fields) => fields.values_mut().for_each(fill_in),
        _ => {}
    }
}
