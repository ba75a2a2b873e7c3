//! What every protocol needs around its rounds, written once: party filter, envelope, early messages, duplicates, panics.
//!
//! The protocol behind it sees each message of its current round at most once for each sender, from parties of the
//! ceremony only. A panic while a message is handled blames its sender and ends this ceremony, never the process.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic::{AssertUnwindSafe, catch_unwind},
};

use entropy_shared::{CeremonyId, PartyId};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use crate::{
    ceremony::{Ceremony, Failure, Offence, Outbound, Step},
    evidence::Evidence,
    wire::{Envelope, WireError},
};

/// A protocol in rounds, numbered from 1. Every message belongs to one round; each sender sends at most one for each round.
pub(crate) trait Rounds: Send {
    type Output;

    /// The round whose messages are awaited. Never decreases, except that it is meaningless once there is an outcome.
    fn round(&self) -> u8;

    /// The last round there can be: what bounds the messages kept for later.
    fn last_round(&self) -> u8;

    /// Parties whose message of the current round is still to come; others' are out of place.
    fn awaited(&self) -> Vec<PartyId>;

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Self::Output>;

    /// Takes a message of the current round from a party that is awaited.
    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Self::Output>;

    /// Takes note of an offence of `from` that never became a message for this protocol: of `round`, or of none that could be read.
    ///
    /// Ends it, unless it can do without what `from` should have sent.
    fn refuse(
        &mut self,
        from: &PartyId,
        _round: Option<u8>,
        offence: Offence,
        _rng: &mut dyn CryptoRngCore,
    ) -> RoundStep<Self::Output> {
        RoundStep::failed(Failure::blaming(*from, offence))
    }

    /// Proof of offences that has come to light since the last call.
    fn take_evidence(&mut self) -> Vec<Evidence> {
        Vec::new()
    }

    /// Time is up for the current round: goes on without those awaited, or fails and names them.
    fn expire(&mut self, _rng: &mut dyn CryptoRngCore) -> RoundStep<Self::Output> {
        RoundStep::failed(Failure::silence(self.awaited()))
    }
}

/// Messages with their round, and how the protocol ended.
pub(crate) struct RoundStep<T> {
    pub(crate) outbound: Vec<RoundMessage>,
    pub(crate) outcome: Option<Result<T, Failure>>,
}

pub(crate) struct RoundMessage {
    pub(crate) to: PartyId,
    pub(crate) round: u8,
    pub(crate) body: Vec<u8>,
}

impl<T> RoundStep<T> {
    pub(crate) const fn idle() -> Self {
        Self {
            outbound: Vec::new(),
            outcome: None,
        }
    }

    pub(crate) fn failed(failure: Failure) -> Self {
        Self {
            outbound: Vec::new(),
            outcome: Some(Err(failure)),
        }
    }
}

/// A [`Ceremony`] made of [`Rounds`].
pub(crate) struct Guard<R> {
    id: CeremonyId,
    me: PartyId,
    parties: Vec<PartyId>,
    /// Dropped, and its secrets with it, as soon as there is an outcome.
    inner: Option<R>,
    /// What has come, by sender and round: delivered ones to know duplicates, early ones to deliver later.
    /// Bounded by parties, rounds and the length of a payload. A body may be a secret meant for us: erased when dropped.
    seen: BTreeMap<(u8, PartyId), Zeroizing<Vec<u8>>>,
    /// Whose message of a round the protocol went on without: should it come late, it is no offence.
    given_up: BTreeSet<(u8, PartyId)>,
    evidence: Vec<Evidence>,
}

impl<R: Rounds> Guard<R> {
    pub(crate) fn new(id: CeremonyId, me: PartyId, parties: Vec<PartyId>, inner: R) -> Self {
        Self {
            id,
            me,
            parties,
            inner: Some(inner),
            seen: BTreeMap::new(),
            given_up: BTreeSet::new(),
            evidence: Vec::new(),
        }
    }

