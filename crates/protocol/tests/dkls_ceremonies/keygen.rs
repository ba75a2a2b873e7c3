//! Key generation: agreement, and who is blamed for what.

use std::collections::BTreeMap;

use codec::{Decode, Encode};
use entropy_protocol::{KeyShare, Offence, SetupError, keygen};
use entropy_shared::{PartyId, Scheme};

use super::{SCHEMES, two_of_three};
use crate::common::{Network, Run, accounts, keygen_context, keygens};

const COMMITMENT: u8 = 1;
const DEALING: u8 = 2;
const SEEN: u8 = 3;
const SUBSHARES: u8 = 4;
const FIRST_OF_SETUP: u8 = 5;
const OPENING_OF_SETUP: u8 = 6;
const AGREEMENT: u8 = 7;

/// The messages of one party that deals, as they are on the wire.
#[derive(Encode, Decode)]
struct Opening {
    nonce: [u8; 32],
    commitments: Vec<[u8; 33]>,
    signature: [u8; 64],
}

fn party(number: usize) -> PartyId {
    *accounts(3).keys().nth(number).unwrap()
}

/// A run of 2 of 3 in which the second party's messages of a round are replaced.
fn cheated(
    scheme: Scheme,
    round: u8,
    mut replace: impl FnMut(&PartyId, &mut Vec<u8>) + 'static,
) -> Run<KeyShare> {
    let context = keygen_context(scheme, 2, 3);
    let network = Network::orderly(u64::from(round)).cheat(party(1), round, move |packet| {
        let to = packet.to;
        packet.edited(|body| replace(&to, body))
    });
    network.run(keygens(&context))
}

#[test]
fn all_holders_agree_and_the_shares_are_of_one_polynomial() {
    for (scheme, t, n) in [
        (Scheme::EcdsaDkls23, 2, 2),
        (Scheme::EcdsaDkls23, 3, 5),
        (Scheme::EcdsaP256, 2, 2),
    ] {
        let context = keygen_context(scheme, t, n);
        let shares = Network::chaotic(7).run(keygens(&context)).outputs();
        let public = shares.values().next().unwrap().public();
        assert!(public.root_key.is_valid());
        assert_eq!(public.committee, context.committee);
        for share in shares.values() {
            assert_eq!(share.public(), public);
        }
        // Different parties have different shares of it.
        let mut keys = public.verification_shares.clone();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), usize::from(n));
    }
}

/// What the library draws itself has no part in the key.
#[test]
fn the_key_is_made_of_what_the_parties_draw() {
    let context = keygen_context(Scheme::EcdsaDkls23, 2, 3);
    let public =
        |shares: &BTreeMap<PartyId, KeyShare>| shares.values().next().unwrap().public().clone();
    let of_seed = |seed| public(&Network::orderly(seed).run(keygens(&context)).outputs());
    assert_eq!(of_seed(1), public(two_of_three(Scheme::EcdsaDkls23)));
    assert_ne!(of_seed(2).root_key, of_seed(1).root_key);
}

#[test]
fn what_was_not_committed_to_is_refused() {
    let other = cheated(Scheme::EcdsaDkls23, COMMITMENT, |_, body| body[0] ^= 1);
    other.assert_all_blame(party(1), Offence::FailedProof);
    let nonce = cheated(Scheme::EcdsaDkls23, DEALING, |_, body| body[0] ^= 1);
    nonce.assert_all_blame(party(1), Offence::FailedProof);
}

#[test]
fn a_dealing_that_is_not_signed_by_its_dealer_is_refused() {
    let run = cheated(Scheme::EcdsaDkls23, DEALING, |_, body| {
        let mut opening = Opening::decode(&mut &body[..]).unwrap();
        opening.signature[3] ^= 1;
        *body = opening.encode();
    });
    run.assert_all_blame(party(1), Offence::FailedProof);
}

/// One coefficient too many or too few would leave shares that give nothing; it also breaks the commitment.
#[test]
fn any_other_number_of_coefficients_than_the_threshold_is_refused() {
    for more in [true, false] {
        let run = cheated(Scheme::EcdsaDkls23, DEALING, move |_, body| {
            let mut opening = Opening::decode(&mut &body[..]).unwrap();
            if more {
                opening.commitments.push(opening.commitments[0]);
            } else {
                opening.commitments.pop();
            }
            *body = opening.encode();
        });
        run.assert_all_blame(party(1), Offence::FailedProof);
    }
}

#[test]
fn whoever_claims_to_have_seen_something_else_without_a_signature_is_blamed() {
    let run = cheated(Scheme::EcdsaDkls23, SEEN, |_, body| {
        // After the length of the list: the hash of the first dealing.
        body[1] ^= 1;
    });
    run.assert_all_blame(party(1), Offence::FailedProof);
    let short = cheated(Scheme::EcdsaDkls23, SEEN, |_, body| *body = vec![0]);
    short.assert_all_blame(party(1), Offence::Malformed);
}

