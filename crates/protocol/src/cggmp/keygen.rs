//! Key generation: additive shares (the paper's Fig. 6), threshold shares from them by our redistribution, auxiliary material (Fig. 7 without refresh), agreement.
//!
//! Every party deals its additive share; the sum of all dealings is the key's polynomial.
//! What is cheap comes first: the primes, seconds of computation, are searched only when everything else has succeeded.

use std::collections::{BTreeMap, BTreeSet};

use codec::Encode;
use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, Digest, PartyId, PublicPackage, VerifyingKey};
use k256::{ProjectivePoint, Scalar};
use rand_core::CryptoRngCore;
use synedrion::{KeyInit, KeyInitProtocol};
use zeroize::Zeroizing;

use super::{
    Production,
    auxiliary::{self, Auxiliary, Material},
    compress, decompress,
    secret::Additive,
    session::{Progress, Session, Setting},
    wire::{Contribution, Node, decode_canonical, is_whole},
};
use crate::{
    ceremony::{Failure, Offence},
    context::{KeygenContext, SetupError},
    group::{Group, Secp256k1},
    guard::{RoundMessage, RoundStep, Rounds},
    redistribution::{Commitments, Dealing, Domain, Polynomial, Seen},
    share::{self, KeyShare},
    wire::decode_body as decode,
};

/// Rounds 1 to 5: `KeyInit`, three rounds of which the first two are echoed.
const FIRST_OF_INIT: u8 = 1;
/// Where `KeyInit` opens what its first round commits to.
const OPENING_OF_INIT: u8 = 3;
/// Every dealer's commitments.
const DEALING: u8 = 6;
/// What everybody has seen of them.
const SEEN: u8 = 7;
/// The secret subshares.
const SUBSHARES: u8 = 8;
/// Rounds 9 to 13: `AuxGen`, three rounds of which the first two are echoed.
const FIRST_OF_AUXILIARY: u8 = 9;
/// The digest of the public package.
const AGREEMENT: u8 = 14;

/// A dealer's commitments.
const DEALINGS: Domain = Domain {
    content: "entropy/cggmp/commitments/v1",
    signature: "entropy/cggmp/dealing/v1",
};

type Outcome = Result<(Vec<RoundMessage>, Option<KeyShare>), Failure>;

pub(crate) struct Keygen {
    id: CeremonyId,
    context: KeygenContext,
    me: PartyId,
    account: SigningKey,
    others: BTreeSet<PartyId>,
    phase: Phase,
}

enum Phase {
    Ready,
    Init(Box<Session<KeyInitProtocol<Production, Node>>>),
    Dealing(Dealings),
    Seen(Dealings, BTreeSet<PartyId>),
    Subshares(Subshares),
    Auxiliary(Auxiliary<FIRST_OF_AUXILIARY>, Threshold),
    Agreement(Box<KeyShare>, BTreeSet<PartyId>),
    /// Between phases, and after the end.
    Over,
}

/// The additive shares, and what has been dealt of them so far.
struct Dealings {
    root_key: VerifyingKey,
    /// Everybody's public additive share.
    constants: BTreeMap<PartyId, ProjectivePoint>,
    polynomial: Polynomial<Secp256k1>,
    /// Every dealer's commitments, ours among them, as they come in.
    dealt: BTreeMap<PartyId, (Commitments<Secp256k1>, Seen)>,
}

/// All agree on the commitments; the sum of the subshares so far.
struct Subshares {
    root_key: VerifyingKey,
    commitments: BTreeMap<PartyId, Commitments<Secp256k1>>,
    sum: Zeroizing<Scalar>,
    awaited: BTreeSet<PartyId>,
}

/// The threshold share and everybody's verification share.
struct Threshold {
    root_key: VerifyingKey,
    share: Zeroizing<Scalar>,
    verification_shares: Vec<VerifyingKey>,
}

