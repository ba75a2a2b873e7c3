//! One run of a protocol of synedrion's on manul, seen as numbered rounds: manul's echo rounds are rounds like the others.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, PartyId, tagged_hash};
use manul::{
    protocol::{EntryPoint, Protocol},
    session::{
        CanFinalize, LocalError, Message, PreprocessOutcome, RoundAccumulator, RoundOutcome,
        SessionId, SessionReport, WireFormat,
    },
};
use rand_core::CryptoRngCore;

use super::wire::{Node, NodeSigner, Parameters, Postcard, decode_canonical, echo_broadcast};
use crate::{
    ceremony::{Blame, Failure, Offence},
    guard::RoundMessage,
};

/// What a session needs to know of its ceremony.
pub(super) struct Setting<'a> {
    pub(super) ceremony: CeremonyId,
    /// Tells the sessions of one ceremony apart.
    pub(super) label: &'static str,
    pub(super) account: &'a SigningKey,
    /// All the others; every round of synedrion's is all to all.
    pub(super) others: &'a BTreeSet<PartyId>,
    /// The number of the session's first round among the ceremony's.
    pub(super) first_round: u8,
    /// Where honest parties may part ways, if they can.
    pub(super) fork: Option<Fork>,
    /// What the library forgets to check on receipt: whether an echo broadcast of this round may pass.
    pub(super) accepts: fn(u8, &[u8]) -> bool,
}

/// A round that the library may enter on another path, to find out who cheated.
///
/// We do not follow it there: the proofs of that path take half a megabyte for each signer, and find nobody if the cheater
/// stays on the common path or has shown different things to different parties. A party that would leave stops instead,
/// and tells the others by an empty message of this round, so that nobody waits for it or blames it.
#[derive(Clone, Copy)]
pub(super) struct Fork {
    pub(super) round: u8,
    /// The library's number of this round on the common path.
    pub(super) common: u8,
}

/// What a call gave: messages of the next round, or how it ended; messages go out first.
pub(super) struct Progress<T> {
    pub(super) outbound: Vec<RoundMessage>,
    pub(super) result: Option<Result<T, Failure>>,
}

/// A running session.
pub(super) struct Session<P: Protocol<Node>> {
    me: PartyId,
    others: BTreeSet<PartyId>,
    awaited: BTreeSet<PartyId>,
    round: u8,
    fork: Option<Fork>,
    accepts: fn(u8, &[u8]) -> bool,
    /// Nothing only while a round ends, and after a failure.
    running: Option<Running<P>>,
}

type Running<P> = (
    manul::session::Session<P, Parameters>,
    RoundAccumulator<P, Parameters>,
);

impl<P: Protocol<Node>> Session<P> {
    /// Begins the session; gives the messages of its first round.
    pub(super) fn start<E: EntryPoint<Node, Protocol = P>>(
        setting: &Setting<'_>,
        entry: E,
        mut rng: &mut dyn CryptoRngCore,
    ) -> Result<(Self, Vec<RoundMessage>), Failure> {
        // The library binds parties and parameters to the session id, but not the ceremony: the id has to.
        let seed = tagged_hash(
            "entropy/cggmp/session/v1",
            &(setting.ceremony, setting.label),
        );
        let id = SessionId::from_seed::<Parameters>(&seed);
        let signer = NodeSigner(setting.account.clone());
        let session = contained(|| manul::session::Session::new(&mut rng, id, signer, entry))?;
        let mut this = Self {
            me: PartyId::from(session.verifier()),
            others: setting.others.clone(),
            awaited: BTreeSet::new(),
            round: setting.first_round,
            fork: setting.fork,
            accepts: setting.accepts,
            running: None,
        };
        let outbound = this.enter(session, rng)?;
        Ok((this, outbound))
    }

    /// The number of the current round.
    pub(super) fn round(&self) -> u8 {
        self.round
    }

    /// Whose message of the current round is still to come.
    pub(super) fn awaited(&self) -> Vec<PartyId> {
        self.awaited.iter().copied().collect()
    }

    /// Takes the message of the current round of an awaited party.
    ///
    /// Panics if the library does so over this very message; what it does at the end of a round is contained here,
    /// as the last to send is not to blame for it.
    pub(super) fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<Progress<P::Result>, Failure> {
        let idle = Progress {
            outbound: Vec::new(),
            result: None,
        };
        if !self.awaited.remove(from) {
            return Ok(idle);
        }
        let Some((session, mut accumulator)) = self.running.take() else {
            return Ok(idle);
        };
        if body.is_empty() && self.fork_here().is_some() {
            return Err(Failure::unattributed(
                "a party found that what it was sent does not add up",
            ));
        }
        let Some(message) = decode_canonical::<Message<Node>>(body) else {
            return Err(Failure::blaming(*from, Offence::Malformed));
        };
        // The library neither signs nor looks at the recipient.
        if PartyId::from(*message.destination()) != self.me {
            return Err(Failure::blaming(*from, Offence::Unexpected));
        }
        if echo_broadcast(body).is_some_and(|broadcast| !(self.accepts)(self.round, broadcast)) {
            return Err(Failure::blaming(*from, Offence::Malformed));
        }
        let preprocessed = session
            .preprocess_message(&mut accumulator, &Node::from(*from), message)
            .map_err(|error| local(&error))?;
        let verified = match preprocessed {
            PreprocessOutcome::ToProcess(verified) => *verified,
            PreprocessOutcome::Cached => return Err(Failure::blaming(*from, Offence::Unexpected)),
            PreprocessOutcome::Error(_) => return Err(Failure::blaming(*from, Offence::Malformed)),
        };
        let processed = session.process_message(verified);
        session
            .add_processed_message(&mut accumulator, processed)
            .map_err(|error| local(&error))?;
        match session.can_finalize(&accumulator) {
            CanFinalize::NotYet => {
                self.running = Some((session, accumulator));
                Ok(idle)
            }
            CanFinalize::Never => {
                let report = contained(|| session.terminate_due_to_errors(accumulator))?;
                Err(blame(&report))
            }
            CanFinalize::Yes => self.end_round(session, accumulator, rng),
        }
    }

