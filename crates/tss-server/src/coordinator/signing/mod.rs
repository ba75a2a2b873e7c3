//! Signing: who leads, whom the leader asks, what every signer checks before it takes part, and what becomes of results.
//!
//! A *subject* is what a signature is for: a user's request, or the proof of a key generation. Each signer takes part in
//! at most one attempt at a subject at a time, and trusts the leader for nothing: key, digest, authority and slot are
//! checked against its own view of the chain.

mod leader;
mod plan;
mod signer;

pub use plan::share_name;

use std::collections::{BTreeMap, BTreeSet};

use entropy_protocol::{Failure, Subject};
use entropy_shared::{CeremonyId, PartyId, RequestId, Scheme, Signature};
use rand_core::CryptoRngCore;

use self::plan::Plan;
use super::{Command, Coordinator, Millis, Submitted};
use crate::{
    frames::{DeclineReason, Frame, Invitation},
    ports::Heads,
};

/// How long a leader waits for answers to an invitation.
const INVITATION_MILLIS: Millis = 3_000;
/// How long a signer that accepted waits for the ceremony to begin.
const ACCEPTED_MILLIS: Millis = 8_000;
/// How long a leader waits before it tries again.
const RETRY_MILLIS: Millis = 500;
/// How long a party of a running ceremony may be without link.
const LOST_MILLIS: Millis = 5_000;
/// How long a look-up that got no answer waits.
const LOOK_UP_MILLIS: Millis = 1_000;
/// Ceremonies that one leader may have running here at a time.
const MAX_PER_LEADER: usize = 32;
/// Blocks after which a signer that is not the leader submits a result itself.
const FALLBACK_BLOCKS: u32 = 3;
/// Look-ups and judgements kept; more requests than this are never open in one view.
const MAX_VETTED: usize = 1_024;

/// How long one signing ceremony may take.
const fn ceremony_millis(scheme: Scheme) -> Millis {
    match scheme {
        // Seconds of computation for each signer, on whatever machine the operator has.
        Scheme::EcdsaCggmp24 => 90_000,
        _ => 10_000,
    }
}
/// Attempts that one server takes part in at a time. Many of seconds of computation each would all end too late; the rest queue.
const fn max_attempts(scheme: Scheme) -> usize {
    match scheme {
        Scheme::EcdsaCggmp24 => 4,
        _ => 64,
    }
}

/// Everything about signatures that this server has under way.
#[derive(Debug, Default)]
pub(super) struct Signing {
    leads: BTreeMap<Subject, Lead>,
    accepted: BTreeMap<Subject, Accepted>,
    running: BTreeMap<CeremonyId, Running>,
    troubles: BTreeMap<Subject, Trouble>,
    vetted: BTreeMap<RequestId, Vetting>,
    results: BTreeMap<RequestId, Answer>,
    /// Proofs that exist.
    proofs_done: BTreeSet<Subject>,
}

/// An attempt that this server leads and that has not begun yet.
#[derive(Debug)]
struct Lead {
    number: [u8; 16],
    plan: Plan,
    signers: BTreeMap<PartyId, Option<[u8; 32]>>,
    deadline: Millis,
}

/// An attempt that another leads and that this server has agreed to.
#[derive(Debug)]
struct Accepted {
    leader: PartyId,
    number: [u8; 16],
    nonce: [u8; 32],
    plan: Plan,
    until: Millis,
}

#[derive(Debug)]
struct Running {
    subject: Subject,
    scheme: Scheme,
    leader: PartyId,
    signers: Vec<PartyId>,
    deadline: Millis,
    lost_since: Option<Millis>,
    expired: bool,
}

/// What went wrong with earlier attempts at a subject that this server led.
#[derive(Debug, Default)]
struct Trouble {
    /// Spoilt an attempt, or cannot sign: asked again only if there are too few others.
    blamed: BTreeSet<PartyId>,
    /// Could not take part just now. Kept apart, so that whoever is locked by a spoilt attempt does not bring back who spoilt it.
    busy: BTreeSet<PartyId>,
    retry_at: Millis,
}

