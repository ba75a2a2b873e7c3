//! What one server needs to know of one block, in one call: the answer of the runtime API `ThresholdApi::view`.

use alloc::vec::Vec;
use codec::{Decode, Encode, MaxEncodedLen};
use scale_info::TypeInfo;

use crate::{
    BlockNumber,
    canonical::ServerInfo,
    derivation::{DerivationPath, TaprootTweak},
    ids::{AccountId, Digest, Genesis, KeyId, RequestId},
    lifecycle::{key::KeyState, request::RequestRecord, standing::Standing},
    parameters::Parameters,
    scheme::Scheme,
    signature::VerifyingKey,
};

/// Version of [`ChainView`]'s encoding, its first field for ever.
pub const VIEW_FORMAT: u16 = 3;

/// The most open requests that one view lists, oldest first.
pub const MAX_VIEW_REQUESTS: u32 = 1_024;

/// The chain as one server must see it at one block.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct ChainView {
    /// [`VIEW_FORMAT`]; a server refuses a format that it does not know.
    pub format: u16,
    /// The runtime's version.
    pub spec_version: u32,
    /// Which chain this is.
    pub genesis: Genesis,
    /// The block of this view.
    pub block: BlockNumber,
    /// The chain's parameters.
    pub parameters: Parameters,
    /// The server's own binding, if a validator has bound it.
    pub binding: Option<Binding>,
    /// Every enabled scheme and where its root key stands.
    pub keys: Vec<SchemeState>,
    /// The servers that share a committee or an attempt with this one, itself excluded: whom it may talk to.
    pub peers: Vec<ServerInfo>,
    /// Open requests, oldest first, at most [`MAX_VIEW_REQUESTS`].
    pub requests: Vec<OpenRequest>,
}

/// A stored program, as its readers see it.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct StoredProgram {
    /// Who stored it, and may remove it.
    pub author: AccountId,
    /// Its WebAssembly.
    pub code: Vec<u8>,
    /// What its configurations look like.
    pub schema: Vec<u8>,
    /// What its author says of it.
    pub metadata: Vec<u8>,
    /// How many keys need it.
    pub references: u64,
}

/// Which validator a server works for.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct Binding {
    /// The validator's stash account.
    pub stash: AccountId,
    /// What the server published.
    pub info: ServerInfo,
    /// Whether it may be chosen for a committee.
    pub standing: Standing,
}

/// A scheme and where its root key stands.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, TypeInfo)]
pub struct SchemeState {
    /// The scheme.
    pub scheme: Scheme,
    /// Its root key.
    pub state: KeyState,
}

/// An open request without its message, which whoever must judge it fetches.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, MaxEncodedLen, TypeInfo)]
pub struct OpenRequest {
    /// Its id.
    pub id: RequestId,
    /// The key to sign with.
    pub key: KeyId,
    /// The key's scheme.
    pub scheme: Scheme,
    /// Who asked.
    pub requester: AccountId,
    /// What is signed.
    pub digest: Digest,
    /// What the signature must verify under.
    pub final_key: VerifyingKey,
    /// The path below the key.
    pub path: DerivationPath,
    /// The Taproot output key.
    pub tweak: TaprootTweak,
    /// The block of inclusion.
    pub submitted: BlockNumber,
    /// The first block in which a result no longer counts.
    pub expires: BlockNumber,
}

impl OpenRequest {
    /// The compact form of a request.
    pub fn new(id: RequestId, record: &RequestRecord) -> Self {
        Self {
            id,
            key: record.content.key,
            scheme: record.scheme,
            requester: record.requester,
            digest: record.digest,
            final_key: record.final_key,
            path: record.content.path.clone(),
            tweak: record.content.tweak,
            submitted: record.submitted,
            expires: record.expires,
        }
    }
}

impl ChainView {
    /// Where the root key of `scheme` stands; `None` if the chain has not enabled it.
    pub fn key(&self, scheme: Scheme) -> Option<&KeyState> {
        self.keys
            .iter()
            .find(|entry| entry.scheme == scheme)
            .map(|entry| &entry.state)
    }
}
