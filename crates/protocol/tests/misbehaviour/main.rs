//! Every message of every ceremony, spoilt in every way: who is blamed for it, by whom, and for what.
//!
//! The table is generated: its cells are the messages that an undisturbed run sends, its expected ends are the rules of
//! `rules.rs`. In no cell is an honest party blamed for more than silence.

#[path = "../common/mod.rs"]
mod common;
#[allow(dead_code, reason = "another test forges echoes with it")]
#[path = "../cggmp_ceremonies/forge.rs"]
mod forge;
#[allow(dead_code, reason = "another test re-deals with it")]
#[path = "../cggmp_ceremonies/primes.rs"]
mod primes;

mod cheat;
mod rules;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use cheat::{Cheat, Cheater};
use entropy_protocol::{
    Ceremony, Offence, SetupError, Step,
    simulator::{
        Case, End, Frame, Honest, Kind, Plan, Product, Run, Running, Stock, check, is_provable, run,
    },
};
use entropy_shared::{PartyId, Scheme};
use rand_core::CryptoRngCore;
use rules::{Role, Rule, Verdict, conforms_in, forgery, rule};

/// Those whose table is not written down yet; each has cheaters of its own in the tests of its ceremonies.
const WITHOUT_A_TABLE: &[(Scheme, Kind)] = &[
    (Scheme::EcdsaCggmp24, Kind::Refresh),
    (Scheme::EcdsaCggmp24, Kind::Reshare),
    (Scheme::EcdsaDkls23, Kind::Refresh),
    (Scheme::EcdsaDkls23, Kind::Reshare),
    (Scheme::EcdsaP256, Kind::Refresh),
    (Scheme::EcdsaP256, Kind::Reshare),
];

/// One scheme's ceremony, its messages and how much of its table is run.
struct Table {
    case: Case,
    stock: Stock,
    plan: Plan,
    /// Rounds from this on do not matter: whoever would send in it has stopped, and nobody hears it.
    until: Option<u8>,
    rounds: std::ops::RangeInclusive<u8>,
    cheats: Vec<Cheat>,
    /// Only these, where each cell takes seconds.
    only: Option<Vec<(u8, Cheat)>>,
    /// How many of the parties cheat, one in each cell.
    culprits: usize,
}

const SEED: u64 = 1;
/// Of the ceremony that is not this one.
const OTHER_SEED: u64 = 2;

impl Table {
    fn new(scheme: Scheme, kind: Kind, t: u16, n: u16) -> Self {
        Self {
            case: Case::new(scheme, kind, t, n),
            stock: Stock::default(),
            plan: Plan {
                jitter: 0,
                ..Plan::quiet()
            },
            until: None,
            rounds: 1..=u8::MAX,
            cheats: Cheat::all(),
            only: None,
            culprits: usize::from(n),
        }
    }

    fn build(&mut self, seed: u64) -> Result<entropy_protocol::simulator::Job, SetupError> {
        let mut job = self.case.build(&mut self.stock, seed)?;
        if let Some(round) = self.until {
            job.parties = job
                .parties
                .into_iter()
                .map(|(party, inner)| (party, Box::new(Deaf { inner, round }) as Running<Product>))
                .collect();
        }
        Ok(job)
    }

    /// What is sent if nobody cheats.
    fn undisturbed(&mut self, seed: u64) -> (Vec<Frame>, Option<PartyId>) {
        let job = self.build(seed).expect("a ceremony");
        let run = run(job.parties, &self.plan, &mut Honest, seed);
        let done = run.ends.values().all(|end| matches!(end, End::Done(_)));
        assert!(done || self.until.is_some(), "{:?}", run.ends);
        (run.sent, job.leader)
    }

    fn run(mut self) -> usize {
        let start = Instant::now();
        let (scheme, kind) = (self.case.scheme, self.case.kind);
        let (sent, leader) = self.undisturbed(SEED);
        let elsewhere = match self.only {
            None => self.undisturbed(OTHER_SEED).0,
            Some(_) => Vec::new(),
        };
        let of = |frames: &[Frame], round| -> Vec<Frame> {
            let fits = |frame: &&Frame| frame.round() == Some(round);
            frames.iter().filter(fits).cloned().collect()
        };
        let mut cells: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        let mut reasons = BTreeSet::new();
        let senders: BTreeSet<_> = sent
            .iter()
            .filter_map(|frame| Some((frame.round()?, frame.from)))
            .collect();
        let all: Vec<_> = self.parties(&sent);
        for (round, culprit) in senders {
            let place = all.iter().position(|party| *party == culprit);
            if !self.rounds.contains(&round) || place.is_none_or(|place| place >= self.culprits) {
                continue;
            }
            for cheat in self.cheats.clone() {
                let cell = (round, cheat);
                if self.only.as_ref().is_some_and(|only| !only.contains(&cell)) {
                    continue;
                }
                let mut cheater = Cheater::new(culprit, round, cheat);
                cheater.elsewhere = of(&elsewhere, round);
                cheater.usual = of(&sent, round);
                cheater.forgery = forgery(scheme, kind, round, cheat);
                cheater.conforms_in = conforms_in(scheme, kind, round);
                cheater.deadline = self.plan.deadline;
                if !cheater.is_possible() {
                    continue;
                }
                let role = if leader == Some(culprit) {
                    Role::Leader
                } else {
                    Role::Party
                };
                let cell = format!("{scheme} {}: {cheater} ({role:?})", kind.name());
                let rule = rule(scheme, kind, round, cheat)
                    .unwrap_or_else(|| panic!("no rule for {cell}"));
                let verdict = self.cell(&cell, cheater, &rule);
                reasons.extend(rule.differ);
                if let Verdict::Unattributed(reason) = verdict {
                    reasons.insert(reason);
                }
                *cells
                    .entry(cheat.name())
                    .or_default()
                    .entry(short(verdict))
                    .or_default() += 1;
            }
        }
        let count: usize = cells.values().flat_map(BTreeMap::values).sum();
        println!(
            "{scheme} {}: {count} cells in {:.1?}",
            kind.name(),
            start.elapsed()
        );
        for (cheat, ends) in cells {
            println!("  {cheat}: {ends:?}");
        }
        for reason in reasons {
            println!("  because {reason}");
        }
        count
    }

