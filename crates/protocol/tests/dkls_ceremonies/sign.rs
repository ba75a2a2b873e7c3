//! Signing: signatures that others accept, who is blamed for what, and whom a share never signs with again.

use std::collections::BTreeMap;

use bitcoin::secp256k1::{
    self, Message, Secp256k1, ecdsa::RecoverableSignature, ecdsa::RecoveryId,
};
use entropy_protocol::{KeyShare, Offence, SetupError, SigningContext, sign};
use entropy_shared::{
    DerivationPath, PartyId, Scheme, Signature, TaprootTweak, VerifyingKey, derivation,
};
use p256::ecdsa::signature::hazmat::PrehashVerifier;

use super::{SCHEMES, two_of_three};
use crate::common::{Network, Run, accounts, sets_of, shares, signing_context, signs};

const DIGEST: [u8; 32] = [0x5a; 32];

/// Verifies with a library that did not make the signature: libsecp256k1, or p256.
pub(crate) fn verify_elsewhere(signature: &Signature, key: &VerifyingKey, digest: &[u8; 32]) {
    match (signature, key) {
        (Signature::EcdsaSecp256k1(bytes), VerifyingKey::Secp256k1(key)) => {
            let id = RecoveryId::from_i32(bytes[64].into()).unwrap();
            let recoverable = RecoverableSignature::from_compact(&bytes[..64], id).unwrap();
            let (library, message) = (Secp256k1::new(), Message::from_digest(*digest));
            let recovered = library.recover_ecdsa(&message, &recoverable).unwrap();
            assert_eq!(recovered.serialize(), *key, "the recovery id");
            let standard = recoverable.to_standard();
            let mut normal = standard;
            normal.normalize_s();
            assert_eq!(standard, normal, "low s");
            let public = secp256k1::PublicKey::from_slice(key).unwrap();
            library.verify_ecdsa(&message, &standard, &public).unwrap();
        }
        (Signature::EcdsaP256(bytes), VerifyingKey::P256(key)) => {
            let library = p256::ecdsa::Signature::from_slice(&bytes[..64]).unwrap();
            assert!(library.normalize_s().is_none(), "low s");
            let public = p256::ecdsa::VerifyingKey::from_sec1_bytes(key).unwrap();
            public.verify_prehash(digest, &library).unwrap();
        }
        _ => panic!("another kind of signature or key"),
    }
}

pub(crate) fn context_of(
    shares: &BTreeMap<PartyId, KeyShare>,
    signers: &[PartyId],
    path: &[u32],
) -> SigningContext {
    signing_context(
        shares.values().next().unwrap(),
        signers,
        DerivationPath::new(path.to_vec()).unwrap(),
        TaprootTweak::None,
        DIGEST,
    )
}

#[test]
fn every_set_of_t_signs_for_every_derived_key() {
    for scheme in SCHEMES {
        let shares = two_of_three(scheme);
        let parties: Vec<_> = shares.keys().copied().collect();
        let mut parities = std::collections::BTreeSet::new();
        for (number, signers) in sets_of(2, &parties).iter().enumerate() {
            for path in [&[][..], &[7], &[1, 2, 0x7fff_ffff]] {
                let context = context_of(shares, signers, path);
                parities.insert(context.final_key.as_bytes()[0]);
                let run = Network::chaotic(number as u64).run(signs(&context, shares));
                let outputs = run.outputs();
                let first = *outputs.values().next().unwrap();
                assert_eq!(outputs.len(), 2);
                assert!(outputs.values().all(|it| *it == first), "all have the same");
                verify_elsewhere(&first, &context.final_key, &DIGEST);
            }
        }
        println!("{scheme}: parities of derived keys {parities:?}");
    }
}

#[test]
fn three_of_five_sign() {
    let shares = shares(Scheme::EcdsaDkls23, 3, 5, 5);
    let parties: Vec<_> = shares.keys().copied().collect();
    for signers in [
        &parties[..3],
        &parties[2..],
        &[parties[0], parties[2], parties[4]],
    ] {
        let context = context_of(&shares, signers, &[3]);
        for signature in Network::chaotic(9)
            .run(signs(&context, &shares))
            .outputs()
            .values()
        {
            verify_elsewhere(signature, &context.final_key, &DIGEST);
        }
    }
}

/// A run by the first two of three in which the second's messages of a round are replaced.
fn cheated(
    scheme: Scheme,
    round: u8,
    mut replace: impl FnMut(&mut Vec<u8>) + 'static,
) -> (PartyId, PartyId, Run<Signature>) {
    let shares = two_of_three(scheme);
    let signers: Vec<_> = shares.keys().copied().take(2).collect();
    let context = context_of(shares, &signers, &[1]);
    let network =
        Network::orderly(1).cheat(signers[1], round, move |packet| packet.edited(&mut replace));
    (signers[0], signers[1], network.run(signs(&context, shares)))
}

#[test]
fn garbage_in_any_round_is_malformed() {
    for round in 1..=3 {
        for garbage in [vec![], vec![0xa5; 40], vec![0xff; 100_000]] {
            let (honest, culprit, run) = cheated(Scheme::EcdsaDkls23, round, move |body| {
                body.clone_from(&garbage);
            });
            run.assert_blames(&honest, culprit, Offence::Malformed);
        }
        let (honest, culprit, run) = cheated(Scheme::EcdsaP256, round, |body| body.push(0));
        run.assert_blames(&honest, culprit, Offence::Malformed);
    }
}

