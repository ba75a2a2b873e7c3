//! Signing by exactly `t` holders: protocol 3.6 of DKLs23 (ePrint 2023/765), three rounds and no leader.
//!
//! 1. everyone to each: commitment to its nonce point, first half of the two-party multiplications (`sign_phase1`);
//! 2. everyone to each: the nonce point, second half of the multiplications, checks (`sign_phase2`);
//! 3. everyone to all: its part of the signature (`sign_phase3`). Everybody adds them up (`sign_phase4`).
//!
//! No nonce point is revealed before digest and final key are bound: the sign id is the ceremony's id, which commits to both, each message of both rounds names it
//! (envelope, and inside it the library's session binding, which holds digest and key once more), and the point itself leaves with round 2 only.
//! What is broadcast needs no echo: parts that do not belong together make no signature that verifies, and nothing else is given out.
//!
//! Offences come from the library's aborts. Some let a peer learn about OT correlations that all later signatures use again: [`Offence::Banned`], after which the two must
//! never sign together with these shares. A wrong part in round 3, or a wrong share of the key in round 2, cannot be attributed: the sum is wrong, and no summand can be checked alone.
//!
//! On P-256 one nonce in 2^32 has an x-coordinate above the group order, which the library refuses: such a ceremony fails unattributed and is tried again.

use std::{collections::BTreeMap, mem};

use dkls23::protocols::{
    Abort, AbortKind, AbortReason, PartiesMessage, Party, PartyIndex,
    signing::{
        Broadcast3to4, KeepPhase1to2, KeepPhase2to3, SignData, TransmitPhase1to2,
        TransmitPhase2to3, UniqueKeep1to2, UniqueKeep2to3,
    },
};
use dkls23::utilities::{
    multiplication::{L, OT_WIDTH},
    ot::extension::{BATCH_SIZE, KAPPA},
};
use entropy_shared::{Digest, PartyId, Signature, VerifyingKey};
use rand_core::CryptoRngCore;
use serde::{Serialize, de::DeserializeOwned};

use super::{Curve, contained, missing, party_index, refused, to_all, wire};
use crate::{
    ceremony::{Failure, Offence},
    context::{SetupError, SigningContext},
    guard::{RoundMessage, RoundStep, Rounds},
    share::KeyShare,
};

/// Length of the salts that the library commits with, in bytes.
const SALT_BYTES: usize = 64;

/// One signer's side.
pub(crate) struct Sign<C: Curve> {
    /// Shifted to the child key, set up with the other signers only. The library erases it when it is dropped.
    party: Party<C>,
    data: SignData,
    peers: Vec<PartyId>,
    indices: BTreeMap<PartyId, PartyIndex>,
    digest: Digest,
    final_key: VerifyingKey,
    stage: Stage<C>,
}

/// What is awaited. Each stage owns its secrets, which the library's phases consume.
enum Stage<C: Curve> {
    /// The start, or nothing any more.
    Idle,
    First(Box<First<C>>),
    Second(Box<Second<C>>),
    Third(Box<Third<C>>),
}

struct First<C: Curve> {
    unique: UniqueKeep1to2<C>,
    kept: BTreeMap<PartyIndex, KeepPhase1to2<C>>,
    /// The length of everyone's message.
    length: usize,
    heard: BTreeMap<PartyId, TransmitPhase1to2>,
}

struct Second<C: Curve> {
    unique: UniqueKeep2to3<C>,
    kept: BTreeMap<PartyIndex, KeepPhase2to3<C>>,
    length: usize,
    heard: BTreeMap<PartyId, TransmitPhase2to3<C>>,
}

struct Third<C: Curve> {
    /// The nonce point's x-coordinate, in hexadecimal digits as the library has it.
    x: String,
    own: Broadcast3to4<C>,
    heard: BTreeMap<PartyId, Broadcast3to4<C>>,
}

