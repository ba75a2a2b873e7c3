//! A whole committee in one thread, in virtual time, from one seed: what can go wrong between parties, and what may never come of it.
//!
//! [`run`] drives every party's [`Ceremony`] through a network that delays, reorders, duplicates, loses and partitions as
//! a [`Plan`] says, with parties that crash, start late or come back, and with dishonest ones whose messages an
//! [`Adversary`] rewrites. [`check()`] then says which invariant the run broke, if any. [`Case`] names what can be run: one
//! table of schemes and ceremonies, for tests, benches and the example `simulate`.
//!
//! It reads no clock and draws no randomness but from its seed, so that a run can be replayed: the same seed gives the same
//! [`Run::transcript`], which is a hash of every byte on its way. The exception are the schemes over `dkls23`, which draws
//! randomness of its own: there [`Run::schedule`] replays (who sent what round to whom, and when), and with it outcome and blame.
//!
//! For tests only: the accounts are known to everybody, and the adversary sees what honest parties keep secret from it.

mod adversary;
mod check;
mod jobs;
mod network;
mod plan;
mod world;

pub use adversary::{Adversary, Honest, Posted, Vandal};
pub use check::{Expected, Violation, check, check_alive, is_provable};
pub use jobs::{Case, Job, Kind, Product, Redeal, Stock, accounts, of_products};
pub use plan::{Cut, Fault, Faults, Plan, Time};
pub use world::{End, Run, run};

use codec::{DecodeAll, Encode};
use entropy_shared::{CeremonyId, PartyId};

use crate::{ceremony::Ceremony, wire::Envelope};

/// A ceremony of one party.
pub type Running<T> = Box<dyn Ceremony<Output = T>>;

/// A message on its way, as a cheater sees it: the link's payload, which it can open and seal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its sender, which the transport authenticates.
    pub from: PartyId,
    /// Its recipient.
    pub to: PartyId,
    /// Its bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    fn envelope(&self) -> Option<Envelope> {
        Envelope::decode_all(&mut &self.payload[..]).ok()
    }

    /// The number of its round; `None` if it is no message of ours.
    pub fn round(&self) -> Option<u8> {
        self.envelope().map(|envelope| envelope.round)
    }

    /// The ceremony that it says it belongs to.
    pub fn ceremony(&self) -> Option<CeremonyId> {
        self.envelope().map(|envelope| envelope.ceremony)
    }

    /// The protocol's own bytes; empty if it is no message of ours.
    pub fn body(&self) -> Vec<u8> {
        self.envelope()
            .map(|envelope| envelope.body)
            .unwrap_or_default()
    }

    /// The same message with another body; itself if it is no message of ours.
    #[must_use]
    pub fn with_body(&self, body: Vec<u8>) -> Self {
        let payload = match self.envelope() {
            Some(envelope) => Envelope { body, ..envelope }.encode(),
            None => self.payload.clone(),
        };
        Self {
            payload,
            ..self.clone()
        }
    }

    /// The same message in another round; itself if it is no message of ours.
    #[must_use]
    pub fn with_round(&self, round: u8) -> Self {
        let payload = match self.envelope() {
            Some(envelope) => Envelope { round, ..envelope }.encode(),
            None => self.payload.clone(),
        };
        Self {
            payload,
            ..self.clone()
        }
    }
}

/// A number below `bound`, or zero. Not quite uniform, which a simulation need not be.
fn below(rng: &mut impl rand_core::RngCore, bound: u64) -> u64 {
    rng.next_u64() % bound.max(1)
}

/// Whether something that happens so many times in a thousand happens.
fn happens(rng: &mut impl rand_core::RngCore, per_mille: u16) -> bool {
    below(rng, 1000) < u64::from(per_mille)
}
