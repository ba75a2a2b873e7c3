//! One signature by exactly `t` signers: synedrion's interactive signing (Figs. 8 to 10 of the paper), message and key bound by the session's id.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, Digest, PartyId, Signature, VerifyingKey};
use k256::{ProjectivePoint, Scalar};
use rand_core::CryptoRngCore;
use synedrion::{InteractiveSigning, InteractiveSigningProtocol};
use zeroize::Zeroizing;

use super::{
    Production, compress, decompress,
    secret::Additive,
    session::{Fork, Session, Setting},
    wire::Node,
};
use crate::{
    ceremony::Failure,
    context::{SetupError, SigningContext},
    group::{Group, Secp256k1},
    guard::{RoundStep, Rounds},
    redistribution::lagrange,
    share::{KeyShare, Secret},
};

/// Rounds 1, 2 and 3 with their echoes, then the round of signature shares.
const LAST_ROUND: u8 = 7;

/// Instead of the signature shares, the library would send proofs of what came before if that does not add up.
const FORK: Fork = Fork {
    round: LAST_ROUND,
    common: 4,
};

pub(crate) struct Sign {
    ceremony: CeremonyId,
    account: SigningKey,
    others: BTreeSet<PartyId>,
    digest: Digest,
    final_key: VerifyingKey,
    state: State,
}

enum State {
    Ready(Box<InteractiveSigning<Production, Node>>),
    Running(Box<Session<InteractiveSigningProtocol<Production, Node>>>),
    Over,
}

impl Sign {
    /// The context has been checked against the share.
    pub(crate) fn new(
        context: &SigningContext,
        share: &KeyShare,
        account: &SigningKey,
    ) -> Result<Self, SetupError> {
        if account.verifying_key().to_bytes() != share.party().0 {
            return Err(SetupError::NotAParty);
        }
        let Secret::Cggmp(secret) = &share.secret else {
            return Err(SetupError::OtherShare);
        };
        let signers = context.signer_ids();
        let additive = additive(context, share, &secret.share)?;
        let nodes = signers.iter().copied().map(Node::from).collect();
        let auxiliary = secret
            .auxiliary
            .clone()
            .subset(&nodes)
            .map_err(|_| REFUSED)?;
        let entry = InteractiveSigning::new(
            context.digest.0.into(),
            additive.to_library().ok_or(REFUSED)?,
            auxiliary,
        )
        .map_err(|_| REFUSED)?;
        Ok(Self {
            ceremony: context.id(),
            account: account.clone(),
            others: signers
                .into_iter()
                .filter(|party| *party != share.party())
                .collect(),
            digest: context.digest,
            final_key: context.final_key,
            state: State::Ready(Box::new(entry)),
        })
    }

    fn finish(
        &self,
        signature: synedrion::RecoverableSignature<Production>,
    ) -> Result<Signature, Failure> {
        let (signature, recovery) = signature.to_backend();
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = recovery.to_byte();
        // Low s and the right recovery id are part of what is verified.
        let signature = Signature::EcdsaSecp256k1(bytes);
        signature
            .verify(&self.final_key, &self.digest.0)
            .map_err(|error| {
                Failure::unattributed(format!("the library gave a bad signature: {error}"))
            })?;
        Ok(signature)
    }
}

const REFUSED: SetupError =
    SetupError::Library("shares and auxiliary material that do not fit each other");

/// The threshold shares of these signers as additive shares of the derived key: `lambda_i s_i`, with the offset on the lowest signer's.
fn additive(
    context: &SigningContext,
    share: &KeyShare,
    secret: &Scalar,
) -> Result<Additive, SetupError> {
    let public = share.public();
    let signers = context.signer_ids();
    let indices: Vec<_> = signers
        .iter()
        .filter_map(|signer| public.committee.index(signer))
        .collect();
    let offset = Secp256k1::decode_scalar(&context.offset(share)?).ok_or(REFUSED)?;
    let mut own = Zeroizing::new(Scalar::ZERO);
    let mut sum = ProjectivePoint::IDENTITY;
    let mut points = Vec::with_capacity(signers.len());
    for (position, (signer, index)) in signers.iter().zip(&indices).enumerate() {
        let offset = if position == 0 { offset } else { Scalar::ZERO };
        let coefficient = lagrange::<Secp256k1>(*index, &indices).ok_or(REFUSED)?;
        let Some(VerifyingKey::Secp256k1(verification)) =
            public.verification_shares.get(usize::from(*index) - 1)
        else {
            return Err(REFUSED);
        };
        let verification = decompress(verification).ok_or(REFUSED)?;
        let point = verification * coefficient + ProjectivePoint::GENERATOR * offset;
        sum += point;
        points.push((Node::from(*signer), compress(&point).ok_or(REFUSED)?));
        if *signer == share.party() {
            *own = *secret * coefficient + offset;
        }
    }
    // The library signs under the sum of the public shares, whatever it is.
    if compress(&sum).map(VerifyingKey::Secp256k1) != Some(context.final_key) {
        return Err(SetupError::FinalKey);
    }
    Ok(Additive::new(share.party().into(), &own, &points))
}

impl Rounds for Sign {
    type Output = Signature;

    fn round(&self) -> u8 {
        match &self.state {
            State::Running(session) => session.round(),
            State::Ready(_) | State::Over => 1,
        }
    }

    fn last_round(&self) -> u8 {
        LAST_ROUND
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.state {
            State::Running(session) => session.awaited(),
            State::Ready(_) | State::Over => Vec::new(),
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Signature> {
        let State::Ready(entry) = std::mem::replace(&mut self.state, State::Over) else {
            return RoundStep::idle();
        };
        let setting = Setting {
            ceremony: self.ceremony,
            label: "signing",
            account: &self.account,
            others: &self.others,
            first_round: 1,
            fork: Some(FORK),
            accepts: |_, _| true,
        };
        match Session::start(&setting, *entry, rng) {
            Ok((session, outbound)) => {
                self.state = State::Running(Box::new(session));
                RoundStep {
                    outbound,
                    outcome: None,
                }
            }
            Err(failure) => RoundStep::failed(failure),
        }
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Signature> {
        let State::Running(session) = &mut self.state else {
            return RoundStep::idle();
        };
        match session.receive(from, body, rng) {
            Ok(progress) => RoundStep {
                outbound: progress.outbound,
                outcome: progress
                    .result
                    .map(|result| result.and_then(|signature| self.finish(signature))),
            },
            Err(failure) => RoundStep::failed(failure),
        }
    }
}
