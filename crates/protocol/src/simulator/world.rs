//! One run: a queue of events in the order of virtual time, and every party's ceremony.

use std::{
    any::Any,
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use codec::Encode;
use entropy_shared::PartyId;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use sha2::{Digest, Sha256};

use super::{Adversary, Fault, Faults, Frame, Plan, Posted, Running, Time, network::Network};
use crate::ceremony::{Failure, Step};

/// More expiries than any ceremony has rounds: it never ends.
const MOST_EXPIRIES: u32 = 64;
/// More events than any run has.
const MOST_EVENTS: u64 = 4_000_000;

/// How a party's run ended.
#[derive(Debug)]
pub enum End<T> {
    /// With a result.
    Done(T),
    /// With a failure.
    Failed(Failure),
    /// The party stopped, as planned, before its ceremony had ended.
    Stopped,
    /// The ceremony panicked, which it must not.
    Panicked(String),
    /// The ceremony would never have ended, which it must.
    Endless,
}

/// What came of a run.
#[derive(Debug)]
pub struct Run<T> {
    /// How it ended, for every party.
    pub ends: BTreeMap<PartyId, End<T>>,
    /// Everything that the parties' own code sent, in order, before adversary and network.
    pub sent: Vec<Frame>,
    /// A hash of every message as it was delivered, with its time.
    pub transcript: [u8; 32],
    /// The same without bodies, which `dkls23` draws at random.
    pub schedule: [u8; 32],
    /// What went wrong.
    pub faults: Faults,
    /// When the last party ended.
    pub time: Time,
    /// Parties whose ceremony did something after it had ended, which it must not.
    pub restless: BTreeSet<PartyId>,
}

impl<T> Run<T> {
    /// The party's failure, if it has failed.
    pub fn failure(&self, party: &PartyId) -> Option<&Failure> {
        match self.ends.get(party) {
            Some(End::Failed(failure)) => Some(failure),
            _ => None,
        }
    }

    /// The party's result, if it has one.
    pub fn result(&self, party: &PartyId) -> Option<&T> {
        match self.ends.get(party) {
            Some(End::Done(result)) => Some(result),
            _ => None,
        }
    }
}

enum Event {
    Start(PartyId),
    Deliver { frame: Frame, number: u64 },
    Deadline { party: PartyId, arming: u64 },
    Return,
}

struct Member<T> {
    ceremony: Running<T>,
    rng: ChaCha20Rng,
    started: bool,
    /// What has come before the start.
    early: Vec<Frame>,
    end: Option<End<T>>,
    sent: u32,
    /// How often its deadline was set: an older one means nothing.
    arming: u64,
    expiries: u32,
}

struct World<'a, T> {
    plan: &'a Plan,
    adversary: &'a mut dyn Adversary,
    dishonest: BTreeSet<PartyId>,
    network: Network<'a>,
    members: BTreeMap<PartyId, Member<T>>,
    /// In the order of time; what happens at once, in the order in which it was found.
    queue: BTreeMap<(Time, u64), Event>,
    found: u64,
    now: Time,
    ended: Time,
    /// The number of the latest message that came, of each link.
    latest: BTreeMap<(PartyId, PartyId), u64>,
    transcript: Sha256,
    schedule: Sha256,
    sent: Vec<Frame>,
    faults: Faults,
    restless: BTreeSet<PartyId>,
}

/// Runs all parties' ceremonies until each has ended and nothing is on its way.
///
/// The random numbers of each party and of the network follow from `seed`.
pub fn run<T>(
    parties: Vec<(PartyId, Running<T>)>,
    plan: &Plan,
    adversary: &mut dyn Adversary,
    seed: u64,
) -> Run<T> {
    let mut seeds = ChaCha20Rng::seed_from_u64(seed);
    let mut next = || {
        let mut own = <ChaCha20Rng as SeedableRng>::Seed::default();
        rand_core::RngCore::fill_bytes(&mut seeds, &mut own);
        ChaCha20Rng::from_seed(own)
    };
    let network = Network::new(plan, next());
    let members: BTreeMap<_, _> = parties
        .into_iter()
        .map(|(party, ceremony)| {
            let member = Member {
                ceremony,
                rng: next(),
                started: false,
                early: Vec::new(),
                end: None,
                sent: 0,
                arming: 0,
                expiries: 0,
            };
            (party, member)
        })
        .collect();
    let world = World {
        plan,
        dishonest: adversary.dishonest(),
        adversary,
        network,
        members,
        queue: BTreeMap::new(),
        found: 0,
        now: 0,
        ended: 0,
        latest: BTreeMap::new(),
        transcript: Sha256::new(),
        schedule: Sha256::new(),
        sent: Vec::new(),
        faults: Faults::default(),
        restless: BTreeSet::new(),
    };
    world.run()
}

