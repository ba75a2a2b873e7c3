//! The rounds of a redistribution: who holds an old share deals it, the new holders agree on whose dealings count, and only then weigh and add them up.
//!
//! 1. each dealer to each holder: its commitments, and secretly its subshare, both signed;
//! 2. each holder to all: its claims about every dealer, signed;
//! 3. each holder to all: hashes and signatures of all claims that it heard, so that nobody can say two things.
//!    If at least `t` dealers are valid at every holder, the first `t` of them count. Else the others are disputed:
//! 4. each disputed dealer to each holder: its dealing, and the subshare of everyone who complains of it;
//! 5. each holder to each: the answers that it got, signed;
//! 6. each holder to each: hashes and signatures of those, as in 3. A dealer that anybody got a valid answer from counts.
//!
//! A faulty or silent dealer costs nothing while `t` good ones remain, and is blamed only if its fault is why there are too
//! few. All that decides is heard by everyone in the same words, so that all come to the same dealers and the same blame.
//! A new holder that is silent ends it: a share cannot be given to who is not there. As a dealer may be silent to some
//! only, who has all that it needs waits for the others' words twice as long, in rounds 2 and 5.
//!
//! A subshare that is disputed becomes known to all new holders. An honest dealer and an honest holder are in dispute only
//! if the network between them failed for a whole round; then `t' - 1` dishonest holders learn that dealer's old share.
//! They need `t - 1` more. This is why complaints are answered only if it does not work without the disputed dealers.

mod dispute;

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use codec::{Decode, Encode};
use ed25519_dalek::SigningKey;
use entropy_shared::{
    CeremonyId, Committee, PartyId, PublicPackage, VerifyingKey, committee::MAX_PARTIES,
};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use dispute::Dispute;

use super::{
    messages::{ANSWERS, AnswerOf, CLAIMS, Claim, DEALING, Dealt, Fault, Said},
    sharing::{Commitments, Polynomial, lagrange},
    signed::{Dealing, Domain, Seen},
};
use crate::{
    ceremony::{Failure, Offence},
    evidence::{Evidence, SignedDealing, SignedHash, Word},
    group::Group,
    guard::RoundMessage,
    wire::decode_body,
};

/// Every dealer's commitments and subshares.
pub(crate) const DEALINGS: u8 = 1;
/// The holders' claims.
const STATEMENTS: u8 = 2;
/// What was heard of them.
const STATEMENTS_HEARD: u8 = 3;
/// The disputed dealers' answers.
const ANSWERING: u8 = 4;
/// The answers, passed on.
const RELAYS: u8 = 5;
/// What was heard of those.
const RELAYS_HEARD: u8 = 6;
/// How many rounds there are at most.
pub(crate) const ROUNDS: u8 = RELAYS_HEARD;

/// Who deals what to whom.
pub(crate) struct Roles<'a> {
    /// The ceremony.
    pub(crate) id: CeremonyId,
    /// The old shares' public side.
    pub(crate) from: &'a PublicPackage,
    /// Who deals; members of the old committee in ascending order, at least its threshold.
    pub(crate) dealers: &'a [PartyId],
    /// The new holders.
    pub(crate) committee: &'a Committee,
}

/// A party's new share, and everybody's public one.
pub(crate) struct Redistributed {
    /// In the encoding of its group.
    pub(crate) secret: Zeroizing<[u8; 32]>,
    /// In the order of the new committee.
    pub(crate) verification_shares: Vec<VerifyingKey>,
}

/// How it ended for a party.
pub(crate) enum Ended {
    /// It has dealt, and is not among the new holders: nothing more is asked of it.
    Left,
    /// It holds a new share.
    Holds(Redistributed),
}

/// What a call gave: messages to send first, and how it ended.
pub(crate) type Progress = (Vec<RoundMessage>, Option<Ended>);

/// Someone who deals, and what it is known to hold.
struct Dealer<G: Group> {
    party: PartyId,
    /// Its coordinate among the old holders.
    index: u16,
    constant: G::Point,
}

