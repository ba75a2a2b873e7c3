//! From Shamir shares to shares that sign: the pairwise set-up, after whatever made the shares (key generation or a redistribution).
//!
//! Steps 3 to 5 of protocol 9.1 of ePrint 2023/602 and the initialisations of DKLs23's functionalities 3.4 and 3.5. Rounds, after `before` earlier ones:
//!
//! 1. everyone to each: digest of the public package, commitment to its proof that it knows its share, commitment to its half of a seed;
//! 2. everyone to each, once all commitments are in: proof, half of the seed, messages of the base OTs in both directions;
//! 3. everyone to all: the digest again, as word that it could check all of round 2. Nobody has a share before everybody has one.
//!
//! How to use it: all holders must have *agreed* on the public package before (echo), because a holder that names another digest is blamed
//! for it. [`Setup`] is a [`Rounds`]: give it `start` where the earlier rounds end, then delegate `round`, `awaited`, `receive` and `expire`; its output
//! is the finished [`KeyShare`]. The set-up changes no share. [`setup`] chooses the curve by the package's scheme.
//!
//! The session that all proofs are bound to is the package's digest: it commits to chain, scheme, epoch, attempt, parties, threshold and, being
//! that of fresh random shares, to this one run; and a stored share can be checked against it, as it could not be against a ceremony's id.

use std::{collections::BTreeMap, mem};

use dkls_curve::Group;
use dkls23::{protocols::PartyIndex, utilities::proofs::DLogProof};
use entropy_shared::{PartyId, PublicPackage, Scheme, tagged_hash};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{
    Curve, NistP256, Secp256k1, Secret, compress, dealing, missing,
    pair::{Blind, Half, Link, Opening, Pair, Session},
    party_index, refused, scalar, to_all, wire,
};
use crate::{
    ceremony::{Failure, Offence},
    guard::{RoundMessage, RoundStep, Rounds},
    share::KeyShare,
};

/// How many rounds it takes.
pub(crate) const ROUNDS: u8 = 3;

/// The set-up of a share of either curve; fails if the scheme is not DKLs23's.
///
/// `share` is the holder's Shamir share as 32 big-endian bytes, `before` the number of rounds that came before.
pub(crate) fn setup(
    public: PublicPackage,
    me: PartyId,
    share: &Zeroizing<[u8; 32]>,
    before: u8,
) -> Result<Box<dyn Rounds<Output = KeyShare>>, Failure> {
    Ok(match public.scheme {
        Scheme::EcdsaDkls23 => Box::new(Setup::<Secp256k1>::new(public, me, share, before)?),
        Scheme::EcdsaP256 => Box::new(Setup::<NistP256>::new(public, me, share, before)?),
        other => {
            return Err(Failure::unattributed(format!(
                "{other} has no pairwise set-up"
            )));
        }
    })
}

/// What all proofs of a set-up, and the signatures of its shares, are bound to.
pub(super) fn session(public: &PublicPackage) -> Session {
    tagged_hash("entropy/dkls/session/v1", &public.digest())
}

/// One holder's side.
pub(crate) struct Setup<C: Curve> {
    public: PublicPackage,
    me: PartyId,
    index: PartyIndex,
    peers: Vec<PartyId>,
    session: Session,
    digest: [u8; 32],
    share: Zeroizing<C::Scalar>,
    before: u8,
    stage: Stage<C>,
}

/// What is awaited. Each stage owns its secrets, which are erased with it.
enum Stage<C: Curve> {
    /// The start, or nothing any more.
    Idle,
    Commitments(Box<Commitments<C>>),
    Openings(Box<Openings<C>>),
    Ready(Box<Ready<C>>),
}

struct Commitments<C: Curve> {
    proof: DLogProof<C>,
    blinds: BTreeMap<PartyId, Blind>,
    heard: BTreeMap<PartyId, Commitment>,
}

/// What a peer has committed to.
struct Commitment {
    proof: [u8; 32],
    seed: [u8; 32],
}

struct Openings<C: Curve> {
    /// The length of everyone's message.
    length: usize,
    committed: BTreeMap<PartyId, Commitment>,
    halves: BTreeMap<PartyId, Half<C>>,
    pairs: BTreeMap<PartyId, Pair<C>>,
}

