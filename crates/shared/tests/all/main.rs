//! What chain, servers and client depend on: exact bytes, derivation, verification, committees and lifecycles.
//!
//! Golden values were computed by a separate program from the encodings that the docstrings state; verdicts on
//! cryptography come from `bitcoin`, libsecp256k1 and `ring`, which share no code with ours.

mod canonical;
mod committee;
mod derivation;
mod digest;
mod key;
mod parameters;
mod registry;
mod request;
mod reshare;
mod signature;
mod support;
mod text;
