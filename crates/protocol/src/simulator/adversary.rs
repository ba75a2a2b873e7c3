//! Dishonest parties: honest code whose messages somebody rewrites before they are sent.

use std::collections::BTreeSet;

use entropy_shared::PartyId;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use super::{Frame, Time, below, happens};

/// A message of the adversary's, sent so much later than at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The message. Its sender must be dishonest or no party at all: the transport authenticates.
    pub frame: Frame,
    /// In microseconds.
    pub delay: Time,
}

impl From<Frame> for Posted {
    fn from(frame: Frame) -> Self {
        Self { frame, delay: 0 }
    }
}

/// All dishonest parties as one mind.
///
/// It sees every message of honest parties before it is delivered, those that the links would keep secret from it
/// included: more than any real one.
pub trait Adversary {
    /// Whose messages it rewrites.
    fn dishonest(&self) -> BTreeSet<PartyId>;

    /// The honest code of a dishonest party has made this message; what goes out instead.
    fn sends(&mut self, frame: Frame) -> Vec<Posted>;

    /// An honest party sends this message, which is not changed; what dishonest ones send as they see it.
    fn sees(&mut self, _frame: &Frame) -> Vec<Posted> {
        Vec::new()
    }
}

/// Nobody is dishonest.
#[derive(Debug, Clone, Copy, Default)]
pub struct Honest;

impl Adversary for Honest {
    fn dishonest(&self) -> BTreeSet<PartyId> {
        BTreeSet::new()
    }

    fn sends(&mut self, frame: Frame) -> Vec<Posted> {
        vec![frame.into()]
    }
}

/// Spoils messages at random: drops, delays, repeats, truncates, flips bits, sends what others have sent.
#[derive(Debug, Clone)]
pub struct Vandal {
    dishonest: BTreeSet<PartyId>,
    rng: ChaCha20Rng,
    rate: u16,
    /// Some of what has been sent so far, to be sent again by others.
    heard: Vec<Frame>,
}

impl Vandal {
    /// Spoils so many of a thousand messages of these parties.
    pub fn new(dishonest: BTreeSet<PartyId>, rate: u16, seed: u64) -> Self {
        Self {
            dishonest,
            rng: ChaCha20Rng::seed_from_u64(seed),
            rate,
            heard: Vec::new(),
        }
    }

    fn remember(&mut self, frame: &Frame) {
        const MOST: usize = 64;
        if self.heard.len() < MOST {
            self.heard.push(frame.clone());
        } else {
            let place = below(&mut self.rng, MOST as u64) as usize;
            self.heard[place] = frame.clone();
        }
    }

    fn spoil(&mut self, frame: &Frame) -> Vec<Posted> {
        let rng = &mut self.rng;
        let mut body = frame.body();
        let spoilt = match below(rng, 10) {
            0 => return Vec::new(),
            1 => return vec![frame.clone().into(), frame.clone().into()],
            2 => {
                let delay = below(rng, 4_000_000);
                return vec![Posted {
                    frame: frame.clone(),
                    delay,
                }];
            }
            3 => {
                body.truncate(below(rng, body.len() as u64) as usize);
                frame.with_body(body)
            }
            4 => {
                rng.fill_bytes(&mut body);
                frame.with_body(body)
            }
            5 => {
                body.extend([0; 1]);
                frame.with_body(body)
            }
            6 => {
                // Anywhere, the envelope included.
                let mut payload = frame.payload.clone();
                flip(rng, &mut payload);
                Frame {
                    payload,
                    ..frame.clone()
                }
            }
            7 => frame.with_round(below(rng, 20) as u8),
            8 if !self.heard.is_empty() => {
                let other = &self.heard[below(rng, self.heard.len() as u64) as usize];
                if happens(rng, 500) {
                    frame.with_body(other.body())
                } else {
                    Frame {
                        payload: other.payload.clone(),
                        ..frame.clone()
                    }
                }
            }
            _ => {
                flip(rng, &mut body);
                frame.with_body(body)
            }
        };
        if happens(rng, 100) {
            return vec![frame.clone().into(), spoilt.into()];
        }
        vec![spoilt.into()]
    }
}

fn flip(rng: &mut impl RngCore, bytes: &mut [u8]) {
    if !bytes.is_empty() {
        let place = below(rng, bytes.len() as u64) as usize;
        bytes[place] ^= 1 << below(rng, 8);
    }
}

impl Adversary for Vandal {
    fn dishonest(&self) -> BTreeSet<PartyId> {
        self.dishonest.clone()
    }

    fn sends(&mut self, frame: Frame) -> Vec<Posted> {
        self.remember(&frame);
        if happens(&mut self.rng, self.rate) {
            self.spoil(&frame)
        } else {
            vec![frame.into()]
        }
    }

    fn sees(&mut self, frame: &Frame) -> Vec<Posted> {
        self.remember(frame);
        Vec::new()
    }
}
