//! What a ceremony is about. Its id commits to all of it, so that nothing from another ceremony, chain or attempt is ever accepted.

use std::collections::BTreeSet;

use codec::Encode;
use entropy_shared::{
    CeremonyId, Committee, DerivationError, DerivationPath, Digest, Epoch, Genesis, Hasher, KeyId,
    PartyId, PublicPackage, RequestId, Scheme, TaprootTweak, VerifyingKey, derivation,
    digest::request_digest, tagged_hash,
};

use crate::share::KeyShare;

/// Version of the ceremonies' rounds and messages.
pub const PROTOCOL_VERSION: u16 = 1;

/// A key generation.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct KeygenContext {
    /// The chain.
    pub genesis: Genesis,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The epoch that the shares will serve.
    pub epoch: Epoch,
    /// The attempt.
    pub attempt: u32,
    /// The parties and the threshold.
    pub committee: Committee,
}

impl KeygenContext {
    /// The ceremony's id.
    pub fn id(&self) -> CeremonyId {
        CeremonyId(tagged_hash(
            "entropy/ceremony/keygen/v1",
            &(PROTOCOL_VERSION, self),
        ))
    }
}

/// A re-dealing of a root key's shares to a new committee; to the same one it is a refresh.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct ReshareContext {
    /// The chain.
    pub genesis: Genesis,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The epoch that the new shares will serve.
    pub epoch: Epoch,
    /// The attempt.
    pub attempt: u32,
    /// The old shares' public side. Trusted: whoever joins must have checked its digest against the chain.
    pub from: PublicPackage,
    /// The old holders that deal, in ascending order; at least as many as the old threshold, better more.
    pub dealers: Vec<PartyId>,
    /// The new holders and the new threshold.
    pub committee: Committee,
}

impl ReshareContext {
    /// The ceremony's id.
    pub fn id(&self) -> CeremonyId {
        CeremonyId(tagged_hash(
            "entropy/ceremony/reshare/v1",
            &(PROTOCOL_VERSION, self),
        ))
    }

    /// Everyone who takes part, in ascending order: dealers and new holders.
    pub fn parties(&self) -> Vec<PartyId> {
        let all: BTreeSet<_> = self
            .dealers
            .iter()
            .chain(self.committee.parties())
            .copied()
            .collect();
        all.into_iter().collect()
    }

    /// Whether `me` can take part, with `old` as its old share.
    pub(crate) fn check(&self, me: &PartyId, old: Option<&KeyShare>) -> Result<(), SetupError> {
        let from = &self.from;
        let dealers = &self.dealers;
        let ordered = dealers.windows(2).all(|pair| pair[0] < pair[1]);
        let hold = |party: &PartyId| from.committee.contains(party);
        if !ordered
            || !dealers.iter().all(hold)
            || dealers.len() < usize::from(from.committee.threshold())
        {
            return Err(SetupError::Dealers {
                at_least: from.committee.threshold(),
            });
        }
        let same_key = (from.genesis, from.scheme) == (self.genesis, self.scheme);
        if !same_key || from.epoch >= self.epoch {
            return Err(SetupError::OtherShare);
        }
        if !dealers.contains(me) && !self.committee.contains(me) {
            return Err(SetupError::NotAParty);
        }
        // A dealer must have what it deals; nobody else has anything to do with an old share.
        match old {
            Some(old) if dealers.contains(me) && old.party() == *me && old.public() == from => {
                Ok(())
            }
            None if !dealers.contains(me) => Ok(()),
            _ => Err(SetupError::OtherShare),
        }
    }
}

/// What a signature is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, codec::Decode)]
pub enum Subject {
    /// A user's request.
    Request(RequestId),
    /// The proof of a key generation, by the signers of [`Committee::proof_sets`] with this number.
    Proof {
        /// The scheme of the new key.
        scheme: Scheme,
        /// The epoch of the new shares.
        epoch: Epoch,
        /// The attempt that made them.
        attempt: u32,
        /// The number of the signer set.
        set: u8,
    },
}

/// A signature by exactly the threshold's number of signers.
#[derive(Debug, Clone, PartialEq, Eq, Encode)]
pub struct SigningContext {
    /// Digest of the public package of the shares that sign.
    pub public_digest: Digest,
    /// What the signature is for.
    pub subject: Subject,
    /// The key.
    pub key: KeyId,
    /// The path below it.
    pub path: DerivationPath,
    /// The Taproot output key.
    pub tweak: TaprootTweak,
    /// The digest: what is signed, unless there is a message.
    pub digest: Digest,
    /// What is signed instead of the digest: an Ed25519 message of any length, which the digest stands for (see
    /// [`entropy_shared::digest::request_digest`]). `None` for all other schemes, and for Ed25519 over a hasher's digest.
    // The id has it all the same: by the digest, and by a tag of its own.
    #[codec(skip)]
    pub message: Option<Vec<u8>>,
    /// What the signature must verify under.
    pub final_key: VerifyingKey,
    /// Who drives the ceremony; one of the signers.
    pub leader: PartyId,
    /// The signers in ascending order, each with a fresh nonce of its own: no two runs ever share an id.
    pub signers: Vec<(PartyId, [u8; 32])>,
}

