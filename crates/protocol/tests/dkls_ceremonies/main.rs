//! DKLs23 over both curves, with real cryptography: what works, what every kind of cheat leads to, and what shares survive.
//!
//! The library draws randomness of its own: seeds replay the network's order, not the bytes.

#[path = "../common/mod.rs"]
mod common;

mod keygen;
mod reshare;
mod share;
mod sign;

use std::{collections::BTreeMap, sync::OnceLock};

use common::shares;
use entropy_protocol::KeyShare;
use entropy_shared::{PartyId, Scheme};

/// The schemes of these ceremonies.
const SCHEMES: [Scheme; 2] = [Scheme::EcdsaDkls23, Scheme::EcdsaP256];

/// Shares of 2 of 3, made once: key generation takes seconds.
fn two_of_three(scheme: Scheme) -> &'static BTreeMap<PartyId, KeyShare> {
    static SHARES: [OnceLock<BTreeMap<PartyId, KeyShare>>; 2] = [OnceLock::new(), OnceLock::new()];
    SHARES[usize::from(scheme == Scheme::EcdsaP256)].get_or_init(|| shares(scheme, 2, 3, 1))
}
