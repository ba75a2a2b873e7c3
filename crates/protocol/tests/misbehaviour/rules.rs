//! How each cell of the table must end: for every scheme and ceremony, round, role and cheat.

use entropy_protocol::{
    Offence,
    simulator::{Frame, Kind},
};
use entropy_shared::Scheme;

use crate::cheat::{Cheat, Forgery, last_number, resigned};

use Offence::{
    BadShare, Banned, Equivocation, FailedProof, Malformed, OtherCeremony, Silent as WasSilent,
    Unexpected,
};

/// How a ceremony ends for an honest party that has got the spoilt message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// As if nothing had been.
    Tolerated,
    /// It blames the cheater, and nobody else, for one of these.
    Blamed(&'static [Offence]),
    /// It fails without blame, because of this.
    Unattributed(&'static str),
    /// It waits in vain for an honest party that has blamed the cheater and stopped, and knows of no fault.
    Waits,
}

/// What may come of a cell.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    /// All who have got the spoilt message come to the same of these.
    pub(crate) verdicts: Vec<Verdict>,
    /// Why they may come to different ones of these, if they may.
    pub(crate) differ: Option<&'static str>,
}

use Verdict::{Blamed, Tolerated, Unattributed, Waits};

const SILENT: Verdict = Blamed(&[WasSilent]);
const MALFORMED: Verdict = Blamed(&[Malformed]);
const TWICE: Verdict = Blamed(&[Equivocation]);

fn one(verdict: Verdict) -> Rule {
    any(&[verdict])
}

fn any(verdicts: &[Verdict]) -> Rule {
    Rule {
        verdicts: verdicts.to_vec(),
        differ: None,
    }
}

/// A second version of the last message: only who still waits for others' sees it.
fn late_second() -> Rule {
    Rule {
        verdicts: vec![Tolerated, TWICE],
        differ: Some(
            "a ceremony that has ended with the first version does not look at the second",
        ),
    }
}

/// Who sends a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Who leads.
    Leader,
    /// Anybody, where nobody leads, or one that is led.
    Party,
}

/// The rule for a cell; `None` if nobody has written one down.
pub(crate) fn rule(scheme: Scheme, kind: Kind, round: u8, cheat: Cheat) -> Option<Rule> {
    if matches!(kind, Kind::Refresh | Kind::Reshare) && round == 1 {
        return Some(dealing(cheat));
    }
    match cheat {
        // A peer may say the same twice, and links may be slow.
        Cheat::Duplicated | Cheat::Late => return Some(one(Tolerated)),
        // A message that comes when all is over changes nothing.
        Cheat::Dropped | Cheat::TooLate => return Some(one(SILENT)),
        Cheat::Cut => return Some(one(MALFORMED)),
        Cheat::OtherCeremony => return Some(one(Blamed(&[OtherCeremony]))),
        _ => {}
    }
    match (scheme, kind) {
        (Scheme::SchnorrTaproot | Scheme::SchnorrEd25519, Kind::Keygen) => {
            Some(frost_keygen(round, cheat))
        }
        (Scheme::SchnorrTaproot | Scheme::SchnorrEd25519, Kind::Sign) => {
            Some(frost_sign(round, cheat))
        }
        (Scheme::EcdsaDkls23 | Scheme::EcdsaP256, Kind::Keygen) => Some(dkls_keygen(round, cheat)),
        (Scheme::EcdsaDkls23 | Scheme::EcdsaP256, Kind::Sign) => Some(dkls_sign(round, cheat)),
        (Scheme::EcdsaCggmp24, Kind::Keygen) => Some(cggmp_keygen(round, cheat)),
        (Scheme::EcdsaCggmp24, Kind::Sign) => Some(cggmp_sign(round, cheat)),
        (Scheme::SchnorrTaproot | Scheme::SchnorrEd25519, Kind::Refresh | Kind::Reshare) => {
            Some(frost_reshare(round, cheat))
        }
        _ => None,
    }
}

const DISPUTED: Verdict = Unattributed(
    "the echoes differ: an echoer may lie, or the dealer may have told two things; round 1 is not signed",
);

