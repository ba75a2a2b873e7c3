//! Bytes from peers and from disk, random and damaged: nothing panics, nobody honest is blamed, no length that is only claimed takes memory.
//!
//! Every run is a whole ceremony in the simulator, in which one message of a dishonest party is replaced. Of CGGMP'24 the
//! rounds before the primes are run here, and few signatures; its later messages are damaged in `cggmp_ceremonies`.

mod common;
#[allow(dead_code, reason = "another test re-deals with it")]
#[path = "cggmp_ceremonies/primes.rs"]
mod primes;

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use entropy_protocol::{
    KeyShare, MAX_PAYLOAD_BYTES, SetupError,
    simulator::{Adversary, Case, Fault, Frame, Kind, Plan, Posted, Stock, accounts, check, run},
};
use entropy_shared::{PartyId, Scheme};
use proptest::{prelude::*, sample::Index};

/// What is run: a line for each ceremony whose messages are fuzzed, with how many runs of it. What this version cannot run says so.
const CEREMONIES: &[(Scheme, Kind, u16, u16, u32)] = &[
    (Scheme::SchnorrTaproot, Kind::Keygen, 2, 3, 400),
    (Scheme::SchnorrTaproot, Kind::Sign, 3, 3, 400),
    (Scheme::SchnorrTaproot, Kind::Reshare, 2, 3, 400),
    (Scheme::SchnorrEd25519, Kind::Keygen, 2, 3, 200),
    (Scheme::SchnorrEd25519, Kind::Sign, 3, 3, 200),
    (Scheme::SchnorrEd25519, Kind::Reshare, 2, 3, 200),
    (Scheme::EcdsaDkls23, Kind::Keygen, 2, 2, 10),
    (Scheme::EcdsaDkls23, Kind::Sign, 2, 2, 100),
    (Scheme::EcdsaP256, Kind::Sign, 2, 2, 30),
    (Scheme::EcdsaCggmp24, Kind::Keygen, 2, 3, 300),
    (Scheme::EcdsaCggmp24, Kind::Sign, 2, 2, 4),
];

/// Whether this version can run it; says so if not.
fn is_there(case: &Case, stock: &mut Stock) -> bool {
    match case.build(stock, 1) {
        Ok(_) => true,
        Err(SetupError::UnsupportedScheme(_)) => {
            println!("NOT RUN, because this version cannot: {case:?}");
            false
        }
        Err(error) => panic!("{case:?}: {error}"),
    }
}

/// Lengths that claim much: SCALE's compact form of 2^30 - 1 and of 2^32 - 1, and postcard's of 2^32 - 1 and of 2^64 - 1.
const CLAIMS: [&[u8]; 4] = [
    &[0xfe, 0xff, 0xff, 0xff],
    &[0x03, 0xff, 0xff, 0xff, 0xff],
    &[0xff, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
];

/// What is done to good bytes.
#[derive(Debug, Clone)]
enum Damage {
    Replaced(Vec<u8>),
    Filled(u8, usize),
    Truncated(Index),
    Flipped(Vec<(Index, u8)>),
    Inserted(Index, Vec<u8>),
    Overwritten(Index, Vec<u8>),
    Repeated(Index, Index),
}

impl Damage {
    fn apply(&self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        let place = |index: &Index, bytes: &[u8]| index.index(bytes.len() + 1);
        match self {
            Self::Replaced(other) => return other.clone(),
            Self::Filled(byte, length) => return vec![*byte; *length],
            Self::Truncated(at) => bytes.truncate(place(at, &bytes)),
            Self::Flipped(flips) => {
                for (at, mask) in flips {
                    let at = at.index(bytes.len().max(1));
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte ^= mask;
                    }
                }
            }
            Self::Inserted(at, new) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Overwritten(at, new) => {
                let at = place(at, &bytes);
                let end = bytes.len().min(at + new.len());
                bytes.splice(at..end, new.iter().copied());
            }
            Self::Repeated(one, other) => {
                let (one, other) = (place(one, &bytes), place(other, &bytes));
                let part = bytes[one.min(other)..one.max(other)].to_vec();
                bytes.extend(part);
            }
        }
        bytes
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let some = || prop::collection::vec(any::<u8>(), 0..64);
    let new = || {
        prop_oneof![
            some(),
            prop::sample::select(CLAIMS.to_vec()).prop_map(<[u8]>::to_vec)
        ]
    };
    let mask = (0u8..8).prop_map(|bit| 1 << bit);
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..1024).prop_map(Damage::Replaced),
        (any::<u8>(), 0..=MAX_PAYLOAD_BYTES)
            .prop_map(|(byte, length)| Damage::Filled(byte, length)),
        any::<Index>().prop_map(Damage::Truncated),
        prop::collection::vec((any::<Index>(), mask), 1..4).prop_map(Damage::Flipped),
        (any::<Index>(), new()).prop_map(|(at, new)| Damage::Inserted(at, new)),
        (any::<Index>(), new()).prop_map(|(at, new)| Damage::Overwritten(at, new)),
        any::<(Index, Index)>().prop_map(|(one, other)| Damage::Repeated(one, other)),
    ]
}

