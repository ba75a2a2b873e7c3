//! Frames of ceremonies that this server has not begun yet. Bounded for each peer, so that none can make us hold much.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use entropy_protocol::MAX_PAYLOAD_BYTES;
use entropy_shared::{CeremonyId, PartyId};
use tokio::time::Instant;
use tracing::debug;

/// Bytes that one peer may have waiting here.
const PEER_BYTES: usize = 4 * MAX_PAYLOAD_BYTES;
/// Frames that one peer may have waiting here.
const PEER_FRAMES: usize = 64;
/// How long a frame waits: somewhat more than servers' views of the finalized block may differ.
const KEEP: Duration = Duration::from_secs(60);
/// Ceremonies whose end is remembered, so that late frames do not wait for them to begin.
const CLOSED: usize = 1_024;

#[derive(Debug)]
struct Early {
    id: CeremonyId,
    from: PartyId,
    payload: Vec<u8>,
    came: Instant,
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    /// In order of arrival.
    waiting: VecDeque<Early>,
    used: HashMap<PartyId, (usize, usize)>,
    closed: HashSet<CeremonyId>,
    closed_order: VecDeque<CeremonyId>,
}

impl Mailbox {
    pub(super) fn keep(&mut self, id: CeremonyId, from: PartyId, payload: Vec<u8>, now: Instant) {
        if self.closed.contains(&id) {
            return;
        }
        let (frames, bytes) = self.used.entry(from).or_default();
        if *frames >= PEER_FRAMES || *bytes + payload.len() > PEER_BYTES {
            debug!(%from, %id, "early frame dropped: the peer has too many waiting");
            return;
        }
        *frames += 1;
        *bytes += payload.len();
        self.waiting.push_back(Early {
            id,
            from,
            payload,
            came: now,
        });
    }

    /// What came for a ceremony that begins now, in order of arrival.
    pub(super) fn take(&mut self, id: &CeremonyId) -> Vec<(PartyId, Vec<u8>)> {
        let (taken, kept): (VecDeque<_>, VecDeque<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|early| early.id == *id);
        self.waiting = kept;
        taken
            .iter()
            .for_each(|early| self.release(early.from, early.payload.len()));
        taken
            .into_iter()
            .map(|early| (early.from, early.payload))
            .collect()
    }

    /// A ceremony is over: frames of it that still come are dropped.
    pub(super) fn close(&mut self, id: CeremonyId) {
        if self.closed.insert(id) {
            self.closed_order.push_back(id);
        }
        if self.closed_order.len() > CLOSED
            && let Some(oldest) = self.closed_order.pop_front()
        {
            self.closed.remove(&oldest);
        }
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        while let Some(early) = self.waiting.front()
            && now.saturating_duration_since(early.came) > KEEP
        {
            let Some(early) = self.waiting.pop_front() else {
                return;
            };
            self.release(early.from, early.payload.len());
        }
    }

    fn release(&mut self, from: PartyId, length: usize) {
        if let Some((frames, bytes)) = self.used.get_mut(&from) {
            *frames = frames.saturating_sub(1);
            *bytes = bytes.saturating_sub(length);
            if *frames == 0 {
                self.used.remove(&from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: PartyId = PartyId([1; 32]);
    const B: PartyId = PartyId([2; 32]);
    const X: CeremonyId = CeremonyId([3; 32]);
    const Y: CeremonyId = CeremonyId([4; 32]);

    #[test]
    fn frames_wait_in_order_and_only_for_their_ceremony() {
        let mut mailbox = Mailbox::default();
        let now = Instant::now();
        mailbox.keep(X, A, vec![1], now);
        mailbox.keep(Y, A, vec![2], now);
        mailbox.keep(X, B, vec![3], now);
        assert_eq!(mailbox.take(&X), vec![(A, vec![1]), (B, vec![3])]);
        assert_eq!(mailbox.take(&X), vec![]);
        assert_eq!(mailbox.take(&Y), vec![(A, vec![2])]);
        assert!(mailbox.used.is_empty());
    }

    #[test]
    fn one_peer_cannot_fill_it() {
        let mut mailbox = Mailbox::default();
        let now = Instant::now();
        for _ in 0..2 * PEER_FRAMES {
            mailbox.keep(X, A, vec![0], now);
        }
        for _ in 0..5 {
            mailbox.keep(Y, B, vec![0; MAX_PAYLOAD_BYTES], now);
        }
        assert_eq!(mailbox.take(&X).len(), PEER_FRAMES);
        assert_eq!(mailbox.take(&Y).len(), 4);
        mailbox.keep(X, A, vec![0], now);
        assert_eq!(
            mailbox.take(&X).len(),
            1,
            "room that was given back can be used again"
        );
    }

    #[test]
    fn old_frames_and_those_of_ended_ceremonies_are_dropped() {
        let mut mailbox = Mailbox::default();
        let now = Instant::now();
        mailbox.keep(X, A, vec![1], now);
        mailbox.forget_old(now + KEEP);
        mailbox.keep(X, A, vec![2], now + KEEP);
        mailbox.forget_old(now + KEEP + Duration::from_secs(1));
        assert_eq!(mailbox.take(&X), vec![(A, vec![2])]);
        mailbox.close(Y);
        mailbox.keep(Y, A, vec![1], now);
        assert_eq!(mailbox.take(&Y), vec![]);
        (0..2 * CLOSED as u64).for_each(|i| {
            let mut id = [9; 32];
            id[..8].copy_from_slice(&i.to_le_bytes());
            mailbox.close(CeremonyId(id));
        });
        assert_eq!(mailbox.closed.len(), CLOSED);
    }
}
