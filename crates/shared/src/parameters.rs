//! What a chain specification chooses, so that one runtime serves test networks and production.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    Balance, BlockNumber,
    committee::{MAX_PARTIES, ThresholdRule},
    scheme::{Scheme, SchemeSet},
};

/// The time between two blocks, in milliseconds.
pub const BLOCK_MILLIS: u64 = 3_000;

/// Parameters of a chain, set at genesis.
#[derive(
    Clone,
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
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Parameters {
    /// Blocks in a session, which is BABE's epoch. Never changes after genesis: nodes read it once.
    pub session_blocks: BlockNumber,
    /// Sessions in a staking era.
    pub sessions_per_era: u32,
    /// Eras for which unbonded stake stays slashable.
    pub bonding_eras: u32,
    /// Eras after which a slash is applied, below `bonding_eras`.
    pub slash_defer_eras: u32,
    /// The schemes that the network generates root keys for.
    pub schemes: SchemeSet,
    /// The smallest committee for which key generation starts.
    pub committee_min: u16,
    /// The largest committee.
    pub committee_max: u16,
    /// How the threshold follows from a committee's size.
    pub threshold: ThresholdRule,
    /// Blocks that the first attempt at a key generation has.
    pub keygen_deadline_blocks: BlockNumber,
    /// Blocks for which one leader drives a request before the next takes over.
    pub signing_slot_blocks: BlockNumber,
    /// Blocks after which an unanswered request expires.
    pub request_expiry_blocks: BlockNumber,
    /// Blocks for which an answered or expired request is kept.
    pub request_retention_blocks: BlockNumber,
    /// Held from a validator while a server is bound to it.
    pub server_deposit: Balance,
    /// Held from an owner while its key is registered.
    pub key_deposit: Balance,
    /// Held from a program's author for each byte.
    pub program_byte_deposit: Balance,
    /// Held from a requester while its request is kept.
    pub request_deposit: Balance,
}

/// A parameter that cannot be, alone or beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterError {
    /// The named parameter is zero.
    Zero(&'static str),
    /// `slash_defer_eras` is not below `bonding_eras`.
    SlashDefer,
    /// `committee_min` is not from 2 to `committee_max`, or that exceeds [`MAX_PARTIES`].
    CommitteeSize,
    /// The threshold rule gives no threshold from 2 to n for the smallest committee.
    Threshold,
    /// The scheme is enabled, but this version does not have it.
    UnsupportedScheme(Scheme),
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(name) => write!(f, "{name} must be at least 1"),
            Self::SlashDefer => f.write_str("slashDeferEras must be below bondingEras"),
            Self::CommitteeSize => {
                write!(
                    f,
                    "committee sizes must satisfy 2 <= committeeMin <= committeeMax <= {MAX_PARTIES}"
                )
            }
            Self::Threshold => f.write_str(
                "the threshold of the smallest committee must be from 2 to committeeMin",
            ),
            Self::UnsupportedScheme(scheme) => {
                write!(f, "this version cannot generate keys of {scheme}")
            }
        }
    }
}

impl core::error::Error for ParameterError {}

impl Default for Parameters {
    /// Production's: hour-long sessions, daily eras, four weeks of bonding.
    fn default() -> Self {
        const UNIT: Balance = 1_000_000_000_000;
        Self {
            session_blocks: 1_200,
            sessions_per_era: 24,
            bonding_eras: 28,
            slash_defer_eras: 27,
            schemes: [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot]
                .into_iter()
                .collect(),
            committee_min: 4,
            committee_max: 15,
            threshold: ThresholdRule::TwoThirds,
            keygen_deadline_blocks: 200,
            signing_slot_blocks: 5,
            request_expiry_blocks: 200,
            request_retention_blocks: 1_200,
            server_deposit: 100 * UNIT,
            key_deposit: UNIT,
            program_byte_deposit: UNIT / 1_000,
            request_deposit: UNIT / 10,
        }
    }
}

impl Parameters {
    /// Whether the values are possible together; the first that is not.
    pub fn check(&self) -> Result<(), ParameterError> {
        let counts = [
            ("sessionBlocks", self.session_blocks),
            ("sessionsPerEra", self.sessions_per_era),
            ("bondingEras", self.bonding_eras),
            ("keygenDeadlineBlocks", self.keygen_deadline_blocks),
            ("signingSlotBlocks", self.signing_slot_blocks),
            ("requestExpiryBlocks", self.request_expiry_blocks),
            ("requestRetentionBlocks", self.request_retention_blocks),
        ];
        if let Some((name, _)) = counts.into_iter().find(|(_, value)| *value == 0) {
            return Err(ParameterError::Zero(name));
        }
        if self.slash_defer_eras >= self.bonding_eras {
            return Err(ParameterError::SlashDefer);
        }
        if self.committee_min < 2
            || self.committee_min > self.committee_max
            || u32::from(self.committee_max) > MAX_PARTIES
        {
            return Err(ParameterError::CommitteeSize);
        }
        let threshold = self.threshold.threshold(self.committee_min);
        if threshold < 2 || threshold > self.committee_min {
            return Err(ParameterError::Threshold);
        }
        match self.schemes.iter().find(|scheme| !scheme.is_supported()) {
            Some(scheme) => Err(ParameterError::UnsupportedScheme(scheme)),
            None => Ok(()),
        }
    }
}
