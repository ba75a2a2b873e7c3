//! What must work: any committee to any other, with the same key, and old shares useless.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock},
};

use codec::Encode;
use entropy_protocol::{KeyShare, Offence, ReshareContext, SetupError, reshare};
use entropy_shared::{DerivationPath, PartyId, Scheme, Signature, TaprootTweak, VerifyingKey};
use proptest::prelude::*;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha20Rng;

use crate::common::{
    Network, account, new_shares, reshare_context, reshares, servers, sets_of, shares,
    signing_context, signs,
};

pub(crate) const FROST: [Scheme; 2] = [Scheme::SchnorrTaproot, Scheme::SchnorrEd25519];

pub(crate) type Shares = BTreeMap<PartyId, KeyShare>;

fn encoded(scheme: Scheme, t: u16, n: u16) -> Vec<Vec<u8>> {
    type Cache = Mutex<BTreeMap<(Scheme, u16, u16), Vec<Vec<u8>>>>;
    static CACHE: OnceLock<Cache> = OnceLock::new();
    let mut cache = CACHE.get_or_init(Cache::default).lock().unwrap();
    let make = || {
        let shares = shares(scheme, t, n, 1).into_values();
        shares.map(|share| share.encode().to_vec()).collect()
    };
    cache.entry((scheme, t, n)).or_insert_with(make).clone()
}

/// Shares of servers `0..n`, generated once.
pub(crate) fn old_shares(scheme: Scheme, t: u16, n: u16) -> Shares {
    let decoded = |bytes: Vec<u8>| {
        let share = KeyShare::decode(&bytes).unwrap();
        (share.party(), share)
    };
    encoded(scheme, t, n).into_iter().map(decoded).collect()
}

pub(crate) fn any(shares: &Shares) -> &KeyShare {
    shares.values().next().unwrap()
}

/// Judged by code that did not make it.
fn judge(key: &VerifyingKey, digest: &[u8; 32], signature: &Signature) {
    match (key, signature) {
        (VerifyingKey::XOnly(key), Signature::Bip340(bytes)) => {
            use bitcoin::secp256k1::{Message, Secp256k1, XOnlyPublicKey, schnorr};
            let key = XOnlyPublicKey::from_slice(key).unwrap();
            let signature = schnorr::Signature::from_slice(bytes).unwrap();
            Secp256k1::verification_only()
                .verify_schnorr(&signature, &Message::from_digest(*digest), &key)
                .unwrap();
        }
        (VerifyingKey::Ed25519(key), Signature::Ed25519(bytes)) => {
            let key = ed25519_dalek::VerifyingKey::from_bytes(key).unwrap();
            key.verify_strict(digest, &ed25519_dalek::Signature::from_bytes(bytes))
                .unwrap();
        }
        other => panic!("{other:?}"),
    }
}

/// The derived key that these shares sign for; `signers` must all come to a good signature.
pub(crate) fn sign_with(shares: &Shares, signers: &[PartyId], digest: [u8; 32]) -> VerifyingKey {
    let path = DerivationPath::new(vec![3, 5]).unwrap();
    let tweak = match any(shares).public().scheme {
        Scheme::SchnorrTaproot => TaprootTweak::KeyPath,
        _ => TaprootTweak::None,
    };
    let context = signing_context(any(shares), signers, path, tweak, digest);
    let signatures = Network::orderly(3).run(signs(&context, shares)).outputs();
    for signature in signatures.values() {
        judge(&context.final_key, &digest, signature);
    }
    context.final_key
}

/// The last `t` holders.
pub(crate) fn last_signers(shares: &Shares) -> Vec<PartyId> {
    let t = usize::from(any(shares).public().committee.threshold());
    let parties: Vec<_> = shares.keys().copied().collect();
    parties[parties.len() - t..].to_vec()
}

/// Same key, same derived keys, all hold shares of one package, and these sign.
pub(crate) fn assert_same_key(context: &ReshareContext, old: &Shares, new: &Shares) {
    let public = any(new).public();
    assert!(new.values().all(|share| share.public() == public));
    assert_eq!(new.len(), usize::from(context.committee.size()));
    assert_eq!(public.root_key, context.from.root_key);
    assert_eq!(public.committee, context.committee);
    assert_eq!(
        (public.epoch, public.attempt),
        (context.epoch, context.attempt)
    );
    assert_ne!(public.digest(), context.from.digest());
    let before = sign_with(old, &last_signers(old), [1; 32]);
    assert_eq!(sign_with(new, &last_signers(new), [2; 32]), before);
    let first: Vec<_> = new
        .keys()
        .copied()
        .take(usize::from(public.committee.threshold()))
        .collect();
    assert_eq!(sign_with(new, &first, [3; 32]), before);
}

