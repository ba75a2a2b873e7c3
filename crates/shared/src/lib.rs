//! Types and lifecycle rules that the chain, the threshold-signature servers and the client must agree on.
//!
//! Everything here is pure: no storage, no clock, no randomness, no panics on data from outside. The pallets call the
//! same functions as the servers and the client, so the three cannot drift apart. `no_std`, because the runtime is.
#![cfg_attr(not(feature = "std"), no_std)]
#![warn(missing_docs)]

extern crate alloc;

pub mod canonical;
pub mod committee;
pub mod derivation;
pub mod digest;
pub mod ids;
pub mod lifecycle;
pub mod parameters;
pub mod public_package;
pub mod scheme;
pub mod signature;
pub mod traits;
pub mod view;

pub use committee::{Committee, CommitteeError, ThresholdRule, leader};
pub use derivation::{DerivationError, DerivationPath, Derived, TaprootTweak};
pub use digest::{DigestError, Hasher, request_digest, signed_bytes, tagged_hash};
pub use ids::{AccountId, CeremonyId, Digest, Genesis, KeyId, PartyId, ProgramId, RequestId};
pub use parameters::{ParameterError, Parameters};
pub use public_package::PublicPackage;
pub use scheme::{Scheme, SchemeSet};
pub use signature::{Signature, SignatureError, VerifyingKey};

/// Number of a block, as the runtime counts them.
pub type BlockNumber = u32;

/// Amount in the chain's smallest unit.
pub type Balance = u128;

/// Counter of the committees that held one root key; the first is 1.
pub type Epoch = u32;
