//! Runs ceremonies under random faults, one for each seed, until an invariant breaks.
//!
//! `cargo run --release -p entropy-protocol --example simulate -- --scheme schnorr-taproot --ceremony all --seeds 1000`
//!
//! Sizes, faults and dishonest parties follow from the seed. CGGMP'24 runs with two parties and primes from a file, because
//! a search for primes takes many seconds.

#[path = "../tests/common/mod.rs"]
mod common;
#[allow(dead_code, reason = "another test re-deals with it")]
#[path = "../tests/cggmp_ceremonies/primes.rs"]
mod primes;

use std::{
    collections::{BTreeMap, BTreeSet},
    process::ExitCode,
    time::Instant,
};

use clap::{Parser, ValueEnum};
use entropy_protocol::{
    SetupError,
    simulator::{
        Adversary, Case, End, Faults, Kind, Plan, Product, Run, Stock, Vandal, check, check_alive,
        run,
    },
};
use entropy_shared::{PartyId, Scheme};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

#[derive(Parser)]
struct Arguments {
    /// Which scheme: ecdsa-cggmp24, ecdsa-dkls23, ecdsa-p256, schnorr-taproot or schnorr-ed25519.
    #[arg(long)]
    scheme: Scheme,
    /// Which ceremony.
    #[arg(long, value_enum)]
    ceremony: Ceremony,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first_seed: u64,
    /// How many seeds, of each ceremony.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The most holders that a committee has.
    #[arg(long, default_value_t = 5)]
    largest: u16,
}

#[derive(Clone, Copy, ValueEnum)]
enum Ceremony {
    Keygen,
    Sign,
    Refresh,
    Reshare,
    All,
}

impl Ceremony {
    fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Keygen => vec![Kind::Keygen],
            Self::Sign => vec![Kind::Sign],
            Self::Refresh => vec![Kind::Refresh],
            Self::Reshare => vec![Kind::Reshare],
            Self::All => Kind::ALL.to_vec(),
        }
    }
}

/// Why a simulation goes no further.
enum Stop {
    /// There is no such ceremony.
    Unsupported,
    /// This seed breaks something.
    Broken(u64, String),
}

/// What came of many runs.
#[derive(Default)]
struct Total {
    runs: u64,
    with_dishonest: u64,
    faults: Faults,
    /// How honest parties ended.
    outcomes: BTreeMap<String, u64>,
    /// Sets of new shares that were seen to sign.
    alive: u64,
    microseconds: u64,
}

impl Total {
    fn count(&mut self, run: &Run<Product>, dishonest: &BTreeSet<PartyId>) {
        self.runs += 1;
        self.with_dishonest += u64::from(!dishonest.is_empty());
        self.faults += run.faults;
        self.microseconds += run.time;
        for (party, end) in &run.ends {
            if !dishonest.contains(party) {
                *self.outcomes.entry(outcome(end)).or_default() += 1;
            }
        }
    }

    fn print(&self, name: &str, seconds: f64) {
        let simulated = self.microseconds as f64 / 1e6;
        println!(
            "{name}: {} runs, {} with dishonest parties, in {seconds:.1} s: {:.0} simulated seconds per second",
            self.runs,
            self.with_dishonest,
            simulated / seconds
        );
        println!("  faults: {}", self.faults);
        println!("  outcomes of honest parties: {:?}", self.outcomes);
        println!("  new shares seen to sign: {} times", self.alive);
    }
}

fn outcome(end: &End<Product>) -> String {
    match end {
        End::Done(_) => "done".into(),
        End::Stopped => "stopped".into(),
        End::Panicked(_) => "panicked".into(),
        End::Endless => "endless".into(),
        End::Failed(failure) => {
            let offences: BTreeSet<_> = failure.blame.iter().map(|blame| blame.offence).collect();
            if offences.is_empty() {
                return "unattributed".into();
            }
            let names: Vec<_> = offences
                .iter()
                .map(|offence| format!("{offence:?}"))
                .collect();
            format!("blames {}", names.join("+"))
        }
    }
}

