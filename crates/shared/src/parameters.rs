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

/// The newest version of the ceremonies that this version of the servers runs.
pub const PROTOCOL_VERSION: u16 = 1;

/// The most requests that can be open for one key, whatever the parameters say: closing a key ends them all at once.
pub const MAX_OPEN_PER_KEY: u32 = 64;

/// The most blocks, sessions or eras that a parameter can say: a year of blocks.
pub const MAX_PERIOD: u32 = 10_512_000;

/// Parameters of a chain, set at genesis. What consensus and staking read stays as it was; root may change the rest.
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
    /// Blocks that the first attempt at a key generation or a reshare has.
    pub attempt_deadline_blocks: BlockNumber,
    /// Sessions after which the shares of a key are refreshed though its committee has not changed; 0 for never.
    pub refresh_sessions: u32,
    /// Blocks for which a server that was suspended once must wait before it can say that it is ready; doubles with each time.
    pub suspension_blocks: BlockNumber,
    /// The version of the ceremonies that a new epoch's holders run, and of signing in that epoch.
    pub protocol_version: u16,
    /// Blocks for which one leader drives a request before the next takes over.
    pub signing_slot_blocks: BlockNumber,
    /// Blocks after which an unanswered request expires, unless its requester chose fewer; nobody can choose more.
    pub request_expiry_blocks: BlockNumber,
    /// The most requests that can be open for one key.
    pub max_open_per_key: u32,
    /// The most requests that one account can have open.
    pub max_open_per_requester: u32,
    /// Blocks for which an answered or expired request is kept.
    pub request_retention_blocks: BlockNumber,
    /// Held from a validator while a server is bound to it.
    pub server_deposit: Balance,
    /// Held from an owner while its key is registered.
    pub key_deposit: Balance,
    /// Held from an owner for each byte of configurations and requesters of its key.
    pub key_byte_deposit: Balance,
    /// Held from a program's author for each byte.
    pub program_byte_deposit: Balance,
    /// Held from a requester while its request is kept.
    pub request_deposit: Balance,
    /// Burnt for each request, whatever becomes of it, while few are open;
    /// [`crate::lifecycle::request::fee`] says how it rises.
    pub request_fee: Balance,
}

/// A parameter that cannot be, alone or beside another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterError {
    /// The named parameter is zero.
    Zero(&'static str),
    /// The named parameter exceeds [`MAX_PERIOD`].
    TooLong(&'static str),
    /// `slash_defer_eras` is not below `bonding_eras`.
    SlashDefer,
    /// `committee_min` is not from 2 to `committee_max`, or that exceeds [`MAX_PARTIES`].
    CommitteeSize,
    /// The threshold rule gives no threshold from 2 to n for the smallest committee.
    Threshold,
    /// The scheme is enabled, but this version does not have it.
    UnsupportedScheme(Scheme),
    /// `max_open_per_key` exceeds [`MAX_OPEN_PER_KEY`].
    OpenPerKey,
    /// The protocol version is 0, or newer than [`PROTOCOL_VERSION`].
    ProtocolVersion(u16),
    /// The named parameter never changes on a running chain.
    Fixed(&'static str),
    /// The scheme has a key or is coming to one, so that it can't be taken away.
    SchemeInUse(Scheme),
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero(name) => write!(f, "{name} must be at least 1"),
            Self::TooLong(name) => write!(f, "{name} must be at most {MAX_PERIOD}"),
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
            Self::OpenPerKey => write!(f, "maxOpenPerKey must be at most {MAX_OPEN_PER_KEY}"),
            Self::ProtocolVersion(version) => write!(
                f,
                "protocolVersion must be from 1 to {PROTOCOL_VERSION}, not {version}"
            ),
            Self::Fixed(name) => write!(f, "{name} never changes on a running chain"),
            Self::SchemeInUse(scheme) => {
                write!(f, "{scheme} has a root key, so that it cannot be disabled")
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
            attempt_deadline_blocks: 200,
            refresh_sessions: 0,
            suspension_blocks: 100,
            protocol_version: PROTOCOL_VERSION,
            signing_slot_blocks: 5,
            request_expiry_blocks: 200,
            max_open_per_key: 32,
            max_open_per_requester: 64,
            request_retention_blocks: 1_200,
            server_deposit: 100 * UNIT,
            key_deposit: UNIT,
            key_byte_deposit: UNIT / 1_000,
            program_byte_deposit: UNIT / 1_000,
            request_deposit: UNIT / 10,
            request_fee: UNIT / 100,
        }
    }
}

impl Parameters {
    /// Whether the values are possible together; the first that is not.
    pub fn check(&self) -> Result<(), ParameterError> {
        let periods = [
            ("sessionBlocks", self.session_blocks),
            ("sessionsPerEra", self.sessions_per_era),
            ("bondingEras", self.bonding_eras),
            ("attemptDeadlineBlocks", self.attempt_deadline_blocks),
            ("suspensionBlocks", self.suspension_blocks),
            ("signingSlotBlocks", self.signing_slot_blocks),
            ("requestExpiryBlocks", self.request_expiry_blocks),
            ("requestRetentionBlocks", self.request_retention_blocks),
        ];
        let limits = [
            ("maxOpenPerKey", self.max_open_per_key),
            ("maxOpenPerRequester", self.max_open_per_requester),
        ];
        let mut counts = periods.iter().chain(&limits);
        if let Some((name, _)) = counts.find(|(_, value)| *value == 0) {
            return Err(ParameterError::Zero(name));
        }
        let refresh = ("refreshSessions", self.refresh_sessions);
        let mut periods = periods.iter().chain([&refresh]);
        if let Some((name, _)) = periods.find(|(_, value)| *value > MAX_PERIOD) {
            return Err(ParameterError::TooLong(name));
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
        if self.max_open_per_key > MAX_OPEN_PER_KEY {
            return Err(ParameterError::OpenPerKey);
        }
        if self.protocol_version == 0 || self.protocol_version > PROTOCOL_VERSION {
            return Err(ParameterError::ProtocolVersion(self.protocol_version));
        }
        match self.schemes.iter().find(|scheme| !scheme.is_supported()) {
            Some(scheme) => Err(ParameterError::UnsupportedScheme(scheme)),
            None => Ok(()),
        }
    }

    /// Whether a running chain that has these parameters may have `new` instead.
    ///
    /// `in_use` are the schemes that have a key or are coming to one. What BABE, GRANDPA and staking read is fixed: BABE's
    /// client reads its epoch's length at genesis only, and how long offences can be reported follows from the others.
    pub fn check_change(&self, new: &Self, in_use: SchemeSet) -> Result<(), ParameterError> {
        new.check()?;
        let fixed = [
            ("sessionBlocks", self.session_blocks, new.session_blocks),
            (
                "sessionsPerEra",
                self.sessions_per_era,
                new.sessions_per_era,
            ),
            ("bondingEras", self.bonding_eras, new.bonding_eras),
            (
                "slashDeferEras",
                self.slash_defer_eras,
                new.slash_defer_eras,
            ),
        ];
        if let Some((name, ..)) = fixed.into_iter().find(|(_, old, new)| old != new) {
            return Err(ParameterError::Fixed(name));
        }
        if new.protocol_version < self.protocol_version {
            return Err(ParameterError::ProtocolVersion(new.protocol_version));
        }
        match in_use.iter().find(|scheme| !new.schemes.contains(*scheme)) {
            Some(scheme) => Err(ParameterError::SchemeInUse(scheme)),
            None => Ok(()),
        }
    }
}
