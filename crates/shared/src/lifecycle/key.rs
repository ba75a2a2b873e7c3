//! How the network comes to a root key, and how its shares pass from one committee to the next: attempts, agreement,
//! proof, activation, and who is left out of the next attempt.
//!
//! A *target* fixes committee and threshold of the new holders. An attempt is made by the target's parties, less those
//! left out; leaving out never lowers the threshold, and at most `n - t` are ever left out, so that a minority cannot
//! shrink the committee until it owns it. When a key that exists is dealt anew, its present holders deal, less those left
//! out, but never fewer than a threshold of them; at least as many are in the target, and newcomers alone are fewer than its
//! threshold. The new shares count once every new holder of the attempt reports the same
//! public digest, each with a signature that a threshold of the new holders made under the reserved child: agreement
//! and proof come in one report, so there is no state between. While shares are dealt anew, the old holders sign.

mod blame;
mod report;

use alloc::vec::Vec;
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

pub use self::{
    blame::Suspect,
    report::{AttemptOutcome, AttemptReport, AttemptResult, ReportError, Reported},
};

use crate::{
    BlockNumber, Epoch,
    committee::{Committee, MAX_PARTIES, parties_max_encoded_len},
    ids::{Digest, Genesis, PartyId},
    parameters::Parameters,
    signature::VerifyingKey,
};

/// Blocks left to an attempt once more than `n - t` parties have reported that it failed, so that the others can say whom they miss.
///
/// One of so many is honest. A single party cannot cut an attempt short, and so make the slow look silent.
pub const FAILURE_GRACE_BLOCKS: BlockNumber = 10;

/// How often the time of an attempt may double.
const MAX_DOUBLINGS: u8 = 4;

/// Where the network's root key of one scheme stands.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum KeyState {
    /// No key, and no committee large enough to make one.
    #[default]
    #[codec(index = 0)]
    Absent,
    /// An attempt is being made to generate the key.
    #[codec(index = 1)]
    Generating(Attempt),
    /// The key exists and signs.
    #[codec(index = 2)]
    Active(ActiveKey),
    /// An attempt is being made to deal its shares anew, while the present holders sign.
    #[codec(index = 3)]
    Resharing {
        /// The key with its present holders, who deal.
        from: ActiveKey,
        /// The attempt to make shares for the next epoch's holders.
        attempt: Attempt,
    },
}

/// An attempt to give a committee shares of a root key: one that is generated, or one that exists.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Attempt {
    /// The epoch that the new holders will serve.
    pub epoch: Epoch,
    /// The committee that ought to hold the shares.
    pub target: Committee,
    /// Number of the attempt in its epoch, from 1. It never falls while the epoch is the same, whatever becomes of the target.
    pub attempt: u32,
    /// Who is to hold the shares of this attempt: the target less `left_out` and `set_aside`, with the target's threshold.
    pub committee: Committee,
    /// Those of the target and of the present holders whom no further attempt at the target awaits.
    pub left_out: Vec<PartyId>,
    /// Those whom this attempt alone does without, because failures could not be attributed. With `left_out` at most
    /// `n - t` of the target, and at most `n - t` of the present holders.
    pub set_aside: Vec<PartyId>,
    /// How many failed attempts at this target each party may have spoilt; parties without any are not listed.
    pub suspects: Vec<Suspect>,
    /// How many attempts at this target failed without a fault that could be attributed.
    pub unexplained: u16,
    /// The version of the ceremonies that the new holders run.
    pub protocol_version: u16,
    /// The block in which the attempt began.
    pub started: BlockNumber,
    /// The last block in which reports count.
    pub deadline: BlockNumber,
    /// How often the time of an attempt has doubled.
    pub doublings: u8,
    /// What parties have reported, at most one report each.
    pub reports: Vec<Reported>,
}

