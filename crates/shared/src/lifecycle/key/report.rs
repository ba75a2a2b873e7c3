//! What a server tells the chain about its part in an attempt, and why the chain may refuse to count it.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::fmt;
use scale_info::TypeInfo;

use crate::{
    Epoch,
    canonical::proof_digest,
    committee::parties_max_encoded_len,
    derivation::{DerivationPath, TaprootTweak, derive},
    ids::{Digest, Genesis, KeyId, PartyId},
    scheme::Scheme,
    signature::{Signature, VerifyingKey},
};

/// What the chain keeps of a report.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct Reported {
    /// Who reported.
    pub party: PartyId,
    /// The result, or `None` for a failure.
    pub result: Option<AttemptResult>,
    /// Whom it accuses, if it failed.
    pub accused: Vec<PartyId>,
    /// Whom it awaited in vain, if it failed.
    pub missed: Vec<PartyId>,
}

/// What the holders must agree on.
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
)]
pub struct AttemptResult {
    /// Digest of the public package.
    pub public_digest: Digest,
    /// The root key in it.
    pub root_key: VerifyingKey,
}

/// What a server tells the chain about its part in an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct AttemptReport {
    /// The server that reports.
    pub server: PartyId,
    /// The scheme of the key.
    pub scheme: Scheme,
    /// The epoch of the attempt.
    pub epoch: Epoch,
    /// The number of the attempt.
    pub attempt: u32,
    /// How it ended for this server.
    pub outcome: AttemptOutcome,
}

/// How an attempt ended for one server.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub enum AttemptOutcome {
    /// It holds a flushed share and has taken part in a proof.
    Ready {
        /// What it holds a share of.
        result: AttemptResult,
        /// The signature over [`proof_digest`] that it took part in.
        proof: Signature,
    },
    /// It holds nothing.
    Failed {
        /// Whose fault it saw itself; without proof, so that one accuser alone excludes nobody.
        accused: Vec<PartyId>,
        /// Whom it still awaited. They may have stopped because of another's fault, and then say so themselves.
        missed: Vec<PartyId>,
    },
}

impl AttemptReport {
    /// Whether it reports a share rather than a failure.
    pub const fn is_ready(&self) -> bool {
        matches!(self.outcome, AttemptOutcome::Ready { .. })
    }
}

/// Why a report does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportError {
    /// It speaks of an attempt that the chain has not begun, as far as this block knows: it may come true.
    Future,
    /// It speaks of an attempt that has ended, or its deadline is over.
    Obsolete,
    /// The server is not a party of the attempt.
    NotAParty,
    /// The server has reported already.
    Repeated,
    /// It names the server itself, somebody outside of the ceremony, or anybody twice.
    BadAccusation,
    /// The key in it is not the one whose shares are dealt anew.
    WrongKey,
    /// The proof does not verify.
    BadProof,
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Future => "the attempt has not begun",
            Self::Obsolete => "the attempt has ended",
            Self::NotAParty => "the server is not a party of the attempt",
            Self::Repeated => "the server has reported already",
            Self::BadAccusation => "it names itself, an outsider, or somebody twice",
            Self::WrongKey => "the key is not the one whose shares are dealt anew",
            Self::BadProof => "the proof does not verify",
        })
    }
}

impl core::error::Error for ReportError {}

/// Whether `proof` is the signature over [`proof_digest`] under the reserved child of the root key in `result`.
pub(super) fn check_proof(
    genesis: &Genesis,
    report: &AttemptReport,
    result: &AttemptResult,
    proof: &Signature,
) -> Result<(), ReportError> {
    let key = KeyId::of_proof(genesis, report.scheme);
    let digest = proof_digest(
        genesis,
        report.scheme,
        report.epoch,
        report.attempt,
        &result.public_digest,
    );
    derive(
        report.scheme,
        &result.root_key,
        &key,
        &DerivationPath::default(),
    )
    .and_then(|derived| derived.final_key(report.scheme, &TaprootTweak::None))
    .map_err(|_| ReportError::BadProof)
    .and_then(|key| {
        proof
            .verify(&key, &digest.0)
            .map_err(|_| ReportError::BadProof)
    })
}

impl MaxEncodedLen for Reported {
    fn max_encoded_len() -> usize {
        PartyId::max_encoded_len()
            + Option::<AttemptResult>::max_encoded_len()
            + 2 * parties_max_encoded_len()
    }
}
