//! What the calls cost, estimated by hand from the measured costs of the cryptography in Wasm;
//! weights from benchmarks will replace them.
//!
//! Size of proofs counts for nothing: the chain proves its storage to nobody.

use core::marker::PhantomData;

use entropy_shared::{lifecycle::registry::MAX_PROGRAMS, parameters::MAX_OPEN_PER_KEY};
use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding, hashing and comparing.
const BASE: u64 = 30 * MICROSECOND;
/// The step from a root key to its child, of the dearest scheme, which is ECDSA over P-256.
const DERIVATION: u64 = 730 * MICROSECOND;
/// Several copies of a byte, in picoseconds.
const BYTE: u64 = 5_000;
/// Reading and writing the largest record, with 33 kilobytes of configurations.
const RECORD: u64 = 100 * MICROSECOND;

/// What the calls and hooks of the pallet cost.
pub trait WeightInfo {
    /// A root key, the parameters, the genesis hash and three maps are read, each program's record is read and written,
    /// three maps are written, a deposit held.
    fn register(programs: usize, policy_bytes: u32) -> Weight;

    /// The records of the old programs, as many as a key can have, and of the new ones are read and written; the deposit is
    /// adjusted.
    fn set_policy(programs: usize, policy_bytes: u32) -> Weight;

    /// A record is read and written.
    fn offer() -> Weight;

    /// As many requests as a key can have open are ended; a record is read and written, a fee burnt, a deposit held from one
    /// account, and another released to another.
    fn accept() -> Weight;

    /// As many requests as a key can have open are ended, each with a record of several kilobytes and four maps; as many programs'
    /// records as a key can have are written, four maps, a deposit released.
    fn close() -> Weight;
}

/// Weights that were estimated by hand.
pub struct HandMade<T>(PhantomData<T>);

impl<T: Config> WeightInfo for HandMade<T> {
    fn register(programs: usize, policy_bytes: u32) -> Weight {
        let programs = programs as u64;
        ref_time(BASE + DERIVATION, policy_bytes).saturating_add(T::DbWeight::get().reads_writes(
            8_u64.saturating_add(programs),
            5_u64.saturating_add(programs),
        ))
    }

    fn set_policy(programs: usize, policy_bytes: u32) -> Weight {
        let programs = u64::from(MAX_PROGRAMS).saturating_add(programs as u64);
        ref_time(BASE + RECORD, policy_bytes).saturating_add(T::DbWeight::get().reads_writes(
            5_u64.saturating_add(programs),
            4_u64.saturating_add(programs),
        ))
    }

    fn offer() -> Weight {
        ref_time(BASE + RECORD, 0).saturating_add(T::DbWeight::get().reads_writes(1, 1))
    }

    fn accept() -> Weight {
        ref_time(BASE + RECORD, 0)
            .saturating_add(T::DbWeight::get().reads_writes(7, 7))
            .saturating_add(end_requests::<T>())
    }

    fn close() -> Weight {
        let programs = u64::from(MAX_PROGRAMS);
        ref_time(2 * BASE + RECORD, 0)
            .saturating_add(T::DbWeight::get().reads_writes(6 + programs, 6 + programs))
            .saturating_add(end_requests::<T>())
    }
}

/// As many requests as a key can have open leave five maps and the pages' lengths for the queue.
fn end_requests<T: Config>() -> Weight {
    let requests = u64::from(MAX_OPEN_PER_KEY);
    ref_time(4 * requests * BASE, 0)
        .saturating_add(T::DbWeight::get().reads_writes(10 * requests, 9 * requests))
}

fn ref_time(fixed: u64, policy_bytes: u32) -> Weight {
    Weight::from_parts(
        fixed.saturating_add(BYTE.saturating_mul(policy_bytes.into())),
        0,
    )
}
