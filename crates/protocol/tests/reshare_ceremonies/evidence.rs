//! Evidence: found for what is provable, and never to be made against who is honest.

use codec::Encode;
use entropy_protocol::{
    Evidence, Offence,
    evidence::{EvidenceError, MAX_EVIDENCE_BYTES, SignedDealing, SignedHash, Word},
};
use entropy_shared::{PartyId, VerifyingKey};
use k256::Scalar;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;

use crate::{
    cheats::{Case, DEALING, HEARD, STATEMENT, deal_from, dealing, stating},
    common::{Network, Packet},
    forge::{Dealt, Seen, commitments_hash, read},
};

fn signed(dealt: &Dealt) -> SignedDealing {
    SignedDealing {
        commitments: dealt
            .commitments
            .iter()
            .map(|it| VerifyingKey::Secp256k1(*it))
            .collect(),
        signature: dealt.signature,
    }
}

fn bad_subshare(packet: &Packet, dealt: &Dealt) -> Evidence {
    Evidence::BadSubshare {
        dealer: packet.from,
        dealing: signed(dealt),
        recipient: packet.to,
        subshare: dealt.subshare,
        signature: dealt.subshare_signature,
    }
}

/// What every holder finds when `replace` is dealt, with a dealer to spare.
fn found(
    replace: impl Fn(&Case, &PartyId, &Packet) -> Packet + 'static,
) -> Vec<(PartyId, Offence)> {
    let (case, inner) = (Case::spare(), Case::spare());
    let culprit = case.leaver;
    let run = case.run(dealing(culprit, move |packet| {
        replace(&inner, &culprit, packet)
    }));
    let found = case.proven(&run, Some(culprit));
    for holder in case.context.committee.parties() {
        assert!(!run.evidence[holder].is_empty(), "every holder has its own");
    }
    case.assert_good(run);
    assert!(found.iter().all(|(accused, _)| *accused == culprit));
    found.into_iter().collect()
}

#[test]
fn what_a_dealer_signed_proves_what_it_did() {
    let culprit = Case::spare().leaver;
    let subshare = found(|case, dealer, packet| {
        let mut dealt: Dealt = read(packet);
        dealt.subshare[31] ^= 1;
        packet.with_body(dealt.signed(&case.context, dealer, &packet.to).encode())
    });
    assert_eq!(subshare, [(culprit, Offence::BadShare)]);
    let no_scalar = found(|case, dealer, packet| {
        let mut dealt: Dealt = read(packet);
        dealt.subshare = [0xff; 32];
        packet.with_body(dealt.signed(&case.context, dealer, &packet.to).encode())
    });
    assert_eq!(no_scalar, [(culprit, Offence::BadShare)]);
    let constant = found(|case, dealer, packet| {
        deal_from(
            case,
            dealer,
            packet,
            &case.polynomial(dealer, Scalar::ONE, 2),
        )
    });
    assert_eq!(constant, [(culprit, Offence::BadShare)]);
    for coefficients in [1, 3] {
        let degree = found(move |case, dealer, packet| {
            deal_from(
                case,
                dealer,
                packet,
                &case.polynomial(dealer, Scalar::ZERO, coefficients),
            )
        });
        assert_eq!(degree, [(culprit, Offence::Malformed)]);
    }
    let deceived = Case::spare().joiner;
    let two = found(move |case, dealer, packet| {
        if packet.to == deceived {
            deal_from(
                case,
                dealer,
                packet,
                &case.polynomial(dealer, Scalar::ZERO, 2),
            )
        } else {
            packet.clone()
        }
    });
    assert_eq!(two, [(culprit, Offence::Equivocation)]);
}

#[test]
fn two_statements_prove_a_lie() {
    let case = Case::spare();
    let (culprit, deceived) = (case.joiner, case.stayer);
    let mut other = stating(culprit, case.context.clone(), |claims| {
        claims[0].fault = Some(0)
    });
    let run = case.run(
        Network::orderly(4).cheat(culprit, STATEMENT, move |packet| {
            if packet.to == deceived {
                other(packet)
            } else {
                packet.clone()
            }
        }),
    );
    for holder in case.context.committee.parties() {
        let evidence = &run.evidence[holder];
        let proves = |it: &Evidence| it.verify(&case.context) == Ok(Offence::Equivocation);
        assert!(
            *holder == culprit || evidence.iter().any(proves),
            "{holder}"
        );
    }
    case.assert_blamed(&run, culprit, Offence::Equivocation);
}

#[test]
fn only_evidence_is_read() {
    let run = Case::spare().run(Network::orderly(1));
    let packet = run
        .transcript
        .iter()
        .find(|it| it.round() == DEALING)
        .unwrap();
    let evidence = bad_subshare(packet, &read(packet));
    let bytes = evidence.to_bytes();
    assert_eq!(Evidence::from_bytes(&bytes), Ok(evidence));
    let refused = Err(EvidenceError::Malformed);
    assert_eq!(Evidence::from_bytes(&[&bytes[..], &[0]].concat()), refused);
    assert_eq!(Evidence::from_bytes(&bytes[..bytes.len() - 1]), refused);
    assert_eq!(Evidence::from_bytes(&[]), refused);
    assert_eq!(Evidence::from_bytes(&[3]), refused);
    assert_eq!(
        Evidence::from_bytes(&vec![0; MAX_EVIDENCE_BYTES + 1]),
        refused
    );
}