/// One party's side.
pub(crate) struct Redistribution<G: Group> {
    id: CeremonyId,
    me: PartyId,
    account: SigningKey,
    committee: Committee,
    dealers: Vec<Dealer<G>>,
    /// The old threshold.
    needed: usize,
    root: G::Point,
    /// This party's dealing, if it deals.
    own: Option<(Polynomial<G>, Dealing<G::PointBytes>)>,
    /// What others have signed and should not have.
    evidence: Vec<Evidence>,
    /// The last round that was given time twice.
    waited: u8,
    stage: Stage<G>,
}

enum Stage<G: Group> {
    /// What each dealer has dealt, so far.
    Dealings(BTreeMap<PartyId, Held<G>>),
    Statements(Kept<G>, Hearing<Vec<Claim>>),
    StatementsHeard(Kept<G>, Hearing<Vec<Claim>>, BTreeSet<PartyId>),
    Answering(
        Kept<G>,
        Dispute,
        BTreeSet<PartyId>,
        BTreeMap<PartyId, AnswerOf<G>>,
    ),
    Relays(Kept<G>, Dispute, Hearing<Vec<Option<AnswerOf<G>>>>),
    RelaysHeard(
        Kept<G>,
        Dispute,
        Hearing<Vec<Option<AnswerOf<G>>>>,
        BTreeSet<PartyId>,
    ),
    /// Between stages, and after the end.
    Over,
}

/// What holders have of the dealers; leavers have nothing.
type Kept<G> = BTreeMap<PartyId, Held<G>>;

/// What a holder has of one dealer.
struct Held<G: Group> {
    claim: Claim,
    valid: Option<(Commitments<G>, Zeroizing<G::Scalar>)>,
}

impl<G: Group> Held<G> {
    fn faulty(seen: Option<Seen>, offence: Offence) -> Self {
        let fault = Some(Fault::from(offence));
        Self {
            claim: Claim { seen, fault },
            valid: None,
        }
    }
}

/// What each holder has said to all.
type Hearing<T> = BTreeMap<PartyId, (T, Seen)>;

impl<G: Group> Redistribution<G> {
    /// Prepares the side of the owner of `account`; `None` if the old package is not one of this group, or dealers are not among its holders.
    pub(crate) fn new(roles: &Roles<'_>, account: &SigningKey) -> Option<Self> {
        let from = roles.from;
        let dealer = |party: &PartyId| {
            let index = from.committee.index(party)?;
            let key = from.verification_shares.get(usize::from(index) - 1)?;
            Some(Dealer {
                party: *party,
                index,
                constant: G::point(key)?,
            })
        };
        Some(Self {
            id: roles.id,
            me: PartyId(account.verifying_key().to_bytes()),
            account: account.clone(),
            committee: roles.committee.clone(),
            dealers: roles.dealers.iter().map(dealer).collect::<Option<_>>()?,
            needed: usize::from(from.committee.threshold()),
            root: G::point(&from.root_key)?,
            own: None,
            evidence: Vec::new(),
            waited: 0,
            stage: Stage::Over,
        })
    }

    fn holds(&self) -> bool {
        self.committee.contains(&self.me)
    }

    fn deals(&self, party: &PartyId) -> bool {
        self.dealers.iter().any(|dealer| dealer.party == *party)
    }

    fn other_holders(&self) -> BTreeSet<PartyId> {
        let parties = self.committee.parties().iter();
        parties
            .filter(|party| **party != self.me)
            .copied()
            .collect()
    }

    fn to(
        &self,
        recipients: &BTreeSet<PartyId>,
        round: u8,
        body: &impl Encode,
    ) -> Vec<RoundMessage> {
        let body = body.encode();
        let message = |to: &PartyId| RoundMessage {
            to: *to,
            round,
            body: body.clone(),
        };
        recipients.iter().map(message).collect()
    }

