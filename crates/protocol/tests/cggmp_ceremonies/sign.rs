//! Signing, with shares of one key generation 2 of 3 under a hostile network.

use std::{collections::BTreeMap, sync::OnceLock, time::Instant};

use bitcoin::secp256k1::{
    self, Message, PublicKey, Secp256k1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use codec::{DecodeAll, Encode};
use entropy_protocol::{
    DecodeError, KeyShare, MAX_PAYLOAD_BYTES, Offence, SetupError, SigningContext, sign,
};
use entropy_shared::{
    Committee, DerivationPath, PartyId, PublicPackage, Scheme, Signature, TaprootTweak,
    VerifyingKey,
};
use k256::{ProjectivePoint, Scalar, elliptic_curve::sec1::ToEncodedPoint};
use proptest::prelude::*;

use crate::{
    common::{Network, Packet, accounts, keygen_context, keygens, sets_of, signing_context, signs},
    forge::forge,
};

// Commitments, their echo, products, their echo, deltas, their echo, signature shares.
const COMMITMENT: u8 = 1;
const PRODUCT: u8 = 3;
const DELTA: u8 = 5;
const SIGNATURE_SHARE: u8 = 7;

/// A key generation 2 of 3, what was sent in it, and the shares. Its random numbers are those of a seed, so that both are golden.
pub(crate) struct Generation {
    pub(crate) transcript: Vec<Packet>,
    pub(crate) shares: BTreeMap<PartyId, KeyShare>,
}

/// Run once, with a search for primes.
pub(crate) fn generation() -> &'static Generation {
    static GENERATION: OnceLock<Generation> = OnceLock::new();
    GENERATION.get_or_init(|| {
        let start = Instant::now();
        let mut run =
            Network::chaotic(20).run(keygens(&keygen_context(Scheme::EcdsaCggmp24, 2, 3)));
        println!(
            "key generation 2 of 3, all parties in one thread: {:.1?}",
            start.elapsed()
        );
        let transcript = std::mem::take(&mut run.transcript);
        let lengths = || transcript.iter().map(|packet| packet.payload.len());
        println!(
            "longest payload {} bytes of at most {MAX_PAYLOAD_BYTES}, {} bytes sent by each",
            lengths().max().unwrap_or_default(),
            lengths().sum::<usize>() / 3
        );
        Generation {
            transcript,
            shares: run.outputs(),
        }
    })
}

/// The shares of that key generation.
pub(crate) fn shares() -> &'static BTreeMap<PartyId, KeyShare> {
    &generation().shares
}

pub(crate) fn parties() -> Vec<PartyId> {
    shares().keys().copied().collect()
}

pub(crate) fn context(signers: &[PartyId], path: &str) -> SigningContext {
    let path: DerivationPath = path.parse().unwrap();
    signing_context(
        &shares()[&signers[0]],
        signers,
        path,
        TaprootTweak::None,
        [5; 32],
    )
}

/// libsecp256k1 recovers the final key from the signature, and accepts it: it takes low s only.
pub(crate) fn judge(context: &SigningContext, signature: &Signature) {
    let Signature::EcdsaSecp256k1(bytes) = signature else {
        panic!("{signature} is of another kind")
    };
    let VerifyingKey::Secp256k1(key) = context.final_key else {
        panic!("a key of another kind")
    };
    let key = PublicKey::from_slice(&key).unwrap();
    let message = Message::from_digest(context.digest.0);
    let id = RecoveryId::from_i32(i32::from(bytes[64])).unwrap();
    let recoverable = RecoverableSignature::from_compact(&bytes[..64], id).unwrap();
    let secp = Secp256k1::verification_only();
    assert_eq!(secp.recover_ecdsa(&message, &recoverable).unwrap(), key);
    secp.verify_ecdsa(&message, &recoverable.to_standard(), &key)
        .unwrap();
    let mut normalised: secp256k1::ecdsa::Signature = recoverable.to_standard();
    normalised.normalize_s();
    assert_eq!(normalised, recoverable.to_standard());
}

