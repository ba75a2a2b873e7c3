//! The signer's side: judging requests and leaders, by this server's own view of the chain alone.

use entropy_protocol::Subject;
use entropy_shared::{
    PartyId, RequestId, derivation,
    lifecycle::{
        key::{ActiveKey, KeyState},
        registry::KeyRecord,
        request::RequestRecord,
    },
    request_digest,
    view::OpenRequest,
};
use rand_core::CryptoRngCore;

use super::{
    ACCEPTED_MILLIS, Accepted, LOOK_UP_MILLIS, MAX_PER_LEADER, MAX_VETTED, Vetting, plan::Plan,
};
use crate::{
    coordinator::{Command, Coordinator, Millis},
    frames::{DeclineReason, Frame, Invitation},
    ports::Heads,
};

impl Coordinator {
    pub(super) fn look_up(&mut self, heads: &Heads, now: Millis, commands: &mut Vec<Command>) {
        for open in &heads.best.view.requests {
            let due = match self.signing.vetted.get(&open.id) {
                None => self.signing.vetted.len() < MAX_VETTED,
                Some(Vetting::NotYet { finalized }) => *finalized != heads.finalized.hash,
                Some(Vetting::Failed { retry_at }) => now >= *retry_at,
                Some(_) => false,
            };
            if due && self.holds_active(heads, open.scheme).is_some() {
                self.signing.vetted.insert(
                    open.id,
                    Vetting::LookingUp {
                        waiting: Vec::new(),
                    },
                );
                let (best, finalized) = (heads.best.hash, heads.finalized.hash);
                commands.push(Command::LookUp {
                    request: open.id,
                    key: open.key,
                    best,
                    finalized,
                });
            }
        }
    }

