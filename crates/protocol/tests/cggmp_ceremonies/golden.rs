//! Golden bytes of everything that is sent, and of a stored share: a change of any needs a new protocol version, or a new version of shares.
//!
//! A file says of each message who sends it to whom, how long it is, its hash and how it begins, and the same of the
//! payloads that manul signs one by one. All random numbers come from a seed, the library's search for primes included;
//! the order of delivery does not matter. A library that takes its random numbers in another order changes bytes, but no lengths.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fmt::Write,
    fs,
    path::Path,
};

use codec::{Compact, Decode, Encode};
use entropy_protocol::{KeyShare, Offence};
use entropy_shared::{PartyId, Scheme};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;
use sha2::{Digest, Sha256};

use self::{
    Damage::{LongForm, Longer, Shorter},
    Of::{Body, Direct, Echo, Normal},
};
use crate::{
    common::{Network, Packet, Running, accounts, keygen_context, keygens, signs},
    forge::{Message, Part, forge, message},
    primes::{OF_KEYGEN, primed},
    reshare, sign,
};

/// `write` in this variable writes the files anew, and fails: what has been written must be looked at.
const VARIABLE: &str = "ENTROPY_GOLDEN";
const COMMAND: &str =
    "ENTROPY_GOLDEN=write cargo test --release -p entropy-protocol --test cggmp_ceremonies golden_";

const KEYGEN_ROUNDS: [&str; 14] = [
    "key init, commitment",
    "key init, commitment echoed",
    "key init, opening",
    "key init, opening echoed",
    "key init, proof",
    "dealing",
    "dealings seen",
    "subshare",
    "auxiliary, commitment",
    "auxiliary, commitment echoed",
    "auxiliary, opening",
    "auxiliary, opening echoed",
    "auxiliary, proofs",
    "agreement",
];

/// As nobody is in dispute, rounds 4 to 6 are not seen.
const RESHARE_ROUNDS: [&str; 12] = [
    "dealing",
    "statement",
    "statements heard",
    "answer",
    "relay",
    "relays heard",
    "auxiliary, commitment",
    "auxiliary, commitment echoed",
    "auxiliary, opening",
    "auxiliary, opening echoed",
    "auxiliary, proofs",
    "agreement",
];

const SIGN_ROUNDS: [&str; 7] = [
    "commitment",
    "commitment echoed",
    "product",
    "product echoed",
    "delta",
    "delta echoed",
    "signature share",
];

/// Rounds of manul's, unlike ours, have messages of three parts.
fn is_of_manul(name: &str) -> bool {
    let ours = ["dealing", "dealings seen", "subshare", "agreement"];
    let of_resharing = ["statement", "statements heard"];
    !ours.contains(&name) && !of_resharing.contains(&name)
}

/// Length, hash, and at most this many of the first bytes.
fn summary(bytes: &[u8], shown: usize) -> String {
    let (hash, start) = (Sha256::digest(bytes), &bytes[..bytes.len().min(shown)]);
    format!(
        "{} bytes, sha256 {}, begins {}",
        bytes.len(),
        hex::encode(hash),
        hex::encode(start)
    )
}

