//! Key generation: Feldman's verifiable secret sharing of everybody's contribution, committed to before anybody shows its own, then the pairwise set-up.
//!
//! 1. each to all: commitment to what it will deal;
//! 2. each to all: commitments to its polynomial, signed, with what opens round 1;
//! 3. each to all: what it has seen of all dealings;
//! 4. each to each: its subshare, secret;
//! 5. and 6. the set-up of the shares, with proofs that each knows its own;
//! 7. each to all: digest of the public package.
//!
//! The library's own first phase deals without commitments: one wrong subshare stops it, and nobody can say whose it was.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use codec::{Decode, Encode};
use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, Digest, PartyId, PublicPackage, VerifyingKey, tagged_hash};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{
    Curve, PointBytes, Secret,
    setup::{self, Setup, Shares},
};
use crate::{
    ceremony::{Failure, Offence},
    context::{KeygenContext, SetupError},
    gather::Gather,
    guard::{RoundMessage, RoundStep, Rounds},
    redistribution::{Commitments, Dealing, Domain, Polynomial, Seen},
    share::KeyShare,
    wire::decode_body,
};

const COMMITMENT: u8 = 1;
const DEALING: u8 = 2;
const SEEN: u8 = 3;
const SUBSHARES: u8 = 4;
const FIRST_OF_SETUP: u8 = 5;
const AGREEMENT: u8 = FIRST_OF_SETUP + setup::ROUNDS;

const DEALINGS: Domain = Domain {
    content: "entropy/dkls/commitments/v1",
    signature: "entropy/dkls/dealing/v1",
};

type Outcome = Result<(Vec<RoundMessage>, Option<KeyShare>), Failure>;

/// A dealing and what opens the commitment to it.
#[derive(Encode, Decode)]
struct Opening {
    nonce: [u8; 32],
    dealing: Dealing<PointBytes>,
}

/// One party's side.
pub(crate) struct Keygen<C: Curve> {
    id: CeremonyId,
    context: KeygenContext,
    me: PartyId,
    account: SigningKey,
    others: Vec<PartyId>,
    phase: Phase<C>,
}

enum Phase<C: Curve> {
    Ready,
    Committed {
        polynomial: Polynomial<C>,
        opening: Opening,
        gather: Gather<[u8; 32]>,
    },
    Dealing {
        polynomial: Polynomial<C>,
        committed: BTreeMap<PartyId, [u8; 32]>,
        dealt: BTreeMap<PartyId, (Commitments<C>, Seen)>,
        awaited: BTreeSet<PartyId>,
    },
    Seen {
        polynomial: Polynomial<C>,
        dealt: BTreeMap<PartyId, (Commitments<C>, Seen)>,
        awaited: BTreeSet<PartyId>,
    },
    Subshares {
        commitments: BTreeMap<PartyId, Commitments<C>>,
        sum: Zeroizing<C::Scalar>,
        awaited: BTreeSet<PartyId>,
    },
    Setup(Box<Setup<C>>, Keys),
    Agreement(Box<KeyShare>, BTreeSet<PartyId>),
    /// Between phases, and after the end.
    Over,
}

/// The root key and everybody's verification share.
struct Keys {
    root_key: VerifyingKey,
    verification_shares: Vec<VerifyingKey>,
}

impl<C: Curve> Keygen<C> {
    /// Prepares the side of `me`, who must be in the committee; `account` is its key.
    pub(crate) fn new(
        context: &KeygenContext,
        me: PartyId,
        account: &SigningKey,
    ) -> Result<Self, SetupError> {
        if account.verifying_key().to_bytes() != me.0 {
            return Err(SetupError::NotAParty);
        }
        let parties = context.committee.parties().iter();
        Ok(Self {
            id: context.id(),
            context: context.clone(),
            me,
            account: account.clone(),
            others: parties.filter(|party| **party != me).copied().collect(),
            phase: Phase::Ready,
        })
    }

