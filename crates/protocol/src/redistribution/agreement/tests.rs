//! The agreement over all three groups, without the endings of the schemes.

use super::*;
use crate::{
    ceremony::{Ceremony, Step},
    group::{Ed25519, P256, Secp256k1},
    guard::{Guard, RoundStep, Rounds},
};
use entropy_shared::{Genesis, Scheme};
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

/// A redistribution that is a ceremony by itself.
struct Bare<G: Group>(Redistribution<G>, Option<G::Scalar>);

impl<G: Group> Bare<G> {
    fn step(progress: Result<Progress, Failure>) -> RoundStep<Option<Redistributed>> {
        match progress {
            Ok((outbound, ended)) => RoundStep {
                outbound,
                outcome: ended.map(|ended| match ended {
                    Ended::Left => Ok(None),
                    Ended::Holds(new) => Ok(Some(new)),
                }),
            },
            Err(failure) => RoundStep::failed(failure),
        }
    }
}

impl<G: Group> Rounds for Bare<G> {
    type Output = Option<Redistributed>;

    fn round(&self) -> u8 {
        self.0.round()
    }

    fn last_round(&self) -> u8 {
        ROUNDS
    }

    fn awaited(&self) -> Vec<PartyId> {
        self.0.awaited()
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Self::Output> {
        Self::step(self.0.start(self.1.as_ref(), rng))
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _: &mut dyn CryptoRngCore,
    ) -> RoundStep<Self::Output> {
        Self::step(self.0.receive(from, body))
    }

    fn expire(&mut self, _: &mut dyn CryptoRngCore) -> RoundStep<Self::Output> {
        Self::step(self.0.expire())
    }
}

fn accounts() -> BTreeMap<PartyId, SigningKey> {
    (1..=8)
        .map(|byte| SigningKey::from_bytes(&[byte; 32]))
        .map(|key| (PartyId(key.verifying_key().to_bytes()), key))
        .collect()
}

/// Everyone's outcome; what `silent` sends is lost.
fn run<G: Group>(
    from: &PublicPackage,
    shares: &BTreeMap<PartyId, G::Scalar>,
    dealers: &[PartyId],
    committee: &Committee,
    silent: Option<PartyId>,
) -> BTreeMap<PartyId, Result<Option<Redistributed>, Failure>> {
    let rng = &mut ChaCha20Rng::seed_from_u64(5);
    let roles = Roles {
        id: CeremonyId([9; 32]),
        from,
        dealers,
        committee,
    };
    let all: BTreeSet<_> = dealers.iter().chain(committee.parties()).copied().collect();
    let ids: Vec<_> = all.iter().copied().collect();
    let accounts = accounts();
    let mut sides: BTreeMap<_, _> = all
        .iter()
        .map(|party| {
            let inner = Redistribution::<G>::new(&roles, &accounts[party]).unwrap();
            let share = dealers.contains(party).then(|| shares[party]);
            let guard = Guard::new(roles.id, *party, ids.clone(), Bare(inner, share));
            (*party, guard)
        })
        .collect();
    let mut outcomes = BTreeMap::new();
    let mut queue = Vec::new();
    let mut settle = |party: PartyId, step: Step<_>, queue: &mut Vec<_>| {
        if Some(party) != silent {
            queue.extend(step.outbound.into_iter().map(|message| (party, message)));
        }
        if let Some(outcome) = step.outcome {
            outcomes.insert(party, outcome);
        }
        outcomes.len() == all.len()
    };
    for (party, side) in &mut sides {
        settle(*party, side.start(rng), &mut queue);
    }
    loop {
        let mut over = false;
        for (from, message) in mem::take(&mut queue) {
            let side = sides.get_mut(&message.to).unwrap();
            over = settle(
                message.to,
                side.receive(&from, &message.payload, rng),
                &mut queue,
            );
        }
        if queue.is_empty() && !over {
            for (party, side) in &mut sides {
                over = settle(*party, side.expire(rng), &mut queue);
            }
        }
        if over && queue.is_empty() {
            return outcomes;
        }
    }
}

/// A key whose shares are dealt by the test.
fn old<G: Group>(t: u16, n: usize) -> (G::Scalar, BTreeMap<PartyId, G::Scalar>, PublicPackage) {
    let rng = &mut ChaCha20Rng::seed_from_u64(1);
    let secret = G::random(rng);
    let polynomial = Polynomial::<G>::new(&secret, t, rng);
    let committee = Committee::new(accounts().into_keys().take(n), t).unwrap();
    let shares: BTreeMap<_, _> = committee
        .parties()
        .iter()
        .map(|party| {
            (
                *party,
                *polynomial.evaluate(committee.index(party).unwrap()),
            )
        })
        .collect();
    let key = |scalar: &G::Scalar| G::key(&G::generate(scalar)).unwrap();
    let public = PublicPackage {
        genesis: Genesis([1; 32]),
        scheme: Scheme::EcdsaP256,
        epoch: 1,
        attempt: 1,
        root_key: key(&secret),
        verification_shares: shares.values().map(key).collect(),
        committee,
    };
    (secret, shares, public)
}

fn new_holders_have_the_same_secret<G: Group>(silent: Option<usize>) {
    let (secret, shares, from) = old::<G>(2, 4);
    let parties: Vec<_> = accounts().into_keys().collect();
    for (holders, threshold) in [(0..4, 2), (2..7, 4), (4..8, 3), (1..3, 2)] {
        let committee = Committee::new(parties[holders].to_vec(), threshold).unwrap();
        let silent = silent.map(|position| parties[position]);
        if silent.is_some_and(|silent| committee.contains(&silent)) {
            continue;
        }
        let dealers = from.committee.parties();
        let outcomes = run::<G>(&from, &shares, dealers, &committee, silent);
        let mut held = BTreeMap::new();
        let mut public = Vec::new();
        for (party, outcome) in outcomes {
            match (outcome.unwrap(), committee.index(&party)) {
                (Some(new), Some(index)) => {
                    let share = G::decode_secret(new.secret.as_slice()).unwrap();
                    let verification = new.verification_shares[usize::from(index) - 1];
                    assert!(G::key(&G::generate(&share)) == Some(verification));
                    held.insert(index, *share);
                    public.push(new.verification_shares);
                }
                (None, None) => {}
                _ => panic!("holders, and only they, have shares"),
            }
        }
        assert_eq!(held.len(), usize::from(committee.size()));
        assert!(public.windows(2).all(|pair| pair[0] == pair[1]));
        let interpolate = |indices: &[u16]| {
            indices.iter().fold(G::Scalar::from(0), |sum, index| {
                sum + lagrange::<G>(*index, indices).unwrap() * held[index]
            })
        };
        let last: Vec<_> = held
            .keys()
            .rev()
            .take(usize::from(threshold))
            .copied()
            .collect();
        assert!(interpolate(&last) == secret);
        assert!(
            interpolate(&last[1..]) != secret,
            "fewer than the new threshold"
        );
    }
}

#[test]
fn new_holders_have_the_same_secret_in_every_group() {
    new_holders_have_the_same_secret::<Secp256k1>(None);
    new_holders_have_the_same_secret::<P256>(None);
    new_holders_have_the_same_secret::<Ed25519>(None);
}

#[test]
fn a_silent_dealer_costs_nothing_in_every_group() {
    new_holders_have_the_same_secret::<Secp256k1>(Some(0));
    new_holders_have_the_same_secret::<P256>(Some(0));
    new_holders_have_the_same_secret::<Ed25519>(Some(0));
}

#[test]
fn a_package_of_another_group_or_without_the_dealers_is_refused() {
    let (_, _, from) = old::<P256>(2, 3);
    let accounts = accounts();
    let parties: Vec<_> = accounts.keys().copied().collect();
    let roles = |dealers| Roles {
        id: CeremonyId([9; 32]),
        from: &from,
        dealers,
        committee: &from.committee,
    };
    let account = &accounts[&parties[0]];
    assert!(Redistribution::<P256>::new(&roles(&parties[..3]), account).is_some());
    assert!(Redistribution::<Secp256k1>::new(&roles(&parties[..3]), account).is_none());
    assert!(Redistribution::<P256>::new(&roles(&parties[..4]), account).is_none());
}

/// What the chain's digest protects from: verification shares that are not those of the root key.
#[test]
fn an_inconsistent_old_package_ends_it() {
    let (_, shares, mut from) = old::<P256>(2, 3);
    from.root_key = from.verification_shares[0];
    let committee = from.committee.clone();
    let outcomes = run::<P256>(&from, &shares, committee.parties(), &committee, None);
    for outcome in outcomes.into_values() {
        let failure = outcome.err().unwrap();
        assert!(
            failure.blame.is_empty() && failure.reason.contains("root key"),
            "{failure}"
        );
    }
}