/// 1 commitments and proof, 2 echo, 3 shares, 4 digest; everyone to all.
fn frost_keygen(round: u8, cheat: Cheat) -> Rule {
    match (round, cheat) {
        (_, Cheat::Truncated | Cheat::Extended) => one(MALFORMED),
        // It waits for the round after, in which the true one makes it two; there is no round 5.
        (4, Cheat::WrongRound) => one(Blamed(&[Unexpected])),
        (_, Cheat::WrongRound) => one(TWICE),
        (4, Cheat::TwoVersions) => late_second(),
        (_, Cheat::TwoVersions) => one(TWICE),
        (1, Cheat::WrongProof) => one(Blamed(&[FailedProof])),
        (1, Cheat::Random) => one(MALFORMED),
        // The cheater's own echo is of what it has really made; see WrongProof for one that lies well.
        (1, Cheat::Flipped(_)) => any(&[MALFORMED, DISPUTED]),
        (1, Cheat::OtherParty | Cheat::OtherCeremonyBody) => one(DISPUTED),
        (1, Cheat::Equivocated) => one(DISPUTED),
        // All honest echoes are the same.
        (2, Cheat::OtherParty) | (4, Cheat::OtherParty) => one(Tolerated),
        (2, _) => one(DISPUTED),
        (3, Cheat::Random) => one(MALFORMED),
        (3, Cheat::Flipped(_)) => any(&[Blamed(&[BadShare]), MALFORMED]),
        (3, _) => one(Blamed(&[BadShare])),
        (_, _) => one(TWICE),
    }
}

/// 1 signer to leader: commitments, 2 leader to all: package, 3 signer to leader: share, 4 leader to all: signature.
fn frost_sign(round: u8, cheat: Cheat) -> Rule {
    match (round, cheat) {
        (_, Cheat::Truncated | Cheat::Extended) => one(MALFORMED),
        // A signer hears the leader in every second round only, and the leader a signer: nothing comes to make it two.
        (4, Cheat::WrongRound) => one(Blamed(&[Unexpected])),
        (_, Cheat::WrongRound) => one(SILENT),
        // The leader has all it needs with the last share, a signer with the signature.
        (3 | 4, Cheat::TwoVersions) => late_second(),
        (_, Cheat::TwoVersions) => one(TWICE),
        (1, Cheat::Random) => one(MALFORMED),
        // Commitments that are not its own: its honest code refuses to sign the package with them, and is silent.
        (1, _) => any(&[MALFORMED, SILENT]),
        (2, Cheat::Random) => one(MALFORMED),
        (2, _) => Rule {
            verdicts: vec![MALFORMED, SILENT],
            differ: Some(
                "a signer knows its own commitments only; another's false one gives a share that the leader cannot use",
            ),
        },
        (3, Cheat::Flipped(_) | Cheat::Random) => any(&[Blamed(&[BadShare]), MALFORMED]),
        (3, _) => one(Blamed(&[BadShare])),
        (_, _) => one(Blamed(&[FailedProof])),
    }
}

const RE_SIGNED: &[Offence] = &[Malformed, Unexpected];

/// Rounds 1 to 5 are the library's key init, every second one its echo; 6 dealing, 7 what was seen of it, 8 subshares.
fn cggmp_keygen(round: u8, cheat: Cheat) -> Rule {
    match (round, cheat) {
        (_, Cheat::Truncated | Cheat::Extended | Cheat::Random) if round != 8 => one(MALFORMED),
        (8, Cheat::Truncated | Cheat::Extended) => one(MALFORMED),
        // Before the primes nobody hears round 8.
        (7, Cheat::WrongRound) => one(SILENT),
        (_, Cheat::WrongRound) | (_, Cheat::TwoVersions) => one(TWICE),
        (1, Cheat::Equivocated) => one(TWICE),
        (3, Cheat::WrongProof) | (5, Cheat::WrongProof) => one(Blamed(&[FailedProof])),
        // All is signed by its sender for its session, so that any change shows; recipient and round are not the signature's.
        (1..=5, _) => one(Blamed(RE_SIGNED)),
        (6, Cheat::Flipped(_)) => any(&[Blamed(&[BadShare]), Blamed(&[FailedProof]), MALFORMED]),
        // The first coefficient is known from the key init.
        (6, _) => one(Blamed(&[BadShare])),
        // What all have seen is the same; the signature beside an equal hash is not looked at.
        (7, Cheat::OtherParty) => one(Tolerated),
        (7, Cheat::Flipped(_)) => any(&[
            Blamed(&[FailedProof]),
            Blamed(&[Equivocation]),
            MALFORMED,
            Tolerated,
        ]),
        (7, _) => any(&[Blamed(&[FailedProof]), Blamed(&[Equivocation])]),
        (8, Cheat::Flipped(_) | Cheat::Random) => any(&[Blamed(&[BadShare]), MALFORMED]),
        (8, _) => one(Blamed(&[BadShare])),
        (11, Cheat::WrongProof) => one(Blamed(&[Offence::Panic])),
        (13, Cheat::WrongProof) => one(Blamed(&[FailedProof])),
        // The public package is fixed by then.
        (14, _) => one(Blamed(&[Unexpected])),
        (_, _) => one(Blamed(RE_SIGNED)),
    }
}

