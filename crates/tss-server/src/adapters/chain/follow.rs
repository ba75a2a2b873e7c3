//! The task that keeps a connection and publishes the newest heads. Ends only when it is aborted.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use entropy_shared::{Genesis, PartyId};

use super::{Shared, link::Link};
use crate::ports::{BlockHash, ChainError, Head, Heads};

const FIRST_DELAY: Duration = Duration::from_millis(250);
const LONGEST_DELAY: Duration = Duration::from_secs(15);

/// Views that are kept: a finalized block was a best block before, and its view is then known already.
const KEPT_VIEWS: usize = 16;

/// Connects, follows, and connects again.
pub(super) struct Follower {
    nodes: Vec<String>,
    genesis: Genesis,
    party: PartyId,
    shared: Arc<Shared>,
}

/// The views of the newest blocks.
#[derive(Default)]
struct Views(VecDeque<Head>);

impl Follower {
    pub(super) fn new(
        nodes: Vec<String>,
        genesis: Genesis,
        party: PartyId,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            nodes,
            genesis,
            party,
            shared,
        }
    }

    pub(super) async fn run(self) {
        let mut delays = delays();
        loop {
            for node in &self.nodes {
                let link = match Link::connect(node, self.genesis).await {
                    Ok(link) => Arc::new(link),
                    Err(error) => {
                        tracing::warn!(%node, %error, "cannot follow the chain through this node");
                        self.shared.publish(Err(error));
                        continue;
                    }
                };
                tracing::info!(%node, "connected");
                self.shared.lock().link = Some(link.clone());
                let mut seen = false;
                let error = self.follow(&link, &mut seen).await;
                self.shared.lock().link = None;
                tracing::warn!(%node, %error, "the connection to the node broke");
                self.shared.publish(Err(error));
                if seen {
                    // It worked: the next attempt is the first of a new series, and begins with the preferred node.
                    delays = self::delays();
                    break;
                }
            }
            tokio::time::sleep(delays.next().unwrap_or(LONGEST_DELAY)).await;
        }
    }

    /// Publishes heads until the connection breaks; says why. `seen` becomes true with the first heads.
    async fn follow(&self, link: &Link, seen: &mut bool) -> ChainError {
        match self.try_follow(link, seen).await {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    async fn try_follow(
        &self,
        link: &Link,
        seen: &mut bool,
    ) -> Result<std::convert::Infallible, ChainError> {
        let mut best_heads = link.best_heads().await?;
        let mut finalized_heads = link.finalized_heads().await?;
        let mut best = best_heads.newest().await?;
        let mut finalized = finalized_heads.newest().await?;
        let mut views = Views::default();
        loop {
            match self.heads(link, &mut views, best, finalized).await {
                Ok(heads) => {
                    *seen = true;
                    self.shared.publish(Ok(heads));
                }
                Err(error @ ChainError::Unreachable(_)) => return Err(error),
                // The node is there but its runtime does not answer as it should: a later block may.
                Err(error) => {
                    tracing::warn!(%error, "the chain's view cannot be read");
                    self.shared.publish(Err(error));
                }
            }
            let before = (best, finalized);
            while before == (best, finalized) {
                tokio::select! {
                    hash = best_heads.newest() => best = hash?,
                    hash = finalized_heads.newest() => finalized = hash?,
                }
            }
        }
    }

    async fn heads(
        &self,
        link: &Link,
        views: &mut Views,
        best: BlockHash,
        finalized: BlockHash,
    ) -> Result<Heads, ChainError> {
        Ok(Heads {
            best: views.get(link, &self.party, best).await?,
            finalized: views.get(link, &self.party, finalized).await?,
        })
    }
}

impl Views {
    async fn get(
        &mut self,
        link: &Link,
        party: &PartyId,
        hash: BlockHash,
    ) -> Result<Head, ChainError> {
        if let Some(known) = self.0.iter().find(|head| head.hash == hash) {
            return Ok(known.clone());
        }
        let head = link.view(party, hash).await?;
        if self.0.len() == KEPT_VIEWS {
            self.0.pop_front();
        }
        self.0.push_back(head.clone());
        Ok(head)
    }
}

/// Growing, jittered, without end: servers whose node restarted do not come back all at once.
fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_DELAY)
        .with_max_delay(LONGEST_DELAY)
        .without_max_times()
        .with_jitter()
        .build()
}