impl<C: Curve> Sign<C> {
    /// Prepares the side of the share's party. The context has been checked against the share.
    pub(crate) fn new(context: &SigningContext, share: &KeyShare) -> Result<Self, SetupError> {
        let public = share.public();
        let secret =
            C::unwrap(&share.secret).ok_or(SetupError::UnsupportedScheme(public.scheme))?;
        let me = share.party();
        let peers: Vec<_> = context.signer_ids();
        let peers: Vec<_> = peers.into_iter().filter(|party| *party != me).collect();
        let index = |party: &PartyId| {
            let index = party_index(&public.committee, party).ok_or(SetupError::NotAParty)?;
            Ok((*party, index))
        };
        let indices = peers
            .iter()
            .map(index)
            .collect::<Result<BTreeMap<_, _>, SetupError>>()?;
        let party = secret
            .party(public, &me, &peers, &context.offset(share)?)
            .ok_or(SetupError::Library("the child's share is no share"))?;
        Ok(Self {
            party,
            data: SignData {
                sign_id: context.id().0.to_vec(),
                counterparties: indices.values().copied().collect(),
                message_hash: context.digest.0,
            },
            peers,
            indices,
            digest: context.digest,
            final_key: context.final_key,
            stage: Stage::Idle,
        })
    }

    /// Whether a message of the library's says that it is from this peer, to us.
    fn is_addressed(&self, from: &PartyId, parties: &PartiesMessage) -> bool {
        self.indices.get(from) == Some(&parties.sender)
            && parties.receiver == self.party.party_index
    }

    /// One message of the library's for each peer, and the length of each.
    fn messages<T: Serialize>(
        &self,
        round: u8,
        messages: &[T],
        parties: impl Fn(&T) -> &PartiesMessage,
    ) -> Result<(Vec<RoundMessage>, usize), Failure> {
        let mut length = 0;
        let mut outbound = Vec::with_capacity(messages.len());
        for message in messages {
            let to = self
                .peers
                .iter()
                .find(|peer| self.indices.get(*peer) == Some(&parties(message).receiver))
                .ok_or_else(|| refused("to say whom a message is for"))?;
            let mut body = wire::encode(message).ok_or_else(|| refused("to encode"))?;
            length = body.len();
            outbound.push(RoundMessage {
                to: *to,
                round,
                body: mem::take(&mut *body),
            });
        }
        Ok((outbound, length))
    }

    /// What an abort of the library means.
    fn aborted(&self, abort: &Abort) -> Failure {
        let (index, offence) = match (&abort.kind, &abort.reason) {
            (AbortKind::BanCounterparty(index), _) => (*index, Offence::Banned),
            (_, AbortReason::SessionBindingMismatch { counterparty }) => {
                (*counterparty, Offence::OtherCeremony)
            }
            (_, AbortReason::CommitmentMismatch { counterparty }) => {
                (*counterparty, Offence::FailedProof)
            }
            (_, AbortReason::TrivialInstancePoint { counterparty }) => {
                (*counterparty, Offence::Malformed)
            }
            (_, reason) => return Failure::unattributed(format!("signing stopped: {reason}")),
        };
        match self.indices.iter().find(|(_, of)| **of == index) {
            Some((party, _)) => Failure {
                reason: format!("{party} {offence}: {}", abort.reason),
                ..Failure::blaming(*party, offence)
            },
            None => Failure::unattributed(format!("signing stopped: {}", abort.reason)),
        }
    }

