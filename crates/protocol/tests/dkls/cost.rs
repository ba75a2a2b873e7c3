//! What the ceremonies cost beside the bare library: `cargo test --release --test dkls -- --ignored --nocapture cost`.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use dkls_k256::Secp256k1;
use dkls_p256::NistP256;
use dkls23::{
    curve::DklsCurve,
    protocols::{
        Parameters, Party, PartyIndex,
        dkg::{self, SessionData},
        signing::SignData,
    },
};
use entropy_shared::Scheme;

use crate::{
    common::{Network, keygen_context, keygens, signs},
    context, parties, shares,
};

fn index(of: u8) -> PartyIndex {
    PartyIndex::new(of).unwrap()
}

/// The library's own key generation, all parties in one thread, nothing encoded.
fn bare_keygen<C: DklsCurve>(t: u8, n: u8) -> Vec<Party<C>> {
    let data: Vec<_> = (1..=n)
        .map(|i| SessionData {
            parameters: Parameters::new(t, n).unwrap(),
            party_index: index(i),
            session_id: vec![7; 32],
        })
        .collect();
    let dealt: Vec<_> = data.iter().map(dkg::phase1::<C>).collect();
    let second: Vec<_> = data
        .iter()
        .enumerate()
        .map(|(i, data)| {
            let fragments: Vec<_> = dealt.iter().map(|dealt| dealt[i]).collect();
            dkg::phase2::<C>(data, &fragments)
        })
        .collect();
    let third: Vec<_> = data
        .iter()
        .zip(&second)
        .map(|(data, second)| dkg::phase3::<C>(data, &second.2, &second.4))
        .collect();
    let proofs: Vec<_> = second.iter().map(|second| second.1.clone()).collect();
    let chain_2: BTreeMap<_, _> = second
        .iter()
        .map(|second| (second.5.sender_index, second.5.clone()))
        .collect();
    let chain_3: BTreeMap<_, _> = third
        .iter()
        .map(|third| (third.4.sender_index, third.4.clone()))
        .collect();
    data.iter()
        .enumerate()
        .map(|(i, data)| {
            let me = data.party_index;
            let zero_2: Vec<_> = second
                .iter()
                .flat_map(|second| &second.3)
                .filter(|message| message.parties.receiver == me)
                .cloned()
                .collect();
            let zero_3: Vec<_> = third
                .iter()
                .flat_map(|third| &third.1)
                .filter(|message| message.parties.receiver == me)
                .cloned()
                .collect();
            let mul: Vec<_> = third
                .iter()
                .flat_map(|third| &third.3)
                .filter(|message| message.parties.receiver == me)
                .cloned()
                .collect();
            dkg::phase4::<C>(
                data,
                &second[i].0,
                &proofs,
                &third[i].0,
                &zero_2,
                &zero_3,
                &third[i].2,
                &mul,
                &chain_2,
                &chain_3,
                |_| String::new(),
            )
            .unwrap()
            .0
        })
        .collect()
}

/// The library's own signing by the first `t` parties, the same way.
fn bare_sign<C: DklsCurve>(all: &[Party<C>], t: u8, id: u8) {
    let signers = &all[..usize::from(t)];
    let data: Vec<_> = signers
        .iter()
        .map(|party| SignData {
            sign_id: vec![id; 32],
            counterparties: (1..=t)
                .map(index)
                .filter(|index| *index != party.party_index)
                .collect(),
            message_hash: [5; 32],
        })
        .collect();
    let mut kept = Vec::new();
    let mut sent = Vec::new();
    for (party, data) in signers.iter().zip(&data) {
        let (unique, keep, messages) = party.sign_phase1(data).unwrap();
        kept.push((unique, keep));
        sent.extend(messages);
    }
    let mut kept_2 = Vec::new();
    let mut sent_2 = Vec::new();
    for ((party, data), (unique, keep)) in signers.iter().zip(&data).zip(kept) {
        let mine: Vec<_> = sent
            .iter()
            .filter(|message| message.parties.receiver == party.party_index)
            .cloned()
            .collect();
        let (unique, keep, messages) = party.sign_phase2(data, unique, keep, &mine).unwrap();
        kept_2.push((unique, keep));
        sent_2.extend(messages);
    }
    let mut parts = Vec::new();
    let mut x = String::new();
    for ((party, data), (unique, keep)) in signers.iter().zip(&data).zip(kept_2) {
        let mine: Vec<_> = sent_2
            .iter()
            .filter(|message| message.parties.receiver == party.party_index)
            .cloned()
            .collect();
        let (found, part) = party.sign_phase3(data, unique, keep, &mine).unwrap();
        (x, parts) = (found, [parts, vec![part]].concat());
    }
    for (party, data) in signers.iter().zip(&data) {
        party.sign_phase4(data, &x, &parts, true).unwrap();
    }
}

/// The fastest: whatever else the machine does only adds.
fn fastest(times: impl IntoIterator<Item = Duration>) -> Duration {
    times.into_iter().min().unwrap_or_default()
}

fn timed(runs: usize, mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let start = Instant::now();
        run();
        start.elapsed()
    };
    fastest((0..runs).map(time))
}

fn compare<C: DklsCurve>(scheme: Scheme, keygens_of: &[(u8, u8)], signatures: &[(u8, u8)]) {
    for (t, n) in keygens_of.iter().copied() {
        let parties = u32::from(n);
        let bare = timed(3, || drop(bare_keygen::<C>(t, n))) / parties;
        let wanted = keygen_context(scheme, t.into(), n.into());
        let ours = timed(3, || {
            drop(Network::orderly(1).run(keygens(&wanted)).outputs())
        }) / parties;
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{scheme} keygen {t} of {n}, per party: bare {bare:.1?}, ours {ours:.1?}, ratio {ratio:.2}"
        );
        let sent: usize = Network::orderly(1)
            .run(keygens(&wanted))
            .transcript
            .iter()
            .map(|packet| packet.payload.len())
            .sum();
        println!("  {} bytes sent by each", sent / usize::from(n));
    }
    for (t, n) in signatures.iter().copied() {
        let made = bare_keygen::<C>(t, n);
        let shares = shares(scheme, t.into(), n.into());
        let context = context(shares, &parties(shares)[..usize::from(t)], "m");
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        // In turns, so that whatever else the machine does falls on both.
        for _ in 0..41 {
            bare.push(timed(1, || bare_sign(&made, t, 1)));
            ours.push(timed(1, || {
                drop(Network::orderly(1).run(signs(&context, shares)).outputs())
            }));
        }
        let (bare, ours) = (fastest(bare) / u32::from(t), fastest(ours) / u32::from(t));
        let ratio = ours.as_secs_f64() / bare.as_secs_f64();
        println!(
            "{scheme} sign {t} of {n}, per party: bare {bare:.2?}, ours {ours:.2?}, ratio {ratio:.2}"
        );
        let sent: usize = Network::orderly(1)
            .run(signs(&context, shares))
            .transcript
            .iter()
            .map(|packet| packet.payload.len())
            .sum();
        println!("  {} bytes sent by each", sent / usize::from(t));
    }
}

#[test]
#[ignore = "measures, and says nothing about right or wrong"]
fn cost_of_secp256k1() {
    compare::<Secp256k1>(
        Scheme::EcdsaDkls23,
        &[(3, 4), (4, 5)],
        &[(2, 3), (3, 4), (4, 5)],
    );
}

#[test]
#[ignore = "measures, and says nothing about right or wrong"]
fn cost_of_p256() {
    compare::<NistP256>(Scheme::EcdsaP256, &[(2, 3)], &[(2, 3), (3, 4)]);
}
