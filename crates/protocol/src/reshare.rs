//! New shares of a root key for a new committee, or a refresh for the same one: redistribution, the scheme's own ending, agreement.
//!
//! 1 to 6: [`crate::redistribution`], for every scheme; where nobody is in dispute it is over after 3.
//! 7 and on: what the scheme needs besides shares. FROST needs nothing; CGGMP'24 makes new auxiliary material, five rounds;
//! DKLs23 sets the new shares up between each two holders and agrees on the digest as it does, three rounds.
//! Last: each holder to each: the digest of the public package.
//!
//! A dealer that leaves is done when all that might be asked of it has been: when the claims are agreed upon, and any
//! complaint about it is answered. It learns nothing of how it ends: it keeps its old share until the chain says that new
//! ones are active, so that there is nothing it would need to know now.

use std::{collections::BTreeSet, mem};

use codec::Encode;
use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, Digest, PartyId, PublicPackage, Scheme};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::{
    ceremony::{Failure, Offence},
    cggmp,
    context::{ReshareContext, SetupError},
    dkls,
    evidence::Evidence,
    frost,
    group::{Group, Secp256k1},
    guard::{RoundMessage, RoundStep, Rounds},
    redistribution::{self, Ended, Redistributed, Redistribution, Roles},
    share::{self, KeyShare},
    wire::decode_body,
};

/// Where the scheme's ending begins.
const FIRST_OF_ENDING: u8 = redistribution::ROUNDS + 1;

/// Messages, and the output if it is over: nothing for a dealer that leaves.
type Outcome = Result<(Vec<RoundMessage>, Option<Option<KeyShare>>), Failure>;

/// One party's side.
pub(crate) struct Reshare<G: Group> {
    context: ReshareContext,
    id: CeremonyId,
    me: PartyId,
    account: SigningKey,
    /// The other new holders.
    others: BTreeSet<PartyId>,
    finish: Finish,
    evidence: Vec<Evidence>,
    phase: Phase<G>,
}

/// What a scheme needs besides shares.
#[derive(Clone, Copy)]
enum Finish {
    /// Nothing.
    Frost,
    /// Auxiliary material among the new holders.
    Cggmp,
    /// The pairwise set-up among the new holders.
    Dkls,
}

impl Finish {
    const fn of(scheme: Scheme) -> Self {
        match scheme {
            Scheme::SchnorrTaproot | Scheme::SchnorrEd25519 => Self::Frost,
            Scheme::EcdsaCggmp24 => Self::Cggmp,
            Scheme::EcdsaDkls23 | Scheme::EcdsaP256 => Self::Dkls,
        }
    }

    /// The round of the last messages.
    const fn agreement(self) -> u8 {
        FIRST_OF_ENDING
            + match self {
                Self::Frost => 0,
                Self::Cggmp => cggmp::AUXILIARY_ROUNDS,
                // Its last round is the agreement.
                Self::Dkls => dkls::SETUP_ROUNDS - 1,
            }
    }
}

enum Phase<G: Group> {
    /// Not begun, with the old share of a dealer.
    Ready(Box<Redistribution<G>>, Option<Zeroizing<G::Scalar>>),
    Redistribution(Box<Redistribution<G>>),
    Auxiliary(cggmp::Auxiliary<FIRST_OF_ENDING>, Box<Unfinished>),
    Setup(Box<dyn Rounds<Output = KeyShare>>),
    Agreement(Box<KeyShare>, BTreeSet<PartyId>),
    /// Between phases, and after the end.
    Over,
}

/// A new share that the scheme has not yet made its own.
struct Unfinished {
    public: PublicPackage,
    secret: Zeroizing<[u8; 32]>,
}

