//! Hashing: our own domain-separated hash, the hashers that a request may name, and what a signature is over.

use alloc::{borrow::Cow, vec::Vec};
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{fmt, str::FromStr};
use scale_info::TypeInfo;
use sha2::{Digest as _, Sha256};

use crate::{ids::Digest, scheme::Scheme};

/// The longest message that a request may carry, in bytes.
pub const MAX_MESSAGE_BYTES: u32 = 8 * 1024;

/// BIP-340's tagged hash, `SHA256(SHA256(tag) || SHA256(tag) || data)`, over the SCALE encoding of `data`.
///
/// SCALE encodes a given type without ambiguity; a tag names one type for ever.
pub fn tagged_hash(tag: &str, data: &impl Encode) -> [u8; 32] {
    tagged_hash_bytes(tag, &[&data.encode()])
}

/// BIP-340's tagged hash over the concatenation of `parts`, for hashes that other standards define.
pub(crate) fn tagged_hash_bytes(tag: &str, parts: &[&[u8]]) -> [u8; 32] {
    let tag = Sha256::digest(tag.as_bytes());
    let mut hash = Sha256::new().chain_update(tag).chain_update(tag);
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

/// How a request's message becomes the digest that is signed.
#[derive(
    Clone,
    Copy,
    Debug,
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
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Hasher {
    /// The message is itself the 32-byte digest; with Ed25519, which signs messages of any length, it is signed as it is.
    #[codec(index = 0)]
    Identity,
    /// SHA-256.
    #[codec(index = 1)]
    Sha256,
    /// SHA-256 twice, as Bitcoin does.
    #[codec(index = 2)]
    DoubleSha256,
    /// Keccak-256, as Ethereum does.
    #[codec(index = 3)]
    Keccak256,
    /// BLAKE2b with 32 bytes of output.
    #[codec(index = 4)]
    Blake2b256,
    /// SHA3-256 (FIPS 202).
    #[codec(index = 5)]
    Sha3_256,
}

/// Why a message has no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DigestError {
    /// `Identity` takes exactly 32 bytes; the message has this many.
    NotADigest(usize),
    /// The message is longer than [`MAX_MESSAGE_BYTES`].
    TooLong(usize),
}

impl fmt::Display for DigestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotADigest(got) => write!(
                f,
                "hasher `identity` signs a 32-byte digest, but the message has {got} bytes"
            ),
            Self::TooLong(got) => write!(
                f,
                "a message has at most {MAX_MESSAGE_BYTES} bytes, but this one has {got}"
            ),
        }
    }
}

impl core::error::Error for DigestError {}

impl Hasher {
    /// Every hasher, in the order of their discriminants.
    pub const ALL: [Self; 6] = [
        Self::Identity,
        Self::Sha256,
        Self::DoubleSha256,
        Self::Keccak256,
        Self::Blake2b256,
        Self::Sha3_256,
    ];

    /// The hasher's name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Sha256 => "sha256",
            Self::DoubleSha256 => "double-sha256",
            Self::Keccak256 => "keccak256",
            Self::Blake2b256 => "blake2b256",
            Self::Sha3_256 => "sha3-256",
        }
    }

    /// The 32-byte digest of `message`. What a signature is over, and so what a verifier takes, is [`signed_bytes`].
    pub fn digest(self, message: &[u8]) -> Result<Digest, DigestError> {
        check_length(message)?;
        Ok(Digest(match self {
            Self::Identity => message
                .try_into()
                .map_err(|_| DigestError::NotADigest(message.len()))?,
            Self::Sha256 => Sha256::digest(message).into(),
            Self::DoubleSha256 => Sha256::digest(Sha256::digest(message)).into(),
            Self::Keccak256 => sha3::Keccak256::digest(message).into(),
            Self::Blake2b256 => {
                blake2::Blake2b::<blake2::digest::consts::U32>::digest(message).into()
            }
            Self::Sha3_256 => sha3::Sha3_256::digest(message).into(),
        }))
    }
}

/// What a signature is over, and what [`crate::Signature::verify`] takes: the 32-byte digest, or for Ed25519 with
/// [`Hasher::Identity`] the message itself, of any length up to [`MAX_MESSAGE_BYTES`].
///
/// Ed25519 with another hasher signs that hasher's 32 bytes as its message: this is plain Ed25519 (RFC 8032) over a
/// digest, never Ed25519ph.
pub fn signed_bytes(
    scheme: Scheme,
    hasher: Hasher,
    message: &[u8],
) -> Result<Cow<'_, [u8]>, DigestError> {
    if signs_whole_message(scheme, hasher) {
        check_length(message)?;
        return Ok(Cow::Borrowed(message));
    }
    hasher
        .digest(message)
        .map(|digest| Cow::Owned(digest.0.to_vec()))
}

/// The 32 bytes that stand for what is signed, in ids, views and reports.
///
/// The same as [`signed_bytes`] where those are a digest. Ed25519 with [`Hasher::Identity`] signs the message itself:
/// there it is a hash of the message under a tag of its own, which names the message and is never signed.
pub fn request_digest(
    scheme: Scheme,
    hasher: Hasher,
    message: &[u8],
) -> Result<Digest, DigestError> {
    if signs_whole_message(scheme, hasher) {
        check_length(message)?;
        return Ok(Digest(tagged_hash("entropy/ed25519-message/v1", &message)));
    }
    hasher.digest(message)
}

fn signs_whole_message(scheme: Scheme, hasher: Hasher) -> bool {
    matches!((scheme, hasher), (Scheme::SchnorrEd25519, Hasher::Identity))
}

fn check_length(message: &[u8]) -> Result<(), DigestError> {
    if message.len() > MAX_MESSAGE_BYTES as usize {
        return Err(DigestError::TooLong(message.len()));
    }
    Ok(())
}

impl fmt::Display for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no hasher has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownHasher;

impl fmt::Display for UnknownHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = Hasher::ALL.iter().map(|hasher| hasher.name()).collect();
        write!(f, "expected one of {}", names.join(", "))
    }
}

impl core::error::Error for UnknownHasher {}

impl FromStr for Hasher {
    type Err = UnknownHasher;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|hasher| hasher.name() == text)
            .ok_or(UnknownHasher)
    }
}
