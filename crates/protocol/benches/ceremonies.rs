//! What ceremonies cost, beside the bare library in the same run; and the bytes and rounds that they take. Prints a table;
//! run by `cargo bench -p entropy-protocol`.
//!
//! All parties run in one thread, so that times are sums over them unless a line says per party. They are medians. Key
//! generation of CGGMP'24 searches for its primes, and so does the set-up of its signing: minutes in all.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::{Duration, Instant},
};

use ed25519_dalek::SigningKey;
use entropy_protocol::{
    KeyShare, SetupError, SigningContext, Subject, sign,
    simulator::{Case, End, Frame, Honest, Kind, Plan, Product, Running, Stock, accounts, run},
};
use entropy_shared::{
    DerivationPath, Digest, KeyId, PartyId, RequestId, Scheme, TaprootTweak, derivation::derive,
};
use frost_secp256k1_tr as frost;
use manul::dev::{BinaryFormat, TestSessionParams, TestSigner, TestVerifier};
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};
use signature::Keypair;
use synedrion::{AuxInfo, InteractiveSigning, k256::ProductionParams112};

type Shares = BTreeMap<PartyId, KeyShare>;

/// One line of the table.
struct Row {
    what: String,
    ours: Duration,
    bare: Option<Duration>,
    /// The most that ours may be of the bare library's, or absolutely.
    bar: Option<Bar>,
    note: String,
}

enum Bar {
    Ratio(f64),
    Time(Duration),
}

impl Row {
    fn line(&self) -> String {
        let milliseconds = |time: Duration| format!("{:.3} ms", time.as_secs_f64() * 1e3);
        let ratio = self
            .bare
            .map(|bare| self.ours.as_secs_f64() / bare.as_secs_f64());
        let (bar, met) = match (&self.bar, ratio) {
            (Some(Bar::Ratio(most)), Some(ratio)) => (format!("{most} x"), Some(ratio <= *most)),
            (Some(Bar::Time(most)), _) => (milliseconds(*most), Some(self.ours <= *most)),
            _ => (String::new(), None),
        };
        let cells = [
            self.what.clone(),
            milliseconds(self.ours),
            self.bare.map(milliseconds).unwrap_or_default(),
            ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
            bar,
            met.map(|met| if met { "yes" } else { "NO" }.to_owned())
                .unwrap_or_default(),
            self.note.clone(),
        ];
        format!("| {} |", cells.join(" | "))
    }
}

fn median(runs: usize, mut run: impl FnMut() -> Duration) -> Duration {
    let mut times: Vec<_> = (0..runs).map(|_| run()).collect();
    times.sort_unstable();
    times[runs / 2]
}

/// Ours and the bare library's by turns, so that what else the machine does hits both.
fn medians(
    runs: usize,
    mut ours: impl FnMut() -> Duration,
    mut bare: impl FnMut() -> Duration,
) -> (Duration, Duration) {
    ours();
    bare();
    let mut other = Vec::with_capacity(runs);
    let own = median(runs, || {
        other.push(bare());
        ours()
    });
    other.sort_unstable();
    (own, other[runs / 2])
}

