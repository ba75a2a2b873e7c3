//! The Rust client: registers keys, requests signatures and reads what the chain knows of them, over a node's RPC.
//!
//! It needs no generated code: the arguments of calls are types of [`entropy_shared`], and what is sent is checked
//! against the metadata of the node first. It trusts its node; whoever needn't, verifies signatures by [`verify`],
//! which asks nobody. Nothing here prints, reads files or keeps a secret longer than its [`Signer`].
#![warn(missing_docs)]

mod account;
mod binding;
mod call;
mod client;
mod error;
mod signature;

pub use account::{AccountError, Signer, SignerError, format_account, parse_account};
pub use binding::{BindingProof, BindingProofError};
pub use client::Client;
pub use error::ClientError;
pub use signature::{ParseError, parse_signature, parse_verifying_key, verify};
