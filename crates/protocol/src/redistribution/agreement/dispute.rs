//! Which dealers count: a judgement that depends on nothing but what all have heard.

use std::collections::{BTreeMap, BTreeSet};

use entropy_shared::PartyId;
use zeroize::Zeroizing;

use super::{ANSWERING, Dealer, Ended, Hearing, Kept, Progress, Redistribution, Stage};
use crate::{
    ceremony::{Blame, Failure, Offence},
    evidence::Word,
    group::Group,
    redistribution::{
        messages::{Answer, AnswerOf, Claim, DEALING, Fault},
        sharing::Commitments,
        signed::Seen,
    },
};

/// Whose dealings are in doubt, by agreement.
pub(super) struct Dispute {
    pub(super) good: BTreeSet<PartyId>,
    pub(super) disputed: BTreeMap<PartyId, Disputed>,
    /// Out for good.
    pub(super) guilty: BTreeMap<PartyId, Offence>,
}

pub(super) struct Disputed {
    /// The hash of its commitments, if anybody has them.
    pub(super) hash: Option<[u8; 32]>,
    /// In the committee's order.
    pub(super) accusers: Vec<PartyId>,
    /// What it is blamed for if it does not answer.
    pub(super) offence: Offence,
}

impl<G: Group> Redistribution<G> {
    /// All have heard the same claims: which dealers do they leave?
    pub(super) fn settle(
        &mut self,
        kept: Kept<G>,
        heard: &Hearing<Vec<Claim>>,
    ) -> Result<Progress, Failure> {
        let dispute = self.judge(heard)?;
        if dispute.good.len() >= self.needed {
            return self.finish(kept, &dispute.good);
        }
        if dispute.good.len() + dispute.disputed.len() < self.needed {
            return Err(too_few(dispute.guilty));
        }
        let mut outbound = Vec::new();
        let mut answers = BTreeMap::new();
        if let (Some(disputed), Some((polynomial, dealing))) =
            (dispute.disputed.get(&self.me), &self.own)
        {
            let subshare = |accuser: &PartyId| {
                let index = self.index(accuser)?;
                Ok(*G::encode_scalar(&polynomial.evaluate(index)))
            };
            let subshares = disputed.accusers.iter().map(subshare);
            let answer = Answer {
                dealing: dealing.clone(),
                subshares: subshares.collect::<Result<_, Failure>>()?,
            };
            outbound = self.to(&self.other_holders(), ANSWERING, &answer);
            answers.insert(self.me, answer);
        }
        if !self.holds() {
            return Ok((outbound, Some(Ended::Left)));
        }
        let mut awaited: BTreeSet<_> = dispute.disputed.keys().copied().collect();
        awaited.remove(&self.me);
        self.stage = Stage::Answering(kept, dispute, awaited, answers);
        Ok((outbound, None))
    }

    /// Depends on nothing but what everyone has heard.
    fn judge(&mut self, heard: &Hearing<Vec<Claim>>) -> Result<Dispute, Failure> {
        let mut proofs = Vec::new();
        let mut dispute = Dispute {
            good: BTreeSet::new(),
            disputed: BTreeMap::new(),
            guilty: BTreeMap::new(),
        };
        for (position, Dealer { party, .. }) in self.dealers.iter().enumerate() {
            let mut signed: Vec<Seen> = Vec::new();
            let mut faults: BTreeMap<Fault, usize> = BTreeMap::new();
            let mut accusers = Vec::new();
            for (holder, (claims, _)) in heard {
                let malformed = || Failure::blaming(*holder, Offence::Malformed);
                let claim = claims.get(position).ok_or_else(malformed)?;
                if let Some(fault) = claim.fault {
                    *faults.entry(fault).or_default() += 1;
                    accusers.push(*holder);
                }
                if let Some(seen) = claim.seen.filter(|seen| !signed.contains(seen)) {
                    // Whoever shows a dealing that was never made has signed this lie.
                    if !seen.is_signed_by(DEALING, &self.id, party) {
                        return Err(Failure::blaming(*holder, Offence::FailedProof));
                    }
                    signed.push(seen);
                }
            }
            let hash = signed.first().map(|seen| seen.hash);
            let other = signed.iter().find(|seen| Some(seen.hash) != hash);
            if let (Some(first), Some(second)) = (signed.first(), other) {
                proofs.push((*party, *first, *second));
                dispute.guilty.insert(*party, Offence::Equivocation);
                continue;
            }
            // What most complain of; the least of those that as many do.
            let most = faults.iter().rev().max_by_key(|(_, count)| **count);
            let Some((fault, _)) = most else {
                dispute.good.insert(*party);
                continue;
            };
            let offence = Offence::from(*fault);
            let disputed = Disputed {
                hash,
                accusers,
                offence,
            };
            dispute.disputed.insert(*party, disputed);
        }
        for (party, first, second) in proofs {
            self.prove_two(party, Word::Dealing, &first, &second);
        }
        Ok(dispute)
    }

