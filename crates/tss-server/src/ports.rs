//! What the engine needs from the world, each port with a real adapter and a double for tests.
//!
//! Names no adapter. Implementations are shared between tasks, so every method takes `&self`.

use std::{collections::BTreeSet, future::Future};

use entropy_shared::{
    BlockNumber, CeremonyId, Digest, Epoch, Genesis, KeyId, PartyId, RequestId, Scheme, Signature,
    canonical::ServerInfo,
    lifecycle::{key::AttemptReport, registry::KeyRecord, request::RequestRecord},
    view::ChainView,
};
use zeroize::Zeroizing;

/// Hash of a block of the chain.
pub type BlockHash = [u8; 32];

/// One block as this server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The block's hash.
    pub hash: BlockHash,
    /// The view at that block.
    pub view: ChainView,
}

/// The two blocks that matter: the newest, and the newest that cannot be undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heads {
    /// The best block.
    pub best: Head,
    /// The finalized block.
    pub finalized: Head,
}

/// Why the chain did not answer. All are passing, except where said.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node cannot be reached, or the connection broke.
    #[error("the node does not answer: {0}")]
    Unreachable(String),
    /// The node serves another chain than the pinned one. Not passing: an operator must look.
    #[error(
        "the node serves the chain with genesis {found}, but this server is pinned to {expected}"
    )]
    OtherChain {
        /// The pinned genesis.
        expected: Genesis,
        /// The node's.
        found: Genesis,
    },
    /// The node's runtime speaks a format that this version does not know. Not passing.
    #[error(
        "the chain's view has format {0}, which this version does not read: upgrade the server"
    )]
    Format(u16),
    /// The answer is not what the runtime API promises.
    #[error("the node's answer is malformed: {0}")]
    Malformed(String),
    /// The node's pool refused a transaction.
    #[error("the transaction was refused: {0}")]
    Refused(String),
}

/// What this server tells the chain. Signed by the adapter's caller; sent as a general transaction, without fee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Submission {
    /// A report on a key generation.
    Keygen {
        /// The report.
        report: AttemptReport,
        /// The last block in which it may be included.
        valid_until: BlockNumber,
        /// The server's signature over [`entropy_shared::canonical::attempt_report_bytes`].
        signature: [u8; 64],
    },
    /// The signature that answers a request.
    Result {
        /// The request.
        request: RequestId,
        /// Its signature.
        signature: Signature,
        /// The server that submits.
        server: PartyId,
        /// The last block in which it may be included.
        valid_until: BlockNumber,
        /// The server's signature over [`entropy_shared::canonical::result_bytes`].
        server_signature: [u8; 64],
    },
}

/// Follows the chain and speaks to it.
pub trait Chain: Send + Sync + 'static {
    /// Waits until the best or the finalized block is another than in the last answer. Missed blocks are skipped, never queued.
    fn next_heads(&self) -> impl Future<Output = Result<Heads, ChainError>> + Send;

    /// A registered key as of block `at`.
    fn key(
        &self,
        at: BlockHash,
        id: KeyId,
    ) -> impl Future<Output = Result<Option<KeyRecord>, ChainError>> + Send;

    /// A request, with its message, as of block `at`.
    fn request(
        &self,
        at: BlockHash,
        id: RequestId,
    ) -> impl Future<Output = Result<Option<RequestRecord>, ChainError>> + Send;

    /// Hands a submission to the node's pool once. Whether it got into the chain, the next views tell.
    fn submit(&self, submission: Submission)
    -> impl Future<Output = Result<(), ChainError>> + Send;
}

/// Exchanges frames with the peers that the chain names.
pub trait Peers: Send + Sync + 'static {
    /// Whom this server may talk to from now on; links to all others are closed.
    fn set_peers(&self, peers: Vec<ServerInfo>);

    /// Peers with a live, authenticated link.
    fn connected(&self) -> BTreeSet<PartyId>;

    /// Queues a frame for a peer without waiting; `false` if there is no link or its queue is full.
    fn send(&self, to: &PartyId, frame: Vec<u8>) -> bool;

    /// The next frame and who sent it, which the link has authenticated.
    fn receive(&self) -> impl Future<Output = (PartyId, Vec<u8>)> + Send;

    /// Replaces every link by one with a fresh handshake, so that a static key stolen later opens nothing that was sent
    /// before. Returns at once; frames that are queued or under way arrive, in order.
    fn renew(&self);
}

/// Which share a record holds. All of it is bound to the record by its encryption.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, codec::Encode, codec::Decode)]
pub struct ShareName {
    /// The chain.
    pub genesis: Genesis,
    /// The scheme.
    pub scheme: Scheme,
    /// The epoch.
    pub epoch: Epoch,
    /// The attempt.
    pub attempt: u32,
    /// Whose share.
    pub party: PartyId,
    /// Digest of the public package.
    pub public_digest: Digest,
}

/// Whether a share is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, codec::Encode, codec::Decode)]
pub enum Stage {
    /// Made, but not yet named by finalized state.
    Staged,
    /// Named by finalized state.
    Active,
}

/// Why the store did not do as told. Nothing that was stored before is lost by any of these.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The password does not open the store.
    #[error("wrong password for the share store")]
    WrongPassword,
    /// Another process has the folder open.
    #[error("the share store is in use by another process")]
    Locked,
    /// The folder holds something else, or a store of another version.
    #[error("this is not a share store that this version reads: {0}")]
    Foreign(String),
    /// A record cannot be decrypted: truncated or altered.
    #[error("a record of the share store is damaged: {0}")]
    Damaged(String),
    /// There is no such record.
    #[error("no such share: {0:?}")]
    Missing(Box<ShareName>),
    /// There is a share of that name with other bytes. The caller's fault.
    #[error("another share of this name is stored: {0:?}")]
    Exists(Box<ShareName>),
    /// Other users of the machine could read the store.
    #[error("other users must have no access to the share store: {0}")]
    Exposed(String),
    /// The disk or the file system failed.
    #[error("the share store cannot be read or written: {0}")]
    Io(String),
}

/// Keeps shares, encrypted. Every method blocks until what it changed is flushed to the disk.
pub trait ShareStore: Send + Sync + 'static {
    /// Writes a share as [`Stage::Staged`]. The same name with other bytes is [`StoreError::Exists`] and replaces nothing.
    fn stage(&self, name: &ShareName, share: &[u8]) -> Result<(), StoreError>;

    /// Makes a staged share [`Stage::Active`]; no change if it is already.
    fn promote(&self, name: &ShareName) -> Result<(), StoreError>;

    /// Destroys a share beyond recovery; no change if there is none.
    fn erase(&self, name: &ShareName) -> Result<(), StoreError>;

    /// What there is.
    fn list(&self) -> Result<Vec<(ShareName, Stage)>, StoreError>;

    /// A share's bytes.
    fn load(&self, name: &ShareName) -> Result<Zeroizing<Vec<u8>>, StoreError>;

    /// Marks a ceremony as started, for ever; `false` if it was already, and then it must not start again.
    fn mark_started(&self, id: &CeremonyId) -> Result<bool, StoreError>;
}
