//! Resharing and refresh, with the shares of the one key generation and primes that are given.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::OnceLock,
    time::Instant,
};

use entropy_protocol::{KeyShare, MAX_PAYLOAD_BYTES, Offence, ReshareContext, SetupError, reshare};
use entropy_shared::{DerivationPath, PartyId, TaprootTweak, VerifyingKey};

use crate::{
    common::{
        Network, Packet, account, new_shares, reshare_context, reshares, servers, signing_context,
        signs,
    },
    primes::{OF_RESHARE, primed},
    sign,
};

type Shares = BTreeMap<PartyId, KeyShare>;

/// A re-dealing that went well, what was sent in it, and the new shares.
pub(crate) struct Resharing {
    context: ReshareContext,
    pub(crate) transcript: Vec<Packet>,
    shares: Shares,
}

/// Number 2 stays, 3 joins, 0 and 1 deal and leave.
fn context() -> ReshareContext {
    let dealers = sign::parties();
    let public = sign::shares()[&dealers[0]].public();
    reshare_context(public, &dealers, &servers(2..4), 2)
}

/// Primes are for the holders; a dealer that leaves needs none.
fn primed_reshares(
    context: &ReshareContext,
    old: &Shares,
) -> Vec<(PartyId, crate::common::Running<Option<KeyShare>>)> {
    let all = reshares(context, old).into_iter();
    let (holders, mut leavers): (Vec<_>, Vec<_>) =
        all.partition(|(party, _)| context.committee.contains(party));
    leavers.extend(primed(OF_RESHARE, holders));
    leavers
}

fn run(context: &ReshareContext, old: &Shares, network: Network) -> (Vec<Packet>, Shares) {
    let start = Instant::now();
    let mut run = network.run(primed_reshares(context, old));
    println!(
        "redistribution and auxiliary material for {}, given primes, all in one thread: {:.1?}",
        context.committee.size(),
        start.elapsed()
    );
    let transcript = std::mem::take(&mut run.transcript);
    let longest = transcript.iter().map(|packet| packet.payload.len()).max();
    assert!(longest.is_some_and(|longest| longest <= MAX_PAYLOAD_BYTES));
    (transcript, new_shares(context, run))
}

pub(crate) fn resharing() -> &'static Resharing {
    static RESHARING: OnceLock<Resharing> = OnceLock::new();
    RESHARING.get_or_init(|| {
        let context = context();
        let (transcript, shares) = run(&context, sign::shares(), Network::orderly(30));
        Resharing {
            context,
            transcript,
            shares,
        }
    })
}

/// The derived key, after a signature by these that is verified inside.
fn sign_with(shares: &Shares, signers: &[PartyId]) -> VerifyingKey {
    let path = DerivationPath::new(vec![4, 2]).unwrap();
    let share = &shares[&signers[0]];
    let context = signing_context(share, signers, path, TaprootTweak::None, [9; 32]);
    let signatures = Network::orderly(3).run(signs(&context, shares)).outputs();
    for signature in signatures.values() {
        sign::judge(&context, signature);
    }
    context.final_key
}

#[test]
fn a_resharing_and_a_refresh_keep_the_key() {
    let old = sign::shares();
    let before = sign_with(old, &sign::parties()[1..]);
    let Resharing {
        context, shares, ..
    } = resharing();
    let holders: Vec<_> = shares.keys().copied().collect();
    assert_eq!(holders, context.committee.parties());
    assert_eq!(sign_with(shares, &holders), before);
    // A refresh: the same committee, other shares and other primes' material.
    let public = shares[&holders[0]].public();
    let context = reshare_context(public, &holders, &holders, 2);
    let (_, fresh) = run(&context, shares, Network::chaotic(31));
    assert_eq!(sign_with(&fresh, &holders), before);
    for (party, share) in &fresh {
        assert_eq!(share.public().root_key, public.root_key);
        assert_ne!(
            share.public().verification_shares,
            public.verification_shares
        );
        let again = KeyShare::decode(&share.encode()).unwrap();
        assert_eq!((again.encode(), again.party()), (share.encode(), *party));
        // The old one is of no use beside it.
        let path = DerivationPath::default();
        let signing = signing_context(share, &holders, path, TaprootTweak::None, [9; 32]);
        let refused = entropy_protocol::sign(&signing, &shares[party], account(party)).err();
        assert_eq!(refused, Some(SetupError::OtherShare));
    }
}

#[test]
fn leavers_take_no_part_in_the_auxiliary_material() {
    let Resharing {
        context,
        transcript,
        ..
    } = resharing();
    let rounds: BTreeSet<_> = transcript.iter().map(Packet::round).collect();
    assert_eq!(rounds, [1, 2, 3, 7, 8, 9, 10, 11, 12].into());
    let concerned = |packet: &Packet| {
        context.committee.contains(&packet.from) && context.committee.contains(&packet.to)
    };
    assert!(transcript.iter().filter(|it| it.round() > 3).all(concerned));
}

/// What comes before the primes costs nothing here either, and a holder that cheats after is blamed.
#[test]
fn cheats_are_tolerated_or_blamed() {
    let context = context();
    let [first, second] = [0, 1].map(|position| context.committee.parties()[position]);
    let leaver = servers(0..1)[0];
    let spoilt = move |packet: &Packet| packet.edited(|body| body.push(0));
    let network = Network::orderly(32).cheat(leaver, 1, spoilt);
    let (_, shares) = run(&context, sign::shares(), network);
    assert_eq!(shares.len(), 2, "two of three dealers are enough");
    for round in [2, 3, 7, 9, 11, 12] {
        let network = Network::orderly(33).cheat(first, round, spoilt);
        let run = network.run(primed_reshares(&context, sign::shares()));
        run.assert_blames(&second, first, Offence::Malformed);
    }
    let network = Network::orderly(34).silence(first);
    let run = network.run(primed_reshares(&context, sign::shares()));
    run.assert_blames(&second, first, Offence::Silent);
}

#[test]
fn a_share_of_another_generation_does_not_deal() {
    let context = context();
    let dealer = context.dealers[0];
    let mut other = context.clone();
    other.from.attempt += 1;
    let share = &sign::shares()[&dealer];
    let refusal =
        |context: &ReshareContext| reshare(context, dealer, account(&dealer), Some(share)).err();
    assert_eq!(refusal(&context), None);
    assert_eq!(refusal(&other), Some(SetupError::OtherShare));
}
