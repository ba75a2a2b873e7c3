//! A whole committee in one thread: every party's ceremony, the network between them, one seed for both.
//!
//! The network can shuffle, delay and duplicate, silence a party, and replace what one sends. It knows the envelope, which
//! the library keeps to itself, so that a test can play a cheater who speaks the protocol.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::OnceLock,
};

use codec::{Decode, DecodeAll, Encode};
use ed25519_dalek::SigningKey;
use entropy_protocol::{
    Blame, Ceremony, Evidence, Failure, KeyShare, KeygenContext, Offence, ReshareContext,
    SigningContext, Step, Subject, keygen, reshare, sign,
};
use entropy_shared::{
    Committee, DerivationPath, Digest, Genesis, KeyId, PartyId, PublicPackage, RequestId, Scheme,
    Signature, TaprootTweak, derivation,
};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha20Rng;

/// A ceremony of one party.
pub(crate) type Running<T> = Box<dyn Ceremony<Output = T>>;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) from: PartyId,
    pub(crate) to: PartyId,
    pub(crate) payload: Vec<u8>,
}

/// The envelope, written down a second time: the golden tests hold the two together.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Frame {
    pub(crate) version: u16,
    pub(crate) ceremony: [u8; 32],
    pub(crate) round: u8,
    pub(crate) body: Vec<u8>,
}

impl Packet {
    pub(crate) fn frame(&self) -> Frame {
        Frame::decode_all(&mut &self.payload[..]).expect("honest parties send frames")
    }

    pub(crate) fn round(&self) -> u8 {
        self.frame().round
    }

    /// The same message with another body.
    pub(crate) fn with_body(&self, body: Vec<u8>) -> Self {
        Self {
            payload: Frame {
                body,
                ..self.frame()
            }
            .encode(),
            ..self.clone()
        }
    }

    /// The same message with its body edited.
    pub(crate) fn edited(&self, edit: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut body = self.frame().body;
        edit(&mut body);
        self.with_body(body)
    }
}

/// The network of one run.
pub(crate) struct Network {
    seed: u64,
    chaotic: bool,
    silent: BTreeSet<PartyId>,
    tamper: Box<dyn FnMut(Packet) -> Vec<Packet>>,
}

/// How a run ended.
pub(crate) struct Run<T> {
    /// Of every party that was not silenced; those still waiting when nothing was left to deliver have expired.
    pub(crate) outcomes: BTreeMap<PartyId, Result<T, Failure>>,
    /// What honest code sent, in order, before anything was done to it.
    pub(crate) transcript: Vec<Packet>,
    /// What came to light at each party.
    pub(crate) evidence: BTreeMap<PartyId, Vec<Evidence>>,
}

impl Network {
    /// Delivers in the order of sending.
    pub(crate) fn orderly(seed: u64) -> Self {
        Self {
            seed,
            chaotic: false,
            silent: BTreeSet::new(),
            tamper: Box::new(|packet| vec![packet]),
        }
    }

    /// Delivers in any order, many messages twice, some much later.
    pub(crate) fn chaotic(seed: u64) -> Self {
        Self {
            chaotic: true,
            ..Self::orderly(seed)
        }
    }

    /// Nothing that `party` sends arrives.
    pub(crate) fn silence(mut self, party: PartyId) -> Self {
        self.silent.insert(party);
        self
    }

    /// Replaces each message by those that `tamper` gives.
    pub(crate) fn tamper(mut self, tamper: impl FnMut(Packet) -> Vec<Packet> + 'static) -> Self {
        self.tamper = Box::new(tamper);
        self
    }

    /// Replaces what `party` sends in `round`.
    pub(crate) fn cheat(
        self,
        party: PartyId,
        round: u8,
        mut replace: impl FnMut(&Packet) -> Packet + 'static,
    ) -> Self {
        self.tamper(move |packet| {
            if packet.from == party && packet.round() == round {
                vec![replace(&packet)]
            } else {
                vec![packet]
            }
        })
    }