    /// Other holders and leavers: all that statements concern.
    fn to_all(&self, round: u8, body: &impl Encode) -> Vec<RoundMessage> {
        let dealers = self.dealers.iter().map(|dealer| dealer.party);
        let mut recipients: BTreeSet<_> = dealers.chain(self.other_holders()).collect();
        recipients.remove(&self.me);
        self.to(&recipients, round, body)
    }

    /// What has come to light since the last call.
    pub(crate) fn take_evidence(&mut self) -> Vec<Evidence> {
        mem::take(&mut self.evidence)
    }

    /// The number of the current round.
    pub(crate) fn round(&self) -> u8 {
        match &self.stage {
            Stage::Dealings(_) | Stage::Over => DEALINGS,
            Stage::Statements(..) => STATEMENTS,
            Stage::StatementsHeard(..) => STATEMENTS_HEARD,
            Stage::Answering(..) => ANSWERING,
            Stage::Relays(..) => RELAYS,
            Stage::RelaysHeard(..) => RELAYS_HEARD,
        }
    }

    /// Whose message of the current round is still to come.
    pub(crate) fn awaited(&self) -> Vec<PartyId> {
        let silent = |heard: &dyn Fn(&PartyId) -> bool| {
            let holders = self.other_holders().into_iter();
            holders.filter(|party| !heard(party)).collect()
        };
        match &self.stage {
            Stage::Dealings(held) => {
                let parties = self.dealers.iter().map(|dealer| dealer.party);
                parties.filter(|party| !held.contains_key(party)).collect()
            }
            Stage::Statements(_, heard) => silent(&|party| heard.contains_key(party)),
            Stage::Relays(_, _, heard) => silent(&|party| heard.contains_key(party)),
            Stage::StatementsHeard(_, _, awaited)
            | Stage::Answering(_, _, awaited, _)
            | Stage::RelaysHeard(_, _, _, awaited) => awaited.iter().copied().collect(),
            Stage::Over => Vec::new(),
        }
    }