/// This server's own judgement of a request.
#[derive(Debug)]
enum Vetting {
    LookingUp {
        waiting: Vec<(PartyId, Invitation)>,
    },
    /// Not authorised by the finalized block of that hash; a later one may.
    NotYet {
        finalized: [u8; 32],
    },
    /// The look-up got no answer.
    Failed {
        retry_at: Millis,
    },
    Approved,
    Refused(DeclineReason),
}

#[derive(Debug)]
struct Answer {
    signature: Signature,
    leader: PartyId,
    since: u32,
    submitted: Submitted,
}

impl Signing {
    pub(super) fn running(&self) -> usize {
        self.running.len()
    }

    /// A look-up got no answer: not at once again, because a node that is away fails at once.
    pub(super) fn look_up_failed(&mut self, id: RequestId, now: Millis) {
        if let Some(vetting @ Vetting::LookingUp { .. }) = self.vetted.get_mut(&id) {
            *vetting = Vetting::Failed {
                retry_at: now + LOOK_UP_MILLIS,
            };
        }
    }

    /// Whether this server takes part in as many attempts with this scheme as it can finish in time.
    fn is_full(&self, scheme: Scheme) -> bool {
        let running = self
            .running
            .values()
            .filter(|running| running.scheme == scheme);
        let plans = self.leads.values().map(|lead| &lead.plan);
        let plans = plans.chain(self.accepted.values().map(|accepted| &accepted.plan));
        running.count() + plans.filter(|plan| plan.scheme == scheme).count() >= max_attempts(scheme)
    }

    /// Ends proofs of attempts that are over.
    pub(super) fn drop_proofs_except(
        &mut self,
        wanted: impl Fn(&Subject) -> bool,
        commands: &mut Vec<Command>,
    ) {
        let over = |subject: &Subject| matches!(subject, Subject::Proof { .. }) && !wanted(subject);
        self.leads.retain(|subject, _| !over(subject));
        self.accepted.retain(|subject, _| !over(subject));
        self.troubles.retain(|subject, _| !over(subject));
        self.proofs_done.retain(|subject| !over(subject));
        for (id, running) in &mut self.running {
            if over(&running.subject) && !running.expired {
                running.expired = true;
                commands.push(Command::Expire(*id));
            }
        }
    }

    fn is_busy_with(&self, subject: &Subject) -> bool {
        self.running
            .values()
            .any(|running| running.subject == *subject)
    }
}

impl Coordinator {
    /// What a peer said about signing.
    pub(super) fn handle_frame(
        &mut self,
        from: PartyId,
        frame: Frame,
        now: Millis,
        rng: &mut dyn CryptoRngCore,
        commands: &mut Vec<Command>,
    ) {
        match frame {
            Frame::Invite(invitation) => self.invited(from, invitation, now, rng, commands),
            Frame::Accept { invitation, nonce } => {
                self.accepted_by(from, invitation, nonce, now, commands)
            }
            Frame::Decline { invitation, reason } => {
                self.declined_by(from, invitation, reason, now)
            }
            Frame::Begin {
                invitation,
                signers,
            } => self.begun(from, invitation, signers, now, commands),
            // The engine gives these to their ceremony.
            Frame::Ceremony { .. } => {}
        }
    }

    fn run(
        &mut self,
        subject: Subject,
        leader: PartyId,
        plan: &Plan,
        signers: Vec<(PartyId, [u8; 32])>,
        now: Millis,
        commands: &mut Vec<Command>,
    ) {
        let parties = signers.iter().map(|(party, _)| *party).collect();
        let context = plan.context(subject, leader, signers);
        let deadline = now + ceremony_millis(plan.scheme);
        let running = Running {
            subject,
            scheme: plan.scheme,
            leader,
            signers: parties,
            deadline,
            lost_since: None,
            expired: false,
        };
        self.signing.running.insert(context.id(), running);
        commands.push(Command::StartSigning {
            context,
            share: plan.share.clone(),
        });
    }

