//! Executes what the coordinator decides, in the order persist, send, report.
//!
//! Knows ports only. Ceremonies' steps and the store run on blocking threads; one event at a time reaches the
//! coordinator, from the chain, the peers, the ceremonies and the clock.

mod ceremony;
mod mailbox;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use ed25519_dalek::{Signer, SigningKey};
use entropy_protocol::{Failure, KeyShare};
use entropy_shared::{CeremonyId, PartyId, canonical, canonical::ServerInfo};
use rand_core::OsRng;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, MissedTickBehavior, interval},
};
use tracing::{debug, error, info, warn};

use crate::{
    coordinator::{Command, Coordinator, Event},
    frames::Frame,
    ports::{Chain, ChainError, Heads, Peers, ShareName, ShareStore, StoreError, Submission},
    status::{Identity, Status},
};
use ceremony::{Happening, Inbox, Work};
use mailbox::Mailbox;

/// How often the coordinator is told that time passes.
const TICK: Duration = Duration::from_millis(200);
/// Events that may wait for the coordinator.
const EVENT_QUEUE: usize = 1_024;

/// Why the engine cannot start or go on. An operator must act.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored share decrypts but is none.
    #[error("a stored share cannot be read: {0}")]
    Share(#[from] entropy_protocol::DecodeError),
    /// A blocking task was lost.
    #[error("a task of the server ended unexpectedly")]
    TaskLost,
}

/// The server at work: see [`Engine::run`].
pub struct Engine<C, P, S> {
    chain: Arc<C>,
    peers: Arc<P>,
    store: Arc<S>,
    account: Arc<SigningKey>,
    identity: Identity,
    coordinator: Coordinator,
    shares: BTreeMap<ShareName, Arc<KeyShare>>,
    ceremonies: HashMap<CeremonyId, Inbox>,
    mailbox: Mailbox,
    peer_infos: Vec<ServerInfo>,
    renew_links: bool,
    /// Prime search and the like: one at a time, so that it never delays a signature of another scheme for long.
    heavy: Arc<Semaphore>,
    events: mpsc::Sender<Happening>,
    incoming: Option<mpsc::Receiver<Happening>>,
    status: watch::Sender<Status>,
    started: Instant,
}

impl<C: Chain, P: Peers, S: ShareStore> Engine<C, P, S> {
    /// An engine over these ports; reads the shares that the store holds.
    pub async fn new(
        chain: Arc<C>,
        peers: Arc<P>,
        store: Arc<S>,
        account: SigningKey,
        identity: Identity,
    ) -> Result<Self, EngineError> {
        let reader = store.clone();
        let held = blocking(move || -> Result<_, EngineError> {
            let mut held = Vec::new();
            for (name, stage) in reader.list()? {
                held.push((stage, KeyShare::decode(&reader.load(&name)?)?, name));
            }
            Ok(held)
        })
        .await??;
        let known = held
            .iter()
            .map(|(stage, share, name)| (name.clone(), *stage, share.public().clone()));
        let coordinator =
            Coordinator::new(identity.party, identity.genesis, known.collect::<Vec<_>>());
        let (events, incoming) = mpsc::channel(EVENT_QUEUE);
        info!(shares = held.len(), party = %identity.party, "share store opened");
        let mut engine = Self {
            chain,
            peers,
            store,
            account: Arc::new(account),
            identity,
            coordinator,
            shares: held
                .into_iter()
                .map(|(_, share, name)| (name, Arc::new(share)))
                .collect(),
            ceremonies: HashMap::new(),
            mailbox: Mailbox::default(),
            peer_infos: Vec::new(),
            renew_links: false,
            heavy: Arc::new(Semaphore::new(1)),
            events,
            incoming: Some(incoming),
            status: watch::Sender::new(Status::default()),
            started: Instant::now(),
        };
        engine.publish(|_| {});
        Ok(engine)
    }