/// A root key in use.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct ActiveKey {
    /// The epoch of its holders.
    pub epoch: Epoch,
    /// The attempt that made their shares.
    pub attempt: u32,
    /// Its holders.
    pub committee: Committee,
    /// The root key, the same for ever.
    pub root_key: VerifyingKey,
    /// The digest of [`crate::PublicPackage`] that the holders agreed on.
    pub public_digest: Digest,
    /// The version of the ceremonies that its holders run.
    pub protocol_version: u16,
    /// The block in which these holders' shares became active.
    pub since: BlockNumber,
    /// How many attempts have been made at the next epoch. The next has a higher number, for what has begun never begins again.
    pub attempts: u32,
}

/// Why shares can't be dealt anew now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReshareError {
    /// There is no active key, or its shares are being dealt anew already.
    NotActive,
    /// Fewer than `t` of the present holders are in the target.
    TooFewStay,
    /// Those in the target who hold no share now would be enough to sign.
    TooManyNew,
}

impl fmt::Display for ReshareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotActive => "no key is active, or its shares are being dealt anew already",
            Self::TooFewStay => "fewer than a threshold of the present holders are in the target",
            Self::TooManyNew => "the target's newcomers alone would be enough to sign",
        })
    }
}

impl core::error::Error for ReshareError {}

/// Why a party was left out of the attempts at a target.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum LeftOutReason {
    /// It did not report, though at least `t` did, or more than `n - t` awaited it in vain.
    #[codec(index = 0)]
    Silent,
    /// It failed and names nobody, though more than `n - t` awaited it in vain or at least `t` came to a result.
    #[codec(index = 1)]
    Failed,
    /// More than `n - t` accuse it.
    #[codec(index = 2)]
    Accused,
    /// It reported another result than at least `t` others.
    #[codec(index = 3)]
    Contradicted,
    /// Attempts failed, nobody could say why, and the one without it succeeded.
    #[codec(index = 4)]
    Suspected,
}

/// What a transition did, for events, logs and the standing of servers.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum KeyNote {
    /// An attempt began.
    #[codec(index = 0)]
    Started {
        /// The epoch that the new holders will serve.
        epoch: Epoch,
        /// Its number.
        attempt: u32,
        /// The last block in which reports count.
        deadline: BlockNumber,
        /// Whom of its target and of the present holders it does without.
        without: Vec<PartyId>,
    },
    /// A party is left out of further attempts at the target.
    #[codec(index = 1)]
    LeftOut {
        /// Who.
        party: PartyId,
        /// Why.
        reason: LeftOutReason,
    },
    /// More would have to be left out, or did not report, than a target may lose: the list is forgotten, and the next
    /// attempt, with more time, is at a target chosen anew. An operator should look.
    #[codec(index = 2)]
    TooManyLeftOut,
    /// All parties reported, but not the same.
    #[codec(index = 3)]
    Disagreed,
    /// The new shares are active.
    #[codec(index = 4)]
    Activated {
        /// The epoch of their holders.
        epoch: Epoch,
        /// The root key.
        root_key: VerifyingKey,
    },
    /// The attempts at a target are given up. The present holders stay; without any, attempts at a target chosen anew follow.
    #[codec(index = 5)]
    GivenUp,
}

/// A new state and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state from now on.
    pub state: KeyState,
    /// What happened, in order.
    pub notes: Vec<KeyNote>,
}

/// Begins to generate the first holders' shares, of epoch 1.
pub fn begin(target: Committee, now: BlockNumber, parameters: &Parameters) -> Transition {
    let plan = Plan::new(1, target, 1, parameters);
    start(None, plan, now, parameters)
}

impl KeyState {
    /// The key that signs, if there is one: with its present holders while its shares are dealt anew.
    pub const fn active(&self) -> Option<&ActiveKey> {
        match self {
            Self::Active(key) | Self::Resharing { from: key, .. } => Some(key),
            Self::Absent | Self::Generating(_) => None,
        }
    }

