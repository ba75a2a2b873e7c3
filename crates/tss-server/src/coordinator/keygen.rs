//! Key generation: which attempts this server takes part in, and what it reports of them.

use entropy_protocol::{Failure, KeygenContext, Offence, Subject};
use entropy_shared::{
    CeremonyId, PartyId, PublicPackage, Scheme, Signature,
    lifecycle::key::{Attempt, AttemptOutcome, AttemptReport, AttemptResult, KeyState},
};

use super::{Command, Coordinator, Held, Submitted};
use crate::ports::{Heads, ShareName, Stage};

/// This server's part in one attempt.
#[derive(Debug)]
pub(super) struct Run {
    id: CeremonyId,
    context: KeygenContext,
    phase: Phase,
    submitted: Submitted,
}

#[derive(Debug)]
enum Phase {
    /// Not all parties of the attempt have a link yet.
    Gathering,
    /// The ceremony runs.
    Running,
    /// The share is staged; the proofs are still to be made.
    Staged(PublicPackage),
    /// A proof that this server took part in exists.
    Proven(PublicPackage, Signature),
    /// There is no share: whose fault that was as this server saw it, and whom it awaited.
    Failed {
        accused: Vec<PartyId>,
        missed: Vec<PartyId>,
    },
}

impl Run {
    pub(super) const fn is_running(&self) -> bool {
        matches!(self.phase, Phase::Running)
    }

    /// The package to prove, if this attempt has come so far.
    pub(super) const fn staged(&self) -> Option<&PublicPackage> {
        match &self.phase {
            Phase::Staged(public) | Phase::Proven(public, _) => Some(public),
            Phase::Gathering | Phase::Running | Phase::Failed { .. } => None,
        }
    }

    fn fail(
        &mut self,
        me: &PartyId,
        accused: impl IntoIterator<Item = PartyId>,
        missed: impl IntoIterator<Item = PartyId>,
    ) {
        let accused = self.others(me, accused);
        let missed = self.others(me, missed);
        self.phase = Phase::Failed { accused, missed };
    }

    /// Those of the parties that the chain lets a report of `me` name.
    fn others(&self, me: &PartyId, parties: impl IntoIterator<Item = PartyId>) -> Vec<PartyId> {
        let mut others: Vec<_> = parties
            .into_iter()
            .filter(|party| party != me && self.context.committee.contains(party))
            .collect();
        others.sort_unstable();
        others.dedup();
        others
    }

    fn outcome(&self) -> Option<AttemptOutcome> {
        match &self.phase {
            Phase::Proven(public, proof) => Some(AttemptOutcome::Ready {
                result: AttemptResult {
                    public_digest: public.digest(),
                    root_key: public.root_key,
                },
                proof: *proof,
            }),
            Phase::Failed { accused, missed } => Some(AttemptOutcome::Failed {
                accused: accused.clone(),
                missed: missed.clone(),
            }),
            Phase::Gathering | Phase::Running | Phase::Staged(_) => None,
        }
    }
}

impl Coordinator {
    pub(super) fn keygen_ended(
        &mut self,
        id: &CeremonyId,
        result: Result<(ShareName, PublicPackage), Failure>,
    ) {
        let me = self.me;
        let run = self.keygens.values_mut().find(|run| run.id == *id);
        match result {
            Ok((name, public)) => {
                if let Some(run) = run {
                    run.phase = Phase::Staged(public.clone());
                }
                // Kept even if the attempt is over by now: finalized state decides what becomes of it.
                self.shares.insert(
                    name,
                    Held {
                        stage: Stage::Staged,
                        public,
                    },
                );
            }
            Err(failure) => {
                if let Some(run) = run {
                    let (missed, accused): (Vec<_>, Vec<_>) = failure
                        .blame
                        .iter()
                        .partition(|blame| blame.offence == Offence::Silent);
                    let party = |blame: &entropy_protocol::Blame| blame.party;
                    run.fail(
                        &me,
                        accused.into_iter().map(party),
                        missed.into_iter().map(party),
                    );
                }
            }
        }
    }

    /// A proof of this attempt exists, and this server took part in it.
    pub(super) fn proof_made(
        &mut self,
        scheme: Scheme,
        epoch: u32,
        attempt: u32,
        proof: Signature,
    ) {
        if let Some(run) = self.keygens.get_mut(&(scheme, epoch, attempt))
            && let Phase::Staged(public) = &run.phase
        {
            run.phase = Phase::Proven(public.clone(), proof);
        }
    }

