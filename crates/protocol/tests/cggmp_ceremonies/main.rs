//! CGGMP'24 with production parameters: whole committees in one thread, honest and not.
//!
//! Primes make a full key generation slow, so signing shares one; most cheats happen before there are primes.

#[path = "../common/mod.rs"]
mod common;
mod forge;
mod keygen;
mod sign;
