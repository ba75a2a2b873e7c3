//! What the pallets need of each other, so that none of them depends on another: the runtime joins them by these traits.
//!
//! Every function reads or writes the state of the block that is being executed.

use crate::{
    Genesis, Parameters,
    ids::{AccountId, KeyId, PartyId, ProgramId},
    lifecycle::{key::ActiveKey, registry::KeyRecord, request::RequestFailure},
    scheme::Scheme,
};

/// The chain's validators, as staking knows them.
pub trait Validators {
    /// Whether `stash` has bonded and asked to validate; it need not be active in this session.
    fn is_validator(stash: &AccountId) -> bool;
}

/// The chain as all our pallets see it: its parameters, root keys and servers.
pub trait Network {
    /// Which chain this is.
    fn genesis() -> Genesis;

    /// The chain's parameters.
    fn parameters() -> Parameters;

    /// The root key of `scheme`, if it is in use.
    fn active_key(scheme: Scheme) -> Option<ActiveKey>;

    /// Whether a validator has bound this server.
    fn is_bound(server: &PartyId) -> bool;
}

/// The registered keys.
pub trait Keys {
    /// The key with this id.
    fn key(id: &KeyId) -> Option<KeyRecord>;
}

/// The stored programs and how many keys need each.
pub trait Programs {
    /// Counts one more key that needs the program.
    fn add_reference(id: &ProgramId) -> Result<(), UnknownProgram>;

    /// Takes one [`Self::add_reference`] back; nothing happens if the program is unknown.
    fn remove_reference(id: &ProgramId);
}

/// No program with this id is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownProgram;

/// The signature requests.
pub trait Requests {
    /// Ends every open request for a key as failed, because of what becomes of the key; at most `MAX_OPEN_PER_KEY` of them.
    fn fail_open(key: &KeyId, failure: RequestFailure);
}
