//! Key generation and the ways to disturb it.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use codec::{DecodeAll, Encode};
use ed25519_dalek::Signer;
use entropy_protocol::{Blame, Offence, SetupError, keygen};
use entropy_shared::{Digest, PartyId, Scheme, tagged_hash};

use crate::{
    common::{Network, Packet, accounts, keygen_context, keygens},
    forge::{Echoes, forge},
    primes::{OF_KEYGEN, primed},
};

// The rounds: key init and its echoes, dealing, what was seen of it, subshares, auxiliary material, agreement.
const COMMITMENT: u8 = 1;
const COMMITMENT_ECHO: u8 = 2;
const OPENING: u8 = 3;
const PROOF: u8 = 5;
const DEALING: u8 = 6;
const SEEN: u8 = 7;
const SUBSHARE: u8 = 8;
const FIRST_OF_AUXILIARY: u8 = 9;
const AUXILIARY_OPENING: u8 = 11;
const AGREEMENT: u8 = 14;

type Dealing = (Vec<[u8; 33]>, [u8; 64]);

fn parties(n: u16) -> Vec<PartyId> {
    accounts(n).into_keys().collect()
}

/// Runs a key generation 2 of 3 up to the primes, which nobody gets to search: somebody's subshares never come.
fn until_the_primes(network: Network) -> crate::common::Run<entropy_protocol::KeyShare> {
    network.run(keygens(&keygen_context(Scheme::EcdsaCggmp24, 2, 3)))
}

/// Replaces what `cheater` sends in `round` to the parties that `chosen` says.
fn cheating(
    cheater: PartyId,
    round: u8,
    chosen: impl Fn(&PartyId) -> bool + 'static,
    replace: impl Fn(&Packet) -> Packet + 'static,
) -> Network {
    Network::orderly(1).cheat(cheater, round, move |packet| {
        if chosen(&packet.to) {
            replace(packet)
        } else {
            packet.clone()
        }
    })
}

/// Cheats all others in `round`; all others must blame the cheater for `offence`.
#[track_caller]
fn cheat_all(round: u8, offence: Offence, replace: impl Fn(&Packet) -> Packet + 'static) {
    let cheater = parties(3)[1];
    until_the_primes(cheating(cheater, round, |_| true, replace))
        .assert_all_blame(cheater, offence);
}

fn resign(round: u8, offence: Offence, edit: impl Fn(&mut crate::forge::Message) + 'static) {
    let account = accounts(3)[&parties(3)[1]].clone();
    cheat_all(round, offence, move |packet| forge(packet, &account, &edit));
}

fn flip(bytes: &mut Option<Vec<u8>>, position: usize) {
    bytes.as_mut().unwrap()[position] ^= 1;
}

#[test]
fn a_silent_party_is_named_by_all_in_every_phase() {
    let silent = parties(3)[2];
    for round in [COMMITMENT, COMMITMENT_ECHO, DEALING, SEEN, SUBSHARE] {
        let network = Network::chaotic(2).tamper(move |packet| {
            // Nobody else completes the subshares: there is no need for the silent party to search primes.
            let last = packet.to == silent && packet.round() == SUBSHARE;
            if (packet.from == silent && packet.round() >= round) || last {
                Vec::new()
            } else {
                vec![packet]
            }
        });
        until_the_primes(network.silence(silent_if(round == COMMITMENT, silent)))
            .assert_all_blame(silent, Offence::Silent);
    }
}

/// Somebody who is no party at all, unless `really`.
fn silent_if(really: bool, party: PartyId) -> PartyId {
    if really { party } else { PartyId([0; 32]) }
}

#[test]
fn a_wrong_proof_of_the_additive_share_is_blamed() {
    resign(PROOF, Offence::FailedProof, |message| {
        flip(&mut message.normal.payload, 40)
    });
}

#[test]
fn an_opening_of_something_else_is_blamed() {
    resign(OPENING, Offence::FailedProof, |message| {
        flip(&mut message.echo.payload, 20)
    });
}

#[test]
fn a_contribution_of_another_length_is_blamed() {
    // Unchecked, it makes the library panic at the end of a round, when nobody can be told to be guilty.
    resign(OPENING, Offence::Malformed, |message| {
        message.echo.payload = Some(vec![8, 1, 0xff])
    });
    resign(OPENING, Offence::Malformed, |message| {
        message.echo.payload.as_mut().unwrap()[0] = 0xff
    });
}