    /// Begins what finalized state asks for, ends what it no longer asks for, reports what is not yet on the chain.
    pub(super) fn reconcile_keygens(&mut self, heads: &Heads, commands: &mut Vec<Command>) {
        let view = &heads.finalized.view;
        let wanted: Vec<_> = view
            .keys
            .iter()
            .filter_map(|entry| match &entry.state {
                KeyState::Generating(generating) if generating.committee.contains(&self.me) => {
                    Some((entry.scheme, generating))
                }
                _ => None,
            })
            .collect();
        self.keygens.retain(|(scheme, epoch, attempt), run| {
            let current = wanted.iter().any(|(s, generating)| {
                s == scheme && (generating.epoch, generating.attempt) == (*epoch, *attempt)
            });
            if !current && run.is_running() {
                commands.push(Command::Expire(run.id));
            }
            current
        });
        for (scheme, generating) in wanted {
            self.begin(scheme, generating);
            let Some(run) = self
                .keygens
                .get_mut(&(scheme, generating.epoch, generating.attempt))
            else {
                continue;
            };
            run.advance(
                &self.me,
                &self.connected,
                generating,
                heads.best.view.block,
                commands,
            );
            let best = heads.best.view.key(scheme);
            if !has_reported(best, generating, &self.me)
                && let Some(outcome) = run.outcome()
                && let Some(valid_until) = run.submitted.due(heads.best.view.block)
            {
                let (epoch, attempt) = (generating.epoch, generating.attempt);
                let report = AttemptReport {
                    server: self.me,
                    scheme,
                    epoch,
                    attempt,
                    outcome,
                };
                commands.push(Command::Report {
                    report,
                    valid_until: valid_until.min(generating.deadline),
                });
            }
        }
        let keygens = &self.keygens;
        let wanted = |subject: &Subject| match subject {
            Subject::Proof {
                scheme,
                epoch,
                attempt,
                ..
            } => keygens.contains_key(&(*scheme, *epoch, *attempt)),
            Subject::Request(_) => false,
        };
        self.signing.drop_proofs_except(wanted, commands);
    }

    /// Takes note of an attempt; a share staged before a restart is taken up again.
    fn begin(&mut self, scheme: Scheme, generating: &Attempt) {
        let attempt = (scheme, generating.epoch, generating.attempt);
        if self.keygens.contains_key(&attempt) {
            return;
        }
        let context = KeygenContext {
            genesis: self.genesis,
            scheme,
            epoch: generating.epoch,
            attempt: generating.attempt,
            committee: generating.committee.clone(),
        };
        let staged = self.shares.iter().find(|(name, held)| {
            (name.scheme, name.epoch, name.attempt) == attempt
                && held.public.committee == generating.committee
        });
        let phase = match staged {
            Some((_, held)) => Phase::Staged(held.public.clone()),
            None => Phase::Gathering,
        };
        self.keygens.insert(
            attempt,
            Run {
                id: context.id(),
                context,
                phase,
                submitted: Submitted::default(),
            },
        );
    }
}

impl Run {
    fn advance(
        &mut self,
        me: &PartyId,
        connected: &std::collections::BTreeSet<PartyId>,
        generating: &Attempt,
        best: u32,
        commands: &mut Vec<Command>,
    ) {
        let time = generating.deadline.saturating_sub(generating.started);
        let late = best >= generating.deadline.saturating_sub((time / 10).max(2));
        let missing: Vec<_> = generating
            .committee
            .parties()
            .iter()
            .filter(|party| *party != me && !connected.contains(party))
            .copied()
            .collect();
        match self.phase {
            Phase::Gathering => {
                if missing.is_empty() {
                    self.phase = Phase::Running;
                    commands.push(Command::StartKeygen(self.context.clone()));
                } else if best >= generating.started.saturating_add(time / 3) {
                    // A ceremony that nobody could finish costs minutes; saying whom we miss costs a report.
                    self.fail(me, [], missing);
                }
            }
            // The rest of the time is for the report to be included.
            Phase::Running if late => commands.push(Command::Expire(self.id)),
            // No proof came: whoever is without link now is why, as far as this server can tell. If nobody is, saying
            // that it failed is still better than silence, which would leave this server out.
            Phase::Staged(_) if late => self.fail(me, [], missing),
            _ => {}
        }
    }
}

/// Whether the chain has this server's report, or has moved on so that it wants none.
fn has_reported(state: Option<&KeyState>, of: &Attempt, me: &PartyId) -> bool {
    match state {
        Some(KeyState::Generating(now)) if (now.epoch, now.attempt) == (of.epoch, of.attempt) => {
            now.reports.iter().any(|reported| reported.party == *me)
        }
        // The best block is behind the finalized one in no view of ours: another attempt there is a later one.
        _ => true,
    }
}
