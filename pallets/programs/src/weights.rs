//! What the calls cost, estimated by hand; weights from benchmarks will replace them.
//!
//! Size of proofs counts for nothing: the chain proves its storage to nobody.

use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding and comparing.
const BASE: u64 = 30 * MICROSECOND;
/// SHA-256 in Wasm and several copies of a byte, in picoseconds.
const BYTE: u64 = 20_000;

/// The code is hashed and written, a record looked for and written, a deposit held.
pub(crate) fn upload<T: Config>(bytes: usize) -> Weight {
    Weight::from_parts(BASE.saturating_add(BYTE.saturating_mul(bytes as u64)), 0)
        .saturating_add(T::DbWeight::get().reads_writes(4, 4))
}

/// The record and the code are removed, the deposit released.
pub(crate) fn remove<T: Config>() -> Weight {
    Weight::from_parts(BASE, 0).saturating_add(T::DbWeight::get().reads_writes(4, 4))
}