fn timed(mut run: impl FnMut()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

/// Delivers in the order of sending; all must succeed.
fn drive<T>(mut parties: BTreeMap<PartyId, Running<T>>, rng: &mut ChaCha20Rng) {
    let mut queue = VecDeque::new();
    let mut done = 0;
    let mut settle = |queue: &mut VecDeque<_>, from: PartyId, step: entropy_protocol::Step<T>| {
        queue.extend(step.outbound.into_iter().map(|message| (from, message)));
        done += usize::from(matches!(step.outcome, Some(Ok(_))));
        done
    };
    for (party, ceremony) in &mut parties {
        let step = ceremony.start(rng);
        settle(&mut queue, *party, step);
    }
    let mut all = 0;
    while let Some((from, message)) = queue.pop_front() {
        if let Some(ceremony) = parties.get_mut(&message.to) {
            let step = ceremony.receive(&from, &message.payload, rng);
            all = settle(&mut queue, message.to, step);
        }
    }
    assert_eq!(all, parties.len(), "everybody succeeds");
}

/// A signature by these holders, led by the first, with nonces from `rng`.
fn signing_context(signers: &[&KeyShare], rng: &mut ChaCha20Rng) -> SigningContext {
    let public = signers[0].public();
    let mut bytes = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let (key, path) = (KeyId(bytes()), DerivationPath::default());
    let derived = derive(public.scheme, &public.root_key, &key, &path).expect("a key");
    SigningContext {
        public_digest: public.digest(),
        subject: Subject::Request(RequestId(bytes())),
        key,
        path,
        tweak: TaprootTweak::None,
        digest: Digest(bytes()),
        message: None,
        final_key: derived
            .final_key(public.scheme, &TaprootTweak::None)
            .expect("a key"),
        leader: signers[0].party(),
        signers: signers
            .iter()
            .map(|share| (share.party(), bytes()))
            .collect(),
    }
}

/// The time of one signature by the first `t` holders, from their shares to their signatures, and what of it goes before the first message.
fn signing(
    shares: &Shares,
    accounts: &BTreeMap<PartyId, SigningKey>,
    rng: &mut ChaCha20Rng,
) -> (Duration, Duration) {
    let threshold = shares
        .values()
        .next()
        .expect("a share")
        .public()
        .committee
        .threshold();
    let signers: Vec<_> = shares.values().take(usize::from(threshold)).collect();
    let context = signing_context(&signers, rng);
    let side = |share: &&KeyShare| {
        let party = share.party();
        let ceremony = sign(&context, share, &accounts[&party]).expect("a ceremony");
        (party, ceremony)
    };
    let began = Instant::now();
    let sides = signers.iter().map(side).collect();
    let before = began.elapsed();
    drive(sides, rng);
    (began.elapsed(), before)
}

/// What the library alone does for four signatures' worth of shares and one aggregation.
fn bare_frost(
    keys: &BTreeMap<frost::Identifier, frost::keys::KeyPackage>,
    public: &frost::keys::PublicKeyPackage,
    t: usize,
    rng: &mut ChaCha20Rng,
) -> Duration {
    timed(|| {
        let signers: Vec<_> = keys.iter().take(t).collect();
        let mut nonces = BTreeMap::new();
        let mut commitments = BTreeMap::new();
        for (id, key) in &signers {
            let (nonce, commitment) = frost::round1::commit(key.signing_share(), &mut *rng);
            nonces.insert(**id, nonce);
            commitments.insert(**id, commitment);
        }
        let package = frost::SigningPackage::new(commitments, &[5; 32]);
        let shares = signers
            .iter()
            .map(|(id, key)| {
                let share = frost::round2::sign(&package, &nonces[id], key).expect("a share");
                (**id, share)
            })
            .collect();
        frost::aggregate(&package, &shares, public).expect("a signature");
    })
}

fn frost_row(stock: &mut Stock, accounts: &BTreeMap<PartyId, SigningKey>) -> Row {
    const RUNS: usize = 101;
    let (t, n) = (4, 5);
    let shares = stock.shares(Scheme::SchnorrTaproot, t, n).expect("shares");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let (dealt, public) =
        frost::keys::generate_with_dealer(n, t, frost::keys::IdentifierList::Default, &mut rng)
            .expect("shares");
    let keys = dealt
        .into_iter()
        .map(|(id, share)| {
            (
                id,
                frost::keys::KeyPackage::try_from(share).expect("a share"),
            )
        })
        .collect();
    let mut other = ChaCha20Rng::seed_from_u64(2);
    let mut before = Vec::new();
    let (ours, bare) = medians(
        RUNS,
        || {
            let (time, setting_up) = signing(shares, accounts, &mut rng);
            before.push(setting_up);
            time
        },
        || bare_frost(&keys, &public, usize::from(t), &mut other),
    );
    before.sort_unstable();
    Row {
        what: "schnorr-taproot sign 4-of-5, all signers".into(),
        ours,
        bare: Some(bare),
        bar: Some(Bar::Ratio(1.5)),
        note: format!(
            "bare: one aggregation; ours also derives the key and verifies at every signer; {:.3} ms of it before the first message",
            before[RUNS / 2].as_secs_f64() * 1e3
        ),
    }
}

type Parameters = TestSessionParams<BinaryFormat>;

fn cggmp_row(stock: &mut Stock, accounts: &BTreeMap<PartyId, SigningKey>) -> Row {
    const RUNS: usize = 5;
    let shares = stock.shares(Scheme::EcdsaCggmp24, 2, 3).expect("shares");
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let signers: Vec<_> = (1..=2).map(TestSigner::new).collect();
    let ids: BTreeSet<TestVerifier> = signers.iter().map(Keypair::verifying_key).collect();
    let mut other = ChaCha20Rng::seed_from_u64(2);
    let auxiliary = AuxInfo::<ProductionParams112, _>::new_centralized(&mut other, &ids);
    let keys =
        synedrion::KeyShare::<ProductionParams112, _>::new_centralized(&mut other, &ids, None);
    let (ours, bare) = medians(
        RUNS,
        || signing(shares, accounts, &mut rng).0 / 2,
        || {
            let entries = signers
                .iter()
                .map(|signer| {
                    let id = signer.verifying_key();
                    let (key, auxiliary) = (keys[&id].clone(), auxiliary[&id].clone());
                    let digest = [5; 32].into();
                    let entry = InteractiveSigning::new(digest, key, auxiliary).expect("fits");
                    (*signer, entry)
                })
                .collect();
            timed_once(|| {
                let ended = manul::dev::run_sync::<_, Parameters>(&mut other, entries);
                ended.expect("it runs").results().expect("signatures");
            }) / 2
        },
    );
    Row {
        what: "ecdsa-cggmp24 sign 2-of-3, per party".into(),
        ours,
        bare: Some(bare),
        bar: Some(Bar::Ratio(1.1)),
        note: "bare: without signatures on messages".into(),
    }
}

fn timed_once(run: impl FnOnce()) -> Duration {
    let began = Instant::now();
    run();
    began.elapsed()
}

/// What a peer can make us do with 64 KiB: random bytes, and a message of the first round with them or with zeros inside.
fn garbage_rows(stock: &mut Stock, scheme: Scheme, kind: Kind) -> Result<Vec<Row>, SetupError> {
    const RUNS: usize = 51;
    const LENGTH: usize = 64 * 1024;
    let case = Case::new(scheme, kind, 2, 3);
    let mut rng = ChaCha20Rng::seed_from_u64(3);
    let mut random = vec![0; LENGTH];
    rng.fill_bytes(&mut random);
    // A message that this one is made of.
    let sent = {
        let mut job = case.build(stock, 1)?;
        let (from, ceremony) = job.parties.last_mut().expect("a party");
        let step = ceremony.start(&mut rng);
        step.outbound.into_iter().next().map(|message| Frame {
            from: *from,
            to: message.to,
            payload: message.payload,
        })
    };
    let Some(frame) = sent else {
        return Ok(Vec::new());
    };
    let payloads = [
        ("random bytes", random.clone()),
        (
            "random bytes in an envelope",
            frame.with_body(random).payload,
        ),
        (
            "zeros in an envelope",
            frame.with_body(vec![0; LENGTH]).payload,
        ),
    ];
    let mut rows = Vec::new();
    for (what, payload) in payloads {
        let ours = median(RUNS, || {
            let mut job = case.build(stock, 1).expect("it was built before");
            let (_, victim) = job
                .parties
                .iter_mut()
                .find(|(party, _)| *party == frame.to)
                .expect("a party");
            victim.start(&mut rng);
            let mut rejected = false;
            let time = timed(|| {
                let step = victim.receive(&frame.from, &payload, &mut rng);
                rejected = matches!(step.outcome, Some(Err(_)));
            });
            assert!(rejected, "{scheme} {}: {what}", kind.name());
            time
        });
        rows.push(Row {
            what: format!("{scheme} {}: 64 KiB rejected", kind.name()),
            ours,
            bare: None,
            bar: Some(Bar::Time(Duration::from_micros(100))),
            note: what.into(),
        });
    }
    Ok(rows)
}

/// A whole ceremony that makes shares: the time of all parties, bytes and rounds.
fn making_row(
    stock: &mut Stock,
    (scheme, kind, t, n, runs): (Scheme, Kind, u16, u16, usize),
) -> Result<Row, SetupError> {
    let case = Case::new(scheme, kind, t, n);
    // Refuses what this version has not, and makes the old shares.
    case.build(stock, 1)?;
    let mut note = String::new();
    let mut seed = 0;
    let mut per_party = 1;
    let ours = median(runs, || {
        seed += 1;
        let job = case.build(stock, seed).expect("it was built before");
        per_party = job.parties.len() as u32;
        let began = Instant::now();
        let run = run(job.parties, &Plan::quiet(), &mut Honest, seed);
        let time = began.elapsed();
        let done = |end: &End<Product>| matches!(end, End::Done(_));
        assert!(run.ends.values().all(done), "{:?}", run.ends);
        let bytes: usize = run.sent.iter().map(|frame| frame.payload.len()).sum();
        let rounds = run.sent.iter().filter_map(Frame::round).max();
        note = format!(
            "{} rounds, {} bytes sent by each",
            rounds.unwrap_or_default(),
            bytes / run.ends.len()
        );
        time / per_party
    });
    Ok(Row {
        what: format!("{scheme} {} {t}-of-{n}, per party", kind.name()),
        ours,
        bare: None,
        bar: None,
        note,
    })
}

/// What makes shares: scheme, ceremony, t, n, and how many times it runs.
const MAKING: &[(Scheme, Kind, u16, u16, usize)] = &[
    (Scheme::SchnorrTaproot, Kind::Keygen, 4, 5, 21),
    (Scheme::SchnorrTaproot, Kind::Reshare, 4, 5, 21),
    (Scheme::SchnorrEd25519, Kind::Keygen, 4, 5, 21),
    (Scheme::SchnorrEd25519, Kind::Reshare, 4, 5, 21),
    (Scheme::EcdsaDkls23, Kind::Keygen, 4, 5, 1),
    (Scheme::EcdsaDkls23, Kind::Reshare, 4, 5, 1),
    (Scheme::EcdsaP256, Kind::Keygen, 4, 5, 1),
    (Scheme::EcdsaP256, Kind::Reshare, 4, 5, 1),
    (Scheme::EcdsaCggmp24, Kind::Keygen, 2, 3, 1),
    (Scheme::EcdsaCggmp24, Kind::Reshare, 2, 3, 1),
];

/// Whose first message is replaced by garbage.
const GARBAGE: &[(Scheme, Kind)] = &[
    (Scheme::SchnorrTaproot, Kind::Keygen),
    (Scheme::SchnorrTaproot, Kind::Sign),
    (Scheme::SchnorrEd25519, Kind::Keygen),
    (Scheme::EcdsaDkls23, Kind::Keygen),
    (Scheme::EcdsaCggmp24, Kind::Keygen),
];

fn main() {
    // As usual with benches: an argument runs only what has it in its name.
    let filter = std::env::args().skip(1).find(|it| !it.starts_with('-'));
    let wanted = |name: &str| filter.as_ref().is_none_or(|filter| name.contains(filter));
    let accounts = accounts(5);
    let mut stock = Stock::default();
    let mut rows = Vec::new();
    let mut skipped = Vec::new();
    if wanted("frost sign") {
        rows.push(frost_row(&mut stock, &accounts));
    }
    for (scheme, kind) in GARBAGE {
        let name = format!("{scheme} {} garbage", kind.name());
        match wanted(&name).then(|| garbage_rows(&mut stock, *scheme, *kind)) {
            Some(Ok(more)) => rows.extend(more),
            Some(Err(error)) => skipped.push(format!("{name}: {error}")),
            None => {}
        }
    }
    if wanted("cggmp24 sign") {
        rows.push(cggmp_row(&mut stock, &accounts));
    }
    for entry in MAKING {
        let name = format!("{} {}", entry.0, entry.1.name());
        match wanted(&name).then(|| making_row(&mut stock, *entry)) {
            Some(Ok(row)) => rows.push(row),
            Some(Err(error)) => skipped.push(format!("{name}: {error}")),
            None => {}
        }
    }
    for skipped in skipped {
        println!("SKIPPED {skipped}");
    }
    println!("\n| what | ours | bare library | ratio | bar | met | |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for row in rows {
        println!("{}", row.line());
    }
}
