//! What the servers and the client ask of the chain, as one runtime API: a read at one block is one
//! call of it, and no storage key has to be known outside.

use alloc::vec::Vec;

use entropy_shared::{
    AccountId, KeyId, Parameters, PartyId, ProgramId, RequestId, VerifyingKey,
    lifecycle::{registry::KeyRecord, request::RequestRecord},
    view::{ChainView, StoredProgram},
};

sp_api::decl_runtime_apis! {
    /// The chain's side of threshold signing, to be read.
    pub trait ThresholdApi {
        /// The chain as `server` must see it at this block; an account that is no server sees the
        /// same without peers and binding.
        fn view(server: PartyId) -> ChainView;

        /// The registered key with this id.
        fn key(id: KeyId) -> Option<KeyRecord>;

        /// The id of the registered key whose public half, at the empty path and before any tweak, this is; for Taproot the
        /// x-coordinate serves, too.
        fn key_by_verifying_key(key: VerifyingKey) -> Option<KeyId>;

        /// The ids of an account's keys, in an order of their own, at most `limit` of those after `start_after`.
        fn keys_of(owner: AccountId, start_after: Option<KeyId>, limit: u32) -> Vec<KeyId>;

        /// The stored program with this id.
        fn program(id: ProgramId) -> Option<StoredProgram>;

        /// The request with this id, its message included; kept for a time after its end.
        fn request(id: RequestId) -> Option<RequestRecord>;

        /// The chain's parameters.
        fn parameters() -> Parameters;
    }
}