/// Why a ceremony cannot begin. Ours or the caller's fault, never a peer's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// This version has no ceremony for the scheme.
    #[error("this version cannot run ceremonies of {0}")]
    UnsupportedScheme(Scheme),
    /// This server is not named in the context.
    #[error("this server is not a party of the ceremony")]
    NotAParty,
    /// The signers are not exactly as many members of the committee as the threshold says, in ascending order.
    #[error("the signers must be exactly {expected} members of the committee in ascending order")]
    Signers {
        /// The threshold.
        expected: u16,
    },
    /// The dealers are not at least the old threshold's number of old holders, in ascending order.
    #[error("the dealers must be at least {at_least} of the old holders in ascending order")]
    Dealers {
        /// The old threshold.
        at_least: u16,
    },
    /// The leader is not one of the signers.
    #[error("the leader must be one of the signers")]
    Leader,
    /// The context names another generation of shares.
    #[error("the share is of another key or epoch than the ceremony")]
    OtherShare,
    /// The context's final key is not the one that key, path and tweak give.
    #[error("the final key does not follow from root key, key id, path and tweak")]
    FinalKey,
    /// The context has a message for a scheme that signs digests only, or one that its digest does not stand for.
    #[error("the message is not what the digest stands for")]
    Message,
    /// A signer is named that this share may not sign together with any more: see [`KeyShare::ban`].
    #[error("this server may not sign together with {0} under this share any more")]
    BannedPair(PartyId),
    /// Key, path and tweak give no key.
    #[error(transparent)]
    Derivation(#[from] DerivationError),
    /// The library refused what it was given.
    #[error("the library refused: {0}")]
    Library(&'static str),
}

impl SigningContext {
    /// The ceremony's id. Commits to the message, if there is one, by its digest.
    pub fn id(&self) -> CeremonyId {
        let tag = match self.message {
            None => "entropy/ceremony/sign/v1",
            Some(_) => "entropy/ceremony/sign-message/v1",
        };
        CeremonyId(tagged_hash(tag, &(PROTOCOL_VERSION, self)))
    }

    /// What the signature is over, and what [`entropy_shared::Signature::verify`] takes.
    pub fn signed_bytes(&self) -> &[u8] {
        self.message.as_deref().unwrap_or(&self.digest.0)
    }

    /// The signers' ids, in ascending order.
    pub fn signer_ids(&self) -> Vec<PartyId> {
        self.signers.iter().map(|(party, _)| *party).collect()
    }

    /// What the ceremony adds to the root's secret, as a big-endian scalar, Taproot tweak not included.
    pub fn offset(&self, share: &KeyShare) -> Result<[u8; 32], SetupError> {
        let public = share.public();
        Ok(derivation::derive(public.scheme, &public.root_key, &self.key, &self.path)?.offset)
    }

    /// Whether the holder of `share` can take part.
    pub(crate) fn check(&self, share: &KeyShare) -> Result<(), SetupError> {
        let public = share.public();
        if public.digest() != self.public_digest {
            return Err(SetupError::OtherShare);
        }
        let expected = public.committee.threshold();
        let ordered = self.signers.windows(2).all(|pair| pair[0].0 < pair[1].0);
        let members = self
            .signers
            .iter()
            .all(|(party, _)| public.committee.contains(party));
        if !ordered || !members || self.signers.len() != usize::from(expected) {
            return Err(SetupError::Signers { expected });
        }
        let names = |party: &PartyId| self.signers.iter().any(|(signer, _)| signer == party);
        if !names(&share.party()) {
            return Err(SetupError::NotAParty);
        }
        if let Some(party) = share.banned().iter().find(|party| names(party)) {
            return Err(SetupError::BannedPair(*party));
        }
        if !names(&self.leader) {
            return Err(SetupError::Leader);
        }
        if let Some(message) = &self.message {
            // Only where the message itself is signed does the digest come under a tag of its own: no hasher's digest can pass here.
            let stands_for = request_digest(public.scheme, Hasher::Identity, message);
            if public.scheme != Scheme::SchnorrEd25519 || stands_for != Ok(self.digest) {
                return Err(SetupError::Message);
            }
        }
        let derived = derivation::derive(public.scheme, &public.root_key, &self.key, &self.path)?;
        if derived.final_key(public.scheme, &self.tweak)? != self.final_key {
            return Err(SetupError::FinalKey);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(number: u8) -> PartyId {
        PartyId([number; 32])
    }

    /// Computed by hand from SCALE and SHA-256, apart from this code.
    #[test]
    fn golden_ids() {
        let keygen = KeygenContext {
            genesis: Genesis([1; 32]),
            scheme: Scheme::SchnorrTaproot,
            epoch: 2,
            attempt: 3,
            committee: Committee::new([party(5), party(6), party(7)], 2).unwrap(),
        };
        assert_eq!(
            hex::encode(keygen.id().0),
            "76a35199820df18ef7448966d8a81fa5b0899d88fcfcc99f2aeaab02ad0f0391"
        );
        let signing = SigningContext {
            public_digest: Digest([2; 32]),
            subject: Subject::Request(RequestId([3; 32])),
            key: KeyId([4; 32]),
            path: DerivationPath::new(vec![1, 9]).unwrap(),
            tweak: TaprootTweak::KeyPath,
            digest: Digest([8; 32]),
            message: None,
            final_key: VerifyingKey::XOnly([9; 32]),
            leader: party(5),
            signers: vec![(party(5), [10; 32]), (party(6), [11; 32])],
        };
        assert_eq!(
            hex::encode(signing.id().0),
            "4e9e232df086eae1cf3525fcc9b8a507abb9b7fd2a3f4d6bfd65ba50e589e324"
        );
    }
}