impl<G: Group> Reshare<G> {
    /// Prepares the side of `me`. The context has been checked against the old share.
    pub(crate) fn new(
        context: &ReshareContext,
        me: PartyId,
        account: &SigningKey,
        old: Option<&KeyShare>,
    ) -> Result<Self, SetupError> {
        if account.verifying_key().to_bytes() != me.0 {
            return Err(SetupError::NotAParty);
        }
        let id = context.id();
        let roles = Roles {
            id,
            from: &context.from,
            dealers: &context.dealers,
            committee: &context.committee,
        };
        let redistribution = Redistribution::new(&roles, account).ok_or(SetupError::OtherShare)?;
        let secret = old
            .map(|old| {
                G::decode_secret(old.secret_scalar().as_slice()).ok_or(SetupError::OtherShare)
            })
            .transpose()?;
        let holders = context.committee.parties().iter();
        Ok(Self {
            finish: Finish::of(context.scheme),
            evidence: Vec::new(),
            context: context.clone(),
            id,
            me,
            account: account.clone(),
            others: holders.filter(|party| **party != me).copied().collect(),
            phase: Phase::Ready(Box::new(redistribution), secret),
        })
    }

    /// Goes on from what a redistribution gave.
    fn follow(
        &mut self,
        mut redistribution: Box<Redistribution<G>>,
        progress: Result<redistribution::Progress, Failure>,
        rng: &mut dyn CryptoRngCore,
    ) -> Outcome {
        self.evidence.extend(redistribution.take_evidence());
        let (mut outbound, ended) = progress?;
        match ended {
            None => {
                self.phase = Phase::Redistribution(redistribution);
                Ok((outbound, None))
            }
            Some(Ended::Left) => Ok((outbound, Some(None))),
            Some(Ended::Holds(new)) => {
                let (more, output) = self.finish(new, rng)?;
                outbound.extend(more);
                Ok((outbound, output))
            }
        }
    }

    fn finish(&mut self, new: Redistributed, rng: &mut dyn CryptoRngCore) -> Outcome {
        let ReshareContext {
            genesis,
            scheme,
            epoch,
            attempt,
            ref from,
            ref committee,
            ..
        } = self.context;
        let public = PublicPackage {
            genesis,
            scheme,
            epoch,
            attempt,
            committee: committee.clone(),
            root_key: from.root_key,
            verification_shares: new.verification_shares,
        };
        match self.finish {
            Finish::Frost => {
                let secret = frost::Secret::decode(scheme, new.secret.as_slice())
                    .map_err(|_| Failure::unattributed("the new share is zero"))?;
                self.agree(public, share::Secret::Frost(secret))
            }
            Finish::Cggmp => {
                let (session, outbound) =
                    cggmp::Auxiliary::start(self.id, &self.account, &self.others, rng)?;
                let unfinished = Unfinished {
                    public,
                    secret: new.secret,
                };
                self.phase = Phase::Auxiliary(session, Box::new(unfinished));
                Ok((outbound, None))
            }
            Finish::Dkls => {
                let before = redistribution::ROUNDS;
                let mut setup = dkls::setup(public, self.me, &new.secret, before)?;
                let step = setup.start(rng);
                self.advance(setup, step)
            }
        }
    }

    /// Goes on from a step of the pairwise set-up, which ends with the share.
    fn advance(
        &mut self,
        setup: Box<dyn Rounds<Output = KeyShare>>,
        step: RoundStep<KeyShare>,
    ) -> Outcome {
        let output = step.outcome.transpose()?;
        if output.is_none() {
            self.phase = Phase::Setup(setup);
        }
        Ok((step.outbound, output.map(Some)))
    }

    /// Checks that the new secret is the one of our new verification share.
    fn agree(&mut self, public: PublicPackage, secret: share::Secret) -> Outcome {
        let digest = public.digest();
        let share = KeyShare::new(public, self.me, secret).map_err(|error| {
            Failure::unattributed(format!("the new share does not fit: {error}"))
        })?;
        let message = |to: &PartyId| RoundMessage {
            to: *to,
            round: self.finish.agreement(),
            body: digest.encode(),
        };
        let outbound = self.others.iter().map(message).collect();
        self.phase = Phase::Agreement(Box::new(share), self.others.clone());
        Ok((outbound, None))
    }

