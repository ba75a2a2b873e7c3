//! Distributed key generation: Pedersen's with proofs of possession (FROST paper, figure 1), its broadcasts agreed upon.
//!
//! 1. everyone to all: commitment to its polynomial and proof of possession (`part1`);
//! 2. everyone to all: hash of the ceremony id and of all round 1 messages, so that no secret leaves on a disputed broadcast;
//! 3. everyone to each: its share of the polynomial, secret (`part2`);
//! 4. everyone to all: digest of the public package (`part3`).
//!
//! The library's proof of possession binds the prover's index but not the ceremony. A replayed one costs its sender the
//! secret behind it: such a key signs nothing, and a key is active only after it has signed.

use std::{collections::BTreeMap, mem};

use codec::DecodeAll;
use entropy_shared::{CeremonyId, Digest, PartyId, PublicPackage, VerifyingKey, tagged_hash};
use frost_core::{
    Ciphersuite, Error, Identifier,
    keys::{KeyPackage, PublicKeyPackage, dkg},
};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{Secret, canonical, failure, identifier, suite::Suite, to_all};
use crate::{
    ceremony::{Failure, Offence},
    context::{KeygenContext, SetupError},
    gather::Gather,
    group::Group,
    guard::{RoundMessage, RoundStep, Rounds},
    share::{self, KeyShare},
};

/// One party's side.
pub(crate) struct Keygen<C: Suite> {
    context: KeygenContext,
    id: CeremonyId,
    me: PartyId,
    own: Identifier<C>,
    peers: Vec<(PartyId, Identifier<C>)>,
    stage: Stage<C>,
}

/// What is awaited. Each stage owns its secrets, which are erased with it.
enum Stage<C: Ciphersuite> {
    /// The start, or nothing any more.
    Idle,
    Commitments(Box<Commitments<C>>),
    Echoes(Box<Echoes<C>>),
    Shares(Box<Shares<C>>),
    Digests(Box<Digests>),
}

struct Commitments<C: Ciphersuite> {
    secret: dkg::round1::SecretPackage<C>,
    own: dkg::round1::Package<C>,
    /// The length of everyone's message.
    length: usize,
    gather: Gather<dkg::round1::Package<C>>,
}

struct Echoes<C: Ciphersuite> {
    secret: dkg::round1::SecretPackage<C>,
    packages: BTreeMap<Identifier<C>, dkg::round1::Package<C>>,
    echo: [u8; 32],
    gather: Gather<()>,
}

struct Shares<C: Ciphersuite> {
    secret: dkg::round2::SecretPackage<C>,
    packages: BTreeMap<Identifier<C>, dkg::round1::Package<C>>,
    gather: Gather<dkg::round2::Package<C>>,
}

struct Digests {
    share: KeyShare,
    digest: Digest,
    gather: Gather<()>,
}

impl<C: Suite> Keygen<C> {
    /// Prepares the side of `me`, who must be in the committee.
    pub(crate) fn new(context: &KeygenContext, me: PartyId) -> Result<Self, SetupError> {
        let assigned =
            |party: &PartyId| identifier(&context.committee, party).ok_or(SetupError::NotAParty);
        let own = assigned(&me)?;
        let others = context
            .committee
            .parties()
            .iter()
            .filter(|party| **party != me);
        let peers = others
            .map(|party| Ok((*party, assigned(party)?)))
            .collect::<Result<_, SetupError>>()?;
        Ok(Self {
            context: context.clone(),
            id: context.id(),
            me,
            own,
            peers,
            stage: Stage::Idle,
        })
    }

    fn peer_ids(&self) -> Vec<PartyId> {
        self.peers.iter().map(|(party, _)| *party).collect()
    }

    fn refused(&self, error: Error<C>) -> Failure {
        failure(&error, &self.context.committee)
    }