/// Every signer has the same good signature. Gives what was sent.
fn sign_well(
    network: Network,
    context: &SigningContext,
    shares: &BTreeMap<PartyId, KeyShare>,
) -> Vec<Packet> {
    let mut run = network.run(signs(context, shares));
    let transcript = std::mem::take(&mut run.transcript);
    let outputs = run.outputs();
    assert_eq!(outputs.len(), context.signers.len());
    let signatures: Vec<_> = outputs.into_values().collect();
    assert!(
        signatures.windows(2).all(|pair| pair[0] == pair[1]),
        "{signatures:?}"
    );
    judge(context, &signatures[0]);
    transcript
}

/// The signature of the first two parties for the key itself, run once: what is sent in it is golden.
pub(crate) fn signing() -> &'static [Packet] {
    static SIGNING: OnceLock<Vec<Packet>> = OnceLock::new();
    SIGNING.get_or_init(|| {
        let start = Instant::now();
        let sent = sign_well(
            Network::orderly(1),
            &context(&parties()[..2], "m"),
            shares(),
        );
        println!(
            "signature 2 of 3 at m, both signers in one thread: {:.1?}",
            start.elapsed()
        );
        sent
    })
}

#[test]
fn all_parties_agree_on_the_package() {
    let shares = shares();
    let public = shares[&parties()[0]].public();
    assert!(shares.values().all(|share| share.public() == public));
    assert!(shares.iter().all(|(party, share)| share.party() == *party));
    assert_eq!(
        public.committee,
        keygen_context(Scheme::EcdsaCggmp24, 2, 3).committee
    );
    assert!(
        public.root_key.is_valid()
            && public
                .verification_shares
                .iter()
                .all(VerifyingKey::is_valid)
    );
}

#[test]
fn every_pair_signs_for_the_key_and_for_paths_below_it() {
    let sets = sets_of(2, &parties());
    assert_eq!(sets[0], parties()[..2]);
    signing();
    for (signers, path) in sets[1..].iter().zip(["m/0/5", "m/2147483647"]) {
        let start = Instant::now();
        sign_well(Network::orderly(1), &context(signers, path), shares());
        println!(
            "signature 2 of 3 at {path}, both signers in one thread: {:.1?}",
            start.elapsed()
        );
    }
}

#[test]
fn messages_may_come_in_any_order_and_twice() {
    sign_well(
        Network::chaotic(2),
        &context(&parties()[1..], "m/1"),
        shares(),
    );
}

/// A key 3 of 3, dealt here for the parties and with the auxiliary material of the generated shares, and a context for it.
fn three_of_three() -> (BTreeMap<PartyId, KeyShare>, SigningContext) {
    let coefficients = [11u64, 12, 13].map(Scalar::from);
    let evaluate = |x: u64| {
        coefficients[0] + Scalar::from(x) * (coefficients[1] + Scalar::from(x) * coefficients[2])
    };
    let public_key = |secret: Scalar| {
        let point = (ProjectivePoint::GENERATOR * secret)
            .to_affine()
            .to_encoded_point(true);
        VerifyingKey::Secp256k1(point.as_bytes().try_into().unwrap())
    };
    let shares: BTreeMap<_, _> = shares()
        .iter()
        .map(|(party, share)| {
            let (version, public, owner, mut secret) =
                <(u8, PublicPackage, PartyId, Vec<u8>)>::decode_all(&mut &share.encode()[..])
                    .unwrap();
            let index = u64::from(public.committee.index(party).unwrap());
            secret[..32].copy_from_slice(&evaluate(index).to_bytes());
            let public = PublicPackage {
                committee: Committee::new(public.committee.parties().iter().copied(), 3).unwrap(),
                root_key: public_key(coefficients[0]),
                verification_shares: (1..=3).map(|index| public_key(evaluate(index))).collect(),
                ..public
            };
            (
                *party,
                KeyShare::decode(&(version, public, owner, secret).encode()).unwrap(),
            )
        })
        .collect();
    let path = DerivationPath::default();
    let context = signing_context(
        &shares[&parties()[0]],
        &parties(),
        path,
        TaprootTweak::None,
        [6; 32],
    );
    (shares, context)
}