    pub(super) fn signing_ended(
        &mut self,
        id: &CeremonyId,
        result: Result<Signature, Failure>,
        now: Millis,
    ) {
        let Some(running) = self.signing.running.remove(id) else {
            return;
        };
        let subject = running.subject;
        match result {
            Ok(signature) => {
                self.signing.troubles.remove(&subject);
                match subject {
                    Subject::Request(request) => {
                        let since = self.heads.as_ref().map_or(0, |heads| heads.best.view.block);
                        let leader = running.leader;
                        let answer = Answer {
                            signature,
                            leader,
                            since,
                            submitted: Submitted::default(),
                        };
                        self.signing.results.insert(request, answer);
                    }
                    Subject::Proof {
                        scheme,
                        epoch,
                        attempt,
                        ..
                    } => {
                        self.signing.proofs_done.insert(subject);
                        self.proof_made(scheme, epoch, attempt, signature);
                    }
                }
            }
            Err(failure) if running.leader == self.me => {
                let me = self.me;
                let trouble = self.signing.troubles.entry(subject).or_default();
                let blamed = failure
                    .blame
                    .iter()
                    .map(|blame| blame.party)
                    .filter(|party| *party != me);
                trouble.blamed.extend(blamed);
                trouble.retry_at = now + RETRY_MILLIS;
            }
            Err(_) => {}
        }
    }

    /// Looks requests up, leads what is to be led, ends what takes too long, submits what is not on the chain yet.
    pub(super) fn reconcile_signing(
        &mut self,
        heads: &Heads,
        now: Millis,
        rng: &mut dyn CryptoRngCore,
        commands: &mut Vec<Command>,
    ) {
        self.forget_the_past(heads, now);
        self.look_up(heads, now, commands);
        self.end_the_late(now, commands);
        for subject in self.subjects(heads) {
            self.lead(heads, subject, now, rng, commands);
        }
        self.submit_results(heads, commands);
    }

    fn forget_the_past(&mut self, heads: &Heads, now: Millis) {
        let listed: BTreeSet<_> = heads
            .best
            .view
            .requests
            .iter()
            .chain(&heads.finalized.view.requests)
            .map(|open| open.id)
            .collect();
        let wanted = |subject: &Subject| match subject {
            Subject::Request(id) => listed.contains(id),
            Subject::Proof { .. } => true,
        };
        let signing = &mut self.signing;
        signing.vetted.retain(|id, _| listed.contains(id));
        signing.results.retain(|id, _| listed.contains(id));
        signing.troubles.retain(|subject, _| wanted(subject));
        signing.leads.retain(|subject, _| wanted(subject));
        signing.accepted.retain(|_, accepted| now < accepted.until);
    }

    fn end_the_late(&mut self, now: Millis, commands: &mut Vec<Command>) {
        for (id, running) in &mut self.signing.running {
            let complete = running
                .signers
                .iter()
                .all(|party| *party == self.me || self.connected.contains(party));
            running.lost_since = if complete {
                None
            } else {
                running.lost_since.or(Some(now))
            };
            let lost = running
                .lost_since
                .is_some_and(|since| now >= since + LOST_MILLIS);
            if (lost || now >= running.deadline) && !running.expired {
                running.expired = true;
                commands.push(Command::Expire(*id));
            }
        }
        let late: Vec<_> = self
            .signing
            .leads
            .iter()
            .filter(|(_, lead)| now >= lead.deadline)
            .map(|(subject, _)| *subject)
            .collect();
        for subject in late {
            let Some(lead) = self.signing.leads.remove(&subject) else {
                continue;
            };
            let trouble = self.signing.troubles.entry(subject).or_default();
            trouble.busy.extend(
                lead.signers
                    .iter()
                    .filter(|(_, nonce)| nonce.is_none())
                    .map(|(party, _)| *party),
            );
            trouble.retry_at = now + RETRY_MILLIS;
        }
    }

    fn submit_results(&mut self, heads: &Heads, commands: &mut Vec<Command>) {
        let best = &heads.best.view;
        for open in &best.requests {
            let Some(answer) = self.signing.results.get_mut(&open.id) else {
                continue;
            };
            let turn = answer.leader == self.me
                || best.block >= answer.since.saturating_add(FALLBACK_BLOCKS);
            if turn && let Some(valid_until) = answer.submitted.due(best.block) {
                let (request, signature) = (open.id, answer.signature);
                commands.push(Command::SubmitResult {
                    request,
                    signature,
                    valid_until,
                });
            }
        }
    }
}