    /// The attempt under way, if there is one.
    pub const fn attempt(&self) -> Option<&Attempt> {
        match self {
            Self::Generating(attempt) | Self::Resharing { attempt, .. } => Some(attempt),
            Self::Absent | Self::Active(_) => None,
        }
    }

    /// Whether `party` holds a share, ought to come to hold one, or is left out of an attempt at that.
    pub fn involves(&self, party: &PartyId) -> bool {
        let holds = self
            .active()
            .is_some_and(|key| key.committee.contains(party));
        holds
            || self
                .attempt()
                .is_some_and(|attempt| attempt.target.contains(party))
    }

    /// Begins to deal the shares of the active key anew, to `target`: the same committee for a refresh, or another.
    ///
    /// At least `t` of the present holders must be in it, and those who are not must be fewer than its threshold, so that no
    /// single change hands a key to newcomers.
    pub fn reshare(
        &self,
        target: Committee,
        now: BlockNumber,
        parameters: &Parameters,
    ) -> Result<Transition, ReshareError> {
        let Self::Active(from) = self else {
            return Err(ReshareError::NotActive);
        };
        from.check_target(&target)?;
        let epoch = from.epoch.saturating_add(1);
        let plan = Plan::new(epoch, target, from.attempts.saturating_add(1), parameters);
        Ok(start(Some(from), plan, now, parameters))
    }

    /// Gives up the attempts at the present target; `None` if there are none.
    ///
    /// The present holders stay. A key that is being generated has none: the next attempt is at the target that `choose` gives
    /// (called as by [`Self::report`], without anybody left out), or at the same one.
    pub fn give_up(
        &self,
        now: BlockNumber,
        parameters: &Parameters,
        choose: impl FnOnce(&[PartyId]) -> Option<Committee>,
    ) -> Option<Transition> {
        match self {
            Self::Absent | Self::Active(_) => None,
            Self::Resharing { from, attempt } => Some(Transition {
                state: Self::Active(ActiveKey {
                    attempts: attempt.attempt,
                    ..from.clone()
                }),
                notes: [KeyNote::GivenUp].into(),
            }),
            Self::Generating(attempt) => {
                let target = choose(&[]).unwrap_or_else(|| attempt.target.clone());
                let number = attempt.attempt.saturating_add(1);
                let plan = Plan::new(attempt.epoch, target, number, parameters);
                let mut transition = start(None, plan, now, parameters);
                transition.notes.insert(0, KeyNote::GivenUp);
                Some(transition)
            }
        }
    }

    /// Whether `report` would count now: cheap checks of state first, then the proof (one signature of the scheme, one derivation).
    pub fn check_report(
        &self,
        genesis: &Genesis,
        report: &AttemptReport,
        now: BlockNumber,
    ) -> Result<(), ReportError> {
        self.check_report_state(report, now)?;
        match &report.outcome {
            AttemptOutcome::Ready { result, proof } => {
                report::check_proof(genesis, report, result, proof)
            }
            AttemptOutcome::Failed { .. } => Ok(()),
        }
    }

    /// The part of [`Self::check_report`] that costs nothing: whether the attempt awaits a report of this server.
    pub fn check_report_state(
        &self,
        report: &AttemptReport,
        now: BlockNumber,
    ) -> Result<(), ReportError> {
        let reported = (report.epoch, report.attempt);
        let Some(attempt) = self.attempt() else {
            // What has ended lies behind the active key's epoch, or among the attempts at the next.
            return Err(match self.active() {
                Some(key) if reported <= (key.epoch.saturating_add(1), key.attempts) => {
                    ReportError::Obsolete
                }
                _ => ReportError::Future,
            });
        };
        let present = (attempt.epoch, attempt.attempt);
        if reported > present {
            return Err(ReportError::Future);
        }
        if reported < present || now > attempt.deadline {
            return Err(ReportError::Obsolete);
        }
        if !attempt.committee.contains(&report.server) {
            return Err(ReportError::NotAParty);
        }
        if attempt.report_of(&report.server).is_some() {
            return Err(ReportError::Repeated);
        }
        match &report.outcome {
            AttemptOutcome::Failed { accused, missed } => {
                let takes_part = |party: &PartyId| {
                    attempt.committee.contains(party)
                        || self
                            .active()
                            .is_some_and(|from| from.committee.contains(party))
                };
                let plausible = |named: &[PartyId]| {
                    named.len() <= MAX_PARTIES as usize
                        && named
                            .iter()
                            .all(|party| *party != report.server && takes_part(party))
                        && (1..named.len()).all(|i| !named[..i].contains(&named[i]))
                };
                if plausible(accused) && plausible(missed) {
                    Ok(())
                } else {
                    Err(ReportError::BadAccusation)
                }
            }
            AttemptOutcome::Ready { result, .. } => match self.active() {
                Some(from) if from.root_key != result.root_key => Err(ReportError::WrongKey),
                _ => Ok(()),
            },
        }
    }