    fn end_round(
        &mut self,
        session: manul::session::Session<P, Parameters>,
        accumulator: RoundAccumulator<P, Parameters>,
        mut rng: &mut dyn CryptoRngCore,
    ) -> Result<Progress<P::Result>, Failure> {
        self.round += 1;
        let stop = |failure| Progress {
            outbound: self.stop_messages(),
            result: Some(Err(failure)),
        };
        match contained(|| session.finalize_round(&mut rng, accumulator)) {
            Ok(RoundOutcome::Finished(report)) => match report.result() {
                Some(result) => Ok(Progress {
                    outbound: Vec::new(),
                    result: Some(Ok(result)),
                }),
                None => Err(Failure::unattributed("the library ended without a result")),
            },
            // Nothing is cached: the guard keeps what comes early.
            Ok(RoundOutcome::AnotherRound {
                session,
                cached_messages: _,
            }) => match self.fork_here() {
                Some(fork) if session.round_id() != fork.common => Ok(stop(Failure::unattributed(
                    "what the parties sent does not add up",
                ))),
                _ => Ok(Progress {
                    outbound: self.enter(session, rng)?,
                    result: None,
                }),
            },
            Err(failure) => Ok(stop(failure)),
        }
    }

    /// The fork, if this is its round.
    fn fork_here(&self) -> Option<Fork> {
        self.fork.filter(|fork| fork.round == self.round)
    }

    /// Tells all others that we stop, if this is where they understand it.
    fn stop_messages(&self) -> Vec<RoundMessage> {
        let message = |to: &PartyId| RoundMessage {
            to: *to,
            round: self.round,
            body: Vec::new(),
        };
        self.fork_here()
            .map(|_| self.others.iter().map(message).collect())
            .unwrap_or_default()
    }

    /// Makes the messages of a new round.
    fn enter(
        &mut self,
        session: manul::session::Session<P, Parameters>,
        mut rng: &mut dyn CryptoRngCore,
    ) -> Result<Vec<RoundMessage>, Failure> {
        let mut accumulator = session.make_accumulator();
        let destinations: BTreeSet<_> = session
            .message_destinations()
            .iter()
            .copied()
            .map(PartyId::from)
            .collect();
        if destinations != self.others {
            return Err(Failure::unattributed(
                "the library does not send to all others, as all its rounds should",
            ));
        }
        let outbound = contained(|| {
            destinations
                .iter()
                .map(|to| {
                    let (message, artifact) = session.make_message(&mut rng, &Node::from(*to))?;
                    session.add_artifact(&mut accumulator, artifact)?;
                    let body = Postcard::serialize(message)?.into_vec();
                    Ok(RoundMessage {
                        to: *to,
                        round: self.round,
                        body,
                    })
                })
                .collect()
        })?;
        self.awaited = destinations;
        self.running = Some((session, accumulator));
        Ok(outbound)
    }
}

/// Runs what nobody's message is to blame for, with panics contained.
pub(super) fn contained<T>(call: impl FnOnce() -> Result<T, LocalError>) -> Result<T, Failure> {
    // What the call has borrowed is dropped with the failed ceremony and never looked at again.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(result) => result.map_err(|error| local(&error)),
        Err(_) => Err(Failure::unattributed(
            "the library panicked between messages",
        )),
    }
}

fn local(error: &LocalError) -> Failure {
    Failure::unattributed(format!("the library failed: {error}"))
}

/// Who is to blame for a round that cannot end. Each party is blamed once, for the worst that is known.
fn blame<P: Protocol<Node>>(report: &SessionReport<P, Parameters>) -> Failure {
    let mut blamed = BTreeMap::new();
    for sender in report.unprovable_errors.keys() {
        blamed.insert(PartyId::from(*sender), Offence::Malformed);
    }
    for (sender, evidence) in &report.provable_errors {
        // The map's key is who sent the message that showed it: an honest echo, if somebody else sent two versions.
        let guilty = evidence.guilty_party();
        let offence = if guilty != sender {
            Offence::Equivocation
        } else if evidence.description().starts_with("Protocol error") {
            Offence::FailedProof
        } else {
            Offence::Malformed
        };
        blamed.insert(PartyId::from(*guilty), offence);
    }
    let reasons: Vec<_> = blamed
        .iter()
        .map(|(party, offence)| format!("{party} {offence}"))
        .collect();
    let details = report
        .provable_errors
        .values()
        .map(|evidence| evidence.description().to_owned());
    let reason = reasons
        .into_iter()
        .chain(details)
        .collect::<Vec<_>>()
        .join("; ");
    Failure {
        blame: blamed
            .into_iter()
            .map(|(party, offence)| Blame { party, offence })
            .collect(),
        reason,
    }
}
