//! Puts a node together: database, transaction pool, BABE, GRANDPA, network, authority discovery, RPC.

use std::{sync::Arc, time::Duration};

use entropy_runtime::{RuntimeApi, opaque::Block};
use futures::{FutureExt as _, StreamExt as _};
use sc_authority_discovery::{Role as DiscoveryRole, WorkerConfig as DiscoveryConfig};
use sc_client_api::{Backend as _, BlockBackend as _};
use sc_consensus::DefaultImportQueue;
use sc_consensus_babe::{BabeBlockImport, BabeLink, BabeWorkerHandle, SlotProportion};
use sc_consensus_grandpa::{
    FinalityProofProvider, GrandpaBlockImport, GrandpaPruningFilter, LinkHalf, SharedVoterState,
    VotingRulesBuilder, grandpa_peers_set_config, warp_proof::NetworkProvider,
};
use sc_consensus_slots::BackoffAuthoringOnFinalizedHeadLagging;
use sc_executor::WasmExecutor;
use sc_network::{Event, NetworkBackend, NetworkEventStream as _};
use sc_offchain::{OffchainWorkerOptions, OffchainWorkers};
use sc_service::{
    BuildNetworkParams, Configuration, Error, KeystoreContainer, SpawnTasksParams, TaskManager,
    WarpSyncConfig,
};
use sc_telemetry::{Telemetry, TelemetryWorker};
use sc_transaction_pool::TransactionPoolHandle;
use sc_transaction_pool_api::OffchainTransactionPoolFactory;
use sp_consensus_babe::{SlotDuration, inherents::BabeCreateInherentDataProviders};
use sp_runtime::traits::Block as BlockT;

use crate::rpc;

pub(crate) type Backend = sc_service::TFullBackend<Block>;
pub(crate) type Client =
    sc_service::TFullClient<Block, RuntimeApi, WasmExecutor<sp_io::SubstrateHostFunctions>>;
pub(crate) type Pool = TransactionPoolHandle<Block, Client>;
pub(crate) type SelectChain = sc_consensus::LongestChain<Backend, Block>;
type FinalityImport = GrandpaBlockImport<Backend, Block, Client, SelectChain>;
type Import = BabeBlockImport<
    Block,
    Client,
    FinalityImport,
    BabeCreateInherentDataProviders<Block>,
    SelectChain,
>;

/// The fewest blocks between two proofs of finality that are kept for good.
const JUSTIFICATION_PERIOD: u32 = 512;
/// How long a vote on finality takes to reach everybody; rounds are paced by it.
const GOSSIP_DURATION: Duration = Duration::from_millis(333);

/// The parts of a node that also work without a network.
pub(crate) struct Parts {
    pub(crate) client: Arc<Client>,
    pub(crate) backend: Arc<Backend>,
    pub(crate) import_queue: DefaultImportQueue<Block>,
    keystore: KeystoreContainer,
    select_chain: SelectChain,
    pool: Arc<Pool>,
    telemetry: Option<Telemetry>,
    import: Import,
    babe_link: BabeLink<Block>,
    babe_worker: BabeWorkerHandle<Block>,
    grandpa_link: LinkHalf<Block, Client, SelectChain>,
}

/// Opens the database, writing the genesis block if there is none, and builds what imports blocks.
/// The parts work as long as the tasks live that come with them.
pub(crate) fn build(config: &Configuration) -> Result<(Parts, TaskManager), Error> {
    let telemetry = config
        .telemetry_endpoints
        .clone()
        .filter(|endpoints| !endpoints.is_empty())
        .map(|endpoints| -> Result<_, sc_telemetry::Error> {
            let worker = TelemetryWorker::new(16)?;
            let telemetry = worker.handle().new_telemetry(endpoints);
            Ok((worker, telemetry))
        })
        .transpose()?;

    let (client, backend, keystore, tasks) = sc_service::new_full_parts::<Block, RuntimeApi, _>(
        config,
        telemetry.as_ref().map(|(_, telemetry)| telemetry.handle()),
        sc_service::new_wasm_executor(&config.executor),
        // A pruned node keeps what others need to warp to the newest block.
        vec![Arc::new(GrandpaPruningFilter)],
    )?;
    let client = Arc::new(client);

    let telemetry = telemetry.map(|(worker, telemetry)| {
        tasks.spawn_handle().spawn("telemetry", None, worker.run());
        telemetry
    });
    let telemetry_handle = || telemetry.as_ref().map(Telemetry::handle);

    let select_chain = SelectChain::new(backend.clone());
    let pool = Arc::new(
        sc_transaction_pool::Builder::new(
            tasks.spawn_essential_handle(),
            client.clone(),
            config.role.is_authority().into(),
        )
        .with_options(config.transaction_pool.clone())
        .with_prometheus(config.prometheus_registry())
        .build(),
    );

    let (finality_import, grandpa_link) = sc_consensus_grandpa::block_import(
        client.clone(),
        JUSTIFICATION_PERIOD,
        &client,
        select_chain.clone(),
        telemetry_handle(),
    )?;
    let babe_config = sc_consensus_babe::configuration(&*client)?;
    let slot_duration = babe_config.slot_duration();
    let (import, babe_link) = sc_consensus_babe::block_import(
        babe_config,
        finality_import.clone(),
        client.clone(),
        inherents(slot_duration),
        select_chain.clone(),
        OffchainTransactionPoolFactory::new(pool.clone()),
    )?;
    let (import_queue, babe_worker) =
        sc_consensus_babe::import_queue(sc_consensus_babe::ImportQueueParams {
            link: babe_link.clone(),
            block_import: import.clone(),
            justification_import: Some(Box::new(finality_import)),
            client: client.clone(),
            slot_duration,
            spawner: &tasks.spawn_essential_handle(),
            registry: config.prometheus_registry(),
            telemetry: telemetry_handle(),
        })?;

    let parts = Parts {
        client,
        backend,
        import_queue,
        keystore,
        select_chain,
        pool,
        telemetry,
        import,
        babe_link,
        babe_worker,
        grandpa_link,
    };
    Ok((parts, tasks))
}

