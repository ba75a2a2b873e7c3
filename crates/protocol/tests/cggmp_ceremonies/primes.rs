//! Key generations that need not search their primes: cheats after that search cost as little as those before it.

use std::{collections::VecDeque, ops::RangeInclusive};

use codec::DecodeAll;
use entropy_protocol::{Ceremony, Step};
use entropy_shared::PartyId;
use rand_core::{CryptoRng, CryptoRngCore, Error, RngCore};

use crate::common::{Frame, Running};

/// Safe primes of 1024 bits, made for these tests by `openssl prime -generate -safe -bits 1024 -hex`; a party takes four.
const PRIMES: &str = include_str!("primes.txt");
const OF_EACH: usize = 4;

/// In these rounds of a key generation nothing random is needed before the search for primes begins, which is at the end of the last.
pub(crate) const OF_KEYGEN: RangeInclusive<u8> = 6..=8;
/// The same of a re-dealing.
pub(crate) const OF_RESHARE: RangeInclusive<u8> = 1..=6;

/// A party whose random numbers begin the search for a prime at a prime.
///
/// Where a search begins, the library asks for its bytes eight at a time. Were that to change, the parties would search:
/// a test would be slow, not wrong.
struct Primed<T> {
    inner: Running<T>,
    before: RangeInclusive<u8>,
    words: VecDeque<[u8; 8]>,
}

struct Planted<'a> {
    rng: &'a mut dyn CryptoRngCore,
    words: &'a mut VecDeque<[u8; 8]>,
}

/// The same parties, with primes for two of them at most.
pub(crate) fn primed<T: 'static>(
    before: RangeInclusive<u8>,
    parties: Vec<(PartyId, Running<T>)>,
) -> Vec<(PartyId, Running<T>)> {
    let primes: Vec<_> = PRIMES
        .lines()
        .map(|line| hex::decode(line).unwrap())
        .collect();
    assert!(parties.len() * OF_EACH <= primes.len());
    parties
        .into_iter()
        .zip(primes.chunks(OF_EACH))
        .map(|((party, inner), primes)| {
            // The lowest word of each prime comes first.
            let words = primes
                .iter()
                .flat_map(|prime| prime.rchunks_exact(8))
                .map(|word| word.try_into().unwrap())
                .collect();
            let before = before.clone();
            let primed = Primed {
                inner,
                before,
                words,
            };
            (party, Box::new(primed) as Running<_>)
        })
        .collect()
}

impl<T> Ceremony for Primed<T> {
    type Output = T;

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> Step<T> {
        self.inner.start(rng)
    }

    fn receive(&mut self, from: &PartyId, payload: &[u8], rng: &mut dyn CryptoRngCore) -> Step<T> {
        let frame = Frame::decode_all(&mut &*payload);
        if !frame.is_ok_and(|frame| self.before.contains(&frame.round)) {
            return self.inner.receive(from, payload, rng);
        }
        let words = &mut self.words;
        self.inner
            .receive(from, payload, &mut Planted { rng, words })
    }

    fn expire(&mut self, rng: &mut dyn CryptoRngCore) -> Step<T> {
        self.inner.expire(rng)
    }
}

impl RngCore for Planted<'_> {
    fn next_u32(&mut self) -> u32 {
        self.rng.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.rng.next_u64()
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        match <&mut [u8; 8]>::try_from(&mut *bytes) {
            Ok(word) if !self.words.is_empty() => {
                *word = self.words.pop_front().unwrap_or_default();
            }
            _ => self.rng.fill_bytes(bytes),
        }
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.fill_bytes(bytes);
        Ok(())
    }
}

impl CryptoRng for Planted<'_> {}