#[test]
fn a_subshare_that_does_not_fit_is_its_dealers_fault() {
    for scheme in SCHEMES {
        let victim = party(0);
        let run = cheated(scheme, SUBSHARES, move |to, body| {
            if *to == victim {
                body[31] ^= 1;
            }
        });
        run.assert_blames(&victim, party(1), Offence::BadShare);
        // The other knows only that the victim has stopped.
        run.assert_blames(&party(2), victim, Offence::Silent);
    }
    let run = cheated(Scheme::EcdsaDkls23, SUBSHARES, |_, body| body.fill(0xff));
    run.assert_all_blame(party(1), Offence::Malformed);
}

#[test]
fn set_up_is_for_the_shares_that_all_know() {
    // A commitment to another proof, and another seed.
    for byte in [0, 32] {
        let run = cheated(Scheme::EcdsaDkls23, FIRST_OF_SETUP, move |_, body| {
            body[byte] ^= 1;
        });
        run.assert_all_blame(party(1), Offence::FailedProof);
    }
    // Another point than the verification share: the point of somebody else.
    let run = cheated(Scheme::EcdsaDkls23, OPENING_OF_SETUP, |_, body| {
        let generator =
            hex::decode("0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798");
        // postcard: the length of the point, then the point.
        body[1..34].copy_from_slice(&generator.unwrap());
    });
    run.assert_all_blame(party(1), Offence::BadShare);
    // Addressed to somebody else, or said to be of somebody else: the first `parties` field follows the proof.
    let short = cheated(Scheme::EcdsaDkls23, OPENING_OF_SETUP, |_, body| {
        body.truncate(100)
    });
    short.assert_all_blame(party(1), Offence::Malformed);
    let long = cheated(Scheme::EcdsaDkls23, OPENING_OF_SETUP, |_, body| {
        body.push(0)
    });
    long.assert_all_blame(party(1), Offence::Malformed);
}

/// A bit of the base oblivious transfers, which come last: found by whoever it was for.
#[test]
fn transfers_that_were_tampered_with_are_their_senders_fault() {
    for scheme in SCHEMES {
        let run = cheated(scheme, OPENING_OF_SETUP, |_, body| {
            let middle = body.len() - 2_000;
            body[middle] ^= 1;
        });
        for honest in [party(0), party(2)] {
            let blame = &run.failure(&honest).blame;
            assert_eq!(blame.len(), 1, "{:?}", run.failure(&honest));
            assert_eq!(blame[0].party, party(1));
            let expected = [
                Offence::FailedProof,
                Offence::Malformed,
                Offence::Unexpected,
            ];
            assert!(expected.contains(&blame[0].offence), "{}", blame[0].offence);
        }
    }
}

#[test]
fn another_result_is_a_lie() {
    let run = cheated(Scheme::EcdsaDkls23, AGREEMENT, |_, body| body[0] ^= 1);
    run.assert_all_blame(party(1), Offence::Equivocation);
}

#[test]
fn the_silent_are_named_in_every_round() {
    let context = keygen_context(Scheme::EcdsaDkls23, 2, 3);
    let silent = Network::orderly(3).silence(party(1)).run(keygens(&context));
    silent.assert_all_blame(party(1), Offence::Silent);
    for round in [DEALING, SUBSHARES, OPENING_OF_SETUP, AGREEMENT] {
        let network = Network::orderly(3).tamper(move |packet| {
            if packet.from == party(1) && packet.round() >= round {
                vec![]
            } else {
                vec![packet]
            }
        });
        let run = network.run(keygens(&context));
        run.assert_all_blame(party(1), Offence::Silent);
    }
}

#[test]
fn garbage_in_any_round_is_malformed_and_no_panic() {
    for round in COMMITMENT..=AGREEMENT {
        for length in [0, 1, 33, 70_000] {
            let run = cheated(Scheme::EcdsaDkls23, round, move |_, body| {
                *body = vec![0xa5; length];
            });
            run.assert_all_blame(party(1), Offence::Malformed);
        }
    }
}

#[test]
fn only_members_with_their_own_account_take_part() {
    let context = keygen_context(Scheme::EcdsaP256, 2, 3);
    let accounts = accounts(4);
    let stranger = accounts
        .keys()
        .find(|party| !context.committee.contains(party))
        .unwrap();
    let member = context.committee.parties()[0];
    assert_eq!(
        keygen(&context, *stranger, &accounts[stranger]).err(),
        Some(SetupError::NotAParty)
    );
    assert_eq!(
        keygen(&context, member, &accounts[stranger]).err(),
        Some(SetupError::NotAParty)
    );
}
