//! The leader's side: whom to ask, what to make of the answers, when to begin.

use std::collections::BTreeMap;

use entropy_protocol::Subject;
use entropy_shared::{PartyId, tagged_hash};
use rand_core::CryptoRngCore;

use super::{INVITATION_MILLIS, Lead, RETRY_MILLIS, plan::Plan};
use crate::{
    coordinator::{Command, Coordinator, Millis},
    frames::{DeclineReason, Frame, Invitation},
    ports::Heads,
};

impl Coordinator {
    /// What may need a leader: open requests without a result, and proofs that are still to be made.
    pub(super) fn subjects(&self, heads: &Heads) -> Vec<Subject> {
        let requests = heads.best.view.requests.iter().map(|open| open.id);
        let unanswered = requests
            .filter(|id| !self.signing.results.contains_key(id))
            .map(Subject::Request);
        let proofs = self
            .keygens
            .iter()
            .filter_map(|(&(scheme, epoch, attempt), run)| {
                run.staged()
                    .map(|public| (scheme, epoch, attempt, public.committee.proof_sets().len()))
            });
        let proofs = proofs.flat_map(|(scheme, epoch, attempt, sets)| {
            (0..sets).map(move |set| Subject::Proof {
                scheme,
                epoch,
                attempt,
                set: set as u8,
            })
        });
        // Proofs first: requests must not keep a key from becoming active.
        proofs
            .filter(|subject| !self.signing.proofs_done.contains(subject))
            .chain(unanswered)
            .collect()
    }

    /// Invites signers, if this server is the leader, knows enough and is not at it already.
    pub(super) fn lead(
        &mut self,
        heads: &Heads,
        subject: Subject,
        now: Millis,
        rng: &mut dyn CryptoRngCore,
        commands: &mut Vec<Command>,
    ) {
        let signing = &self.signing;
        let occupied = signing.leads.contains_key(&subject)
            || signing.accepted.contains_key(&subject)
            || signing.is_busy_with(&subject);
        if occupied
            || signing
                .troubles
                .get(&subject)
                .is_some_and(|trouble| now < trouble.retry_at)
        {
            return;
        }
        let Ok(plan) = self.plan(heads, &subject) else {
            return;
        };
        if plan.leader != self.me || self.signing.is_full(plan.scheme) {
            return;
        }
        let Some(others) = self.choose(&subject, &plan) else {
            // Nobody is avoided for ever: those who failed before are better than nobody.
            let trouble = self.signing.troubles.entry(subject).or_default();
            if trouble.busy.is_empty() {
                trouble.blamed.clear();
            }
            trouble.busy.clear();
            trouble.retry_at = now + RETRY_MILLIS;
            return;
        };
        let (mut number, mut nonce) = ([0; 16], [0; 32]);
        rng.fill_bytes(&mut number);
        rng.fill_bytes(&mut nonce);
        let invitation = Invitation {
            number,
            subject,
            public_digest: plan.share.public_digest,
        };
        let mut signers: BTreeMap<_, _> = others.iter().map(|party| (*party, None)).collect();
        signers.insert(self.me, Some(nonce));
        for to in others {
            commands.push(Command::Send {
                to,
                frame: Frame::Invite(invitation),
            });
        }
        let deadline = now + INVITATION_MILLIS;
        self.signing.leads.insert(
            subject,
            Lead {
                number,
                plan,
                signers,
                deadline,
            },
        );
    }

    /// The signers besides the leader: the fixed ones, or as many as needed of those alive and not avoided, in an order that differs with each request.
    fn choose(&self, subject: &Subject, plan: &Plan) -> Option<Vec<PartyId>> {
        let alive = |party: &PartyId| self.connected.contains(party);
        if let Some(fixed) = &plan.fixed {
            let others: Vec<_> = fixed
                .iter()
                .filter(|party| **party != self.me)
                .copied()
                .collect();
            return others.iter().all(alive).then_some(others);
        }
        let trouble = self.signing.troubles.get(subject);
        let avoided = |party: &PartyId| {
            trouble.is_some_and(|trouble| {
                trouble.blamed.contains(party) || trouble.busy.contains(party)
            })
        };
        let mut candidates: Vec<_> = plan
            .committee
            .parties()
            .iter()
            .filter(|party| **party != self.me && alive(party) && !avoided(party))
            .map(|party| {
                (
                    tagged_hash("entropy/signer-order/v1", &(subject, party)),
                    *party,
                )
            })
            .collect();
        candidates.sort_unstable();
        let needed = usize::from(plan.committee.threshold()) - 1;
        (candidates.len() >= needed).then(|| {
            candidates
                .into_iter()
                .take(needed)
                .map(|(_, party)| party)
                .collect()
        })
    }

    /// As leader: a peer would sign.
    pub(super) fn accepted_by(
        &mut self,
        from: PartyId,
        number: [u8; 16],
        nonce: [u8; 32],
        now: Millis,
        commands: &mut Vec<Command>,
    ) {
        let Some((&subject, lead)) = self
            .signing
            .leads
            .iter_mut()
            .find(|(_, lead)| lead.number == number)
        else {
            return;
        };
        match lead.signers.get_mut(&from) {
            Some(slot @ None) => *slot = Some(nonce),
            // A second nonce, or one from somebody who was not asked, changes nothing.
            _ => return,
        }
        let signers: Vec<_> = lead
            .signers
            .iter()
            .filter_map(|(party, nonce)| nonce.map(|nonce| (*party, nonce)))
            .collect();
        if signers.len() < lead.signers.len() {
            return;
        }
        let plan = lead.plan.clone();
        self.signing.leads.remove(&subject);
        for (to, _) in signers.iter().filter(|(party, _)| *party != self.me) {
            let frame = Frame::Begin {
                invitation: number,
                signers: signers.clone(),
            };
            commands.push(Command::Send { to: *to, frame });
        }
        self.run(subject, self.me, &plan, signers, now, commands);
    }

    /// As leader: a peer would not sign.
    pub(super) fn declined_by(
        &mut self,
        from: PartyId,
        number: [u8; 16],
        reason: DeclineReason,
        now: Millis,
    ) {
        let lead = self
            .signing
            .leads
            .iter()
            .find(|(_, lead)| lead.number == number && lead.signers.contains_key(&from));
        let Some((&subject, _)) = lead else { return };
        self.signing.leads.remove(&subject);
        let trouble = self.signing.troubles.entry(subject).or_default();
        match reason {
            // It may know in a moment what we know now.
            DeclineReason::Unknown | DeclineReason::NotLeader => {
                trouble.retry_at = now + RETRY_MILLIS
            }
            DeclineReason::Busy => {
                trouble.busy.insert(from);
                trouble.retry_at = now + RETRY_MILLIS / 2;
            }
            DeclineReason::NoShare
            | DeclineReason::NotAuthorised
            | DeclineReason::ProgramsNotSupported => {
                trouble.blamed.insert(from);
                trouble.retry_at = now + RETRY_MILLIS / 2;
            }
        }
    }
}