    /// Runs until all ceremonies have ended: whenever there is nothing left to deliver, the time of every round is up.
    pub(crate) fn run<T>(mut self, parties: Vec<(PartyId, Running<T>)>) -> Run<T> {
        println!("simulator seed {}", self.seed);
        let mut order = ChaCha20Rng::seed_from_u64(self.seed);
        let mut rngs: BTreeMap<_, _> = parties
            .iter()
            .map(|(party, _)| {
                (
                    *party,
                    ChaCha20Rng::from_rng(&mut order).expect("never fails"),
                )
            })
            .collect();
        let mut parties: BTreeMap<_, _> = parties.into_iter().collect();
        let mut run = Run {
            outcomes: BTreeMap::new(),
            transcript: Vec::new(),
            evidence: BTreeMap::new(),
        };
        let mut queue = Vec::new();
        for (party, ceremony) in &mut parties {
            let step = ceremony.start(rngs.get_mut(party).expect("every party has one"));
            self.settle(&mut run, &mut queue, *party, step);
        }
        loop {
            if queue.is_empty() {
                let waiting: Vec<_> = parties
                    .keys()
                    .filter(|party| !run.outcomes.contains_key(party))
                    .copied()
                    .collect();
                if waiting.is_empty() {
                    break;
                }
                for party in waiting {
                    let ceremony = parties.get_mut(&party).expect("taken from its keys");
                    let step = ceremony.expire(rngs.get_mut(&party).expect("every party has one"));
                    self.settle(&mut run, &mut queue, party, step);
                }
                continue;
            }
            let next = if self.chaotic {
                order.gen_range(0..queue.len())
            } else {
                0
            };
            let packet: Packet = if self.chaotic && order.gen_bool(0.25) {
                queue[next].clone()
            } else {
                queue.remove(next)
            };
            let Some(ceremony) = parties.get_mut(&packet.to) else {
                continue;
            };
            let rng = rngs.get_mut(&packet.to).expect("every party has one");
            let step = ceremony.receive(&packet.from, &packet.payload, rng);
            self.settle(&mut run, &mut queue, packet.to, step);
        }
        let evidence =
            |(party, ceremony): (&PartyId, &Running<T>)| (*party, ceremony.evidence().to_vec());
        run.evidence = parties.iter().map(evidence).collect();
        self.silent
            .iter()
            .for_each(|party| drop(run.outcomes.remove(party)));
        run
    }

    fn settle<T>(
        &mut self,
        run: &mut Run<T>,
        queue: &mut Vec<Packet>,
        party: PartyId,
        step: Step<T>,
    ) {
        if run.outcomes.contains_key(&party) {
            assert!(
                step.outbound.is_empty() && step.outcome.is_none(),
                "a ceremony that is over does nothing"
            );
        }
        for message in step.outbound {
            let packet = Packet {
                from: party,
                to: message.to,
                payload: message.payload,
            };
            run.transcript.push(packet.clone());
            if !self.silent.contains(&party) {
                queue.extend((self.tamper)(packet));
            }
        }
        if let Some(outcome) = step.outcome {
            run.outcomes.insert(party, outcome);
        }
    }
}

impl<T> Run<T> {
    /// Everyone's output.
    pub(crate) fn outputs(self) -> BTreeMap<PartyId, T> {
        let output = |(party, outcome): (PartyId, Result<T, Failure>)| match outcome {
            Ok(output) => (party, output),
            Err(failure) => panic!("{party} failed: {failure}"),
        };
        self.outcomes.into_iter().map(output).collect()
    }

    /// Why `party` failed.
    pub(crate) fn failure(&self, party: &PartyId) -> &Failure {
        match &self.outcomes[party] {
            Ok(_) => panic!("{party} did not fail"),
            Err(failure) => failure,
        }
    }

    /// Asserts that everyone but `culprit` blames exactly it, for this.
    pub(crate) fn assert_all_blame(&self, culprit: PartyId, offence: Offence) {
        for party in self.outcomes.keys().filter(|party| **party != culprit) {
            self.assert_blames(party, culprit, offence);
        }
    }

    /// Asserts that `party` blames exactly `culprit`, for this.
    pub(crate) fn assert_blames(&self, party: &PartyId, culprit: PartyId, offence: Offence) {
        let failure = self.failure(party);
        assert_eq!(
            failure.blame,
            vec![Blame {
                party: culprit,
                offence
            }],
            "{party}: {failure}"
        );
    }
}

/// The accounts of `n` servers.
pub(crate) fn accounts(n: u16) -> BTreeMap<PartyId, SigningKey> {
    let account = |number: u16| {
        let mut secret = [7; 32];
        secret[..2].copy_from_slice(&number.to_be_bytes());
        let key = SigningKey::from_bytes(&secret);
        (PartyId(key.verifying_key().to_bytes()), key)
    };
    (0..n).map(account).collect()
}

/// The key of any server that a test knows.
pub(crate) fn account(party: &PartyId) -> &'static SigningKey {
    static ACCOUNTS: OnceLock<BTreeMap<PartyId, SigningKey>> = OnceLock::new();
    &ACCOUNTS.get_or_init(|| accounts(64))[party]
}

