//! The JSON that the HTTP face answers with. Field names and codes are part of the interface: they never change their meaning.

use entropy_shared::{
    AccountId, BlockNumber, Digest, Epoch, Genesis, PartyId, Scheme,
    lifecycle::key::{ActiveKey, Attempt, KeyState},
    view::{ChainView, SchemeState, VIEW_FORMAT},
};
use serde::Serialize;

use crate::status::{Identity, Missing, Status};

/// Whether the server is ready, and what it lacks.
#[derive(Serialize)]
pub(super) struct Readiness {
    ready: bool,
    missing: Vec<Lack>,
}

#[derive(Serialize)]
struct Lack {
    code: &'static str,
    message: String,
}

impl Readiness {
    pub(super) fn new(missing: &[Missing]) -> Self {
        let missing: Vec<_> = missing
            .iter()
            .map(|lack| Lack {
                code: lack.code(),
                message: lack.to_string(),
            })
            .collect();
        Self {
            ready: missing.is_empty(),
            missing,
        }
    }
}

/// Which software this is.
#[derive(Serialize)]
pub(super) struct Version {
    version: &'static str,
    view_format: u16,
}

impl Version {
    pub(super) const CURRENT: Self = Self {
        version: env!("CARGO_PKG_VERSION"),
        view_format: VIEW_FORMAT,
    };
}

/// Which server this is.
#[derive(Serialize)]
pub(super) struct Info {
    party: PartyId,
    noise_key: String,
    genesis: Genesis,
    version: &'static str,
    /// The validator that has bound it, as of the finalized block.
    stash: Option<AccountId>,
    /// The endpoint that the validator published for it.
    endpoint: Option<String>,
}

impl Info {
    pub(super) fn new(identity: &Identity, status: &Status) -> Self {
        let binding = status
            .heads
            .as_ref()
            .and_then(|heads| heads.finalized.view.binding.as_ref());
        Self {
            party: identity.party,
            noise_key: format!("0x{}", hex::encode(identity.noise_key)),
            genesis: identity.genesis,
            version: Version::CURRENT.version,
            stash: binding.map(|binding| binding.stash),
            endpoint: binding.and_then(|binding| binding.info.checked_endpoint()),
        }
    }
}

/// The committees of every enabled scheme.
#[derive(Serialize)]
pub(super) struct Committees {
    /// The finalized block that this is read from.
    block: BlockNumber,
    schemes: Vec<SchemeEntry>,
}

#[derive(Serialize)]
struct SchemeEntry {
    scheme: Scheme,
    #[serde(flatten)]
    state: State,
}

#[derive(Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
enum State {
    Absent,
    Generating(Attempting),
    Active(Holders),
    Resharing { from: Holders, to: Attempting },
}

#[derive(Serialize)]
struct Attempting {
    epoch: Epoch,
    attempt: u32,
    parties: Vec<PartyId>,
    threshold: u16,
    left_out: Vec<PartyId>,
    reported: Vec<PartyId>,
    started: BlockNumber,
    deadline: BlockNumber,
}

#[derive(Serialize)]
struct Holders {
    epoch: Epoch,
    attempt: u32,
    parties: Vec<PartyId>,
    threshold: u16,
    root_key: String,
    public_digest: Digest,
    since: BlockNumber,
}

impl Committees {
    pub(super) fn new(view: &ChainView) -> Self {
        Self {
            block: view.block,
            schemes: view.keys.iter().map(SchemeEntry::new).collect(),
        }
    }
}

impl SchemeEntry {
    fn new(entry: &SchemeState) -> Self {
        let state = match &entry.state {
            KeyState::Absent => State::Absent,
            KeyState::Generating(attempt) => State::Generating(Attempting::new(attempt)),
            KeyState::Active(key) => State::Active(Holders::new(key)),
            KeyState::Resharing { from, attempt } => State::Resharing {
                from: Holders::new(from),
                to: Attempting::new(attempt),
            },
        };
        Self {
            scheme: entry.scheme,
            state,
        }
    }
}

impl Attempting {
    fn new(attempt: &Attempt) -> Self {
        Self {
            epoch: attempt.epoch,
            attempt: attempt.attempt,
            parties: attempt.committee.parties().to_vec(),
            threshold: attempt.committee.threshold(),
            left_out: attempt.without().copied().collect(),
            reported: attempt.reports.iter().map(|report| report.party).collect(),
            started: attempt.started,
            deadline: attempt.deadline,
        }
    }
}

impl Holders {
    fn new(key: &ActiveKey) -> Self {
        Self {
            epoch: key.epoch,
            attempt: key.attempt,
            parties: key.committee.parties().to_vec(),
            threshold: key.committee.threshold(),
            root_key: key.root_key.to_string(),
            public_digest: key.public_digest,
            since: key.since,
        }
    }
}