    fn commit(&mut self, rng: &mut dyn CryptoRngCore) -> Result<RoundStep<KeyShare>, Failure> {
        let (n, t) = (
            self.context.committee.size(),
            self.context.committee.threshold(),
        );
        let (secret, own) = dkg::part1(self.own, n, t, rng).map_err(|error| self.refused(error))?;
        let body = own.serialize().map_err(|error| self.refused(error))?;
        let peers = self.peer_ids();
        let gather = Gather::from_each(&peers);
        self.stage = Stage::Commitments(Box::new(Commitments {
            secret,
            own,
            length: body.len(),
            gather,
        }));
        Ok(RoundStep {
            outbound: to_all(&peers, 1, &body),
            outcome: None,
        })
    }

    /// Refuses any other number of coefficients than the threshold: the library takes it modulo 2^16, and one too many kills the key.
    fn parse_commitments(&self, body: &[u8], length: usize) -> Option<dkg::round1::Package<C>> {
        if body.len() > length {
            return None;
        }
        let package = canonical(
            body,
            dkg::round1::Package::deserialize,
            dkg::round1::Package::serialize,
        )?;
        let coefficients = package.commitment().serialize().ok()?.len();
        (coefficients == usize::from(self.context.committee.threshold())).then_some(package)
    }

    fn on_commitments(
        &mut self,
        mut stage: Box<Commitments<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let Some(package) = self.parse_commitments(body, stage.length) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        if !stage.gather.insert(from, package) {
            self.stage = Stage::Commitments(stage);
            return Ok(RoundStep::idle());
        }
        let Commitments {
            secret,
            own,
            gather,
            ..
        } = *stage;
        let mut all = gather.into_values();
        all.insert(self.me, own);
        let heard = all
            .iter()
            .map(|(party, package)| Ok((*party, package.serialize()?)))
            .collect::<Result<Vec<_>, Error<C>>>()
            .map_err(|error| self.refused(error))?;
        let echo = tagged_hash("entropy/frost/echo/v1", &(self.id, heard));
        let packages = self
            .peers
            .iter()
            .filter_map(|(party, id)| all.remove(party).map(|package| (*id, package)))
            .collect();
        let peers = self.peer_ids();
        let gather = Gather::from_each(&peers);
        self.stage = Stage::Echoes(Box::new(Echoes {
            secret,
            packages,
            echo,
            gather,
        }));
        Ok(RoundStep {
            outbound: to_all(&peers, 2, &echo),
            outcome: None,
        })
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
        if !stage.gather.insert(from, ()) {
            self.stage = Stage::Echoes(stage);
            return Ok(RoundStep::idle());
        }
        let Echoes {
            secret, packages, ..
        } = *stage;
        // Only now are the proofs checked: all honest parties have the same ones before them, and blame the same prover.
        let (secret, shares) =
            dkg::part2(secret, &packages).map_err(|error| self.refused(error))?;
        let outbound = self
            .peers
            .iter()
            .map(|(party, id)| {
                let body = shares.get(id).ok_or(Error::PackageNotFound)?.serialize()?;
                Ok(RoundMessage {
                    to: *party,
                    round: 3,
                    body,
                })
            })
            .collect::<Result<_, Error<C>>>()
            .map_err(|error| self.refused(error))?;
        let gather = Gather::from_each(&self.peer_ids());
        self.stage = Stage::Shares(Box::new(Shares {
            secret,
            packages,
            gather,
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
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let Some(package) = canonical(
            body,
            dkg::round2::Package::deserialize,
            dkg::round2::Package::serialize,
        ) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        if !stage.gather.insert(from, package) {
            self.stage = Stage::Shares(stage);
            return Ok(RoundStep::idle());
        }
        let Shares {
            secret,
            packages,
            gather,
        } = *stage;
        let mut received = gather.into_values();
        let shares = self
            .peers
            .iter()
            .filter_map(|(party, id)| received.remove(party).map(|share| (*id, share)))
            .collect();
        let (key, public) =
            dkg::part3(&secret, &packages, &shares).map_err(|error| self.refused(error))?;
        let share = self.share(&key, &public)?;
        let digest = share.public().digest();
        let peers = self.peer_ids();
        let gather = Gather::from_each(&peers);
        self.stage = Stage::Digests(Box::new(Digests {
            share,
            digest,
            gather,
        }));
        Ok(RoundStep {
            outbound: to_all(&peers, 4, &digest.0),
            outcome: None,
        })
    }

    /// Checks that the secret is the one of this party's share in the public package.
    fn share(
        &self,
        key: &KeyPackage<C>,
        public: &PublicKeyPackage<C>,
    ) -> Result<KeyShare, Failure> {
        let bytes = |bytes: Vec<u8>| -> Result<VerifyingKey, Error<C>> {
            DecodeAll::decode_all(&mut &bytes[..])
                .map(C::Curve::to_key)
                .map_err(|_| Error::SerializationError)
        };
        let verification = |party: &PartyId| {
            let id = identifier(&self.context.committee, party).ok_or(Error::UnknownIdentifier)?;
            bytes(
                public
                    .verifying_shares()
                    .get(&id)
                    .ok_or(Error::UnknownIdentifier)?
                    .serialize()?,
            )
        };
        let root_key = public
            .verifying_key()
            .serialize()
            .and_then(bytes)
            .map_err(|error| self.refused(error))?;
        let verification_shares = self
            .context
            .committee
            .parties()
            .iter()
            .map(verification)
            .collect::<Result<_, _>>()
            .map_err(|error| self.refused(error))?;
        let public = PublicPackage {
            genesis: self.context.genesis,
            scheme: self.context.scheme,
            epoch: self.context.epoch,
            attempt: self.context.attempt,
            committee: self.context.committee.clone(),
            root_key,
            verification_shares,
        };
        let secret = Zeroizing::new(key.signing_share().serialize());
        Secret::decode(self.context.scheme, &secret)
            .and_then(|secret| KeyShare::new(public, self.me, share::Secret::Frost(secret)))
            .map_err(|error| {
                Failure::unattributed(format!("key generation made no share: {error}"))
            })
    }

    fn on_digest(
        &mut self,
        mut stage: Box<Digests>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        if body.len() != stage.digest.0.len() {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        if body != stage.digest.0 {
            // The package follows from the broadcasts, on which `from` agreed with this server: it contradicts itself.
            return Err(Failure::blaming(*from, Offence::Equivocation));
        }
        if !stage.gather.insert(from, ()) {
            self.stage = Stage::Digests(stage);
            return Ok(RoundStep::idle());
        }
        Ok(RoundStep {
            outbound: Vec::new(),
            outcome: Some(Ok(stage.share)),
        })
    }
}

impl<C: Suite> Rounds for Keygen<C> {
    type Output = KeyShare;

    fn round(&self) -> u8 {
        match self.stage {
            Stage::Idle | Stage::Commitments(_) => 1,
            Stage::Echoes(_) => 2,
            Stage::Shares(_) => 3,
            Stage::Digests(_) => 4,
        }
    }

    fn last_round(&self) -> u8 {
        4
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Idle => Vec::new(),
            Stage::Commitments(stage) => stage.gather.awaited(),
            Stage::Echoes(stage) => stage.gather.awaited(),
            Stage::Shares(stage) => stage.gather.awaited(),
            Stage::Digests(stage) => stage.gather.awaited(),
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<KeyShare> {
        self.commit(rng).unwrap_or_else(RoundStep::failed)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<KeyShare> {
        let step = match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Ok(RoundStep::idle()),
            Stage::Commitments(stage) => self.on_commitments(stage, from, body),
            Stage::Echoes(stage) => self.on_echo(stage, from, body),
            Stage::Shares(stage) => self.on_share(stage, from, body),
            Stage::Digests(stage) => self.on_digest(stage, from, body),
        };
        step.unwrap_or_else(RoundStep::failed)
    }
}
