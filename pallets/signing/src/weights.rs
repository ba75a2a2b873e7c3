//! What the calls cost, estimated by hand from the measured costs of the cryptography in Wasm;
//! weights from benchmarks will replace them.
//!
//! Size of proofs counts for nothing: the chain proves its storage to nobody.

use core::marker::PhantomData;

use entropy_shared::lifecycle::request::RequestContent;
use frame_support::{traits::Get, weights::Weight};

use crate::Config;

const MICROSECOND: u64 = 1_000_000;

/// Decoding, comparing, and copying a record and a page of open requests.
const BASE: u64 = 60 * MICROSECOND;
/// An Ed25519 verification by the host.
const ED25519: u64 = 60 * MICROSECOND;
/// A step of derivation of the dearest scheme, P-256, or a Taproot tweak.
const DERIVATION: u64 = 730 * MICROSECOND;
/// A signature of the dearest scheme, P-256, and the key that it gives back: 4.1 ms were measured.
const RESULT: u64 = 4_500 * MICROSECOND;
/// Two hashes and several copies of a byte of the message, in picoseconds.
const BYTE: u64 = 40_000;

/// What the calls and hooks of the pallet cost.
pub trait WeightInfo {
    /// The key's own step, one for each of the path and a tweak; a fee and a hold; five maps and the pages' lengths are written.
    fn request(steps: usize, message: usize) -> Weight;

    /// Each request of a batch, all of them if there are too many.
    fn request_batch(contents: &[RequestContent]) -> Weight;

    /// A record leaves five maps and the pages' lengths for the queue.
    fn end() -> Weight;

    /// The root key's holders are read; the record may end.
    fn refuse() -> Weight;

    /// The record and the root key's holders are read, then the server's signature verified.
    fn authorize_refusal() -> Weight;

    /// The result is verified, and the request ends.
    fn record_result() -> Weight;

    /// The record and a server are read, then the server's signature and the result verified.
    fn authorize_result() -> Weight;

    /// Lists of due requests and the queue's places are read; for each that ends or is removed, what ending, its place in the
    /// queue or a hold need.
    fn clean_up(expired: u64, removed: u64) -> Weight;
}

/// Weights that were estimated by hand.
pub struct HandMade<T>(PhantomData<T>);

impl<T: Config> WeightInfo for HandMade<T> {
    fn request(steps: usize, message: usize) -> Weight {
        let steps = (steps as u64).saturating_add(2).saturating_mul(DERIVATION);
        let bytes = (message as u64).saturating_mul(BYTE);
        Weight::from_parts(BASE.saturating_add(steps).saturating_add(bytes), 0)
            .saturating_add(T::DbWeight::get().reads_writes(14, 9))
    }

    fn request_batch(contents: &[RequestContent]) -> Weight {
        let each = |content: &RequestContent| {
            Self::request(content.path.steps().len(), content.message.len())
        };
        contents
            .iter()
            .map(each)
            .fold(Weight::from_parts(BASE, 0), |sum, weight| {
                sum.saturating_add(weight)
            })
    }

    fn end() -> Weight {
        Weight::from_parts(2 * BASE, 0).saturating_add(T::DbWeight::get().reads_writes(10, 9))
    }

    fn refuse() -> Weight {
        Self::end().saturating_add(T::DbWeight::get().reads(1))
    }

    fn authorize_refusal() -> Weight {
        Weight::from_parts(BASE + ED25519, 0).saturating_add(T::DbWeight::get().reads(3))
    }

    fn record_result() -> Weight {
        Weight::from_parts(BASE + RESULT, 0).saturating_add(Self::end())
    }

    fn authorize_result() -> Weight {
        Weight::from_parts(BASE + ED25519 + RESULT, 0).saturating_add(T::DbWeight::get().reads(3))
    }

    fn clean_up(expired: u64, removed: u64) -> Weight {
        let touched = expired.saturating_add(removed);
        Weight::from_parts(BASE.saturating_mul(touched.saturating_add(1)), 0).saturating_add(
            T::DbWeight::get().reads_writes(
                touched.saturating_mul(10) + 20,
                touched.saturating_mul(9) + 18,
            ),
        )
    }
}
