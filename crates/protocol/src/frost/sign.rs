//! Signing, led: O(t) messages, and a leader that shows different packages to different signers gets no signature.
//!
//! 1. each signer to the leader: commitments to its nonces;
//! 2. the leader to each signer: everyone's commitments, in the order of the signers;
//! 3. each signer to the leader: its signature share;
//! 4. the leader to each signer: the signature.
//!
//! Nonces are drawn when the ceremony starts, used at most once and erased. Their commitments leave only after digest and
//! final key are fixed: both are in the context, the ceremony's id commits to it, and a signer computes them itself.
//! Signers hear only the leader, so what they see of another's silence is the leader's.

use std::{collections::BTreeMap, mem};

use entropy_shared::{Committee, PartyId, Signature, TaprootTweak, VerifyingKey};
use frost_core::{
    Ciphersuite, Error, Identifier, SigningPackage, aggregate,
    keys::{self, KeyPackage, PublicKeyPackage},
    round1::{self, SigningCommitments, SigningNonces},
    round2::{self, SignatureShare},
};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{Secret, canonical, failure, identifier, suite::Suite, to_all};
use crate::{
    ceremony::{Failure, Offence},
    context::{SetupError, SigningContext},
    gather::Gather,
    group::Group,
    guard::{RoundMessage, RoundStep, Rounds},
    share::{self, KeyShare},
};

/// One signer's side.
pub(crate) struct Sign<C: Suite> {
    committee: Committee,
    me: PartyId,
    leader: PartyId,
    /// In ascending order of parties, which is that of identifiers.
    signers: Vec<(PartyId, Identifier<C>)>,
    /// What is signed.
    message: Vec<u8>,
    final_key: VerifyingKey,
    key: KeyPackage<C>,
    /// What the leader checks shares against; only it has them.
    public: Option<PublicKeyPackage<C>>,
    stage: Stage<C>,
}

/// What is awaited. Each stage owns its secrets, which are erased with it.
enum Stage<C: Ciphersuite> {
    /// The start, or nothing any more.
    Idle,
    /// The leader, in round 1.
    Commitments(Box<(SigningNonces<C>, Gather<SigningCommitments<C>>)>),
    /// A signer, in round 2.
    Package(Box<SigningNonces<C>>),
    /// The leader, in round 3: with its own share.
    Shares(Box<Aggregating<C>>),
    /// A signer, in round 4.
    Signature,
}

type Aggregating<C> = (
    SigningPackage<C>,
    SignatureShare<C>,
    Gather<SignatureShare<C>>,
);

impl<C: Suite> Sign<C> {
    /// Prepares the side of the share's party. The context has been checked against the share.
    pub(crate) fn new(context: &SigningContext, share: &KeyShare) -> Result<Self, SetupError> {
        let share::Secret::Frost(secret) = &share.secret else {
            return Err(SetupError::UnsupportedScheme(share.public().scheme));
        };
        let committee = &share.public().committee;
        let assigned = |party: &PartyId| identifier(committee, party).ok_or(SetupError::NotAParty);
        let signers = context
            .signers
            .iter()
            .map(|(party, _)| Ok((*party, assigned(party)?)))
            .collect::<Result<Vec<_>, SetupError>>()?;
        let child = Child::<C>::new(context, share)?;
        let me = share.party();
        let public = if me == context.leader {
            Some(child.public_package(share, &signers, &context.tweak)?)
        } else {
            None
        };
        Ok(Self {
            committee: committee.clone(),
            me,
            leader: context.leader,
            message: context.signed_bytes().to_vec(),
            final_key: context.final_key,
            key: child.key_package(
                assigned(&me)?,
                secret,
                committee.threshold(),
                &context.tweak,
            )?,
            public,
            signers,
            stage: Stage::Idle,
        })
    }

    fn refused(&self, error: Error<C>) -> Failure {
        failure(&error, &self.committee)
    }

    fn others(&self) -> Vec<PartyId> {
        self.signers
            .iter()
            .map(|(party, _)| *party)
            .filter(|party| *party != self.me)
            .collect()
    }

    fn to_leader(&self, round: u8, body: Vec<u8>) -> RoundStep<Signature> {
        RoundStep {
            outbound: vec![RoundMessage {
                to: self.leader,
                round,
                body,
            }],
            outcome: None,
        }
    }