#[test]
fn from_any_committee_to_any_other() {
    for scheme in FROST {
        for ((t, n), holders, next) in [
            ((2, 2), 0..2, 2),
            ((2, 3), 0..3, 2),
            ((2, 3), 1..4, 2),
            ((2, 3), 3..5, 2),
            ((3, 4), 2..7, 5),
            ((3, 4), 0..2, 2),
            ((3, 5), 4..6, 2),
            ((2, 2), 0..9, 7),
            ((5, 5), 3..8, 3),
        ] {
            println!("{scheme}: {t} of {n} to {next} of {holders:?}");
            let old = old_shares(scheme, t, n);
            let dealers: Vec<_> = old.keys().copied().collect();
            let context = reshare_context(any(&old).public(), &dealers, &servers(holders), next);
            let new = new_shares(&context, Network::orderly(1).run(reshares(&context, &old)));
            assert_same_key(&context, &old, &new);
        }
    }
}

/// What the docs say it costs; run with `--nocapture`.
#[test]
fn cost_of_a_refresh() {
    for scheme in FROST {
        for (t, n) in [(2, 3), (4, 5), (11, 15)] {
            let old = old_shares(scheme, t, n);
            let parties: Vec<_> = old.keys().copied().collect();
            let context = reshare_context(any(&old).public(), &parties, &parties, t);
            let start = std::time::Instant::now();
            let run = Network::orderly(1).run(reshares(&context, &old));
            let elapsed = start.elapsed();
            let sent: usize = run.transcript.iter().map(|it| it.payload.len()).sum();
            println!(
                "{scheme} refresh {t} of {n}, all in one thread: {elapsed:.1?}, {} bytes sent by each",
                sent / usize::from(n)
            );
            assert_eq!(new_shares(&context, run).len(), parties.len());
        }
    }
}

#[test]
fn eleven_of_fifteen_to_fifteen_others_and_back_to_two() {
    for scheme in FROST {
        let old = old_shares(scheme, 11, 15);
        let dealers: Vec<_> = old.keys().copied().collect();
        let context = reshare_context(any(&old).public(), &dealers, &servers(15..30), 11);
        let new = new_shares(&context, Network::orderly(1).run(reshares(&context, &old)));
        assert_same_key(&context, &old, &new);
        let dealers: Vec<_> = new.keys().copied().collect();
        let context = reshare_context(any(&new).public(), &dealers[..11], &servers(29..31), 2);
        let last = new_shares(&context, Network::chaotic(1).run(reshares(&context, &new)));
        assert_same_key(&context, &new, &last);
    }
}

/// With just a threshold of dealers, and with all: the new key is the same, the shares are not.
#[test]
fn any_threshold_of_the_old_holders_is_enough() {
    let old = old_shares(Scheme::SchnorrTaproot, 3, 4);
    let parties: Vec<_> = old.keys().copied().collect();
    for dealers in sets_of(3, &parties) {
        let context = reshare_context(any(&old).public(), &dealers, &servers(2..5), 2);
        let new = new_shares(&context, Network::orderly(1).run(reshares(&context, &old)));
        assert_same_key(&context, &old, &new);
    }
}