struct Ready<C: Curve> {
    pairs: BTreeMap<PartyId, Pair<C>>,
    heard: BTreeMap<PartyId, ()>,
}

impl<C: Curve> Setup<C> {
    /// Fails if share and package do not belong together, or the verification shares are not those of the root key.
    pub(crate) fn new(
        public: PublicPackage,
        me: PartyId,
        share: &Zeroizing<[u8; 32]>,
        before: u8,
    ) -> Result<Self, Failure> {
        let position = public.committee.index(&me);
        let (Some(position), Some(index)) = (position, party_index(&public.committee, &me)) else {
            return Err(Failure::unattributed("not a party of the public package"));
        };
        if public.scheme != C::SCHEME || !dealing::interpolates::<C>(&public) {
            return Err(Failure::unattributed(
                "the verification shares are not those of the root key",
            ));
        }
        let share = scalar::<C>(share).map(Zeroizing::new);
        let own = share
            .as_ref()
            .and_then(|share| compress::<C>(&(C::ProjectivePoint::generator() * **share)));
        let verification = public.verification_shares.get(usize::from(position) - 1);
        let (Some(share), true) = (share, own.map(C::key).as_ref() == verification) else {
            return Err(Failure::unattributed(
                "the share is not the one of its verification share",
            ));
        };
        let peers = public.committee.parties().iter().copied();
        Ok(Self {
            peers: peers.filter(|party| *party != me).collect(),
            session: session(&public),
            digest: public.digest().0,
            public,
            me,
            index,
            share,
            before,
            stage: Stage::Idle,
        })
    }