fn parts(message: &Message) -> [(&'static str, &Part); 3] {
    [
        ("direct", &message.direct),
        ("echo broadcast", &message.echo),
        ("normal broadcast", &message.normal),
    ]
}

/// What is signed with each part: it must be the same for all messages of a round.
fn metadata(round: &str, message: &Message) -> String {
    let [line, others @ ..] = parts(message).map(|(_, part)| {
        let metadata = &part.metadata;
        format!(
            "{round}: numbers {}, echo round {}, session {}",
            hex::encode(&metadata.numbers),
            metadata.is_echo,
            hex::encode(&metadata.session)
        )
    });
    assert!(others.iter().all(|other| *other == line));
    line
}

/// All messages by round, sender and recipient.
fn describe(transcript: &[Packet], rounds: &[&str]) -> String {
    let parties: BTreeSet<_> = transcript.iter().map(|packet| packet.from).collect();
    let number = |party: &PartyId| parties.iter().position(|it| it == party).unwrap() + 1;
    let mut lines: Vec<_> = parties
        .iter()
        .map(|party| format!("party {}: {}", number(party), hex::encode(party.0)))
        .collect();
    let packets: BTreeMap<_, _> = transcript
        .iter()
        .map(|packet| ((packet.round(), packet.from, packet.to), packet))
        .collect();
    assert_eq!(
        packets.len(),
        transcript.len(),
        "one message for each round and recipient"
    );
    let mut sessions = BTreeMap::new();
    for ((round, from, to), packet) in packets {
        let name = rounds[usize::from(round) - 1];
        let round = format!("round {round} ({name})");
        let place = format!("{round}, {} to {}", number(&from), number(&to));
        let of_manul = is_of_manul(name).then(|| message(packet));
        if let Some(message) = &of_manul {
            let line = metadata(&round, message);
            let first = sessions.entry(name).or_insert_with(|| {
                lines.push(line.clone());
                line.clone()
            });
            assert_eq!(*first, line);
        }
        lines.push(format!("{place}: {}", summary(&packet.payload, 64)));
        for (kind, part) in of_manul.iter().flat_map(parts) {
            if let Some(payload) = &part.payload {
                lines.push(format!("{place}, {kind}: {}", summary(payload, 16)));
            }
        }
    }
    lines.join("\n") + "\n"
}

/// Compares with a golden file, or writes it.
#[track_caller]
fn hold(name: &str, actual: &str, version: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if env::var_os(VARIABLE).is_some_and(|value| value == "write") {
        fs::write(&path, actual).unwrap();
        panic!("{name} is written: look at what has changed in it, and run without {VARIABLE}");
    }
    let expected = fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{}: {error}; it is written by\n  {COMMAND}", path.display())
    });
    if expected != actual {
        let difference = difference(&expected, actual).unwrap_or("the order of lines".to_owned());
        panic!(
            "what {name} pins has changed:\n{difference}\nIf that is meant, {version}, and write the file anew:\n  {COMMAND}"
        );
    }
}

/// Of a line with a whole share, so much is shown.
const LONGEST_SHOWN: usize = 400;

