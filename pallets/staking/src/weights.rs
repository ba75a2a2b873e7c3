//! What the calls cost, estimated by hand from the measured costs of the cryptography in Wasm.
//!
//! They err on the high side; weights from benchmarks will replace them. Size of proofs counts for
//! nothing: the chain proves its storage to nobody.

use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding, hashing and comparing a few kilobytes.
const BASE: u64 = 30 * MICROSECOND;
/// An Ed25519 verification by the host.
const ED25519: u64 = 60 * MICROSECOND;
/// The proof of a key generation: one step of derivation (160 us), an ECDSA verification (270 us) and recovery (300 us),
/// which together exceed what BIP-340 needs.
const KEYGEN_PROOF: u64 = 730 * MICROSECOND;

/// Two bindings at most are looked up and written in three maps; the state of each of five schemes is read; a hold.
pub(crate) fn bind_server<T: Config>() -> Weight {
    Weight::from_parts(BASE + ED25519, 0).saturating_add(T::DbWeight::get().reads_writes(14, 9))
}

/// One binding is removed from three maps; the state of each of five schemes is read; a release.
pub(crate) fn unbind_server<T: Config>() -> Weight {
    Weight::from_parts(BASE, 0).saturating_add(T::DbWeight::get().reads_writes(10, 6))
}

/// The proof is verified again, and the state of one scheme written.
pub(crate) fn report_keygen<T: Config>() -> Weight {
    Weight::from_parts(2 * BASE + KEYGEN_PROOF, 0)
        .saturating_add(T::DbWeight::get().reads_writes(3, 1))
}

/// The state of one scheme and a server are read, then the server's signature and the proof verified.
pub(crate) fn authorize_report<T: Config>() -> Weight {
    Weight::from_parts(BASE + ED25519 + KEYGEN_PROOF, 0).saturating_add(T::DbWeight::get().reads(3))
}

/// The parameters, the state of each of at most five schemes, the active validators and the servers of `looked_up` of them are
/// read; `changed` states are written.
pub(crate) fn advance_keygen<T: Config>(looked_up: u32, changed: u64) -> Weight {
    Weight::from_parts(BASE * (1 + changed), 0)
        .saturating_add(T::DbWeight::get().reads_writes(u64::from(looked_up) + 7, changed))
}
