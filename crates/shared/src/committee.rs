//! Who holds shares together: parties and threshold, the leader among them, and the signer sets of a proof.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, Input, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    digest::tagged_hash,
    ids::{PartyId, RequestId},
};

/// The largest committee that any chain may have.
pub const MAX_PARTIES: u32 = 32;

/// The ordered parties that hold shares, and how many of them sign.
///
/// Cannot be constructed or decoded wrong: 2 to [`MAX_PARTIES`] parties in strictly ascending order, a threshold from 2 to their number.
#[derive(Clone, Debug, PartialEq, Eq, Encode, TypeInfo)]
pub struct Committee {
    parties: Vec<PartyId>,
    threshold: u16,
}

/// Why parties and a threshold make no committee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitteeError {
    /// Fewer than 2 or more than [`MAX_PARTIES`] parties; there are this many.
    Size(usize),
    /// A party is named twice.
    Duplicate(PartyId),
    /// The threshold is below 2 or above the number of parties.
    Threshold {
        /// The threshold asked for.
        threshold: u16,
        /// The number of parties.
        parties: usize,
    },
}

impl fmt::Display for CommitteeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size(size) => write!(f, "a committee has 2 to {MAX_PARTIES} parties, not {size}"),
            Self::Duplicate(party) => write!(f, "party {party} is named twice"),
            Self::Threshold { threshold, parties } => {
                write!(
                    f,
                    "the threshold of {parties} parties is 2 to {parties}, not {threshold}"
                )
            }
        }
    }
}

impl core::error::Error for CommitteeError {}

impl Committee {
    /// The committee of these parties, given in any order.
    pub fn new(
        parties: impl IntoIterator<Item = PartyId>,
        threshold: u16,
    ) -> Result<Self, CommitteeError> {
        let mut parties: Vec<_> = parties.into_iter().collect();
        parties.sort_unstable();
        let size = parties.len();
        if size < 2 || size > MAX_PARTIES as usize {
            return Err(CommitteeError::Size(size));
        }
        if let Some(pair) = parties.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(CommitteeError::Duplicate(pair[0]));
        }
        if threshold < 2 || usize::from(threshold) > size {
            return Err(CommitteeError::Threshold {
                threshold,
                parties: size,
            });
        }
        Ok(Self { parties, threshold })
    }

    /// The parties in ascending order.
    pub fn parties(&self) -> &[PartyId] {
        &self.parties
    }

    /// How many parties sign, `t`.
    pub const fn threshold(&self) -> u16 {
        self.threshold
    }

    /// How many parties there are, `n`.
    pub const fn size(&self) -> u16 {
        self.parties.len() as u16
    }

    /// Whether `party` is a member.
    pub fn contains(&self, party: &PartyId) -> bool {
        self.parties.binary_search(party).is_ok()
    }

    /// The party's Shamir coordinate, `1..=n`; assigned by the order of parties, never claimed by one.
    pub fn index(&self, party: &PartyId) -> Option<u16> {
        self.parties
            .binary_search(party)
            .ok()
            .map(|position| position as u16 + 1)
    }

    /// Sets of exactly `t` members that together name every member, the smallest number of sets that can.
    ///
    /// After key generation each set signs once, so that every holder has seen its own share work.
    pub fn proof_sets(&self) -> Vec<Vec<PartyId>> {
        let (n, t) = (self.parties.len(), usize::from(self.threshold));
        (0..n.div_ceil(t))
            .map(|set| {
                let start = (set * t).min(n - t);
                self.parties[start..start + t].to_vec()
            })
            .collect()
    }
}

impl Decode for Committee {
    fn decode<I: Input>(input: &mut I) -> Result<Self, codec::Error> {
        let parties = Vec::<PartyId>::decode(input)?;
        let threshold = u16::decode(input)?;
        if !parties.windows(2).all(|pair| pair[0] < pair[1]) {
            return Err("parties of a committee are in strictly ascending order".into());
        }
        Self::new(parties, threshold).map_err(|_| "not a committee".into())
    }
}

impl DecodeWithMemTracking for Committee {}

impl MaxEncodedLen for Committee {
    fn max_encoded_len() -> usize {
        parties_max_encoded_len() + u16::max_encoded_len()
    }
}

/// Most bytes that a list of at most [`MAX_PARTIES`] parties encodes to.
pub(crate) fn parties_max_encoded_len() -> usize {
    codec::Compact::<u32>::max_encoded_len() + MAX_PARTIES as usize * PartyId::max_encoded_len()
}

/// How the chain chooses the threshold of a new committee.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum ThresholdRule {
    /// `floor(2n/3) + 1`: tolerates the absence of just under a third.
    TwoThirds,
    /// This many, whatever the size; committees smaller than it do not form.
    Fixed(u16),
}

impl ThresholdRule {
    /// The threshold of a committee of `size` parties. May exceed `size` if the rule is fixed.
    pub const fn threshold(self, size: u16) -> u16 {
        match self {
            Self::TwoThirds => (2 * size as u32 / 3 + 1) as u16,
            Self::Fixed(threshold) => threshold,
        }
    }
}

/// Who leads the signing of `request` in its `slot`-th slot since inclusion.
///
/// The first leader is pseudo-random in the request's id, and each slot passes the lead to the next party, so that in `n` slots everybody leads once.
pub fn leader(committee: &Committee, request: &RequestId, slot: u32) -> PartyId {
    let hash = tagged_hash("entropy/leader/v1", request);
    let first = u64::from_le_bytes([
        hash[0], hash[1], hash[2], hash[3], hash[4], hash[5], hash[6], hash[7],
    ]);
    let n = committee.parties.len() as u64;
    committee.parties[((first % n + u64::from(slot)) % n) as usize]
}
