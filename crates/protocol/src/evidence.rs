//! Proof of an offence in a re-dealing, that anyone can check from signatures alone.
//!
//! Only what a party has signed counts, together with the ceremony's id: nobody else can make it, and nothing from another
//! ceremony, chain or attempt fits. An honest party signs one dealing, one statement and one relay in a ceremony, and
//! subshares that fit its dealing, so that there is no evidence against it. A context that was never run proves nothing:
//! whoever verifies takes it from the chain.

use codec::{Decode, DecodeAll, Encode};
use entropy_shared::{CeremonyId, PartyId, Scheme, VerifyingKey};

use crate::{
    ceremony::Offence,
    context::ReshareContext,
    group::{Ed25519, Group, P256, Secp256k1},
    redistribution::{Commitments, DEALING, RELAY, STATEMENT, SUBSHARE, Seen},
};

/// The longest encoding that is read, in bytes.
pub const MAX_EVIDENCE_BYTES: usize = 8 * 1024;

/// What a party says once in a re-dealing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum Word {
    /// A dealer's commitments.
    #[codec(index = 0)]
    Dealing,
    /// A holder's claims about the dealers.
    #[codec(index = 1)]
    Statement,
    /// The answers that a holder passes on.
    #[codec(index = 2)]
    Relay,
}

/// The hash of what was said, and its author's signature over the ceremony, itself and that hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct SignedHash {
    /// The hash.
    pub hash: [u8; 32],
    /// The signature of the author's account.
    pub signature: [u8; 64],
}

/// A dealer's commitments, with its signature.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct SignedDealing {
    /// The commitments to the coefficients, the constant first.
    pub commitments: Vec<VerifyingKey>,
    /// The signature of the dealer's account over the ceremony, itself and the commitments' hash.
    pub signature: [u8; 64],
}

/// What a party has signed and should not have.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Evidence {
    /// Two different versions of what is said once.
    #[codec(index = 0)]
    Equivocation {
        /// Who said both.
        author: PartyId,
        /// Of what they are versions.
        word: Word,
        /// One version.
        first: SignedHash,
        /// The other.
        second: SignedHash,
    },
    /// Commitments that are not to as many coefficients as the threshold says, or not to what the dealer is known to hold.
    #[codec(index = 1)]
    BadDealing {
        /// Who dealt.
        dealer: PartyId,
        /// What it dealt.
        dealing: SignedDealing,
    },
    /// A subshare that does not fit its dealer's commitments.
    #[codec(index = 2)]
    BadSubshare {
        /// Who dealt.
        dealer: PartyId,
        /// What it dealt.
        dealing: SignedDealing,
        /// For whom the subshare was.
        recipient: PartyId,
        /// The subshare. It is no secret worth keeping: it is a share of nothing.
        subshare: [u8; 32],
        /// The dealer's signature over the ceremony, recipient, commitments' hash and subshare.
        signature: [u8; 64],
    },
}

/// Why evidence proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    /// The bytes are not evidence in its one encoding.
    #[error("the bytes are no evidence")]
    Malformed,
    /// The accused, or the recipient of a subshare, has no such part in the ceremony.
    #[error("the accused or the recipient has no such part in the ceremony")]
    NotAParty,
    /// The accused has not signed this for this ceremony.
    #[error("the accused has not signed this for this ceremony")]
    NotSigned,
    /// What the accused has signed is as it should be.
    #[error("what was signed is no offence")]
    NoOffence,
    /// The context is not one of a scheme's re-dealing.
    #[error("the context's keys are not of its scheme's group")]
    BadContext,
}

impl Evidence {
    /// Whom it accuses.
    pub const fn accused(&self) -> PartyId {
        match self {
            Self::Equivocation { author, .. } => *author,
            Self::BadDealing { dealer, .. } | Self::BadSubshare { dealer, .. } => *dealer,
        }
    }

