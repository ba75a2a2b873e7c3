//! Whether a server may be chosen for a committee: one that fell silent is suspended until it says that it is ready again.
//!
//! Without this a dead server would cause a reshare in every session.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{BlockNumber, parameters::Parameters};

/// How often the wait of a suspended server may double.
const MAX_DOUBLINGS: u32 = 6;

/// How reliable a server has been.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct Standing {
    /// How often it has been suspended since it last came to hold a share.
    pub suspensions: u32,
    /// Which suspension, of all that it ever had, is the latest; what the server signs to end it names this number.
    pub number: u32,
    /// The first block in which it may say that it is ready, while it is suspended.
    pub suspended_until: Option<BlockNumber>,
    /// The first block in which its validator may be without it, which forgets how often it was suspended: no sooner than
    /// after the longest wait.
    pub bound_until: BlockNumber,
}

/// Why a server's word that it is ready does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadyError {
    /// It is not suspended, or this suspension has ended.
    NotSuspended,
    /// It speaks of a suspension that this block does not know yet.
    Future,
    /// It comes before this block.
    TooEarly(BlockNumber),
}

impl fmt::Display for ReadyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSuspended => f.write_str("the server is not suspended"),
            Self::Future => f.write_str("the server has not been suspended so often"),
            Self::TooEarly(block) => write!(f, "a suspended server waits until block {block}"),
        }
    }
}

impl core::error::Error for ReadyError {}

impl Standing {
    /// Whether it may be chosen for a committee.
    pub const fn is_eligible(&self) -> bool {
        self.suspended_until.is_none()
    }

    /// Suspends the server; each suspension since it last came to hold a share doubles the wait. Nothing happens if it is suspended already.
    pub fn suspend(self, now: BlockNumber, parameters: &Parameters) -> Self {
        if !self.is_eligible() {
            return self;
        }
        let wait = parameters
            .suspension_blocks
            .saturating_mul(1 << self.suspensions.min(MAX_DOUBLINGS));
        let longest = parameters
            .suspension_blocks
            .saturating_mul(1 << MAX_DOUBLINGS);
        Self {
            suspensions: self.suspensions.saturating_add(1),
            number: self.number.saturating_add(1),
            suspended_until: Some(now.saturating_add(wait)),
            bound_until: now.saturating_add(longest),
        }
    }

    /// Whether the server's word that it is ready, after suspension `number`, counts now.
    pub fn check_ready(&self, number: u32, now: BlockNumber) -> Result<(), ReadyError> {
        if number > self.number {
            return Err(ReadyError::Future);
        }
        match self.suspended_until {
            Some(until) if number == self.number && now >= until => Ok(()),
            Some(until) if number == self.number => Err(ReadyError::TooEarly(until)),
            _ => Err(ReadyError::NotSuspended),
        }
    }

    /// Ends the suspension; the same checks as [`Self::check_ready`].
    pub fn ready(self, number: u32, now: BlockNumber) -> Result<Self, ReadyError> {
        self.check_ready(number, now)?;
        Ok(Self {
            suspended_until: None,
            ..self
        })
    }

    /// Forgets how often it was suspended, because it has come to hold a share.
    pub fn redeem(self) -> Self {
        Self {
            suspensions: 0,
            bound_until: 0,
            ..self
        }
    }
}