    /// What the engine knows, as it changes.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// Runs until `shutdown` resolves. What is then under way is abandoned: nothing that was acknowledged is lost.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), EngineError> {
        let Some(mut incoming) = self.incoming.take() else {
            return Err(EngineError::TaskLost);
        };
        let (heads_tx, mut heads) = mpsc::channel(1);
        let chain = self.chain.clone();
        let follower = tokio::spawn(async move {
            // The adapter waits between attempts to reach the node, so this cannot spin.
            while heads_tx.send(chain.next_heads().await).await.is_ok() {}
        });
        let (frames_tx, mut frames) = mpsc::channel(EVENT_QUEUE);
        let peers = self.peers.clone();
        let receiver =
            tokio::spawn(
                async move { while frames_tx.send(peers.receive().await).await.is_ok() {} },
            );
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tokio::pin!(shutdown);
        let ended = loop {
            let result = tokio::select! {
                () = &mut shutdown => break Ok(()),
                Some(heads) = heads.recv() => self.on_heads(heads).await,
                Some(happening) = incoming.recv() => self.on_happening(happening).await,
                Some((from, bytes)) = frames.recv() => self.on_frame(from, &bytes).await,
                _ = ticks.tick() => self.on_tick().await,
            };
            if let Err(error) = result {
                break Err(error);
            }
        };
        follower.abort();
        receiver.abort();
        info!(abandoned = self.ceremonies.len(), "engine stopped");
        ended
    }

    async fn on_heads(&mut self, heads: Result<Heads, ChainError>) -> Result<(), EngineError> {
        match heads {
            Ok(heads) => {
                if self.peer_infos != heads.finalized.view.peers {
                    self.peer_infos.clone_from(&heads.finalized.view.peers);
                    self.peers.set_peers(self.peer_infos.clone());
                }
                metrics::gauge!("entropy_best_block").set(heads.best.view.block);
                metrics::gauge!("entropy_finalized_block").set(heads.finalized.view.block);
                let shown = Arc::new(heads.clone());
                self.publish(|status| {
                    status.heads = Some(shown);
                    status.heads_seen = Some(Instant::now());
                    status.chain_error = None;
                });
                self.on_event(Event::Heads(Box::new(heads))).await
            }
            Err(error) => {
                warn!(%error, "the chain does not answer");
                self.publish(|status| status.chain_error = Some(error.to_string()));
                Ok(())
            }
        }
    }

    async fn on_tick(&mut self) -> Result<(), EngineError> {
        self.mailbox.forget_old(Instant::now());
        let connected = self.peers.connected();
        if self.status.borrow().connected != connected {
            metrics::gauge!("entropy_peers_connected").set(connected.len() as f64);
            self.publish(|status| status.connected.clone_from(&connected));
            return self.on_event(Event::Connected(connected)).await;
        }
        if self.renew_links && self.ceremonies.is_empty() {
            // A later theft of a static key then opens no recorded share.
            self.renew_links = false;
            self.peers.renew();
        }
        self.on_event(Event::Tick).await
    }

    async fn on_frame(&mut self, from: PartyId, bytes: &[u8]) -> Result<(), EngineError> {
        match Frame::decode_strict(bytes) {
            Some(Frame::Ceremony { id, payload }) => {
                match self.ceremonies.get_mut(&id) {
                    Some(inbox) => inbox.deliver(from, payload),
                    None => self.mailbox.keep(id, from, payload, Instant::now()),
                }
                Ok(())
            }
            Some(frame) => self.on_event(Event::Frame { from, frame }).await,
            None => {
                warn!(%from, length = bytes.len(), "a peer sent bytes that are no frame");
                Ok(())
            }
        }
    }

    async fn on_happening(&mut self, happening: Happening) -> Result<(), EngineError> {
        // Before the coordinator knows of the share, so that it can sign with it at once.
        self.shares.extend(happening.share);
        self.on_event(happening.event).await
    }

    async fn on_event(&mut self, event: Event) -> Result<(), EngineError> {
        if let Event::KeygenEnded { id, .. } | Event::SigningEnded { id, .. } = &event {
            self.ceremonies.remove(id);
            self.mailbox.close(*id);
        }
        let now = self.started.elapsed().as_millis() as u64;
        let commands = self.coordinator.handle(event, now, &mut OsRng);
        for command in commands {
            self.execute(command).await?;
        }
        Ok(())
    }

    async fn execute(&mut self, command: Command) -> Result<(), EngineError> {
        match command {
            Command::StartKeygen(context) => {
                info!(scheme = %context.scheme, epoch = context.epoch, attempt = context.attempt, "key generation starts");
                let work = Work::Keygen(context);
                self.start(work);
            }
            Command::StartSigning { context, share } => match self.shares.get(&share) {
                Some(share) => {
                    let work = Work::Sign(context, share.clone());
                    self.start(work);
                }
                None => {
                    let result = Err(Failure::unattributed("the share is not in the store"));
                    self.later(Event::SigningEnded {
                        id: context.id(),
                        result,
                    });
                }
            },
            Command::Expire(id) => {
                if let Some(inbox) = self.ceremonies.get(&id) {
                    inbox.expire();
                }
            }
            Command::Send { to, frame } => {
                if !self.peers.send(&to, codec::Encode::encode(&frame)) {
                    debug!(%to, "no link, or its queue is full");
                }
            }
            Command::LookUp {
                request,
                key,
                best,
                finalized,
            } => {
                let (chain, events) = (self.chain.clone(), self.events.clone());
                tokio::spawn(async move {
                    let found = async {
                        let record = chain.request(best, request).await?;
                        let best_key = chain.key(best, key).await?;
                        let finalized_key = chain.key(finalized, key).await?;
                        Ok::<_, ChainError>((record, best_key, finalized_key))
                    };
                    let event = match found.await {
                        Ok((record, best_key, finalized_key)) => Event::LookedUp {
                            id: request,
                            request: record.map(Box::new),
                            best_key,
                            finalized_key,
                        },
                        Err(error) => {
                            warn!(%error, %request, "a request could not be looked up");
                            Event::LookUpFailed { id: request }
                        }
                    };
                    // The engine has stopped: nobody waits for the answer.
                    drop(events.send(event.into()).await);
                });
            }
            Command::Promote(name) => {
                info!(scheme = %name.scheme, epoch = name.epoch, attempt = name.attempt, "share is active");
                let store = self.store.clone();
                blocking(move || store.promote(&name)).await??;
                self.renew_links = true;
                self.publish(|_| {});
            }
            Command::Erase(name) => {
                info!(scheme = %name.scheme, epoch = name.epoch, attempt = name.attempt, "share is erased");
                self.shares.remove(&name);
                let store = self.store.clone();
                blocking(move || store.erase(&name)).await??;
                self.publish(|_| {});
            }
            Command::Report {
                report,
                valid_until,
            } => {
                info!(scheme = %report.scheme, attempt = report.attempt, ready = report.is_ready(), "key generation reported");
                let bytes =
                    canonical::attempt_report_bytes(&self.identity.genesis, &report, valid_until);
                let signature = self.account.sign(&bytes).to_bytes();
                self.submit(Submission::Keygen {
                    report,
                    valid_until,
                    signature,
                });
            }
            Command::SubmitResult {
                request,
                signature,
                valid_until,
            } => {
                let server = self.identity.party;
                let bytes = canonical::result_bytes(
                    &self.identity.genesis,
                    &server,
                    &request,
                    &signature,
                    valid_until,
                );
                let server_signature = self.account.sign(&bytes).to_bytes();
                self.submit(Submission::Result {
                    request,
                    signature,
                    server,
                    valid_until,
                    server_signature,
                });
            }
        }
        Ok(())
    }

    /// Hands a submission to the node. If it does not get into a block, the coordinator asks again.
    fn submit(&self, submission: Submission) {
        let chain = self.chain.clone();
        tokio::spawn(async move {
            if let Err(error) = chain.submit(submission).await {
                // Usual where several servers hold the same signature: one is taken, the others are not needed.
                debug!(%error, "a submission was not taken");
            }
        });
    }

    fn start(&mut self, work: Work) {
        let id = work.id();
        let mut inbox = ceremony::spawn(
            work,
            ceremony::Surroundings {
                me: self.identity.party,
                account: self.account.clone(),
                peers: self.peers.clone(),
                store: self.store.clone(),
                heavy: self.heavy.clone(),
                events: self.events.clone(),
            },
        );
        for (from, payload) in self.mailbox.take(&id) {
            inbox.deliver(from, payload);
        }
        self.ceremonies.insert(id, inbox);
    }

    /// Tells the coordinator of something after what it is told now.
    fn later(&self, event: Event) {
        let events = self.events.clone();
        // Fails only if the engine has stopped.
        tokio::spawn(async move { drop(events.send(event.into()).await) });
    }

    fn publish(&mut self, change: impl FnOnce(&mut Status)) {
        let shares = self
            .coordinator
            .shares()
            .map(|(name, stage)| (name.clone(), stage))
            .collect();
        self.status.send_modify(|status| {
            status.shares = shares;
            change(status);
        });
    }
}

/// Runs something that blocks on a thread for it.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, EngineError> {
    tokio::task::spawn_blocking(call).await.map_err(|error| {
        error!(%error, "a blocking task was lost");
        EngineError::TaskLost
    })
}