/// All seven rounds are the library's.
fn cggmp_sign(round: u8, cheat: Cheat) -> Rule {
    match (round, cheat) {
        (7, Cheat::WrongRound) => one(Blamed(&[Unexpected])),
        (_, Cheat::WrongRound) => one(TWICE),
        (7, Cheat::TwoVersions) => late_second(),
        (_, Cheat::TwoVersions) => one(TWICE),
        (7, Cheat::WrongProof) => one(Blamed(&[FailedProof])),
        (_, _) => one(Blamed(RE_SIGNED)),
    }
}

/// 1 to 3 dealing and its echo, 4 subshares, 5 and 6 the pairwise set-up, 7 digest of the public package.
fn dkls_keygen(round: u8, cheat: Cheat) -> Rule {
    match (round, cheat) {
        (7, Cheat::TwoVersions) => late_second(),
        (_, Cheat::TwoVersions) => one(TWICE),
        (1, _) => one(Blamed(&[FailedProof])),
        (2 | 6, Cheat::Random) => one(MALFORMED),
        (2 | 6, _) => any(&[Blamed(&[FailedProof]), MALFORMED]),
        (3, _) => one(DISPUTED),
        (4, _) => one(Blamed(&[BadShare])),
        (5, _) => any(&[TWICE, Blamed(&[FailedProof])]),
        (_, _) => one(TWICE),
    }
}

/// Three rounds, all to all.
fn dkls_sign(round: u8, cheat: Cheat) -> Rule {
    match (round, cheat) {
        (_, Cheat::Truncated | Cheat::Extended | Cheat::Random) => one(MALFORMED),
        (3, Cheat::WrongRound) => one(Blamed(&[Unexpected])),
        (3, Cheat::TwoVersions) => late_second(),
        (_, Cheat::WrongRound | Cheat::TwoVersions) => one(TWICE),
        // The multiplication's checks do not say which of its fields was changed.
        (1 | 2, Cheat::Flipped(_)) => any(&[Blamed(&[Banned]), MALFORMED]),
        // A field says for whom it is.
        (1 | 2, Cheat::OtherParty) => one(MALFORMED),
        // It names its session.
        (1 | 2, _) => one(Blamed(&[OtherCeremony])),
        (3, Cheat::Flipped(_)) => any(&[ADDED_UP, MALFORMED]),
        (_, _) => one(ADDED_UP),
    }
}

const ADDED_UP: Verdict = Unattributed(
    "the library checks the sum of the last messages only, and nothing that anybody has committed to tells whose is wrong",
);

/// A dealer's one message: whatever it is, enough others have dealt, or the dealer's answer to the complaints makes up for it.
fn dealing(cheat: Cheat) -> Rule {
    match cheat {
        // What waits for round 2 differs from what the dealer says there, if it is a new holder and says something.
        Cheat::WrongRound => any(&[TWICE, Tolerated]),
        _ => one(Tolerated),
    }
}

