//! A party's secret: its threshold share and its auxiliary material, with one strict encoding.

use entropy_shared::{PublicPackage, VerifyingKey};
use k256::{ProjectivePoint, Scalar, elliptic_curve::PrimeField};
use serde::{Deserialize, Serialize};
use synedrion::{AuxInfo, KeyShare};
use zeroize::{Zeroize, Zeroizing};

use super::{
    PointBytes, Production, compress,
    wire::{Node, decode_canonical, encode},
};
use crate::{
    group::{Group, Secp256k1},
    share::DecodeError,
};

/// The share `s_i` of the root key, the Paillier key that goes with it and everybody's auxiliary parameters.
pub(crate) struct Secret {
    pub(super) share: Zeroizing<Scalar>,
    /// The library erases its secret part when it is dropped.
    pub(super) auxiliary: AuxInfo<Production, Node>,
    /// The same, encoded.
    encoded: Zeroizing<Vec<u8>>,
}

impl Secret {
    /// Nothing if the library's material has no encoding that gives it back.
    pub(super) fn new(
        share: Zeroizing<Scalar>,
        auxiliary: AuxInfo<Production, Node>,
    ) -> Option<Self> {
        let encoded = encode(&auxiliary)?;
        decode_canonical::<AuxInfo<Production, Node>>(&encoded)?;
        Some(Self {
            share,
            auxiliary,
            encoded,
        })
    }

    /// The share as 32 big-endian bytes, then the auxiliary material.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let share = Zeroizing::new(<[u8; 32]>::from(self.share.to_repr()));
        Zeroizing::new([share.as_slice(), self.encoded.as_slice()].concat())
    }

    /// Reads what [`Self::encode`] wrote; every secret has one encoding.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let (share, auxiliary) = bytes
            .split_first_chunk()
            .ok_or(DecodeError::Malformed("shorter than a scalar"))?;
        Ok(Self {
            share: Secp256k1::decode_scalar(share)
                .map(Zeroizing::new)
                .ok_or(DecodeError::Malformed("the share is no scalar"))?,
            auxiliary: decode_canonical(auxiliary).ok_or(DecodeError::Malformed(
                "no auxiliary material in its canonical form",
            ))?,
            encoded: Zeroizing::new(auxiliary.to_vec()),
        })
    }

    /// Whether the share is that of the owner's verification share, and the auxiliary material of exactly the committee.
    pub(crate) fn fits(&self, verification: &VerifyingKey, public: &PublicPackage) -> bool {
        let expected =
            compress(&(ProjectivePoint::GENERATOR * *self.share)).map(VerifyingKey::Secp256k1);
        let of_owner = public
            .committee
            .index(&(*self.auxiliary.owner()).into())
            .and_then(|index| public.verification_shares.get(usize::from(index) - 1));
        expected.as_ref() == Some(verification)
            && of_owner == Some(verification)
            && self.is_auxiliary_of(public)
    }

    /// The library does not show whose parameters there are, but drops those that are not asked for.
    fn is_auxiliary_of(&self, public: &PublicPackage) -> bool {
        let parties = public
            .committee
            .parties()
            .iter()
            .copied()
            .map(Node::from)
            .collect();
        self.auxiliary
            .clone()
            .subset(&parties)
            .is_ok_and(|subset| encode(&subset).as_ref() == Some(&self.encoded))
    }
}

/// The library's additive shares, field by field as it serialises them: it has no other way in or out.
#[derive(Serialize, Deserialize)]
pub(super) struct Additive {
    pub(super) owner: Node,
    secret: Vec<u8>,
    public: Vec<(Node, Vec<u8>)>,
}

impl Drop for Additive {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl Additive {
    pub(super) fn new(owner: Node, secret: &Scalar, public: &[(Node, PointBytes)]) -> Self {
        let secret = secret.to_repr().to_vec();
        Self {
            owner,
            secret,
            public: public
                .iter()
                .map(|(node, point)| (*node, point.to_vec()))
                .collect(),
        }
    }

    pub(super) fn from_library(share: &KeyShare<Production, Node>) -> Option<Self> {
        decode_canonical(&encode(share)?)
    }

    pub(super) fn to_library(&self) -> Option<KeyShare<Production, Node>> {
        decode_canonical(&encode(self)?)
    }

    pub(super) fn secret(&self) -> Option<Zeroizing<Scalar>> {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(self.secret.as_slice().try_into().ok()?);
        Secp256k1::decode_scalar(&bytes).map(Zeroizing::new)
    }

    /// The public shares in ascending order of their parties.
    pub(super) fn public(&self) -> Option<Vec<(Node, PointBytes)>> {
        self.public
            .iter()
            .map(|(node, point)| Some((*node, point.as_slice().try_into().ok()?)))
            .collect()
    }
}
