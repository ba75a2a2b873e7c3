//! What the engine tells the outside about itself, and what a server lacks to be ready. Pure; names no adapter.
//!
//! The engine publishes a [`Status`] through a `tokio::sync::watch` channel whenever something in it changes.

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use entropy_shared::{Genesis, PartyId, Scheme, canonical::ServerInfo, parameters::BLOCK_MILLIS};
use tokio::time::Instant;

use crate::ports::{Heads, ShareName, Stage};

/// Blocks of silence after which the chain counts as stalled, or the node as cut off from it.
const STALE_BLOCKS: u64 = 10;

/// Who this server is: fixed when its store was created, public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The server's account on the chain.
    pub party: PartyId,
    /// The X25519 public key that it proves to its peers.
    pub noise_key: [u8; 32],
    /// The chain that it is pinned to.
    pub genesis: Genesis,
}

/// What the engine knows at one moment.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// The last heads, with binding, keys and requests; `None` until the first came.
    pub heads: Option<Arc<Heads>>,
    /// When the last heads came.
    pub heads_seen: Option<Instant>,
    /// Why the chain does not answer, since the last heads came; `None` while it does.
    pub chain_error: Option<String>,
    /// The shares in the store.
    pub shares: Vec<(ShareName, Stage)>,
    /// Peers with a live link.
    pub connected: BTreeSet<PartyId>,
}

/// Something without which a server cannot take part in signing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    /// The node does not answer; why.
    Chain(String),
    /// No head has come yet, or none for this many seconds.
    RecentHeads(Option<u64>),
    /// No validator has bound this server.
    Binding,
    /// The validator published another Noise key than this server's: peers would refuse it.
    NoiseKey,
    /// The validator published an endpoint that no peer could dial.
    Endpoint,
    /// This server is a holder of the scheme's active key, but its share is not in use here.
    Share(Scheme),
    /// Too few of the scheme's holders are connected to sign.
    Peers {
        /// The scheme.
        scheme: Scheme,
        /// Holders with a live link.
        connected: usize,
        /// How many it needs besides itself.
        needed: usize,
    },
}

impl Missing {
    /// A stable, machine-readable name.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Chain(_) => "chain_unreachable",
            Self::RecentHeads(_) => "no_recent_heads",
            Self::Binding => "not_bound",
            Self::NoiseKey => "noise_key_mismatch",
            Self::Endpoint => "bad_endpoint",
            Self::Share(_) => "share_missing",
            Self::Peers { .. } => "too_few_peers",
        }
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Why is in the log: it may name the operator's node, and this text is for everybody.
            Self::Chain(_) => f.write_str("the node does not answer: see the server's log"),
            Self::RecentHeads(None) => f.write_str("no block has been seen yet"),
            Self::RecentHeads(Some(seconds)) => write!(f, "no new block for {seconds} seconds"),
            Self::Binding => {
                f.write_str("no validator has bound this server: see `entropy server bind`")
            }
            Self::NoiseKey => f.write_str(
                "the validator published another Noise key than this server's: bind it again",
            ),
            Self::Endpoint => f.write_str(
                "the validator published an endpoint that no peer can dial: bind it again",
            ),
            Self::Share(scheme) => write!(
                f,
                "the share of the active {scheme} key is not in the store"
            ),
            Self::Peers {
                scheme,
                connected,
                needed,
            } => {
                write!(
                    f,
                    "{connected} holders of the {scheme} key are connected, but signing needs {needed}"
                )
            }
        }
    }
}

impl Status {
    /// What this server lacks at time `now` to take part in signing; empty if it is ready.
    ///
    /// Judges by the finalized block. A server that holds no active key is ready once it is bound.
    pub fn missing(&self, identity: &Identity, now: Instant) -> Vec<Missing> {
        let mut missing = Vec::new();
        if let Some(error) = &self.chain_error {
            missing.push(Missing::Chain(error.clone()));
        }
        let age = self
            .heads_seen
            .map(|seen| now.saturating_duration_since(seen));
        if age.is_none_or(|age| age > Duration::from_millis(BLOCK_MILLIS * STALE_BLOCKS)) {
            missing.push(Missing::RecentHeads(age.map(|age| age.as_secs())));
        }
        let Some(heads) = &self.heads else {
            return missing;
        };
        let view = &heads.finalized.view;
        match &view.binding {
            None => missing.push(Missing::Binding),
            Some(binding) => missing.extend(check_binding(&binding.info, identity)),
        }
        for entry in &view.keys {
            let Some(key) = entry.state.active() else {
                continue;
            };
            if !key.committee.contains(&identity.party) {
                continue;
            }
            let name = ShareName {
                genesis: identity.genesis,
                scheme: entry.scheme,
                epoch: key.epoch,
                attempt: key.attempt,
                party: identity.party,
                public_digest: key.public_digest,
            };
            if !self.shares.contains(&(name, Stage::Active)) {
                missing.push(Missing::Share(entry.scheme));
            }
            let connected = self
                .connected
                .iter()
                .filter(|peer| key.committee.contains(peer))
                .count();
            let needed = usize::from(key.committee.threshold()) - 1;
            if connected < needed {
                missing.push(Missing::Peers {
                    scheme: entry.scheme,
                    connected,
                    needed,
                });
            }
        }
        missing
    }
}

fn check_binding(info: &ServerInfo, identity: &Identity) -> Option<Missing> {
    if info.noise_key != identity.noise_key {
        return Some(Missing::NoiseKey);
    }
    info.checked_endpoint()
        .is_none()
        .then_some(Missing::Endpoint)
}

#[cfg(test)]
pub(crate) mod tests;