    fn commit(&mut self) -> Result<RoundStep<Signature>, Failure> {
        let (unique, kept, messages) = contained(|| self.party.sign_phase1(&self.data))?
            .map_err(|abort| self.aborted(&abort))?;
        let (outbound, length) = self.messages(1, &messages, |message| &message.parties)?;
        self.stage = Stage::First(Box::new(First {
            unique,
            kept,
            length,
            heard: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound,
            outcome: None,
        })
    }

    fn on_first(
        &mut self,
        mut stage: Box<First<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<Signature>, Failure> {
        let message = parse(body, stage.length)
            .filter(|message: &TransmitPhase1to2| {
                self.is_addressed(from, &message.parties) && is_whole_first(message)
            })
            .ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        stage.heard.insert(*from, message);
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::First(stage);
            return Ok(RoundStep::idle());
        }
        let First {
            unique,
            kept,
            heard,
            ..
        } = *stage;
        let heard: Vec<_> = heard.into_values().collect();
        let (unique, kept, messages) =
            contained(|| self.party.sign_phase2(&self.data, unique, kept, &heard))?
                .map_err(|abort| self.aborted(&abort))?;
        let (outbound, length) = self.messages(2, &messages, |message| &message.parties)?;
        self.stage = Stage::Second(Box::new(Second {
            unique,
            kept,
            length,
            heard: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound,
            outcome: None,
        })
    }

    fn on_second(
        &mut self,
        mut stage: Box<Second<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<Signature>, Failure> {
        let message = parse(body, stage.length)
            .filter(|message: &TransmitPhase2to3<C>| {
                self.is_addressed(from, &message.parties) && is_whole_second(message)
            })
            .ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        stage.heard.insert(*from, message);
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Second(stage);
            return Ok(RoundStep::idle());
        }
        let Second {
            unique,
            kept,
            heard,
            ..
        } = *stage;
        let heard: Vec<_> = heard.into_values().collect();
        let (x, own) = contained(|| self.party.sign_phase3(&self.data, unique, kept, &heard))?
            .map_err(|abort| self.aborted(&abort))?;
        let body = wire::encode(&own).ok_or_else(|| refused("to encode"))?;
        self.stage = Stage::Third(Box::new(Third {
            x,
            own,
            heard: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound: to_all(&self.peers, 3, &body),
            outcome: None,
        })
    }

    fn on_third(
        &mut self,
        mut stage: Box<Third<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<Signature>, Failure> {
        let part = wire::decode(body).ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        stage.heard.insert(*from, part);
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Third(stage);
            return Ok(RoundStep::idle());
        }
        let Third { x, own, heard } = *stage;
        let parts: Vec<_> = heard.into_values().chain([own]).collect();
        let (s, recovery) = contained(|| self.party.sign_phase4(&self.data, &x, &parts, true))?
            .map_err(|abort| self.aborted(&abort))?;
        let signature = self.verified(&x, &s, recovery).ok_or_else(|| {
            Failure::unattributed("the signature does not verify under the final key")
        })?;
        Ok(RoundStep {
            outbound: Vec::new(),
            outcome: Some(Ok(signature)),
        })
    }

    /// The signature, if it is one by this crate's own judgement: low s, right recovery id, right key.
    fn verified(&self, x: &str, s: &str, recovery: u8) -> Option<Signature> {
        let mut bytes = [0; 65];
        hex::decode_to_slice(x, &mut bytes[..32]).ok()?;
        hex::decode_to_slice(s, &mut bytes[32..64]).ok()?;
        bytes[64] = recovery;
        let signature = C::signature(bytes);
        let verdict = signature.verify(&self.final_key, &self.digest.0);
        verdict.is_ok().then_some(signature)
    }
}

/// Reads a message that must be as long as our own of the same round: whoever has the same number of peers sends the same length.
fn parse<T: Serialize + DeserializeOwned>(body: &[u8], length: usize) -> Option<T> {
    (body.len() == length).then(|| wire::decode(body)).flatten()
}

/// Whether all lists have the lengths that honest parties give them. The library would call some of these cheating and ban their sender.
fn is_whole_first(message: &TransmitPhase1to2) -> bool {
    let multiplication = &message.mul_transmit;
    multiplication.u.len() == usize::from(KAPPA)
        && multiplication.verify_t.len() == usize::from(KAPPA)
}

/// The same for the second round. With all lists of their lengths, a body of the right length cannot hold the identity, whose encoding is shorter.
fn is_whole_second<C: Curve>(message: &TransmitPhase2to3<C>) -> bool {
    let multiplication = &message.mul_transmit;
    message.salt.len() == SALT_BYTES
        && multiplication.vector_of_tau.len() == usize::from(OT_WIDTH)
        && multiplication
            .vector_of_tau
            .iter()
            .all(|tau| tau.len() == usize::from(BATCH_SIZE))
        && multiplication.verify_u.len() == usize::from(L)
        && multiplication.gamma_sender.len() == usize::from(L)
}

impl<C: Curve> Rounds for Sign<C> {
    type Output = Signature;

    fn round(&self) -> u8 {
        match self.stage {
            Stage::Idle | Stage::First(_) => 1,
            Stage::Second(_) => 2,
            Stage::Third(_) => 3,
        }
    }

    fn last_round(&self) -> u8 {
        3
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Idle => Vec::new(),
            Stage::First(stage) => missing(&self.peers, &stage.heard),
            Stage::Second(stage) => missing(&self.peers, &stage.heard),
            Stage::Third(stage) => missing(&self.peers, &stage.heard),
        }
    }

    fn start(&mut self, _: &mut dyn CryptoRngCore) -> RoundStep<Signature> {
        self.commit().unwrap_or_else(RoundStep::failed)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _: &mut dyn CryptoRngCore,
    ) -> RoundStep<Signature> {
        let step = match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Ok(RoundStep::idle()),
            Stage::First(stage) => self.on_first(stage, from, body),
            Stage::Second(stage) => self.on_second(stage, from, body),
            Stage::Third(stage) => self.on_third(stage, from, body),
        };
        step.unwrap_or_else(RoundStep::failed)
    }
}