/// The rounds that differ, each with the first line that does; nothing if none does.
fn difference(expected: &str, actual: &str) -> Option<String> {
    // What a line is about stands before its first colon, and begins with the round.
    let place = |line: &str| line.split(": ").next().unwrap_or_default().to_owned();
    let round = |place: &str| {
        place
            .split_inclusive(')')
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    // What stands before the hash or the session.
    let form = |line: Option<&&str>| line.map(|line| line.split(", s").next().map(str::to_owned));
    let [old, new] = [expected, actual].map(|text| {
        text.lines()
            .map(|line| (place(line), line))
            .collect::<BTreeMap<_, _>>()
    });
    let mut rounds: Vec<(String, bool, String)> = Vec::new();
    for place in expected.lines().chain(actual.lines()).map(place) {
        let (old, new) = (old.get(&place), new.get(&place));
        if old == new {
            continue;
        }
        let known = rounds
            .iter()
            .position(|(other, ..)| *other == round(&place));
        let at = known.unwrap_or_else(|| {
            let [old, new] = [old, new].map(|line| match line {
                Some(line) => &line[..line.len().min(LONGEST_SHOWN)],
                None => "nothing",
            });
            rounds.push((round(&place), false, format!("  was {old}\n  is  {new}")));
            rounds.len() - 1
        });
        rounds[at].1 |= form(old) != form(new);
    }
    let lines = rounds.into_iter().map(|(round, form, first)| {
        let what = if form {
            "form and bytes"
        } else {
            "bytes, but no length"
        };
        format!("{round}: {what}; first\n{first}")
    });
    Some(lines.collect::<Vec<_>>().join("\n")).filter(|text| !text.is_empty())
}

const NEW_PROTOCOL_VERSION: &str = "raise PROTOCOL_VERSION (src/context.rs)";
const NEW_SHARE_VERSION: &str =
    "raise VERSION (src/share.rs), as stored shares are no longer what is read";

#[track_caller]
fn everybody_sends_to_all_in_every_round(transcript: &[Packet], rounds: &[&str]) {
    let parties: BTreeSet<_> = transcript.iter().map(|packet| packet.from).collect();
    let everybody = rounds.len() * parties.len() * (parties.len() - 1);
    assert_eq!(transcript.len(), everybody);
}

#[test]
fn golden_key_generation() {
    everybody_sends_to_all_in_every_round(&sign::generation().transcript, &KEYGEN_ROUNDS);
    let sent = describe(&sign::generation().transcript, &KEYGEN_ROUNDS);
    hold("cggmp_keygen.txt", &sent, NEW_PROTOCOL_VERSION);
}

#[test]
fn golden_signing() {
    everybody_sends_to_all_in_every_round(sign::signing(), &SIGN_ROUNDS);
    let sent = describe(sign::signing(), &SIGN_ROUNDS);
    hold("cggmp_sign.txt", &sent, NEW_PROTOCOL_VERSION);
}

#[test]
fn golden_resharing() {
    let sent = describe(&reshare::resharing().transcript, &RESHARE_ROUNDS);
    hold("cggmp_reshare.txt", &sent, NEW_PROTOCOL_VERSION);
}

/// The file has one share whole, for the test that reads it.
#[test]
fn golden_shares() {
    let mut text = String::new();
    for (number, share) in sign::shares().values().enumerate() {
        let encoded = share.encode();
        writeln!(text, "share {}: {}", number + 1, summary(&encoded, 64)).unwrap();
        if number == 0 {
            writeln!(text, "whole share 1: {}", hex::encode(&*encoded)).unwrap();
        }
    }
    hold("cggmp_share.txt", &text, NEW_SHARE_VERSION);
}

#[test]
fn a_stored_share_is_read_as_it_was_written() {
    let file = include_str!("../golden/cggmp_share.txt");
    let whole = file
        .lines()
        .find_map(|line| line.strip_prefix("whole share 1: "));
    let stored = hex::decode(whole.unwrap()).unwrap();
    let share = KeyShare::decode(&stored).unwrap();
    assert_eq!(*share.encode(), stored);
    assert_eq!(share.party(), *accounts(3).keys().next().unwrap());
    assert_eq!(share.public().scheme, Scheme::EcdsaCggmp24);
}

#[test]
fn a_difference_names_its_rounds() {
    let line = |round: u8, length: usize, hash: &str| {
        format!("round {round} (name, of it), 1 to 2: {length} bytes, sha256 {hash}, begins 00\n")
    };
    let file = |lines: &[String]| lines.concat();
    let expected = file(&[line(1, 5, "aa"), line(2, 5, "bb"), line(3, 5, "cc")]);
    assert_eq!(difference(&expected, &expected), None);
    let actual = file(&[line(1, 5, "aa"), line(2, 5, "dd"), line(3, 6, "cc")]);
    let text = difference(&expected, &actual).unwrap();
    assert!(!text.contains("round 1"), "{text}");
    assert!(
        text.contains("round 2 (name, of it): bytes, but no length"),
        "{text}"
    );
    assert!(
        text.contains("round 3 (name, of it): form and bytes"),
        "{text}"
    );
    let shorter = file(&[line(1, 5, "aa"), line(2, 5, "bb")]);
    let text = difference(&expected, &shorter).unwrap();
    assert!(text.starts_with("round 3"), "{text}");
    assert!(
        text.contains("is  nothing") && !text.contains("round 2"),
        "{text}"
    );
}

/// What is done to bytes that were good.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// A byte follows.
    Longer,
    /// The last byte is missing.
    Shorter,
    /// The first length takes a byte more than it needs.
    LongForm,
}

