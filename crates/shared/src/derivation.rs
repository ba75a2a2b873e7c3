//! From a network's root key to the key that one request signs under: the only derivation there is, for chain, servers and client.
//!
//! Additive throughout: every step adds a scalar that anyone can compute to the secret, and the same multiple of the
//! generator to the public key. So holders of shares need no ceremony to derive, and the offset of a child is public.
//! No child *secret* may ever leave the holders: with its chain code it would give the root's secret away.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, Input, MaxEncodedLen};
use core::{fmt, str::FromStr};
use hmac::{Hmac, Mac};
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{PrimeField, point::AffineCoordinates, sec1::ToEncodedPoint},
};
use scale_info::TypeInfo;
use sha2::Sha512;

#[cfg(test)]
mod tests;

use crate::{
    digest::{tagged_hash, tagged_hash_bytes},
    ids::KeyId,
    scheme::Scheme,
    signature::{VerifyingKey, parse_secp256k1},
};

/// How many steps a user's path may have.
pub const MAX_PATH_DEPTH: usize = 5;

/// A user's path below its key: up to [`MAX_PATH_DEPTH`] non-hardened indices, each below 2^31.
///
/// Hardened steps need the secret, which nobody has. As text: `m`, `m/0/5`.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, TypeInfo)]
pub struct DerivationPath(Vec<u32>);

/// Why indices or a text make no path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// More than [`MAX_PATH_DEPTH`] steps.
    TooDeep(usize),
    /// An index of 2^31 or more, or one marked as hardened.
    Hardened,
    /// Not `m` followed by `/index` up to five times.
    Syntax,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooDeep(depth) => write!(f, "a path has at most {MAX_PATH_DEPTH} steps, not {depth}"),
            Self::Hardened => f.write_str("hardened steps need the secret key, which nobody has: use indices below 2147483648"),
            Self::Syntax => f.write_str("expected a path like m/0/5"),
        }
    }
}

impl core::error::Error for PathError {}

impl DerivationPath {
    /// The path with these steps.
    pub fn new(steps: Vec<u32>) -> Result<Self, PathError> {
        if steps.len() > MAX_PATH_DEPTH {
            return Err(PathError::TooDeep(steps.len()));
        }
        if steps.iter().any(|step| *step >= 1 << 31) {
            return Err(PathError::Hardened);
        }
        Ok(Self(steps))
    }

    /// The indices, outermost first.
    pub fn steps(&self) -> &[u32] {
        &self.0
    }
}

impl Decode for DerivationPath {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        Self::new(Vec::decode(input)?).map_err(|_| "not a derivation path".into())
    }
}

impl DecodeWithMemTracking for DerivationPath {}

impl MaxEncodedLen for DerivationPath {
    fn max_encoded_len() -> usize {
        1 + MAX_PATH_DEPTH * u32::max_encoded_len()
    }
}

impl fmt::Display for DerivationPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("m")?;
        self.0.iter().try_for_each(|step| write!(f, "/{step}"))
    }
}

impl FromStr for DerivationPath {
    type Err = PathError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split('/');
        if parts.next() != Some("m") {
            return Err(PathError::Syntax);
        }
        let steps = parts.map(|part| match part.strip_suffix(['\'', 'h', 'H']) {
            Some(_) => Err(PathError::Hardened),
            None => part.parse().map_err(|_| PathError::Syntax),
        });
        Self::new(steps.collect::<Result<_, _>>()?)
    }
}

/// Which Taproot output key a BIP-340 signature is for (BIP-341).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum TaprootTweak {
    /// None: plain BIP-340 under the derived key itself. The only choice for schemes other than Taproot.
    #[default]
    #[codec(index = 0)]
    None,
    /// Key path spending of an output without scripts.
    #[codec(index = 1)]
    KeyPath,
    /// Key path spending of an output that also commits to scripts with this Merkle root.
    #[codec(index = 2)]
    MerkleRoot([u8; 32]),
}

/// Why no key can be derived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DerivationError {
    /// This version cannot derive keys of the scheme.
    UnsupportedScheme(Scheme),
    /// The root key is of another curve, or not a point at all.
    BadRootKey,
    /// A tweak is given for a scheme that has none.
    TweakWithoutTaproot,
    /// A step's hash is no scalar, or the sum is zero: happens with probability below 2^-127, take another index.
    Unlucky,
}

impl fmt::Display for DerivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnsupportedScheme(scheme) => {
                write!(f, "this version cannot derive keys of {scheme}")
            }
            Self::BadRootKey => f.write_str("the root key is not a point of the scheme's curve"),
            Self::TweakWithoutTaproot => {
                f.write_str("a Taproot tweak goes with scheme schnorr-taproot only")
            }
            Self::Unlucky => {
                f.write_str("no key exists at this index (probability below 2^-127): take another")
            }
        }
    }
}

impl core::error::Error for DerivationError {}

/// A derived key and how its secret relates to the root's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The derived public key, before any Taproot tweak: always a full point.
    pub key: VerifyingKey,
    /// What is added to the root's secret, as a big-endian scalar. Public.
    pub offset: [u8; 32],
    /// The chain code for further steps (BIP-32). Public.
    pub chain_code: [u8; 32],
}

