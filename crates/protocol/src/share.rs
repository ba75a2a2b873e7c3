//! A party's share of a root key: opaque outside of this crate, erased when dropped, encoded in one strict, versioned form.

use codec::{Decode, DecodeAll, Encode};
use entropy_shared::{PartyId, PublicPackage, Scheme, VerifyingKey};
use std::fmt;
use zeroize::Zeroizing;

use crate::{
    cggmp, dkls, frost,
    group::{P256, Secp256k1},
};

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
    Dkls(Box<dkls::Secret<Secp256k1>>),
    DklsP256(Box<dkls::Secret<P256>>),
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
            Secret::Dkls(secret) => {
                public.scheme == Scheme::EcdsaDkls23 && secret.fits(&party, verification, &public)
            }
            Secret::DklsP256(secret) => {
                public.scheme == Scheme::EcdsaP256 && secret.fits(&party, verification, &public)
            }
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
            Secret::Dkls(secret) => return secret.share(),
            Secret::DklsP256(secret) => return secret.share(),
            Secret::Frost(secret) => secret.encode(),
        };
        bytes.truncate(32);
        bytes
    }

    /// Whether the two parties must not sign together under this share, because the other was caught at [`Offence::Banned`].
    pub fn is_banned(&self, party: &PartyId) -> bool {
        let index = self.public.committee.index(party);
        index.is_some_and(|index| match &self.secret {
            Secret::Dkls(secret) => secret.is_banned(index),
            Secret::DklsP256(secret) => secret.is_banned(index),
            Secret::Cggmp(_) | Secret::Frost(_) => false,
        })
    }

    /// Remembers that the share's party must not sign together with `party` any more; whether that is new.
    ///
    /// To be called for everybody whom a signing blames for [`Offence::Banned`], and to be flushed to disk before anything is
    /// answered: a second signature with that party could give it the share. Schemes without such an offence remember nothing.
    pub fn ban(&mut self, party: &PartyId) -> bool {
        let other = (*party != self.party)
            .then(|| self.public.committee.index(party))
            .flatten();
        other.is_some_and(|index| match &mut self.secret {
            Secret::Dkls(secret) => secret.ban(index),
            Secret::DklsP256(secret) => secret.ban(index),
            Secret::Cggmp(_) | Secret::Frost(_) => false,
        })
    }

    /// The share's bytes, for encrypted storage only.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        let secret = match &self.secret {
            Secret::Cggmp(secret) => secret.encode(),
            Secret::Dkls(secret) => secret.encode(),
            Secret::DklsP256(secret) => secret.encode(),
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
            Scheme::EcdsaDkls23 => Secret::Dkls(Box::new(dkls::Secret::decode(&encoded.secret)?)),
            Scheme::EcdsaP256 => Secret::DklsP256(Box::new(dkls::Secret::decode(&encoded.secret)?)),
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
