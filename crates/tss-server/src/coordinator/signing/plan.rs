//! What a signature would be, as this server's own view of the chain defines it.

use entropy_protocol::{SigningContext, Subject};
use entropy_shared::{
    Committee, DerivationPath, Digest, KeyId, PartyId, PublicPackage, RequestId, Scheme,
    TaprootTweak, VerifyingKey, canonical::proof_digest, derivation, leader,
    lifecycle::key::ActiveKey,
};

use super::Vetting;
use crate::{
    coordinator::Coordinator,
    frames::DeclineReason,
    ports::{Heads, ShareName, Stage},
};

/// A subject as this server's own view of the chain defines it.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) scheme: Scheme,
    pub(super) share: ShareName,
    pub(super) committee: Committee,
    pub(super) key: KeyId,
    pub(super) path: DerivationPath,
    pub(super) tweak: TaprootTweak,
    pub(super) digest: Digest,
    pub(super) final_key: VerifyingKey,
    /// Exactly these sign; for a request any threshold of the committee may.
    pub(super) fixed: Option<Vec<PartyId>>,
    /// Who leads now.
    pub(super) leader: PartyId,
    /// Who may lead, as far as peers' views of the newest block may differ from ours.
    pub(super) leaders: Vec<PartyId>,
}

impl Plan {
    pub(super) fn context(
        &self,
        subject: Subject,
        leader: PartyId,
        signers: Vec<(PartyId, [u8; 32])>,
    ) -> Box<SigningContext> {
        Box::new(SigningContext {
            public_digest: self.share.public_digest,
            subject,
            key: self.key,
            path: self.path.clone(),
            tweak: self.tweak,
            digest: self.digest,
            message: None,
            final_key: self.final_key,
            leader,
            signers,
        })
    }

    /// Whether these could sign: as many as the threshold, of the committee, in ascending order, and the fixed ones if there are such.
    pub(super) fn admits(&self, signers: &[PartyId]) -> bool {
        signers.len() == usize::from(self.committee.threshold())
            && signers.windows(2).all(|pair| pair[0] < pair[1])
            && signers.iter().all(|party| self.committee.contains(party))
            && self.fixed.as_ref().is_none_or(|fixed| fixed == signers)
    }
}

impl Coordinator {
    /// This server's share of the scheme's key, if the finalized and the best block name the same holders and it is one of them.
    pub(super) fn holds_active<'a>(
        &'a self,
        heads: &'a Heads,
        scheme: Scheme,
    ) -> Option<(&'a ShareName, &'a ActiveKey)> {
        let key = heads.finalized.view.key(scheme)?.active()?;
        let best = heads.best.view.key(scheme)?.active()?;
        if (best.epoch, best.public_digest) != (key.epoch, key.public_digest) {
            return None;
        }
        let named =
            |name: &ShareName| name.scheme == scheme && name.public_digest == key.public_digest;
        let (name, held) = self.shares.iter().find(|(name, _)| named(name))?;
        (held.stage == Stage::Active).then_some((name, key))
    }

    /// What a signature for `subject` would be, by this server's own view and judgement.
    pub(super) fn plan(&self, heads: &Heads, subject: &Subject) -> Result<Plan, DeclineReason> {
        match subject {
            Subject::Request(id) => self.plan_request(heads, id),
            Subject::Proof {
                scheme,
                epoch,
                attempt,
                set,
            } => self
                .plan_proof(*scheme, *epoch, *attempt, *set)
                .ok_or(DeclineReason::Unknown),
        }
    }

    fn plan_request(&self, heads: &Heads, id: &RequestId) -> Result<Plan, DeclineReason> {
        let best = &heads.best.view;
        let open = best
            .requests
            .iter()
            .find(|open| open.id == *id)
            .ok_or(DeclineReason::Unknown)?;
        let (share, key) = self
            .holds_active(heads, open.scheme)
            .ok_or(DeclineReason::NoShare)?;
        match self.signing.vetted.get(id) {
            Some(Vetting::Approved) => {}
            Some(Vetting::Refused(reason)) => return Err(*reason),
            Some(Vetting::LookingUp { .. } | Vetting::NotYet { .. } | Vetting::Failed { .. })
            | None => {
                return Err(DeclineReason::Unknown);
            }
        }
        let slot_blocks = best.parameters.signing_slot_blocks.max(1);
        let leader_at = |block: u32| {
            leader(
                &key.committee,
                id,
                block.saturating_sub(open.submitted) / slot_blocks,
            )
        };
        // A peer may have seen one block less or more than we.
        let leaders = [
            best.block.saturating_sub(1),
            best.block,
            best.block.saturating_add(1),
        ]
        .map(leader_at);
        Ok(Plan {
            scheme: open.scheme,
            share: share.clone(),
            committee: key.committee.clone(),
            key: open.key,
            path: open.path.clone(),
            tweak: open.tweak,
            digest: open.digest,
            final_key: open.final_key,
            fixed: None,
            leader: leader_at(best.block),
            leaders: leaders.to_vec(),
        })
    }

    fn plan_proof(&self, scheme: Scheme, epoch: u32, attempt: u32, set: u8) -> Option<Plan> {
        let public = self.keygens.get(&(scheme, epoch, attempt))?.staged()?;
        let signers = public
            .committee
            .proof_sets()
            .into_iter()
            .nth(usize::from(set))?;
        let first = *signers.first()?;
        if !signers.contains(&self.me) {
            return None;
        }
        let key = KeyId::of_proof(&self.genesis, scheme);
        let path = DerivationPath::default();
        let derived = derivation::derive(scheme, &public.root_key, &key, &path).ok()?;
        let public_digest = public.digest();
        Some(Plan {
            scheme,
            share: share_name(public, self.me),
            committee: public.committee.clone(),
            key,
            path,
            tweak: TaprootTweak::None,
            digest: proof_digest(&self.genesis, scheme, epoch, attempt, &public_digest),
            final_key: derived.final_key(scheme, &TaprootTweak::None).ok()?,
            fixed: Some(signers),
            leader: first,
            leaders: vec![first],
        })
    }
}

/// The name under which `party`'s share in this package is stored.
pub fn share_name(public: &PublicPackage, party: PartyId) -> ShareName {
    ShareName {
        genesis: public.genesis,
        scheme: public.scheme,
        epoch: public.epoch,
        attempt: public.attempt,
        party,
        public_digest: public.digest(),
    }
}
