//! The exact bytes that accounts sign, each kind under its own domain and bound to one chain.
//!
//! General transactions sign no implicit data, so the genesis hash stands inside. The encodings are pinned by golden
//! bytes: a change is a new domain string.

use alloc::{string::String, vec::Vec};
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    BlockNumber, Epoch,
    digest::tagged_hash,
    ids::{AccountId, Digest, Genesis, PartyId, RequestId},
    lifecycle::{key::AttemptReport, request::Refusal},
    scheme::Scheme,
    signature::Signature,
};

/// The longest endpoint that a server may publish, in bytes.
pub const MAX_ENDPOINT_BYTES: u32 = 128;

/// How many blocks after the present one a signed report or result may at most stay valid.
pub const MAX_VALIDITY_BLOCKS: BlockNumber = 64;

/// Why a block is not one until which a report or result can be valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ValidityError {
    /// It has passed.
    Over,
    /// It is more than [`MAX_VALIDITY_BLOCKS`] ahead of the present block, as far as this node knows the chain.
    TooFar,
}

impl fmt::Display for ValidityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Over => f.write_str("its last valid block has passed"),
            Self::TooFar => write!(
                f,
                "its last valid block is more than {MAX_VALIDITY_BLOCKS} blocks ahead"
            ),
        }
    }
}

impl core::error::Error for ValidityError {}

/// In how many blocks, `now` included, what is valid until `valid_until` can still be included.
pub fn blocks_left(
    valid_until: BlockNumber,
    now: BlockNumber,
) -> Result<BlockNumber, ValidityError> {
    match valid_until.checked_sub(now) {
        None => Err(ValidityError::Over),
        Some(ahead) if ahead > MAX_VALIDITY_BLOCKS => Err(ValidityError::TooFar),
        Some(ahead) => Ok(ahead + 1),
    }
}

/// What a server publishes so that its peers find it and know that it is the one.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct ServerInfo {
    /// The server's account: an Ed25519 public key.
    pub server: PartyId,
    /// Where its peers reach it: a `ws://` or `wss://` URL without path, at most [`MAX_ENDPOINT_BYTES`] bytes.
    pub endpoint: Vec<u8>,
    /// The X25519 public key that it proves in the Noise handshake.
    pub noise_key: [u8; 32],
}

impl MaxEncodedLen for ServerInfo {
    fn max_encoded_len() -> usize {
        PartyId::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_ENDPOINT_BYTES as usize
            + <[u8; 32]>::max_encoded_len()
    }
}

impl ServerInfo {
    /// The endpoint as text, if it is one that a peer could dial: a WebSocket scheme, a host, printable ASCII, not too long.
    pub fn checked_endpoint(&self) -> Option<String> {
        if self.endpoint.len() > MAX_ENDPOINT_BYTES as usize
            || !self.endpoint.iter().all(u8::is_ascii_graphic)
        {
            return None;
        }
        let text = String::from_utf8(self.endpoint.clone()).ok()?;
        let authority = text
            .strip_prefix("ws://")
            .or_else(|| text.strip_prefix("wss://"))?;
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let plain = !authority.is_empty() && !authority.contains(['/', '?', '#', '@']);
        plain.then_some(text)
    }
}

/// What a server's account signs to prove that it agrees to serve the validator `stash`.
pub fn binding_bytes(genesis: &Genesis, stash: &AccountId, info: &ServerInfo) -> [u8; 32] {
    tagged_hash("entropy/bind-server/v1", &(genesis, stash, info))
}

/// What a server's account signs over its report on an attempt.
///
/// `valid_until` is the last block in which the report may be included.
pub fn attempt_report_bytes(
    genesis: &Genesis,
    report: &AttemptReport,
    valid_until: BlockNumber,
) -> [u8; 32] {
    tagged_hash("entropy/report-attempt/v1", &(genesis, report, valid_until))
}

/// What a suspended server's account signs to be chosen for committees again, after its suspension `number`.
///
/// `valid_until` is the last block in which it may be included.
pub fn ready_bytes(
    genesis: &Genesis,
    server: &PartyId,
    number: u32,
    valid_until: BlockNumber,
) -> [u8; 32] {
    tagged_hash(
        "entropy/server-ready/v1",
        &(genesis, server, number, valid_until),
    )
}

/// What a server's account signs to submit the signature that answers a request.
///
/// `valid_until` is the last block in which the result may be included.
pub fn result_bytes(
    genesis: &Genesis,
    server: &PartyId,
    request: &RequestId,
    signature: &Signature,
    valid_until: BlockNumber,
) -> [u8; 32] {
    tagged_hash(
        "entropy/submit-result/v1",
        &(genesis, server, request, signature, valid_until),
    )
}

/// What a server's account signs to say that it, as a holder of this epoch, does not sign a request.
///
/// `valid_until` is the last block in which the refusal may be included.
pub fn refusal_bytes(
    genesis: &Genesis,
    server: &PartyId,
    request: &RequestId,
    epoch: Epoch,
    refusal: &Refusal,
    valid_until: BlockNumber,
) -> [u8; 32] {
    tagged_hash(
        "entropy/refuse-request/v1",
        &(genesis, server, request, epoch, refusal, valid_until),
    )
}

/// What new holders of a root key sign together, under the reserved child of [`crate::KeyId::of_proof`], before the key is used.
pub fn proof_digest(
    genesis: &Genesis,
    scheme: Scheme,
    epoch: Epoch,
    attempt: u32,
    public_digest: &Digest,
) -> Digest {
    Digest(tagged_hash(
        "entropy/keygen-proof/v1",
        &(genesis, scheme, epoch, attempt, public_digest),
    ))
}
