//! What the calls cost, estimated by hand from the measured costs of the cryptography in Wasm;
//! weights from benchmarks will replace them.
//!
//! Size of proofs counts for nothing: the chain proves its storage to nobody.

use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding, comparing, and copying a record and the list of open requests.
const BASE: u64 = 60 * MICROSECOND;
/// An Ed25519 verification by the host.
const ED25519: u64 = 60 * MICROSECOND;
/// A step of derivation, or a Taproot tweak.
const DERIVATION: u64 = 160 * MICROSECOND;
/// An ECDSA verification (270 us) and recovery (300 us), more than what BIP-340 needs.
const RESULT: u64 = 570 * MICROSECOND;
/// Two hashes and several copies of a byte of the message, in picoseconds.
const BYTE: u64 = 40_000;

/// The key's own step, one for each of the path and a tweak; a hold; three maps and the list are written.
pub(crate) fn request<T: Config>(steps: usize, message: usize) -> Weight {
    let steps = (steps as u64).saturating_add(2).saturating_mul(DERIVATION);
    let bytes = (message as u64).saturating_mul(BYTE);
    Weight::from_parts(BASE.saturating_add(steps).saturating_add(bytes), 0)
        .saturating_add(T::DbWeight::get().reads_writes(10, 5))
}

/// The result is verified; the record, the list, a count and the queue are written.
pub(crate) fn record_result<T: Config>() -> Weight {
    Weight::from_parts(BASE + RESULT, 0).saturating_add(T::DbWeight::get().reads_writes(6, 5))
}

/// The record and a server are read, then the server's signature and the result verified.
pub(crate) fn authorize_result<T: Config>() -> Weight {
    Weight::from_parts(BASE + ED25519 + RESULT, 0).saturating_add(T::DbWeight::get().reads(3))
}

/// The list and the queue's places are read; for each that ends, or is removed, what its record, its place in the queue, a count or a
/// hold need.
pub(crate) fn clean_up<T: Config>(expired: u64, removed: u64) -> Weight {
    let touched = expired.saturating_add(removed);
    Weight::from_parts(BASE.saturating_mul(touched.saturating_add(1)), 0).saturating_add(
        T::DbWeight::get()
            .reads_writes(touched.saturating_mul(5) + 3, touched.saturating_mul(5) + 2),
    )
}