/// 1 dealings, 2 claims, 3 what was heard of them, 7 digest of the public package; 4 to 6 are for disputes only.
fn frost_reshare(round: u8, cheat: Cheat) -> Rule {
    const NOT_SIGNED: Verdict = Blamed(&[FailedProof]);
    match (round, cheat) {
        (_, Cheat::Truncated | Cheat::Extended) => one(MALFORMED),
        (2, Cheat::WrongRound | Cheat::TwoVersions) => one(TWICE),
        (2, Cheat::Random) => one(MALFORMED),
        (2, Cheat::Flipped(_)) => any(&[NOT_SIGNED, MALFORMED]),
        (2, _) => one(NOT_SIGNED),
        // Nothing is awaited in round 4.
        (3, Cheat::WrongRound) => one(SILENT),
        (3, Cheat::TwoVersions) => Rule {
            verdicts: vec![TWICE, Tolerated, Waits],
            differ: Some(
                "a holder that needs no more than the first version does not wait for the second",
            ),
        },
        (3, Cheat::Random) => one(MALFORMED),
        // What all have heard is the same.
        (3, Cheat::OtherParty) => one(Tolerated),
        // The signature beside an equal hash is not looked at.
        (3, Cheat::Flipped(_)) => any(&[NOT_SIGNED, TWICE, MALFORMED, Tolerated]),
        // Of its own claims nobody else can be wrong.
        (3, _) => any(&[NOT_SIGNED, TWICE]),
        (_, Cheat::TwoVersions) => late_second(),
        (_, Cheat::OtherParty) => one(Tolerated),
        // The public package is fixed by then.
        (_, _) => one(Blamed(&[Unexpected])),
    }
}

/// What makes a message well formed and wrong, where the protocol's own bytes must be known for it.
pub(crate) fn forgery(scheme: Scheme, kind: Kind, round: u8, cheat: Cheat) -> Option<Forgery> {
    match (scheme, kind, round, cheat) {
        (
            Scheme::SchnorrTaproot | Scheme::SchnorrEd25519,
            Kind::Keygen,
            1 | 3,
            Cheat::WrongProof,
        )
        | (Scheme::SchnorrTaproot | Scheme::SchnorrEd25519, Kind::Sign, 3 | 4, Cheat::WrongProof) => {
            Some(last_number)
        }
        (Scheme::EcdsaCggmp24, Kind::Keygen, 1, Cheat::Equivocated) => {
            Some(|frame: &Frame| resigned(frame, |message| flip(&mut message.echo.payload, 5)))
        }
        (Scheme::EcdsaCggmp24, Kind::Keygen, 3, Cheat::WrongProof) => {
            Some(|frame: &Frame| resigned(frame, |message| flip(&mut message.echo.payload, 20)))
        }
        (Scheme::EcdsaCggmp24, Kind::Keygen, 5, Cheat::WrongProof) => {
            Some(|frame: &Frame| resigned(frame, |message| flip(&mut message.normal.payload, 40)))
        }
        (Scheme::EcdsaCggmp24, Kind::Keygen, 8, Cheat::WrongProof) => Some(last_number),
        // An even modulus, which makes the library panic.
        (Scheme::EcdsaCggmp24, Kind::Keygen, 11, Cheat::WrongProof) => {
            Some(|frame: &Frame| resigned(frame, |message| clear(&mut message.normal.payload, 2)))
        }
        (Scheme::EcdsaCggmp24, Kind::Keygen, 13, Cheat::WrongProof) => {
            Some(|frame: &Frame| resigned(frame, |message| flip(&mut message.direct.payload, 300)))
        }
        (Scheme::EcdsaCggmp24, Kind::Sign, 7, Cheat::WrongProof) => {
            Some(|frame: &Frame| resigned(frame, |message| flip(&mut message.normal.payload, 20)))
        }
        _ => None,
    }
}

fn flip(bytes: &mut Option<Vec<u8>>, place: usize) {
    if let Some(byte) = bytes.as_mut().and_then(|bytes| bytes.get_mut(place)) {
        *byte ^= 1;
    }
}

fn clear(bytes: &mut Option<Vec<u8>>, place: usize) {
    if let Some(byte) = bytes.as_mut().and_then(|bytes| bytes.get_mut(place)) {
        *byte &= 0xfe;
    }
}

/// The round in which a liar has to say what the others say, so that its lie of an earlier round is not found for the wrong reason.
pub(crate) fn conforms_in(scheme: Scheme, kind: Kind, round: u8) -> Option<u8> {
    match (scheme, kind, round) {
        (Scheme::SchnorrTaproot | Scheme::SchnorrEd25519, Kind::Keygen, 1) => Some(2),
        _ => None,
    }
}
