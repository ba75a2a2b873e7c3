//! What the node may ask of the runtime.

use alloc::vec::Vec;

use entropy_shared::{
    KeyId, Parameters, PartyId, ProgramId, RequestId, VerifyingKey,
    lifecycle::{registry::KeyRecord, request::RequestRecord},
    view::{ChainView, StoredProgram},
};
use frame_support::{
    genesis_builder_helper::{build_state, get_preset},
    traits::{Get, KeyOwnerProofSystem},
    weights::Weight,
};
use pallet_transaction_payment::{FeeDetails, RuntimeDispatchInfo};
use sp_api::impl_runtime_apis;
use sp_consensus_babe::{BabeConfiguration, Slot};
use sp_core::{OpaqueMetadata, crypto::KeyTypeId};
use sp_genesis_builder::PresetId;
use sp_inherents::{CheckInherentsResult, InherentData};
use sp_runtime::{
    ApplyExtrinsicResult, ExtrinsicInclusionMode,
    traits::{Block as BlockT, NumberFor},
    transaction_validity::{TransactionSource, TransactionValidity},
};
use sp_session::OpaqueGeneratedSessionKeys;
use sp_version::RuntimeVersion;

use crate::{
    AccountId, AuthorityDiscovery, BABE_EPOCH_CONFIGURATION, Babe, Balance, Block, Executive,
    Grandpa, Historical, InherentDataExt, Nonce, Programs, Registry, Runtime, RuntimeGenesisConfig,
    SessionKeys, Signing, StakingExtension, System, TransactionPayment, VERSION,
    parameters::SessionSlots, presets,
};