    fn link(&self, peer: &PartyId) -> Result<Link<'_>, Failure> {
        let peer = party_index(&self.public.committee, peer);
        Ok(Link {
            session: &self.session,
            me: self.index,
            peer: peer.ok_or_else(|| refused("an index"))?,
        })
    }

    /// What the proof of the party's share is bound to.
    fn proof_session(&self, party: &PartyId) -> [u8; 32] {
        tagged_hash("entropy/dkls/share-proof/v1", &(self.session, party))
    }

    fn commit(&mut self) -> Result<RoundStep<KeyShare>, Failure> {
        let (proof, commitment) =
            DLogProof::<C>::prove_commit(&self.share, &self.proof_session(&self.me))
                .map_err(|_| refused("to prove our share"))?;
        let mut blinds = BTreeMap::new();
        let mut outbound = Vec::new();
        for peer in &self.peers {
            let (blind, seed) = self.link(peer)?.blind();
            blinds.insert(*peer, blind);
            outbound.push(RoundMessage {
                to: *peer,
                round: self.before + 1,
                body: [self.digest, commitment, seed].concat(),
            });
        }
        self.stage = Stage::Commitments(Box::new(Commitments {
            proof,
            blinds,
            heard: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound,
            outcome: None,
        })
    }

    fn on_commitments(
        &mut self,
        mut stage: Box<Commitments<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let ([digest, proof, seed], []) = body.as_chunks::<32>() else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        if *digest != self.digest {
            // It has agreed on all that the package follows from, and now contradicts itself.
            return Err(Failure::blaming(*from, Offence::Equivocation));
        }
        let commitment = Commitment {
            proof: *proof,
            seed: *seed,
        };
        stage.heard.insert(*from, commitment);
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Commitments(stage);
            return Ok(RoundStep::idle());
        }
        let Commitments {
            proof,
            blinds,
            heard,
        } = *stage;
        let mut halves = BTreeMap::new();
        let mut outbound = Vec::new();
        let mut length = 0;
        for (peer, blind) in blinds {
            let (half, opening) = self.link(&peer)?.open(blind, &proof);
            let mut body = wire::encode(&opening).ok_or_else(|| refused("to encode"))?;
            length = body.len();
            halves.insert(peer, half);
            outbound.push(RoundMessage {
                to: peer,
                round: self.before + 2,
                body: mem::take(&mut *body),
            });
        }
        self.stage = Stage::Openings(Box::new(Openings {
            length,
            committed: heard,
            halves,
            pairs: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound,
            outcome: None,
        })
    }

    fn on_opening(
        &mut self,
        mut stage: Box<Openings<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        let opening = (body.len() == stage.length)
            .then(|| wire::decode::<Opening<C>>(body))
            .flatten()
            .filter(Opening::is_whole)
            .ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        let (Some(committed), Some(half)) = (stage.committed.get(from), stage.halves.remove(from))
        else {
            return Err(refused("a second opening"));
        };
        let pair = self
            .knows_share(from, &opening.share, &committed.proof)
            .then(|| {
                self.link(from)
                    .ok()?
                    .finish(half, &opening, &committed.seed)
            })
            .flatten()
            .ok_or_else(|| Failure::blaming(*from, Offence::FailedProof))?;
        stage.pairs.insert(*from, pair);
        if stage.pairs.len() < self.peers.len() {
            self.stage = Stage::Openings(stage);
            return Ok(RoundStep::idle());
        }
        self.stage = Stage::Ready(Box::new(Ready {
            pairs: mem::take(&mut stage.pairs),
            heard: BTreeMap::new(),
        }));
        Ok(RoundStep {
            outbound: to_all(&self.peers, self.before + 3, &self.digest),
            outcome: None,
        })
    }

    /// Whether the proof is the one committed to, and of the share that the party holds by the public package.
    fn knows_share(&self, party: &PartyId, proof: &DLogProof<C>, commitment: &[u8; 32]) -> bool {
        let verification = self
            .public
            .committee
            .index(party)
            .and_then(|index| self.public.verification_shares.get(usize::from(index) - 1));
        compress::<C>(&proof.point.into()).map(C::key).as_ref() == verification
            && DLogProof::<C>::decommit_verify(proof, commitment, &self.proof_session(party))
    }

    fn on_ready(
        &mut self,
        mut stage: Box<Ready<C>>,
        from: &PartyId,
        body: &[u8],
    ) -> Result<RoundStep<KeyShare>, Failure> {
        if body.len() != self.digest.len() {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        if body != self.digest {
            return Err(Failure::blaming(*from, Offence::Equivocation));
        }
        stage.heard.insert(*from, ());
        if stage.heard.len() < self.peers.len() {
            self.stage = Stage::Ready(stage);
            return Ok(RoundStep::idle());
        }
        let secret = Secret::new(mem::take(&mut *self.share), stage.pairs);
        let share = KeyShare::new(self.public.clone(), self.me, C::wrap(Box::new(secret)))
            // What could not be read again would be lost at the next start.
            .and_then(|share| KeyShare::decode(&share.encode()))
            .map_err(|error| Failure::unattributed(format!("the set-up made no share: {error}")))?;
        Ok(RoundStep {
            outbound: Vec::new(),
            outcome: Some(Ok(share)),
        })
    }
}

#[cfg(test)]
impl<C: Curve> Setup<C> {
    pub(super) fn replace_share(&mut self, share: C::Scalar) {
        self.share = Zeroizing::new(share);
    }
}

impl<C: Curve> Rounds for Setup<C> {
    type Output = KeyShare;

    fn round(&self) -> u8 {
        self.before
            + match self.stage {
                Stage::Idle | Stage::Commitments(_) => 1,
                Stage::Openings(_) => 2,
                Stage::Ready(_) => 3,
            }
    }

    fn last_round(&self) -> u8 {
        self.before + ROUNDS
    }

    fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Idle => Vec::new(),
            Stage::Commitments(stage) => missing(&self.peers, &stage.heard),
            Stage::Openings(stage) => missing(&self.peers, &stage.pairs),
            Stage::Ready(stage) => missing(&self.peers, &stage.heard),
        }
    }

    fn start(&mut self, _: &mut dyn CryptoRngCore) -> RoundStep<KeyShare> {
        self.commit().unwrap_or_else(RoundStep::failed)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        _: &mut dyn CryptoRngCore,
    ) -> RoundStep<KeyShare> {
        let step = match mem::replace(&mut self.stage, Stage::Idle) {
            Stage::Idle => Ok(RoundStep::idle()),
            Stage::Commitments(stage) => self.on_commitments(stage, from, body),
            Stage::Openings(stage) => self.on_opening(stage, from, body),
            Stage::Ready(stage) => self.on_ready(stage, from, body),
        };
        step.unwrap_or_else(RoundStep::failed)
    }
}
