//! What only this crate can do: set up shares that no key generation made, sign with shares that no store would give back, and pin the hashes.

use std::collections::{BTreeMap, VecDeque};

use dkls_curve::Group;
use entropy_shared::{
    CeremonyId, Committee, DerivationPath, Digest, Genesis, KeyId, PublicPackage, RequestId,
    TaprootTweak, derivation,
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use super::{dealing::Polynomial, *};
use crate::{
    Ceremony, DecodeError, KeyShare, Offence, SigningContext, Subject, ceremony::Blame,
    guard::Guard,
};

type Sides<T> = BTreeMap<PartyId, Box<dyn Ceremony<Output = T>>>;

fn rng(seed: u64) -> ChaCha20Rng {
    println!("seed {seed}");
    ChaCha20Rng::seed_from_u64(seed)
}

/// Delivers in order; who still waits at the end expires.
fn run<T>(mut sides: Sides<T>) -> BTreeMap<PartyId, Result<T, Failure>> {
    let mut rng = rng(1);
    let (mut queue, mut outcomes) = (VecDeque::new(), BTreeMap::new());
    let mut settle = |queue: &mut VecDeque<_>, party: PartyId, step: crate::Step<T>| {
        queue.extend(step.outbound.into_iter().map(|message| (party, message)));
        outcomes.extend(step.outcome.map(|outcome| (party, outcome)));
    };
    for (party, side) in &mut sides {
        let step = side.start(&mut rng);
        settle(&mut queue, *party, step);
    }
    while let Some((from, message)) = queue.pop_front() {
        if let Some(side) = sides.get_mut(&message.to) {
            let step = side.receive(&from, &message.payload, &mut rng);
            settle(&mut queue, message.to, step);
        }
    }
    for (party, side) in &mut sides {
        let step = side.expire(&mut rng);
        settle(&mut queue, *party, step);
    }
    outcomes
}

fn party(number: u8) -> PartyId {
    PartyId([number; 32])
}

fn committee(t: u16, n: u8) -> Committee {
    Committee::new((1..=n).map(party), t).unwrap()
}

/// The package of these shares, as a redistribution would give it.
fn package<C: Curve>(
    root: &C::Scalar,
    shares: &[C::Scalar],
    committee: Committee,
    epoch: u32,
) -> PublicPackage {
    let key = |scalar| C::key(compress::<C>(&(C::ProjectivePoint::generator() * scalar)).unwrap());
    PublicPackage {
        genesis: Genesis([1; 32]),
        scheme: C::SCHEME,
        epoch,
        attempt: 0,
        committee,
        root_key: key(root),
        verification_shares: shares.iter().map(key).collect(),
    }
}

/// A secret and its shares.
fn dealt<C: Curve>(t: u16, n: u8, rng: &mut ChaCha20Rng) -> (C::Scalar, Vec<C::Scalar>) {
    let polynomial = Polynomial::<C>::random(t, rng);
    let value = |index: u16| *polynomial.evaluate(index);
    (value(0), (1..=u16::from(n)).map(value).collect())
}

/// Other shares of the same secret.
fn refreshed<C: Curve>(t: u16, shares: &[C::Scalar], rng: &mut ChaCha20Rng) -> Vec<C::Scalar> {
    let change = Polynomial::<C>::random(t - 1, rng);
    let value = |(share, index): (&C::Scalar, u16)| {
        *share + C::Scalar::from(u64::from(index)) * *change.evaluate(index)
    };
    shares.iter().zip(1..).map(value).collect()
}

/// A set-up between all of them, after no or some earlier rounds.
fn set_up<C: Curve>(public: &PublicPackage, shares: &[C::Scalar]) -> BTreeMap<PartyId, KeyShare> {
    let parties = public.committee.parties();
    let side = |(party, share): (&PartyId, &C::Scalar)| {
        let share = scalar_bytes::<C>(share);
        let inner = Setup::<C>::new(public.clone(), *party, &share, 0).unwrap();
        let guard = Guard::new(CeremonyId([9; 32]), *party, parties.to_vec(), inner);
        (*party, Box::new(guard) as Box<dyn Ceremony<Output = _>>)
    };
    run(parties.iter().zip(shares).map(side).collect())
        .into_iter()
        .map(|(party, outcome)| (party, outcome.unwrap()))
        .collect()
}

fn context(public: &PublicPackage, signers: &[PartyId]) -> SigningContext {
    let (key, path) = (KeyId([3; 32]), DerivationPath::default());
    let derived = derivation::derive(public.scheme, &public.root_key, &key, &path).unwrap();
    SigningContext {
        public_digest: public.digest(),
        subject: Subject::Request(RequestId([4; 32])),
        key,
        path,
        tweak: TaprootTweak::None,
        digest: Digest([5; 32]),
        message: None,
        final_key: derived.key,
        leader: signers[0],
        signers: signers.iter().map(|party| (*party, party.0)).collect(),
    }
}

/// A signature without the check that comes before it.
fn sign<C: Curve>(
    context: &SigningContext,
    shares: &[&KeyShare],
) -> BTreeMap<PartyId, Result<Signature, Failure>> {
    let side = |share: &&KeyShare| {
        let inner = Sign::<C>::new(context, share).unwrap();
        let guard = Guard::new(context.id(), share.party(), context.signer_ids(), inner);
        (
            share.party(),
            Box::new(guard) as Box<dyn Ceremony<Output = _>>,
        )
    };
    run(shares.iter().map(side).collect())
}

fn blames(outcome: &Result<Signature, Failure>) -> Vec<Blame> {
    outcome.as_ref().unwrap_err().blame.clone()
}

/// What a refresh ends with: the key stays, the shares are others, and old and new ones do not mix.
fn shares_of_a_known_key_sign<C: Curve>() {
    let mut rng = rng(2);
    let (secret, shares) = dealt::<C>(2, 3, &mut rng);
    let public = package::<C>(&secret, &shares, committee(2, 3), 1);
    let old = set_up::<C>(&public, &shares);
    assert!(old.values().all(|share| *share.public() == public));
    let again = refreshed::<C>(2, &shares, &mut rng);
    let public = package::<C>(&secret, &again, committee(2, 3), 2);
    let new = set_up::<C>(&public, &again);
    let [a, b, c] = [1, 2, 3].map(party);
    for (shares, signers) in [(&old, [a, b]), (&new, [a, c]), (&new, [b, c])] {
        let context = context(shares[&a].public(), &signers);
        let outcomes = sign::<C>(&context, &signers.each_ref().map(|party| &shares[party]));
        assert!(outcomes.values().all(Result::is_ok), "{outcomes:?}");
    }
    let outcomes = sign::<C>(&context(&public, &[a, b]), &[&new[&a], &old[&b]]);
    let blame = |party| {
        vec![Blame {
            party,
            offence: Offence::OtherCeremony,
        }]
    };
    assert_eq!(blames(&outcomes[&a]), blame(b));
    assert_eq!(blames(&outcomes[&b]), blame(a));
}

#[test]
fn shares_of_a_known_key_sign_on_both_curves() {
    shares_of_a_known_key_sign::<Secp256k1>();
    shares_of_a_known_key_sign::<NistP256>();
}

/// A signer whose share is wrong, but that does all else right: the sum is no share of the key, and no summand can be checked.
#[test]
fn a_wrong_share_of_the_key_stops_all_and_is_nobodys() {
    type C = Secp256k1;
    let (secret, shares) = dealt::<C>(3, 3, &mut rng(3));
    let public = package::<C>(&secret, &shares, committee(3, 3), 1);
    let mut made = set_up::<C>(&public, &shares);
    let cheat = made.get_mut(&party(2)).unwrap();
    let share::Secret::Dkls(inside) = &mut cheat.secret else {
        panic!("another scheme's secret")
    };
    inside.replace_share(shares[1] + <C as dkls_curve::CurveArithmetic>::Scalar::ONE);
    assert_eq!(
        KeyShare::decode(&cheat.encode()).unwrap_err(),
        DecodeError::Malformed("the secret does not fit the verification share"),
        "a store would not give it back"
    );
    let signers: Vec<_> = made.values().collect();
    let outcomes = sign::<C>(&context(&public, public.committee.parties()), &signers);
    for outcome in outcomes.values() {
        assert_eq!(blames(outcome), vec![], "{outcome:?}");
    }
}

#[test]
fn a_set_up_needs_a_share_that_fits() {
    type C = Secp256k1;
    let (secret, shares) = dealt::<C>(2, 3, &mut rng(4));
    let public = package::<C>(&secret, &shares, committee(2, 3), 1);
    let refusal = |public: &PublicPackage, me, share: &_| {
        let share = scalar_bytes::<C>(share);
        setup(public.clone(), me, &share, 0)
            .err()
            .map(|failure| failure.reason)
    };
    assert_eq!(refusal(&public, party(1), &shares[0]), None);
    let fails = |public: &PublicPackage, me, share: &_, why: &str| {
        let reason = refusal(public, me, share).unwrap();
        assert!(reason.contains(why), "{reason}");
    };
    fails(&public, party(1), &shares[1], "share is not the one");
    fails(&public, party(9), &shares[0], "not a party");
    let off_root = package::<C>(&shares[0], &shares, committee(2, 3), 1);
    fails(&off_root, party(1), &shares[0], "not those of the root key");
    // Degree 2 where the threshold says 1: any two of them would sign under another key.
    let (secret, steep) = dealt::<C>(3, 3, &mut rng(5));
    let steep_package = package::<C>(&secret, &steep, committee(2, 3), 1);
    fails(
        &steep_package,
        party(1),
        &steep[0],
        "not those of the root key",
    );
    let mut short = public.clone();
    short.verification_shares.pop();
    fails(&short, party(1), &shares[0], "not those of the root key");
    let other = PublicPackage {
        scheme: Scheme::SchnorrTaproot,
        ..public
    };
    fails(&other, party(1), &shares[0], "no pairwise set-up");
}

#[test]
fn rounds_count_from_those_before() {
    type C = Secp256k1;
    let (secret, shares) = dealt::<C>(2, 2, &mut rng(6));
    let public = package::<C>(&secret, &shares, committee(2, 2), 1);
    let mut side = setup(public, party(1), &scalar_bytes::<C>(&shares[0]), 5).unwrap();
    assert_eq!((side.round(), side.last_round()), (6, 8));
    let step = side.start(&mut rng(7));
    assert_eq!(step.outbound[0].round, 6);
    assert_eq!(side.awaited(), vec![party(2)]);
}

/// Computed by hand from SCALE and SHA-256, apart from this code.
#[test]
fn golden_session() {
    let public = PublicPackage {
        genesis: Genesis([1; 32]),
        scheme: Scheme::EcdsaDkls23,
        epoch: 2,
        attempt: 3,
        committee: committee(2, 2),
        root_key: VerifyingKey::Secp256k1([2; 33]),
        verification_shares: vec![VerifyingKey::Secp256k1([3; 33]); 2],
    };
    assert_eq!(
        hex::encode(super::setup::session(&public)),
        "4f760edd9ee8303bb251b47b4df83f65ae479d1badbee1a02bdc0a01fbb055e9"
    );
}

#[test]
fn a_panic_over_many_messages_is_nobodys() {
    assert_eq!(contained(|| 7), Ok(7));
    let failure = contained(|| panic!("the library's"))
        .map(|()| 7)
        .unwrap_err();
    assert_eq!(failure.blame, vec![]);
}

/// Who proves, flawlessly, that it knows another share than the one that all have agreed it holds.
#[test]
fn a_proof_of_another_share_is_refused() {
    type C = Secp256k1;
    let (secret, shares) = dealt::<C>(2, 3, &mut rng(8));
    let public = package::<C>(&secret, &shares, committee(2, 3), 1);
    let parties = public.committee.parties();
    let side = |(party, own): (&PartyId, &_)| {
        let mut inner =
            Setup::<C>::new(public.clone(), *party, &scalar_bytes::<C>(own), 0).unwrap();
        if *party == self::party(2) {
            inner.replace_share(shares[0]);
        }
        let guard = Guard::new(CeremonyId([9; 32]), *party, parties.to_vec(), inner);
        (*party, Box::new(guard) as Box<dyn Ceremony<Output = _>>)
    };
    let outcomes = run(parties.iter().zip(&shares).map(side).collect());
    for honest in [1, 3].map(party) {
        let failure = outcomes[&honest].as_ref().unwrap_err();
        assert_eq!(*failure, Failure::blaming(party(2), Offence::FailedProof));
    }
}
