//! One signature by exactly `t` signers: protocol 3.6 of ePrint 2023/765, in three rounds.
//!
//! 1. each to each: commitment to its nonce point, its half of the oblivious transfers (steps 4 to 6);
//! 2. each to each: what opens it, its share of the key with zero shares added, the products (step 7);
//! 3. each to all: its part of numerator and denominator (steps 8 and 9); the sum is the signature (step 10).
//!
//! The library binds each message to sign id, key, digest and signers; the sign id is the ceremony's, which commits to all
//! of them: so no nonce point leaves, not even committed to, before digest and final key are bound. What is dishonest in the
//! products shows something of transfers that later signatures use again: the pair must not sign together any more
//! ([`Offence::Banned`]).

use std::{collections::BTreeMap, mem};

use dkls23::protocols::{
    PartiesMessage, Party, PartyIndex,
    signing::{
        Broadcast3to4, KeepPhase1to2, KeepPhase2to3, SignData, TransmitPhase1to2,
        TransmitPhase2to3, UniqueKeep1to2, UniqueKeep2to3,
    },
};
use entropy_shared::{Committee, Digest, PartyId, Signature, VerifyingKey};
use k256_dkls::elliptic_curve::group::GroupEncoding;
use rand_core::CryptoRngCore;

use super::{
    Curve, LibraryPoint, Secret, contained, decode_canonical, encode, index, of_library,
    point_bytes, to_library,
};
use crate::{
    ceremony::{Failure, Offence},
    context::{SetupError, SigningContext},
    gather::Gather,
    guard::{RoundMessage, RoundStep, Rounds},
    share::KeyShare,
};

const LAST_ROUND: u8 = 3;

/// One signer's side.
pub(crate) struct Sign<C: Curve> {
    committee: Committee,
    others: Vec<PartyId>,
    /// The library's party with the derived key. It erases itself.
    party: Party<C::Library>,
    data: SignData,
    digest: Digest,
    final_key: VerifyingKey,
    stage: Stage<C>,
}

/// What is awaited. What the library keeps from phase to phase is consumed by the next: nothing signs twice.
enum Stage<C: Curve> {
    Ready,
    Commitments(Box<Committed<C>>),
    Products(Box<Multiplied<C>>),
    Parts {
        /// The x-coordinate of the nonce point, in the library's hexadecimal.
        x: String,
        own: Broadcast3to4<C::Library>,
        gather: Gather<Broadcast3to4<C::Library>>,
    },
    /// Between stages, and after the end.
    Over,
}

struct Committed<C: Curve> {
    unique: UniqueKeep1to2<C::Library>,
    kept: BTreeMap<PartyIndex, KeepPhase1to2<C::Library>>,
    gather: Gather<TransmitPhase1to2>,
}

struct Multiplied<C: Curve> {
    unique: UniqueKeep2to3<C::Library>,
    kept: BTreeMap<PartyIndex, KeepPhase2to3<C::Library>>,
    gather: Gather<TransmitPhase2to3<C::Library>>,
}

type Outcome = Result<(Vec<RoundMessage>, Option<Signature>), Failure>;

const REFUSED: SetupError = SetupError::Library("a share that does not give the derived key");

impl<C: Curve> Sign<C> {
    /// Prepares the side of the share's party. The context has been checked against the share.
    pub(crate) fn new(
        context: &SigningContext,
        share: &KeyShare,
        secret: &Secret<C>,
    ) -> Result<Self, SetupError> {
        let committee = &share.public().committee;
        let others: Vec<_> = context
            .signer_ids()
            .into_iter()
            .filter(|signer| *signer != share.party())
            .collect();
        let banned = others.iter().find(|other| {
            committee
                .index(other)
                .is_some_and(|it| secret.is_banned(it))
        });
        if let Some(banned) = banned {
            return Err(SetupError::BannedPair(*banned));
        }
        let counterparties = others
            .iter()
            .map(|other| index(committee, other).ok_or(SetupError::NotAParty));
        Ok(Self {
            data: SignData {
                sign_id: context.id().0.to_vec(),
                counterparties: counterparties.collect::<Result<_, _>>()?,
                message_hash: context.digest.0,
            },
            committee: committee.clone(),
            others,
            party: derived(context, share, secret)?,
            digest: context.digest,
            final_key: context.final_key,
            stage: Stage::Ready,
        })
    }

