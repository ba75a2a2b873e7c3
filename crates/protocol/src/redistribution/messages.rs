//! The messages of a redistribution. What may become evidence is signed: a dealing, a subshare with its recipient, and what a holder says to all.

use codec::{Decode, Encode};
use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, PartyId};
use zeroize::Zeroize;

use super::signed::{Dealing, Domain, Seen};
use crate::{ceremony::Offence, group::Group};

/// A dealer's commitments.
pub(crate) const DEALING: Domain = Domain {
    content: "entropy/reshare/commitments/v1",
    signature: "entropy/reshare/dealing/v1",
};
/// A subshare, with its recipient and the hash of the commitments that it must fit.
pub(crate) const SUBSHARE: Domain = Domain {
    content: "entropy/reshare/subshare/v1",
    signature: "entropy/reshare/dealt-subshare/v1",
};
/// A holder's claims about all dealers.
pub(crate) const CLAIMS: Domain = Domain {
    content: "entropy/reshare/claims/v1",
    signature: "entropy/reshare/statement/v1",
};
/// The answers that a holder got.
pub(crate) const ANSWERS: Domain = Domain {
    content: "entropy/reshare/answers/v1",
    signature: "entropy/reshare/relay/v1",
};

/// From a dealer to one holder.
#[derive(Encode, Decode)]
pub(crate) struct Dealt<P: Encode + Decode> {
    pub(crate) dealing: Dealing<P>,
    pub(crate) subshare: [u8; 32],
    pub(crate) signature: [u8; 64],
}

impl<P: Encode + Decode> Drop for Dealt<P> {
    fn drop(&mut self) {
        self.subshare.zeroize();
    }
}

impl<P: Encode + Decode + Clone> Dealt<P> {
    pub(crate) fn new(
        ceremony: &CeremonyId,
        account: &SigningKey,
        dealing: &Dealing<P>,
        recipient: &PartyId,
        subshare: [u8; 32],
    ) -> Self {
        let hash = dealing.seen(DEALING).hash;
        let seen = SUBSHARE.say(ceremony, account, &(recipient, hash, subshare));
        Self {
            dealing: dealing.clone(),
            subshare,
            signature: seen.signature,
        }
    }

    /// Whether the dealer has signed this subshare for this recipient and these commitments.
    pub(crate) fn is_signed_by(
        &self,
        ceremony: &CeremonyId,
        dealer: &PartyId,
        recipient: &PartyId,
    ) -> bool {
        let hash = self.dealing.seen(DEALING).hash;
        let seen = Seen {
            hash: SUBSHARE.hash(&(recipient, hash, self.subshare)),
            signature: self.signature,
        };
        seen.is_signed_by(SUBSHARE, ceremony, dealer)
    }
}

/// Why a holder has nothing valid from a dealer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub(crate) enum Fault {
    #[codec(index = 0)]
    Silent,
    #[codec(index = 1)]
    Malformed,
    #[codec(index = 2)]
    OtherCeremony,
    #[codec(index = 3)]
    Unexpected,
    #[codec(index = 4)]
    FailedProof,
    #[codec(index = 5)]
    BadShare,
    #[codec(index = 6)]
    Equivocation,
}

impl From<Offence> for Fault {
    fn from(offence: Offence) -> Self {
        match offence {
            Offence::Silent => Self::Silent,
            Offence::Malformed => Self::Malformed,
            Offence::OtherCeremony => Self::OtherCeremony,
            Offence::FailedProof => Self::FailedProof,
            Offence::BadShare => Self::BadShare,
            Offence::Equivocation => Self::Equivocation,
            _ => Self::Unexpected,
        }
    }
}

impl From<Fault> for Offence {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Silent => Self::Silent,
            Fault::Malformed => Self::Malformed,
            Fault::OtherCeremony => Self::OtherCeremony,
            Fault::Unexpected => Self::Unexpected,
            Fault::FailedProof => Self::FailedProof,
            Fault::BadShare => Self::BadShare,
            Fault::Equivocation => Self::Equivocation,
        }
    }
}

/// What a holder says of one dealer: what it has of its dealing, and what is wrong with what it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Claim {
    /// A dealing with the dealer's signature, even if it is no good.
    pub(crate) seen: Option<Seen>,
    /// Nothing if dealing and subshare are valid.
    pub(crate) fault: Option<Fault>,
}

impl Claim {
    /// Whether it says anything: a dealing without a fault needs the dealing.
    pub(crate) fn is_whole(&self) -> bool {
        self.seen.is_some() || self.fault.is_some()
    }
}

/// A dealer's answer to complaints: its dealing, and the subshare of each who complains, in the committee's order.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Answer<P> {
    pub(crate) dealing: Dealing<P>,
    pub(crate) subshares: Vec<[u8; 32]>,
}

/// The same for a group's points.
pub(crate) type AnswerOf<G> = Answer<<G as Group>::PointBytes>;

/// What a party says to all in one round, signed.
#[derive(Clone, Encode, Decode)]
pub(crate) struct Said<T> {
    pub(crate) content: T,
    pub(crate) signature: [u8; 64],
}

impl<T: Encode> Said<T> {
    pub(crate) fn new(
        domain: Domain,
        ceremony: &CeremonyId,
        account: &SigningKey,
        content: T,
    ) -> Self {
        let Seen { signature, .. } = domain.say(ceremony, account, &content);
        Self { content, signature }
    }

    pub(crate) fn seen(&self, domain: Domain) -> Seen {
        Seen {
            hash: domain.hash(&self.content),
            signature: self.signature,
        }
    }
}
