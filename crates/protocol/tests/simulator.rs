//! The simulator itself: it replays, its faults do what they say, and every invariant can be broken.

use std::collections::BTreeSet;

use entropy_protocol::{
    Blame, Ceremony, Failure, Offence, Outbound, Step,
    simulator::{
        Adversary, Case, Cut, End, Expected, Fault, Frame, Honest, Kind, Plan, Posted, Product,
        Run, Running, Stock, Vandal, Violation, accounts, check, check_alive, run,
    },
};
use entropy_shared::{PartyId, Scheme, Signature, VerifyingKey};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, SeedableRng};

fn case(kind: Kind) -> Case {
    Case::new(Scheme::SchnorrTaproot, kind, 2, 3)
}

fn parties(n: u16) -> Vec<PartyId> {
    accounts(n).into_keys().collect()
}

fn simulate(case: &Case, plan: &Plan, adversary: &mut dyn Adversary, seed: u64) -> Run<Product> {
    println!("seed {seed}");
    let job = case.build(&mut Stock::default(), seed).unwrap();
    let run = run(job.parties, plan, adversary, seed);
    assert_eq!(check(&run, &job.expected, &adversary.dishonest()), Ok(()));
    run
}

fn all_done(run: &Run<Product>) -> bool {
    run.ends.values().all(|end| matches!(end, End::Done(_)))
}

#[track_caller]
fn assert_silent(run: &Run<Product>, by: &PartyId, silent: &[PartyId]) {
    let blame: Vec<_> = run.failure(by).unwrap().blame.clone();
    let expected: Vec<_> = silent
        .iter()
        .map(|party| Blame {
            party: *party,
            offence: Offence::Silent,
        })
        .collect();
    assert_eq!(blame, expected);
}

#[test]
fn the_same_seed_replays_to_the_byte() {
    for kind in [Kind::Keygen, Kind::Sign] {
        for seed in 0..20 {
            let replay = |seed| {
                let rng = &mut ChaCha20Rng::seed_from_u64(seed);
                let all = parties(3);
                let plan = Plan::random(rng, &all);
                let mut adversary = Vandal::new([all[1]].into(), 300, seed);
                let run = simulate(&case(kind), &plan, &mut adversary, seed);
                (run.transcript, run.schedule, run.faults, run.time, run.sent)
            };
            let first = replay(seed);
            assert_eq!(first, replay(seed), "{kind:?} {seed}");
            assert_ne!(first.0, replay(seed + 1000).0);
        }
    }
}

#[test]
fn key_generation_of_cggmp_replays_to_the_byte() {
    let case = Case::new(Scheme::EcdsaCggmp24, Kind::Keygen, 2, 3);
    let replay = |seed| {
        let mut plan = Plan::quiet();
        // It stops before the subshares of round 8, with which the search for primes would begin.
        plan.faults.insert(parties(3)[1], Fault::Crash(2 * 7));
        let run = simulate(&case, &plan, &mut Honest, seed);
        let furthest = run.sent.iter().filter_map(Frame::round).max();
        (run.transcript, furthest)
    };
    assert_eq!(replay(1), replay(1));
    assert_eq!(replay(1).1, Some(8));
    assert_ne!(replay(1), replay(2));
}