/// What a block says without a transaction: its time and, from that, its slot.
fn inherents(slot_duration: SlotDuration) -> BabeCreateInherentDataProviders<Block> {
    Arc::new(move |_, ()| async move {
        let time = sp_timestamp::InherentDataProvider::from_system_time();
        let slot =
            sp_consensus_babe::inherents::InherentDataProvider::from_timestamp_and_slot_duration(
                *time,
                slot_duration,
            );
        Ok((slot, time))
    })
}

/// Starts a node; it runs as long as the tasks that are returned.
pub(crate) fn start<N: NetworkBackend<Block, <Block as BlockT>::Hash>>(
    config: Configuration,
) -> Result<TaskManager, Error> {
    let (parts, mut tasks) = build(&config)?;
    let Parts {
        client,
        backend,
        import_queue,
        keystore,
        select_chain,
        pool,
        mut telemetry,
        import,
        babe_link,
        babe_worker,
        grandpa_link,
    } = parts;

    let metrics = N::register_notification_metrics(config.prometheus_registry());
    let mut net_config = sc_network::config::FullNetworkConfiguration::<_, _, N>::new(
        &config.network,
        config.prometheus_registry().cloned(),
    );
    let genesis = client.block_hash(0)?.ok_or_else(|| {
        Error::Other("the database has no genesis block; purge it with `purge-chain`".into())
    })?;
    let grandpa_protocol =
        sc_consensus_grandpa::protocol_standard_name(&genesis, &config.chain_spec);
    let (grandpa_set, grandpa_notifications) = grandpa_peers_set_config::<Block, N>(
        grandpa_protocol.clone(),
        metrics.clone(),
        net_config.peer_store_handle(),
    );
    net_config.add_notification_protocol(grandpa_set);

    let authorities = grandpa_link.shared_authority_set().clone();
    let warp = Arc::new(NetworkProvider::new(
        backend.clone(),
        authorities.clone(),
        Vec::new(),
    ));
    // The last one would serve IPFS, which this chain doesn't.
    let (network, system_rpc_tx, tx_handler_controller, sync, _) =
        sc_service::build_network(BuildNetworkParams {
            config: &config,
            net_config,
            client: client.clone(),
            transaction_pool: pool.clone(),
            spawn_handle: tasks.spawn_handle(),
            spawn_essential_handle: tasks.spawn_essential_handle(),
            import_queue,
            block_announce_validator_builder: None,
            warp_sync_config: Some(WarpSyncConfig::WithProvider(warp)),
            block_relay: None,
            metrics,
            gap_sync_body_policy: None,
        })?;

    let role = config.role;
    let name = config.network.node_name.clone();
    let force_authoring = config.force_authoring;
    let finality = !config.disable_grandpa;
    let registry = config.prometheus_registry().cloned();
    let discovery_config = DiscoveryConfig {
        publish_non_global_ips: config.network.allow_non_globals_in_dht,
        public_addresses: config.network.public_addresses.clone(),
        persisted_cache_directory: config.network.net_config_path.clone(),
        // No node of this chain publishes records of the older kind, which its network identity does not sign.
        strict_record_validation: true,
        ..DiscoveryConfig::default()
    };

    if config.offchain_worker.enabled {
        let workers = OffchainWorkers::new(OffchainWorkerOptions {
            runtime_api_provider: client.clone(),
            keystore: Some(keystore.keystore()),
            offchain_db: backend.offchain_storage(),
            transaction_pool: Some(OffchainTransactionPoolFactory::new(pool.clone())),
            network_provider: Arc::new(network.clone()),
            is_validator: role.is_authority(),
            enable_http_requests: false,
            custom_extensions: |_| Vec::new(),
        })?;
        tasks.spawn_handle().spawn(
            "offchain-workers",
            "offchain-worker",
            workers.run(client.clone(), tasks.spawn_handle()).boxed(),
        );
    }

    let voter = SharedVoterState::empty();
    let rpc_sources = rpc::Sources {
        client: client.clone(),
        pool: pool.clone(),
        select_chain: select_chain.clone(),
        keystore: keystore.keystore(),
        babe: babe_worker,
        authorities: authorities.clone(),
        voter: voter.clone(),
        justifications: grandpa_link.justification_stream(),
        finality_proofs: FinalityProofProvider::new_for_service(backend.clone(), Some(authorities)),
    };
    // The in-memory handle answers calls of this process, which makes none.
    let _ = sc_service::spawn_tasks(SpawnTasksParams {
        config,
        client: client.clone(),
        backend,
        task_manager: &mut tasks,
        keystore: keystore.keystore(),
        transaction_pool: pool.clone(),
        rpc_builder: Box::new(move |executor| {
            rpc::module(&rpc_sources, executor).map_err(|error| Error::Application(Box::new(error)))
        }),
        network: network.clone(),
        system_rpc_tx,
        tx_handler_controller,
        sync_service: sync.clone(),
        telemetry: telemetry.as_mut(),
        tracing_execute_block: None,
    })?;

    // A validator also says where it is; others only look.
    let discovery_role = if role.is_authority() {
        DiscoveryRole::PublishAndDiscover(keystore.keystore())
    } else {
        DiscoveryRole::Discover
    };
    let records = network
        .event_stream("authority-discovery")
        .filter_map(|event| async move {
            match event {
                Event::Dht(event) => Some(event),
                _ => None,
            }
        });
    // The second one answers this process, which doesn't ask.
    let (discovery, _) = sc_authority_discovery::new_worker_and_service_with_config(
        discovery_config,
        client.clone(),
        Arc::new(network.clone()),
        Box::pin(records),
        discovery_role,
        registry.clone(),
        tasks.spawn_handle(),
    );
    tasks
        .spawn_handle()
        .spawn("authority-discovery", Some("networking"), discovery.run());

    if role.is_authority() {
        let env = sc_basic_authorship::ProposerFactory::new(
            tasks.spawn_handle(),
            client.clone(),
            pool.clone(),
            registry.as_ref(),
            telemetry.as_ref().map(Telemetry::handle),
        );
        let authorship = sc_consensus_babe::start_babe(sc_consensus_babe::BabeParams {
            keystore: keystore.keystore(),
            client,
            select_chain,
            env,
            block_import: import,
            sync_oracle: sync.clone(),
            justification_sync_link: sync.clone(),
            create_inherent_data_providers: inherents(babe_link.config().slot_duration()),
            force_authoring,
            backoff_authoring_blocks: Some(BackoffAuthoringOnFinalizedHeadLagging::default()),
            babe_link,
            block_proposal_slot_portion: SlotProportion::new(2.0 / 3.0),
            max_block_proposal_slot_portion: None,
            telemetry: telemetry.as_ref().map(Telemetry::handle),
        })?;
        tasks
            .spawn_essential_handle()
            .spawn_blocking("babe", Some("block-authoring"), authorship);
    }

    if finality {
        let grandpa =
            sc_consensus_grandpa::run_grandpa_voter(sc_consensus_grandpa::GrandpaParams {
                config: sc_consensus_grandpa::Config {
                    gossip_duration: GOSSIP_DURATION,
                    justification_generation_period: JUSTIFICATION_PERIOD,
                    observer_enabled: false,
                    local_role: role,
                    name: Some(name),
                    keystore: role.is_authority().then(|| keystore.keystore()),
                    telemetry: telemetry.as_ref().map(Telemetry::handle),
                    protocol_name: grandpa_protocol,
                },
                link: grandpa_link,
                network,
                sync: Arc::new(sync),
                notification_service: grandpa_notifications,
                voting_rule: VotingRulesBuilder::default().build(),
                prometheus_registry: registry,
                shared_voter_state: voter,
                telemetry: telemetry.as_ref().map(Telemetry::handle),
                offchain_tx_pool_factory: OffchainTransactionPoolFactory::new(pool),
            })?;
        tasks
            .spawn_essential_handle()
            .spawn_blocking("grandpa-voter", None, grandpa);
    }

    Ok(tasks)
}