    /// Everyone's commitments under the identifiers of the signers. `None` if one is missing.
    fn package(
        &self,
        mut commitments: BTreeMap<PartyId, SigningCommitments<C>>,
    ) -> Option<SigningPackage<C>> {
        let assigned = self
            .signers
            .iter()
            .map(|(party, id)| Some((*id, commitments.remove(party)?)));
        Some(SigningPackage::new(
            assigned.collect::<Option<_>>()?,
            &self.message,
        ))
    }

    fn commit(&mut self, mut rng: &mut dyn CryptoRngCore) -> Result<RoundStep<Signature>, Failure> {
        let (nonces, commitments) = round1::commit(self.key.signing_share(), &mut rng);
        if self.public.is_some() {
            let gather = Gather::from_each(&self.others());
            self.stage = Stage::Commitments(Box::new((nonces, gather)));
            return Ok(RoundStep::idle());
        }
        let body = commitments
            .serialize()
            .map_err(|error| self.refused(error))?;
        self.stage = Stage::Package(Box::new(nonces));
        Ok(self.to_leader(1, body))
    }

    fn on_commitments(
        &mut self,
        (nonces, mut gather): (SigningNonces<C>, Gather<SigningCommitments<C>>),
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<Signature>, Failure> {
        let Some(commitments) = parse_commitments(body) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        if !gather.insert(from, commitments) {
            self.stage = Stage::Commitments(Box::new((nonces, gather)));
            return Ok(RoundStep::idle());
        }
        let mut all = gather.into_values();
        all.insert(self.me, SigningCommitments::from(&nonces));
        let body = all
            .values()
            .map(SigningCommitments::serialize)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| self.refused(error))?
            .concat();
        let package = self
            .package(all)
            .ok_or_else(|| self.refused(Error::MissingCommitment))?;
        let own =
            round2::sign(&package, &nonces, &self.key).map_err(|error| self.refused(error))?;
        let others = self.others();
        let gather = Gather::from_each(&others);
        self.stage = Stage::Shares(Box::new((package, own, gather)));
        Ok(RoundStep {
            outbound: to_all(&others, 2, &body),
            outcome: None,
        })
    }