/// The servers with these numbers, in ascending order of their ids.
pub(crate) fn servers(numbers: Range<u16>) -> Vec<PartyId> {
    let before: BTreeSet<_> = accounts(numbers.start).into_keys().collect();
    let all = accounts(numbers.end).into_keys();
    all.filter(|party| !before.contains(party)).collect()
}

/// A re-dealing by `dealers` to a new committee, in the epoch after.
pub(crate) fn reshare_context(
    from: &PublicPackage,
    dealers: &[PartyId],
    holders: &[PartyId],
    threshold: u16,
) -> ReshareContext {
    ReshareContext {
        genesis: from.genesis,
        scheme: from.scheme,
        epoch: from.epoch + 1,
        attempt: 1,
        from: from.clone(),
        dealers: dealers.to_vec(),
        committee: Committee::new(holders.iter().copied(), threshold).expect("a committee"),
    }
}

/// Everyone's side of a re-dealing.
pub(crate) fn reshares(
    context: &ReshareContext,
    old: &BTreeMap<PartyId, KeyShare>,
) -> Vec<(PartyId, Running<Option<KeyShare>>)> {
    let side = |party: PartyId| {
        let share = context.dealers.contains(&party).then(|| &old[&party]);
        let ceremony = reshare(context, party, account(&party), share).expect("a ceremony");
        (party, ceremony)
    };
    context.parties().into_iter().map(side).collect()
}

/// The new holders' shares; everyone must have ended well, leavers with nothing.
pub(crate) fn new_shares(
    context: &ReshareContext,
    run: Run<Option<KeyShare>>,
) -> BTreeMap<PartyId, KeyShare> {
    let outputs = run.outputs().into_iter();
    outputs
        .filter_map(|(party, share)| {
            assert_eq!(
                share.is_some(),
                context.committee.contains(&party),
                "{party}"
            );
            share.map(|share| (party, share))
        })
        .collect()
}

/// A key generation, `t` of `n`.
pub(crate) fn keygen_context(scheme: Scheme, t: u16, n: u16) -> KeygenContext {
    let committee = Committee::new(accounts(n).into_keys(), t).expect("a committee");
    KeygenContext {
        genesis: Genesis([1; 32]),
        scheme,
        epoch: 1,
        attempt: 1,
        committee,
    }
}

/// Everyone's side of a key generation.
pub(crate) fn keygens(context: &KeygenContext) -> Vec<(PartyId, Running<KeyShare>)> {
    let accounts = accounts(context.committee.size());
    let side = |party: &PartyId| {
        (
            *party,
            keygen(context, *party, &accounts[party]).expect("a ceremony"),
        )
    };
    context.committee.parties().iter().map(side).collect()
}

/// Shares made by an undisturbed key generation.
pub(crate) fn shares(scheme: Scheme, t: u16, n: u16, seed: u64) -> BTreeMap<PartyId, KeyShare> {
    Network::orderly(seed)
        .run(keygens(&keygen_context(scheme, t, n)))
        .outputs()
}

/// A signature by these signers, led by the first of them.
pub(crate) fn signing_context(
    share: &KeyShare,
    signers: &[PartyId],
    path: DerivationPath,
    tweak: TaprootTweak,
    digest: [u8; 32],
) -> SigningContext {
    let public = share.public();
    let key = KeyId([3; 32]);
    let derived = derivation::derive(public.scheme, &public.root_key, &key, &path).expect("a key");
    SigningContext {
        public_digest: public.digest(),
        subject: Subject::Request(RequestId([4; 32])),
        key,
        path,
        tweak,
        digest: Digest(digest),
        message: None,
        final_key: derived
            .final_key(public.scheme, &tweak)
            .expect("a final key"),
        leader: signers[0],
        signers: signers.iter().map(|party| (*party, party.0)).collect(),
    }
}

/// The signers' sides of a signature.
pub(crate) fn signs(
    context: &SigningContext,
    shares: &BTreeMap<PartyId, KeyShare>,
) -> Vec<(PartyId, Running<Signature>)> {
    let side = |party: PartyId| {
        (
            party,
            sign(context, &shares[&party], account(&party)).expect("a ceremony"),
        )
    };
    context.signer_ids().into_iter().map(side).collect()
}

/// Every set of `t` of the parties, each in ascending order.
pub(crate) fn sets_of(t: usize, parties: &[PartyId]) -> Vec<Vec<PartyId>> {
    if t == 0 {
        return vec![Vec::new()];
    }
    let with_first = |first: usize| {
        let rest = sets_of(t - 1, &parties[first + 1..]);
        rest.into_iter()
            .map(move |rest| [vec![parties[first]], rest].concat())
    };
    (0..parties.len()).flat_map(with_first).collect()
}
