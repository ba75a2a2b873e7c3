//! The chain specifications that the program brings along: two for one's own machine, and a template.
//!
//! Real networks give a file to `--chain`, made from the template by filling in its placeholders
//! (`entropy-node export-chain-spec --chain template`). What a network chooses is in the genesis
//! configuration there (`stakingExtension.parameters`), which a plain specification shows and lets one edit.

use std::path::Path;

use entropy_runtime::{SS58_PREFIX, TEMPLATE_PRESET};
use sc_service::{ChainType, GenericChainSpec, Properties};
use sp_genesis_builder::{DEV_RUNTIME_PRESET, LOCAL_TESTNET_RUNTIME_PRESET};

/// A chain specification of this program; it has no extensions.
pub type ChainSpec = GenericChainSpec;

/// Reads the specification that `--chain` names: `dev`, `local` (also the empty name), `template`, else a file.
///
/// The error says what would have been taken, or what is wrong with the file.
pub fn load(id: &str) -> Result<ChainSpec, String> {
    match id {
        "dev" => development(),
        "" | "local" => local(),
        "template" => template(),
        path if Path::new(path).is_file() => ChainSpec::from_json_file(path.into())
            .map_err(|error| format!("the file `{path}` is no chain specification: {error}")),
        path => Err(format!(
            "--chain takes `dev`, `local`, `template` or the path of a chain specification, and `{path}` is none of them"
        )),
    }
}

/// One validator, Alice.
fn development() -> Result<ChainSpec, String> {
    build(
        "Entropy Development",
        "entropy_dev",
        ChainType::Development,
        DEV_RUNTIME_PRESET,
    )
}

/// Four validators: Alice, Bob, Charlie and Dave.
fn local() -> Result<ChainSpec, String> {
    build(
        "Entropy Local",
        "entropy_local",
        ChainType::Local,
        LOCAL_TESTNET_RUNTIME_PRESET,
    )
}

/// Nobody's: it has placeholders where the keys of its validators belong, and makes no genesis before they are filled in.
fn template() -> Result<ChainSpec, String> {
    build(
        "Entropy Template",
        "entropy_template",
        ChainType::Live,
        TEMPLATE_PRESET,
    )
}

fn build(name: &str, id: &str, kind: ChainType, preset: &str) -> Result<ChainSpec, String> {
    let code = entropy_runtime::wasm_binary().map_err(|error| error.to_string())?;
    let mut properties = Properties::new();
    properties.insert("tokenSymbol".into(), "ENT".into());
    properties.insert("tokenDecimals".into(), 12.into());
    properties.insert("ss58Format".into(), SS58_PREFIX.into());
    Ok(ChainSpec::builder(code, None)
        .with_name(name)
        .with_id(id)
        .with_protocol_id(id)
        .with_chain_type(kind)
        .with_properties(properties)
        .with_genesis_config_preset_name(preset)
        .build())
}
