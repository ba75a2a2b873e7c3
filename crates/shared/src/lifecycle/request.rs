//! A user's wish for one signature: from the extrinsic to the recorded result.

use alloc::vec::Vec;
use codec::{Compact, Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    BlockNumber,
    derivation::{DerivationError, DerivationPath, TaprootTweak, derive},
    digest::{DigestError, Hasher, MAX_MESSAGE_BYTES, tagged_hash},
    ids::{AccountId, Digest, Genesis, KeyId, ProgramId, RequestId},
    parameters::Parameters,
    scheme::Scheme,
    signature::{Signature, SignatureError, VerifyingKey},
};

/// The most programs that a key may carry.
pub const MAX_PROGRAMS: u32 = 8;

/// A registered key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct KeyRecord {
    /// Who may request signatures.
    pub owner: AccountId,
    /// The scheme of its signatures.
    pub scheme: Scheme,
    /// The owner's salt, which with owner and scheme makes the id.
    pub salt: [u8; 32],
    /// The key at the empty path, before any tweak.
    pub verifying_key: VerifyingKey,
    /// The programs that must all allow a signature; at most [`MAX_PROGRAMS`].
    pub programs: Vec<ProgramId>,
    /// The block in which it was registered.
    pub registered: BlockNumber,
}

/// What a user asks for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct RequestContent {
    /// The key to sign with.
    pub key: KeyId,
    /// What to sign.
    pub message: Vec<u8>,
    /// How the message becomes the digest.
    pub hasher: Hasher,
    /// The path below the key.
    pub path: DerivationPath,
    /// The Taproot output key.
    pub tweak: TaprootTweak,
}

/// A request as the chain keeps it.
#[derive(
    Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
)]
pub struct RequestRecord {
    /// Who asked.
    pub requester: AccountId,
    /// What for.
    pub content: RequestContent,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The digest of the message, computed by the chain.
    pub digest: Digest,
    /// The key that the signature must verify under, derived and tweaked by the chain.
    pub final_key: VerifyingKey,
    /// The block of inclusion.
    pub submitted: BlockNumber,
    /// The first block in which a result no longer counts.
    pub expires: BlockNumber,
    /// How it stands.
    pub state: RequestState,
}

/// How a request stands.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub enum RequestState {
    /// Awaits its signature.
    Open,
    /// Answered.
    Signed {
        /// The signature, which has been verified.
        signature: Signature,
        /// The block in which it was recorded.
        at: BlockNumber,
    },
    /// No signature came in time. One may exist all the same.
    Expired {
        /// The block in which it was given up.
        at: BlockNumber,
    },
}

/// Why a request is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Only the key's owner may ask.
    NotAllowed,
    /// The message has no digest.
    Digest(DigestError),
    /// The path or tweak gives no key.
    Derivation(DerivationError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed => f.write_str("only the key's owner may request signatures"),
            Self::Digest(error) => error.fmt(f),
            Self::Derivation(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for OpenError {}

/// Why a result is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultError {
    /// The request has its signature already, or has expired.
    NotOpen,
    /// The signature is not one of this request's digest under its key.
    Signature(SignatureError),
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotOpen => f.write_str("the request is not open"),
            Self::Signature(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for ResultError {}

/// The id of what `requester` asks for in the transaction with this account nonce.
pub fn request_id(
    genesis: &Genesis,
    requester: &AccountId,
    nonce: u32,
    content: &RequestContent,
) -> RequestId {
    RequestId(tagged_hash(
        "entropy/request-id/v1",
        &(genesis, requester, nonce, content),
    ))
}

/// Whether `requester` may have signatures of `key`.
pub fn may_request(key: &KeyRecord, requester: &AccountId) -> bool {
    key.owner == *requester
}

/// Takes a request: checks authority, computes the digest and the key that the signature must verify under.
pub fn open(
    content: RequestContent,
    requester: AccountId,
    key: &KeyRecord,
    root_key: &VerifyingKey,
    now: BlockNumber,
    parameters: &Parameters,
) -> Result<RequestRecord, OpenError> {
    if !may_request(key, &requester) {
        return Err(OpenError::NotAllowed);
    }
    let digest = content
        .hasher
        .digest(&content.message)
        .map_err(OpenError::Digest)?;
    let final_key = derive(key.scheme, root_key, &content.key, &content.path)
        .and_then(|derived| derived.final_key(key.scheme, &content.tweak))
        .map_err(OpenError::Derivation)?;
    Ok(RequestRecord {
        requester,
        content,
        scheme: key.scheme,
        digest,
        final_key,
        submitted: now,
        expires: now.saturating_add(parameters.request_expiry_blocks),
        state: RequestState::Open,
    })
}

impl RequestRecord {
    /// Whether a result would still be taken: costs nothing.
    pub fn check_open(&self, now: BlockNumber) -> Result<(), ResultError> {
        if self.state == RequestState::Open && now < self.expires {
            Ok(())
        } else {
            Err(ResultError::NotOpen)
        }
    }

    /// Whether `signature` answers the request now.
    pub fn check_result(&self, signature: &Signature, now: BlockNumber) -> Result<(), ResultError> {
        self.check_open(now)?;
        signature
            .verify(&self.final_key, &self.digest)
            .map_err(ResultError::Signature)
    }

    /// Records the signature that answers the request; the same checks as [`Self::check_result`].
    pub fn answer(mut self, signature: Signature, now: BlockNumber) -> Result<Self, ResultError> {
        self.check_result(&signature, now)?;
        self.state = RequestState::Signed { signature, at: now };
        Ok(self)
    }

    /// Gives the request up if its time is over; unchanged otherwise.
    pub fn expire(mut self, now: BlockNumber) -> Self {
        if self.state == RequestState::Open && now >= self.expires {
            self.state = RequestState::Expired { at: now };
        }
        self
    }
}

impl MaxEncodedLen for KeyRecord {
    fn max_encoded_len() -> usize {
        AccountId::max_encoded_len()
            + Scheme::max_encoded_len()
            + <[u8; 32]>::max_encoded_len()
            + VerifyingKey::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_PROGRAMS as usize * ProgramId::max_encoded_len()
            + BlockNumber::max_encoded_len()
    }
}

impl MaxEncodedLen for RequestContent {
    fn max_encoded_len() -> usize {
        KeyId::max_encoded_len()
            + Compact::<u32>::max_encoded_len()
            + MAX_MESSAGE_BYTES as usize
            + Hasher::max_encoded_len()
            + DerivationPath::max_encoded_len()
            + TaprootTweak::max_encoded_len()
    }
}
