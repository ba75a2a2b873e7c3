//! Golden bytes of every message of a redistribution, and of the ceremony's id: a change of any needs a new protocol version.

use std::fmt::Write;

use codec::Encode;
use entropy_protocol::ReshareContext;
use entropy_shared::{
    Committee, Digest, Genesis, PartyId, PublicPackage, Scheme, VerifyingKey, tagged_hash,
};

use crate::{
    cheats::{Case, DEALING},
    common::{Network, new_shares, reshare_context, reshares, servers},
    honest::{FROST, any, assert_same_key, old_shares},
};

/// `write` in `ENTROPY_GOLDEN` writes the file anew, and fails: what has been written must be looked at.
fn compare(name: &str, actual: &str, expected: &str) {
    if std::env::var("ENTROPY_GOLDEN").as_deref() == Ok("write") {
        let path = format!("{}/tests/golden/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::write(path, actual).unwrap();
        panic!("written: look at what has changed");
    }
    assert_eq!(actual, expected);
}

#[test]
fn every_message() {
    let mut actual = String::new();
    for scheme in FROST {
        let old = old_shares(scheme, 2, 2);
        let dealers: Vec<_> = old.keys().copied().collect();
        let context = reshare_context(any(&old).public(), &dealers, &servers(1..4), 2);
        // One dealing is lost, so that there are answers.
        let leaver = servers(0..1)[0];
        let mut lost = false;
        let run = Network::orderly(1)
            .tamper(move |packet| {
                let first = !lost && packet.from == leaver && packet.round() == DEALING;
                lost |= first;
                if first { vec![] } else { vec![packet] }
            })
            .run(reshares(&context, &old));
        for round in 1..=7 {
            let mut of_round = run.transcript.iter().filter(|it| it.round() == round);
            let first = of_round.next().unwrap();
            writeln!(actual, "{scheme} {round} {}", hex::encode(&first.payload)).unwrap();
        }
        assert_same_key(&context, &old, &new_shares(&context, run));
    }
    compare(
        "reshare.txt",
        &actual,
        include_str!("../golden/reshare.txt"),
    );
}

/// The tagged hash of what the context is, spelled out.
#[test]
fn the_id_commits_to_everything() {
    let party = |number: u8| PartyId([number; 32]);
    let from = PublicPackage {
        genesis: Genesis([1; 32]),
        scheme: Scheme::SchnorrTaproot,
        epoch: 2,
        attempt: 3,
        committee: Committee::new([party(5), party(6), party(7)], 2).unwrap(),
        root_key: VerifyingKey::Secp256k1([2; 33]),
        verification_shares: vec![VerifyingKey::Secp256k1([3; 33]); 3],
    };
    let context = ReshareContext {
        genesis: from.genesis,
        scheme: from.scheme,
        epoch: 3,
        attempt: 4,
        dealers: vec![party(5), party(7)],
        committee: Committee::new([party(7), party(8)], 2).unwrap(),
        from,
    };
    let bytes = [
        vec![1, 0],
        vec![1; 32],
        vec![3],
        3u32.encode(),
        4u32.encode(),
        context.from.encode(),
        context.dealers.encode(),
        context.committee.encode(),
    ]
    .concat();
    struct Raw(Vec<u8>);
    impl Encode for Raw {
        fn encode(&self) -> Vec<u8> {
            self.0.clone()
        }
    }
    assert_eq!(
        context.id().0,
        tagged_hash("entropy/ceremony/reshare/v1", &Raw(bytes))
    );
    assert_eq!(
        Digest(context.id().0).to_string(),
        include_str!("../golden/reshare_id.txt").trim()
    );
    let changed = |edit: fn(&mut ReshareContext)| {
        let mut other = context.clone();
        edit(&mut other);
        assert_ne!(other.id(), context.id());
    };
    changed(|it| it.genesis.0[0] ^= 1);
    changed(|it| it.scheme = Scheme::EcdsaCggmp24);
    changed(|it| it.epoch += 1);
    changed(|it| it.attempt += 1);
    changed(|it| it.from.verification_shares[0] = VerifyingKey::Secp256k1([9; 33]));
    changed(|it| it.dealers.truncate(1));
    changed(|it| it.committee = Committee::new([PartyId([7; 32]), PartyId([9; 32])], 2).unwrap());
}

/// The golden run is one that the cheaters' harness would run too.
#[test]
fn the_cases_are_what_they_say() {
    let (spare, tight) = (Case::spare(), Case::tight());
    assert_eq!(
        (spare.context.dealers.len(), tight.context.dealers.len()),
        (3, 2)
    );
    for case in [spare, tight] {
        let run = case.run(Network::orderly(1));
        case.assert_good(run);
    }
}