impl_runtime_apis! {
    impl sp_api::Core<Block> for Runtime {
        fn version() -> RuntimeVersion {
            VERSION
        }

        fn execute_block(block: <Block as BlockT>::LazyBlock) {
            Executive::execute_block(block);
        }

        fn initialize_block(header: &<Block as BlockT>::Header) -> ExtrinsicInclusionMode {
            Executive::initialize_block(header)
        }
    }

    impl sp_api::Metadata<Block> for Runtime {
        fn metadata() -> OpaqueMetadata {
            OpaqueMetadata::new(Runtime::metadata().into())
        }

        fn metadata_at_version(version: u32) -> Option<OpaqueMetadata> {
            Runtime::metadata_at_version(version)
        }

        fn metadata_versions() -> Vec<u32> {
            Runtime::metadata_versions()
        }
    }

    impl sp_block_builder::BlockBuilder<Block> for Runtime {
        fn apply_extrinsic(extrinsic: <Block as BlockT>::Extrinsic) -> ApplyExtrinsicResult {
            Executive::apply_extrinsic(extrinsic)
        }

        fn finalize_block() -> <Block as BlockT>::Header {
            Executive::finalize_block()
        }

        fn inherent_extrinsics(data: InherentData) -> Vec<<Block as BlockT>::Extrinsic> {
            data.create_extrinsics()
        }

        fn check_inherents(
            block: <Block as BlockT>::LazyBlock,
            data: InherentData,
        ) -> CheckInherentsResult {
            data.check_extrinsics(&block)
        }
    }

    impl sp_transaction_pool::runtime_api::TaggedTransactionQueue<Block> for Runtime {
        fn validate_transaction(
            source: TransactionSource,
            transaction: <Block as BlockT>::Extrinsic,
            block_hash: <Block as BlockT>::Hash,
        ) -> TransactionValidity {
            Executive::validate_transaction(source, transaction, block_hash)
        }
    }

    impl sp_offchain::OffchainWorkerApi<Block> for Runtime {
        fn offchain_worker(header: &<Block as BlockT>::Header) {
            Executive::offchain_worker(header)
        }
    }

    impl sp_consensus_babe::BabeApi<Block> for Runtime {
        fn configuration() -> BabeConfiguration {
            let epoch = Babe::epoch_config().unwrap_or(BABE_EPOCH_CONFIGURATION);
            BabeConfiguration {
                slot_duration: Babe::slot_duration(),
                epoch_length: SessionSlots::get(),
                c: epoch.c,
                authorities: pallet_babe::Authorities::<Runtime>::get().to_vec(),
                randomness: pallet_babe::Randomness::<Runtime>::get(),
                allowed_slots: epoch.allowed_slots,
            }
        }

        fn current_epoch_start() -> Slot {
            Babe::current_epoch_start()
        }

        fn current_epoch() -> sp_consensus_babe::Epoch {
            Babe::current_epoch()
        }

        fn next_epoch() -> sp_consensus_babe::Epoch {
            Babe::next_epoch()
        }

        fn generate_key_ownership_proof(
            _slot: Slot,
            authority: sp_consensus_babe::AuthorityId,
        ) -> Option<sp_consensus_babe::OpaqueKeyOwnershipProof> {
            use codec::Encode;
            Historical::prove((sp_consensus_babe::KEY_TYPE, authority))
                .map(|proof| sp_consensus_babe::OpaqueKeyOwnershipProof::new(proof.encode()))
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            evidence: sp_consensus_babe::EquivocationProof<<Block as BlockT>::Header>,
            key_owner_proof: sp_consensus_babe::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            Babe::submit_unsigned_equivocation_report(evidence, key_owner_proof.decode()?)
        }
    }

    impl sp_consensus_grandpa::GrandpaApi<Block> for Runtime {
        fn grandpa_authorities() -> sp_consensus_grandpa::AuthorityList {
            Grandpa::grandpa_authorities()
        }

        fn current_set_id() -> sp_consensus_grandpa::SetId {
            Grandpa::current_set_id()
        }

        fn generate_key_ownership_proof(
            _set: sp_consensus_grandpa::SetId,
            authority: sp_consensus_grandpa::AuthorityId,
        ) -> Option<sp_consensus_grandpa::OpaqueKeyOwnershipProof> {
            use codec::Encode;
            Historical::prove((sp_consensus_grandpa::KEY_TYPE, authority))
                .map(|proof| sp_consensus_grandpa::OpaqueKeyOwnershipProof::new(proof.encode()))
        }

        fn submit_report_equivocation_unsigned_extrinsic(
            evidence: sp_consensus_grandpa::EquivocationProof<
                <Block as BlockT>::Hash,
                NumberFor<Block>,
            >,
            key_owner_proof: sp_consensus_grandpa::OpaqueKeyOwnershipProof,
        ) -> Option<()> {
            Grandpa::submit_unsigned_equivocation_report(evidence, key_owner_proof.decode()?)
        }
    }

    impl sp_authority_discovery::AuthorityDiscoveryApi<Block> for Runtime {
        fn authorities() -> Vec<sp_authority_discovery::AuthorityId> {
            AuthorityDiscovery::authorities()
        }
    }

    impl sp_session::SessionKeys<Block> for Runtime {
        fn generate_session_keys(
            owner: Vec<u8>,
            seed: Option<Vec<u8>>,
        ) -> OpaqueGeneratedSessionKeys {
            SessionKeys::generate(&owner, seed).into()
        }

        fn decode_session_keys(encoded: Vec<u8>) -> Option<Vec<(Vec<u8>, KeyTypeId)>> {
            SessionKeys::decode_into_raw_public_keys(&encoded)
        }
    }

    impl frame_system_rpc_runtime_api::AccountNonceApi<Block, AccountId, Nonce> for Runtime {
        fn account_nonce(account: AccountId) -> Nonce {
            System::account_nonce(account)
        }
    }

    impl pallet_transaction_payment_rpc_runtime_api::TransactionPaymentApi<Block, Balance>
        for Runtime
    {
        fn query_info(
            extrinsic: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> RuntimeDispatchInfo<Balance> {
            TransactionPayment::query_info(extrinsic, len)
        }

        fn query_fee_details(
            extrinsic: <Block as BlockT>::Extrinsic,
            len: u32,
        ) -> FeeDetails<Balance> {
            TransactionPayment::query_fee_details(extrinsic, len)
        }

        fn query_weight_to_fee(weight: Weight) -> Balance {
            TransactionPayment::weight_to_fee(weight)
        }

        fn query_length_to_fee(length: u32) -> Balance {
            TransactionPayment::length_to_fee(length)
        }
    }

    impl crate::threshold_api::ThresholdApi<Block> for Runtime {
        fn view(server: PartyId) -> ChainView {
            StakingExtension::view(&server, Signing::open_requests())
        }

        fn key(id: KeyId) -> Option<KeyRecord> {
            Registry::key(&id)
        }

        fn key_by_verifying_key(key: VerifyingKey) -> Option<KeyId> {
            Registry::by_verifying_key(&key)
        }

        fn keys_of(
            owner: entropy_shared::AccountId,
            start_after: Option<KeyId>,
            limit: u32,
        ) -> Vec<KeyId> {
            Registry::keys_of(&AccountId::new(owner.0), start_after, limit)
        }

        fn program(id: ProgramId) -> Option<StoredProgram> {
            let record = Programs::program(&id)?;
            Some(StoredProgram {
                author: record.author,
                code: Programs::code(&id)?,
                schema: Programs::schema(&id)?,
                metadata: Programs::metadata(&id)?,
                references: record.references,
            })
        }

        fn request(id: RequestId) -> Option<RequestRecord> {
            Signing::record(&id)
        }

        fn parameters() -> Parameters {
            StakingExtension::parameters()
        }
    }

    impl sp_genesis_builder::GenesisBuilder<Block> for Runtime {
        fn build_state(json: Vec<u8>) -> sp_genesis_builder::Result {
            presets::check_filled_in(&json)?;
            build_state::<RuntimeGenesisConfig>(json)
        }

        fn get_preset(id: &Option<PresetId>) -> Option<Vec<u8>> {
            get_preset::<RuntimeGenesisConfig>(id, presets::get)
        }

        fn preset_names() -> Vec<PresetId> {
            presets::names()
        }
    }

    #[cfg(feature = "try-runtime")]
    impl frame_try_runtime::TryRuntime<Block> for Runtime {
        fn on_runtime_upgrade(checks: frame_try_runtime::UpgradeCheckSelect) -> (Weight, Weight) {
            // The tool wants a panic where checks fail; no block is ever executed so.
            match Executive::try_runtime_upgrade(checks) {
                Ok(weight) => (weight, <Runtime as frame_system::Config>::BlockWeights::get().max_block),
                Err(error) => panic!("the state does not pass its checks: {error:?}"),
            }
        }

        fn execute_block(
            block: <Block as BlockT>::LazyBlock,
            state_root_check: bool,
            signature_check: bool,
            select: frame_try_runtime::TryStateSelect,
        ) -> Weight {
            match Executive::try_execute_block(block, state_root_check, signature_check, select) {
                Ok(weight) => weight,
                Err(error) => panic!("the block does not pass its checks: {error:?}"),
            }
        }
    }
}