    /// Whether a message of the library's says that it is from `from` to us.
    fn is_ours(&self, from: &PartyId, parties: &PartiesMessage) -> bool {
        Some(parties.sender) == index(&self.committee, from)
            && parties.receiver == self.party.party_index
    }

    /// The library's messages of a round, each to its receiver.
    fn outbound<T: serde::Serialize>(
        &self,
        round: u8,
        messages: &[T],
        receiver: impl Fn(&T) -> PartyIndex,
    ) -> Result<Vec<RoundMessage>, Failure> {
        let message = |to: &PartyId| {
            let to_index = index(&self.committee, to)?;
            let message = messages.iter().find(|it| receiver(it) == to_index)?;
            Some(RoundMessage {
                to: *to,
                round,
                body: encode(message)?.to_vec(),
            })
        };
        let all: Option<_> = self.others.iter().map(message).collect();
        all.ok_or_else(|| {
            Failure::unattributed("the library has no message for one of the signers")
        })
    }

    fn commit(&mut self) -> Outcome {
        let (unique, kept, messages) =
            contained(&self.committee, || self.party.sign_phase1(&self.data))?;
        let outbound = self.outbound(1, &messages, |it| it.parties.receiver)?;
        self.stage = Stage::Commitments(Box::new(Committed {
            unique,
            kept,
            gather: Gather::from_each(&self.others),
        }));
        Ok((outbound, None))
    }

    fn handle(&mut self, from: &PartyId, body: &[u8]) -> Outcome {
        let malformed = || Failure::blaming(*from, Offence::Malformed);
        let unexpected = || Failure::blaming(*from, Offence::Unexpected);
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Commitments(mut stage) => {
                let message: TransmitPhase1to2 = decode_canonical(body).ok_or_else(malformed)?;
                if !self.is_ours(from, &message.parties) {
                    return Err(unexpected());
                }
                if stage.gather.insert(from, message) {
                    return self.multiply(*stage);
                }
                self.stage = Stage::Commitments(stage);
                Ok((Vec::new(), None))
            }
            Stage::Products(mut stage) => {
                let message: TransmitPhase2to3<C::Library> =
                    decode_canonical(body).ok_or_else(malformed)?;
                if !self.is_ours(from, &message.parties) {
                    return Err(unexpected());
                }
                if stage.gather.insert(from, message) {
                    return self.add_up(*stage);
                }
                self.stage = Stage::Products(stage);
                Ok((Vec::new(), None))
            }
            Stage::Parts { x, own, mut gather } => {
                if gather.insert(from, decode_canonical(body).ok_or_else(malformed)?) {
                    let mut parts: Vec<_> = gather.into_values().into_values().collect();
                    parts.push(own);
                    return self.finish(&x, &parts);
                }
                self.stage = Stage::Parts { x, own, gather };
                Ok((Vec::new(), None))
            }
            Stage::Ready | Stage::Over => Ok((Vec::new(), None)),
        }
    }

    fn multiply(&mut self, stage: Committed<C>) -> Outcome {
        let received: Vec<_> = stage.gather.into_values().into_values().collect();
        let (unique, kept, messages) = contained(&self.committee, || {
            self.party
                .sign_phase2(&self.data, stage.unique, stage.kept, &received)
        })?;
        let outbound = self.outbound(2, &messages, |it| it.parties.receiver)?;
        self.stage = Stage::Products(Box::new(Multiplied {
            unique,
            kept,
            gather: Gather::from_each(&self.others),
        }));
        Ok((outbound, None))
    }

    fn add_up(&mut self, stage: Multiplied<C>) -> Outcome {
        let received: Vec<_> = stage.gather.into_values().into_values().collect();
        let (x, own) = contained(&self.committee, || {
            self.party
                .sign_phase3(&self.data, stage.unique, stage.kept, &received)
        })?;
        let body = encode(&own)
            .ok_or_else(|| Failure::unattributed("the library's part has no encoding"))?;
        let message = |to: &PartyId| RoundMessage {
            to: *to,
            round: LAST_ROUND,
            body: body.to_vec(),
        };
        let outbound = self.others.iter().map(message).collect();
        self.stage = Stage::Parts {
            x,
            own,
            gather: Gather::from_each(&self.others),
        };
        Ok((outbound, None))
    }

    fn finish(&self, x: &str, parts: &[Broadcast3to4<C::Library>]) -> Outcome {
        // Parts do not show whose is wrong.
        let (s, recovery_id) = contained(&self.committee, || {
            self.party.sign_phase4(&self.data, x, parts, true)
        })?;
        let bad = || Failure::unattributed("the library gave a bad signature");
        let mut bytes = [0; 65];
        hex::decode_to_slice(x, &mut bytes[..32]).map_err(|_| bad())?;
        hex::decode_to_slice(s, &mut bytes[32..64]).map_err(|_| bad())?;
        bytes[64] = recovery_id;
        // Low s, the range of r and the recovery id are part of what is verified.
        let signature = C::signature(bytes);
        signature
            .verify(&self.final_key, &self.digest.0)
            .map_err(|_| bad())?;
        Ok((Vec::new(), Some(signature)))
    }
}

