//! The interface of a joint computation, and how one fails.

use entropy_shared::PartyId;
use rand_core::CryptoRngCore;
use std::fmt;

use crate::evidence::Evidence;

/// One party's side of one attempt at a joint computation. Holds no socket, clock or randomness: messages in, [`Step`]s out.
///
/// Once a step has an outcome, further calls do nothing. No call panics, whatever peers send.
pub trait Ceremony: Send {
    /// What a successful ceremony gives.
    type Output;

    /// Begins; called once, before anything else.
    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> Step<Self::Output>;

    /// Takes a message whose sender `from` the transport has authenticated. Messages may come early, late, or twice.
    fn receive(
        &mut self,
        from: &PartyId,
        payload: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Step<Self::Output>;

    /// The time of the present round is up.
    ///
    /// A ceremony that can do without those still awaited goes on, and must be given time again; else it fails and names
    /// them. It never goes on more often than it has rounds.
    fn expire(&mut self, rng: &mut dyn CryptoRngCore) -> Step<Self::Output>;

    /// Proof of offences that has come to light so far, whether or not they ended the ceremony; none where the protocol has none.
    ///
    /// Still here once the ceremony is over.
    fn evidence(&self) -> &[Evidence] {
        &[]
    }
}

/// A message to one peer, which the transport must keep secret from all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Its recipient.
    pub to: PartyId,
    /// Its bytes, at most [`crate::MAX_PAYLOAD_BYTES`].
    pub payload: Vec<u8>,
}

/// What to send and, if it is over, how it ended. Sending comes first.
pub struct Step<T> {
    /// To be sent, in order.
    pub outbound: Vec<Outbound>,
    /// How the ceremony ended; `None` while it goes on.
    pub outcome: Option<Result<T, Failure>>,
}

impl<T> Step<T> {
    /// Nothing to send, not over.
    pub const fn idle() -> Self {
        Self {
            outbound: Vec::new(),
            outcome: None,
        }
    }
}

impl<T> fmt::Debug for Step<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The output may be a secret, and so may a payload.
        let outcome = self
            .outcome
            .as_ref()
            .map(|outcome| outcome.as_ref().map(|_| "done"));
        f.debug_struct("Step")
            .field("outbound", &self.outbound.len())
            .field("outcome", &outcome)
            .finish()
    }
}

/// What a party did wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Offence {
    /// A message that was awaited did not come in time.
    Silent,
    /// Bytes that are no message of this protocol, or not in their canonical form.
    Malformed,
    /// A message of another ceremony or protocol version.
    OtherCeremony,
    /// A message that the protocol does not let this party send.
    Unexpected,
    /// Two different messages where the protocol has one.
    Equivocation,
    /// A proof that does not verify.
    FailedProof,
    /// A share, of a key or of a signature, that does not fit its public counterpart.
    BadShare,
    /// A message that made the library panic.
    Panic,
    /// A check of DKLs23's multiplication failed: may never sign together with the reporter again under this share.
    ///
    /// Whoever gets this must have its share remember it ([`crate::KeyShare::ban`]), and store the share, before it answers anyone.
    Banned,
}

impl fmt::Display for Offence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "was silent",
            Self::Malformed => "sent a malformed message",
            Self::OtherCeremony => "sent a message of another ceremony",
            Self::Unexpected => "sent a message out of place",
            Self::Equivocation => "sent two different messages for one",
            Self::FailedProof => "sent a proof that does not verify",
            Self::BadShare => "sent a share that does not fit",
            Self::Panic => "sent a message that made the library panic",
            Self::Banned => "failed a check of the multiplication and is banned",
        })
    }
}

/// An accusation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blame {
    /// The accused.
    pub party: PartyId,
    /// What it did.
    pub offence: Offence,
}

/// Why a ceremony gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Whom it blames; empty if the fault cannot be attributed.
    pub blame: Vec<Blame>,
    /// What went wrong, for an operator. Holds no secret.
    pub reason: String,
}

impl Failure {
    /// One party's fault.
    pub fn blaming(party: PartyId, offence: Offence) -> Self {
        Self {
            blame: vec![Blame { party, offence }],
            reason: format!("{party} {offence}"),
        }
    }

    /// A fault that nobody can be blamed for.
    pub fn unattributed(reason: impl Into<String>) -> Self {
        Self {
            blame: Vec::new(),
            reason: reason.into(),
        }
    }

    /// Time is up, and these were still awaited.
    pub fn silence(awaited: impl IntoIterator<Item = PartyId>) -> Self {
        let blame: Vec<_> = awaited
            .into_iter()
            .map(|party| Blame {
                party,
                offence: Offence::Silent,
            })
            .collect();
        let reason = format!("time is up, awaiting {} of the parties", blame.len());
        Self { blame, reason }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Failure {}