    /// Consumes the nonces: whatever follows, they sign nothing else.
    fn on_package(
        &mut self,
        nonces: SigningNonces<C>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<Signature>, Failure> {
        let malformed = || Failure::blaming(*from, Offence::Malformed);
        if body.is_empty() || !body.len().is_multiple_of(self.signers.len()) {
            return Err(malformed());
        }
        let each = body.chunks_exact(body.len() / self.signers.len());
        let all = self
            .signers
            .iter()
            .zip(each)
            .map(|((party, _), bytes)| Some((*party, parse_commitments(bytes)?)))
            .collect::<Option<BTreeMap<_, _>>>()
            .ok_or_else(malformed)?;
        if all.get(&self.me) != Some(nonces.commitments()) {
            return Err(malformed());
        }
        let package = self.package(all).ok_or_else(malformed)?;
        let share =
            round2::sign(&package, &nonces, &self.key).map_err(|error| self.refused(error))?;
        self.stage = Stage::Signature;
        Ok(self.to_leader(3, share.serialize()))
    }

    fn on_share(
        &mut self,
        (package, own, mut gather): Aggregating<C>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<Signature>, Failure> {
        let Ok(share) = SignatureShare::deserialize(body) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        if !gather.insert(from, share) {
            self.stage = Stage::Shares(Box::new((package, own, gather)));
            return Ok(RoundStep::idle());
        }
        let mut all = gather.into_values();
        all.insert(self.me, own);
        let shares = self
            .signers
            .iter()
            .filter_map(|(party, id)| all.remove(party).map(|share| (*id, share)))
            .collect();
        let public = self
            .public
            .as_ref()
            .ok_or_else(|| self.refused(Error::UnknownIdentifier))?;
        // Only if the sum does not verify does the library look for the share that spoils it.
        let signature = aggregate(&package, &shares, public)
            .and_then(|signature| signature.serialize())
            .map_err(|error| self.refused(error))?;
        let signature = self.verified(&signature).ok_or_else(|| {
            Failure::unattributed(
                "every share fits, yet the signature does not verify under the final key",
            )
        })?;
        let outbound = to_all(&self.others(), 4, signature.as_bytes());
        Ok(RoundStep {
            outbound,
            outcome: Some(Ok(signature)),
        })
    }

    fn on_signature(&self, from: &PartyId, body: &[u8]) -> Result<RoundStep<Signature>, Failure> {
        if body.len() != 64 {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        let signature = self
            .verified(body)
            .ok_or_else(|| Failure::blaming(*from, Offence::FailedProof))?;
        Ok(RoundStep {
            outbound: Vec::new(),
            outcome: Some(Ok(signature)),
        })
    }

    fn verified(&self, bytes: &[u8]) -> Option<Signature> {
        let signature = C::signature(bytes.try_into().ok()?);
        signature
            .verify(&self.final_key, &self.message)
            .is_ok()
            .then_some(signature)
    }
}

impl<C: Suite> Rounds for Sign<C> {
    type Output = Signature;

    fn round(&self) -> u8 {
        match self.stage {
            Stage::Idle | Stage::Commitments(_) => 1,
            Stage::Package(_) => 2,
            Stage::Shares(_) => 3,
            Stage::Signature => 4,
        }
    }

    fn last_round(&self) -> u8 {
        4
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Idle => Vec::new(),
            Stage::Commitments(stage) => stage.1.awaited(),
            Stage::Shares(stage) => stage.2.awaited(),
            Stage::Package(_) | Stage::Signature => vec![self.leader],
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Signature> {
        self.commit(rng).unwrap_or_else(RoundStep::failed)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Signature> {
        let step = match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Ok(RoundStep::idle()),
            Stage::Commitments(stage) => self.on_commitments(*stage, from, body),
            Stage::Package(nonces) => self.on_package(*nonces, from, body),
            Stage::Shares(stage) => self.on_share(*stage, from, body),
            Stage::Signature => self.on_signature(from, body),
        };
        step.unwrap_or_else(RoundStep::failed)
    }
}

fn parse_commitments<C: Ciphersuite>(bytes: &[u8]) -> Option<SigningCommitments<C>> {
    canonical(
        bytes,
        SigningCommitments::deserialize,
        SigningCommitments::serialize,
    )
}

/// The key that is signed under, before any Taproot tweak.
struct Child<C: Suite> {
    offset: <C::Curve as Group>::Scalar,
    key: frost_core::VerifyingKey<C>,
}

impl<C: Suite> Child<C> {
    fn new(context: &SigningContext, share: &KeyShare) -> Result<Self, SetupError> {
        let offset = C::Curve::decode_scalar(&context.offset(share)?)
            .ok_or(SetupError::Library("the offset is no scalar"))?;
        let key = shifted::<C::Curve>(&share.public().root_key, &offset)?;
        let key = frost_core::VerifyingKey::deserialize(key.as_ref())
            .map_err(|_| SetupError::Library("the child is no key"))?;
        Ok(Self { offset, key })
    }

    fn key_package(
        &self,
        own: Identifier<C>,
        secret: &Secret,
        threshold: u16,
        tweak: &TaprootTweak,
    ) -> Result<KeyPackage<C>, SetupError> {
        let root = secret
            .scalar::<C::Curve>()
            .ok_or(SetupError::Library("the share is no scalar"))?;
        let child = Zeroizing::new(*root + self.offset);
        let bytes = C::Curve::encode_scalar(&child);
        let share = keys::SigningShare::deserialize(&*bytes)
            .map_err(|_| SetupError::Library("the child's share is no scalar"))?;
        Ok(C::tweaked_key(
            KeyPackage::new(own, share, share.into(), self.key, threshold),
            tweak,
        ))
    }

    fn public_package(
        &self,
        share: &KeyShare,
        signers: &[(PartyId, Identifier<C>)],
        tweak: &TaprootTweak,
    ) -> Result<PublicKeyPackage<C>, SetupError> {
        let public = share.public();
        let verifying = |(party, id): &(PartyId, Identifier<C>)| {
            let position = public.committee.index(party).ok_or(SetupError::NotAParty)?;
            let root = public
                .verification_shares
                .get(usize::from(position) - 1)
                .ok_or(SetupError::OtherShare)?;
            let child = shifted::<C::Curve>(root, &self.offset)?;
            let child = keys::VerifyingShare::deserialize(child.as_ref());
            Ok((
                *id,
                child
                    .map_err(|_| SetupError::Library("a child's verification share is no point"))?,
            ))
        };
        let shares = signers
            .iter()
            .map(verifying)
            .collect::<Result<_, SetupError>>()?;
        Ok(C::tweaked_public(
            PublicKeyPackage::new(shares, self.key, Some(public.committee.threshold())),
            tweak,
        ))
    }
}

fn shifted<G: Group>(key: &VerifyingKey, offset: &G::Scalar) -> Result<G::PointBytes, SetupError> {
    let root = G::point(key).ok_or(SetupError::Library("a verification share is no point"))?;
    G::compress(&(root + G::generate(offset)))
        .ok_or(SetupError::Library("a child's point is the identity"))
}
