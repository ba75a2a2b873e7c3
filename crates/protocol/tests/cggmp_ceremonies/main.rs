//! CGGMP'24 with production parameters: whole committees in one thread, honest and not.
//!
//! The search for primes makes a full key generation slow, so that there is one, which signing and the golden files share;
//! most cheats happen before there are primes, and the others are given some.

#[path = "../common/mod.rs"]
mod common;
mod forge;
mod golden;
mod keygen;
mod primes;
mod reshare;
mod sign;
