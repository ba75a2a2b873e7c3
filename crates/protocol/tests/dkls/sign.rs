//! Signing: by whom, under which keys, over which network; and what judges that share no code with ours say.

use std::collections::BTreeSet;

use bitcoin::secp256k1::{
    self, Message, Secp256k1,
    ecdsa::{RecoverableSignature, RecoveryId},
};
use entropy_protocol::{Offence, SetupError, SigningContext, sign};
use entropy_shared::{KeyId, PartyId, Scheme, Signature, TaprootTweak, VerifyingKey};
use p256::ecdsa::signature::hazmat::PrehashVerifier;
use proptest::prelude::*;

use crate::{
    Shares,
    common::{self, Network, accounts, sets_of, signing_context, signs},
    context, parties, shares,
};

/// Another library recovers the final key from the signature, and accepts it; s is low.
pub(crate) fn judge(context: &SigningContext, signature: &Signature) {
    let bytes = signature.as_bytes();
    assert_eq!(bytes.len(), 65);
    match context.final_key {
        VerifyingKey::Secp256k1(key) => {
            assert!(matches!(signature, Signature::EcdsaSecp256k1(_)));
            let curve = Secp256k1::verification_only();
            let message = Message::from_digest(context.digest.0);
            let id = RecoveryId::from_i32(i32::from(bytes[64])).unwrap();
            let signature = RecoverableSignature::from_compact(&bytes[..64], id).unwrap();
            let recovered = curve.recover_ecdsa(&message, &signature).unwrap();
            assert_eq!(recovered.serialize(), key);
            // The C library verifies low s only.
            let plain = signature.to_standard();
            let key = secp256k1::PublicKey::from_slice(&key).unwrap();
            curve.verify_ecdsa(&message, &plain, &key).unwrap();
            let mut low = plain;
            low.normalize_s();
            assert_eq!(low, plain, "low s");
        }
        VerifyingKey::P256(key) => {
            assert!(matches!(signature, Signature::EcdsaP256(_)));
            let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(&key).unwrap();
            let plain = p256::ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
            key.verify_prehash(&context.digest.0, &plain).unwrap();
            assert!(plain.normalize_s().is_none(), "low s");
            let id = ecdsa::RecoveryId::from_byte(bytes[64]).unwrap();
            let recovered =
                p256::ecdsa::VerifyingKey::recover_from_prehash(&context.digest.0, &plain, id);
            assert_eq!(recovered.unwrap(), key, "recovery id");
        }
        other => panic!("{other} is no key of this scheme"),
    }
}

/// Signs over an undisturbed network; all signers get the same good signature.
fn signed(context: &SigningContext, shares: &Shares) -> Signature {
    let outputs = Network::orderly(1).run(signs(context, shares)).outputs();
    assert_eq!(outputs.len(), context.signers.len());
    let signatures: BTreeSet<_> = outputs.values().map(Signature::as_bytes).collect();
    assert_eq!(signatures.len(), 1, "everybody has the same one");
    let signature = *outputs.values().next().unwrap();
    judge(context, &signature);
    signature
}

#[test]
fn every_set_of_t_holders_signs() {
    for (t, n) in [(2, 2), (2, 3), (3, 4), (3, 5)] {
        let shares = shares(Scheme::EcdsaDkls23, t, n);
        for signers in sets_of(usize::from(t), &parties(shares)) {
            signed(&context(shares, &signers, "m"), shares);
        }
    }
}

#[test]
fn every_set_of_t_holders_signs_on_p256() {
    for (t, n) in [(2, 2), (2, 3)] {
        let shares = shares(Scheme::EcdsaP256, t, n);
        for signers in sets_of(usize::from(t), &parties(shares)) {
            signed(&context(shares, &signers, "m"), shares);
        }
    }
}