    /// Deals `share`, if this party is a dealer.
    pub(crate) fn start(
        &mut self,
        share: Option<&G::Scalar>,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Progress, Failure> {
        let mut held = BTreeMap::new();
        let mut outbound = Vec::new();
        if let Some(share) = share {
            let polynomial = Polynomial::<G>::new(share, self.committee.threshold(), rng);
            let points = polynomial
                .commit()
                .ok_or_else(|| Failure::unattributed("a random coefficient is zero"))?;
            let dealing = Dealing::new(DEALING, &self.id, &self.account, points);
            for party in self.other_holders() {
                let subshare = G::encode_scalar(&polynomial.evaluate(self.index(&party)?));
                let dealt = Dealt::new(&self.id, &self.account, &dealing, &party, *subshare);
                outbound.extend(self.to(&[party].into(), DEALINGS, &dealt));
            }
            if self.holds() {
                let subshare = polynomial.evaluate(self.index(&self.me)?);
                let kept = self.hold(&self.me, &dealing, subshare);
                held.insert(self.me, kept);
            }
            self.own = Some((polynomial, dealing));
        }
        self.stage = if self.holds() {
            Stage::Dealings(held)
        } else {
            Stage::Statements(held, BTreeMap::new())
        };
        Ok((outbound, None))
    }

    fn index(&self, party: &PartyId) -> Result<u16, Failure> {
        let index = self.committee.index(party);
        index.ok_or_else(|| Failure::unattributed("not one of the new holders"))
    }

    /// Takes a message of the current round from an awaited party.
    pub(crate) fn receive(&mut self, from: &PartyId, body: &[u8]) -> Result<Progress, Failure> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Dealings(mut held) => {
                held.insert(*from, self.read_dealing(from, body));
                self.stage = Stage::Dealings(held);
            }
            Stage::Statements(kept, mut heard) => {
                let said: Said<Vec<Claim>> = self.read_said(CLAIMS, from, body)?;
                let whole = said.content.len() == self.dealers.len()
                    && said.content.iter().all(Claim::is_whole);
                if !whole {
                    return Err(Failure::blaming(*from, Offence::Malformed));
                }
                let seen = said.seen(CLAIMS);
                heard.insert(*from, (said.content, seen));
                self.stage = Stage::Statements(kept, heard);
            }
            Stage::StatementsHeard(kept, heard, mut awaited) => {
                self.compare(CLAIMS, &heard, from, body)?;
                awaited.remove(from);
                self.stage = Stage::StatementsHeard(kept, heard, awaited);
            }
            Stage::Answering(kept, dispute, mut awaited, mut answers) => {
                awaited.remove(from);
                // One that is no good is as none: the dealer is out.
                if let Ok(answer) = decode_body::<AnswerOf<G>>(from, body)
                    && self.check_answer(&dispute, from, &answer).is_some()
                {
                    answers.insert(*from, answer);
                }
                self.stage = Stage::Answering(kept, dispute, awaited, answers);
            }
            Stage::Relays(kept, dispute, mut heard) => {
                let said: Said<Vec<Option<AnswerOf<G>>>> = self.read_said(ANSWERS, from, body)?;
                if said.content.len() != dispute.disputed.len() {
                    return Err(Failure::blaming(*from, Offence::Malformed));
                }
                let seen = said.seen(ANSWERS);
                heard.insert(*from, (said.content, seen));
                self.stage = Stage::Relays(kept, dispute, heard);
            }
            Stage::RelaysHeard(kept, dispute, heard, mut awaited) => {
                self.compare(ANSWERS, &heard, from, body)?;
                awaited.remove(from);
                self.stage = Stage::RelaysHeard(kept, dispute, heard, awaited);
            }
            Stage::Over => return Ok((Vec::new(), None)),
        }
        self.advance()
    }

    /// Takes note that `from` has sent what is no message of `round`, or of any. Ends it only if `from` is one that all need.
    pub(crate) fn refuse(
        &mut self,
        from: &PartyId,
        round: Option<u8>,
        offence: Offence,
    ) -> Result<Progress, Failure> {
        let of = |expected: u8| round.is_none_or(|round| round == expected);
        let deals = self.deals(from);
        match &mut self.stage {
            Stage::Dealings(held) if of(DEALINGS) && deals => {
                // Nothing but a second, other dealing comes from one whose dealing is here.
                let seen = held.get(from).and_then(|held| held.claim.seen);
                if round.is_some() || !held.contains_key(from) {
                    held.insert(*from, Held::faulty(seen, offence));
                    return self.advance();
                }
            }
            Stage::Answering(_, _, awaited, _) if of(ANSWERING) && awaited.contains(from) => {
                awaited.remove(from);
                return self.advance();
            }
            _ => {}
        }
        // What a dealer is good for has been settled, or will be: no more noise of its own changes it.
        let settled = deals && matches!(round, Some(DEALINGS | ANSWERING));
        if settled || !self.committee.contains(from) {
            return Ok((Vec::new(), None));
        }
        Err(Failure::blaming(*from, offence))
    }

    /// Time is up: goes on without dealers, fails without holders.
    pub(crate) fn expire(&mut self) -> Result<Progress, Failure> {
        let (round, awaited) = (self.round(), self.awaited());
        match &mut self.stage {
            Stage::Dealings(held) => {
                for party in awaited {
                    held.insert(party, Held::faulty(None, Offence::Silent));
                }
                self.advance()
            }
            Stage::Answering(_, _, awaited, _) => {
                awaited.clear();
                self.advance()
            }
            // Others may only now have given up a dealer whose message came here long ago: they are not late yet.
            Stage::Statements(..) | Stage::Relays(..) if self.waited < round => {
                self.waited = round;
                Ok((Vec::new(), None))
            }
            _ => Err(Failure::silence(awaited)),
        }
    }

    fn read_said<T: Encode + Decode>(
        &self,
        domain: Domain,
        from: &PartyId,
        body: &[u8],
    ) -> Result<Said<T>, Failure> {
        let said: Said<T> = decode_body(from, body)?;
        if !said.seen(domain).is_signed_by(domain, &self.id, from) {
            return Err(Failure::blaming(*from, Offence::FailedProof));
        }
        Ok(said)
    }

    /// Compares what `from` has heard with what we have.
    fn compare<T>(
        &mut self,
        domain: Domain,
        heard: &Hearing<T>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<(), Failure> {
        let theirs: Vec<Seen> = decode_body(from, body)?;
        if theirs.len() != heard.len() {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        for (seen, (author, (_, ours))) in theirs.iter().zip(heard) {
            if let Err((guilty, offence)) = seen.compare(ours, domain, &self.id, from, author) {
                if seen.is_signed_by(domain, &self.id, author) {
                    let word = if domain == CLAIMS {
                        Word::Statement
                    } else {
                        Word::Relay
                    };
                    self.prove_two(*author, word, ours, seen);
                }
                return Err(Failure::blaming(guilty, offence));
            }
        }
        Ok(())
    }

    fn prove_two(&mut self, author: PartyId, word: Word, first: &Seen, second: &Seen) {
        self.evidence.push(Evidence::Equivocation {
            author,
            word,
            first: SignedHash::of(first),
            second: SignedHash::of(second),
        });
    }

    /// What a dealing is worth to us; keeps what proves that it is worth nothing.
    fn read_dealing(&mut self, from: &PartyId, body: &[u8]) -> Held<G> {
        let Ok(dealt) = decode_body::<Dealt<G::PointBytes>>(from, body) else {
            return Held::faulty(None, Offence::Malformed);
        };
        let seen = dealt.dealing.seen(DEALING);
        if !seen.is_signed_by(DEALING, &self.id, from) {
            return Held::faulty(None, Offence::FailedProof);
        }
        if !dealt.is_signed_by(&self.id, from, &self.me) {
            return Held::faulty(Some(seen), Offence::FailedProof);
        }
        let held = match G::decode_scalar(&dealt.subshare).map(Zeroizing::new) {
            Some(subshare) => self.hold(from, &dealt.dealing, subshare),
            None => Held::faulty(Some(seen), Offence::BadShare),
        };
        if held.valid.is_none() {
            let dealing = SignedDealing::of::<G>(&dealt.dealing.commitments, seen.signature);
            let evidence = match self.commitments(from, &dealt.dealing) {
                Err(_) => Evidence::BadDealing {
                    dealer: *from,
                    dealing,
                },
                Ok(_) => Evidence::BadSubshare {
                    dealer: *from,
                    dealing,
                    recipient: self.me,
                    subshare: dealt.subshare,
                    signature: dealt.signature,
                },
            };
            // One with more coefficients than any committee has parties would only waste space; who sent it knows.
            if dealt.dealing.commitments.len() <= MAX_PARTIES as usize + 1 {
                self.evidence.push(evidence);
            }
        }
        held
    }

    /// A dealing whose signatures are good, with our subshare.
    fn hold(
        &self,
        dealer: &PartyId,
        dealing: &Dealing<G::PointBytes>,
        subshare: Zeroizing<G::Scalar>,
    ) -> Held<G> {
        let seen = Some(dealing.seen(DEALING));
        let commitments = match self.commitments(dealer, dealing) {
            Ok(commitments) => commitments,
            Err(offence) => return Held::faulty(seen, offence),
        };
        let fits = |index| commitments.fits(index, &subshare);
        if !self.committee.index(&self.me).is_some_and(fits) {
            return Held::faulty(seen, Offence::BadShare);
        }
        Held {
            claim: Claim { seen, fault: None },
            valid: Some((commitments, subshare)),
        }
    }

    fn commitments(
        &self,
        dealer: &PartyId,
        dealing: &Dealing<G::PointBytes>,
    ) -> Result<Commitments<G>, Offence> {
        let known = self.dealers.iter().find(|known| known.party == *dealer);
        let known = known.ok_or(Offence::Unexpected)?;
        let threshold = self.committee.threshold();
        Commitments::new(&dealing.commitments, threshold, &known.constant)
    }

    /// Goes on if nobody is awaited any more.
    fn advance(&mut self) -> Result<Progress, Failure> {
        let mut outbound = Vec::new();
        while self.awaited().is_empty() {
            let (messages, ended) = self.end_round()?;
            outbound.extend(messages);
            if ended.is_some() {
                return Ok((outbound, ended));
            }
        }
        Ok((outbound, None))
    }

    fn end_round(&mut self) -> Result<Progress, Failure> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Dealings(held) => {
                let claims = held.values().map(|held| held.claim).collect();
                let said = Said::new(CLAIMS, &self.id, &self.account, claims);
                let outbound = self.to_all(STATEMENTS, &said);
                let seen = said.seen(CLAIMS);
                let heard = [(self.me, (said.content, seen))].into();
                self.stage = Stage::Statements(held, heard);
                Ok((outbound, None))
            }
            Stage::Statements(kept, heard) => {
                let seen: Vec<_> = heard.values().map(|(_, seen)| *seen).collect();
                let outbound = if self.holds() {
                    self.to_all(STATEMENTS_HEARD, &seen)
                } else {
                    Vec::new()
                };
                self.stage = Stage::StatementsHeard(kept, heard, self.other_holders());
                Ok((outbound, None))
            }
            Stage::StatementsHeard(kept, heard, _) => self.settle(kept, &heard),
            Stage::Answering(kept, dispute, _, mut answers) => {
                let relayed = dispute.disputed.keys().map(|party| answers.remove(party));
                let said = Said::new(ANSWERS, &self.id, &self.account, relayed.collect());
                let outbound = self.to(&self.other_holders(), RELAYS, &said);
                let seen = said.seen(ANSWERS);
                let heard = [(self.me, (said.content, seen))].into();
                self.stage = Stage::Relays(kept, dispute, heard);
                Ok((outbound, None))
            }
            Stage::Relays(kept, dispute, heard) => {
                let seen: Vec<_> = heard.values().map(|(_, seen)| *seen).collect();
                let others = self.other_holders();
                let outbound = self.to(&others, RELAYS_HEARD, &seen);
                self.stage = Stage::RelaysHeard(kept, dispute, heard, others);
                Ok((outbound, None))
            }
            Stage::RelaysHeard(kept, dispute, heard, _) => {
                self.settle_dispute(kept, dispute, &heard)
            }
            Stage::Over => Err(Failure::unattributed(
                "a redistribution that is over went on",
            )),
        }
    }

    /// Weighs and adds up the dealings of the first `t` of the good dealers.
    fn finish(&mut self, mut kept: Kept<G>, good: &BTreeSet<PartyId>) -> Result<Progress, Failure> {
        self.own = None;
        if !self.holds() {
            return Ok((Vec::new(), Some(Ended::Left)));
        }
        let wrong = |text| Failure::unattributed(text);
        let counted: Vec<_> = self
            .dealers
            .iter()
            .filter(|dealer| good.contains(&dealer.party))
            .take(self.needed)
            .collect();
        let indices: Vec<_> = counted.iter().map(|dealer| dealer.index).collect();
        let mut secret = Zeroizing::new(G::Scalar::from(0));
        let mut weighted = Vec::with_capacity(counted.len());
        for dealer in counted {
            let weight = lagrange::<G>(dealer.index, &indices)
                .ok_or_else(|| wrong("two dealers have one coordinate"))?;
            let (commitments, subshare) = kept
                .remove(&dealer.party)
                .and_then(|held| held.valid)
                .ok_or_else(|| wrong("a dealing that counts is not here"))?;
            *secret = *secret + weight * *subshare;
            weighted.push((weight, commitments));
        }
        let combined = Commitments::combine(&weighted);
        if combined.constant() != self.root {
            return Err(wrong(
                "the old verification shares are not those of the root key",
            ));
        }
        let verification_shares = (1..=self.committee.size())
            .map(|index| G::key(&combined.evaluate(index)))
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("a party's share is zero"))?;
        Ok((
            Vec::new(),
            Some(Ended::Holds(Redistributed {
                secret: G::encode_scalar(&secret),
                verification_shares,
            })),
        ))
    }
}