    /// Runs one call of the protocol with panics contained, `culprit` being whose message it handles.
    fn contain(
        &mut self,
        culprit: Option<PartyId>,
        call: impl FnOnce(&mut R) -> RoundStep<R::Output>,
    ) -> RoundStep<R::Output> {
        let Some(inner) = self.inner.as_mut() else {
            return RoundStep::idle();
        };
        // The state may be broken after a panic; it is dropped below and never looked at again.
        let result = catch_unwind(AssertUnwindSafe(|| {
            let step = call(inner);
            (step, inner.take_evidence())
        }));
        let (step, evidence) = result.unwrap_or_else(|_| {
            let failed = RoundStep::failed(match culprit {
                Some(party) => Failure::blaming(party, Offence::Panic),
                None => Failure::unattributed("the library panicked without a message"),
            });
            (failed, Vec::new())
        });
        self.evidence.extend(evidence);
        if step.outcome.is_some() {
            self.close();
        }
        step
    }

    fn close(&mut self) {
        self.inner = None;
        self.seen.clear();
        self.given_up.clear();
    }

    /// Lets the protocol decide what an offence means.
    fn refuse(
        &mut self,
        from: &PartyId,
        round: Option<u8>,
        offence: Offence,
        rng: &mut dyn CryptoRngCore,
    ) -> Step<R::Output> {
        let step = self.contain(Some(*from), |inner| inner.refuse(from, round, offence, rng));
        self.deliver(step, rng)
    }

    fn fail(&mut self, party: PartyId, offence: Offence) -> Step<R::Output> {
        self.close();
        Step {
            outbound: Vec::new(),
            outcome: Some(Err(Failure::blaming(party, offence))),
        }
    }

    /// Delivers everything that the current round awaits and that has come already.
    fn deliver(
        &mut self,
        step: RoundStep<R::Output>,
        rng: &mut dyn CryptoRngCore,
    ) -> Step<R::Output> {
        let mut out = Step::idle();
        let mut step = step;
        loop {
            out.outbound
                .extend(step.outbound.into_iter().map(|message| Outbound {
                    to: message.to,
                    payload: Envelope::seal(self.id, message.round, message.body),
                }));
            if step.outcome.is_some() {
                out.outcome = step.outcome;
                return out;
            }
            let next = self.inner.as_ref().and_then(|inner| {
                let round = inner.round();
                let awaited = inner.awaited();
                awaited
                    .into_iter()
                    .find(|party| self.seen.contains_key(&(round, *party)))
                    .map(|party| (round, party))
            });
            let Some((round, from)) = next else {
                return out;
            };
            // An empty body stays behind: the key alone marks what was delivered, its hash is not needed as the round moves on.
            let body = self.seen.get(&(round, from)).cloned().unwrap_or_default();
            step = self.contain(Some(from), |inner| inner.receive(&from, &body, rng));
            if step.outcome.is_none()
                && self
                    .inner
                    .as_ref()
                    .is_some_and(|inner| inner.round() == round && inner.awaited().contains(&from))
            {
                // A protocol that awaits the same message again would be fed it for ever.
                return self.fail(from, Offence::Unexpected);
            }
        }
    }
}