#[test]
fn an_undisturbed_run_succeeds_and_its_shares_sign() {
    for seed in 0..5 {
        let run = simulate(&case(Kind::Keygen), &Plan::quiet(), &mut Honest, seed);
        assert!(all_done(&run));
        let shares: Vec<_> = parties(3)
            .iter()
            .map(|party| match run.result(party) {
                Some(Product::Share(share)) => &**share,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(check_alive(&shares, seed), Ok(()));
        assert!(all_done(&simulate(
            &case(Kind::Sign),
            &Plan::quiet(),
            &mut Honest,
            seed
        )));
    }
}

#[test]
fn reordering_and_duplicates_change_nothing() {
    for kind in [Kind::Keygen, Kind::Sign] {
        let plan = Plan {
            jitter: 1_000_000,
            duplication: 500,
            ..Plan::quiet()
        };
        let case = Case::new(Scheme::SchnorrTaproot, kind, 4, 5);
        let run = simulate(&case, &plan, &mut Honest, 3);
        assert!(all_done(&run), "{:?}", run.ends);
        assert!(run.faults.duplicated > 0);
        assert!(
            run.faults.reordered > 0 || kind == Kind::Sign,
            "in signing no link carries two messages at once"
        );
    }
}

#[test]
fn a_deadline_is_of_one_round() {
    // Four rounds of at least a second each, with time for one and a half.
    let plan = Plan {
        latency: 1_000_000..1_000_001,
        deadline: 1_500_000,
        ..Plan::quiet()
    };
    let run = simulate(&case(Kind::Keygen), &plan, &mut Honest, 3);
    assert!(all_done(&run) && run.time >= 4_000_000 && run.faults.expired == 0);
    let plan = Plan {
        deadline: 900_000,
        ..plan
    };
    let run = simulate(&case(Kind::Keygen), &plan, &mut Honest, 3);
    let all = parties(3);
    assert_silent(&run, &all[0], &all[1..]);
}

#[test]
fn who_crashes_sends_nothing_from_there_on() {
    let all = parties(3);
    for (fault, restarted) in [(Fault::Crash(3), 0), (Fault::Restart(3, 5_000), 1)] {
        let mut plan = Plan::quiet();
        plan.faults.insert(all[2], fault);
        let run = simulate(&case(Kind::Keygen), &plan, &mut Honest, 4);
        assert_eq!(
            run.sent.iter().filter(|frame| frame.from == all[2]).count(),
            3
        );
        assert!(matches!(run.ends[&all[2]], End::Stopped));
        assert_eq!((run.faults.crashed, run.faults.restarted), (1, restarted));
        // Of its second round, one of the two got its message.
        let silent_to: Vec<_> = all[..2]
            .iter()
            .filter(|party| {
                run.failure(party)
                    .unwrap()
                    .blame
                    .iter()
                    .any(|blame| blame.party == all[2])
            })
            .collect();
        assert!(!silent_to.is_empty());
    }
}

#[test]
fn who_starts_late_catches_up_or_is_named() {
    let all = parties(3);
    let started_at = |time| {
        let mut plan = Plan::quiet();
        plan.faults.insert(all[0], Fault::LateStart(time));
        simulate(&case(Kind::Keygen), &plan, &mut Honest, 5)
    };
    assert!(all_done(&started_at(1_500_000)));
    let run = started_at(3_000_000);
    for party in &all[1..] {
        assert_silent(&run, party, &all[..1]);
    }
}

#[test]
fn links_that_are_down_lose_what_is_sent_meanwhile_in_their_direction() {
    let all = parties(3);
    let cut = |during| {
        let mut plan = Plan::quiet();
        plan.cuts.push(Cut {
            from: [all[0]].into(),
            to: [all[1]].into(),
            during,
        });
        simulate(&case(Kind::Keygen), &plan, &mut Honest, 6)
    };
    let run = cut(0..10_000_000);
    assert_silent(&run, &all[1], &all[..1]);
    assert!(run.faults.cut > 0);
    // The others have each other's commitments, and wait for what follows on them.
    assert_silent(&run, &all[0], &all[1..2]);
    assert!(all_done(&cut(5_000_000..10_000_000)), "it ended before");
}

#[test]
fn lost_messages_expire_their_rounds() {
    let plan = Plan {
        loss: 1000,
        ..Plan::quiet()
    };
    let run = simulate(&case(Kind::Keygen), &plan, &mut Honest, 7);
    let all = parties(3);
    assert_silent(&run, &all[0], &all[1..]);
    assert_eq!((run.faults.lost, run.faults.expired), (6, 3));
}

/// Sends everything in the name of somebody else.
struct Impostor(PartyId, PartyId);

impl Adversary for Impostor {
    fn dishonest(&self) -> BTreeSet<PartyId> {
        [self.0].into()
    }

    fn sends(&mut self, mut frame: Frame) -> Vec<Posted> {
        let mut forged = frame.with_body(vec![1, 2, 3]);
        forged.from = self.1;
        frame.from = self.0;
        vec![forged.into(), frame.into()]
    }
}

#[test]
fn nobody_sends_in_the_name_of_an_honest_party() {
    let all = parties(3);
    for name in [all[1], PartyId([9; 32])] {
        let run = simulate(
            &case(Kind::Keygen),
            &Plan::quiet(),
            &mut Impostor(all[0], name),
            8,
        );
        assert!(all_done(&run), "strangers change nothing either");
    }
}

/// A ceremony that does what a test wants.
#[derive(Clone)]
enum Bad {
    Panics,
    NeverEnds,
    GoesOn(u8),
    Gives(Signature),
    Blames(PartyId, Offence),
}

impl Ceremony for Bad {
    type Output = Product;

    fn start(&mut self, _: &mut dyn CryptoRngCore) -> Step<Product> {
        let outcome = match self {
            Self::Panics => panic!("as it should"),
            Self::NeverEnds => None,
            Self::GoesOn(_) => Some(Err(Failure::unattributed("an end"))),
            Self::Gives(signature) => Some(Ok(Product::Signature(*signature))),
            Self::Blames(party, offence) => Some(Err(Failure::blaming(*party, *offence))),
        };
        let outbound = match self {
            Self::GoesOn(to) => vec![Outbound {
                to: parties(2)[usize::from(*to)],
                payload: vec![1],
            }],
            _ => Vec::new(),
        };
        Step { outbound, outcome }
    }

    fn receive(&mut self, _: &PartyId, _: &[u8], _: &mut dyn CryptoRngCore) -> Step<Product> {
        match self {
            Self::GoesOn(_) => Step {
                outbound: Vec::new(),
                outcome: Some(Err(Failure::unattributed("another end"))),
            },
            _ => Step::idle(),
        }
    }

    fn expire(&mut self, _: &mut dyn CryptoRngCore) -> Step<Product> {
        Step::idle()
    }
}

#[test]
fn every_invariant_can_be_broken() {
    let [first, second] = parties(2)[..] else {
        unreachable!()
    };
    let job = Case::new(Scheme::SchnorrTaproot, Kind::Sign, 2, 2)
        .build(&mut Stock::default(), 1)
        .unwrap();
    let expected = job.expected;
    let good = run(job.parties, &Plan::quiet(), &mut Honest, 1);
    let Some(Product::Signature(good)) = good.result(&first) else {
        panic!("a signature")
    };
    let verdict = |one: Bad, other: Bad, expected: &Expected, dishonest: &[PartyId]| {
        let sides = vec![
            (first, Box::new(one) as Running<Product>),
            (second, Box::new(other) as Running<Product>),
        ];
        let run = run(sides, &Plan::quiet(), &mut Honest, 1);
        check(&run, expected, &dishonest.iter().copied().collect()).err()
    };
    let fine = || Bad::Gives(*good);
    let of = |bad: Bad| verdict(bad, fine(), &expected, &[]);
    assert_eq!(of(fine()), None);
    assert_eq!(
        of(Bad::Panics),
        Some(Violation::Panicked(first, "as it should".into()))
    );
    assert_eq!(of(Bad::NeverEnds), Some(Violation::Endless(first)));
    assert_eq!(
        verdict(Bad::GoesOn(1), Bad::GoesOn(0), &expected, &[]),
        Some(Violation::Restless(first))
    );
    let wrong = Bad::Gives(Signature::Bip340([1; 64]));
    let refused = Some(Violation::Wrong(first, "the signature does not verify"));
    assert_eq!(of(wrong.clone()), refused);
    assert_eq!(
        verdict(wrong, fine(), &expected, &[first]),
        None,
        "a dishonest party may claim anything"
    );
    for (party, offence, honest) in [
        (second, Offence::Silent, true),
        (second, Offence::Malformed, false),
        (second, Offence::Panic, false),
        (first, Offence::Silent, false),
    ] {
        let blame = Blame { party, offence };
        let violation = Violation::HonestBlamed(first, blame);
        assert_eq!(
            of(Bad::Blames(party, offence)),
            (!honest).then_some(violation)
        );
    }
    assert_eq!(
        verdict(
            Bad::Blames(second, Offence::BadShare),
            fine(),
            &expected,
            &[second]
        ),
        None
    );
}

#[test]
fn two_good_signatures_that_differ_are_found() {
    let (first, second) = (parties(2)[0], parties(2)[1]);
    // The same message twice, with other nonces.
    let job = |seed| {
        let case = Case::new(Scheme::SchnorrTaproot, Kind::Sign, 2, 2);
        let job = case.build(&mut Stock::default(), 7).unwrap();
        let run = run(job.parties, &Plan::quiet(), &mut Honest, seed);
        match run.result(&first) {
            Some(Product::Signature(signature)) => (*signature, job.expected),
            other => panic!("{other:?}"),
        }
    };
    let ((one, expected), (other, _)) = (job(1), job(2));
    assert_ne!(one, other);
    let sides = vec![
        (first, Box::new(Bad::Gives(one)) as Running<Product>),
        (second, Box::new(Bad::Gives(other)) as Running<Product>),
    ];
    let run = run(sides, &Plan::quiet(), &mut Honest, 1);
    assert_eq!(
        check(&run, &expected, &BTreeSet::new()),
        Err(Violation::Different(first, second))
    );
}

#[test]
fn shares_that_are_not_the_expected_ones_are_found() {
    let all = parties(3);
    let job = case(Kind::Keygen).build(&mut Stock::default(), 1).unwrap();
    let run = run(job.parties, &Plan::quiet(), &mut Honest, 1);
    let Expected::Share {
        genesis,
        scheme,
        epoch,
        attempt,
        committee,
        ..
    } = job.expected.clone()
    else {
        panic!("a share")
    };
    assert_eq!(check(&run, &job.expected, &BTreeSet::new()), Ok(()));
    let with = |attempt, root_key| Expected::Share {
        genesis,
        scheme,
        epoch,
        attempt,
        committee: committee.clone(),
        root_key,
    };
    for (expected, why) in [
        (with(attempt + 1, None), "a share of another attempt"),
        (
            with(attempt, Some(VerifyingKey::Secp256k1([2; 33]))),
            "a share of another key",
        ),
    ] {
        assert_eq!(
            check(&run, &expected, &BTreeSet::new()),
            Err(Violation::Wrong(all[0], why))
        );
    }
}

#[test]
fn a_changed_old_share_is_found() {
    let mut stock = Stock::default();
    let signing = case(Kind::Sign);
    let job = signing.build(&mut stock, 1).unwrap();
    assert_eq!(job.old_shares().len(), 2, "those who sign");
    assert_eq!(stock.check_intact(&signing, job.old_shares()), Ok(()));
    let other = run(
        case(Kind::Keygen)
            .build(&mut Stock::default(), 9)
            .unwrap()
            .parties,
        &Plan::quiet(),
        &mut Honest,
        9,
    );
    let shares = other.ends.into_iter().map(|(party, end)| match end {
        End::Done(Product::Share(share)) => (party, *share),
        other => panic!("{other:?}"),
    });
    stock.put(shares.collect());
    let party = job.old_shares()[0].0;
    assert_eq!(
        stock.check_intact(&signing, job.old_shares()),
        Err(Violation::OldShareChanged(party))
    );
}
