//! The chain specifications that the program brings along, and what they let one choose.

use entropy_node::chain_spec::{ChainSpec, load};
use serde_json::Value;
use sp_core::storage::well_known_keys;
use sp_io::hashing::twox_128;
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
