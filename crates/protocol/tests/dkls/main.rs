//! Schemes `EcdsaDkls23` and `EcdsaP256`: honest runs of every shape, a cheater for every message, and what is stored.

#[path = "../common/mod.rs"]
mod common;

mod cost;
mod keygen;
mod reshare;
mod share;
mod sign;
mod sign_cheats;

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use common::{Packet, signing_context};
use entropy_protocol::{KeyShare, SigningContext};
use entropy_shared::{PartyId, Scheme, TaprootTweak};
use serde::{Serialize, de::DeserializeOwned};

type Shares = BTreeMap<PartyId, KeyShare>;

/// Shares of an undisturbed key generation, which takes seconds: made once in a process for each shape.
fn shares(scheme: Scheme, t: u16, n: u16) -> &'static Shares {
    static MADE: Mutex<BTreeMap<(u8, u16, u16), &'static Shares>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry((scheme as u8, t, n))
        .or_insert_with(|| Box::leak(Box::new(common::shares(scheme, t, n, 1))))
}

fn parties(shares: &Shares) -> Vec<PartyId> {
    shares.keys().copied().collect()
}

/// A signature by these holders, under the child key with this path.
fn context(shares: &Shares, signers: &[PartyId], path: &str) -> SigningContext {
    let path = path.parse().unwrap();
    signing_context(
        &shares[&signers[0]],
        signers,
        path,
        TaprootTweak::None,
        [5; 32],
    )
}

/// The same message with the library's value in it edited.
fn edited<T: Serialize + DeserializeOwned>(packet: &Packet, edit: impl FnOnce(&mut T)) -> Packet {
    let mut value: T = postcard::from_bytes(&packet.frame().body).unwrap();
    edit(&mut value);
    packet.with_body(postcard::to_allocvec(&value).unwrap())
}