impl<T> World<'_, T> {
    fn run(mut self) -> Run<T> {
        let parties: Vec<_> = self.members.keys().copied().collect();
        for party in parties {
            let time = match self.plan.faults.get(&party) {
                Some(Fault::LateStart(time)) => {
                    self.faults.late += 1;
                    *time
                }
                _ => 0,
            };
            self.later(time, Event::Start(party));
        }
        let mut events = 0;
        while let Some(((time, _), event)) = self.queue.pop_first() {
            self.now = time;
            events += 1;
            if events > MOST_EVENTS {
                break;
            }
            match event {
                Event::Start(party) => self.start(&party),
                Event::Deliver { frame, number } => self.deliver(frame, number),
                Event::Deadline { party, arming } => self.deadline(&party, arming),
                Event::Return => self.faults.restarted += 1,
            }
        }
        let ends = self
            .members
            .into_iter()
            .map(|(party, member)| (party, member.end.unwrap_or(End::Endless)));
        Run {
            ends: ends.collect(),
            sent: self.sent,
            transcript: self.transcript.finalize().into(),
            schedule: self.schedule.finalize().into(),
            faults: self.faults,
            time: self.ended,
            restless: self.restless,
        }
    }

    fn later(&mut self, delay: Time, event: Event) {
        self.found += 1;
        self.queue.insert((self.now + delay, self.found), event);
    }

    fn start(&mut self, party: &PartyId) {
        let Some(member) = self.members.get_mut(party) else {
            return;
        };
        member.started = true;
        let early = std::mem::take(&mut member.early);
        self.arm(party);
        self.step(party, |member| member.ceremony.start(&mut member.rng));
        for frame in early {
            self.receive(&frame);
        }
    }

    fn deliver(&mut self, frame: Frame, number: u64) {
        let latest = self.latest.entry((frame.from, frame.to)).or_default();
        if number < *latest {
            self.faults.reordered += 1;
        }
        *latest = number.max(*latest);
        let header = (self.now, frame.from, frame.to, frame.round());
        self.schedule.update(header.encode());
        self.transcript.update((header, &frame.payload).encode());
        match self.members.get_mut(&frame.to) {
            Some(member) if member.started => self.receive(&frame),
            Some(member) => member.early.push(frame),
            None => {}
        }
    }

    fn receive(&mut self, frame: &Frame) {
        self.step(&frame.to, |member| {
            member
                .ceremony
                .receive(&frame.from, &frame.payload, &mut member.rng)
        });
    }

    fn deadline(&mut self, party: &PartyId, arming: u64) {
        let Some(member) = self.members.get_mut(party) else {
            return;
        };
        if member.end.is_some() || member.arming != arming {
            return;
        }
        self.faults.expired += 1;
        member.expiries += 1;
        if member.expiries > MOST_EXPIRIES {
            member.end = Some(End::Endless);
            return;
        }
        self.arm(party);
        self.step(party, |member| member.ceremony.expire(&mut member.rng));
    }

    fn arm(&mut self, party: &PartyId) {
        if let Some(member) = self.members.get_mut(party) {
            member.arming += 1;
            let (party, arming) = (*party, member.arming);
            self.later(self.plan.deadline, Event::Deadline { party, arming });
        }
    }

    /// Lets a party do something, and sends what it gives.
    fn step(&mut self, party: &PartyId, call: impl FnOnce(&mut Member<T>) -> Step<T>) {
        let Some(member) = self.members.get_mut(party) else {
            return;
        };
        if matches!(
            member.end,
            Some(End::Stopped | End::Panicked(_) | End::Endless)
        ) {
            return;
        }
        // After a panic the ceremony is never called again.
        let step = match catch_unwind(AssertUnwindSafe(|| call(member))) {
            Ok(step) => step,
            Err(panic) => {
                member.end = Some(End::Panicked(text(panic.as_ref())));
                return;
            }
        };
        if member.end.is_some() {
            if !step.outbound.is_empty() || step.outcome.is_some() {
                self.restless.insert(*party);
            }
            return;
        }
        if !step.outbound.is_empty() {
            self.arm(party);
        }
        for message in step.outbound {
            if self.stops(party) {
                return;
            }
            self.send(Frame {
                from: *party,
                to: message.to,
                payload: message.payload,
            });
        }
        if let (Some(outcome), Some(member)) = (step.outcome, self.members.get_mut(party)) {
            self.ended = self.now;
            member.end = Some(match outcome {
                Ok(result) => End::Done(result),
                Err(failure) => End::Failed(failure),
            });
        }
    }

    /// Whether the party stops here, with its message not sent and its outcome lost.
    fn stops(&mut self, party: &PartyId) -> bool {
        let Some(member) = self.members.get_mut(party) else {
            return true;
        };
        let back = match self.plan.faults.get(party) {
            Some(Fault::Crash(message)) if *message == member.sent => None,
            Some(Fault::Restart(message, after)) if *message == member.sent => Some(*after),
            _ => {
                member.sent += 1;
                return false;
            }
        };
        member.end = Some(End::Stopped);
        self.faults.crashed += 1;
        if let Some(after) = back {
            self.later(after, Event::Return);
        }
        true
    }

    fn send(&mut self, frame: Frame) {
        self.sent.push(frame.clone());
        if !self.dishonest.contains(&frame.from) {
            let posted = self.adversary.sees(&frame);
            self.post(frame.into());
            self.post_all(posted);
            return;
        }
        let posted = self.adversary.sends(frame.clone());
        if posted != [Posted::from(frame)] {
            self.faults.altered += 1;
        }
        self.post_all(posted);
    }

    /// Sends what the adversary gives, except in the name of an honest party: links are authenticated.
    fn post_all(&mut self, posted: Vec<Posted>) {
        for posted in posted {
            let from = &posted.frame.from;
            if self.dishonest.contains(from) || !self.members.contains_key(from) {
                self.post(posted);
            }
        }
    }

    fn post(&mut self, Posted { frame, delay }: Posted) {
        self.found += 1;
        let number = self.found;
        let arrivals = self.network.arrivals(&frame, self.now, &mut self.faults);
        for arrival in arrivals {
            let frame = frame.clone();
            self.later(arrival - self.now + delay, Event::Deliver { frame, number });
        }
    }
}

fn text(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    literal
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}