    /// A look-up has been answered: judges the request, and answers those who wait for it.
    #[expect(
        clippy::too_many_arguments,
        reason = "one event's fields, and what every handler takes"
    )]
    pub(in crate::coordinator) fn vet(
        &mut self,
        id: RequestId,
        request: Option<RequestRecord>,
        best_key: Option<KeyRecord>,
        finalized_key: Option<KeyRecord>,
        now: Millis,
        rng: &mut dyn CryptoRngCore,
        commands: &mut Vec<Command>,
    ) {
        let Some(Vetting::LookingUp { waiting }) = self.signing.vetted.remove(&id) else {
            return;
        };
        let Some(heads) = self.heads.as_ref() else {
            return;
        };
        let open = heads.best.view.requests.iter().find(|open| open.id == id);
        let Some((open, record)) = open.zip(request) else {
            let retry_at = now + LOOK_UP_MILLIS;
            self.signing.vetted.insert(id, Vetting::Failed { retry_at });
            return;
        };
        let root = heads
            .finalized
            .view
            .key(open.scheme)
            .and_then(KeyState::active);
        let vetting = match root {
            Some(root) => judge_request(
                open,
                &record,
                best_key.as_ref(),
                finalized_key.as_ref(),
                root,
            ),
            None => None,
        };
        let vetting = vetting.unwrap_or(Vetting::NotYet {
            finalized: heads.finalized.hash,
        });
        self.signing.vetted.insert(id, vetting);
        for (from, invitation) in waiting {
            self.invited(from, invitation, now, rng, commands);
        }
    }

    /// As signer: a leader asks.
    pub(super) fn invited(
        &mut self,
        from: PartyId,
        invitation: Invitation,
        now: Millis,
        rng: &mut dyn CryptoRngCore,
        commands: &mut Vec<Command>,
    ) {
        if let Subject::Request(id) = invitation.subject
            && let Some(Vetting::LookingUp { waiting }) = self.signing.vetted.get_mut(&id)
        {
            // One place for each peer: answered when the look-up is.
            waiting.retain(|(peer, _)| *peer != from);
            waiting.push((from, invitation));
            return;
        }
        // A leader that asks again has given up the attempt before: without this it would keep its signers until their deadline.
        for (id, running) in &mut self.signing.running {
            if running.subject == invitation.subject && running.leader == from && !running.expired {
                running.expired = true;
                commands.push(Command::Expire(*id));
            }
        }
        let frame = match self.judge(&from, &invitation) {
            Err(reason) => Frame::Decline {
                invitation: invitation.number,
                reason,
            },
            Ok(plan) => {
                let mut nonce = [0; 32];
                rng.fill_bytes(&mut nonce);
                let until = now + ACCEPTED_MILLIS;
                let number = invitation.number;
                let accepted = Accepted {
                    leader: from,
                    number,
                    nonce,
                    plan,
                    until,
                };
                self.signing.accepted.insert(invitation.subject, accepted);
                Frame::Accept {
                    invitation: number,
                    nonce,
                }
            }
        };
        commands.push(Command::Send { to: from, frame });
    }

    /// Whether this server takes part in what `from` proposes to lead.
    fn judge(&self, from: &PartyId, invitation: &Invitation) -> Result<Plan, DeclineReason> {
        let heads = self.heads.as_ref().ok_or(DeclineReason::Unknown)?;
        let subject = invitation.subject;
        let plan = self.plan(heads, &subject)?;
        if !plan.leaders.contains(from) {
            return Err(DeclineReason::NotLeader);
        }
        if plan.share.public_digest != invitation.public_digest {
            return Err(DeclineReason::NoShare);
        }
        let agreed_with_another = self
            .signing
            .accepted
            .get(&subject)
            .is_some_and(|accepted| accepted.leader != *from);
        let led_by_from = self
            .signing
            .running
            .values()
            .filter(|running| running.leader == *from)
            .count();
        let leads_itself = self.signing.leads.contains_key(&subject);
        let busy = leads_itself || agreed_with_another || self.signing.is_busy_with(&subject);
        let replaces = self.signing.accepted.contains_key(&subject);
        let full = !replaces && self.signing.is_full(plan.scheme);
        if busy || full || led_by_from >= MAX_PER_LEADER {
            return Err(DeclineReason::Busy);
        }
        Ok(plan)
    }

    /// As signer: the leader names the signers.
    pub(super) fn begun(
        &mut self,
        from: PartyId,
        number: [u8; 16],
        signers: Vec<(PartyId, [u8; 32])>,
        now: Millis,
        commands: &mut Vec<Command>,
    ) {
        let agreed = |accepted: &Accepted| accepted.leader == from && accepted.number == number;
        let Some((&subject, accepted)) = self
            .signing
            .accepted
            .iter()
            .find(|(_, accepted)| agreed(accepted))
        else {
            return;
        };
        let parties: Vec<_> = signers.iter().map(|(party, _)| *party).collect();
        let mine = signers
            .iter()
            .any(|(party, nonce)| *party == self.me && *nonce == accepted.nonce);
        if !mine || !parties.contains(&from) || !accepted.plan.admits(&parties) {
            self.signing.accepted.remove(&subject);
            return;
        }
        let plan = accepted.plan.clone();
        self.signing.accepted.remove(&subject);
        self.run(subject, from, &plan, signers, now, commands);
    }
}

/// Whether finalized and best state both authorise a request, and it is what the view says; `None` if a later finalized block must tell.
fn judge_request(
    open: &OpenRequest,
    record: &RequestRecord,
    best_key: Option<&KeyRecord>,
    finalized_key: Option<&KeyRecord>,
    root: &ActiveKey,
) -> Option<Vetting> {
    let finalized_key = finalized_key?;
    let best_key = best_key?;
    for key in [finalized_key, best_key] {
        if key.scheme != open.scheme || !key.may_request(&record.requester) {
            return Some(Vetting::Refused(DeclineReason::NotAuthorised));
        }
        if !key.programs.is_empty() {
            return Some(Vetting::Refused(DeclineReason::ProgramsNotSupported));
        }
    }
    let content = &record.content;
    let digest = request_digest(open.scheme, content.hasher, &content.message);
    let final_key = derivation::derive(open.scheme, &root.root_key, &content.key, &content.path)
        .and_then(|derived| derived.final_key(open.scheme, &content.tweak));
    let consistent = digest == Ok(open.digest)
        && final_key == Ok(open.final_key)
        && (content.key, &content.path, content.tweak) == (open.key, &open.path, open.tweak)
        && record.requester == open.requester;
    Some(if consistent {
        Vetting::Approved
    } else {
        Vetting::Refused(DeclineReason::NotAuthorised)
    })
}
