//! What the calls cost, estimated by hand from the measured costs of the cryptography in Wasm.
//!
//! They err on the high side; weights from benchmarks will replace them. Size of proofs counts for
//! nothing: the chain proves its storage to nobody.

use core::marker::PhantomData;

use entropy_shared::committee::MAX_PARTIES;
use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding, hashing and comparing a few kilobytes.
const BASE: u64 = 30 * MICROSECOND;
/// An Ed25519 verification by the host.
const ED25519: u64 = 60 * MICROSECOND;
/// The proof of an attempt, of the dearest scheme, which is ECDSA over P-256: one step of derivation (730 us), and a verification
/// with the key that it gives back (4.1 ms were measured).
const SHARE_PROOF: u64 = 5_300 * MICROSECOND;

/// What the calls and hooks of the pallet cost.
pub trait WeightInfo {
    /// Two bindings at most are looked up and written in three maps, one of them of offences; the state of each of five schemes is read; a hold.
    fn bind_server() -> Weight;

    /// One binding is removed from three maps, one of them of offences; the state of each of five schemes is read; a release.
    fn unbind_server() -> Weight;

    /// The proof is verified again, and the state of one scheme written; if that ends the attempt, the validators' servers may be
    /// looked up, and a committee's servers suspended or redeemed.
    fn report_attempt() -> Weight;

    /// A server is read and written.
    fn ready() -> Weight;

    /// A server is read, and its signature verified.
    fn authorize_ready() -> Weight;

    /// The parameters, and the state and the review of each of five schemes.
    fn set_parameters() -> Weight;

    /// The review of one scheme.
    fn ask() -> Weight;

    /// The state of one scheme is written, and its review; the validators' servers are looked up.
    fn give_up() -> Weight;

    /// The state of one scheme and a server are read, then the server's signature and the proof verified.
    fn authorize_report() -> Weight;

    /// The parameters, the state of each of at most five schemes and its review are read; if servers are `looked_up`, those of
    /// the active validators, and the holders of each scheme; `changed` states are written, with a committee's servers.
    fn advance_keys(looked_up: u32, changed: u64) -> Weight;
}

/// Weights that were estimated by hand.
pub struct HandMade<T>(PhantomData<T>);

impl<T: Config> WeightInfo for HandMade<T> {
    fn bind_server() -> Weight {
        Weight::from_parts(BASE + ED25519, 0).saturating_add(T::DbWeight::get().reads_writes(14, 9))
    }

    fn unbind_server() -> Weight {
        Weight::from_parts(BASE, 0).saturating_add(T::DbWeight::get().reads_writes(10, 6))
    }

    fn report_attempt() -> Weight {
        let members = u64::from(MAX_PARTIES);
        Weight::from_parts(4 * BASE + SHARE_PROOF, 0).saturating_add(
            T::DbWeight::get().reads_writes(4 + lookups::<T>() + 2 * members, 1 + 2 * members),
        )
    }

    fn ready() -> Weight {
        Weight::from_parts(BASE, 0).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }

    fn authorize_ready() -> Weight {
        Weight::from_parts(BASE + ED25519, 0).saturating_add(T::DbWeight::get().reads(2))
    }

    fn set_parameters() -> Weight {
        Weight::from_parts(2 * BASE, 0).saturating_add(T::DbWeight::get().reads_writes(16, 6))
    }

    fn ask() -> Weight {
        Weight::from_parts(BASE, 0).saturating_add(T::DbWeight::get().reads_writes(2, 2))
    }

    fn give_up() -> Weight {
        Weight::from_parts(2 * BASE, 0)
            .saturating_add(T::DbWeight::get().reads_writes(4 + lookups::<T>(), 2))
    }

    fn authorize_report() -> Weight {
        Weight::from_parts(BASE + ED25519 + SHARE_PROOF, 0)
            .saturating_add(T::DbWeight::get().reads(3))
    }

    fn advance_keys(looked_up: u32, changed: u64) -> Weight {
        let members = u64::from(MAX_PARTIES);
        Weight::from_parts(BASE * (1 + 4 * changed), 0).saturating_add(
            T::DbWeight::get().reads_writes(
                12 + 2 * u64::from(looked_up) + 5 * members + 2 * members * changed,
                5 + (1 + 2 * members) * changed,
            ),
        )
    }
}

/// A server and its standing for each of the active validators, and whether each holder is bound.
fn lookups<T: Config>() -> u64 {
    2 * u64::from(T::MaxActiveValidators::get()) + 1 + u64::from(MAX_PARTIES)
}
