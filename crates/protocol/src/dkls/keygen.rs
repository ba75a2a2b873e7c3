//! Distributed key generation: everyone deals a random polynomial (Pedersen's, with Feldman's commitments), then the pairwise set-up follows.
//!
//! 1. everyone to all: hash of the commitments to its polynomial;
//! 2. everyone to all, once all hashes are in: the commitments, exactly `t` points;
//! 3. everyone to all: hash of the ceremony id and of all commitments, so that no secret leaves on a disputed broadcast;
//! 4. everyone to each: its value of the polynomial, secret, checked against the commitments;
//! 5. to 7.: [`Setup`], with a proof of everybody that it knows its share.
//!
//! The library's own dealing (`dkg::phase1`, protocol 9.1 of ePrint 2023/602) commits to no coefficients: a wrong share there stops everyone and names
//! nobody. Here its dealer is named by whom it was dealt to. A hash before the points, so that nobody chooses its own after it has seen others':
//! the key is random as long as one dealer is honest, and nobody can do more about it than stop and try again.

use std::{collections::BTreeMap, mem};

use entropy_shared::{CeremonyId, PartyId, PublicPackage, tagged_hash};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{
    Curve, SETUP_ROUNDS, Setup, compress,
    dealing::{Commitments, Polynomial},
    missing, refused, scalar, scalar_bytes, to_all,
};
use crate::{
    ceremony::{Failure, Offence},
    context::{KeygenContext, SetupError},
    guard::{RoundMessage, RoundStep, Rounds},
    share::KeyShare,
};

/// Rounds before the set-up.
const DEALING_ROUNDS: u8 = 4;

/// One party's side.
pub(crate) struct Keygen<C: Curve> {
    context: KeygenContext,
    id: CeremonyId,
    me: PartyId,
    index: u16,
    peers: Vec<PartyId>,
    stage: Stage<C>,
}

/// What is awaited. Each stage owns its secrets, which are erased with it.
enum Stage<C: Curve> {
    /// The start, or nothing any more.
    Idle,
    Hashes(Box<Hashes<C>>),
    Points(Box<Points<C>>),
    Echoes(Box<Echoes<C>>),
    Shares(Box<Shares<C>>),
    Setup(Box<Setup<C>>),
}

struct Hashes<C: Curve> {
    polynomial: Polynomial<C>,
    own: Vec<u8>,
    heard: BTreeMap<PartyId, [u8; 32]>,
}

struct Points<C: Curve> {
    polynomial: Polynomial<C>,
    own: Vec<u8>,
    hashes: BTreeMap<PartyId, [u8; 32]>,
    heard: BTreeMap<PartyId, (Vec<u8>, Commitments<C>)>,
}

struct Echoes<C: Curve> {
    polynomial: Polynomial<C>,
    dealers: BTreeMap<PartyId, Commitments<C>>,
    echo: [u8; 32],
    heard: BTreeMap<PartyId, ()>,
}

struct Shares<C: Curve> {
    own: Zeroizing<C::Scalar>,
    dealers: BTreeMap<PartyId, Commitments<C>>,
    heard: BTreeMap<PartyId, Zeroizing<C::Scalar>>,
}

impl<C: Curve> Keygen<C> {
    /// Prepares the side of `me`, who must be in the committee.
    pub(crate) fn new(context: &KeygenContext, me: PartyId) -> Result<Self, SetupError> {
        let index = context.committee.index(&me).ok_or(SetupError::NotAParty)?;
        let parties = context.committee.parties().iter().copied();
        Ok(Self {
            context: context.clone(),
            id: context.id(),
            me,
            index,
            peers: parties.filter(|party| *party != me).collect(),
            stage: Stage::Idle,
        })
    }

    fn threshold(&self) -> u16 {
        self.context.committee.threshold()
    }

    /// What a dealer shows of its commitments before it shows them. Bound to the dealer: another's cannot be copied.
    fn hash(&self, dealer: &PartyId, points: &[u8]) -> [u8; 32] {
        tagged_hash("entropy/dkls/commitments/v1", &(self.id, dealer, points))
    }

    fn to_all(&self, round: u8, body: &[u8]) -> RoundStep<KeyShare> {
        RoundStep {
            outbound: to_all(&self.peers, round, body),
            outcome: None,
        }
    }

    fn deal(&mut self, rng: &mut dyn CryptoRngCore) -> Result<RoundStep<KeyShare>, Failure> {
        let polynomial = Polynomial::random(self.threshold(), rng);
        let own = polynomial
            .commit()
            .ok_or_else(|| refused("a coefficient of zero"))?
            .concat();
        let hash = self.hash(&self.me, &own);
        self.stage = Stage::Hashes(Box::new(Hashes {
            polynomial,
            own,
            heard: BTreeMap::new(),
        }));
        Ok(self.to_all(1, &hash))
    }