impl Keygen {
    pub(crate) fn new(
        context: &KeygenContext,
        me: PartyId,
        account: &SigningKey,
    ) -> Result<Self, SetupError> {
        if account.verifying_key().to_bytes() != me.0 {
            return Err(SetupError::NotAParty);
        }
        Ok(Self {
            id: context.id(),
            context: context.clone(),
            me,
            account: account.clone(),
            others: context
                .committee
                .parties()
                .iter()
                .copied()
                .filter(|party| *party != me)
                .collect(),
            phase: Phase::Ready,
        })
    }

    fn nodes(&self) -> BTreeSet<Node> {
        self.context
            .committee
            .parties()
            .iter()
            .copied()
            .map(Node::from)
            .collect()
    }

    fn setting(
        &self,
        label: &'static str,
        first_round: u8,
        accepts: fn(u8, &[u8]) -> bool,
    ) -> Setting<'_> {
        Setting {
            ceremony: self.id,
            label,
            account: &self.account,
            others: &self.others,
            first_round,
            fork: None,
            accepts,
        }
    }

    fn to_all(&self, round: u8, body: &impl Encode) -> Vec<RoundMessage> {
        self.others
            .iter()
            .map(|to| RoundMessage {
                to: *to,
                round,
                body: body.encode(),
            })
            .collect()
    }

    fn index(&self, party: &PartyId) -> Result<u16, Failure> {
        self.context
            .committee
            .index(party)
            .ok_or_else(|| Failure::unattributed("a party is not in the committee"))
    }

    fn begin(&mut self, rng: &mut dyn CryptoRngCore) -> Outcome {
        let entry = KeyInit::<Production, Node>::new(self.nodes())
            .map_err(|_| Failure::unattributed("the library refused the parties"))?;
        let accepts = |round, broadcast: &[u8]| {
            round != OPENING_OF_INIT
                || decode_canonical::<Contribution>(broadcast).is_some_and(|it| is_whole(&it))
        };
        let (session, outbound) = Session::start(
            &self.setting("key init", FIRST_OF_INIT, accepts),
            entry,
            rng,
        )?;
        self.phase = Phase::Init(Box::new(session));
        Ok((outbound, None))
    }

    fn handle(&mut self, from: &PartyId, body: &[u8], rng: &mut dyn CryptoRngCore) -> Outcome {
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Init(mut session) => {
                let Progress { outbound, result } = session.receive(from, body, rng)?;
                match result {
                    Some(shares) => self.deal(&shares?, rng),
                    None => {
                        self.phase = Phase::Init(session);
                        Ok((outbound, None))
                    }
                }
            }
            Phase::Dealing(dealings) => self.take_dealing(dealings, from, body),
            Phase::Seen(dealings, awaited) => self.take_seen(dealings, awaited, from, body),
            Phase::Subshares(subshares) => self.take_subshare(subshares, from, body, rng),
            Phase::Auxiliary(mut session, threshold) => {
                let (outbound, material) = session.receive(from, body, rng)?;
                match material {
                    Some(material) => self.agree(threshold, material),
                    None => {
                        self.phase = Phase::Auxiliary(session, threshold);
                        Ok((outbound, None))
                    }
                }
            }
            Phase::Agreement(share, awaited) => self.take_digest(share, awaited, from, body),
            Phase::Ready | Phase::Over => Ok((Vec::new(), None)),
        }
    }

    /// Publishes commitments to a polynomial through the additive share.
    fn deal(
        &mut self,
        shares: &synedrion::KeyShare<Production, Node>,
        rng: &mut dyn CryptoRngCore,
    ) -> Outcome {
        let unexpected =
            || Failure::unattributed("the library's additive shares are not what they should be");
        let shares = Additive::from_library(shares).ok_or_else(unexpected)?;
        let secret = shares.secret().ok_or_else(unexpected)?;
        let mut constants = BTreeMap::new();
        for (node, point) in shares.public().ok_or_else(unexpected)? {
            constants.insert(
                PartyId::from(node),
                decompress(&point).ok_or_else(unexpected)?,
            );
        }
        if !constants.keys().eq(self.context.committee.parties())
            || PartyId::from(shares.owner) != self.me
            || constants.get(&self.me) != Some(&(ProjectivePoint::GENERATOR * *secret))
        {
            return Err(unexpected());
        }
        let root_key = compress(&constants.values().sum())
            .map(VerifyingKey::Secp256k1)
            .ok_or_else(unexpected)?;
        let polynomial =
            Polynomial::<Secp256k1>::new(&secret, self.context.committee.threshold(), rng);
        let points = polynomial.commit().ok_or_else(unexpected)?;
        let dealing = Dealing::new(DEALINGS, &self.id, &self.account, points);
        let outbound = self.to_all(DEALING, &dealing);
        let mut dealings = Dealings {
            root_key,
            constants,
            polynomial,
            dealt: BTreeMap::new(),
        };
        self.keep_dealing(&mut dealings, &self.me, &dealing)?;
        self.phase = Phase::Dealing(dealings);
        Ok((outbound, None))
    }

    fn keep_dealing(
        &self,
        dealings: &mut Dealings,
        dealer: &PartyId,
        dealing: &Dealing<[u8; 33]>,
    ) -> Result<(), Failure> {
        let blame = |offence| Failure::blaming(*dealer, offence);
        let constant = dealings
            .constants
            .get(dealer)
            .ok_or_else(|| blame(Offence::Unexpected))?;
        let commitments = Commitments::new(
            &dealing.commitments,
            self.context.committee.threshold(),
            constant,
        );
        let commitments = commitments.map_err(blame)?;
        let seen = dealing.seen(DEALINGS);
        if !seen.is_signed_by(DEALINGS, &self.id, dealer) {
            return Err(blame(Offence::FailedProof));
        }
        dealings.dealt.insert(*dealer, (commitments, seen));
        Ok(())
    }

    fn take_dealing(&mut self, mut dealings: Dealings, from: &PartyId, body: &[u8]) -> Outcome {
        let dealing = decode(from, body)?;
        self.keep_dealing(&mut dealings, from, &dealing)?;
        if dealings.dealt.len() < dealings.constants.len() {
            self.phase = Phase::Dealing(dealings);
            return Ok((Vec::new(), None));
        }
        let seen: Vec<_> = dealings.dealt.values().map(|(_, seen)| *seen).collect();
        let outbound = self.to_all(SEEN, &seen);
        self.phase = Phase::Seen(dealings, self.others.clone());
        Ok((outbound, None))
    }

    fn take_seen(
        &mut self,
        dealings: Dealings,
        mut awaited: BTreeSet<PartyId>,
        from: &PartyId,
        body: &[u8],
    ) -> Outcome {
        let theirs: Vec<Seen> = decode(from, body)?;
        if theirs.len() != dealings.dealt.len() {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        for (seen, (dealer, (_, ours))) in theirs.iter().zip(&dealings.dealt) {
            seen.compare(ours, DEALINGS, &self.id, from, dealer)
                .map_err(|(guilty, offence)| Failure::blaming(guilty, offence))?;
        }
        awaited.remove(from);
        if !awaited.is_empty() {
            self.phase = Phase::Seen(dealings, awaited);
            return Ok((Vec::new(), None));
        }
        // All have the same commitments: only now does a subshare leave.
        let mut outbound = Vec::with_capacity(self.others.len());
        for party in &self.others {
            let subshare = dealings.polynomial.evaluate(self.index(party)?);
            outbound.push(RoundMessage {
                to: *party,
                round: SUBSHARES,
                body: Secp256k1::encode_scalar(&subshare).to_vec(),
            });
        }
        let sum = dealings.polynomial.evaluate(self.index(&self.me)?);
        let commitments = dealings
            .dealt
            .into_iter()
            .map(|(dealer, (commitments, _))| (dealer, commitments))
            .collect();
        let awaited = self.others.clone();
        self.phase = Phase::Subshares(Subshares {
            root_key: dealings.root_key,
            commitments,
            sum,
            awaited,
        });
        Ok((outbound, None))
    }

    fn take_subshare(
        &mut self,
        mut subshares: Subshares,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Outcome {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(decode(from, body)?);
        let Some(subshare) = Secp256k1::decode_scalar(&bytes).map(Zeroizing::new) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        let index = self.index(&self.me)?;
        if !subshares
            .commitments
            .get(from)
            .is_some_and(|commitments| commitments.fits(index, &subshare))
        {
            return Err(Failure::blaming(*from, Offence::BadShare));
        }
        *subshares.sum += *subshare;
        subshares.awaited.remove(from);
        if !subshares.awaited.is_empty() {
            self.phase = Phase::Subshares(subshares);
            return Ok((Vec::new(), None));
        }
        let verification_shares: Option<Vec<_>> = (1..=self.context.committee.size())
            .map(|index| {
                compress(
                    &subshares
                        .commitments
                        .values()
                        .map(|dealer| dealer.evaluate(index))
                        .sum(),
                )
            })
            .map(|point| point.map(VerifyingKey::Secp256k1))
            .collect();
        let verification_shares =
            verification_shares.ok_or_else(|| Failure::unattributed("a party's share is zero"))?;
        let threshold = Threshold {
            root_key: subshares.root_key,
            share: subshares.sum,
            verification_shares,
        };
        let (session, outbound) = Auxiliary::start(self.id, &self.account, &self.others, rng)?;
        self.phase = Phase::Auxiliary(session, threshold);
        Ok((outbound, None))
    }

    fn agree(&mut self, threshold: Threshold, material: Material) -> Outcome {
        let KeygenContext {
            genesis,
            scheme,
            epoch,
            attempt,
            committee,
        } = self.context.clone();
        let Threshold {
            root_key,
            share,
            verification_shares,
        } = threshold;
        let public = PublicPackage {
            genesis,
            scheme,
            epoch,
            attempt,
            committee,
            root_key,
            verification_shares,
        };
        let digest = public.digest();
        let secret = auxiliary::secret(share, material)?;
        let share = KeyShare::new(public, self.me, share::Secret::Cggmp(Box::new(secret)))
            .map_err(|error| {
                Failure::unattributed(format!("the new share does not fit: {error}"))
            })?;
        let outbound = self.to_all(AGREEMENT, &digest);
        self.phase = Phase::Agreement(Box::new(share), self.others.clone());
        Ok((outbound, None))
    }

    fn take_digest(
        &mut self,
        share: Box<KeyShare>,
        mut awaited: BTreeSet<PartyId>,
        from: &PartyId,
        body: &[u8],
    ) -> Outcome {
        // All that the digest covers has been agreed upon already: nobody honest can have another.
        if decode::<Digest>(from, body)? != share.public().digest() {
            return Err(Failure::blaming(*from, Offence::Unexpected));
        }
        awaited.remove(from);
        if awaited.is_empty() {
            return Ok((Vec::new(), Some(*share)));
        }
        self.phase = Phase::Agreement(share, awaited);
        Ok((Vec::new(), None))
    }
}

impl Rounds for Keygen {
    type Output = KeyShare;

    fn round(&self) -> u8 {
        match &self.phase {
            Phase::Ready | Phase::Over => 1,
            Phase::Init(session) => session.round(),
            Phase::Dealing(_) => DEALING,
            Phase::Seen(..) => SEEN,
            Phase::Subshares(_) => SUBSHARES,
            Phase::Auxiliary(session, _) => session.round(),
            Phase::Agreement(..) => AGREEMENT,
        }
    }

    fn last_round(&self) -> u8 {
        AGREEMENT
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.phase {
            Phase::Ready | Phase::Over => Vec::new(),
            Phase::Init(session) => session.awaited(),
            Phase::Dealing(dealings) => self
                .others
                .iter()
                .filter(|party| !dealings.dealt.contains_key(party))
                .copied()
                .collect(),
            Phase::Subshares(subshares) => subshares.awaited.iter().copied().collect(),
            Phase::Auxiliary(session, _) => session.awaited(),
            Phase::Seen(_, awaited) | Phase::Agreement(_, awaited) => {
                awaited.iter().copied().collect()
            }
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<KeyShare> {
        step(self.begin(rng))
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<KeyShare> {
        step(self.handle(from, body, rng))
    }
}

fn step(outcome: Outcome) -> RoundStep<KeyShare> {
    match outcome {
        Ok((outbound, share)) => RoundStep {
            outbound,
            outcome: share.map(Ok),
        },
        Err(failure) => RoundStep::failed(failure),
    }
}