fn main() -> ExitCode {
    // Libraries' panics are contained by the ceremonies and blamed; those that are not are violations, and reported so.
    std::panic::set_hook(Box::new(|_| ()));
    let arguments = Arguments::parse();
    for kind in arguments.ceremony.kinds() {
        let name = format!("{} {}", arguments.scheme, kind.name());
        match simulate(&arguments, kind, &name) {
            Ok(()) => {}
            Err(Stop::Unsupported) if arguments.ceremony.kinds().len() > 1 => {
                println!("{name}: SKIPPED, because this version has no such ceremony");
            }
            Err(Stop::Unsupported) => {
                println!("{name}: this version has no such ceremony");
                return ExitCode::FAILURE;
            }
            Err(Stop::Broken(seed, why)) => {
                println!("{name}: seed {seed} breaks an invariant: {why}");
                println!(
                    "replay: cargo run --release -p entropy-protocol --example simulate -- --scheme {} --ceremony {} --first-seed {seed} --seeds 1 --largest {}",
                    arguments.scheme,
                    kind.name(),
                    arguments.largest
                );
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn simulate(arguments: &Arguments, kind: Kind, name: &str) -> Result<(), Stop> {
    let mut stock = Stock::preparing(|sides| primes::primed(primes::OF_KEYGEN, sides));
    let mut total = Total::default();
    let start = Instant::now();
    for seed in arguments.first_seed..arguments.first_seed.saturating_add(arguments.seeds) {
        one(arguments, kind, seed, &mut stock, &mut total)?;
    }
    total.print(name, start.elapsed().as_secs_f64());
    Ok(())
}

fn one(
    arguments: &Arguments,
    kind: Kind,
    seed: u64,
    stock: &mut Stock,
    total: &mut Total,
) -> Result<(), Stop> {
    let rng = &mut ChaCha20Rng::seed_from_u64(seed);
    let slow = arguments.scheme == Scheme::EcdsaCggmp24;
    let case = if slow {
        Case::new(arguments.scheme, kind, 2, 2)
    } else {
        Case::random(arguments.scheme, kind, arguments.largest, rng)
    };
    let job = match case.build(stock, seed) {
        Ok(job) => job,
        Err(SetupError::UnsupportedScheme(_)) => return Err(Stop::Unsupported),
        Err(error) => return Err(Stop::Broken(seed, format!("{case:?}: {error}"))),
    };
    let parties: Vec<_> = job.parties.iter().map(|(party, _)| *party).collect();
    let plan = Plan::random(rng, &parties);
    let mut adversary = vandal(rng, &parties, seed);
    let dishonest = adversary.dishonest();
    let before = job.old_shares().to_vec();
    let expected = job.expected.clone();
    let run = run(job.parties, &plan, &mut adversary, seed);
    total.count(&run, &dishonest);
    let broken = |violation: entropy_protocol::simulator::Violation| {
        Stop::Broken(
            seed,
            format!("{violation}\n{case:?}\n{plan:?}\ndishonest {dishonest:?}"),
        )
    };
    check(&run, &expected, &dishonest).map_err(broken)?;
    stock.check_intact(&case, &before).map_err(broken)?;
    let shares: Vec<_> = run
        .ends
        .iter()
        .filter(|(party, _)| !dishonest.contains(party))
        .filter_map(|(_, end)| match end {
            End::Done(Product::Share(share)) => Some(&**share),
            _ => None,
        })
        .collect();
    if !slow && !shares.is_empty() {
        check_alive(&shares, seed).map_err(broken)?;
        total.alive +=
            u64::from(shares.len() >= usize::from(shares[0].public().committee.threshold()));
    }
    Ok(())
}

/// In half of the runs nobody, else up to all but one.
fn vandal(rng: &mut ChaCha20Rng, parties: &[PartyId], seed: u64) -> Vandal {
    let most = if rng.next_u32().is_multiple_of(2) {
        0
    } else {
        parties.len() - 1
    };
    let number = rng.next_u64() as usize % (most + 1);
    let mut left = parties.to_vec();
    let dishonest = (0..number)
        .map(|_| left.swap_remove(rng.next_u64() as usize % left.len()))
        .collect();
    let rate = [30, 300, 1000][rng.next_u64() as usize % 3];
    Vandal::new(dishonest, rate, seed)
}