    fn parties(&self, sent: &[Frame]) -> Vec<PartyId> {
        let parties: BTreeSet<_> = sent.iter().map(|frame| frame.from).collect();
        parties.into_iter().collect()
    }

    /// Runs one cell and gives what its first victim came to.
    fn cell(&mut self, cell: &str, mut cheater: Cheater, rule: &Rule) -> Verdict {
        let job = self.build(SEED).expect("a ceremony");
        let run = run(job.parties, &self.plan, &mut cheater, SEED);
        let culprit = cheater.culprit;
        if let Err(violation) = check(&run, &job.expected, &[culprit].into()) {
            panic!("{cell}: {violation}");
        }
        // Nobody accuses the cheater of anything else than the others do.
        let accusations: BTreeSet<_> = run
            .ends
            .keys()
            .filter(|party| **party != culprit)
            .filter_map(|party| run.failure(party))
            .flat_map(|failure| &failure.blame)
            .filter(|blame| is_provable(blame.offence))
            .map(|blame| blame.offence)
            .collect();
        assert!(
            accusations.len() <= 1 || rule.differ.is_some(),
            "{cell}: {accusations:?}"
        );
        assert!(!cheater.victims.is_empty(), "{cell}: nothing was spoilt");
        let verdicts: Vec<_> = cheater
            .victims
            .iter()
            .map(|victim| self.verdict(cell, &run, victim, culprit, rule))
            .collect();
        assert!(
            rule.differ.is_some() || verdicts.windows(2).all(|pair| pair[0] == pair[1]),
            "{cell}: {verdicts:?}"
        );
        verdicts[0]
    }

    fn verdict(
        &self,
        cell: &str,
        run: &Run<Product>,
        victim: &PartyId,
        culprit: PartyId,
        rule: &Rule,
    ) -> Verdict {
        let end = &run.ends[victim];
        let fits = |verdict: &&Verdict| match (verdict, end) {
            (Verdict::Tolerated, End::Done(_)) => true,
            // Nobody hears what would come next: all have come as far as they could.
            (Verdict::Tolerated, End::Failed(failure)) => {
                let waits = |blame: &entropy_protocol::Blame| blame.offence == Offence::Silent;
                self.until.is_some()
                    && failure.blame.len() == run.ends.len() - 1
                    && failure.blame.iter().all(waits)
            }
            (Verdict::Blamed(offences), End::Failed(failure)) => {
                failure.blame.len() == 1
                    && failure.blame[0].party == culprit
                    && offences.contains(&failure.blame[0].offence)
            }
            (Verdict::Unattributed(_), End::Failed(failure)) => failure.blame.is_empty(),
            (Verdict::Waits, End::Failed(failure)) => {
                let waits = |blame: &entropy_protocol::Blame| {
                    blame.offence == Offence::Silent && blame.party != culprit
                };
                !failure.blame.is_empty() && failure.blame.iter().all(waits)
            }
            _ => false,
        };
        match rule.verdicts.iter().find(fits) {
            Some(verdict) => *verdict,
            None => panic!(
                "{cell}: {victim} came to {end:?}, not to one of {:?}",
                rule.verdicts
            ),
        }
    }
}

fn short(verdict: Verdict) -> String {
    match verdict {
        Verdict::Tolerated => "tolerated".into(),
        Verdict::Blamed(offences) => format!("{offences:?}"),
        Verdict::Unattributed(_) => "unattributed".into(),
        Verdict::Waits => "waits".into(),
    }
}

/// A party that hears nothing of a round and those after it, so that what would follow need not be computed.
struct Deaf {
    inner: Running<Product>,
    round: u8,
}

