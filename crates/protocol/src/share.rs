//! A party's share of a root key: opaque outside of this crate, erased when dropped, encoded in one strict, versioned form.

use codec::{Decode, DecodeAll, Encode};
use entropy_shared::{PartyId, PublicPackage, Scheme, VerifyingKey};
use std::{collections::BTreeSet, fmt};
use zeroize::Zeroizing;

use crate::{cggmp, dkls, frost};

/// Version of the encoding.
const VERSION: u8 = 1;

/// One party's secret for one root key and epoch, with the public package that all holders agree on.
pub struct KeyShare {
    public: PublicPackage,
    party: PartyId,
    pub(crate) secret: Secret,
}

/// The scheme's own secret.
pub(crate) enum Secret {
    Cggmp(Box<cggmp::Secret>),
    Dkls(Box<dkls::Secret<dkls_k256::Secp256k1>>),
    DklsP256(Box<dkls::Secret<dkls_p256::NistP256>>),
    Frost(frost::Secret),
}

/// Bytes that are no share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The share was written in a version that this one does not know.
    #[error("the share is of version {0}; this program reads version {VERSION}")]
    Version(u8),
    /// The bytes are not a share, or its parts contradict each other.
    #[error("the bytes are no share of {VERSION}: {0}")]
    Malformed(&'static str),
}

#[derive(Encode, Decode)]
struct Encoded {
    version: u8,
    public: PublicPackage,
    party: PartyId,
    secret: Vec<u8>,
}

impl Drop for Encoded {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl KeyShare {
    /// Puts a share together; `Malformed` if the party holds none in the package, or its secret is not the one of its verification share.
    pub(crate) fn new(
        public: PublicPackage,
        party: PartyId,
        secret: Secret,
    ) -> Result<Self, DecodeError> {
        let Some(index) = public.committee.index(&party) else {
            return Err(DecodeError::Malformed("the party is not in the committee"));
        };
        if public.verification_shares.len() != usize::from(public.committee.size()) {
            return Err(DecodeError::Malformed(
                "one verification share for each party is expected",
            ));
        }
        let verification = &public.verification_shares[usize::from(index) - 1];
        let fits = match &secret {
            Secret::Cggmp(secret) => {
                public.scheme == Scheme::EcdsaCggmp24 && secret.fits(verification, &public)
            }
            Secret::Dkls(secret) => secret.fits(verification, &public, &party),
            Secret::DklsP256(secret) => secret.fits(verification, &public, &party),
            Secret::Frost(secret) => {
                matches!(
                    (public.scheme, verification),
                    (Scheme::SchnorrTaproot, VerifyingKey::Secp256k1(_))
                        | (Scheme::SchnorrEd25519, VerifyingKey::Ed25519(_))
                ) && secret.fits(verification)
            }
        };
        if !fits {
            return Err(DecodeError::Malformed(
                "the secret does not fit the verification share",
            ));
        }
        Ok(Self {
            public,
            party,
            secret,
        })
    }

    /// What all holders agree on.
    pub const fn public(&self) -> &PublicPackage {
        &self.public
    }

    /// Whose share this is.
    pub const fn party(&self) -> PartyId {
        self.party
    }

    /// The secret scalar alone, in the encoding of its group.
    pub(crate) fn secret_scalar(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = match &self.secret {
            Secret::Cggmp(secret) => secret.encode(),
            Secret::Dkls(secret) => return Zeroizing::new(secret.share().to_vec()),
            Secret::DklsP256(secret) => return Zeroizing::new(secret.share().to_vec()),
            Secret::Frost(secret) => secret.encode(),
        };
        bytes.truncate(32);
        bytes
    }

    /// With whom this share may not sign any more. Always empty for schemes other than DKLs23's.
    pub fn banned(&self) -> &BTreeSet<PartyId> {
        static NOBODY: BTreeSet<PartyId> = BTreeSet::new();
        match &self.secret {
            Secret::Dkls(secret) => secret.banned(),
            Secret::DklsP256(secret) => secret.banned(),
            Secret::Cggmp(_) | Secret::Frost(_) => &NOBODY,
        }
    }

    /// Remembers an [`Offence::Banned`](crate::Offence::Banned): from now on [`crate::sign`] refuses a context that names `party`. Says whether that is news.
    ///
    /// It lasts as long as the share, and is part of its encoding, which the caller must store before it answers anyone. New shares of the key
    /// start afresh, because their set-up is another. Bans nobody who is no peer under this share; other schemes have nothing to ban for.
    pub fn ban(&mut self, party: PartyId) -> bool {
        match &mut self.secret {
            Secret::Dkls(secret) => secret.ban(party),
            Secret::DklsP256(secret) => secret.ban(party),
            Secret::Cggmp(_) | Secret::Frost(_) => false,
        }
    }

    /// The share's bytes, for encrypted storage only.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let secret = match &self.secret {
            Secret::Cggmp(secret) => secret.encode(),
            Secret::Dkls(secret) => secret.encode(&self.public, &self.party),
            Secret::DklsP256(secret) => secret.encode(&self.public, &self.party),
            Secret::Frost(secret) => secret.encode(),
        };
        let encoded = Encoded {
            version: VERSION,
            public: self.public.clone(),
            party: self.party,
            secret: secret.to_vec(),
        };
        Zeroizing::new(Encode::encode(&encoded))
    }

    /// Reads what [`Self::encode`] wrote; anything else is an error. Checks that the secret fits the public package.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match bytes.first() {
            Some(&VERSION) => {}
            Some(&other) => return Err(DecodeError::Version(other)),
            None => return Err(DecodeError::Malformed("empty")),
        }
        let encoded = Encoded::decode_all(&mut &bytes[..])
            .map_err(|_| DecodeError::Malformed("not the expected fields"))?;
        let secret = match encoded.public.scheme {
            Scheme::EcdsaCggmp24 => {
                Secret::Cggmp(Box::new(cggmp::Secret::decode(&encoded.secret)?))
            }
            scheme @ (Scheme::SchnorrTaproot | Scheme::SchnorrEd25519) => {
                Secret::Frost(frost::Secret::decode(scheme, &encoded.secret)?)
            }
            Scheme::EcdsaDkls23 => Secret::Dkls(Box::new(dkls::Secret::decode(
                &encoded.secret,
                &encoded.public,
                &encoded.party,
            )?)),
            Scheme::EcdsaP256 => Secret::DklsP256(Box::new(dkls::Secret::decode(
                &encoded.secret,
                &encoded.public,
                &encoded.party,
            )?)),
        };
        Self::new(encoded.public.clone(), encoded.party, secret)
    }
}

impl fmt::Debug for KeyShare {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyShare")
            .field("scheme", &self.public.scheme)
            .field("epoch", &self.public.epoch)
            .field("party", &self.party)
            .field("secret", &"redacted")
            .finish()
    }
}
