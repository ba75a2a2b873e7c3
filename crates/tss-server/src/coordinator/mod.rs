//! Decides, from what the chain shows and what has happened, which ceremonies run, who leads and who signs, and what is staged, promoted, erased and reported.
//!
//! Pure: events in, commands out; time and randomness are arguments. Level-triggered: every event ends in a comparison
//! of what ought to be with what is, so a missed block, a lost message or a restart cannot wedge it.

mod keygen;
mod signing;
#[cfg(test)]
mod tests;

pub use signing::share_name;

use std::collections::{BTreeMap, BTreeSet};

use entropy_protocol::{Failure, KeygenContext, SigningContext};
use entropy_shared::{
    BlockNumber, CeremonyId, Genesis, KeyId, PartyId, PublicPackage, RequestId, Scheme, Signature,
    lifecycle::{key::AttemptReport, registry::KeyRecord, request::RequestRecord},
};
use rand_core::CryptoRngCore;

use crate::{
    frames::Frame,
    ports::{BlockHash, Heads, ShareName, Stage},
};

/// Time since some fixed moment, in milliseconds. Never goes back.
pub type Millis = u64;

/// Blocks for which a report or result may wait in the pool before it is made anew.
const SUBMISSION_BLOCKS: BlockNumber = 10;

/// Something that happened.
#[derive(Debug)]
pub enum Event {
    /// A new best or finalized block.
    Heads(Box<Heads>),
    /// Which peers have a live link now.
    Connected(BTreeSet<PartyId>),
    /// A peer said something that is not a ceremony's own message.
    Frame {
        /// Who; authenticated.
        from: PartyId,
        /// What.
        frame: Frame,
    },
    /// The answer to [`Command::LookUp`].
    LookedUp {
        /// The request asked for.
        id: RequestId,
        /// The request in the best block.
        request: Option<Box<RequestRecord>>,
        /// Its key in the best block.
        best_key: Option<KeyRecord>,
        /// Its key in the finalized block.
        finalized_key: Option<KeyRecord>,
    },
    /// A look-up got no answer.
    LookUpFailed {
        /// The request asked for.
        id: RequestId,
    },
    /// A key generation is over. If it succeeded, the share is staged and flushed.
    KeygenEnded {
        /// The ceremony.
        id: CeremonyId,
        /// The share's name and public package, or why there is none.
        result: Result<(ShareName, PublicPackage), Failure>,
    },
    /// A signing ceremony is over.
    SigningEnded {
        /// The ceremony.
        id: CeremonyId,
        /// The signature, verified.
        result: Result<Signature, Failure>,
    },
    /// Time passes.
    Tick,
}

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Mark the ceremony as started; if it had not been, run it, stage and flush the share.
    StartKeygen(KeygenContext),
    /// Run a signing ceremony with a share.
    StartSigning {
        /// The ceremony.
        context: Box<SigningContext>,
        /// The share that signs.
        share: ShareName,
    },
    /// Time is up for a ceremony: its end follows as an event.
    Expire(CeremonyId),
    /// Tell a peer something.
    Send {
        /// Whom.
        to: PartyId,
        /// What.
        frame: Frame,
    },
    /// Fetch a request and its key, in the best and the finalized block.
    LookUp {
        /// The request.
        request: RequestId,
        /// Its key.
        key: KeyId,
        /// The best block.
        best: BlockHash,
        /// The finalized block.
        finalized: BlockHash,
    },
    /// Finalized state names this share: put it in use.
    Promote(ShareName),
    /// Finalized state has ended this share's attempt: destroy it.
    Erase(ShareName),
    /// Report on a key generation.
    Report {
        /// The report.
        report: AttemptReport,
        /// The last block in which it may be included.
        valid_until: BlockNumber,
    },
    /// Submit the signature that answers a request.
    SubmitResult {
        /// The request.
        request: RequestId,
        /// Its signature.
        signature: Signature,
        /// The last block in which it may be included.
        valid_until: BlockNumber,
    },
}

/// A share that the store holds.
#[derive(Debug, Clone)]
struct Held {
    stage: Stage,
    public: PublicPackage,
}

