//! Bounded queues: one of frames to each peer, and one of frames from all of them that is fair between peers.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use entropy_shared::PartyId;
use tokio::sync::Notify;

/// Bounds of the frames to one peer.
const OUTBOX_FRAMES: usize = 256;
const OUTBOX_BYTES: usize = 8 << 20;

/// Bounds of the frames from one peer that have not been asked for; beyond them its link is not read.
const INBOX_FRAMES: usize = 64;
const INBOX_BYTES: usize = 4 << 20;

#[derive(Default)]
struct Frames {
    frames: VecDeque<Vec<u8>>,
    bytes: usize,
}

impl Frames {
    /// Whether there is room; an empty queue has room for every frame.
    fn has_room(&self, length: usize, max_frames: usize, max_bytes: usize) -> bool {
        self.frames.is_empty()
            || (self.frames.len() < max_frames && self.bytes + length <= max_bytes)
    }

    fn push(&mut self, frame: Vec<u8>) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn pop(&mut self) -> Option<Vec<u8>> {
        let frame = self.frames.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }
}

/// Frames on their way to one peer. Outlives its links.
#[derive(Default)]
pub(super) struct Outbox {
    frames: Mutex<Frames>,
    filled: Notify,
}

impl Outbox {
    /// Adds a frame; `false` if the queue is full.
    pub(super) fn push(&self, frame: Vec<u8>) -> bool {
        let mut frames = lock(&self.frames);
        if !frames.has_room(frame.len(), OUTBOX_FRAMES, OUTBOX_BYTES) {
            return false;
        }
        frames.push(frame);
        self.filled.notify_one();
        true
    }

    /// Waits for the next frame. A cancelled wait takes none.
    pub(super) async fn next(&self) -> Vec<u8> {
        loop {
            let filled = self.filled.notified();
            if let Some(frame) = lock(&self.frames).pop() {
                return frame;
            }
            filled.await;
        }
    }

    /// Forgets all frames.
    pub(super) fn clear(&self) {
        *lock(&self.frames) = Frames::default();
    }
}

/// Frames from one peer that have not been asked for.
#[derive(Default)]
pub(super) struct Source {
    frames: Mutex<Waiting>,
    room: Notify,
}

#[derive(Default)]
struct Waiting {
    frames: Frames,
    closed: bool,
}

impl Source {
    /// Forgets all frames and takes no more.
    pub(super) fn close(&self) {
        *lock(&self.frames) = Waiting {
            frames: Frames::default(),
            closed: true,
        };
        self.room.notify_one();
    }
}

/// Frames from all peers: each has its own bounds, and peers take turns.
#[derive(Default)]
pub(super) struct Inbox {
    /// The peers that have frames waiting, once each; locked before their frames are.
    turns: Mutex<VecDeque<(PartyId, Arc<Source>)>>,
    filled: Notify,
}

impl Inbox {
    /// Adds a frame from a peer, and waits while its queue is full; `false` if nothing more is taken from it.
    pub(super) async fn push(&self, peer: PartyId, source: &Arc<Source>, frame: Vec<u8>) -> bool {
        loop {
            let room = source.room.notified();
            {
                let mut turns = lock(&self.turns);
                let mut waiting = lock(&source.frames);
                if waiting.closed {
                    return false;
                }
                if waiting
                    .frames
                    .has_room(frame.len(), INBOX_FRAMES, INBOX_BYTES)
                {
                    if waiting.frames.frames.is_empty() {
                        turns.push_back((peer, source.clone()));
                    }
                    waiting.frames.push(frame);
                    self.filled.notify_one();
                    return true;
                }
            }
            room.await;
        }
    }

    /// Waits for the next frame, of the peer whose turn it is. A cancelled wait takes none.
    pub(super) async fn next(&self) -> (PartyId, Vec<u8>) {
        loop {
            let filled = self.filled.notified();
            if let Some(next) = self.pop() {
                return next;
            }
            filled.await;
        }
    }

    fn pop(&self) -> Option<(PartyId, Vec<u8>)> {
        let mut turns = lock(&self.turns);
        loop {
            let (peer, source) = turns.pop_front()?;
            let mut waiting = lock(&source.frames);
            // One that was closed has lost its frames, but not its turn.
            let Some(frame) = waiting.frames.pop() else {
                continue;
            };
            source.room.notify_one();
            if !waiting.frames.frames.is_empty() {
                drop(waiting);
                turns.push_back((peer, source));
            }
            return Some((peer, frame));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // The queues are whole between any two statements that could panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{
        future::Future,
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use super::*;

    const ONE: PartyId = PartyId([1; 32]);
    const TWO: PartyId = PartyId([2; 32]);

    fn now<F: Future>(future: F) -> Option<F::Output> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    #[test]
    fn an_outbox_is_bounded_in_frames_and_bytes() {
        let outbox = Outbox::default();
        assert_eq!(
            (0..1000).filter(|_| outbox.push(vec![1])).count(),
            OUTBOX_FRAMES
        );
        outbox.clear();
        assert_eq!(
            (0..1000).filter(|_| outbox.push(vec![0; 1 << 20])).count(),
            OUTBOX_BYTES >> 20
        );
        assert!(now(outbox.next()).is_some());
        assert!(outbox.push(vec![0; 1 << 20]), "room is used again");
        outbox.clear();
        assert!(now(outbox.next()).is_none());
    }

    #[test]
    fn a_flooding_peer_fills_only_its_own_queue_and_peers_take_turns() {
        let inbox = Inbox::default();
        let (one, two) = (Arc::new(Source::default()), Arc::new(Source::default()));
        let taken = (0..1000)
            .take_while(|_| now(inbox.push(ONE, &one, vec![1])) == Some(true))
            .count();
        assert_eq!(taken, INBOX_FRAMES);
        for _ in 0..3 {
            assert_eq!(now(inbox.push(TWO, &two, vec![2])), Some(true));
        }
        let first: Vec<_> = (0..6).map(|_| now(inbox.next()).unwrap().0).collect();
        assert_eq!(first, [ONE, TWO, ONE, TWO, ONE, TWO]);
        let rest = std::iter::from_fn(|| now(inbox.next()))
            .inspect(|(peer, _)| assert_eq!(*peer, ONE))
            .count();
        assert_eq!(rest, INBOX_FRAMES - 3);
    }

    #[test]
    fn whoever_waits_for_room_gets_it() {
        let inbox = Inbox::default();
        let one = Arc::new(Source::default());
        while now(inbox.push(ONE, &one, vec![0; 1 << 20])) == Some(true) {}
        let mut context = Context::from_waker(Waker::noop());
        let mut waiting = pin!(inbox.push(ONE, &one, vec![0; 1 << 20]));
        assert!(waiting.as_mut().poll(&mut context).is_pending());
        assert!(now(inbox.next()).is_some());
        assert_eq!(waiting.as_mut().poll(&mut context), Poll::Ready(true));
    }

    #[test]
    fn a_closed_source_gives_nothing_more() {
        let inbox = Inbox::default();
        let (one, two) = (Arc::new(Source::default()), Arc::new(Source::default()));
        assert_eq!(now(inbox.push(ONE, &one, vec![1])), Some(true));
        assert_eq!(now(inbox.push(TWO, &two, vec![2])), Some(true));
        one.close();
        assert_eq!(now(inbox.push(ONE, &one, vec![1])), Some(false));
        assert_eq!(now(inbox.next()), Some((TWO, vec![2])));
        assert_eq!(now(inbox.next()), None);
    }
}