/// Every new holder's share is another one, and a mix of generations cannot sign: not by the rules, nor in truth.
#[test]
fn old_and_new_shares_do_not_combine() {
    for scheme in FROST {
        let old = old_shares(scheme, 2, 3);
        let parties: Vec<_> = old.keys().copied().collect();
        let context = reshare_context(any(&old).public(), &parties, &parties, 2);
        let new = new_shares(&context, Network::orderly(1).run(reshares(&context, &old)));
        assert_same_key(&context, &old, &new);
        for (party, share) in &new {
            assert_ne!(share.encode(), old[party].encode());
        }
        for (ours, theirs) in context
            .from
            .verification_shares
            .iter()
            .zip(&any(&new).public().verification_shares)
        {
            assert_ne!(ours, theirs);
        }
        let signing = signing_context(
            any(&new),
            &parties[..2],
            DerivationPath::default(),
            TaprootTweak::None,
            [1; 32],
        );
        let refused = entropy_protocol::sign(&signing, &old[&parties[0]], account(&parties[0]));
        assert_eq!(refused.err(), Some(SetupError::OtherShare));
        // The old secret in the new package is no share at all.
        let (stale, fresh) = (old[&parties[0]].encode(), new[&parties[0]].encode());
        let forged = [&fresh[..fresh.len() - 32], &stale[stale.len() - 32..]].concat();
        assert!(KeyShare::decode(&forged).is_err());
        // One who hides that, by the verification share of the old one, breaks every signature.
        let mix: Shares = mixed(&old, &new, &parties);
        let signing = signing_context(
            any(&mix),
            &parties[..2],
            DerivationPath::default(),
            TaprootTweak::None,
            [1; 32],
        );
        let run = Network::orderly(1).run(signs(&signing, &mix));
        assert!(
            run.outcomes.values().all(Result::is_err),
            "no signature from old and new"
        );
    }
}

/// A package in which the first party's old share stands among the new ones.
fn mixed(old: &Shares, new: &Shares, parties: &[PartyId]) -> Shares {
    let mut public = any(new).public().clone();
    public.verification_shares[0] = any(old).public().verification_shares[0];
    let header = |share: &KeyShare| share.encode()[share.encode().len() - 32..].to_vec();
    parties
        .iter()
        .enumerate()
        .map(|(position, party)| {
            let source = if position == 0 {
                &old[party]
            } else {
                &new[party]
            };
            let secret = header(source);
            let bytes = (1u8, &public, party, secret).encode();
            (*party, KeyShare::decode(&bytes).unwrap())
        })
        .collect()
}

#[test]
fn leavers_end_with_nothing_and_before_the_others() {
    let old = old_shares(Scheme::SchnorrTaproot, 2, 3);
    let dealers: Vec<_> = old.keys().copied().collect();
    let context = reshare_context(any(&old).public(), &dealers, &servers(3..6), 2);
    let run = Network::orderly(1).run(reshares(&context, &old));
    let rounds: std::collections::BTreeSet<_> =
        run.transcript.iter().map(|it| it.round()).collect();
    assert_eq!(rounds, [1, 2, 3, 7].into(), "no dispute, no answers");
    assert!(
        run.transcript
            .iter()
            .all(|it| !dealers.contains(&it.from) || it.round() == 1)
    );
    assert!(
        dealers
            .iter()
            .all(|party| matches!(run.outcomes[party], Ok(None)))
    );
}

#[test]
fn messages_in_any_order_and_twice() {
    for seed in 0..40 {
        let scheme = FROST[seed as usize % 2];
        let old = old_shares(scheme, 2, 3);
        let dealers: Vec<_> = old.keys().copied().collect();
        let context = reshare_context(any(&old).public(), &dealers, &servers(2..6), 3);
        let new = new_shares(
            &context,
            Network::chaotic(seed).run(reshares(&context, &old)),
        );
        assert_same_key(&context, &old, &new);
    }
}