/// One server's decisions. See the module's documentation.
#[derive(Debug)]
pub struct Coordinator {
    me: PartyId,
    genesis: Genesis,
    heads: Option<Heads>,
    connected: BTreeSet<PartyId>,
    shares: BTreeMap<ShareName, Held>,
    keygens: BTreeMap<(Scheme, u32, u32), keygen::Run>,
    signing: signing::Signing,
}

impl Coordinator {
    /// A coordinator for the server `me`, which finds these shares in its store.
    pub fn new(
        me: PartyId,
        genesis: Genesis,
        shares: impl IntoIterator<Item = (ShareName, Stage, PublicPackage)>,
    ) -> Self {
        let shares = shares
            .into_iter()
            .map(|(name, stage, public)| (name, Held { stage, public }))
            .collect();
        Self {
            me,
            genesis,
            heads: None,
            connected: BTreeSet::new(),
            shares,
            keygens: BTreeMap::new(),
            signing: signing::Signing::default(),
        }
    }

    /// Takes note of an event and says what to do. `now` never goes back between calls.
    pub fn handle(
        &mut self,
        event: Event,
        now: Millis,
        rng: &mut dyn CryptoRngCore,
    ) -> Vec<Command> {
        let mut commands = Vec::new();
        match event {
            Event::Heads(heads) => self.heads = Some(*heads),
            Event::Connected(peers) => self.connected = peers,
            Event::Frame { from, frame } => self.handle_frame(from, frame, now, rng, &mut commands),
            Event::LookedUp {
                id,
                request,
                best_key,
                finalized_key,
            } => {
                self.vet(
                    id,
                    request.map(|record| *record),
                    best_key,
                    finalized_key,
                    now,
                    rng,
                    &mut commands,
                );
            }
            Event::LookUpFailed { id } => self.signing.look_up_failed(id, now),
            Event::KeygenEnded { id, result } => self.keygen_ended(&id, result),
            Event::SigningEnded { id, result } => self.signing_ended(&id, result, now),
            Event::Tick => {}
        }
        // Before the first heads there is nothing to compare with; the peers' frames are answered with "unknown".
        if let Some(heads) = self.heads.take() {
            self.reconcile_shares(&heads, &mut commands);
            self.reconcile_keygens(&heads, &mut commands);
            self.reconcile_signing(&heads, now, rng, &mut commands);
            self.heads = Some(heads);
        }
        commands
    }

    /// What this server holds.
    pub fn shares(&self) -> impl Iterator<Item = (&ShareName, Stage)> {
        self.shares.iter().map(|(name, held)| (name, held.stage))
    }

    /// How many ceremonies run now.
    pub fn running(&self) -> usize {
        self.signing.running() + self.keygens.values().filter(|run| run.is_running()).count()
    }

    /// Promotes what finalized state names; erases staged shares whose attempt finalized state has ended.
    fn reconcile_shares(&mut self, heads: &Heads, commands: &mut Vec<Command>) {
        let mut erased = Vec::new();
        for (name, held) in &mut self.shares {
            if held.stage == Stage::Active {
                continue;
            }
            let Some(state) = heads.finalized.view.key(name.scheme) else {
                continue;
            };
            let of = (name.epoch, name.attempt);
            let is_active = state.active().is_some_and(|key| {
                key.epoch == name.epoch && key.public_digest == name.public_digest
            });
            let has_ended = state
                .active()
                .is_some_and(|key| of <= (key.epoch, key.attempt))
                || state
                    .attempt()
                    .is_some_and(|attempt| of < (attempt.epoch, attempt.attempt));
            if is_active {
                held.stage = Stage::Active;
                commands.push(Command::Promote(name.clone()));
            } else if has_ended {
                erased.push(name.clone());
            }
        }
        for name in erased {
            self.shares.remove(&name);
            commands.push(Command::Erase(name));
        }
    }
}

/// Something handed to the node's pool, which may or may not get into a block.
#[derive(Debug, Default, Clone, Copy)]
struct Submitted(Option<BlockNumber>);

impl Submitted {
    /// Whether it is time to submit, for the first time or again; and if so, until which block it shall be valid.
    fn due(&mut self, best: BlockNumber) -> Option<BlockNumber> {
        let waits = self
            .0
            .is_some_and(|last| best < last.saturating_add(SUBMISSION_BLOCKS));
        (!waits).then(|| {
            self.0 = Some(best);
            best.saturating_add(SUBMISSION_BLOCKS)
        })
    }
}