#[test]
fn three_of_three_sign() {
    let (shares, context) = three_of_three();
    let start = Instant::now();
    sign_well(Network::chaotic(3), &context, &shares);
    println!(
        "signature 3 of 3, all signers in one thread: {:.1?}",
        start.elapsed()
    );
}

#[test]
fn a_signer_that_finds_a_cheat_it_cannot_attribute_stops_and_says_so() {
    let context = context(&parties()[..2], "m");
    let [_, cheater] = parties()[..2] else {
        unreachable!()
    };
    let account = accounts(3)[&cheater].clone();
    let run = Network::orderly(4)
        .cheat(cheater, DELTA, move |packet| {
            // What no proof covers: a good point, but another one.
            forge(packet, &account, |message| {
                let payload = message.normal.payload.as_mut().unwrap();
                let (first_point, end) = (payload[1..34].to_vec(), payload.len() - 33);
                payload[end..].copy_from_slice(&first_point);
            })
        })
        .run(signs(&context, shares()));
    // Not even the one that went on waits for the one that stopped.
    for (party, outcome) in &run.outcomes {
        let failure = outcome.as_ref().unwrap_err();
        assert_eq!(failure.blame, vec![], "{party}: {failure}");
    }
}

#[test]
fn a_silent_signer_is_named() {
    let context = context(&parties()[..2], "m");
    let silent = parties()[1];
    Network::orderly(24)
        .silence(silent)
        .run(signs(&context, shares()))
        .assert_all_blame(silent, Offence::Silent);
    let late = Network::orderly(25).tamper(move |packet| {
        if packet.from == silent && packet.round() >= PRODUCT {
            Vec::new()
        } else {
            vec![packet]
        }
    });
    late.run(signs(&context, shares()))
        .assert_all_blame(silent, Offence::Silent);
}

/// The second of two signers sends something else in `round`, well signed.
#[track_caller]
fn cheat(round: u8, offence: Offence, edit: fn(&mut crate::forge::Message)) {
    let context = context(&parties()[..2], "m");
    let cheater = parties()[1];
    let account = accounts(3)[&cheater].clone();
    Network::orderly(26)
        .cheat(cheater, round, move |packet| forge(packet, &account, edit))
        .run(signs(&context, shares()))
        .assert_all_blame(cheater, offence);
}

#[test]
fn wrong_proofs_and_signature_shares_are_blamed() {
    cheat(COMMITMENT, Offence::FailedProof, |message| {
        message.echo.payload.as_mut().unwrap()[100] ^= 1
    });
    cheat(SIGNATURE_SHARE, Offence::FailedProof, |message| {
        message.normal.payload.as_mut().unwrap()[20] ^= 1
    });
}

#[test]
fn contexts_that_do_not_fit_are_refused() {
    let [first, second, third] = parties()[..] else {
        unreachable!()
    };
    let good = context(&[first, second], "m");
    let account = |party| accounts(3)[&party].clone();
    let refused =
        |context: &SigningContext, party| sign(context, &shares()[&party], &account(party)).err();
    assert_eq!(refused(&good, first), None);
    assert_eq!(refused(&good, third), Some(SetupError::NotAParty));
    assert_eq!(
        sign(&good, &shares()[&first], &account(second)).err(),
        Some(SetupError::NotAParty)
    );

    let other_share = SigningContext {
        public_digest: entropy_shared::Digest([9; 32]),
        ..good.clone()
    };
    assert_eq!(refused(&other_share, first), Some(SetupError::OtherShare));
    let other_path = SigningContext {
        path: "m/7".parse().unwrap(),
        ..good.clone()
    };
    assert_eq!(refused(&other_path, first), Some(SetupError::FinalKey));
    let tweaked = SigningContext {
        tweak: TaprootTweak::KeyPath,
        ..good.clone()
    };
    assert!(matches!(
        refused(&tweaked, first),
        Some(SetupError::Derivation(_))
    ));
    let three = SigningContext {
        signers: [first, second, third].map(|party| (party, [0; 32])).into(),
        ..good
    };
    assert_eq!(
        refused(&three, first),
        Some(SetupError::Signers { expected: 2 })
    );
}

