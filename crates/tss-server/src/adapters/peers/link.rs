//! One peer, its present link, and the two tasks that read and write a link.

use std::{
    collections::VecDeque,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use entropy_shared::{PartyId, canonical::ServerInfo};
use futures::{SinkExt, StreamExt};
use snow::StatelessTransportState;
use tokio::{
    runtime::Handle,
    sync::{Notify, oneshot},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep, timeout},
};

use super::{
    Shared, Timing,
    handshake::{BootId, Session},
    queue::{Outbox, Source},
    socket::{Receiver, Sender, Socket, SocketError},
    wire::{Assembler, Chunk, MAX_MESSAGE_BYTES, TAG_BYTES, TooLong},
};

/// Processes of one peer that are remembered after another took their place.
const REMEMBERED_BOOTS: usize = 16;

/// A peer that the chain names. Replaced by another when the chain changes what it says of the peer.
pub(super) struct Peer {
    info: ServerInfo,
    /// Whether it is this side that dials.
    dials: bool,
    outbox: Outbox,
    source: Arc<Source>,
    state: Mutex<State>,
    /// Wakes the dialling task: the link is lost, or is to be renewed.
    wake: Notify,
}

#[derive(Default)]
struct State {
    closed: bool,
    current: Option<Link>,
    /// Links so far.
    count: u64,
    renewal_wanted: bool,
    boot: Option<BootId>,
    /// Earlier processes; one that comes back was alive all the time.
    earlier_boots: VecDeque<BootId>,
    duplicated: bool,
    /// All tasks of the peer, those of replaced links too.
    tasks: JoinSet<()>,
}

/// The link in use.
struct Link {
    number: u64,
    since: Instant,
    reader: Task,
    writer: Task,
    /// Tells the writer to finish: a successor is there.
    retire: Arc<Notify>,
    /// Tells the writer to ask the dialling side for a renewal.
    ask: Arc<Notify>,
}

/// One half of a link, running until it ends or this is dropped.
struct Task {
    abort: AbortHandle,
    done: oneshot::Receiver<()>,
}