#[test]
fn bytes_after_a_payload_are_blamed() {
    resign(COMMITMENT, Offence::Malformed, |message| {
        message.echo.payload.as_mut().unwrap().push(0)
    });
}

#[test]
fn a_message_of_another_kind_is_blamed() {
    resign(COMMITMENT, Offence::Malformed, |message| {
        message.normal.payload = message.echo.payload.clone()
    });
    resign(COMMITMENT, Offence::Malformed, |message| {
        message.echo.payload = None
    });
}

#[test]
fn a_wrong_signature_is_blamed() {
    let stranger = ed25519_dalek::SigningKey::from_bytes(&[9; 32]);
    cheat_all(COMMITMENT, Offence::Malformed, move |packet| {
        forge(packet, &stranger, |_| ())
    });
}

#[test]
fn malformed_bytes_are_blamed() {
    let malformed: [fn(&Packet) -> Packet; 3] = [
        |packet| packet.with_body(vec![7; 3]),
        |packet| packet.edited(|body| body.push(0)),
        |packet| packet.with_body(Vec::new()),
    ];
    for replace in malformed {
        for round in [COMMITMENT, DEALING, SEEN] {
            cheat_all(round, Offence::Malformed, replace);
        }
        cheat_all_of_subshares(Offence::Malformed, replace);
    }
}

#[test]
fn a_message_for_another_recipient_is_refused() {
    let [cheater, victim, other] = parties(3)[..] else {
        unreachable!()
    };
    let for_other = Rc::new(RefCell::new(None));
    // What is meant for the last party goes to the second one too; the envelope and its signatures are the cheater's own.
    let network = Network::orderly(3).tamper(move |packet| {
        if packet.from != cheater || packet.round() != COMMITMENT {
            return vec![packet];
        }
        if packet.to == victim {
            return Vec::new();
        }
        *for_other.borrow_mut() = Some(packet.clone());
        vec![
            Packet {
                to: victim,
                ..packet.clone()
            },
            packet,
        ]
    });
    let run = until_the_primes(network);
    run.assert_blames(&victim, cheater, Offence::Unexpected);
    assert_eq!(
        run.failure(&other).blame[0].offence,
        Offence::Silent,
        "the victim stopped, the other waits for it"
    );
}

#[test]
fn a_message_of_another_ceremony_is_refused() {
    let context = keygen_context(Scheme::EcdsaCggmp24, 2, 3);
    let cheater = parties(3)[1];
    let other = entropy_protocol::KeygenContext {
        attempt: 2,
        ..context.clone()
    };
    let recorded = until_the_next_attempt(&other, COMMITMENT);
    // As it is, and in an envelope of the right ceremony.
    let replayed = recorded.clone();
    until_the_primes(cheating(
        cheater,
        COMMITMENT,
        |_| true,
        move |packet| replayed[&(packet.from, packet.to)].clone(),
    ))
    .assert_all_blame(cheater, Offence::OtherCeremony);
    until_the_primes(cheating(
        cheater,
        COMMITMENT,
        |_| true,
        move |packet| packet.with_body(recorded[&(packet.from, packet.to)].frame().body),
    ))
    .assert_all_blame(cheater, Offence::Malformed);
}

/// What honest parties of this ceremony send in `round`.
fn until_the_next_attempt(
    context: &entropy_protocol::KeygenContext,
    round: u8,
) -> BTreeMap<(PartyId, PartyId), Packet> {
    let run = Network::orderly(4)
        .tamper(move |packet| {
            if packet.round() <= round {
                vec![packet]
            } else {
                Vec::new()
            }
        })
        .run(keygens(context));
    let sent = run
        .transcript
        .into_iter()
        .filter(|packet| packet.round() == round);
    sent.map(|packet| ((packet.from, packet.to), packet))
        .collect()
}

#[test]
fn two_versions_of_a_commitment_are_blamed_on_their_sender_not_on_the_honest_echo() {
    let [first, cheater, last] = parties(3)[..] else {
        unreachable!()
    };
    let account = accounts(3)[&cheater].clone();
    let run = until_the_primes(cheating(
        cheater,
        COMMITMENT,
        move |to| *to == last,
        move |packet| {
            forge(packet, &account, |message| {
                flip(&mut message.echo.payload, 5)
            })
        },
    ));
    for honest in [first, last] {
        run.assert_blames(&honest, cheater, Offence::Equivocation);
    }
}