/// Pins envelope, ceremony id and the length of each message, which are the same for every signer, key and size of committee.
#[test]
fn golden_lengths() {
    for scheme in [Scheme::EcdsaDkls23, Scheme::EcdsaP256] {
        let shares = shares(scheme, 2, 2);
        let context = context(shares, &parties(shares), "m");
        let transcript = Network::orderly(1).run(signs(&context, shares)).transcript;
        assert_eq!(transcript.len(), 6);
        for packet in transcript {
            let frame = packet.frame();
            assert_eq!((frame.version, frame.ceremony), (1, context.id().0));
            let length = [26_753, 55_387, 66][usize::from(frame.round) - 1];
            assert_eq!(frame.body.len(), length, "round {}", frame.round);
        }
    }
}

/// Nonces are fresh: the same request signed twice gives two signatures.
#[test]
fn no_two_signatures_share_a_nonce() {
    let shares = shares(Scheme::EcdsaDkls23, 2, 3);
    let context = context(shares, &parties(shares)[..2], "m");
    let (first, second) = (signed(&context, shares), signed(&context, shares));
    assert_ne!(first.as_bytes()[..32], second.as_bytes()[..32]);
}

#[test]
fn derived_keys_of_either_parity_sign_at_every_depth() {
    for scheme in [Scheme::EcdsaDkls23, Scheme::EcdsaP256] {
        let shares = shares(scheme, 2, 3);
        let signers = &parties(shares)[..2];
        let share = &shares[&signers[0]];
        let (mut parities, mut keys, mut recovery) =
            (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for id in 0..8u8 {
            for path in ["m", "m/0", "m/2147483647/1/7"] {
                let mut context = signing_context(
                    share,
                    signers,
                    path.parse().unwrap(),
                    TaprootTweak::None,
                    [id; 32],
                );
                context.key = KeyId([id; 32]);
                let public = share.public();
                let root = &public.root_key;
                let derived =
                    entropy_shared::derivation::derive(scheme, root, &context.key, &context.path)
                        .unwrap();
                context.final_key = derived.final_key(scheme, &TaprootTweak::None).unwrap();
                let signature = signed(&context, shares);
                parities.insert((path, context.final_key.as_bytes()[0]));
                keys.insert(context.final_key);
                recovery.insert(signature.as_bytes()[64]);
            }
        }
        assert_eq!(
            parities.len(),
            6,
            "both parities at each depth: {parities:?}"
        );
        assert_eq!(keys.len(), 24);
        assert_eq!(recovery, BTreeSet::from([0, 1]));
    }
}

#[test]
fn the_context_must_be_this_shares() {
    let shares = shares(Scheme::EcdsaDkls23, 3, 4);
    let all = parties(shares);
    let good = context(shares, &all[..3], "m");
    let refusal = |context: &SigningContext, party: &PartyId| {
        sign(context, &shares[party], &accounts(4)[party]).err()
    };
    assert_eq!(refusal(&good, &all[0]), None);
    assert_eq!(refusal(&good, &all[3]), Some(SetupError::NotAParty));
    for count in [2, 4] {
        assert_eq!(
            refusal(&context(shares, &all[..count], "m"), &all[0]),
            Some(SetupError::Signers { expected: 3 }),
            "exactly t"
        );
    }
    let mut other = good.clone();
    other.path = "m/1".parse().unwrap();
    assert_eq!(refusal(&other, &all[0]), Some(SetupError::FinalKey));
    let foreign = self::shares(Scheme::EcdsaDkls23, 3, 5);
    let mut other = good.clone();
    other.public_digest = foreign.values().next().unwrap().public().digest();
    assert_eq!(refusal(&other, &all[0]), Some(SetupError::OtherShare));
}

/// A signer with shares of an earlier key generation of the same committee.
#[test]
fn old_and_new_shares_do_not_sign_together() {
    let new = shares(Scheme::EcdsaDkls23, 2, 3);
    let old = common::shares(Scheme::EcdsaDkls23, 2, 3, 2);
    let signers = &parties(new)[..2];
    let (ours, theirs) = (context(new, signers, "m"), context(&old, signers, "m"));
    assert_eq!(
        sign(&ours, &old[&signers[0]], &accounts(3)[&signers[0]]).err(),
        Some(SetupError::OtherShare)
    );
    let mut sides = signs(&ours, new);
    sides[1] = signs(&theirs, &old).remove(1);
    let run = Network::orderly(1).run(sides);
    run.assert_blames(&signers[0], signers[1], Offence::OtherCeremony);
    // Even if it says that its messages belong here, they do not.
    let mut sides = signs(&ours, new);
    sides[1] = signs(&theirs, &old).remove(1);
    let (id, cheat) = (ours.id(), signers[1]);
    let run = Network::orderly(1)
        .tamper(move |mut packet| {
            if packet.from == cheat {
                packet.payload[2..34].copy_from_slice(&id.0);
            }
            vec![packet]
        })
        .run(sides);
    run.assert_blames(&signers[0], signers[1], Offence::OtherCeremony);
}

/// The same shares, another attempt at the same request: nothing of it is taken.
#[test]
fn messages_of_another_attempt_are_refused() {
    let shares = shares(Scheme::EcdsaDkls23, 2, 3);
    let signers = &parties(shares)[..2];
    let first = context(shares, signers, "m");
    let mut second = first.clone();
    second.signers[0].1 = [9; 32];
    assert_ne!(first.id(), second.id());
    let transcript = Network::orderly(1).run(signs(&first, shares)).transcript;
    let cheat = signers[1];
    for disguised in [false, true] {
        let (transcript, id) = (transcript.clone(), second.id());
        let run = Network::orderly(2)
            .tamper(move |packet| {
                let old = transcript.iter().find(|old| {
                    (old.from, old.to, old.round()) == (packet.from, packet.to, packet.round())
                });
                match old {
                    Some(old) if packet.from == cheat => {
                        let mut old = old.clone();
                        if disguised {
                            old.payload[2..34].copy_from_slice(&id.0);
                        }
                        vec![old]
                    }
                    _ => vec![packet],
                }
            })
            .run(signs(&second, shares));
        run.assert_blames(&signers[0], cheat, Offence::OtherCeremony);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn order_and_duplicates_do_not_matter(seed: u64) {
        let shares = shares(Scheme::EcdsaDkls23, 3, 4);
        let context = context(shares, &parties(shares)[1..], "m/1");
        let outputs = Network::chaotic(seed).run(signs(&context, shares)).outputs();
        prop_assert_eq!(outputs.len(), 3);
        outputs.values().for_each(|signature| judge(&context, signature));
    }

    /// Whatever one signer sends: no panic, whoever finishes has a good signature, and nobody else is accused of anything but silence.
    #[test]
    fn a_signer_that_sends_garbage_blames_nobody(seed: u64, rate in 0.05f64..1.0, whole: bool) {
        use rand::{Rng, RngCore, SeedableRng};
        let shares = shares(Scheme::EcdsaDkls23, 3, 4);
        let signers = parties(shares)[..3].to_vec();
        let context = context(shares, &signers, "m");
        let culprit = signers[1];
        let mut rng = rand_chacha::ChaCha20Rng::seed_from_u64(seed);
        let run = Network::chaotic(seed)
            .tamper(move |packet| {
                if packet.from != culprit || !rng.gen_bool(rate) {
                    return vec![packet];
                }
                vec![packet.edited(|body| {
                    if whole {
                        rng.fill_bytes(body);
                    } else {
                        let at = rng.gen_range(0..body.len());
                        body[at] ^= 1 << rng.gen_range(0..8);
                    }
                })]
            })
            .run(signs(&context, shares));
        for (party, outcome) in run.outcomes.iter().filter(|(party, _)| **party != culprit) {
            match outcome {
                Ok(signature) => judge(&context, signature),
                Err(failure) => {
                    prop_assert!(!failure.reason.contains("panic"), "{}", failure);
                    for blame in &failure.blame {
                        prop_assert!(blame.party == culprit || blame.offence == Offence::Silent, "{} says {}", party, failure);
                        prop_assert!(blame.offence != Offence::Panic);
                    }
                }
            }
        }
    }
}
