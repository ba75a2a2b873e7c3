//! From a network's root key to the key that one request signs under: the only derivation there is, for chain, servers and client.
//!
//! Additive throughout: every step adds a scalar that anyone can compute to the secret, and the same multiple of the
//! generator to the public key. So holders of shares need no ceremony to derive, and the offset of a child is public.
//! No child *secret* may ever leave the holders: with its chain code it would give the root's secret away.
//!
//! What all curves share is here; the steps are in one file for the two curves of the SEC1 kind and one for Ed25519.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, Input, MaxEncodedLen};
use core::{fmt, str::FromStr};
use hmac::{Hmac, Mac, digest::KeyInit};
use k256::Secp256k1;
use p256::NistP256;
use scale_info::TypeInfo;
use sha2::Sha512;

mod ed25519;
mod weierstrass;

#[cfg(test)]
mod tests;

use crate::{ids::KeyId, scheme::Scheme, signature::VerifyingKey};
use weierstrass::Steps;

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
    /// The key is of another curve than the scheme's, or not a key of it at all.
    BadRootKey,
    /// A tweak is given for a scheme that has none.
    TweakWithoutTaproot,
    /// A step's hash is no scalar, or the sum is zero: happens with probability below 2^-127, take another index.
    Unlucky,
}

impl fmt::Display for DerivationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BadRootKey => "the root key is not a point of the scheme's curve",
            Self::TweakWithoutTaproot => "a Taproot tweak goes with scheme schnorr-taproot only",
            Self::Unlucky => "no key exists at this index (probability below 2^-127): take another",
        })
    }
}

impl core::error::Error for DerivationError {}

/// A derived key and how its secret relates to the root's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Derived {
    /// The derived public key, before any Taproot tweak: always a full point.
    pub key: VerifyingKey,
    /// What is added to the root's secret, as a scalar in the byte order of its curve: big-endian for secp256k1 and P-256,
    /// little-endian for Ed25519. Always below the group order. Public.
    pub offset: [u8; 32],
    /// The chain code for further steps. Public.
    pub chain_code: [u8; 32],
}

impl Derived {
    /// The key that a signature verifies under: the derived key itself for ECDSA and Ed25519, an x-coordinate after `tweak` for Taproot (BIP-341).
    pub fn final_key(
        &self,
        scheme: Scheme,
        tweak: &TaprootTweak,
    ) -> Result<VerifyingKey, DerivationError> {
        if scheme != Scheme::SchnorrTaproot && *tweak != TaprootTweak::None {
            return Err(DerivationError::TweakWithoutTaproot);
        }
        match (scheme, &self.key) {
            (Scheme::SchnorrTaproot, VerifyingKey::Secp256k1(bytes)) => {
                weierstrass::taproot_output(bytes, tweak)
            }
            (Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23, VerifyingKey::Secp256k1(_))
            | (Scheme::EcdsaP256, VerifyingKey::P256(_))
            | (Scheme::SchnorrEd25519, VerifyingKey::Ed25519(_)) => Ok(self.key),
            _ => Err(DerivationError::BadRootKey),
        }
    }
}

/// The key `id` under `root`, and below it the user's `path`.
///
/// The key's secret is the root's plus a hash of (root key, key id), its chain code another hash of the same. Each step of
/// the path is BIP-32's CKDpub on secp256k1, SLIP-10's on P-256, and on Ed25519 the same construction in the prime-order
/// group, which no standard has. The exact hashes:
///
/// * secp256k1 and P-256: the scalar is `tagged_hash("entropy/child-offset/v1", (root, id))` as a big-endian number; should it not be below the
///   group order, `tagged_hash("entropy/child-offset-again/v1", hash)` of that hash is taken instead, and so on. The chain code is
///   `tagged_hash("entropy/child-chain-code/v1", (root, id))`. `root` is the 33 bytes of the key.
/// * Ed25519: a scalar is a tagged hash made with SHA-512, `SHA512(SHA512(tag) || SHA512(tag) || data)`, as a little-endian number
///   modulo the group order: of (root, id) under `entropy/ed25519-child-offset/v1` for the key, and of I_L under
///   `entropy/ed25519-step-offset/v1` for a step, where `I = HMAC-SHA512(c_par, A_par || ser32(i))`, `c_i = I_R`. The key's chain
///   code is `tagged_hash("entropy/ed25519-child-chain-code/v1", (root, id))`. `root` and A_par are the 32 bytes of RFC 8032.
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
        ) => weierstrass::derive::<Secp256k1>(Steps::Bip32, bytes, id, path),
        (Scheme::EcdsaP256, VerifyingKey::P256(bytes)) => {
            weierstrass::derive::<NistP256>(Steps::Slip10, bytes, id, path)
        }
        (Scheme::SchnorrEd25519, VerifyingKey::Ed25519(bytes)) => ed25519::derive(bytes, id, path),
        _ => Err(DerivationError::BadRootKey),
    }
}

/// The two halves of `HMAC-SHA512(chain code, parts)`, the hash of a path's step on every curve.
fn step_hash(chain_code: &[u8; 32], parts: &[&[u8]]) -> ([u8; 32], [u8; 32]) {
    // HMAC itself fills a short key up with zeros to a block of its hash.
    let mut key = [0; 128];
    key[..32].copy_from_slice(chain_code);
    let mut mac = <Hmac<Sha512> as KeyInit>::new(&key.into());
    parts.iter().for_each(|part| mac.update(part));
    let output: [u8; 64] = mac.finalize().into_bytes().into();
    let (mut left, mut right) = ([0; 32], [0; 32]);
    left.copy_from_slice(&output[..32]);
    right.copy_from_slice(&output[32..]);
    (left, right)
}
