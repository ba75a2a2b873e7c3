//! What the calls cost, estimated by hand; weights from benchmarks will replace them.
//!
//! Size of proofs counts for nothing: the chain proves its storage to nobody.

use core::marker::PhantomData;

use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding and comparing.
const BASE: u64 = 30 * MICROSECOND;
/// SHA-256 in Wasm and several copies of a byte, in picoseconds.
const BYTE: u64 = 20_000;

/// What the calls and hooks of the pallet cost.
pub trait WeightInfo {
    /// Code and schema are hashed, both and the metadata written, a record looked for and written, a deposit held.
    fn upload(bytes: usize) -> Weight;

    /// The record, code, schema and metadata are removed, the deposit released.
    fn remove() -> Weight;
}

/// Weights that were estimated by hand.
pub struct HandMade<T>(PhantomData<T>);

impl<T: Config> WeightInfo for HandMade<T> {
    fn upload(bytes: usize) -> Weight {
        Weight::from_parts(BASE.saturating_add(BYTE.saturating_mul(bytes as u64)), 0)
            .saturating_add(T::DbWeight::get().reads_writes(5, 6))
    }

    fn remove() -> Weight {
        Weight::from_parts(BASE, 0).saturating_add(T::DbWeight::get().reads_writes(3, 6))
    }
}
