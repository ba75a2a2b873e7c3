//! Ports in memory: a network of queues, a store that survives its server, and the test chain behind the chain port.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
};

use entropy_shared::{
    CeremonyId, KeyId, PartyId, RequestId,
    canonical::ServerInfo,
    lifecycle::{registry::KeyRecord, request::RequestRecord},
};
use tokio::sync::{mpsc, watch};
use zeroize::Zeroizing;

use super::chain::TestChain;
use crate::ports::{
    BlockHash, Chain, ChainError, Heads, Peers, ShareName, ShareStore, Stage, StoreError,
    Submission,
};

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panics while it holds a lock")
}

/// The test chain, shared by the servers of a test.
#[derive(Clone)]
pub(crate) struct SharedChain {
    chain: Arc<Mutex<TestChain>>,
    blocks: watch::Sender<u64>,
}

impl SharedChain {
    /// Shares a chain.
    pub(crate) fn new(chain: TestChain) -> Self {
        Self {
            chain: Arc::new(Mutex::new(chain)),
            blocks: watch::Sender::new(0),
        }
    }

    /// Looks at the chain or changes it.
    pub(crate) fn with<T>(&self, call: impl FnOnce(&mut TestChain) -> T) -> T {
        call(&mut lock(&self.chain))
    }

    /// Makes a block and lets every server know.
    pub(crate) fn make_block(&self) {
        self.with(|chain| chain.make_block(2));
        self.blocks.send_modify(|count| *count += 1);
    }

    /// The chain port of one server.
    pub(crate) fn port(&self, server: PartyId) -> TestChainPort {
        let blocks = tokio::sync::Mutex::new(self.blocks.subscribe());
        TestChainPort {
            server,
            chain: self.clone(),
            blocks,
        }
    }
}

/// One server's access to the test chain.
pub(crate) struct TestChainPort {
    server: PartyId,
    chain: SharedChain,
    blocks: tokio::sync::Mutex<watch::Receiver<u64>>,
}

impl Chain for TestChainPort {
    async fn next_heads(&self) -> Result<Heads, ChainError> {
        let changed = self.blocks.lock().await.changed().await;
        changed.map_err(|_| ChainError::Unreachable("the test is over".into()))?;
        Ok(self.chain.with(|chain| chain.heads(&self.server)))
    }

    async fn key(&self, at: BlockHash, id: KeyId) -> Result<Option<KeyRecord>, ChainError> {
        Ok(self.chain.with(|chain| chain.key_at(&at, &id)))
    }

    async fn request(
        &self,
        at: BlockHash,
        id: RequestId,
    ) -> Result<Option<RequestRecord>, ChainError> {
        Ok(self.chain.with(|chain| chain.request_at(&at, &id)))
    }

    async fn submit(&self, submission: Submission) -> Result<(), ChainError> {
        self.chain.with(|chain| chain.submit(submission));
        Ok(())
    }
}

type Queue = mpsc::UnboundedSender<(PartyId, Vec<u8>)>;

/// A network that joins every server that is up with every other.
#[derive(Clone, Default)]
pub(crate) struct Network {
    up: Arc<Mutex<BTreeMap<PartyId, Queue>>>,
}

impl Network {
    /// Connects a server; a former connection of the same server is gone.
    #[expect(
        clippy::disallowed_methods,
        reason = "a test's network holds what the test sends"
    )]
    pub(crate) fn connect(&self, server: PartyId) -> TestPeers {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.up).insert(server, sender);
        TestPeers {
            server,
            network: self.clone(),
            incoming: tokio::sync::Mutex::new(receiver),
        }
    }

    /// Takes a server off the network.
    pub(crate) fn disconnect(&self, server: &PartyId) {
        lock(&self.up).remove(server);
    }
}

/// One server's links.
pub(crate) struct TestPeers {
    server: PartyId,
    network: Network,
    incoming: tokio::sync::Mutex<mpsc::UnboundedReceiver<(PartyId, Vec<u8>)>>,
}

impl Peers for TestPeers {
    fn set_peers(&self, _peers: Vec<ServerInfo>) {}

    fn renew(&self) {}

    fn connected(&self) -> BTreeSet<PartyId> {
        lock(&self.network.up)
            .keys()
            .filter(|party| **party != self.server)
            .copied()
            .collect()
    }

    fn send(&self, to: &PartyId, frame: Vec<u8>) -> bool {
        lock(&self.network.up)
            .get(to)
            .is_some_and(|queue| queue.send((self.server, frame)).is_ok())
    }

    async fn receive(&self) -> (PartyId, Vec<u8>) {
        match self.incoming.lock().await.recv().await {
            Some(frame) => frame,
            // Taken off the network: nothing ever comes.
            None => std::future::pending().await,
        }
    }
}

/// A store in memory. A clone is the same disk: it outlives the server that wrote to it.
#[derive(Clone, Default)]
pub(crate) struct MemoryStore {
    inner: Arc<Mutex<Disk>>,
}

#[derive(Default)]
struct Disk {
    shares: BTreeMap<ShareName, (Stage, Vec<u8>)>,
    started: BTreeSet<CeremonyId>,
}

impl MemoryStore {
    /// Names and stages, without blocking on a port's method.
    pub(crate) fn names(&self) -> Vec<(ShareName, Stage)> {
        lock(&self.inner)
            .shares
            .iter()
            .map(|(name, (stage, _))| (name.clone(), *stage))
            .collect()
    }
}

impl ShareStore for MemoryStore {
    fn stage(&self, name: &ShareName, share: &[u8]) -> Result<(), StoreError> {
        lock(&self.inner)
            .shares
            .entry(name.clone())
            .or_insert((Stage::Staged, share.to_vec()));
        Ok(())
    }

    fn promote(&self, name: &ShareName) -> Result<(), StoreError> {
        match lock(&self.inner).shares.get_mut(name) {
            Some((stage, _)) => {
                *stage = Stage::Active;
                Ok(())
            }
            None => Err(StoreError::Missing(Box::new(name.clone()))),
        }
    }

    fn erase(&self, name: &ShareName) -> Result<(), StoreError> {
        lock(&self.inner).shares.remove(name);
        Ok(())
    }

    fn list(&self) -> Result<Vec<(ShareName, Stage)>, StoreError> {
        Ok(self.names())
    }

    fn load(&self, name: &ShareName) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        match lock(&self.inner).shares.get(name) {
            Some((_, bytes)) => Ok(Zeroizing::new(bytes.clone())),
            None => Err(StoreError::Missing(Box::new(name.clone()))),
        }
    }

    fn mark_started(&self, id: &CeremonyId) -> Result<bool, StoreError> {
        Ok(lock(&self.inner).started.insert(*id))
    }
}
