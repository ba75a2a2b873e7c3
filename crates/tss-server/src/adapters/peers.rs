//! Links to the peers that the chain names: one WebSocket for each pair of servers, Noise inside, at [`PATH`].
//!
//! May not know what a frame means, nor take a peer, a key or an address from anywhere but [`Peers::set_peers`].
//!
//! The server with the lower account dials, the other only accepts, so a pair has one link. The handshake is
//! `Noise_KK_25519_ChaChaPoly_BLAKE2s`: both static keys are known from the chain. A plain hello names versions, chain and
//! both accounts, so that the accepting side knows whose key to expect and refuses strangers before any computation; it is
//! the handshake's prologue, so that altering it breaks the handshake. A link counts only after the dialling side has sent
//! a first message under the new keys: a recorded handshake that is replayed replaces nothing.
//!
//! A link that is renewed hands over without loss: both sides finish their frame on the old link, say that it was the
//! last, and go on with the new one, whose frames are read after the old link's last. A link that breaks loses what was
//! under way, as it must; queued frames go over the next one, unless the peer has been restarted meanwhile.
//!
//! Behind a reverse proxy all peers have the proxy's address: the limit for each remote then is one for all who fail.

mod dial;
mod gate;
mod handshake;
mod link;
mod queue;
mod socket;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use axum::{
    Extension, Router,
    extract::{
        ConnectInfo, State,
        ws::{WebSocket, WebSocketUpgrade},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use entropy_shared::{Genesis, PartyId, canonical::ServerInfo};
use rand_core::{OsRng, RngCore};
use tokio::{runtime::Handle, time::timeout};
use zeroize::Zeroizing;

use self::{
    gate::{Gate, Permit},
    handshake::Local,
    link::Peer,
    queue::Inbox,
    socket::Socket,
};
use crate::{frames::MAX_FRAME_BYTES, ports::Peers};

/// Where a server accepts its peers' links.
pub const PATH: &str = "/v1/peer";

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// From the connection's beginning until the link is authenticated.
    pub(crate) handshake: Duration,
    /// Pause after which an idle side shows that it is there.
    pub(crate) keep_alive: Duration,
    /// Silence, or a write that makes no progress, after which a link is given up.
    pub(crate) silence: Duration,
    /// Age at which a link is renewed.
    pub(crate) renew_after: Duration,
    /// Age at which a link has shown that dialling works: the back-off begins anew.
    pub(crate) stable: Duration,
    /// First pause after dialling; the next are longer, with jitter.
    pub(crate) redial_min: Duration,
    /// Longest pause after dialling, jitter aside.
    pub(crate) redial_max: Duration,
}

impl Timing {
    const PRODUCTION: Self = Self {
        handshake: Duration::from_secs(10),
        keep_alive: Duration::from_secs(10),
        silence: Duration::from_secs(30),
        renew_after: Duration::from_secs(3600),
        stable: Duration::from_secs(30),
        redial_min: Duration::from_millis(250),
        redial_max: Duration::from_secs(10),
    };
}

/// All links of one server. Dropping it closes them, and refuses whoever comes by [`Self::routes`] afterwards.
pub struct WebSocketPeers {
    shared: Arc<Shared>,
}

struct Shared {
    local: Local,
    timing: Timing,
    runtime: Handle,
    gate: Gate,
    inbox: Inbox,
    peers: RwLock<BTreeMap<PartyId, Arc<Peer>>>,
}

impl WebSocketPeers {
    /// The links of the server `me`, none so far. `noise_secret` is the X25519 secret of the key that the chain publishes.
    ///
    /// Panics outside of a tokio runtime with time and network.
    pub fn new(me: PartyId, noise_secret: Zeroizing<[u8; 32]>, genesis: Genesis) -> Self {
        Self::with_timing(me, noise_secret, genesis, Timing::PRODUCTION)
    }

