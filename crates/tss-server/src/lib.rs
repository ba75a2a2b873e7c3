//! The threshold-signature server of a validator: follows the chain, computes with its peers, keeps its shares.
//!
//! `coordinator` decides and is pure; `engine` executes over `ports`; `adapters` are the real world behind the ports.
//! Only `main.rs` and tests name a concrete adapter.

pub mod adapters;
pub mod coordinator;
pub mod engine;
pub mod frames;
pub mod http;
pub mod ports;
pub mod status;

#[cfg(test)]
mod testing;