#[test]
fn a_message_that_says_it_is_for_or_from_somebody_else_is_out_of_place() {
    for round in [1, 2] {
        // The library's messages begin with sender and receiver, a byte each.
        for byte in [0, 1] {
            let (honest, culprit, run) = cheated(Scheme::EcdsaDkls23, round, move |body| {
                body[byte] = 3;
            });
            run.assert_blames(&honest, culprit, Offence::Unexpected);
        }
    }
}

#[test]
fn a_message_of_another_session_is_told_from_a_cheat() {
    for round in [1, 2] {
        // The binding to the session follows.
        let (honest, culprit, run) = cheated(Scheme::EcdsaDkls23, round, |body| body[5] ^= 1);
        run.assert_blames(&honest, culprit, Offence::OtherCeremony);
    }
}

#[test]
fn a_commitment_that_is_not_opened_is_a_failed_proof() {
    let (honest, culprit, run) = cheated(Scheme::EcdsaDkls23, 1, |body| body[40] ^= 1);
    run.assert_blames(&honest, culprit, Offence::FailedProof);
}

#[test]
fn parts_that_do_not_add_up_are_nobodys_in_particular() {
    for at in [0, 1] {
        let (honest, _, run) = cheated(Scheme::EcdsaDkls23, 3, move |body| {
            let byte = body.len() * at / 2 + 20;
            body[byte] ^= 1;
        });
        assert!(run.failure(&honest).blame.is_empty());
    }
}

/// What is wrong in the oblivious transfers or the products forbids the two to sign together again.
#[test]
fn a_cheat_in_the_products_is_banned_and_the_share_remembers() {
    for scheme in SCHEMES {
        for round in [1, 2] {
            let (honest, culprit, run) = cheated(scheme, round, |body| {
                // The transfers and products are the last and by far the largest part.
                let byte = body.len() - 40;
                body[byte] ^= 1;
            });
            run.assert_blames(&honest, culprit, Offence::Banned);

            let shares = two_of_three(scheme);
            let mut share = KeyShare::decode(&shares[&honest].encode()).unwrap();
            assert!(share.ban(&culprit));
            let share = KeyShare::decode(&share.encode()).unwrap();
            let accounts = accounts(3);
            let parties: Vec<_> = shares.keys().copied().collect();
            for signers in sets_of(2, &parties) {
                if !signers.contains(&honest) {
                    continue;
                }
                let context = context_of(shares, &signers, &[]);
                let refused = sign(&context, &share, &accounts[&honest]).err();
                let expected = signers
                    .contains(&culprit)
                    .then_some(SetupError::BannedPair(culprit));
                assert_eq!(refused, expected);
            }
        }
    }
}

#[test]
fn shares_of_two_generations_do_not_sign_together() {
    let old = two_of_three(Scheme::EcdsaDkls23);
    let new = shares(Scheme::EcdsaDkls23, 2, 3, 8);
    let signers: Vec<_> = old.keys().copied().take(2).collect();
    let context = context_of(old, &signers, &[]);
    let accounts = accounts(3);
    assert_eq!(
        sign(&context, &new[&signers[1]], &accounts[&signers[1]]).err(),
        Some(SetupError::OtherShare)
    );
    // Nor if the second claims another share's context to be its own: the ceremonies are two.
    let other = context_of(&new, &signers, &[]);
    assert_ne!(context.id(), other.id());
}

#[test]
fn a_signature_is_for_its_key_digest_and_signers() {
    let shares = two_of_three(Scheme::EcdsaDkls23);
    let signers: Vec<_> = shares.keys().copied().take(2).collect();
    let accounts = accounts(3);
    let good = context_of(shares, &signers, &[1]);
    let begin = |context: &SigningContext| {
        sign(context, &shares[&signers[0]], &accounts[&signers[0]]).err()
    };
    assert_eq!(begin(&good), None);
    let other = derivation::derive(
        Scheme::EcdsaDkls23,
        &shares[&signers[0]].public().root_key,
        &good.key,
        &DerivationPath::new(vec![2]).unwrap(),
    );
    let wrong_key = SigningContext {
        final_key: other.unwrap().key,
        ..good.clone()
    };
    assert_eq!(begin(&wrong_key), Some(SetupError::FinalKey));
    let tweaked = SigningContext {
        tweak: TaprootTweak::KeyPath,
        ..good.clone()
    };
    assert!(begin(&tweaked).is_some());
    let one = SigningContext {
        signers: good.signers[..1].to_vec(),
        ..good.clone()
    };
    assert_eq!(begin(&one), Some(SetupError::Signers { expected: 2 }));
    let with_message = SigningContext {
        message: Some(vec![1]),
        ..good
    };
    assert_eq!(begin(&with_message), Some(SetupError::Message));
}

#[test]
fn the_silent_are_named() {
    let shares = two_of_three(Scheme::EcdsaP256);
    let signers: Vec<_> = shares.keys().copied().take(2).collect();
    let context = context_of(shares, &signers, &[]);
    for round in 1..=3 {
        let silent = signers[1];
        let network = Network::orderly(1).tamper(move |packet| {
            if packet.from == silent && packet.round() >= round {
                vec![]
            } else {
                vec![packet]
            }
        });
        let run = network.run(signs(&context, shares));
        run.assert_blames(&signers[0], silent, Offence::Silent);
    }
}
