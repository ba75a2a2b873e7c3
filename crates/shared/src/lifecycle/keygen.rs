//! How the network comes to a root key: attempts, agreement, proof, activation, and who is left out of the next attempt.
//!
//! A *target* fixes committee and threshold. An attempt is made by the target's parties, less those left out; leaving
//! out never lowers the threshold, and at most `n - t` are ever left out for one target, so that a minority cannot
//! shrink the committee until it owns it. The key is active once every party of the attempt reports the same public
//! digest, each with a signature that a threshold of the new holders made under the reserved child: agreement and
//! proof come in one report, so there is no state between `Generating` and `Active`.

use alloc::vec::Vec;
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    BlockNumber, Epoch,
    canonical::proof_digest,
    committee::{Committee, MAX_PARTIES, parties_max_encoded_len},
    derivation::{DerivationPath, TaprootTweak, derive},
    ids::{Digest, Genesis, KeyId, PartyId},
    parameters::Parameters,
    scheme::Scheme,
    signature::{Signature, VerifyingKey},
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
    Absent,
    /// An attempt is being made.
    Generating(Generating),
    /// The key exists and signs.
    Active(ActiveKey),
}

/// A key generation under way.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Generating {
    /// The epoch that the key's first holders will serve.
    pub epoch: Epoch,
    /// The committee that ought to hold the key.
    pub target: Committee,
    /// Number of the attempt, from 1.
    pub attempt: u32,
    /// Who makes this attempt: the target less `left_out`, with the target's threshold.
    pub committee: Committee,
    /// Those of the target whom this attempt does without; at most `n - t`.
    pub left_out: Vec<PartyId>,
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
    /// The block in which it became active.
    pub since: BlockNumber,
}

/// What the chain keeps of a report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Reported {
    /// Who reported.
    pub party: PartyId,
    /// The result, or `None` for a failure.
    pub result: Option<KeygenResult>,
    /// Whom it accuses, if it failed.
    pub accused: Vec<PartyId>,
}

/// What the holders must agree on.
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
pub struct KeygenResult {
    /// Digest of the public package.
    pub public_digest: Digest,
    /// The root key in it.
    pub root_key: VerifyingKey,
}

/// What a server tells the chain about its part in an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct KeygenReport {
    /// The server that reports.
    pub server: PartyId,
    /// The scheme of the key.
    pub scheme: Scheme,
    /// The epoch of the attempt.
    pub epoch: Epoch,
    /// The number of the attempt.
    pub attempt: u32,
    /// How it ended for this server.
    pub outcome: KeygenOutcome,
}

/// How an attempt ended for one server.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum KeygenOutcome {
    /// It holds a flushed share and has taken part in a proof.
    Ready {
        /// What it holds a share of.
        result: KeygenResult,
        /// The signature over [`proof_digest`] that it took part in.
        proof: Signature,
    },
    /// It holds nothing.
    Failed {
        /// Whom it misses or blames; without proof, so this alone excludes nobody.
        accused: Vec<PartyId>,
    },
}

impl KeygenReport {
    /// Whether it reports a share rather than a failure.
    pub const fn is_ready(&self) -> bool {
        matches!(self.outcome, KeygenOutcome::Ready { .. })
    }
}

/// Why a report does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportError {
    /// It speaks of an attempt that the chain has not begun, as far as this block knows: it may come true.
    Future,
    /// It speaks of an attempt that has ended, or its deadline is over.
    Obsolete,
    /// The server is not a party of the attempt.
    NotAParty,
    /// The server has reported already.
    Repeated,
    /// It accuses the server itself, somebody outside of the attempt, or anybody twice.
    BadAccusation,
    /// The proof does not verify.
    BadProof,
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Future => "the attempt has not begun",
            Self::Obsolete => "the attempt has ended",
            Self::NotAParty => "the server is not a party of the attempt",
            Self::Repeated => "the server has reported already",
            Self::BadAccusation => "it accuses itself, an outsider, or somebody twice",
            Self::BadProof => "the proof does not verify",
        })
    }
}

impl core::error::Error for ReportError {}

/// What a transition did, for events and logs.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum KeygenNote {
    /// An attempt began.
    Started {
        /// Its number.
        attempt: u32,
        /// The last block in which reports count.
        deadline: BlockNumber,
        /// Whom it does without.
        left_out: Vec<PartyId>,
    },
    /// More would have to be left out than a target may lose: the list is forgotten, everybody tries again with more time. An operator should look.
    TooManyLeftOut,
    /// All parties reported, but not the same.
    Disagreed,
    /// The key is active.
    Activated {
        /// The root key.
        root_key: VerifyingKey,
    },
}

/// A new state and what led to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transition {
    /// The state from now on.
    pub state: KeyState,
    /// What happened, in order.
    pub notes: Vec<KeygenNote>,
}