/// What it is done to: what the envelope holds, or the payload of one of manul's parts, which its sender then signs.
#[derive(Debug, Clone, Copy)]
enum Of {
    Body,
    Direct,
    Echo,
    Normal,
}

/// The same number in the next longer form of SCALE.
fn stretch(bytes: &mut Vec<u8>, at: usize) {
    let length = Compact::<u32>::decode(&mut &bytes[at..]).unwrap().0;
    let old = Compact(length).encoded_size();
    let long = match old {
        1 => (((length as u16) << 2) | 1).to_le_bytes().to_vec(),
        2 => ((length << 2) | 2).to_le_bytes().to_vec(),
        _ => [&[3], &length.to_le_bytes()[..]].concat(),
    };
    bytes.splice(at..at + old, long);
}

/// Without a long form: where a length stands is the format's.
fn cut_or_extend(bytes: &mut Vec<u8>, damage: Damage) {
    match damage {
        Longer => bytes.push(0),
        Shorter => drop(bytes.pop().unwrap()),
        LongForm => unreachable!("asked of bodies and envelopes only"),
    }
}

fn damage_envelope(payload: &mut Vec<u8>, damage: Damage) {
    match damage {
        // After version, ceremony and round.
        LongForm => stretch(payload, 2 + 32 + 1),
        _ => cut_or_extend(payload, damage),
    }
}

fn damage_body(body: &mut Vec<u8>, name: &str, damage: Damage) {
    match damage {
        // After the recipient, manul's first length is that of the direct part's signature.
        LongForm if is_of_manul(name) => {
            assert_eq!(body[32], 64);
            body[32] |= 0x80;
            body.insert(33, 0);
        }
        LongForm => stretch(body, 0),
        _ => cut_or_extend(body, damage),
    }
}

fn damaged(packet: &Packet, name: &str, (of, damage): (Of, Damage)) -> Packet {
    let part = |choose: fn(&mut Message) -> &mut Part| {
        forge(packet, &accounts(3)[&packet.from], |message| {
            cut_or_extend(choose(message).payload.as_mut().unwrap(), damage)
        })
    };
    match of {
        Body => packet.edited(|body| damage_body(body, name, damage)),
        Direct => part(|message| &mut message.direct),
        Echo => part(|message| &mut message.echo),
        Normal => part(|message| &mut message.normal),
    }
}

/// Both parties damage what they send in `round`, each in its own way: each must blame the other.
#[track_caller]
fn both_refuse<T>(
    parties: Vec<(PartyId, Running<T>)>,
    rounds: &'static [&str],
    round: u8,
    damages: [(Of, Damage); 2],
) {
    let [first, second] = [0, 1].map(|number: usize| parties[number].0);
    assert_eq!(parties.len(), 2);
    let network = Network::orderly(40).tamper(move |packet| {
        if packet.round() != round {
            return vec![packet];
        }
        let damage = damages[usize::from(packet.from == second)];
        vec![damaged(&packet, rounds[usize::from(round) - 1], damage)]
    });
    println!("round {round}: {damages:?}");
    let run = network.run(parties);
    run.assert_blames(&second, first, Offence::Malformed);
    run.assert_blames(&first, second, Offence::Malformed);
}

fn pair_keygens() -> Vec<(PartyId, Running<KeyShare>)> {
    primed(
        OF_KEYGEN,
        keygens(&keygen_context(Scheme::EcdsaCggmp24, 2, 2)),
    )
}

