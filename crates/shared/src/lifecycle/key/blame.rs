//! Whom the next attempt does without, from what the parties of this one have reported.
//!
//! Nobody is left out on the word of fewer than `n - t + 1` parties, of whom one is honest. What so many cannot attribute
//! is answered by doing without one party after another, those under most suspicion first: so a party that spoils every
//! attempt, whatever it says, delays a key only for as many attempts as there are parties to suspect.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use super::{Attempt, LeftOutReason, Reported};
use crate::{committee::Committee, digest::tagged_hash, ids::PartyId};

/// A party that may have spoilt attempts.
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
pub struct Suspect {
    /// Who.
    pub party: PartyId,
    /// How many attempts.
    pub attempts: u16,
}

/// What the reports of an attempt say.
pub(super) struct Verdict {
    /// Whom enough parties blame.
    pub left_out: Vec<(PartyId, LeftOutReason)>,
    /// The suspects of all attempts at the target, this one included.
    pub suspects: Vec<Suspect>,
    /// How many attempts, this one included, failed without a fault that could be attributed.
    pub unexplained: u16,
}

impl Attempt {
    /// How many parties must say the same for one honest party to be among them: more than `n - t` of the target, for
    /// those left out of the attempt need not be the dishonest ones.
    pub(super) fn one_is_honest(&self) -> usize {
        usize::from(self.target.size() - self.target.threshold()) + 1
    }

    /// `holders` are the present holders, who deal.
    pub(super) fn judge(&self, holders: Option<&Committee>) -> Verdict {
        let participants = self.participants(holders);
        let left_out: Vec<_> = participants
            .iter()
            .filter_map(|party| Some((*party, self.reason_to_leave_out(party)?)))
            .collect();
        // If fewer reported, the network or the chain may have been the reason, and nobody is suspected.
        let enough = self.reports.len() >= usize::from(self.committee.threshold());
        let disputants: Vec<_> = participants
            .iter()
            .filter(|party| {
                !left_out.iter().any(|(other, _)| other == *party)
                    && self.disputes(party, &participants, &left_out)
            })
            .copied()
            .collect();
        let unexplained = enough && left_out.is_empty() && disputants.is_empty();
        let suspected = if unexplained {
            &participants[..]
        } else {
            &disputants[..]
        };
        let mut suspects = self.suspects.clone();
        for party in suspected {
            match suspects.iter_mut().find(|suspect| suspect.party == *party) {
                Some(suspect) => suspect.attempts = suspect.attempts.saturating_add(1),
                None => suspects.push(Suspect {
                    party: *party,
                    attempts: 1,
                }),
            }
        }
        Verdict {
            left_out,
            suspects,
            unexplained: self.unexplained.saturating_add(unexplained.into()),
        }
    }

    /// Who takes part in the attempt: those who are to hold shares, and the present holders, who deal, less those done without.
    fn participants(&self, holders: Option<&Committee>) -> Vec<PartyId> {
        let mut participants = self.committee.parties().to_vec();
        let dealers = holders
            .into_iter()
            .flat_map(Committee::parties)
            .filter(|party| !self.without().any(|other| other == *party));
        participants.extend(dealers);
        participants.sort_unstable();
        participants.dedup();
        participants
    }

    /// The silent, if at least `t` have reported or more than `n - t`, and at least two, awaited them in vain; those who
    /// contradict the result of at least `t`; those whom so many accuse; those who failed and name nobody, though so many
    /// awaited them or `t` came to a result. One who only deals does not report: so many must accuse or have awaited it.
    fn reason_to_leave_out(&self, party: &PartyId) -> Option<LeftOutReason> {
        let threshold = usize::from(self.committee.threshold());
        let enough_accusers = self.one_is_honest().max(2);
        let count = |says: &dyn Fn(&Reported) -> bool| {
            self.reports.iter().filter(|report| says(report)).count()
        };
        let accused = count(&|report| report.accused.contains(party)) >= enough_accusers;
        let awaited = count(&|report| report.missed.contains(party)) >= enough_accusers;
        let Some(own) = self.report_of(party) else {
            let enough_reports = self.reports.len() >= threshold && self.committee.contains(party);
            return if enough_reports || awaited {
                Some(LeftOutReason::Silent)
            } else {
                accused.then_some(LeftOutReason::Accused)
            };
        };
        let agreed = self.reports.iter().find_map(|report| {
            report
                .result
                .filter(|_| count(&|other| other.result == report.result) >= threshold)
        });
        if agreed.is_some() && own.result.is_some() && own.result != agreed {
            return Some(LeftOutReason::Contradicted);
        }
        if accused {
            return Some(LeftOutReason::Accused);
        }
        let names_nobody = own.result.is_none() && own.accused.is_empty() && own.missed.is_empty();
        (names_nobody && (awaited || agreed.is_some())).then_some(LeftOutReason::Failed)
    }

    /// Whether the party accuses somebody, or is accused by somebody, where neither is left out for it.
    fn disputes(
        &self,
        party: &PartyId,
        participants: &[PartyId],
        left_out: &[(PartyId, LeftOutReason)],
    ) -> bool {
        let counts = |other: &PartyId| {
            participants.contains(other) && !left_out.iter().any(|(party, _)| party == other)
        };
        self.reports.iter().any(|reported| {
            let accuses = reported.party == *party && reported.accused.iter().any(counts);
            let accused = reported.accused.contains(party) && counts(&reported.party);
            accuses || accused
        })
    }

    /// Whom the next attempt alone does without: as many of the most suspected as have become necessary, as long as a threshold
    /// of the target and of the present holders is left.
    ///
    /// One disputant; or, when attempts fail and nobody can say why, nobody at first, then one party in turn, and one more
    /// each time that all have had their turn. Ties are broken by a hash that nobody chooses.
    pub(super) fn to_set_aside(
        &self,
        verdict: &Verdict,
        left_out: &[PartyId],
        holders: Option<&Committee>,
    ) -> Vec<PartyId> {
        let turns = verdict.suspects.len().max(1);
        let wanted = if verdict.unexplained > self.unexplained {
            match usize::from(verdict.unexplained) {
                1 => 0,
                repeated => 1 + (repeated - 2) / turns,
            }
        } else {
            // Those who can be blamed may have been the reason; if there are none, whoever has become more suspect.
            usize::from(verdict.left_out.is_empty() && verdict.suspects != self.suspects)
        };
        let mut suspects: Vec<_> = verdict
            .suspects
            .iter()
            .filter(|suspect| !left_out.contains(&suspect.party))
            .map(|suspect| {
                let lot = tagged_hash(
                    "entropy/set-aside/v1",
                    &(self.epoch, self.attempt, suspect.party),
                );
                (core::cmp::Reverse(suspect.attempts), lot, suspect.party)
            })
            .collect();
        suspects.sort_unstable();
        let mut without = left_out.to_vec();
        for (_, _, party) in suspects {
            if without.len() == left_out.len() + wanted {
                break;
            }
            without.push(party);
            if !self.may_do_without(&without, holders) {
                without.pop();
            }
        }
        let mut chosen = without.split_off(left_out.len());
        chosen.sort_unstable();
        chosen
    }
}