    /// [`Self::new`] in another time.
    pub(crate) fn with_timing(
        me: PartyId,
        noise_secret: Zeroizing<[u8; 32]>,
        genesis: Genesis,
        timing: Timing,
    ) -> Self {
        let mut boot = [0; 16];
        OsRng.fill_bytes(&mut boot);
        let shared = Shared {
            local: Local {
                me,
                noise_secret,
                genesis,
                boot,
            },
            timing,
            runtime: Handle::current(),
            gate: Gate::default(),
            inbox: Inbox::default(),
            peers: RwLock::default(),
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// The route [`PATH`], to be merged into the server's HTTP routes.
    ///
    /// Serve it by `into_make_service_with_connect_info::<SocketAddr>()`: without the remote's address, attempts are
    /// limited in number for all remotes together only.
    pub fn routes(&self) -> Router {
        Router::new()
            .route(PATH, any(upgrade))
            .with_state(self.shared.clone())
    }

    /// Peers of which two processes were seen alive at the same time, both with the peer's keys: an operator must look.
    /// Remembered until the chain says something new of the peer, or this process ends.
    pub fn duplicated(&self) -> BTreeSet<PartyId> {
        self.shared.filtered(Peer::is_duplicated)
    }
}

impl Drop for WebSocketPeers {
    fn drop(&mut self) {
        self.shared.set_peers(Vec::new());
    }
}

impl Peers for WebSocketPeers {
    fn set_peers(&self, peers: Vec<ServerInfo>) {
        self.shared.set_peers(peers);
    }

    fn connected(&self) -> BTreeSet<PartyId> {
        self.shared.filtered(Peer::is_connected)
    }

    fn send(&self, to: &PartyId, frame: Vec<u8>) -> bool {
        if frame.len() > MAX_FRAME_BYTES {
            tracing::error!(peer = %to, bytes = frame.len(), "a frame is too long and was not sent");
            return false;
        }
        self.shared.peer(to).is_some_and(|peer| peer.send(frame))
    }

    async fn receive(&self) -> (PartyId, Vec<u8>) {
        self.shared.inbox.next().await
    }

    fn renew(&self) {
        for peer in self.shared.all() {
            peer.renew();
        }
    }
}

impl Shared {
    fn peer(&self, id: &PartyId) -> Option<Arc<Peer>> {
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(id)
            .cloned()
    }

    fn all(&self) -> Vec<Arc<Peer>> {
        self.peers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .cloned()
            .collect()
    }

    fn filtered(&self, keep: impl Fn(&Peer) -> bool) -> BTreeSet<PartyId> {
        self.all()
            .iter()
            .filter(|peer| keep(peer))
            .map(|peer| peer.id())
            .collect()
    }

    fn set_peers(self: &Arc<Self>, infos: Vec<ServerInfo>) {
        let me = self.local.me;
        let wanted: BTreeMap<_, _> = infos
            .into_iter()
            .filter(|info| info.server != me)
            .map(|info| (info.server, info))
            .collect();
        let mut peers = self.peers.write().unwrap_or_else(PoisonError::into_inner);
        peers.retain(|id, peer| {
            let stays = wanted.get(id) == Some(peer.info());
            if !stays {
                peer.close();
            }
            stays
        });
        for (id, info) in wanted {
            peers.entry(id).or_insert_with(|| {
                let peer = Arc::new(Peer::new(info, me < id));
                if me < id {
                    peer.spawn(&self.runtime, dial::run(self.clone(), peer.clone()));
                }
                peer
            });
        }
    }

    /// The accepting side of a handshake; nothing a stranger does here is worth more than a debug message.
    async fn accept(self: Arc<Self>, socket: WebSocket, permit: Permit) {
        let mut socket = Socket::accepted(socket);
        let key_of = |id: &PartyId| self.peer(id).map(|peer| peer.info().noise_key);
        let answered = handshake::respond(&mut socket, &self.local, key_of);
        match timeout(self.timing.handshake, answered).await {
            Ok(Ok((id, session))) => {
                permit.refund();
                // One that was removed or has another key since, is another peer now.
                match self
                    .peer(&id)
                    .filter(|peer| peer.info().noise_key == session.remote_key)
                {
                    Some(peer) => peer.adopt(&self, session, socket),
                    None => tracing::debug!(peer = %id, "a peer was removed while it came"),
                }
            }
            Ok(Err(error)) => tracing::debug!(%error, "a link was refused"),
            Err(_) => tracing::debug!("a link was refused: the handshake took too long"),
        }
    }
}

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    remote: Option<Extension<ConnectInfo<SocketAddr>>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let Some(permit) = shared
        .gate
        .enter(remote.map(|Extension(ConnectInfo(address))| address.ip()))
    else {
        return (StatusCode::TOO_MANY_REQUESTS, "too many attempts to link").into_response();
    };
    socket::limited(upgrade).on_upgrade(move |socket| shared.accept(socket, permit))
}