    fn on_hash(
        &mut self,
        mut stage: Box<Hashes<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let hash = body
            .try_into()
            .map_err(|_| Failure::blaming(*from, Offence::Malformed))?;
        stage.heard.insert(*from, hash);
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Hashes(stage);
            return Ok(RoundStep::idle());
        }
        let Hashes {
            polynomial,
            own,
            heard,
        } = *stage;
        let step = self.to_all(2, &own);
        self.stage = Stage::Points(Box::new(Points {
            polynomial,
            own,
            hashes: heard,
            heard: BTreeMap::new(),
        }));
        Ok(step)
    }

    fn on_points(
        &mut self,
        mut stage: Box<Points<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let Some(points) = Commitments::read(body, self.threshold()) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        if stage.hashes.get(from) != Some(&self.hash(from, body)) {
            return Err(Failure::blaming(*from, Offence::FailedProof));
        }
        stage.heard.insert(*from, (body.to_vec(), points));
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Points(stage);
            return Ok(RoundStep::idle());
        }
        let Points {
            polynomial,
            own,
            mut heard,
            ..
        } = *stage;
        let points = Commitments::read(&own, self.threshold());
        let points = points.ok_or_else(|| refused("our own commitments"))?;
        heard.insert(self.me, (own, points));
        let said: Vec<_> = heard
            .iter()
            .map(|(party, (bytes, _))| (party, bytes))
            .collect();
        let echo = tagged_hash("entropy/dkls/echo/v1", &(self.id, said));
        self.stage = Stage::Echoes(Box::new(Echoes {
            polynomial,
            dealers: heard
                .into_iter()
                .map(|(party, (_, points))| (party, points))
                .collect(),
            echo,
            heard: BTreeMap::new(),
        }));
        Ok(self.to_all(3, &echo))
    }

    fn on_echo(
        &mut self,
        mut stage: Box<Echoes<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        if body.len() != stage.echo.len() {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        if body != stage.echo {
            // The echoer may lie, or any dealer may have told us two things: nobody can be blamed for certain.
            return Err(Failure::unattributed(format!(
                "{from} and this server did not hear the same commitments"
            )));
        }
        stage.heard.insert(*from, ());
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Echoes(stage);
            return Ok(RoundStep::idle());
        }
        let Echoes {
            polynomial,
            dealers,
            ..
        } = *stage;
        let message = |party: &PartyId| {
            let index = self.context.committee.index(party);
            let subshare = polynomial.evaluate(index.ok_or_else(|| refused("an index"))?);
            Ok(RoundMessage {
                to: *party,
                round: 4,
                body: scalar_bytes::<C>(&subshare).to_vec(),
            })
        };
        let outbound = self
            .peers
            .iter()
            .map(message)
            .collect::<Result<_, Failure>>()?;
        self.stage = Stage::Shares(Box::new(Shares {
            own: polynomial.evaluate(self.index),
            dealers,
            heard: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound,
            outcome: None,
        })
    }

    fn on_share(
        &mut self,
        mut stage: Box<Shares<C>>,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let share = <&[u8; 32]>::try_from(body)
            .ok()
            .and_then(scalar::<C>)
            .map(Zeroizing::new)
            .ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        let dealer = stage.dealers.get(from);
        if !dealer.is_some_and(|dealer| dealer.fits(self.index, &share)) {
            return Err(Failure::blaming(*from, Offence::BadShare));
        }
        stage.heard.insert(*from, share);
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Shares(stage);
            return Ok(RoundStep::idle());
        }
        let mut share = stage.own;
        for subshare in stage.heard.values() {
            *share += **subshare;
        }
        let public = self.public(&Commitments::sum(stage.dealers.values()))?;
        let share = scalar_bytes::<C>(&share);
        let mut setup = Box::new(Setup::new(public, self.me, &share, DEALING_ROUNDS)?);
        let step = setup.start(rng);
        self.stage = Stage::Setup(setup);
        Ok(step)
    }

    /// The public package that follows from the sum of all polynomials; all have agreed on it.
    fn public(&self, sum: &Commitments<C>) -> Result<PublicPackage, Failure> {
        let key = |index: u16| {
            compress::<C>(&sum.evaluate(index))
                .map(C::key)
                .ok_or_else(|| refused("a share of zero"))
        };
        Ok(PublicPackage {
            genesis: self.context.genesis,
            scheme: self.context.scheme,
            epoch: self.context.epoch,
            attempt: self.context.attempt,
            committee: self.context.committee.clone(),
            root_key: key(0)?,
            verification_shares: (1..=self.context.committee.size())
                .map(key)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl<C: Curve> Rounds for Keygen<C> {
    type Output = KeyShare;

    fn round(&self) -> u8 {
        match &self.stage {
            Stage::Idle | Stage::Hashes(_) => 1,
            Stage::Points(_) => 2,
            Stage::Echoes(_) => 3,
            Stage::Shares(_) => 4,
            Stage::Setup(setup) => setup.round(),
        }
    }

    fn last_round(&self) -> u8 {
        DEALING_ROUNDS + SETUP_ROUNDS
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Idle => Vec::new(),
            Stage::Hashes(stage) => missing(&self.peers, &stage.heard),
            Stage::Points(stage) => missing(&self.peers, &stage.heard),
            Stage::Echoes(stage) => missing(&self.peers, &stage.heard),
            Stage::Shares(stage) => missing(&self.peers, &stage.heard),
            Stage::Setup(setup) => setup.awaited(),
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<KeyShare> {
        self.deal(rng).unwrap_or_else(RoundStep::failed)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<KeyShare> {
        let step = match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Ok(RoundStep::idle()),
            Stage::Hashes(stage) => self.on_hash(stage, from, body),
            Stage::Points(stage) => self.on_points(stage, from, body),
            Stage::Echoes(stage) => self.on_echo(stage, from, body),
            Stage::Shares(stage) => self.on_share(stage, from, body, rng),
            Stage::Setup(mut setup) => {
                let step = setup.receive(from, body, rng);
                self.stage = Stage::Setup(setup);
                Ok(step)
            }
        };
        step.unwrap_or_else(RoundStep::failed)
    }
}