#[test]
fn a_forged_echo_is_blamed_on_its_sender_not_on_whom_it_accuses() {
    let [first, cheater, last] = parties(3)[..] else {
        unreachable!()
    };
    let account = accounts(3)[&cheater].clone();
    let run = until_the_primes(cheating(
        cheater,
        COMMITMENT_ECHO,
        |_| true,
        move |packet| {
            forge(packet, &account, |message| {
                let payload = message.normal.payload.as_mut().unwrap();
                let mut echoes: Echoes = postcard::from_bytes(payload).unwrap();
                echoes
                    .0
                    .iter_mut()
                    .for_each(|(_, echo)| echo.signature[10] ^= 1);
                *payload = postcard::to_allocvec(&echoes).unwrap();
            })
        },
    ));
    for honest in [first, last] {
        run.assert_blames(&honest, cheater, Offence::Malformed);
    }
}

#[test]
fn a_second_message_that_differs_is_equivocation() {
    let cheater = parties(3)[1];
    let network = Network::orderly(5).tamper(move |packet| {
        let twice = packet.from == cheater && packet.round() == DEALING;
        if twice {
            vec![packet.clone(), packet.edited(|body| body[5] ^= 1)]
        } else {
            vec![packet]
        }
    });
    until_the_primes(network).assert_all_blame(cheater, Offence::Equivocation);
}

/// A dealing that the cheater has signed for this ceremony.
fn deal(packet: &Packet, commitments: Vec<[u8; 33]>) -> Packet {
    let account = &accounts(3)[&packet.from];
    let hash = tagged_hash("entropy/cggmp/commitments/v1", &commitments);
    let message = tagged_hash(
        "entropy/cggmp/dealing/v1",
        &(packet.frame().ceremony, packet.from, hash),
    );
    packet.with_body((commitments, account.sign(&message).to_bytes()).encode())
}

fn commitments(packet: &Packet) -> Vec<[u8; 33]> {
    Dealing::decode_all(&mut &packet.frame().body[..])
        .unwrap()
        .0
}

#[test]
fn a_dealing_has_exactly_t_coefficients() {
    // The first is what the cheater must deal; the others only have to be points.
    cheat_all(DEALING, Offence::Malformed, |packet| {
        let mut points = commitments(packet);
        points.push(points[1]);
        deal(packet, points)
    });
    cheat_all(DEALING, Offence::Malformed, |packet| {
        deal(packet, commitments(packet)[..1].to_vec())
    });
}

#[test]
fn a_dealing_is_of_the_additive_share_that_its_dealer_has() {
    cheat_all(DEALING, Offence::BadShare, |packet| {
        let points = commitments(packet);
        deal(packet, vec![points[1], points[0]])
    });
}

#[test]
fn an_unsigned_dealing_is_blamed() {
    cheat_all(DEALING, Offence::FailedProof, |packet| {
        packet.edited(|body| *body.last_mut().unwrap() ^= 1)
    });
}

#[test]
fn two_versions_of_a_dealing_are_blamed_on_the_dealer_not_on_the_honest_witness() {
    let [first, cheater, last] = parties(3)[..] else {
        unreachable!()
    };
    let run = until_the_primes(cheating(
        cheater,
        DEALING,
        move |to| *to == last,
        |packet| {
            let points = commitments(packet);
            deal(packet, vec![points[0], points[0]])
        },
    ));
    for honest in [first, last] {
        run.assert_blames(&honest, cheater, Offence::Equivocation);
    }
    let secret_sent = run
        .transcript
        .iter()
        .any(|packet| packet.round() == SUBSHARE && packet.from != cheater);
    assert!(!secret_sent, "no subshare leaves before all agree");
}

#[test]
fn a_false_witness_of_a_dealing_is_blamed() {
    let [first, cheater, last] = parties(3)[..] else {
        unreachable!()
    };
    // Of each 96 bytes, after one of length, the first 32 are the hash.
    let run = until_the_primes(cheating(
        cheater,
        SEEN,
        |_| true,
        |packet| packet.edited(|body| body[1] ^= 1),
    ));
    // The first entry is about the first party's dealing.
    for honest in [first, last] {
        run.assert_blames(&honest, cheater, Offence::FailedProof);
    }
}