    fn handle(&mut self, from: &PartyId, body: &[u8], rng: &mut dyn CryptoRngCore) -> Outcome {
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Redistribution(mut redistribution) => {
                let progress = redistribution.receive(from, body);
                self.follow(redistribution, progress, rng)
            }
            Phase::Auxiliary(mut session, unfinished) => {
                let (outbound, material) = session.receive(from, body, rng)?;
                let Some(material) = material else {
                    self.phase = Phase::Auxiliary(session, unfinished);
                    return Ok((outbound, None));
                };
                let secret = Secp256k1::decode_secret(unfinished.secret.as_slice())
                    .ok_or_else(|| Failure::unattributed("the new share is zero"))?;
                let secret = cggmp::secret(secret, material)?;
                self.agree(unfinished.public, share::Secret::Cggmp(Box::new(secret)))
            }
            Phase::Setup(mut setup) => {
                let step = setup.receive(from, body, rng);
                self.advance(setup, step)
            }
            Phase::Agreement(share, mut awaited) => {
                // All that the digest covers has been agreed upon already: nobody honest can have another.
                if decode_body::<Digest>(from, body)? != share.public().digest() {
                    return Err(Failure::blaming(*from, Offence::Unexpected));
                }
                awaited.remove(from);
                if awaited.is_empty() {
                    return Ok((Vec::new(), Some(Some(*share))));
                }
                self.phase = Phase::Agreement(share, awaited);
                Ok((Vec::new(), None))
            }
            Phase::Ready(..) | Phase::Over => Ok((Vec::new(), None)),
        }
    }

    fn step(outcome: Outcome) -> RoundStep<Option<KeyShare>> {
        match outcome {
            Ok((outbound, output)) => RoundStep {
                outbound,
                outcome: output.map(Ok),
            },
            Err(failure) => RoundStep::failed(failure),
        }
    }
}

impl<G: Group> Rounds for Reshare<G> {
    type Output = Option<KeyShare>;

    fn round(&self) -> u8 {
        match &self.phase {
            Phase::Redistribution(redistribution) => redistribution.round(),
            Phase::Auxiliary(session, _) => session.round(),
            Phase::Setup(setup) => setup.round(),
            Phase::Agreement(..) => self.finish.agreement(),
            Phase::Ready(..) | Phase::Over => redistribution::FIRST,
        }
    }

    fn last_round(&self) -> u8 {
        self.finish.agreement()
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.phase {
            Phase::Redistribution(redistribution) => redistribution.awaited(),
            Phase::Auxiliary(session, _) => session.awaited(),
            Phase::Setup(setup) => setup.awaited(),
            Phase::Agreement(_, awaited) => awaited.iter().copied().collect(),
            Phase::Ready(..) | Phase::Over => Vec::new(),
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Self::Output> {
        let Phase::Ready(mut redistribution, secret) = mem::replace(&mut self.phase, Phase::Over)
        else {
            return RoundStep::idle();
        };
        let progress = redistribution.start(secret.as_deref(), rng);
        let outcome = self.follow(redistribution, progress, rng);
        Self::step(outcome)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Self::Output> {
        Self::step(self.handle(from, body, rng))
    }

    fn refuse(
        &mut self,
        from: &PartyId,
        round: Option<u8>,
        offence: Offence,
        rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Self::Output> {
        let outcome = match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Redistribution(mut redistribution) => {
                let progress = redistribution.refuse(from, round, offence);
                self.follow(redistribution, progress, rng)
            }
            // What was dealt has been settled, and of leavers nothing more is needed.
            phase
                if round.is_some_and(|round| round < FIRST_OF_ENDING)
                    || !self.others.contains(from) =>
            {
                self.phase = phase;
                Ok((Vec::new(), None))
            }
            _ => Err(Failure::blaming(*from, offence)),
        };
        Self::step(outcome)
    }

    fn take_evidence(&mut self) -> Vec<Evidence> {
        mem::take(&mut self.evidence)
    }

    fn expire(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Self::Output> {
        let awaited = self.awaited();
        let outcome = match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Redistribution(mut redistribution) => {
                let progress = redistribution.expire();
                self.follow(redistribution, progress, rng)
            }
            _ => Err(Failure::silence(awaited)),
        };
        Self::step(outcome)
    }
}
