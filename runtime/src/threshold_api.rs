//! What the servers and the client ask of the chain, as one runtime API: a read at one block is one
//! call of it, and no storage key has to be known outside.

use entropy_shared::{
    KeyId, Parameters, PartyId, RequestId,
    lifecycle::request::{KeyRecord, RequestRecord},
    view::ChainView,
};

sp_api::decl_runtime_apis! {
    /// The chain's side of threshold signing, to be read.
    pub trait ThresholdApi {
        /// The chain as `server` must see it at this block; an account that is no server sees the
        /// same without peers and binding.
        fn view(server: PartyId) -> ChainView;

        /// The registered key with this id.
        fn key(id: KeyId) -> Option<KeyRecord>;

        /// The request with this id, its message included; kept for a time after its end.
        fn request(id: RequestId) -> Option<RequestRecord>;

        /// The chain's parameters.
        fn parameters() -> Parameters;
    }
}