    /// Counts a report; the same checks as [`Self::check_report`].
    ///
    /// `choose` gives the committee that would be chosen now without these parties, who have been left out; it is called if the
    /// target must be chosen anew.
    pub fn report(
        &self,
        genesis: &Genesis,
        report: &AttemptReport,
        now: BlockNumber,
        parameters: &Parameters,
        choose: impl FnOnce(&[PartyId]) -> Option<Committee>,
    ) -> Result<Transition, ReportError> {
        self.check_report(genesis, report, now)?;
        let mut attempt = self.attempt().ok_or(ReportError::Obsolete)?.clone();
        let (result, accused, missed) = match &report.outcome {
            AttemptOutcome::Ready { result, .. } => (Some(*result), Vec::new(), Vec::new()),
            AttemptOutcome::Failed { accused, missed } => (None, accused.clone(), missed.clone()),
        };
        let failed = result.is_none();
        attempt.reports.push(Reported {
            party: report.server,
            result,
            accused,
            missed,
        });
        let failures = attempt
            .reports
            .iter()
            .filter(|reported| reported.result.is_none())
            .count();
        if failed && failures >= attempt.one_is_honest() {
            attempt.deadline = attempt
                .deadline
                .min(now.saturating_add(FAILURE_GRACE_BLOCKS));
        }
        let from = self.active();
        if attempt.reports.len() < usize::from(attempt.committee.size()) {
            return Ok(Transition {
                state: attempting(from, attempt),
                notes: Vec::new(),
            });
        }
        Ok(match attempt.agreed_by_all() {
            Some(result) => attempt.activate(result, now),
            None => {
                let disagreed = attempt
                    .reports
                    .iter()
                    .all(|reported| reported.result.is_some());
                let mut transition = next(from, &attempt, now, parameters, choose);
                if disagreed {
                    transition.notes.insert(0, KeyNote::Disagreed);
                }
                transition
            }
        })
    }

    /// Lets a block pass: an attempt whose deadline is over gives way to the next. `None` if nothing changes.
    ///
    /// `choose` as in [`Self::report`].
    pub fn tick(
        &self,
        now: BlockNumber,
        parameters: &Parameters,
        choose: impl FnOnce(&[PartyId]) -> Option<Committee>,
    ) -> Option<Transition> {
        let attempt = self.attempt().filter(|attempt| now > attempt.deadline)?;
        Some(next(self.active(), attempt, now, parameters, choose))
    }
}

impl ActiveKey {
    /// Whether the shares may be dealt anew to this committee: at least `t` of the present holders are in it, and those in it
    /// who hold no share now are fewer than its threshold.
    pub fn check_target(&self, target: &Committee) -> Result<(), ReshareError> {
        let stay = target
            .parties()
            .iter()
            .filter(|party| self.committee.contains(party))
            .count();
        if stay < usize::from(self.committee.threshold()) {
            return Err(ReshareError::TooFewStay);
        }
        if usize::from(target.size()) - stay >= usize::from(target.threshold()) {
            return Err(ReshareError::TooManyNew);
        }
        Ok(())
    }