#[test]
fn a_bad_subshare_is_blamed_by_its_recipient() {
    let [first, cheater, last] = parties(3)[..] else {
        unreachable!()
    };
    let run = until_the_primes(Network::orderly(6).tamper(move |packet| {
        match (packet.round(), packet.from == cheater) {
            (SUBSHARE, true) if packet.to == last => vec![packet.edited(|body| body[31] ^= 1)],
            // Nobody else completes: there is no need to search primes.
            (SUBSHARE, _) if packet.to != last => Vec::new(),
            _ => vec![packet],
        }
    }));
    run.assert_blames(&last, cheater, Offence::BadShare);
    assert!(
        run.failure(&first)
            .blame
            .iter()
            .all(|blame| blame.offence == Offence::Silent)
    );
    cheat_all_of_subshares(Offence::BadShare, |packet| packet.with_body(vec![0; 32]));
    cheat_all_of_subshares(Offence::Malformed, |packet| {
        packet.with_body(vec![0xff; 32])
    });
}

fn cheat_all_of_subshares(offence: Offence, replace: impl Fn(&Packet) -> Packet + 'static) {
    let cheater = parties(3)[1];
    let network =
        Network::orderly(7).tamper(
            move |packet| match (packet.round(), packet.from == cheater) {
                (SUBSHARE, true) => vec![replace(&packet)],
                (SUBSHARE, false) if packet.to == cheater => Vec::new(),
                _ => vec![packet],
            },
        );
    let run = until_the_primes(network);
    for honest in parties(3).into_iter().filter(|party| *party != cheater) {
        run.assert_blames(&honest, cheater, offence);
    }
}

#[test]
fn strangers_change_nothing() {
    let stranger = PartyId([7; 32]);
    let silent = parties(3)[2];
    let network = Network::orderly(8).silence(silent).tamper(move |packet| {
        vec![
            Packet {
                from: stranger,
                ..packet.edited(|body| body[3] ^= 1)
            },
            packet,
        ]
    });
    until_the_primes(network).assert_all_blame(silent, Offence::Silent);
}

#[test]
fn an_account_of_somebody_else_is_refused() {
    let context = keygen_context(Scheme::EcdsaCggmp24, 2, 3);
    let [first, second, _] = parties(3)[..] else {
        unreachable!()
    };
    let refused = keygen(&context, first, &accounts(3)[&second]).err();
    assert_eq!(refused, Some(SetupError::NotAParty));
    assert_eq!(
        keygen(&context, PartyId([7; 32]), &accounts(3)[&second]).err(),
        Some(SetupError::NotAParty)
    );
}

#[test]
fn a_modulus_that_makes_the_library_panic_is_blamed_on_its_sender() {
    let [honest, cheater] = parties(2)[..] else {
        unreachable!()
    };
    let account = accounts(2)[&cheater].clone();
    let network = Network::orderly(9).cheat(cheater, AUXILIARY_OPENING, move |packet| {
        // The Paillier modulus comes first: two bytes of length, then its lowest byte.
        forge(packet, &account, |message| {
            message.normal.payload.as_mut().unwrap()[2] &= 0xfe
        })
    });
    let run = network.run(primed(
        OF_KEYGEN,
        keygens(&keygen_context(Scheme::EcdsaCggmp24, 2, 2)),
    ));
    run.assert_blames(&honest, cheater, Offence::Panic);
}

#[test]
fn another_public_package_is_blamed_and_so_is_a_late_silence() {
    let [honest, cheater] = parties(2)[..] else {
        unreachable!()
    };
    let network =
        Network::chaotic(10).tamper(
            move |packet| match (packet.round(), packet.from == cheater) {
                (AGREEMENT, true) => vec![packet.with_body(Digest([1; 32]).encode())],
                (AGREEMENT, false) => Vec::new(),
                _ => vec![packet],
            },
        );
    let run = network.run(primed(
        OF_KEYGEN,
        keygens(&keygen_context(Scheme::EcdsaCggmp24, 2, 2)),
    ));
    run.assert_blames(&honest, cheater, Offence::Unexpected);
    assert_eq!(
        run.failure(&cheater).blame,
        vec![Blame {
            party: honest,
            offence: Offence::Silent
        }]
    );
    assert!(
        run.transcript
            .iter()
            .any(|packet| packet.round() == FIRST_OF_AUXILIARY)
    );
}