/// Begins to generate the first holders' shares, of epoch 1.
pub fn begin(target: Committee, now: BlockNumber, parameters: &Parameters) -> Transition {
    start(1, target, 1, Vec::new(), 0, now, parameters)
}

impl KeyState {
    /// The active key, if there is one.
    pub const fn active(&self) -> Option<&ActiveKey> {
        match self {
            Self::Active(key) => Some(key),
            Self::Absent | Self::Generating(_) => None,
        }
    }

    /// Whether `report` would count now: cheap checks of state first, then the proof (one signature of the scheme, one derivation).
    pub fn check_report(
        &self,
        genesis: &Genesis,
        report: &KeygenReport,
        now: BlockNumber,
    ) -> Result<(), ReportError> {
        self.check_report_state(report, now)?;
        match &report.outcome {
            KeygenOutcome::Ready { result, proof } => check_proof(genesis, report, result, proof),
            KeygenOutcome::Failed { .. } => Ok(()),
        }
    }

    /// The part of [`Self::check_report`] that costs nothing: whether the attempt awaits a report of this server.
    pub fn check_report_state(
        &self,
        report: &KeygenReport,
        now: BlockNumber,
    ) -> Result<(), ReportError> {
        let generating = match self {
            Self::Absent => return Err(ReportError::Future),
            Self::Active(key) if report.epoch > key.epoch => return Err(ReportError::Future),
            Self::Active(_) => return Err(ReportError::Obsolete),
            Self::Generating(generating) => generating,
        };
        if (report.epoch, report.attempt) > (generating.epoch, generating.attempt) {
            return Err(ReportError::Future);
        }
        if (report.epoch, report.attempt) < (generating.epoch, generating.attempt)
            || now > generating.deadline
        {
            return Err(ReportError::Obsolete);
        }
        if !generating.committee.contains(&report.server) {
            return Err(ReportError::NotAParty);
        }
        if generating
            .reports
            .iter()
            .any(|reported| reported.party == report.server)
        {
            return Err(ReportError::Repeated);
        }
        if let KeygenOutcome::Failed { accused } = &report.outcome {
            let plausible = accused.len() < usize::from(generating.committee.size())
                && accused
                    .iter()
                    .all(|party| *party != report.server && generating.committee.contains(party))
                && (1..accused.len()).all(|i| !accused[..i].contains(&accused[i]));
            if !plausible {
                return Err(ReportError::BadAccusation);
            }
        }
        Ok(())
    }

    /// Counts a report; the same checks as [`Self::check_report`].
    pub fn report(
        &self,
        genesis: &Genesis,
        report: &KeygenReport,
        now: BlockNumber,
        parameters: &Parameters,
    ) -> Result<Transition, ReportError> {
        self.check_report(genesis, report, now)?;
        let Self::Generating(generating) = self else {
            return Err(ReportError::Obsolete);
        };
        let mut generating = generating.clone();
        let (result, accused) = match &report.outcome {
            KeygenOutcome::Ready { result, .. } => (Some(*result), Vec::new()),
            KeygenOutcome::Failed { accused } => (None, accused.clone()),
        };
        let failures = generating
            .reports
            .iter()
            .filter(|reported| reported.result.is_none())
            .count();
        if result.is_none() && failures + 1 >= generating.one_is_honest() {
            generating.deadline = generating
                .deadline
                .min(now.saturating_add(FAILURE_GRACE_BLOCKS));
        }
        generating.reports.push(Reported {
            party: report.server,
            result,
            accused,
        });
        Ok(generating.settle(now, parameters))
    }

    /// Lets a block pass: an attempt whose deadline is over gives way to the next. `None` if nothing changes.
    pub fn tick(&self, now: BlockNumber, parameters: &Parameters) -> Option<Transition> {
        match self {
            Self::Generating(generating) if now > generating.deadline => {
                Some(generating.next_attempt(now, parameters))
            }
            _ => None,
        }
    }
}

impl Generating {
    /// After a report: active if all agree, the next attempt if all have reported and do not.
    fn settle(self, now: BlockNumber, parameters: &Parameters) -> Transition {
        if self.reports.len() < usize::from(self.committee.size()) {
            return Transition {
                state: KeyState::Generating(self),
                notes: Vec::new(),
            };
        }
        let first = self.reports.first().and_then(|reported| reported.result);
        match first {
            Some(result) if self.reports.iter().all(|reported| reported.result == first) => {
                Transition {
                    notes: [KeygenNote::Activated {
                        root_key: result.root_key,
                    }]
                    .into(),
                    state: KeyState::Active(ActiveKey {
                        epoch: self.epoch,
                        attempt: self.attempt,
                        committee: self.committee,
                        root_key: result.root_key,
                        public_digest: result.public_digest,
                        since: now,
                    }),
                }
            }
            _ => {
                let disagreed = self
                    .reports
                    .iter()
                    .all(|reported| reported.result.is_some());
                let mut transition = self.next_attempt(now, parameters);
                if disagreed {
                    transition.notes.insert(0, KeygenNote::Disagreed);
                }
                transition
            }
        }
    }