    /// The dealer's commitments, if it answers every complaint.
    pub(super) fn check_answer(
        &self,
        dispute: &Dispute,
        dealer: &PartyId,
        answer: &AnswerOf<G>,
    ) -> Option<Commitments<G>> {
        let disputed = dispute.disputed.get(dealer)?;
        let seen = answer.dealing.seen(DEALING);
        if disputed.hash.is_some_and(|hash| hash != seen.hash)
            || !seen.is_signed_by(DEALING, &self.id, dealer)
            || answer.subshares.len() != disputed.accusers.len()
        {
            return None;
        }
        let commitments = self.commitments(dealer, &answer.dealing).ok()?;
        let fits = |(accuser, bytes): (&PartyId, &[u8; 32])| {
            let index = self.committee.index(accuser)?;
            let subshare = G::decode_scalar(bytes)?;
            commitments.fits(index, &subshare).then_some(())
        };
        let pairs = disputed.accusers.iter().zip(&answer.subshares);
        pairs
            .map(fits)
            .collect::<Option<()>>()
            .map(|()| commitments)
    }

    /// All have heard the same answers: a dealer counts if anybody got a valid one.
    pub(super) fn settle_dispute(
        &mut self,
        mut kept: Kept<G>,
        mut dispute: Dispute,
        heard: &Hearing<Vec<Option<AnswerOf<G>>>>,
    ) -> Result<Progress, Failure> {
        let mut proofs = Vec::new();
        for (position, (dealer, disputed)) in dispute.disputed.iter().enumerate() {
            let mut valid: Option<(&AnswerOf<G>, Commitments<G>)> = None;
            let mut contradicted = None;
            for (holder, (answers, _)) in heard {
                let Some(answer) = answers.get(position).and_then(Option::as_ref) else {
                    continue;
                };
                if let Some((known, _)) = &valid
                    && known.dealing.commitments == answer.dealing.commitments
                    && known.subshares == answer.subshares
                {
                    continue;
                }
                // No honest holder passes on what does not answer the complaints.
                let Some(commitments) = self.check_answer(&dispute, dealer, answer) else {
                    return Err(Failure::blaming(*holder, Offence::FailedProof));
                };
                if valid.is_some() {
                    contradicted = Some(answer.dealing.seen(DEALING));
                }
                valid.get_or_insert((answer, commitments));
            }
            match valid {
                Some((answer, _)) if contradicted.is_some() => {
                    let first = answer.dealing.seen(DEALING);
                    proofs.extend(contradicted.map(|second| (*dealer, first, second)));
                    dispute.guilty.insert(*dealer, Offence::Equivocation);
                }
                None => {
                    dispute.guilty.insert(*dealer, disputed.offence);
                }
                Some((answer, commitments)) => {
                    let own = disputed.accusers.iter().position(|party| *party == self.me);
                    let subshare = own.and_then(|position| answer.subshares.get(position));
                    if let Some(subshare) = subshare.and_then(G::decode_scalar) {
                        let subshare = Zeroizing::new(subshare);
                        if let Some(held) = kept.get_mut(dealer) {
                            held.valid = Some((commitments, subshare));
                        }
                    }
                    dispute.good.insert(*dealer);
                }
            }
        }
        for (dealer, first, second) in proofs {
            self.prove_two(dealer, Word::Dealing, &first, &second);
        }
        if dispute.good.len() < self.needed {
            return Err(too_few(dispute.guilty));
        }
        self.finish(kept, &dispute.good)
    }
}

/// Those whose fault it is that there are fewer good dealers than needed.
fn too_few(guilty: BTreeMap<PartyId, Offence>) -> Failure {
    let blame: Vec<_> = guilty
        .into_iter()
        .map(|(party, offence)| Blame { party, offence })
        .collect();
    let each = blame
        .iter()
        .map(|it| format!("{} {}", it.party, it.offence));
    let reason = ["too few dealers are left".to_owned()]
        .into_iter()
        .chain(each)
        .collect::<Vec<_>>()
        .join("; ");
    Failure { blame, reason }
}