#[test]
fn a_message_of_another_signature_is_refused() {
    let good = context(&parties()[..2], "m");
    let [honest, cheater] = parties()[..2] else {
        unreachable!()
    };
    let mut other = good.clone();
    other.signers[0].1 = [8; 32];
    let recorded: Vec<_> = Network::orderly(28)
        .tamper(|_| Vec::new())
        .run(signs(&other, shares()))
        .transcript
        .into_iter()
        .filter(|packet| packet.from == cheater)
        .collect();
    let replay = recorded[0].clone();
    let run = Network::orderly(29)
        .cheat(cheater, COMMITMENT, move |_| replay.clone())
        .run(signs(&good, shares()));
    run.assert_blames(&honest, cheater, Offence::OtherCeremony);
    let replay = recorded[0].frame().body;
    let network = Network::orderly(30).cheat(cheater, COMMITMENT, move |packet| {
        packet.with_body(replay.clone())
    });
    network
        .run(signs(&good, shares()))
        .assert_blames(&honest, cheater, Offence::Malformed);
}

#[test]
fn a_share_survives_its_encoding_and_signs() {
    let decoded: BTreeMap<_, _> = shares()
        .iter()
        .map(|(party, share)| {
            let bytes = share.encode();
            println!("encoded share: {} bytes", bytes.len());
            let decoded = KeyShare::decode(&bytes).unwrap();
            assert_eq!(decoded.encode(), bytes);
            assert_eq!(decoded.public(), share.public());
            (*party, decoded)
        })
        .collect();
    sign_well(
        Network::orderly(31),
        &context(&parties()[..2], "m/2"),
        &decoded,
    );
    assert!(
        !format!("{:?}", decoded[&parties()[0]]).contains("AuxInfo"),
        "Debug shows no secret"
    );
}

#[test]
fn a_share_with_the_secret_of_another_party_is_refused() {
    // The encodings differ in party and secret only, and are of one length: splice one's secret into the other's.
    let [first, second] = [0, 1].map(|number| shares()[&parties()[number]].encode());
    let start = first
        .iter()
        .zip(second.iter())
        .position(|(a, b)| a != b)
        .unwrap()
        + 32;
    let mut spliced = first.to_vec();
    spliced[start..].copy_from_slice(&second[start..]);
    assert!(matches!(
        KeyShare::decode(&spliced),
        Err(DecodeError::Malformed(_))
    ));
}

/// One signature by a lone pair whose messages have been damaged; nobody may panic, and the sender's fault is never another's.
#[test]
fn damaged_messages_never_panic_the_process_or_blame_the_wrong_party() {
    let context = context(&parties()[..2], "m");
    let [honest, cheater] = parties()[..2] else {
        unreachable!()
    };
    for (round, position) in [(COMMITMENT, 40), (PRODUCT, 90), (DELTA, 300)] {
        let run = Network::orderly(32)
            .cheat(cheater, round, move |packet| {
                packet.edited(|body| {
                    let at = position % body.len();
                    body[at] ^= 0x10;
                })
            })
            .run(signs(&context, shares()));
        assert!(
            run.failure(&honest)
                .blame
                .iter()
                .all(|blame| blame.party == cheater),
            "{}",
            run.failure(&honest)
        );
    }
}

fn encoded() -> &'static [u8] {
    static ENCODED: OnceLock<Vec<u8>> = OnceLock::new();
    ENCODED.get_or_init(|| shares()[&parties()[0]].encode().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn other_bytes_are_no_share_or_another_one(position: usize, bit in 0..8u8, cut: usize, longer in any::<bool>()) {
        let good = encoded();
        let mut flipped = good.to_vec();
        flipped[position % good.len()] ^= 1 << bit;
        if let Ok(share) = KeyShare::decode(&flipped) {
            prop_assert_eq!(share.encode().to_vec(), flipped, "one share, one encoding");
        }
        prop_assert!(KeyShare::decode(&good[..cut % good.len()]).is_err());
        if longer {
            prop_assert!(KeyShare::decode(&[good, &[0]].concat()).is_err());
        }
    }
}