    fn to_all(&self, round: u8, body: &impl Encode) -> Vec<RoundMessage> {
        let message = |to: &PartyId| RoundMessage {
            to: *to,
            round,
            body: body.encode(),
        };
        self.others.iter().map(message).collect()
    }

    fn index(&self, party: &PartyId) -> Result<u16, Failure> {
        self.context
            .committee
            .index(party)
            .ok_or_else(|| Failure::unattributed("a party is not in the committee"))
    }

    fn awaiting(&self) -> BTreeSet<PartyId> {
        self.others.iter().copied().collect()
    }

    fn commitment(&self, dealer: &PartyId, opening: &Opening) -> [u8; 32] {
        tagged_hash(
            "entropy/dkls/commitment/v1",
            &(self.id, dealer, opening.nonce, &opening.dealing.commitments),
        )
    }

    fn commit(&mut self, rng: &mut dyn CryptoRngCore) -> Outcome {
        let constant = Zeroizing::new(C::random(rng));
        let polynomial = Polynomial::<C>::new(&constant, self.context.committee.threshold(), rng);
        let points = polynomial
            .commit()
            .ok_or_else(|| Failure::unattributed("a coefficient is zero"))?;
        let mut nonce = [0; 32];
        rng.fill_bytes(&mut nonce);
        let opening = Opening {
            nonce,
            dealing: Dealing::new(DEALINGS, &self.id, &self.account, points),
        };
        let outbound = self.to_all(COMMITMENT, &self.commitment(&self.me, &opening));
        self.phase = Phase::Committed {
            polynomial,
            opening,
            gather: Gather::from_each(&self.others),
        };
        Ok((outbound, None))
    }

