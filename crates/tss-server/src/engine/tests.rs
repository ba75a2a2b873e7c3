//! A whole committee in one process: real coordinators, engines and FROST ceremonies over doubles of the ports.

use std::{sync::Arc, time::Duration};

use ed25519_dalek::SigningKey;
use entropy_shared::{
    PartyId, RequestId, Scheme, TaprootTweak, canonical::ServerInfo,
    lifecycle::request::RequestState,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{Instant, MissedTickBehavior, interval, timeout},
};

use super::{Engine, EngineError};
use crate::{
    ports::{ShareStore, Stage},
    status::Identity,
    testing::{
        chain::{GENESIS, TestChain},
        ports::{MemoryStore, Network, SharedChain},
    },
};

const SCHEME: Scheme = Scheme::SchnorrTaproot;
const DEADLINE: Duration = Duration::from_secs(120);

type Task = JoinHandle<Result<(), EngineError>>;

struct Server {
    account: SigningKey,
    store: MemoryStore,
    running: Option<(oneshot::Sender<()>, Task)>,
}

struct Cluster {
    chain: SharedChain,
    network: Network,
    servers: Vec<Server>,
    blocks: JoinHandle<()>,
}

impl Cluster {
    async fn start(size: u8) -> Self {
        let servers: Vec<_> = (1..=size)
            .map(|n| Server {
                account: SigningKey::from_bytes(&[n; 32]),
                store: MemoryStore::default(),
                running: None,
            })
            .collect();
        let infos = servers.iter().map(|server| ServerInfo {
            server: server.party(),
            endpoint: b"ws://unused".to_vec(),
            noise_key: [0; 32],
        });
        let chain = SharedChain::new(TestChain::new(infos.collect(), [SCHEME]));
        let shared = chain.clone();
        let blocks = tokio::spawn(async move {
            let mut ticks = interval(Duration::from_millis(250));
            // A machine that is busy elsewhere makes blocks late; it must not make up for them at once, and so let requests expire.
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                shared.make_block();
            }
        });
        let mut cluster = Self {
            chain,
            network: Network::default(),
            servers,
            blocks,
        };
        for index in 0..cluster.servers.len() {
            cluster.launch(index).await;
        }
        cluster
    }

    async fn launch(&mut self, index: usize) {
        let server = &mut self.servers[index];
        let party = server.party();
        let engine = Engine::new(
            Arc::new(self.chain.port(party)),
            Arc::new(self.network.connect(party)),
            Arc::new(server.store.clone()),
            server.account.clone(),
            Identity {
                party,
                noise_key: [0; 32],
                genesis: GENESIS,
            },
        )
        .await
        .expect("the engine starts");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(engine.run(async move {
            drop(stopped.await);
        }));
        server.running = Some((stop, task));
    }

    async fn stop(&mut self, index: usize) {
        let server = &mut self.servers[index];
        self.network.disconnect(&server.party());
        let (stop, task) = server.running.take().expect("it runs");
        stop.send(()).expect("the engine listens");
        task.await.expect("no panic").expect("no error");
    }

    /// Checks with every block, because only blocks change the chain.
    async fn wait(&self, what: &str, done: impl Fn(&mut TestChain) -> bool) {
        let started = Instant::now();
        let mut ticks = interval(Duration::from_millis(20));
        while !self.chain.with(|chain| done(chain)) {
            assert!(started.elapsed() < DEADLINE, "{what}: not in time");
            ticks.tick().await;
        }
    }

    async fn wait_signed(&self, request: RequestId) {
        self.wait("the request is signed", |chain| {
            // Not in a block yet, or open.
            chain
                .heads(&PartyId([0; 32]))
                .best
                .view
                .requests
                .iter()
                .all(|open| open.id != request)
                && chain.knows(&request)
        })
        .await;
        let state = self.chain.with(|chain| chain.request_state(&request));
        assert!(matches!(state, RequestState::Signed { .. }), "{state:?}");
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.blocks.abort();
    }
}

impl Server {
    fn party(&self) -> PartyId {
        PartyId(self.account.verifying_key().to_bytes())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_servers_generate_a_key_sign_and_survive_losses() {
    // RUST_LOG=entropy_tss_server=debug shows what the servers do.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .init();
    let mut cluster = Cluster::start(4).await;
    cluster
        .wait("the key is active", |chain| {
            chain.key_state(SCHEME).active().is_some()
        })
        .await;
    let key = cluster.chain.with(|chain| chain.register(SCHEME, 1, 0));
    for tweak in [
        TaprootTweak::None,
        TaprootTweak::KeyPath,
        TaprootTweak::MerkleRoot([5; 32]),
    ] {
        let request = cluster
            .chain
            .with(|chain| chain.request(key, b"all are up", tweak));
        cluster.wait_signed(request).await;
    }
    for server in &cluster.servers {
        let names = server.store.list().unwrap();
        assert!(
            matches!(names[..], [(_, Stage::Active)]),
            "one share, in use: {names:?}"
        );
    }

    cluster.stop(0).await;
    let request = cluster
        .chain
        .with(|chain| chain.request(key, b"one is down", TaprootTweak::None));
    cluster.wait_signed(request).await;

    // With another one down, the restarted server and its share are needed.
    cluster.launch(0).await;
    cluster.stop(1).await;
    let request = cluster
        .chain
        .with(|chain| chain.request(key, b"another is down", TaprootTweak::None));
    cluster.wait_signed(request).await;

    // Two of four are not a threshold: nothing is signed until one comes back.
    cluster.stop(2).await;
    let request = cluster
        .chain
        .with(|chain| chain.request(key, b"too many are down", TaprootTweak::None));
    let early = timeout(Duration::from_secs(2), cluster.wait_signed(request)).await;
    assert!(early.is_err(), "two of four cannot sign");
    cluster.launch(2).await;
    cluster.wait_signed(request).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_with_something_else_in_it_is_refused() {
    let store = MemoryStore::default();
    let party = PartyId([1; 32]);
    let name = crate::ports::ShareName {
        genesis: GENESIS,
        scheme: SCHEME,
        epoch: 1,
        attempt: 1,
        party,
        public_digest: [0; 32].into(),
    };
    store.stage(&name, b"no share").unwrap();
    let chain = SharedChain::new(TestChain::new(
        (1..=2)
            .map(|n| ServerInfo {
                server: PartyId([n; 32]),
                endpoint: vec![],
                noise_key: [0; 32],
            })
            .collect(),
        [SCHEME],
    ));
    let engine = Engine::new(
        Arc::new(chain.port(party)),
        Arc::new(Network::default().connect(party)),
        Arc::new(store.clone()),
        SigningKey::from_bytes(&[1; 32]),
        Identity {
            party,
            noise_key: [0; 32],
            genesis: GENESIS,
        },
    );
    assert!(matches!(engine.await, Err(EngineError::Share(_))));
    assert_eq!(
        store.list().unwrap(),
        vec![(name, Stage::Staged)],
        "nothing is lost"
    );
}