/// The library's party with the offset of derivation added: to its share, and so to everybody's, and to the key.
fn derived<C: Curve>(
    context: &SigningContext,
    share: &KeyShare,
    secret: &Secret<C>,
) -> Result<Party<C::Library>, SetupError> {
    let offset = C::decode_scalar(&context.offset(share)?).ok_or(REFUSED)?;
    let root = of_library::<C>(&secret.party.poly_point).ok_or(REFUSED)?;
    let child = zeroize::Zeroizing::new(*root + offset);
    let key = C::of_key(&context.final_key).ok_or(SetupError::FinalKey)?;
    let mut party = secret.party.clone();
    party.poly_point = *to_library::<C>(&child).ok_or(REFUSED)?;
    let mut repr = <LibraryPoint<C> as GroupEncoding>::Repr::default();
    if repr.as_ref().len() != key.len() {
        return Err(REFUSED);
    }
    repr.as_mut().copy_from_slice(&key);
    party.pk = Option::from(LibraryPoint::<C>::from_bytes(&repr)).ok_or(SetupError::FinalKey)?;
    party.derivation_data.poly_point = party.poly_point;
    party.derivation_data.pk = party.pk;
    // What the signers' shares add up to is checked by the library; that the key is root plus offset, by the context.
    debug_assert!(point_bytes::<C>(&party.pk) == Some(key));
    Ok(party)
}

impl<C: Curve> Rounds for Sign<C> {
    type Output = Signature;

    fn round(&self) -> u8 {
        match self.stage {
            Stage::Ready | Stage::Commitments(_) | Stage::Over => 1,
            Stage::Products(_) => 2,
            Stage::Parts { .. } => LAST_ROUND,
        }
    }

    fn last_round(&self) -> u8 {
        LAST_ROUND
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Ready | Stage::Over => Vec::new(),
            Stage::Commitments(stage) => stage.gather.awaited(),
            Stage::Products(stage) => stage.gather.awaited(),
            Stage::Parts { gather, .. } => gather.awaited(),
        }
    }

    fn start(&mut self, _rng: &mut dyn CryptoRngCore) -> RoundStep<Signature> {
        step(self.commit())
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Signature> {
        step(self.handle(from, body))
    }
}

fn step(outcome: Outcome) -> RoundStep<Signature> {
    match outcome {
        Ok((outbound, signature)) => RoundStep {
            outbound,
            outcome: signature.map(Ok),
        },
        Err(failure) => RoundStep::failed(failure),
    }
}