    fn handle(&mut self, from: &PartyId, body: &[u8]) -> Outcome {
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Committed {
                polynomial,
                opening,
                mut gather,
            } => {
                if gather.insert(from, decode_body(from, body)?) {
                    return self.deal(polynomial, &opening, gather.into_values());
                }
                self.phase = Phase::Committed {
                    polynomial,
                    opening,
                    gather,
                };
                Ok((Vec::new(), None))
            }
            Phase::Dealing {
                polynomial,
                committed,
                mut dealt,
                mut awaited,
            } => {
                let dealing = self.read_dealing(from, body, &committed)?;
                dealt.insert(*from, dealing);
                awaited.remove(from);
                if awaited.is_empty() {
                    return Ok(self.show(polynomial, dealt));
                }
                self.phase = Phase::Dealing {
                    polynomial,
                    committed,
                    dealt,
                    awaited,
                };
                Ok((Vec::new(), None))
            }
            Phase::Seen {
                polynomial,
                dealt,
                mut awaited,
            } => {
                self.compare(from, body, &dealt)?;
                awaited.remove(from);
                if awaited.is_empty() {
                    return self.send_subshares(&polynomial, dealt);
                }
                self.phase = Phase::Seen {
                    polynomial,
                    dealt,
                    awaited,
                };
                Ok((Vec::new(), None))
            }
            Phase::Subshares {
                commitments,
                mut sum,
                mut awaited,
            } => {
                let subshare = self.read_subshare(from, body, &commitments)?;
                *sum = *sum + *subshare;
                awaited.remove(from);
                if awaited.is_empty() {
                    return self.set_up(&commitments, &sum);
                }
                self.phase = Phase::Subshares {
                    commitments,
                    sum,
                    awaited,
                };
                Ok((Vec::new(), None))
            }
            Phase::Setup(mut setup, keys) => match setup.receive(from, body)? {
                (_, Some(secret)) => self.agree(secret, keys),
                (outbound, None) => {
                    self.phase = Phase::Setup(setup, keys);
                    Ok((outbound, None))
                }
            },
            Phase::Agreement(share, mut awaited) => {
                if decode_body::<Digest>(from, body)? != share.public().digest() {
                    // The package follows from the dealings, on which `from` agreed with this server: it contradicts itself.
                    return Err(Failure::blaming(*from, Offence::Equivocation));
                }
                awaited.remove(from);
                if awaited.is_empty() {
                    return Ok((Vec::new(), Some(*share)));
                }
                self.phase = Phase::Agreement(share, awaited);
                Ok((Vec::new(), None))
            }
            Phase::Ready | Phase::Over => Ok((Vec::new(), None)),
        }
    }

    fn deal(
        &mut self,
        polynomial: Polynomial<C>,
        opening: &Opening,
        committed: BTreeMap<PartyId, [u8; 32]>,
    ) -> Outcome {
        let outbound = self.to_all(DEALING, opening);
        let own = self.check_dealing(&self.me, &opening.dealing)?;
        self.phase = Phase::Dealing {
            polynomial,
            committed,
            dealt: [(self.me, own)].into(),
            awaited: self.awaiting(),
        };
        Ok((outbound, None))
    }

    fn read_dealing(
        &self,
        from: &PartyId,
        body: &[u8],
        committed: &BTreeMap<PartyId, [u8; 32]>,
    ) -> Result<(Commitments<C>, Seen), Failure> {
        let opening: Opening = decode_body(from, body)?;
        if committed.get(from) != Some(&self.commitment(from, &opening)) {
            return Err(Failure::blaming(*from, Offence::FailedProof));
        }
        self.check_dealing(from, &opening.dealing)
    }

    fn check_dealing(
        &self,
        dealer: &PartyId,
        dealing: &Dealing<PointBytes>,
    ) -> Result<(Commitments<C>, Seen), Failure> {
        let blame = |offence| Failure::blaming(*dealer, offence);
        let points = &dealing.commitments;
        // Nothing is known of the constant yet but that it is a point.
        let constant = points.first().and_then(C::decompress);
        let constant = constant.ok_or_else(|| blame(Offence::Malformed))?;
        let commitments = Commitments::new(points, self.context.committee.threshold(), &constant)
            .map_err(blame)?;
        let seen = dealing.seen(DEALINGS);
        if !seen.is_signed_by(DEALINGS, &self.id, dealer) {
            return Err(blame(Offence::FailedProof));
        }
        Ok((commitments, seen))
    }

    fn show(
        &mut self,
        polynomial: Polynomial<C>,
        dealt: BTreeMap<PartyId, (Commitments<C>, Seen)>,
    ) -> (Vec<RoundMessage>, Option<KeyShare>) {
        let seen: Vec<_> = dealt.values().map(|(_, seen)| *seen).collect();
        let outbound = self.to_all(SEEN, &seen);
        self.phase = Phase::Seen {
            polynomial,
            dealt,
            awaited: self.awaiting(),
        };
        (outbound, None)
    }

    fn compare(
        &self,
        from: &PartyId,
        body: &[u8],
        dealt: &BTreeMap<PartyId, (Commitments<C>, Seen)>,
    ) -> Result<(), Failure> {
        let theirs: Vec<Seen> = decode_body(from, body)?;
        if theirs.len() != dealt.len() {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        theirs
            .iter()
            .zip(dealt)
            .try_for_each(|(seen, (dealer, (_, ours)))| {
                seen.compare(ours, DEALINGS, &self.id, from, dealer)
                    .map_err(|(guilty, offence)| Failure::blaming(guilty, offence))
            })
    }

    /// All have the same commitments: only now does a subshare leave.
    fn send_subshares(
        &mut self,
        polynomial: &Polynomial<C>,
        dealt: BTreeMap<PartyId, (Commitments<C>, Seen)>,
    ) -> Outcome {
        let mut outbound = Vec::with_capacity(self.others.len());
        for party in &self.others {
            let subshare = polynomial.evaluate(self.index(party)?);
            outbound.push(RoundMessage {
                to: *party,
                round: SUBSHARES,
                body: C::encode_scalar(&subshare).to_vec(),
            });
        }
        self.phase = Phase::Subshares {
            commitments: dealt
                .into_iter()
                .map(|(dealer, (commitments, _))| (dealer, commitments))
                .collect(),
            sum: polynomial.evaluate(self.index(&self.me)?),
            awaited: self.awaiting(),
        };
        Ok((outbound, None))
    }

    fn read_subshare(
        &self,
        from: &PartyId,
        body: &[u8],
        commitments: &BTreeMap<PartyId, Commitments<C>>,
    ) -> Result<Zeroizing<C::Scalar>, Failure> {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(decode_body(from, body)?);
        let subshare = C::decode_scalar(&bytes)
            .map(Zeroizing::new)
            .ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        let index = self.index(&self.me)?;
        let fits = commitments
            .get(from)
            .is_some_and(|commitments| commitments.fits(index, &subshare));
        if fits {
            Ok(subshare)
        } else {
            Err(Failure::blaming(*from, Offence::BadShare))
        }
    }

    fn set_up(
        &mut self,
        commitments: &BTreeMap<PartyId, Commitments<C>>,
        share: &C::Scalar,
    ) -> Outcome {
        let zero = || Failure::unattributed("the key or a party's share is zero");
        let weighted: Vec<_> = commitments
            .values()
            .map(|it| (C::Scalar::from(1), it.clone()))
            .collect();
        let whole = Commitments::combine(&weighted);
        let root_key = C::key(&whole.constant()).ok_or_else(zero)?;
        let verification_shares: Option<Vec<_>> = (1..=self.context.committee.size())
            .map(|index| C::key(&whole.evaluate(index)))
            .collect();
        let keys = Keys {
            root_key,
            verification_shares: verification_shares.ok_or_else(zero)?,
        };
        let shares = Shares {
            committee: &self.context.committee,
            root_key: &keys.root_key,
            verification_shares: &keys.verification_shares,
            me: self.me,
            share,
        };
        let (setup, outbound) = Setup::start(&self.id, FIRST_OF_SETUP, &shares)?;
        self.phase = Phase::Setup(Box::new(setup), keys);
        Ok((outbound, None))
    }

    fn agree(&mut self, secret: Secret<C>, keys: Keys) -> Outcome {
        let context = &self.context;
        let public = PublicPackage {
            genesis: context.genesis,
            scheme: context.scheme,
            epoch: context.epoch,
            attempt: context.attempt,
            committee: context.committee.clone(),
            root_key: keys.root_key,
            verification_shares: keys.verification_shares,
        };
        let digest = public.digest();
        let share = KeyShare::new(public, self.me, C::wrap(Box::new(secret))).map_err(|error| {
            Failure::unattributed(format!("key generation made no share: {error}"))
        })?;
        self.phase = Phase::Agreement(Box::new(share), self.awaiting());
        Ok((self.to_all(AGREEMENT, &digest), None))
    }
}

impl<C: Curve> Rounds for Keygen<C> {
    type Output = KeyShare;

    fn round(&self) -> u8 {
        match &self.phase {
            Phase::Ready | Phase::Committed { .. } | Phase::Over => COMMITMENT,
            Phase::Dealing { .. } => DEALING,
            Phase::Seen { .. } => SEEN,
            Phase::Subshares { .. } => SUBSHARES,
            Phase::Setup(setup, _) => setup.round(),
            Phase::Agreement(..) => AGREEMENT,
        }
    }

    fn last_round(&self) -> u8 {
        AGREEMENT
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.phase {
            Phase::Ready | Phase::Over => Vec::new(),
            Phase::Committed { gather, .. } => gather.awaited(),
            Phase::Setup(setup, _) => setup.awaited(),
            Phase::Dealing { awaited, .. }
            | Phase::Seen { awaited, .. }
            | Phase::Subshares { awaited, .. }
            | Phase::Agreement(_, awaited) => awaited.iter().copied().collect(),
        }
    }

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<KeyShare> {
        step(self.commit(rng))
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<KeyShare> {
        step(self.handle(from, body))
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
