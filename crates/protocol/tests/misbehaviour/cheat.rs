//! What a dishonest party does to its messages of one round.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use entropy_protocol::simulator::{Adversary, Frame, Posted};
use entropy_shared::PartyId;
use rand_chacha::ChaCha20Rng;
use rand_core::{RngCore, SeedableRng};

use crate::forge;

/// In how many places of a message a bit is flipped.
pub(crate) const PLACES: usize = 16;

/// How a message is spoilt. All recipients get the same, unless it says otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cheat {
    Dropped,
    Duplicated,
    /// It comes after all others, in time.
    Late,
    /// It comes when time is up.
    TooLate,
    /// Half of the body.
    Truncated,
    /// The link's payload without its last byte.
    Cut,
    /// A byte more.
    Extended,
    /// As many random bytes.
    Random,
    /// A bit is flipped in this of [`PLACES`] places of the body.
    Flipped(usize),
    /// What another party has sent in this round to the same recipient.
    OtherParty,
    /// What was sent in this round of another ceremony.
    OtherCeremony,
    /// The same, in an envelope of this one.
    OtherCeremonyBody,
    /// Said to be of the round after.
    WrongRound,
    /// First as it is, then with another body.
    TwoVersions,
    /// Every other recipient gets the same bytes as another ceremony's, or with a bit flipped: see [`crate::rules`].
    Equivocated,
    /// Well formed, agreed upon and signed as it should be, but it proves nothing: see [`crate::rules`].
    WrongProof,
}

impl Cheat {
    pub(crate) fn all() -> Vec<Self> {
        let flips = (0..PLACES).map(Self::Flipped);
        let others = [
            Self::Dropped,
            Self::Duplicated,
            Self::Late,
            Self::TooLate,
            Self::Truncated,
            Self::Cut,
            Self::Extended,
            Self::Random,
            Self::OtherParty,
            Self::OtherCeremony,
            Self::OtherCeremonyBody,
            Self::WrongRound,
            Self::TwoVersions,
            Self::Equivocated,
            Self::WrongProof,
        ];
        others.into_iter().chain(flips).collect()
    }

    /// Its name in the table, where all flips are one.
    pub(crate) fn name(self) -> String {
        match self {
            Self::Flipped(_) => "Flipped".into(),
            other => format!("{other:?}"),
        }
    }
}

/// Edits a body so that it is well formed and wrong.
pub(crate) type Forgery = fn(&Frame) -> Frame;

/// One dishonest party that spoils what it sends in one round.
pub(crate) struct Cheater {
    pub(crate) culprit: PartyId,
    pub(crate) round: u8,
    pub(crate) cheat: Cheat,
    /// What is sent in this round of another ceremony.
    pub(crate) elsewhere: Vec<Frame>,
    /// What is sent in this round, by whom to whom, if nobody cheats.
    pub(crate) usual: Vec<Frame>,
    /// For [`Cheat::Equivocated`] and [`Cheat::WrongProof`].
    pub(crate) forgery: Option<Forgery>,
    /// Echo rounds, in which the cheater repeats what others say, so that only its forgery is wrong.
    pub(crate) conforms_in: Option<u8>,
    pub(crate) deadline: u64,
    /// Held back until the message of the other party, whose copy is to be sent, is there.
    held: Vec<(PartyId, Frame)>,
    /// Held back until somebody has said what is to be repeated.
    unsaid: Vec<Frame>,
    seen: BTreeMap<(PartyId, PartyId, u8), Frame>,
    /// Who has got something spoilt.
    pub(crate) victims: BTreeSet<PartyId>,
}

impl fmt::Display for Cheater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} of {} in round {}",
            self.cheat, self.culprit, self.round
        )
    }
}

impl Cheater {
    pub(crate) fn new(culprit: PartyId, round: u8, cheat: Cheat) -> Self {
        Self {
            culprit,
            round,
            cheat,
            elsewhere: Vec::new(),
            usual: Vec::new(),
            forgery: None,
            conforms_in: None,
            deadline: 0,
            held: Vec::new(),
            unsaid: Vec::new(),
            seen: BTreeMap::new(),
            victims: BTreeSet::new(),
        }
    }

    fn recipients(&self) -> Vec<PartyId> {
        let own = self.usual.iter().filter(|frame| frame.from == self.culprit);
        own.map(|frame| frame.to).collect()
    }

    /// Who else sends to `to` in the cheater's round.
    fn other_for(&self, to: &PartyId) -> Option<PartyId> {
        let fits = |frame: &&Frame| frame.to == *to && frame.from != self.culprit;
        self.usual.iter().find(fits).map(|frame| frame.from)
    }

    /// Whether there is such a cheat for this message.
    pub(crate) fn is_possible(&self) -> bool {
        let recipients = self.recipients();
        let body = self
            .usual
            .iter()
            .find(|frame| frame.from == self.culprit)
            .map(Frame::body)
            .unwrap_or_default();
        match self.cheat {
            Cheat::OtherParty => recipients.iter().all(|to| self.other_for(to).is_some()),
            Cheat::Equivocated => recipients.len() > 1,
            Cheat::WrongProof => self.forgery.is_some(),
            Cheat::Flipped(place) => place < body.len(),
            _ => true,
        }
    }

    /// The message of the other ceremony in its place, or any of the round if roles are others there.
    fn its_twin(&self, frame: &Frame) -> Frame {
        let same = |other: &&Frame| (other.from, other.to) == (frame.from, frame.to);
        let found = self.elsewhere.iter().find(same);
        found.unwrap_or(&self.elsewhere[0]).clone()
    }