    /// Its one encoding.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.encode()
    }

    /// Reads what [`Self::to_bytes`] wrote, and nothing else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, EvidenceError> {
        if bytes.len() > MAX_EVIDENCE_BYTES {
            return Err(EvidenceError::Malformed);
        }
        let evidence = Self::decode_all(&mut &*bytes).map_err(|_| EvidenceError::Malformed)?;
        if evidence.encode() != bytes {
            return Err(EvidenceError::Malformed);
        }
        Ok(evidence)
    }

    /// What the accused has provably done in this ceremony.
    pub fn verify(&self, context: &ReshareContext) -> Result<Offence, EvidenceError> {
        match context.scheme {
            Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot => {
                self.verify_in::<Secp256k1>(context)
            }
            Scheme::EcdsaP256 => self.verify_in::<P256>(context),
            Scheme::SchnorrEd25519 => self.verify_in::<Ed25519>(context),
        }
    }

    fn verify_in<G: Group>(&self, context: &ReshareContext) -> Result<Offence, EvidenceError> {
        let id = context.id();
        match self {
            Self::Equivocation {
                author,
                word,
                first,
                second,
            } => {
                let (domain, has_part) = match word {
                    Word::Dealing => (DEALING, context.dealers.contains(author)),
                    Word::Statement => (STATEMENT, context.committee.contains(author)),
                    Word::Relay => (RELAY, context.committee.contains(author)),
                };
                if !has_part {
                    return Err(EvidenceError::NotAParty);
                }
                let signed = |it: &SignedHash| it.seen().is_signed_by(domain, &id, author);
                if !signed(first) || !signed(second) {
                    return Err(EvidenceError::NotSigned);
                }
                if first.hash == second.hash {
                    return Err(EvidenceError::NoOffence);
                }
                Ok(Offence::Equivocation)
            }
            Self::BadDealing { dealer, dealing } => {
                match read_dealing::<G>(context, &id, dealer, dealing)? {
                    (_, Err(offence)) => Ok(offence),
                    (_, Ok(_)) => Err(EvidenceError::NoOffence),
                }
            }
            Self::BadSubshare {
                dealer,
                dealing,
                recipient,
                subshare,
                signature,
            } => {
                let (hash, commitments) = read_dealing::<G>(context, &id, dealer, dealing)?;
                let index = context.committee.index(recipient);
                let index = index.ok_or(EvidenceError::NotAParty)?;
                let seen = Seen {
                    hash: SUBSHARE.hash(&(recipient, hash, subshare)),
                    signature: *signature,
                };
                if !seen.is_signed_by(SUBSHARE, &id, dealer) {
                    return Err(EvidenceError::NotSigned);
                }
                // A dealing that is bad by itself is evidence of its own.
                let commitments = commitments.map_err(|_| EvidenceError::NoOffence)?;
                match G::decode_scalar(subshare) {
                    Some(subshare) if commitments.fits(index, &subshare) => {
                        Err(EvidenceError::NoOffence)
                    }
                    _ => Ok(Offence::BadShare),
                }
            }
        }
    }
}

/// The hash of commitments that the dealer has signed, and what they are worth.
#[expect(
    clippy::type_complexity,
    reason = "a bad dealing is a result here, not an error"
)]
fn read_dealing<G: Group>(
    context: &ReshareContext,
    id: &CeremonyId,
    dealer: &PartyId,
    dealing: &SignedDealing,
) -> Result<([u8; 32], Result<Commitments<G>, Offence>), EvidenceError> {
    let from = &context.from;
    let index = from
        .committee
        .index(dealer)
        .filter(|_| context.dealers.contains(dealer))
        .ok_or(EvidenceError::NotAParty)?;
    let points: Vec<_> = dealing
        .commitments
        .iter()
        .map(G::of_key)
        .collect::<Option<_>>()
        .ok_or(EvidenceError::NotSigned)?;
    let seen = Seen {
        hash: DEALING.hash(&points),
        signature: dealing.signature,
    };
    if !seen.is_signed_by(DEALING, id, dealer) {
        return Err(EvidenceError::NotSigned);
    }
    let constant = from.verification_shares.get(usize::from(index) - 1);
    let constant = constant
        .and_then(G::point)
        .ok_or(EvidenceError::BadContext)?;
    let commitments = Commitments::new(&points, context.committee.threshold(), &constant);
    Ok((seen.hash, commitments))
}

impl SignedHash {
    pub(crate) const fn of(seen: &Seen) -> Self {
        Self {
            hash: seen.hash,
            signature: seen.signature,
        }
    }

    const fn seen(&self) -> Seen {
        Seen {
            hash: self.hash,
            signature: self.signature,
        }
    }
}

impl SignedDealing {
    pub(crate) fn of<G: Group>(commitments: &[G::PointBytes], signature: [u8; 64]) -> Self {
        Self {
            commitments: commitments.iter().copied().map(G::to_key).collect(),
            signature,
        }
    }
}