impl Task {
    /// Waits until the half has nothing more to do: at the latest when its side of the peer has been silent, or stuck, too long.
    async fn finish(mut self) {
        // The sender's drop is what is waited for.
        drop((&mut self.done).await);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

/// Why a link ended.
#[derive(Debug, thiserror::Error)]
enum LinkError {
    #[error(transparent)]
    Socket(#[from] SocketError),
    #[error("nothing was heard of the peer")]
    Silent,
    #[error("the peer does not read")]
    Stuck,
    #[error("a message was not made with the link's keys: {0}")]
    Noise(#[from] snow::Error),
    #[error("a message is malformed")]
    Malformed,
    #[error("a frame is too long")]
    TooLong,
}

impl From<TooLong> for LinkError {
    fn from(_: TooLong) -> Self {
        Self::TooLong
    }
}

impl Peer {
    /// A peer without link.
    pub(super) fn new(info: ServerInfo, dials: bool) -> Self {
        Self {
            info,
            dials,
            outbox: Outbox::default(),
            source: Arc::default(),
            state: Mutex::default(),
            wake: Notify::new(),
        }
    }

    pub(super) fn id(&self) -> PartyId {
        self.info.server
    }

    pub(super) fn info(&self) -> &ServerInfo {
        &self.info
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state().current.is_some()
    }

    pub(super) fn is_duplicated(&self) -> bool {
        self.state().duplicated
    }

    /// How many links there have been.
    #[cfg(test)]
    pub(super) fn count(&self) -> u64 {
        self.state().count
    }

    /// Queues a frame if there is a link and room.
    pub(super) fn send(&self, frame: Vec<u8>) -> bool {
        self.is_connected() && self.outbox.push(frame)
    }

    /// Has the present link, if there is one, replaced by a fresh one.
    pub(super) fn renew(&self) {
        let mut state = self.state();
        let Some(link) = &state.current else { return };
        if self.dials {
            state.renewal_wanted = true;
            self.wake.notify_one();
        } else {
            link.ask.notify_one();
        }
    }

    /// Runs a task until it ends or the peer is closed.
    pub(super) fn spawn(&self, runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
        let mut state = self.state();
        if !state.closed {
            state.spawn(runtime, task);
        }
    }

    /// Ends everything at once; frames that were not asked for are forgotten.
    pub(super) fn close(&self) {
        self.source.close();
        let mut state = self.state();
        state.closed = true;
        state.current = None;
        state.tasks.abort_all();
    }

    /// Waits until a link must be dialled, and says if a live one is there to hand over.
    pub(super) async fn needs_link(&self, timing: &Timing) -> bool {
        loop {
            let age = {
                let mut state = self.state();
                let renewal_wanted = std::mem::take(&mut state.renewal_wanted);
                match &state.current {
                    None => return false,
                    Some(_) if renewal_wanted => return true,
                    Some(link) => link.since.elapsed(),
                }
            };
            let Some(left) = timing.renew_after.checked_sub(age) else {
                return true;
            };
            // Over or not, the state is looked at again.
            drop(timeout(left, self.wake.notified()).await);
        }
    }

    /// Makes an authenticated connection the link in use.
    pub(super) fn adopt(self: &Arc<Self>, shared: &Arc<Shared>, session: Session, socket: Socket) {
        let mut state = self.state();
        if state.closed {
            return;
        }
        let restarted = state.boot.is_some_and(|boot| boot != session.remote_boot);
        self.note_boot(&mut state, session.remote_boot);
        if restarted {
            // A new process knows nothing of what the old one was to hear.
            self.outbox.clear();
        }
        // Unless the dialling side hands over, it has given the link up: dropping it closes it.
        let previous = state
            .current
            .take()
            .filter(|_| session.renews && !restarted);
        let (old_reader, old_writer) = match previous {
            Some(link) => {
                link.retire.notify_one();
                (Some(link.reader), Some(link.writer))
            }
            None => (None, None),
        };
        state.count += 1;
        let number = state.count;
        let (retire, ask) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let noise = Arc::new(session.noise);
        let incoming = Incoming {
            shared: shared.clone(),
            peer: self.clone(),
            number,
            noise: noise.clone(),
            nonce: session.receive_nonce,
            receiver: socket.receiver,
        };
        let outgoing = Outgoing {
            timing: shared.timing,
            peer: self.clone(),
            number,
            noise,
            nonce: session.send_nonce,
            sender: socket.sender,
            retire: retire.clone(),
            ask: ask.clone(),
        };
        let reader = state.spawn_half(&shared.runtime, |done| incoming.run(old_reader, done));
        let writer = state.spawn_half(&shared.runtime, |done| outgoing.run(old_writer, done));
        state.current = Some(Link {
            number,
            since: Instant::now(),
            reader,
            writer,
            retire,
            ask,
        });
        tracing::info!(peer = %self.id(), renewed = session.renews, "linked");
    }

    /// Notices a second process with the peer's keys: an earlier one comes back, though another had taken its place.
    fn note_boot(&self, state: &mut State, boot: BootId) {
        if state.earlier_boots.contains(&boot) && !state.duplicated {
            state.duplicated = true;
            tracing::error!(peer = %self.id(), "two processes with the keys of this peer are alive");
        }
        if let Some(earlier) = state.boot.replace(boot).filter(|earlier| *earlier != boot) {
            if state.earlier_boots.len() == REMEMBERED_BOOTS {
                state.earlier_boots.pop_front();
            }
            state.earlier_boots.push_back(earlier);
        }
    }

    /// Link `number` has ended; nothing happens if another one is in use.
    fn lost(&self, number: u64) {
        let mut state = self.state();
        if state
            .current
            .take_if(|link| link.number == number)
            .is_some()
        {
            self.wake.notify_one();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn spawn(
        &mut self,
        runtime: &Handle,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> AbortHandle {
        while self.tasks.try_join_next().is_some() {}
        self.tasks.spawn_on(task, runtime)
    }

    /// Runs a half of a link, which drops `done` when a successor may go on.
    fn spawn_half<F: Future<Output = ()> + Send + 'static>(
        &mut self,
        runtime: &Handle,
        half: impl FnOnce(oneshot::Sender<()>) -> F,
    ) -> Task {
        let (sender, done) = oneshot::channel();
        Task {
            abort: self.spawn(runtime, half(sender)),
            done,
        }
    }
}

/// Gives the link up when a task ends in any way: a return, a panic, an abort.
struct GivesUp<'a> {
    peer: &'a Peer,
    number: u64,
}

impl Drop for GivesUp<'_> {
    fn drop(&mut self) {
        self.peer.lost(self.number);
    }
}

fn report(peer: &Peer, error: &LinkError) {
    match error {
        LinkError::Socket(_) | LinkError::Silent => {
            tracing::info!(peer = %peer.id(), %error, "a link ended")
        }
        _ => tracing::warn!(peer = %peer.id(), %error, "a link was closed"),
    }
}

/// The reading half of a link.
struct Incoming {
    shared: Arc<Shared>,
    peer: Arc<Peer>,
    number: u64,
    noise: Arc<StatelessTransportState>,
    nonce: u64,
    receiver: Receiver,
}

impl Incoming {
    async fn run(mut self, predecessor: Option<Task>, done: oneshot::Sender<()>) {
        let peer = self.peer.clone();
        let _gives_up = GivesUp {
            peer: &peer,
            number: self.number,
        };
        if let Some(predecessor) = predecessor {
            // Its frames were sent before ours.
            predecessor.finish().await;
        }
        match self.read().await {
            Ok(()) => {
                // The link ends for a successor, which may be here a moment later.
                drop(done);
                sleep(self.shared.timing.silence).await;
            }
            Err(error) => report(&peer, &error),
        }
    }

    /// Reads until the peer says that it was the last.
    async fn read(&mut self) -> Result<(), LinkError> {
        let mut assembler = Assembler::default();
        let mut plain = vec![0; MAX_MESSAGE_BYTES];
        loop {
            let message = timeout(self.shared.timing.silence, self.receiver.next())
                .await
                .map_err(|_| LinkError::Silent)?
                .unwrap_or(Err(SocketError::Closed))?;
            let length = self.noise.read_message(self.nonce, &message, &mut plain)?;
            self.nonce += 1;
            let frame = match Chunk::decode(&plain[..length]).ok_or(LinkError::Malformed)? {
                Chunk::KeepAlive => None,
                Chunk::Part(piece) => assembler.push(piece, false)?,
                Chunk::Last(piece) => assembler.push(piece, true)?,
                Chunk::Renew => {
                    if self.peer.dials {
                        self.peer.renew();
                    }
                    None
                }
                Chunk::End if assembler.is_partial() => return Err(LinkError::Malformed),
                Chunk::End => return Ok(()),
            };
            if let Some(frame) = frame
                && !self
                    .shared
                    .inbox
                    .push(self.peer.id(), &self.peer.source, frame)
                    .await
            {
                return Ok(());
            }
        }
    }
}

/// The writing half of a link.
struct Outgoing {
    timing: Timing,
    peer: Arc<Peer>,
    number: u64,
    noise: Arc<StatelessTransportState>,
    nonce: u64,
    sender: Sender,
    retire: Arc<Notify>,
    ask: Arc<Notify>,
}

impl Outgoing {
    async fn run(mut self, predecessor: Option<Task>, _done: oneshot::Sender<()>) {
        let peer = self.peer.clone();
        let _gives_up = GivesUp {
            peer: &peer,
            number: self.number,
        };
        if let Some(predecessor) = predecessor {
            // It finishes the frame that it has begun; the rest of the queue is ours.
            predecessor.finish().await;
        }
        if let Err(error) = self.write().await {
            report(&peer, &error);
        }
    }

    /// Writes until a successor is there.
    async fn write(&mut self) -> Result<(), LinkError> {
        loop {
            tokio::select! {
                biased;
                () = self.retire.notified() => return self.write_chunk(Chunk::End).await,
                () = self.ask.notified() => self.write_chunk(Chunk::Renew).await?,
                frame = self.peer.outbox.next() => {
                    for chunk in Chunk::of_frame(&frame) {
                        self.write_chunk(chunk).await?;
                    }
                }
                () = sleep(self.timing.keep_alive) => self.write_chunk(Chunk::KeepAlive).await?,
            }
        }
    }

    async fn write_chunk(&mut self, chunk: Chunk<'_>) -> Result<(), LinkError> {
        let mut plain = Vec::new();
        chunk.encode_to(&mut plain);
        let mut message = vec![0; plain.len() + TAG_BYTES];
        self.noise.write_message(self.nonce, &plain, &mut message)?;
        self.nonce += 1;
        timeout(self.timing.silence, self.sender.send(message.into()))
            .await
            .map_err(|_| LinkError::Stuck)??;
        Ok(())
    }
}