impl Derived {
    /// The key that a signature verifies under: the derived key itself for ECDSA, an x-coordinate after `tweak` for Taproot (BIP-341).
    pub fn final_key(
        &self,
        scheme: Scheme,
        tweak: &TaprootTweak,
    ) -> Result<VerifyingKey, DerivationError> {
        match scheme {
            Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 if *tweak != TaprootTweak::None => {
                Err(DerivationError::TweakWithoutTaproot)
            }
            Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 => Ok(self.key),
            Scheme::SchnorrTaproot => taproot_output(&self.key, tweak),
            Scheme::EcdsaP256 | Scheme::SchnorrEd25519 => {
                Err(DerivationError::UnsupportedScheme(scheme))
            }
        }
    }
}

/// The key `id` under `root`, and below it the user's `path`.
///
/// The key's secret is the root's plus a tagged hash of (root key, key id), its chain code another tagged hash of the same; each step of the path is BIP-32's CKDpub.
pub fn derive(
    scheme: Scheme,
    root: &VerifyingKey,
    id: &KeyId,
    path: &DerivationPath,
) -> Result<Derived, DerivationError> {
    match (scheme, root) {
        (
            Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot,
            VerifyingKey::Secp256k1(bytes),
        ) => derive_secp256k1(bytes, id, path),
        (Scheme::EcdsaP256 | Scheme::SchnorrEd25519, _) => {
            Err(DerivationError::UnsupportedScheme(scheme))
        }
        _ => Err(DerivationError::BadRootKey),
    }
}

fn derive_secp256k1(
    root: &[u8; 33],
    id: &KeyId,
    path: &DerivationPath,
) -> Result<Derived, DerivationError> {
    let mut point = decompress(root)?;
    let mut offset = scalar(&tagged_hash("entropy/child-offset/v1", &(root, id)))?;
    let mut chain_code = tagged_hash("entropy/child-chain-code/v1", &(root, id));
    point += ProjectivePoint::GENERATOR * offset;
    let mut bytes = compress(&point)?;
    for step in path.steps() {
        let (tweak, child_chain_code) = child_step(&bytes, &chain_code, *step)?;
        offset += tweak;
        point += ProjectivePoint::GENERATOR * tweak;
        bytes = compress(&point)?;
        chain_code = child_chain_code;
    }
    Ok(Derived {
        key: VerifyingKey::Secp256k1(bytes),
        offset: offset.to_repr().into(),
        chain_code,
    })
}

/// What BIP-32's CKDpub adds to the parent's secret, and the child's chain code: `I = HMAC-SHA512(c_par, serP(K_par) || ser32(i))`,
/// `K_i = parse256(I_L) G + K_par`, `c_i = I_R`.
fn child_step(
    parent: &[u8; 33],
    chain_code: &[u8; 32],
    step: u32,
) -> Result<(Scalar, [u8; 32]), DerivationError> {
    let mut mac =
        Hmac::<Sha512>::new_from_slice(chain_code).map_err(|_| DerivationError::Unlucky)?;
    mac.update(parent);
    mac.update(&step.to_be_bytes());
    let output: [u8; 64] = mac.finalize().into_bytes().into();
    let (left, right) = output.split_at(32);
    let tweak = scalar(&left.try_into().map_err(|_| DerivationError::Unlucky)?)?;
    Ok((
        tweak,
        right.try_into().map_err(|_| DerivationError::Unlucky)?,
    ))
}

/// BIP-341: `Q = lift_x(P) + H_TapTweak(x(P) || root) G`; with [`TaprootTweak::None`] just x(P).
fn taproot_output(
    key: &VerifyingKey,
    tweak: &TaprootTweak,
) -> Result<VerifyingKey, DerivationError> {
    let VerifyingKey::Secp256k1(bytes) = key else {
        return Err(DerivationError::BadRootKey);
    };
    let x: [u8; 32] = decompress(bytes)?.to_affine().x().into();
    let hash = match tweak {
        TaprootTweak::None => return Ok(VerifyingKey::XOnly(x)),
        TaprootTweak::KeyPath => tagged_hash_bytes("TapTweak", &[&x]),
        TaprootTweak::MerkleRoot(root) => tagged_hash_bytes("TapTweak", &[&x, root]),
    };
    let mut even = [2; 33];
    even[1..].copy_from_slice(&x);
    let output = decompress(&even)? + ProjectivePoint::GENERATOR * scalar(&hash)?;
    compress(&output)?;
    Ok(VerifyingKey::XOnly(output.to_affine().x().into()))
}

fn decompress(bytes: &[u8; 33]) -> Result<ProjectivePoint, DerivationError> {
    parse_secp256k1(bytes)
        .map(|key| key.to_projective())
        .ok_or(DerivationError::BadRootKey)
}

/// SEC1 compressed bytes; the identity has none.
fn compress(point: &ProjectivePoint) -> Result<[u8; 33], DerivationError> {
    point
        .to_affine()
        .to_encoded_point(true)
        .as_bytes()
        .try_into()
        .map_err(|_| DerivationError::Unlucky)
}

/// A scalar from a hash that must be below the group order, as BIP-32 and BIP-341 demand; not reduced.
fn scalar(hash: &[u8; 32]) -> Result<Scalar, DerivationError> {
    Option::from(Scalar::from_repr((*hash).into())).ok_or(DerivationError::Unlucky)
}
