//! What goes wrong in a run, apart from dishonesty: the network's faults and the parties'.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    ops::{AddAssign, Range},
};

use entropy_shared::PartyId;
use rand_core::RngCore;

use super::{below, happens};

/// Virtual time, in microseconds since the run began.
pub type Time = u64;

/// The network and the parties of one run.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Each link has a latency of its own in this range.
    pub latency: Range<Time>,
    /// Each message takes up to so much longer: what reorders them.
    pub jitter: Time,
    /// How many of a thousand messages are lost.
    pub loss: u16,
    /// How many of a thousand messages come twice.
    pub duplication: u16,
    /// Links that are down for a while.
    pub cuts: Vec<Cut>,
    /// Parties that do not behave as they should without being dishonest.
    pub faults: BTreeMap<PartyId, Fault>,
    /// How long a party waits after it has last sent something, or was told to go on, before its round is over.
    pub deadline: Time,
}

/// Links from some parties to others, down for an interval of time. What is sent meanwhile is lost.
///
/// One-way. A partition is two of them.
#[derive(Debug, Clone)]
pub struct Cut {
    /// Whose messages are lost.
    pub from: BTreeSet<PartyId>,
    /// For whom they are lost.
    pub to: BTreeSet<PartyId>,
    /// When.
    pub during: Range<Time>,
}

/// What is the matter with a party that is honest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It stops for good as it is about to send its message of this number, counted from zero.
    Crash(u32),
    /// The same, but it comes back after this time. It never runs the same ceremony again: it hears, and is silent.
    Restart(u32, Time),
    /// It starts at this time; what has come before waits for it.
    LateStart(Time),
}

impl Plan {
    /// Nothing goes wrong, but messages cross.
    pub fn quiet() -> Self {
        Self {
            latency: 1_000..50_000,
            jitter: 10_000,
            loss: 0,
            duplication: 0,
            cuts: Vec::new(),
            faults: BTreeMap::new(),
            deadline: 2_000_000,
        }
    }

    /// Anything may go wrong; in about one plan of four nothing is lost and nobody fails, so that ceremonies also succeed.
    pub fn random(rng: &mut impl RngCore, parties: &[PartyId]) -> Self {
        let mut plan = Self::quiet();
        plan.jitter = [0, 10_000, 100_000, 900_000][below(rng, 4) as usize];
        plan.duplication = [0, 50, 500][below(rng, 3) as usize];
        if happens(rng, 250) {
            return plan;
        }
        plan.loss = [0, 0, 2, 20][below(rng, 4) as usize];
        if happens(rng, 250) {
            plan.cuts = cuts(rng, parties, plan.deadline);
        }
        for party in parties {
            if happens(rng, 900) {
                continue;
            }
            let message = below(rng, 4 * parties.len() as u64) as u32;
            let time = below(rng, 2 * plan.deadline);
            let fault = [
                Fault::Crash(message),
                Fault::Restart(message, time),
                Fault::LateStart(time),
            ][below(rng, 3) as usize];
            plan.faults.insert(*party, fault);
        }
        plan
    }
}

/// A partition, or a link that works one way only.
fn cuts(rng: &mut impl RngCore, parties: &[PartyId], deadline: Time) -> Vec<Cut> {
    let start = below(rng, deadline);
    let during = start..start + below(rng, 2 * deadline);
    let (some, others): (BTreeSet<_>, BTreeSet<_>) =
        parties
            .iter()
            .fold(Default::default(), |(mut some, mut others), party| {
                if happens(rng, 500) {
                    some.insert(*party);
                } else {
                    others.insert(*party);
                }
                (some, others)
            });
    let one_way = Cut {
        from: some.clone(),
        to: others.clone(),
        during: during.clone(),
    };
    if happens(rng, 500) {
        return vec![one_way];
    }
    vec![
        one_way,
        Cut {
            from: others,
            to: some,
            during,
        },
    ]
}

/// How often what went wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Messages lost at random.
    pub lost: u64,
    /// Messages lost on a link that was down.
    pub cut: u64,
    /// Messages that came twice.
    pub duplicated: u64,
    /// Messages that came after one that was sent later on the same link.
    pub reordered: u64,
    /// Messages of dishonest parties that were dropped or replaced, and those that were added.
    pub altered: u64,
    /// Parties that stopped.
    pub crashed: u64,
    /// Parties that stopped and came back.
    pub restarted: u64,
    /// Parties that started late.
    pub late: u64,
    /// Rounds whose time was up.
    pub expired: u64,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.lost += other.lost;
        self.cut += other.cut;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.altered += other.altered;
        self.crashed += other.crashed;
        self.restarted += other.restarted;
        self.late += other.late;
        self.expired += other.expired;
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "messages: {} lost, {} cut, {} duplicated, {} reordered, {} altered; parties: {} crashed, {} restarted, {} late; {} rounds expired",
            self.lost,
            self.cut,
            self.duplicated,
            self.reordered,
            self.altered,
            self.crashed,
            self.restarted,
            self.late,
            self.expired
        )
    }
}