/// The number of commitments in the two-byte form of SCALE.
#[test]
fn a_second_encoding_is_refused() {
    let dealing = SignedDealing {
        commitments: Vec::new(),
        signature: [0; 64],
    };
    let evidence = Evidence::BadDealing {
        dealer: PartyId([1; 32]),
        dealing,
    };
    let mut bytes = evidence.to_bytes();
    assert_eq!(bytes[33], 0);
    bytes.splice(33..34, [1, 0]);
    assert_eq!(Evidence::from_bytes(&bytes), Err(EvidenceError::Malformed));
}

/// Everything that honest parties signed in an honest run, put together as an accuser might.
fn accusations(case: &Case, rng: &mut ChaCha20Rng) -> Vec<Evidence> {
    let run = case.run(Network::orderly(7));
    let dealt: Vec<(&Packet, Dealt)> = run
        .transcript
        .iter()
        .filter(|it| it.round() == DEALING)
        .map(|it| (it, read(it)))
        .collect();
    let mut hashes: Vec<(PartyId, SignedHash)> = dealt
        .iter()
        .flat_map(|(packet, dealt)| {
            let subshare = SignedHash {
                hash: rng.r#gen(),
                signature: dealt.subshare_signature,
            };
            let dealing = SignedHash {
                hash: commitments_hash(&dealt.commitments),
                signature: dealt.signature,
            };
            [(packet.from, dealing), (packet.from, subshare)]
        })
        .collect();
    for packet in run.transcript.iter().filter(|it| it.round() == HEARD) {
        let authors = case.context.committee.parties().iter();
        let seen = read::<Vec<Seen>>(packet).into_iter().map(|it| SignedHash {
            hash: it.hash,
            signature: it.signature,
        });
        hashes.extend(authors.copied().zip(seen));
    }
    let mut accusations = Vec::new();
    for (packet, dealt) in &dealt {
        accusations.push(bad_subshare(packet, dealt));
        accusations.push(Evidence::BadDealing {
            dealer: packet.from,
            dealing: signed(dealt),
        });
        let (other, theirs) = dealt_at_random(&run.transcript, rng);
        // Another's subshare, signature or recipient with this dealing.
        let mixed = Dealt {
            subshare: theirs.subshare,
            ..dealt.clone()
        };
        accusations.push(bad_subshare(packet, &mixed));
        let mixed = Dealt {
            subshare: theirs.subshare,
            subshare_signature: theirs.subshare_signature,
            ..dealt.clone()
        };
        accusations.push(bad_subshare(packet, &mixed));
        let renamed = Packet {
            to: other.to,
            ..(*packet).clone()
        };
        accusations.push(bad_subshare(&renamed, dealt));
        accusations.push(bad_subshare(&renamed, &theirs));
    }
    for _ in 0..40 {
        let (author, first) = *hashes.choose(rng).unwrap();
        let (_, second) = *hashes.choose(rng).unwrap();
        let word = *[Word::Dealing, Word::Statement, Word::Relay]
            .choose(rng)
            .unwrap();
        accusations.push(Evidence::Equivocation {
            author,
            word,
            first,
            second,
        });
    }
    accusations
}

fn dealt_at_random(transcript: &[Packet], rng: &mut ChaCha20Rng) -> (Packet, Dealt) {
    let dealings: Vec<_> = transcript
        .iter()
        .filter(|it| it.round() == DEALING)
        .collect();
    let packet = *dealings.choose(rng).unwrap();
    (packet.clone(), read(packet))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_honest_party_can_be_accused(seed: u64, spare: bool) {
        println!("seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let case = if spare { Case::spare() } else { Case::tight() };
        let mut elsewhere = case.context.clone();
        elsewhere.epoch += 1;
        for evidence in accusations(&case, &mut rng) {
            prop_assert!(evidence.verify(&case.context).is_err(), "{:?}", evidence);
            prop_assert!(evidence.verify(&elsewhere).is_err());
            let mut bytes = evidence.to_bytes();
            let at = rng.gen_range(0..bytes.len());
            bytes[at] ^= 1 << rng.gen_range(0..8);
            if let Ok(altered) = Evidence::from_bytes(&bytes) {
                prop_assert!(altered.verify(&case.context).is_err(), "{:?}", altered);
            }
        }
    }

    #[test]
    fn garbage_is_no_evidence(bytes: Vec<u8>) {
        if let Ok(evidence) = Evidence::from_bytes(&bytes) {
            prop_assert!(evidence.verify(&Case::spare().context).is_err());
        }
    }
}