    fn random(&self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        ChaCha20Rng::seed_from_u64(u64::from(self.round)).fill_bytes(&mut bytes);
        bytes
    }

    fn spoil(&mut self, frame: Frame) -> Vec<Posted> {
        let to = frame.to;
        let posted = self.spoilt(&frame);
        if self.cheat != Cheat::Equivocated || posted != [Posted::from(frame)] {
            self.victims.insert(to);
        }
        posted
    }

    fn spoilt(&mut self, frame: &Frame) -> Vec<Posted> {
        let mut body = frame.body();
        let delayed = |delay| {
            vec![Posted {
                frame: frame.clone(),
                delay,
            }]
        };
        let spoilt = match self.cheat {
            Cheat::Dropped => return Vec::new(),
            Cheat::Duplicated => return vec![frame.clone().into(), frame.clone().into()],
            Cheat::Late => return delayed(self.deadline * 6 / 10),
            Cheat::TooLate => return delayed(self.deadline * 5),
            Cheat::Truncated => {
                body.truncate(body.len() / 2);
                frame.with_body(body)
            }
            Cheat::Cut => Frame {
                payload: frame.payload[..frame.payload.len() - 1].to_vec(),
                ..frame.clone()
            },
            Cheat::Extended => {
                body.push(0);
                frame.with_body(body)
            }
            Cheat::Random => frame.with_body(self.random(body.len())),
            Cheat::Flipped(place) => {
                let last = body.len() - 1;
                body[last * place / (PLACES - 1)] ^= 1 << (place % 8);
                frame.with_body(body)
            }
            Cheat::OtherParty => {
                let Some(other) = self.other_for(&frame.to) else {
                    return Vec::new();
                };
                let Some(copy) = self.seen.get(&(other, frame.to, self.round)) else {
                    self.held.push((other, frame.clone()));
                    return Vec::new();
                };
                frame.with_body(copy.body())
            }
            Cheat::OtherCeremony => Frame {
                payload: self.its_twin(frame).payload,
                ..frame.clone()
            },
            Cheat::OtherCeremonyBody => frame.with_body(self.its_twin(frame).body()),
            Cheat::WrongRound => frame.with_round(self.round + 1),
            Cheat::TwoVersions => {
                *body.last_mut().expect("no body is empty") ^= 1;
                return vec![frame.clone().into(), frame.with_body(body).into()];
            }
            Cheat::Equivocated => {
                let place = self.recipients().iter().position(|to| *to == frame.to);
                match (place, self.forgery) {
                    (Some(place), _) if place % 2 == 0 => return vec![frame.clone().into()],
                    (_, Some(forgery)) => forgery(frame),
                    _ => frame.with_body(self.its_twin(frame).body()),
                }
            }
            Cheat::WrongProof => self.forgery.expect("only where there is one")(frame),
        };
        vec![spoilt.into()]
    }

    /// Says what others have said: it is the same for everybody.
    fn conform(&mut self) -> Vec<Posted> {
        let said = |((_, _, round), _): &(&(_, _, u8), &Frame)| Some(*round) == self.conforms_in;
        let Some((_, copy)) = self.seen.iter().find(said) else {
            return Vec::new();
        };
        let unsaid = std::mem::take(&mut self.unsaid);
        unsaid
            .into_iter()
            .map(|frame| frame.with_body(copy.body()).into())
            .collect()
    }

    fn release(&mut self) -> Vec<Posted> {
        let mut out = self.conform();
        for (other, frame) in std::mem::take(&mut self.held) {
            let round = frame.round().unwrap_or_default();
            match self.seen.get(&(other, frame.to, round)) {
                Some(copy) => out.push(frame.with_body(copy.body()).into()),
                None => self.held.push((other, frame)),
            }
        }
        out
    }
}

impl Adversary for Cheater {
    fn dishonest(&self) -> BTreeSet<PartyId> {
        [self.culprit].into()
    }

    fn sends(&mut self, frame: Frame) -> Vec<Posted> {
        let round = frame.round();
        let conforms = self.conforms_in.is_some() && self.conforms_in == round;
        if conforms && matches!(self.cheat, Cheat::WrongProof) {
            self.unsaid.push(frame);
            return self.conform();
        }
        if round == Some(self.round) {
            self.spoil(frame)
        } else {
            vec![frame.into()]
        }
    }

    fn sees(&mut self, frame: &Frame) -> Vec<Posted> {
        if let Some(round) = frame.round() {
            self.seen
                .insert((frame.from, frame.to, round), frame.clone());
        }
        self.release()
    }
}

/// Flips a low bit of the last number in the body: what proves, in most messages.
pub(crate) fn last_number(frame: &Frame) -> Frame {
    let mut body = frame.body();
    let place = body.len() - 1;
    body[place] ^= 1;
    frame.with_body(body)
}

/// The same behind manul's signatures, which are the cheater's own.
pub(crate) fn resigned(frame: &Frame, edit: impl FnOnce(&mut forge::Message)) -> Frame {
    let account = &entropy_protocol::simulator::accounts(8)[&frame.from];
    let packet = crate::common::Packet {
        from: frame.from,
        to: frame.to,
        payload: frame.payload.clone(),
    };
    let forged = forge::forge(&packet, account, edit);
    Frame {
        payload: forged.payload,
        ..frame.clone()
    }
}
