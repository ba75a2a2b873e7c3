//! What the calls cost, estimated by hand from the measured costs of the cryptography in Wasm;
//! weights from benchmarks will replace them.
//!
//! Size of proofs counts for nothing: the chain proves its storage to nobody.

use entropy_shared::lifecycle::request::MAX_PROGRAMS;
use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding, hashing and comparing.
const BASE: u64 = 30 * MICROSECOND;
/// The step from a root key to its child.
const DERIVATION: u64 = 160 * MICROSECOND;

/// A root key, the parameters, the genesis hash and the key are read, each program's record is read and written,
/// two maps are written, a deposit held.
pub(crate) fn register<T: Config>(programs: usize) -> Weight {
    let programs = programs as u64;
    Weight::from_parts(BASE + DERIVATION, 0).saturating_add(T::DbWeight::get().reads_writes(
        8_u64.saturating_add(programs),
        4_u64.saturating_add(programs),
    ))
}

/// As many programs' records as a key can have are written, two maps, a deposit released.
pub(crate) fn remove<T: Config>() -> Weight {
    let programs = u64::from(MAX_PROGRAMS);
    Weight::from_parts(BASE, 0)
        .saturating_add(T::DbWeight::get().reads_writes(5 + programs, 4 + programs))
}
