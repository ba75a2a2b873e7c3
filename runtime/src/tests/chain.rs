//! A chain without a node: blocks are made and executed as an author would.

use codec::Encode;
use entropy_shared::parameters::BLOCK_MILLIS;
use serde_json::{Value, json};
use sp_consensus_babe::{
    BABE_ENGINE_ID, Slot,
    digests::{PreDigest, SecondaryPlainPreDigest},
};
use sp_genesis_builder::runtime_decl_for_genesis_builder::GenesisBuilder;
use sp_io::TestExternalities;
use sp_runtime::{ApplyExtrinsicResult, Digest, DigestItem, traits::Header as _};

use crate::{
    BlockNumber, Executive, Hash, Header, Runtime, RuntimeCall, System, UncheckedExtrinsic,
};

/// The default configuration with a named preset and then a patch merged into it.
pub(super) fn genesis_json(preset: &str, patch: &Value) -> Value {
    let parse = |bytes: Vec<u8>| -> Value { serde_json::from_slice(&bytes).expect("is JSON") };
    let mut config = parse(Runtime::get_preset(&None).expect("there is a default"));
    merge(
        &mut config,
        &parse(Runtime::get_preset(&Some(preset.into())).expect("is a preset")),
    );
    merge(&mut config, patch);
    config
}

/// Merges as RFC 7396 says, which is what a chain specification does with its patch.
fn merge(into: &mut Value, patch: &Value) {
    let (Value::Object(into), Value::Object(patch)) = (&mut *into, patch) else {
        *into = patch.clone();
        return;
    };
    for (key, value) in patch {
        merge(into.entry(key.clone()).or_insert(Value::Null), value);
    }
}

/// The state after the genesis of four validators whose sessions have `session_blocks`.
pub(super) fn local(session_blocks: u32) -> TestExternalities {
    local_with(
        &json!({ "stakingExtension": { "parameters": { "sessionBlocks": session_blocks } } }),
    )
}

/// The state after the genesis of four validators with this patch.
pub(super) fn local_with(patch: &Value) -> TestExternalities {
    let json = genesis_json(sp_genesis_builder::LOCAL_TESTNET_RUNTIME_PRESET, patch);
    let mut state = TestExternalities::default();
    state.execute_with(|| {
        Runtime::build_state(json.to_string().into_bytes()).expect("the genesis is valid");
    });
    state
}

/// Writes the blocks up to `last`, each in the slot after that of its parent, all by the first
/// validator, with nothing in them but the time.
pub(super) fn advance_to(last: BlockNumber) {
    while System::block_number() < last {
        begin_block();
        end_block();
    }
}

/// Begins the next block.
pub(super) fn begin_block() {
    let number = System::block_number() + 1;
    let slot = Slot::from(1_000 + u64::from(number));
    let pre_digest = PreDigest::SecondaryPlain(SecondaryPlainPreDigest {
        authority_index: 0,
        slot,
    });
    // Only a node compares these: any hash will do that differs from block to block.
    let parent = Hash::from_low_u64_be(u64::from(number) - 1);
    let header = Header::new(
        number,
        Default::default(),
        Default::default(),
        parent,
        Digest {
            logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, pre_digest.encode())],
        },
    );
    Executive::initialize_block(&header);
    let time = RuntimeCall::Timestamp(pallet_timestamp::Call::set {
        now: *slot * BLOCK_MILLIS,
    });
    apply(UncheckedExtrinsic::new_bare(time))
        .expect("is valid")
        .expect("is applied");
}

/// Ends the block that was begun.
pub(super) fn end_block() {
    Executive::finalize_block();
}

/// Puts an extrinsic into the block that was begun.
pub(super) fn apply(extrinsic: UncheckedExtrinsic) -> ApplyExtrinsicResult {
    Executive::apply_extrinsic(extrinsic)
}
