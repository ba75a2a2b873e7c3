//! The chain over a node's WebSocket RPC: the adapter of [`Chain`] for real networks.
//!
//! One task keeps one connection to one of the configured nodes and follows it. It judges nothing that the chain says;
//! the node is inside the operator's trust boundary, only its genesis is checked.

mod extrinsic;
mod follow;
mod link;
#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use entropy_shared::{
    BlockNumber, Genesis, KeyId, PartyId, RequestId,
    lifecycle::{registry::KeyRecord, request::RequestRecord},
};
use tokio::{sync::Notify, task::JoinHandle};

use self::{extrinsic::Format, follow::Follower, link::Link};
use crate::ports::{BlockHash, Chain, ChainError, Heads, Submission};

/// How far behind the best block a transaction's era begins, at most.
const MAX_ANCHOR_LAG: BlockNumber = 16;

/// Follows the chain through one of several nodes; reconnects for ever. Dropping it closes the connection.
pub struct SubxtChain {
    shared: Arc<Shared>,
    format: tokio::sync::Mutex<Option<(u32, Arc<Format>)>>,
    follower: JoinHandle<()>,
}

/// What the following task leaves for callers.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    tip: Option<Tip>,
    /// The newest that nobody has taken yet.
    unread: Option<Result<Heads, ChainError>>,
}

/// What a transaction must know of the newest heads.
#[derive(Clone, Copy)]
struct Tip {
    hash: BlockHash,
    spec_version: u32,
    best: BlockNumber,
    finalized: BlockNumber,
}

impl SubxtChain {
    /// Begins to follow the chain with this genesis for `party`, through the first of the nodes (`ws://` or `wss://`
    /// URLs) that answers. Returns at once; what fails, [`Chain::next_heads`] tells.
    ///
    /// # Panics
    ///
    /// Outside of a Tokio runtime.
    pub fn follow(nodes: Vec<String>, genesis: Genesis, party: PartyId) -> Self {
        let shared = Arc::new(Shared::default());
        let follower = Follower::new(nodes, genesis, party, shared.clone());
        Self {
            shared,
            format: Default::default(),
            follower: tokio::spawn(follower.run()),
        }
    }

    /// Asks a node which chain it serves, to pin it.
    pub async fn fetch_genesis(node: &str) -> Result<Genesis, ChainError> {
        link::fetch_genesis(node).await
    }

    fn link(&self) -> Result<Arc<Link>, ChainError> {
        self.shared
            .lock()
            .link
            .clone()
            .ok_or_else(|| ChainError::Unreachable("not connected to a node".into()))
    }

    /// How the present runtime wants transactions; metadata is read again only if the runtime has changed.
    async fn format(&self, link: &Link, tip: &Tip) -> Result<Arc<Format>, ChainError> {
        let mut cached = self.format.lock().await;
        if let Some((spec_version, format)) = &*cached
            && *spec_version == tip.spec_version
        {
            return Ok(format.clone());
        }
        let format = Arc::new(Format::read(&link.metadata(tip.hash).await?)?);
        *cached = Some((tip.spec_version, format.clone()));
        Ok(format)
    }
}

impl Drop for SubxtChain {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

impl Chain for SubxtChain {
    async fn next_heads(&self) -> Result<Heads, ChainError> {
        loop {
            if let Some(unread) = self.shared.lock().unread.take() {
                return unread;
            }
            self.shared.news.notified().await;
        }
    }

    async fn key(&self, at: BlockHash, id: KeyId) -> Result<Option<KeyRecord>, ChainError> {
        self.link()?.query("ThresholdApi_key", &id, at).await
    }

    async fn request(
        &self,
        at: BlockHash,
        id: RequestId,
    ) -> Result<Option<RequestRecord>, ChainError> {
        self.link()?.query("ThresholdApi_request", &id, at).await
    }

    async fn submit(&self, submission: Submission) -> Result<(), ChainError> {
        let link = self.link()?;
        let tip = self
            .shared
            .lock()
            .tip
            .ok_or_else(|| ChainError::Unreachable("no block has been seen yet".into()))?;
        let format = self.format(&link, &tip).await?;
        link.submit(&format.encode(&submission, tip.anchor())).await
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole after each statement that changes it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn publish(&self, news: Result<Heads, ChainError>) {
        let mut state = self.lock();
        if let Ok(heads) = &news {
            state.tip = Some(Tip {
                hash: heads.best.hash,
                spec_version: heads.best.view.spec_version,
                best: heads.best.view.block,
                finalized: heads.finalized.view.block,
            });
        }
        state.unread = Some(news);
        drop(state);
        self.news.notify_one();
    }
}

impl Tip {
    /// The block at which a transaction's era begins: the finalized one, which other nodes know too, unless finality lags far behind.
    fn anchor(&self) -> BlockNumber {
        self.finalized.max(self.best.saturating_sub(MAX_ANCHOR_LAG))
    }
}