/// Replaces one message of a dishonest party.
struct Fuzzer {
    culprit: PartyId,
    /// Messages of its own to go before the one that is replaced.
    left: Option<usize>,
    /// Whether the envelope stays as it is.
    enveloped: bool,
    damage: Damage,
}

impl Adversary for Fuzzer {
    fn dishonest(&self) -> BTreeSet<PartyId> {
        [self.culprit].into()
    }

    fn sends(&mut self, frame: Frame) -> Vec<Posted> {
        match self.left {
            Some(0) => self.left = None,
            Some(left) => {
                self.left = Some(left - 1);
                return vec![frame.into()];
            }
            None => return vec![frame.into()],
        }
        let damaged = if self.enveloped {
            frame.with_body(self.damage.apply(&frame.body()))
        } else {
            let payload = self.damage.apply(&frame.payload);
            Frame { payload, ..frame }
        };
        vec![damaged.into()]
    }
}

fn fuzz(scheme: Scheme, kind: Kind, t: u16, n: u16, runs: u32) {
    let case = Case::new(scheme, kind, t, n);
    let all: Vec<_> = accounts(n).into_keys().collect();
    let mut plan = Plan::quiet();
    // What follows would search primes: the last party stops before its subshares of round 8.
    let before_primes = (scheme, kind) == (Scheme::EcdsaCggmp24, Kind::Keygen);
    let most = if before_primes {
        plan.faults.insert(all[2], Fault::Crash(2 * 7));
        2 * 7
    } else if kind == Kind::Keygen {
        4 * (usize::from(n) - 1)
    } else {
        2 * (usize::from(n) - 1)
    };
    let stock = RefCell::new(if before_primes {
        Stock::default()
    } else {
        Stock::preparing(|sides| primes::primed(primes::OF_KEYGEN, sides))
    });
    if !is_there(&case, &mut stock.borrow_mut()) {
        return;
    }
    let config = ProptestConfig {
        cases: runs,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let choice = any::<(Index, Index, bool, u64)>();
    let outcome = runner.run(&(choice, damage()), |(choice, damage)| {
        let (culprit, message, enveloped, seed) = choice;
        let job = case.build(&mut stock.borrow_mut(), 1).expect("a ceremony");
        let parties: Vec<_> = job.parties.iter().map(|(party, _)| *party).collect();
        let mut fuzzer = Fuzzer {
            culprit: parties[culprit.index(parties.len())],
            left: Some(message.index(most)),
            enveloped,
            damage,
        };
        let run = run(job.parties, &plan, &mut fuzzer, seed);
        let dishonest = fuzzer.dishonest();
        check(&run, &job.expected, &dishonest)
            .map_err(|violation| TestCaseError::fail(violation.to_string()))
    });
    if let Err(error) = outcome {
        panic!("{scheme} {}: {error}", kind.name());
    }
}

fn fuzz_all(wanted: impl Fn(Scheme) -> bool) {
    for (scheme, kind, t, n, runs) in CEREMONIES {
        if wanted(*scheme) {
            fuzz(*scheme, *kind, *t, *n, *runs);
        }
    }
}

#[test]
fn no_message_makes_a_ceremony_of_frost_panic_or_blame_the_wrong_party() {
    fuzz_all(|scheme| matches!(scheme, Scheme::SchnorrTaproot | Scheme::SchnorrEd25519));
}

#[test]
fn no_message_makes_a_ceremony_of_dkls_panic_or_blame_the_wrong_party() {
    fuzz_all(|scheme| matches!(scheme, Scheme::EcdsaDkls23 | Scheme::EcdsaP256));
}

#[test]
fn no_message_makes_a_ceremony_of_cggmp_panic_or_blame_the_wrong_party() {
    fuzz_all(|scheme| scheme == Scheme::EcdsaCggmp24);
}

/// One share of each scheme, as it is stored.
fn stored() -> Vec<(Scheme, Vec<u8>)> {
    let mut stock = Stock::default();
    let schemes = [
        Scheme::SchnorrTaproot,
        Scheme::SchnorrEd25519,
        Scheme::EcdsaDkls23,
    ];
    let mut shares = Vec::new();
    for scheme in schemes {
        match stock.shares(scheme, 2, 2) {
            Ok(all) => {
                let share = all.values().next().expect("a share");
                shares.push((scheme, share.encode().to_vec()));
            }
            Err(error) => println!("NOT READ: {error}"),
        }
    }
    let golden = include_str!("golden/cggmp_share.txt").lines();
    let mut whole = golden.filter_map(|line| line.strip_prefix("whole share 1: "));
    let whole = hex::decode(whole.next().expect("a line")).expect("digits");
    shares.push((Scheme::EcdsaCggmp24, whole));
    shares
}

fn decode(bytes: &[u8]) -> Option<KeyShare> {
    KeyShare::decode(bytes).ok().inspect(|share| {
        assert_eq!(&*share.encode(), bytes, "what is read is what was written");
    })
}

#[test]
fn no_bytes_make_the_decoder_of_shares_panic() {
    for (scheme, good) in stored() {
        assert!(decode(&good).is_some(), "{scheme}");
        let config = ProptestConfig {
            cases: if good.len() > 1024 { 500 } else { 4000 },
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        proptest!(config, |(damage in damage())| {
            decode(&damage.apply(&good));
        });
        for length in (0..good.len()).step_by(1 + good.len() / 4096) {
            assert!(
                decode(&good[..length]).is_none(),
                "{scheme}, {length} bytes"
            );
        }
    }
}

/// The most memory that this process has ever mapped, used or not, in bytes.
fn most_mapped() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmPeak:"))?;
    let kilobytes: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[test]
fn a_length_that_is_only_claimed_takes_no_memory() {
    // Threads of other tests map arenas; what is claimed is at least sixteen times as much.
    const MOST: usize = 1 << 30;
    let before = most_mapped();
    for (_, good) in stored() {
        for at in (0..good.len()).step_by(1 + good.len() / 2048) {
            for claim in CLAIMS {
                let mut bytes = good[..at].to_vec();
                bytes.extend(claim);
                bytes.extend(&good[at..]);
                decode(&bytes);
                bytes.truncate(at + claim.len());
                decode(&bytes);
            }
        }
    }
    let (Some(before), Some(after)) = (before, most_mapped()) else {
        println!("NOT MEASURED: this system does not say how much is mapped");
        return;
    };
    assert!(after - before < MOST, "{} bytes", after - before);
}

#[test]
fn claims_in_messages_take_no_memory() {
    const MOST: usize = 1 << 30;
    let before = most_mapped();
    let mut runs = BTreeMap::new();
    let mut stock = Stock::default();
    for (scheme, kind, t, n, _) in CEREMONIES {
        let case = Case::new(*scheme, *kind, *t, *n);
        // Each run of these takes a second.
        let slow = matches!(
            (*scheme, *kind),
            (Scheme::EcdsaCggmp24, Kind::Sign) | (Scheme::EcdsaDkls23, Kind::Keygen)
        );
        if slow || !is_there(&case, &mut stock) {
            continue;
        }
        let all: Vec<_> = accounts(*n).into_keys().collect();
        for message in 0..14 {
            for (number, claim) in CLAIMS.iter().enumerate() {
                for damage in [
                    Damage::Replaced(claim.to_vec()),
                    Damage::Replaced([claim, &[2; 200][..]].concat()),
                ] {
                    let mut plan = Plan::quiet();
                    if *scheme == Scheme::EcdsaCggmp24 {
                        plan.faults.insert(all[2], Fault::Crash(2 * 7));
                    }
                    let job = case.build(&mut stock, 1).expect("a ceremony");
                    let mut fuzzer = Fuzzer {
                        culprit: all[1],
                        left: Some(message),
                        enveloped: number % 2 == 0 || message % 2 == 0,
                        damage,
                    };
                    let run = run(job.parties, &plan, &mut fuzzer, 1);
                    assert_eq!(check(&run, &job.expected, &fuzzer.dishonest()), Ok(()));
                    *runs.entry((scheme.name(), kind.name())).or_insert(0) += 1;
                }
            }
        }
    }
    println!("{runs:?}");
    if let (Some(before), Some(after)) = (before, most_mapped()) {
        assert!(after - before < MOST, "{} bytes", after - before);
    }
}
