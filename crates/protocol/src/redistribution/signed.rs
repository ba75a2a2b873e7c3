//! What a party says to all, signed with its account key: two versions of it are a provable lie.

use codec::{Decode, Encode};
use ed25519_dalek::{Signer, SigningKey};
use entropy_shared::{CeremonyId, PartyId, tagged_hash};

use crate::ceremony::Offence;

/// What a signature is about: the tags keep a party's words of one kind apart from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Domain {
    /// The tag of the hash of what is said.
    pub(crate) content: &'static str,
    /// The tag of what is signed: ceremony, author and that hash.
    pub(crate) signature: &'static str,
}

impl Domain {
    pub(crate) fn hash(self, content: &impl Encode) -> [u8; 32] {
        tagged_hash(self.content, content)
    }

    /// `author`'s words, signed.
    pub(crate) fn say(
        self,
        ceremony: &CeremonyId,
        account: &SigningKey,
        content: &impl Encode,
    ) -> Seen {
        let author = PartyId(account.verifying_key().to_bytes());
        let hash = self.hash(content);
        let signature = account
            .sign(&self.signed(ceremony, &author, &hash))
            .to_bytes();
        Seen { hash, signature }
    }

    fn signed(self, ceremony: &CeremonyId, author: &PartyId, hash: &[u8; 32]) -> [u8; 32] {
        tagged_hash(self.signature, &(ceremony, author, hash))
    }
}

/// The hash of what a party has said, and that party's signature: what others need in order to compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Seen {
    pub(crate) hash: [u8; 32],
    pub(crate) signature: [u8; 64],
}

impl Seen {
    /// Whether `author` has signed this for this ceremony.
    pub(crate) fn is_signed_by(
        &self,
        domain: Domain,
        ceremony: &CeremonyId,
        author: &PartyId,
    ) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature);
        ed25519_dalek::VerifyingKey::from_bytes(&author.0).is_ok_and(|key| {
            key.verify_strict(&domain.signed(ceremony, author, &self.hash), &signature)
                .is_ok()
        })
    }

    /// Compares what `witness` has seen of `author`'s words with what we have; a difference is the fault of one of them.
    pub(crate) fn compare(
        &self,
        ours: &Self,
        domain: Domain,
        ceremony: &CeremonyId,
        witness: &PartyId,
        author: &PartyId,
    ) -> Result<(), (PartyId, Offence)> {
        if self.hash == ours.hash {
            return Ok(());
        }
        if witness == author || self.is_signed_by(domain, ceremony, author) {
            return Err((*author, Offence::Equivocation));
        }
        Err((*witness, Offence::FailedProof))
    }
}

/// A dealer's commitments, signed.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Dealing<P> {
    pub(crate) commitments: Vec<P>,
    pub(crate) signature: [u8; 64],
}

impl<P: Encode> Dealing<P> {
    pub(crate) fn new(
        domain: Domain,
        ceremony: &CeremonyId,
        account: &SigningKey,
        commitments: Vec<P>,
    ) -> Self {
        let Seen { signature, .. } = domain.say(ceremony, account, &commitments);
        Self {
            commitments,
            signature,
        }
    }

    pub(crate) fn seen(&self, domain: Domain) -> Seen {
        Seen {
            hash: domain.hash(&self.commitments),
            signature: self.signature,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOMAIN: Domain = Domain {
        content: "content",
        signature: "signature",
    };
    const OTHER: Domain = Domain {
        content: "content",
        signature: "another",
    };

    #[test]
    fn a_difference_is_blamed_on_who_made_it() {
        let [account, other] = [1, 2].map(|byte| SigningKey::from_bytes(&[byte; 32]));
        let [author, witness] =
            [&account, &other].map(|key| PartyId(key.verifying_key().to_bytes()));
        let (ceremony, elsewhere) = (CeremonyId([1; 32]), CeremonyId([2; 32]));
        let said = |ceremony, account, domain: Domain, word: u8| {
            Dealing::new(domain, ceremony, account, vec![[word; 33]]).seen(domain)
        };
        let ours = said(&ceremony, &account, DOMAIN, 1);
        assert!(ours.is_signed_by(DOMAIN, &ceremony, &author));
        assert!(!ours.is_signed_by(DOMAIN, &ceremony, &witness));
        let compare = |theirs: Seen, witness: &PartyId| {
            theirs.compare(&ours, DOMAIN, &ceremony, witness, &author)
        };
        assert_eq!(compare(ours, &witness), Ok(()));
        let second = said(&ceremony, &account, DOMAIN, 2);
        let lie = (author, Offence::Equivocation);
        assert_eq!(compare(second, &witness), Err(lie));
        for forged in [
            said(&ceremony, &other, DOMAIN, 2),
            said(&elsewhere, &account, DOMAIN, 2),
            said(&ceremony, &account, OTHER, 2),
        ] {
            assert_eq!(
                compare(forged, &witness),
                Err((witness, Offence::FailedProof))
            );
            assert_eq!(compare(forged, &author), Err(lie));
        }
    }
}