impl Ceremony for Deaf {
    type Output = Product;

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> Step<Product> {
        self.inner.start(rng)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        payload: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Step<Product> {
        let frame = Frame {
            from: *from,
            to: *from,
            payload: payload.to_vec(),
        };
        if frame.round().is_some_and(|round| round >= self.round) {
            return Step::idle();
        }
        self.inner.receive(from, payload, rng)
    }

    fn expire(&mut self, rng: &mut dyn CryptoRngCore) -> Step<Product> {
        self.inner.expire(rng)
    }
}

#[test]
fn every_ceremony_of_every_scheme_runs_undisturbed() {
    let mut stock = Stock::preparing(|sides| primes::primed(primes::OF_KEYGEN, sides));
    for scheme in Scheme::ALL {
        for kind in Kind::ALL {
            if WITHOUT_A_TABLE.contains(&(scheme, kind)) {
                println!("WITHOUT A TABLE: {scheme} {}", kind.name());
            }
            if scheme == Scheme::EcdsaCggmp24 && matches!(kind, Kind::Refresh | Kind::Reshare) {
                println!("  NOT RUN here, as it would search for primes: see cggmp_ceremonies");
                continue;
            }
            let job = Case::new(scheme, kind, 2, 2).build(&mut stock, SEED);
            let job = job.unwrap_or_else(|error| panic!("{scheme} {}: {error}", kind.name()));
            let run = run(job.parties, &Plan::quiet(), &mut Honest, SEED);
            check(&run, &job.expected, &BTreeSet::new()).expect("no rule is broken");
            let done = run.ends.values().all(|end| matches!(end, End::Done(_)));
            assert!(done, "{scheme} {}: {:?}", kind.name(), run.ends);
        }
    }
}

fn frost(scheme: Scheme) {
    let mut cells = 0;
    for kind in Kind::ALL {
        for (t, n) in [(2, 2), (2, 3), (3, 4), (4, 5)] {
            let mut table = Table::new(scheme, kind, t, n);
            // Each place in the committee cheats in one of the smaller ones.
            table.culprits = if n < 5 { usize::from(n) } else { 2 };
            cells += table.run();
        }
    }
    println!("{scheme}: {cells} cells");
}

#[test]
fn schnorr_taproot() {
    frost(Scheme::SchnorrTaproot);
}

#[test]
fn schnorr_ed25519() {
    frost(Scheme::SchnorrEd25519);
}

/// Over both curves. A key generation takes a second, so that few of its cells are run.
fn dkls(scheme: Scheme) {
    let mut keygen = Table::new(scheme, Kind::Keygen, 2, 2);
    keygen.culprits = 1;
    keygen.cheats = vec![
        Cheat::Random,
        Cheat::Flipped(3),
        Cheat::Flipped(9),
        Cheat::OtherCeremonyBody,
        Cheat::TwoVersions,
    ];
    if scheme == Scheme::EcdsaP256 {
        keygen.cheats.truncate(2);
    }
    let mut cells = keygen.run();
    for (t, n) in [(2, 2), (3, 3)] {
        let mut sign = Table::new(scheme, Kind::Sign, t, n);
        if scheme == Scheme::EcdsaP256 {
            sign.culprits = 1;
        }
        cells += sign.run();
    }
    println!("{scheme}: {cells} cells");
}

#[test]
fn ecdsa_dkls23() {
    dkls(Scheme::EcdsaDkls23);
}

#[test]
fn ecdsa_p256() {
    dkls(Scheme::EcdsaP256);
}

/// Two parties, whose primes are given. A whole ceremony takes seconds, so that there are few cells, and none of another ceremony.
fn primed(kind: Kind, only: Vec<(u8, Cheat)>) -> Table {
    let mut table = Table::new(Scheme::EcdsaCggmp24, kind, 2, 2);
    table.stock = Stock::preparing(|sides| primes::primed(primes::OF_KEYGEN, sides));
    table.culprits = 1;
    table.only = Some(only);
    table
}

#[test]
fn ecdsa_cggmp24_keygen_after_the_primes() {
    let cells = vec![
        (8, Cheat::Flipped(7)),
        (9, Cheat::Flipped(7)),
        (11, Cheat::WrongProof),
        (13, Cheat::WrongProof),
        (14, Cheat::Flipped(7)),
    ];
    assert_eq!(primed(Kind::Keygen, cells).run(), 5);
}

#[test]
fn ecdsa_cggmp24_sign() {
    let mut cells: Vec<_> = (1..=7).map(|round| (round, Cheat::Flipped(7))).collect();
    cells.extend([
        (1, Cheat::Dropped),
        (1, Cheat::TwoVersions),
        (3, Cheat::Truncated),
        (5, Cheat::WrongRound),
        (7, Cheat::WrongProof),
    ]);
    assert_eq!(primed(Kind::Sign, cells).run(), 12);
}

#[test]
fn ecdsa_cggmp24_keygen_before_the_primes() {
    let mut table = Table::new(Scheme::EcdsaCggmp24, Kind::Keygen, 2, 3);
    table.until = Some(8);
    table.rounds = 1..=7;
    table.culprits = 2;
    table.run();
}