    /// Whether its shares have served for as many sessions as the parameters allow.
    pub fn is_refresh_due(&self, now: BlockNumber, parameters: &Parameters) -> bool {
        let age = parameters
            .refresh_sessions
            .saturating_mul(parameters.session_blocks);
        age > 0 && now.saturating_sub(self.since) >= age
    }
}

/// What decides an attempt before it has begun.
struct Plan {
    epoch: Epoch,
    target: Committee,
    attempt: u32,
    left_out: Vec<PartyId>,
    set_aside: Vec<PartyId>,
    suspects: Vec<Suspect>,
    unexplained: u16,
    protocol_version: u16,
    doublings: u8,
}

impl Plan {
    fn new(epoch: Epoch, target: Committee, attempt: u32, parameters: &Parameters) -> Self {
        Self {
            epoch,
            target,
            attempt,
            left_out: Vec::new(),
            set_aside: Vec::new(),
            suspects: Vec::new(),
            unexplained: 0,
            protocol_version: parameters.protocol_version,
            doublings: 0,
        }
    }
}

/// The state while an attempt is made: at a key that is generated if there are no present holders, else at dealing anew.
fn attempting(from: Option<&ActiveKey>, attempt: Attempt) -> KeyState {
    match from {
        None => KeyState::Generating(attempt),
        Some(from) => KeyState::Resharing {
            from: from.clone(),
            attempt,
        },
    }
}

fn start(
    from: Option<&ActiveKey>,
    plan: Plan,
    now: BlockNumber,
    parameters: &Parameters,
) -> Transition {
    let without: Vec<_> = plan
        .left_out
        .iter()
        .chain(&plan.set_aside)
        .copied()
        .collect();
    let parties = plan
        .target
        .parties()
        .iter()
        .filter(|party| !without.contains(party));
    // At most n - t are left out, so t of at least 2 remain; were it otherwise, everybody tries.
    let committee = Committee::new(parties.copied(), plan.target.threshold())
        .unwrap_or_else(|_| plan.target.clone());
    let time = parameters
        .attempt_deadline_blocks
        .saturating_mul(1 << plan.doublings.min(MAX_DOUBLINGS));
    let deadline = now.saturating_add(time);
    Transition {
        notes: [KeyNote::Started {
            epoch: plan.epoch,
            attempt: plan.attempt,
            deadline,
            without,
        }]
        .into(),
        state: attempting(
            from,
            Attempt {
                epoch: plan.epoch,
                target: plan.target,
                attempt: plan.attempt,
                committee,
                left_out: plan.left_out,
                set_aside: plan.set_aside,
                suspects: plan.suspects,
                unexplained: plan.unexplained,
                protocol_version: plan.protocol_version,
                started: now,
                deadline,
                doublings: plan.doublings,
                reports: Vec::new(),
            },
        ),
    }
}