impl<R: Rounds> Ceremony for Guard<R> {
    type Output = R::Output;

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> Step<R::Output> {
        let step = self.contain(None, |inner| inner.start(rng));
        self.deliver(step, rng)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        payload: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Step<R::Output> {
        let Some(inner) = self.inner.as_ref() else {
            return Step::idle();
        };
        // Strangers' frames change nothing.
        if *from == self.me || !self.parties.contains(from) {
            return Step::idle();
        }
        let last = inner.last_round();
        let (round, awaited) = (inner.round(), inner.awaited());
        let envelope = match Envelope::open(&self.id, payload) {
            Ok(envelope) => envelope,
            Err(error) => {
                let offence = match error {
                    WireError::Malformed => Offence::Malformed,
                    WireError::OtherCeremony => Offence::OtherCeremony,
                };
                return self.refuse(from, None, offence, rng);
            }
        };
        if envelope.round == 0 || envelope.round > last {
            return self.refuse(from, None, Offence::Unexpected, rng);
        }
        if let Some(earlier) = self.seen.get(&(envelope.round, *from)) {
            return if **earlier == envelope.body {
                Step::idle()
            } else {
                self.refuse(from, Some(envelope.round), Offence::Equivocation, rng)
            };
        }
        if self.given_up.contains(&(envelope.round, *from)) {
            return Step::idle();
        }
        if envelope.round < round || (envelope.round == round && !awaited.contains(from)) {
            return self.refuse(from, Some(envelope.round), Offence::Unexpected, rng);
        }
        self.seen
            .insert((envelope.round, *from), Zeroizing::new(envelope.body));
        self.deliver(RoundStep::idle(), rng)
    }

    fn expire(&mut self, rng: &mut dyn CryptoRngCore) -> Step<R::Output> {
        let before = self
            .inner
            .as_ref()
            .map(|inner| (inner.round(), inner.awaited()));
        let step = self.contain(None, |inner| inner.expire(rng));
        if let (Some((round, awaited)), Some(inner)) = (before, self.inner.as_ref()) {
            let waiting = inner.awaited();
            let left = |party: &PartyId| inner.round() != round || !waiting.contains(party);
            self.given_up
                .extend(awaited.into_iter().filter(left).map(|party| (round, party)));
        }
        self.deliver(step, rng)
    }

    fn evidence(&self) -> &[Evidence] {
        &self.evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha20Rng;

    const ID: CeremonyId = CeremonyId([1; 32]);
    const ME: PartyId = PartyId([0; 32]);
    const PEERS: [PartyId; 2] = [PartyId([1; 32]), PartyId([2; 32])];

    /// Two rounds, each awaiting a number from every peer; the output is what came, in order. Some numbers misbehave.
    struct Numbers {
        round: u8,
        awaited: Vec<PartyId>,
        heard: Vec<u8>,
    }

    /// Goes on from round 1 without those that are silent, and without any that a message of round 1 was refused of.
    struct Patient(Numbers);

    impl Rounds for Patient {
        type Output = Vec<u8>;

        fn round(&self) -> u8 {
            self.0.round()
        }

        fn last_round(&self) -> u8 {
            self.0.last_round()
        }

        fn awaited(&self) -> Vec<PartyId> {
            self.0.awaited()
        }

        fn start(&mut self, rng: &mut dyn CryptoRngCore) -> RoundStep<Vec<u8>> {
            self.0.start(rng)
        }

        fn receive(
            &mut self,
            from: &PartyId,
            body: &[u8],
            rng: &mut dyn CryptoRngCore,
        ) -> RoundStep<Vec<u8>> {
            self.0.receive(from, body, rng)
        }

        fn refuse(
            &mut self,
            from: &PartyId,
            round: Option<u8>,
            offence: Offence,
            _: &mut dyn CryptoRngCore,
        ) -> RoundStep<Vec<u8>> {
            if round == Some(1) {
                return RoundStep::idle();
            }
            RoundStep::failed(Failure::blaming(*from, offence))
        }

        fn expire(&mut self, _: &mut dyn CryptoRngCore) -> RoundStep<Vec<u8>> {
            if self.0.round == 2 {
                return RoundStep::failed(Failure::silence(self.awaited()));
            }
            self.0.round = 2;
            self.0.awaited = PEERS.to_vec();
            RoundStep::idle()
        }
    }

    fn patient() -> (Guard<Patient>, ChaCha20Rng) {
        let inner = Patient(Numbers {
            round: 1,
            awaited: Vec::new(),
            heard: Vec::new(),
        });
        let mut guard = Guard::new(ID, ME, [&[ME], &PEERS[..]].concat(), inner);
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        guard.start(&mut rng);
        (guard, rng)
    }

    #[test]
    fn what_the_protocol_went_on_without_may_come_late() {
        let (mut guard, mut rng) = patient();
        guard.receive(&PEERS[0], &message(1, 1), &mut rng);
        guard.receive(&PEERS[0], &message(2, 3), &mut rng);
        assert!(guard.expire(&mut rng).outcome.is_none(), "it goes on");
        let late = guard.receive(&PEERS[1], &message(1, 9), &mut rng);
        assert!(late.outcome.is_none(), "who was slow is not to blame");
        let step = guard.receive(&PEERS[1], &message(2, 4), &mut rng);
        assert_eq!(
            step.outcome,
            Some(Ok(vec![1, 3, 4])),
            "what came early counts"
        );
    }

    #[test]
    fn a_protocol_may_do_without_what_is_refused() {
        let (mut guard, mut rng) = patient();
        guard.receive(&PEERS[0], &message(1, 1), &mut rng);
        let second = guard.receive(&PEERS[0], &message(1, 2), &mut rng);
        assert!(second.outcome.is_none());
        let step = guard.receive(&PEERS[0], &[], &mut rng);
        let blamed = Failure::blaming(PEERS[0], Offence::Malformed);
        assert_eq!(failure(step), blamed, "but need not");
    }

    #[test]
    fn time_that_is_up_again_names_who_is_awaited_then() {
        let (mut guard, mut rng) = patient();
        guard.expire(&mut rng);
        assert_eq!(expired_silent(guard.expire(&mut rng)), PEERS.to_vec());
    }

    fn expired_silent(step: Step<Vec<u8>>) -> Vec<PartyId> {
        failure(step).blame.iter().map(|it| it.party).collect()
    }

    const PANIC: u8 = 66;
    const FORGET: u8 = 67;

    impl Rounds for Numbers {
        type Output = Vec<u8>;

        fn round(&self) -> u8 {
            self.round
        }

        fn last_round(&self) -> u8 {
            2
        }

        fn awaited(&self) -> Vec<PartyId> {
            self.awaited.clone()
        }

        fn start(&mut self, _: &mut dyn CryptoRngCore) -> RoundStep<Vec<u8>> {
            assert!(
                self.awaited.is_empty(),
                "a protocol that panics as it starts"
            );
            self.awaited = PEERS.to_vec();
            let to = PEERS[0];
            RoundStep {
                outbound: vec![RoundMessage {
                    to,
                    round: 1,
                    body: vec![5],
                }],
                outcome: None,
            }
        }

        fn receive(
            &mut self,
            from: &PartyId,
            body: &[u8],
            _: &mut dyn CryptoRngCore,
        ) -> RoundStep<Vec<u8>> {
            match body[0] {
                PANIC => panic!("a library's panic"),
                FORGET => return RoundStep::idle(),
                number => self.heard.push(number),
            }
            self.awaited.retain(|party| party != from);
            if !self.awaited.is_empty() {
                return RoundStep::idle();
            }
            if self.round == 2 {
                return RoundStep {
                    outbound: Vec::new(),
                    outcome: Some(Ok(self.heard.clone())),
                };
            }
            self.round = 2;
            self.awaited = PEERS.to_vec();
            RoundStep::idle()
        }
    }

    fn guard() -> Guard<Numbers> {
        let inner = Numbers {
            round: 1,
            awaited: Vec::new(),
            heard: Vec::new(),
        };
        Guard::new(ID, ME, [&[ME], &PEERS[..]].concat(), inner)
    }

    fn expired(guard: &mut Guard<Numbers>, rng: &mut ChaCha20Rng) -> Option<Failure> {
        guard
            .expire(rng)
            .outcome
            .map(|outcome| outcome.unwrap_err())
    }

    fn started() -> (Guard<Numbers>, ChaCha20Rng) {
        let (mut guard, mut rng) = (guard(), ChaCha20Rng::seed_from_u64(1));
        let step = guard.start(&mut rng);
        assert_eq!(
            step.outbound,
            vec![Outbound {
                to: PEERS[0],
                payload: Envelope::seal(ID, 1, vec![5])
            }]
        );
        (guard, rng)
    }

    fn message(round: u8, number: u8) -> Vec<u8> {
        Envelope::seal(ID, round, vec![number])
    }

    fn failure(step: Step<Vec<u8>>) -> Failure {
        step.outcome.expect("it is over").expect_err("it failed")
    }

    #[test]
    fn messages_may_come_early_and_twice() {
        let (mut guard, mut rng) = started();
        for (from, payload) in [
            (PEERS[1], message(2, 4)),
            (PEERS[0], message(1, 1)),
            (PEERS[0], message(1, 1)),
            (PEERS[1], message(2, 4)),
            (PEERS[0], message(2, 3)),
        ] {
            assert!(guard.receive(&from, &payload, &mut rng).outcome.is_none());
        }
        let step = guard.receive(&PEERS[1], &message(1, 2), &mut rng);
        assert_eq!(step.outcome, Some(Ok(vec![1, 2, 3, 4])));
        let after = guard.receive(&PEERS[1], &message(1, 9), &mut rng);
        assert!(
            after.outcome.is_none() && after.outbound.is_empty(),
            "what is over stays over"
        );
    }

    #[test]
    fn a_panic_blames_the_sender_and_ends_only_this_ceremony() {
        let (mut guard, mut rng) = started();
        let step = guard.receive(&PEERS[1], &message(1, PANIC), &mut rng);
        assert_eq!(failure(step), Failure::blaming(PEERS[1], Offence::Panic));
        assert!(
            guard.inner.is_none() && guard.seen.is_empty(),
            "its state is gone"
        );
        assert!(
            guard
                .receive(&PEERS[0], &message(1, 1), &mut rng)
                .outcome
                .is_none()
        );
    }

    #[test]
    fn a_panic_over_an_early_message_blames_who_sent_that() {
        let (mut guard, mut rng) = started();
        guard.receive(&PEERS[0], &message(2, PANIC), &mut rng);
        guard.receive(&PEERS[0], &message(1, 1), &mut rng);
        let step = guard.receive(&PEERS[1], &message(1, 2), &mut rng);
        assert_eq!(failure(step), Failure::blaming(PEERS[0], Offence::Panic));
    }

    #[test]
    fn a_panic_without_a_message_blames_nobody() {
        let (mut guard, mut rng) = started();
        let failure = failure(guard.start(&mut rng));
        assert!(failure.blame.is_empty(), "{failure}");
    }

    #[test]
    fn offences_of_the_envelope_are_the_senders() {
        for (payload, offence) in [
            (vec![], Offence::Malformed),
            (vec![0; crate::MAX_PAYLOAD_BYTES + 1], Offence::Malformed),
            (
                Envelope::seal(CeremonyId([2; 32]), 1, vec![1]),
                Offence::OtherCeremony,
            ),
            (message(0, 1), Offence::Unexpected),
            (message(3, 1), Offence::Unexpected),
        ] {
            let (mut guard, mut rng) = started();
            let step = guard.receive(&PEERS[0], &payload, &mut rng);
            assert_eq!(failure(step), Failure::blaming(PEERS[0], offence));
        }
    }

    #[test]
    fn another_message_for_the_same_round_is_equivocation() {
        for round in [1, 2] {
            let (mut guard, mut rng) = started();
            assert!(
                guard
                    .receive(&PEERS[0], &message(round, 1), &mut rng)
                    .outcome
                    .is_none()
            );
            let step = guard.receive(&PEERS[0], &message(round, 2), &mut rng);
            assert_eq!(
                failure(step),
                Failure::blaming(PEERS[0], Offence::Equivocation)
            );
        }
    }

    #[test]
    fn strangers_and_our_own_name_change_nothing() {
        let (mut guard, mut rng) = started();
        for from in [ME, PartyId([9; 32])] {
            let step = guard.receive(&from, &[1, 2, 3], &mut rng);
            assert!(step.outcome.is_none() && step.outbound.is_empty());
        }
        assert_eq!(expired(&mut guard, &mut rng).unwrap().blame.len(), 2);
    }

    #[test]
    fn expiry_names_who_is_awaited() {
        let (mut guard, mut rng) = started();
        guard.receive(&PEERS[0], &message(1, 1), &mut rng);
        guard.receive(&PEERS[0], &message(2, 1), &mut rng);
        assert_eq!(
            expired(&mut guard, &mut rng),
            Some(Failure::silence([PEERS[1]]))
        );
        assert_eq!(expired(&mut guard, &mut rng), None, "and is the end");
    }

    #[test]
    fn a_protocol_that_awaits_the_same_message_again_ends() {
        let (mut guard, mut rng) = started();
        let step = guard.receive(&PEERS[0], &message(1, FORGET), &mut rng);
        assert_eq!(
            failure(step),
            Failure::blaming(PEERS[0], Offence::Unexpected)
        );
    }
}