#[test]
fn a_ceremony_needs_who_it_names() {
    let old = old_shares(Scheme::SchnorrTaproot, 2, 3);
    let other = old_shares(Scheme::SchnorrTaproot, 2, 2);
    let parties: Vec<_> = old.keys().copied().collect();
    let joiner = servers(3..4)[0];
    let public = any(&old).public();
    let good = reshare_context(public, &parties[..2], &[parties[2], joiner], 2);
    let refusal = |context: &ReshareContext, me: &PartyId, old: Option<&KeyShare>| {
        reshare(context, *me, account(me), old).err()
    };
    let first = Some(&old[&parties[0]]);
    assert_eq!(refusal(&good, &parties[0], first), None);
    assert_eq!(
        refusal(&good, &parties[2], None),
        None,
        "an old holder that does not deal"
    );
    assert_eq!(refusal(&good, &joiner, None), None);
    let not_ours = Some(SetupError::OtherShare);
    assert_eq!(refusal(&good, &parties[0], None), not_ours);
    assert_eq!(refusal(&good, &parties[1], first), not_ours);
    assert_eq!(refusal(&good, &joiner, first), not_ours);
    assert_eq!(refusal(&good, &parties[0], other.values().next()), not_ours);
    assert_eq!(
        refusal(&good, &servers(9..10)[0], None),
        Some(SetupError::NotAParty)
    );
    let wrong_account = reshare(&good, parties[0], account(&parties[1]), first).err();
    assert_eq!(wrong_account, Some(SetupError::NotAParty));
    let with = |edit: fn(&mut ReshareContext)| {
        let mut context = good.clone();
        edit(&mut context);
        refusal(&context, &context.dealers[0].clone(), first)
    };
    let dealers = Some(SetupError::Dealers { at_least: 2 });
    assert_eq!(with(|it| it.dealers.truncate(1)), dealers);
    assert_eq!(with(|it| it.dealers.reverse()), dealers);
    assert_eq!(with(|it| it.dealers[1] = it.dealers[0]), dealers);
    assert_eq!(with(|it| it.dealers[1] = PartyId([0xff; 32])), dealers);
    assert_eq!(with(|it| it.epoch = 1), not_ours);
    assert_eq!(with(|it| it.genesis.0[0] ^= 1), not_ours);
    assert_eq!(with(|it| it.scheme = Scheme::SchnorrEd25519), not_ours);
    let dkls = Scheme::EcdsaDkls23;
    let unsupported = with(|it| {
        it.scheme = Scheme::EcdsaDkls23;
        it.from.scheme = Scheme::EcdsaDkls23;
    });
    assert!(unsupported == not_ours || unsupported == Some(SetupError::UnsupportedScheme(dkls)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    /// The seed says everything; it is printed where it fails.
    #[test]
    fn chains_of_reshare_and_refresh_keep_the_key(seed: u64, scheme in prop::sample::select(FROST.to_vec())) {
        println!("seed {seed}");
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut held = old_shares(scheme, 2, 3);
        for step in 0..4 {
            let public = any(&held).public().clone();
            let mut dealers: Vec<_> = held.keys().copied().collect();
            let least = usize::from(public.committee.threshold());
            dealers.shuffle(&mut rng);
            dealers.truncate(rng.gen_range(least..=dealers.len()));
            dealers.sort();
            let context = if rng.gen_bool(0.3) {
                reshare_context(&public, &dealers, public.committee.parties(), public.committee.threshold())
            } else {
                let mut holders = servers(0..10);
                holders.shuffle(&mut rng);
                holders.truncate(rng.gen_range(2..=6));
                let threshold = rng.gen_range(2..=holders.len() as u16);
                reshare_context(&public, &dealers, &holders, threshold)
            };
            // One dealer too many may be silent, if it leaves.
            let spare = context.dealers.iter().find(|it| !context.committee.contains(it)).copied();
            let mut network = Network::chaotic(rng.r#gen());
            let silent = spare.filter(|_| dealers.len() > least && rng.gen_bool(0.5));
            if let Some(silent) = silent {
                network = network.silence(silent);
            }
            let new = new_shares(&context, network.run(reshares(&context, &held)));
            prop_assert_eq!(new.len(), usize::from(context.committee.size()), "step {}", step);
            assert_same_key(&context, &held, &new);
            held = new;
        }
    }
}

#[test]
fn a_silent_dealer_costs_nothing() {
    for scheme in FROST {
        let old = old_shares(scheme, 2, 3);
        let dealers: Vec<_> = old.keys().copied().collect();
        for silent in dealers.clone() {
            let context = reshare_context(any(&old).public(), &dealers, &servers(3..6), 3);
            let run = Network::orderly(1)
                .silence(silent)
                .run(reshares(&context, &old));
            assert_same_key(&context, &old, &new_shares(&context, run));
        }
    }
}

#[test]
fn a_silent_holder_is_blamed_by_everyone() {
    let old = old_shares(Scheme::SchnorrTaproot, 2, 3);
    let dealers: Vec<_> = old.keys().copied().collect();
    let context = reshare_context(any(&old).public(), &dealers, &servers(2..6), 3);
    for silent in context.committee.parties() {
        let run = Network::orderly(1)
            .silence(*silent)
            .run(reshares(&context, &old));
        run.assert_all_blame(*silent, Offence::Silent);
    }
}
