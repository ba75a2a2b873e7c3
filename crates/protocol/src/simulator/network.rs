//! The links of a run: when a message arrives, if it does.

use std::collections::BTreeMap;

use entropy_shared::PartyId;
use rand_chacha::ChaCha20Rng;

use super::{Faults, Frame, Plan, Time, below, happens};

pub(super) struct Network<'a> {
    plan: &'a Plan,
    rng: ChaCha20Rng,
    /// Each link's own latency, drawn when it is first used.
    latency: BTreeMap<(PartyId, PartyId), Time>,
}

impl<'a> Network<'a> {
    pub(super) fn new(plan: &'a Plan, rng: ChaCha20Rng) -> Self {
        Self {
            plan,
            rng,
            latency: BTreeMap::new(),
        }
    }

    /// When the message arrives: never, once, or twice.
    pub(super) fn arrivals(&mut self, frame: &Frame, now: Time, faults: &mut Faults) -> Vec<Time> {
        let cut = self.plan.cuts.iter().any(|cut| {
            cut.during.contains(&now)
                && cut.from.contains(&frame.from)
                && cut.to.contains(&frame.to)
        });
        if cut {
            faults.cut += 1;
            return Vec::new();
        }
        if happens(&mut self.rng, self.plan.loss) {
            faults.lost += 1;
            return Vec::new();
        }
        let mut copies = 1;
        if happens(&mut self.rng, self.plan.duplication) {
            faults.duplicated += 1;
            copies = 2;
        }
        (0..copies).map(|_| now + self.takes(frame)).collect()
    }

    fn takes(&mut self, frame: &Frame) -> Time {
        let rng = &mut self.rng;
        let range = &self.plan.latency;
        let latency = *self
            .latency
            .entry((frame.from, frame.to))
            .or_insert_with(|| range.start + below(rng, range.end.saturating_sub(range.start)));
        latency + below(rng, self.plan.jitter)
    }
}