/// What follows an attempt that has failed.
fn next(
    from: Option<&ActiveKey>,
    attempt: &Attempt,
    now: BlockNumber,
    parameters: &Parameters,
    choose: impl FnOnce(&[PartyId]) -> Option<Committee>,
) -> Transition {
    let holders = from.map(|from| &from.committee);
    let verdict = attempt.judge(holders);
    let mut notes: Vec<_> = verdict
        .left_out
        .iter()
        .map(|(party, reason)| KeyNote::LeftOut {
            party: *party,
            reason: *reason,
        })
        .collect();
    let number = attempt.attempt.saturating_add(1);
    let longer = attempt.doublings.saturating_add(1).min(MAX_DOUBLINGS);
    let mut left_out = attempt.left_out.clone();
    left_out.extend(verdict.left_out.iter().map(|(party, _)| *party));
    left_out.sort_unstable();

    // Fewer than t came, and did not even say whom they miss. Once more with more time; then others may have to take part.
    let deserted = verdict.left_out.is_empty()
        && attempt.doublings > 0
        && attempt.reports.len() < usize::from(attempt.target.threshold());
    let plan = if deserted || !attempt.may_do_without(&left_out, holders) {
        notes.push(KeyNote::TooManyLeftOut);
        let target = choose(&left_out)
            .filter(|target| from.is_none_or(|from| from.check_target(target).is_ok()))
            .unwrap_or_else(|| attempt.target.clone());
        Plan {
            doublings: longer,
            ..Plan::new(attempt.epoch, target, number, parameters)
        }
    } else {
        let set_aside = attempt.to_set_aside(&verdict, &left_out, holders);
        // Without anybody to do without, more time is the only thing that can help.
        let doublings = if verdict.left_out.is_empty() && set_aside.is_empty() {
            longer
        } else {
            attempt.doublings
        };
        Plan {
            epoch: attempt.epoch,
            target: attempt.target.clone(),
            attempt: number,
            left_out,
            set_aside,
            suspects: verdict.suspects,
            unexplained: verdict.unexplained,
            protocol_version: attempt.protocol_version,
            doublings,
        }
    };
    let mut transition = start(from, plan, now, parameters);
    notes.append(&mut transition.notes);
    Transition {
        state: transition.state,
        notes,
    }
}

impl Attempt {
    /// Which of the present holders deal: all but those whom the attempt does without, and at least a threshold of them.
    pub fn dealers(&self, from: &ActiveKey) -> Vec<PartyId> {
        let parties = from.committee.parties().iter();
        parties
            .filter(|party| !self.without().any(|other| other == *party))
            .copied()
            .collect()
    }

    /// Whether a threshold of the target, and of the present holders, is left without these.
    fn may_do_without(&self, without: &[PartyId], holders: Option<&Committee>) -> bool {
        core::iter::once(&self.target)
            .chain(holders)
            .all(|committee| {
                let left = |party: &&PartyId| !without.contains(party);
                committee.parties().iter().filter(left).count()
                    >= usize::from(committee.threshold())
            })
    }

    /// Whom of the target and of the present holders the attempt does without.
    pub fn without(&self) -> impl Iterator<Item = &PartyId> {
        self.left_out.iter().chain(&self.set_aside)
    }

    /// What this party has reported, if it has.
    pub fn report_of(&self, party: &PartyId) -> Option<&Reported> {
        self.reports
            .iter()
            .find(|reported| reported.party == *party)
    }

    /// The result, if every report says the same.
    fn agreed_by_all(&self) -> Option<AttemptResult> {
        let first = self.reports.first()?.result;
        first.filter(|_| self.reports.iter().all(|reported| reported.result == first))
    }

    fn activate(self, result: AttemptResult, now: BlockNumber) -> Transition {
        let activated = KeyNote::Activated {
            epoch: self.epoch,
            root_key: result.root_key,
        };
        // Otherwise they would be chosen again at the next session, and spoil the next change as well.
        let suspected = self.set_aside.iter().map(|party| KeyNote::LeftOut {
            party: *party,
            reason: LeftOutReason::Suspected,
        });
        Transition {
            notes: core::iter::once(activated).chain(suspected).collect(),
            state: KeyState::Active(ActiveKey {
                epoch: self.epoch,
                attempt: self.attempt,
                committee: self.committee,
                root_key: result.root_key,
                public_digest: result.public_digest,
                protocol_version: self.protocol_version,
                since: now,
                attempts: 0,
            }),
        }
    }
}

impl MaxEncodedLen for Attempt {
    fn max_encoded_len() -> usize {
        // Those of the target and of the present holders can be left out, set aside and suspected.
        2 * Committee::max_encoded_len()
            + 4 * parties_max_encoded_len()
            + 2 * Compact::<u32>::max_encoded_len()
            + MAX_PARTIES as usize * (2 * Suspect::max_encoded_len() + Reported::max_encoded_len())
            + 4 * u32::max_encoded_len()
            + 2 * u16::max_encoded_len()
            + u8::max_encoded_len()
    }
}
