//! Who forms the next committee, from the servers of the validators of a session.
//!
//! Whoever holds shares stays as long as it may, so that a committee changes only when it must; and no change hands a key
//! to newcomers: at least `t` of the present holders are in every target, those included that would have to go, which
//! leave by a later change; and newcomers are fewer than the target's threshold, so that a committee grows in steps.

use alloc::vec::Vec;

use crate::{
    committee::{Committee, MAX_PARTIES},
    ids::PartyId,
    parameters::Parameters,
};

/// The servers of which a committee can be made.
#[derive(Clone, Copy, Debug)]
pub struct Candidates<'a> {
    /// The servers of the session's validators that are not suspended, in the order of preference.
    pub eligible: &'a [PartyId],
    /// Present holders that are still bound, though not eligible, in the order of preference.
    pub retained: &'a [PartyId],
}

/// The committee that ought to hold a key now: the eligible of its present holders, then the other eligible servers, up to
/// the limit; `None` if too few servers are there.
///
/// Deterministic, and the present committee itself if that is still possible with the threshold that the parameters want.
pub fn choose(
    holders: Option<&Committee>,
    candidates: Candidates<'_>,
    parameters: &Parameters,
) -> Option<Committee> {
    let limit = usize::from(parameters.committee_max).min(MAX_PARTIES as usize);
    let mut parties: Vec<PartyId> = Vec::new();
    let take = |parties: &mut Vec<PartyId>, from: &mut dyn Iterator<Item = &PartyId>, limit| {
        for party in from {
            if parties.len() < limit && !parties.contains(party) {
                parties.push(*party);
            }
        }
    };
    let mut room = limit;
    if let Some(holders) = holders {
        let must_stay = usize::from(holders.threshold());
        let holds = |party: &&PartyId| holders.contains(party);
        let mut staying = candidates.eligible.iter().filter(holds);
        take(&mut parties, &mut staying, limit.max(must_stay));
        let mut retained = candidates.retained.iter().filter(holds);
        take(&mut parties, &mut retained, must_stay);
        if parties.len() < must_stay {
            return None;
        }
        let stay = parties.len();
        let is_safe = |size: &usize| {
            u16::try_from(*size)
                .is_ok_and(|n| size - stay < usize::from(parameters.threshold.threshold(n)))
        };
        room = (stay..=limit).rev().find(is_safe).unwrap_or(stay);
    }
    take(&mut parties, &mut candidates.eligible.iter(), room);
    if let Some(holders) = holders {
        // Rather one that is unfit for now than no committee: attempts can do without it.
        let holds = |party: &&PartyId| holders.contains(party);
        let mut retained = candidates.retained.iter().filter(holds);
        let least = usize::from(parameters.committee_min);
        take(&mut parties, &mut retained, least.min(limit));
    }
    let size = u16::try_from(parties.len())
        .ok()
        .filter(|size| *size >= parameters.committee_min)?;
    // With a fixed threshold there are sizes that make no committee.
    Committee::new(parties, parameters.threshold.threshold(size)).ok()
}
