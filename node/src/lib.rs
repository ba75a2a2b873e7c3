//! A node of the Entropy chain, as a library so that the program and its tests share what is compiled.
//!
//! It reaches consensus, runs the runtime and answers RPC. It knows nothing of threshold signing:
//! that is in the runtime it executes and in the servers that follow it.

#![expect(
    clippy::result_large_err,
    reason = "the error types are those of sc-cli and sc-service"
)]

pub mod chain_spec;
mod cli;
mod command;
mod rpc;
mod service;

pub use command::run;