/// In these rounds, to start again costs nothing: all that can be damaged is.
#[test]
fn damaged_messages_before_the_primes_are_refused() {
    for round in 1..=8u8 {
        let name = KEYGEN_ROUNDS[usize::from(round) - 1];
        let mut damages = vec![(Body, Longer), (Body, Shorter)];
        // A subshare is 32 bytes, without a length.
        if name != "subshare" {
            damages.push((Body, LongForm));
        }
        if is_of_manul(name) {
            let transcript = &sign::generation().transcript;
            let packet = transcript.iter().find(|packet| packet.round() == round);
            let message = message(packet.unwrap());
            for (of, (_, part)) in [Direct, Echo, Normal].into_iter().zip(parts(&message)) {
                if part.payload.is_some() {
                    damages.extend([(of, Longer), (of, Shorter)]);
                }
            }
        }
        for pair in damages.chunks(2) {
            let damages = [pair[0], *pair.last().unwrap()];
            both_refuse(pair_keygens(), &KEYGEN_ROUNDS, round, damages);
        }
    }
}

/// Every part that has content once. What echoes an opening is of the kind that echoes a commitment.
#[test]
fn damaged_auxiliary_messages_are_refused() {
    for (round, damages) in [
        (9, [(Body, Longer), (Body, LongForm)]),
        (10, [(Normal, Longer), (Body, Shorter)]),
        (11, [(Echo, Longer), (Normal, Shorter)]),
        (13, [(Direct, Shorter), (Normal, Longer)]),
        (14, [(Body, Longer), (Body, Shorter)]),
    ] {
        both_refuse(pair_keygens(), &KEYGEN_ROUNDS, round, damages);
    }
}

/// Every part that has content once, but of the echoes the first only.
#[test]
fn damaged_signing_messages_are_refused() {
    let context = sign::context(&sign::parties()[..2], "m");
    for (round, damages) in [
        (1, [(Body, Longer), (Body, LongForm)]),
        (1, [(Direct, Longer), (Echo, Shorter)]),
        (2, [(Normal, Longer), (Body, Shorter)]),
        (3, [(Echo, Longer), (Normal, Shorter)]),
        (5, [(Echo, Shorter), (Normal, Longer)]),
        (7, [(Normal, Shorter), (Body, LongForm)]),
    ] {
        both_refuse(
            signs(&context, sign::shares()),
            &SIGN_ROUNDS,
            round,
            damages,
        );
    }
}

/// The recipient refuses each golden message in a damaged envelope, in whatever round it is, and does not refuse the good one.
fn refuses_damaged_envelopes<T>(transcript: &[Packet], recipient: impl Fn(PartyId) -> Running<T>) {
    let mut rng = ChaCha20Rng::seed_from_u64(0);
    for packet in transcript {
        let mut offence_of = |payload: &[u8]| {
            let step = recipient(packet.to).receive(&packet.from, payload, &mut rng);
            step.outcome
                .and_then(Result::err)
                .map(|failure| failure.blame[0].offence)
        };
        // One that has not begun awaits nothing, and keeps what is for later.
        let good = (packet.round() == 1).then_some(Offence::Unexpected);
        assert_eq!(offence_of(&packet.payload), good);
        for damage in [Longer, Shorter, LongForm] {
            let mut payload = packet.payload.clone();
            damage_envelope(&mut payload, damage);
            let place = format!("round {}: {damage:?}", packet.round());
            assert_eq!(offence_of(&payload), Some(Offence::Malformed), "{place}");
        }
    }
}

#[test]
fn damaged_envelopes_are_refused() {
    let accounts = accounts(3);
    let context = keygen_context(Scheme::EcdsaCggmp24, 2, 3);
    refuses_damaged_envelopes(&sign::generation().transcript, |party| {
        entropy_protocol::keygen(&context, party, &accounts[&party]).unwrap()
    });
    let context = sign::context(&sign::parties()[..2], "m");
    refuses_damaged_envelopes(sign::signing(), |party| {
        entropy_protocol::sign(&context, &sign::shares()[&party], &accounts[&party]).unwrap()
    });
}
