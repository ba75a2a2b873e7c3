//! The messages of a redistribution, written down a second time, so that a test can play a cheater who speaks the protocol.

use codec::{Decode, DecodeAll, Encode};
use ed25519_dalek::Signer;
use entropy_protocol::ReshareContext;
use entropy_shared::{PartyId, tagged_hash};
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{Field, PrimeField, sec1::ToEncodedPoint},
};
use rand::SeedableRng;
use rand_chacha::ChaCha20Rng;

use crate::common::{Packet, account};

pub(crate) type Point = [u8; 33];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Seen {
    pub(crate) hash: [u8; 32],
    pub(crate) signature: [u8; 64],
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Dealt {
    pub(crate) commitments: Vec<Point>,
    pub(crate) signature: [u8; 64],
    pub(crate) subshare: [u8; 32],
    pub(crate) subshare_signature: [u8; 64],
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Claim {
    pub(crate) seen: Option<Seen>,
    pub(crate) fault: Option<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Statement {
    pub(crate) claims: Vec<Claim>,
    pub(crate) signature: [u8; 64],
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Answer {
    pub(crate) commitments: Vec<Point>,
    pub(crate) signature: [u8; 64],
    pub(crate) subshares: Vec<[u8; 32]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Relay {
    pub(crate) answers: Vec<Option<Answer>>,
    pub(crate) signature: [u8; 64],
}

/// The number of a fault in claims.
pub(crate) const BAD_SHARE: u8 = 5;

pub(crate) fn read<T: Decode>(packet: &Packet) -> T {
    T::decode_all(&mut &packet.frame().body[..]).unwrap()
}

fn say(context: &ReshareContext, author: &PartyId, tag: &str, hash: [u8; 32]) -> [u8; 64] {
    let signed = tagged_hash(tag, &(context.id(), author, hash));
    account(author).sign(&signed).to_bytes()
}

pub(crate) fn commitments_hash(commitments: &[Point]) -> [u8; 32] {
    tagged_hash("entropy/reshare/commitments/v1", &commitments)
}

impl Dealt {
    /// Signs both parts as `dealer` would.
    pub(crate) fn signed(
        mut self,
        context: &ReshareContext,
        dealer: &PartyId,
        to: &PartyId,
    ) -> Self {
        let hash = commitments_hash(&self.commitments);
        self.signature = say(context, dealer, "entropy/reshare/dealing/v1", hash);
        let subshare = tagged_hash("entropy/reshare/subshare/v1", &(to, hash, self.subshare));
        self.subshare_signature = say(
            context,
            dealer,
            "entropy/reshare/dealt-subshare/v1",
            subshare,
        );
        self
    }
}

impl Statement {
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            hash: tagged_hash("entropy/reshare/claims/v1", &self.claims),
            signature: self.signature,
        }
    }

    pub(crate) fn signed(mut self, context: &ReshareContext, holder: &PartyId) -> Self {
        let hash = tagged_hash("entropy/reshare/claims/v1", &self.claims);
        self.signature = say(context, holder, "entropy/reshare/statement/v1", hash);
        self
    }
}

impl Relay {
    pub(crate) fn seen(&self) -> Seen {
        Seen {
            hash: tagged_hash("entropy/reshare/answers/v1", &self.answers),
            signature: self.signature,
        }
    }

    pub(crate) fn signed(mut self, context: &ReshareContext, holder: &PartyId) -> Self {
        let hash = tagged_hash("entropy/reshare/answers/v1", &self.answers);
        self.signature = say(context, holder, "entropy/reshare/relay/v1", hash);
        self
    }
}

/// A polynomial of a dishonest dealer's choice.
#[derive(Debug, Clone)]
pub(crate) struct Polynomial(Vec<Scalar>);

impl Polynomial {
    /// Random, except for its constant.
    pub(crate) fn new(constant: Scalar, coefficients: usize, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let rest = (1..coefficients).map(|_| Scalar::random(&mut rng));
        Self([constant].into_iter().chain(rest).collect())
    }

    pub(crate) fn commitments(&self) -> Vec<Point> {
        let point = |scalar: &Scalar| {
            let point = (ProjectivePoint::GENERATOR * scalar).to_affine();
            point.to_encoded_point(true).as_bytes().try_into().unwrap()
        };
        self.0.iter().map(point).collect()
    }

    pub(crate) fn evaluate(&self, index: u16) -> [u8; 32] {
        let x = Scalar::from(u64::from(index));
        let value = self
            .0
            .iter()
            .rev()
            .fold(Scalar::ZERO, |sum, coefficient| sum * x + coefficient);
        value.to_repr().into()
    }

    /// What a dealer of this would send to `to`.
    pub(crate) fn dealt(&self, context: &ReshareContext, dealer: &PartyId, to: &PartyId) -> Dealt {
        Dealt {
            commitments: self.commitments(),
            signature: [0; 64],
            subshare: self.evaluate(context.committee.index(to).unwrap()),
            subshare_signature: [0; 64],
        }
        .signed(context, dealer, to)
    }
}

/// The secret of a stored share of scheme `SchnorrTaproot`: its last 32 bytes.
pub(crate) fn secret(share: &entropy_protocol::KeyShare) -> Scalar {
    let encoded = share.encode();
    let bytes: [u8; 32] = encoded[encoded.len() - 32..].try_into().unwrap();
    Scalar::from_repr(bytes.into()).unwrap()
}