    fn next_attempt(&self, now: BlockNumber, parameters: &Parameters) -> Transition {
        let dropped = self.to_leave_out();
        let attempt = self.attempt.saturating_add(1);
        let mut left_out = self.left_out.clone();
        left_out.extend(&dropped);
        left_out.sort_unstable();
        let allowed = usize::from(self.target.size() - self.target.threshold());
        let too_many = left_out.len() > allowed;
        // Without anybody to leave out, more time is the only thing that can help.
        let doublings = if too_many || dropped.is_empty() {
            (self.doublings + 1).min(MAX_DOUBLINGS)
        } else {
            self.doublings
        };
        if too_many {
            left_out.clear();
        }
        let mut transition = start(
            self.epoch,
            self.target.clone(),
            attempt,
            left_out,
            doublings,
            now,
            parameters,
        );
        if too_many {
            transition.notes.insert(0, KeygenNote::TooManyLeftOut);
        }
        transition
    }

    /// How many parties of the attempt must say the same for one honest party to be among them: more than `n - t`.
    fn one_is_honest(&self) -> usize {
        usize::from(self.committee.size() - self.committee.threshold()) + 1
    }

    /// The silent, if at least `t` have reported; those who contradict the result of at least `t`; and those whom more
    /// than `n - t` accuse, and at least two.
    fn to_leave_out(&self) -> Vec<PartyId> {
        let threshold = usize::from(self.committee.threshold());
        let accusers_needed = self.one_is_honest();
        let agreed = self
            .reports
            .iter()
            .filter_map(|reported| reported.result)
            .find(|result| {
                let same = |reported: &&Reported| reported.result == Some(*result);
                self.reports.iter().filter(same).count() >= threshold
            });
        let enough_reported = self.reports.len() >= threshold;
        let is_left_out = |party: &&PartyId| {
            let silent = !self
                .reports
                .iter()
                .any(|reported| reported.party == **party);
            let accusers = self
                .reports
                .iter()
                .filter(|reported| reported.accused.contains(party))
                .count();
            let contradicts = self.reports.iter().any(|reported| {
                reported.party == **party && reported.result.is_some() && reported.result != agreed
            });
            (silent && enough_reported)
                || (contradicts && agreed.is_some())
                || accusers >= accusers_needed.max(2)
        };
        self.committee
            .parties()
            .iter()
            .filter(is_left_out)
            .copied()
            .collect()
    }
}

fn start(
    epoch: Epoch,
    target: Committee,
    attempt: u32,
    left_out: Vec<PartyId>,
    doublings: u8,
    now: BlockNumber,
    parameters: &Parameters,
) -> Transition {
    let parties = target
        .parties()
        .iter()
        .filter(|party| !left_out.contains(party))
        .copied();
    // At most n - t are left out, so t of at least 2 remain; were it otherwise, everybody tries.
    let committee = Committee::new(parties, target.threshold()).unwrap_or_else(|_| target.clone());
    let time = parameters
        .keygen_deadline_blocks
        .saturating_mul(1 << doublings);
    let deadline = now.saturating_add(time);
    Transition {
        notes: [KeygenNote::Started {
            attempt,
            deadline,
            left_out: left_out.clone(),
        }]
        .into(),
        state: KeyState::Generating(Generating {
            epoch,
            target,
            attempt,
            committee,
            left_out,
            started: now,
            deadline,
            doublings,
            reports: Vec::new(),
        }),
    }
}

fn check_proof(
    genesis: &Genesis,
    report: &KeygenReport,
    result: &KeygenResult,
    proof: &Signature,
) -> Result<(), ReportError> {
    let key = KeyId::of_proof(genesis, report.scheme);
    let digest = proof_digest(
        genesis,
        report.scheme,
        report.epoch,
        report.attempt,
        &result.public_digest,
    );
    derive(
        report.scheme,
        &result.root_key,
        &key,
        &DerivationPath::default(),
    )
    .and_then(|derived| derived.final_key(report.scheme, &TaprootTweak::None))
    .map_err(|_| ReportError::BadProof)
    .and_then(|key| {
        proof
            .verify(&key, &digest)
            .map_err(|_| ReportError::BadProof)
    })
}

impl MaxEncodedLen for Reported {
    fn max_encoded_len() -> usize {
        PartyId::max_encoded_len()
            + Option::<KeygenResult>::max_encoded_len()
            + parties_max_encoded_len()
    }
}

impl MaxEncodedLen for Generating {
    fn max_encoded_len() -> usize {
        2 * Committee::max_encoded_len()
            + parties_max_encoded_len()
            + 4 * u32::max_encoded_len()
            + u8::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_PARTIES as usize * Reported::max_encoded_len()
    }
}
