//! What two holders set up between them once for many signatures: a seed of their zero sharings (functionality 3.4 of ePrint 2023/765), and base OTs in both
//! directions for their multiplications (functionality 3.5; endemic OT, ePrint 2022/1525 section 3).
//!
//! Each half is checked as it comes, alone, so that a fault or a panic is its sender's. May not outlive the session that it is bound to.

use dkls23::{
    protocols::PartyIndex,
    utilities::{
        hashes::HashOutput,
        multiplication::{MulReceiver, MulSender},
        ot::base::{OTReceiver, OTSender, Seed},
        ot::extension::KAPPA,
        proofs::{DLogProof, EncProof, R},
        zero_shares::ZeroShare,
    },
};
use entropy_shared::tagged_hash;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::Curve;

/// A set-up's name, what all its proofs are bound to.
pub(super) type Session = [u8; 32];

/// Length of the salts that the library commits with, in bytes.
const SALT_BYTES: usize = 64;

/// Length of a challenge inside of the library's proofs of knowledge, in bytes. Its verifier takes shorter ones, too.
const CHALLENGE_BYTES: usize = 4;

/// What a holder keeps of each peer.
pub(super) struct Pair<C: Curve> {
    pub(super) seed: Zeroizing<[u8; 32]>,
    pub(super) sender: MulSender<C>,
    pub(super) receiver: MulReceiver<C>,
}

/// One side's half of the seed, to be opened once the other side has committed to its own.
pub(super) struct Blind {
    seed: Zeroizing<[u8; 32]>,
    salt: Zeroizing<Vec<u8>>,
}

/// All that one side opens to the other. Every part has one length, so that a body of the right length cannot hold the identity, whose
/// encoding is shorter than that of every other point.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Opening<C: Curve> {
    /// That the sender knows its share.
    pub(super) share: DLogProof<C>,
    seed: [u8; 32],
    salt: Vec<u8>,
    /// The sender of the message is the sender of base OTs here, and will be the receiver of multiplications.
    base: DLogProof<C>,
    gadget: C::Scalar,
    /// And here the other way round.
    choices: Vec<EncProof<C>>,
    base_seed: Seed,
}

impl<C: Curve> Drop for Opening<C> {
    fn drop(&mut self) {
        self.seed.zeroize();
        self.salt.zeroize();
    }
}

impl<C: Curve> Opening<C> {
    /// Whether all lists have the lengths that honest parties give them.
    pub(super) fn is_whole(&self) -> bool {
        let proof = |proof: &DLogProof<C>| {
            proof.rand_commitments.len() == usize::from(R)
                && proof.proofs.len() == usize::from(R)
                && proof
                    .proofs
                    .iter()
                    .all(|proof| proof.challenge.len() == CHALLENGE_BYTES)
        };
        proof(&self.share)
            && proof(&self.base)
            && self.salt.len() == SALT_BYTES
            && self.choices.len() == usize::from(KAPPA)
    }
}

/// One side's secrets while it waits for the other's opening.
pub(super) struct Half<C: Curve> {
    seed: Zeroizing<[u8; 32]>,
    base: OTSender<C>,
    gadget: C::Scalar,
    base_receiver: OTReceiver,
    correlation: Zeroizing<Vec<bool>>,
    blinding: Zeroizing<Vec<C::Scalar>>,
}

impl<C: Curve> Drop for Half<C> {
    fn drop(&mut self) {
        self.base.s.zeroize();
    }
}

/// Who talks to whom, in which session.
#[derive(Clone, Copy)]
pub(super) struct Link<'a> {
    pub(super) session: &'a Session,
    pub(super) me: PartyIndex,
    pub(super) peer: PartyIndex,
}

impl Link<'_> {
    /// The context that the seed of `from` for `to` is committed in.
    fn seed_context(&self, from: PartyIndex, to: PartyIndex) -> HashOutput {
        ZeroShare::seed_context(b"entropy/setup", &[self.session], from, to)
    }

    /// The name of one direction of the pair's multiplications.
    fn direction(&self, receiver: PartyIndex, sender: PartyIndex) -> [u8; 32] {
        let roles = (self.session, receiver.as_u8(), sender.as_u8());
        tagged_hash("entropy/dkls/multiplication/v1", &roles)
    }

    pub(super) fn blind(&self) -> (Blind, HashOutput) {
        let context = self.seed_context(self.me, self.peer);
        let (seed, commitment, salt) = ZeroShare::generate_seed_with_bound_commitment(&context);
        let blind = Blind {
            seed: Zeroizing::new(seed),
            salt: Zeroizing::new(salt),
        };
        (blind, commitment)
    }

    /// What is sent to the peer, and what is kept until its own comes.
    pub(super) fn open<C: Curve>(
        &self,
        blind: Blind,
        share: &DLogProof<C>,
    ) -> (Half<C>, Opening<C>) {
        let (base, proof, gadget) =
            MulReceiver::<C>::init_phase1(&self.direction(self.me, self.peer));
        let (base_receiver, correlation, blinding, choices) =
            MulSender::<C>::init_phase1(&self.direction(self.peer, self.me));
        let opening = Opening {
            share: share.clone(),
            seed: *blind.seed,
            salt: blind.salt.to_vec(),
            base: proof,
            gadget,
            choices,
            base_seed: base_receiver.seed,
        };
        let half = Half {
            seed: blind.seed,
            base,
            gadget,
            base_receiver,
            correlation: Zeroizing::new(correlation),
            blinding: Zeroizing::new(blinding),
        };
        (half, opening)
    }

    /// Nothing if a proof of the peer's, or its opening of the seed, does not verify.
    pub(super) fn finish<C: Curve>(
        &self,
        mut half: Half<C>,
        opening: &Opening<C>,
        commitment: &HashOutput,
    ) -> Option<Pair<C>> {
        let context = self.seed_context(self.peer, self.me);
        if !ZeroShare::verify_bound_seed(&opening.seed, &context, commitment, &opening.salt) {
            return None;
        }
        let receiver = MulReceiver::init_phase2(
            &half.base,
            &self.direction(self.me, self.peer),
            &opening.base_seed,
            &opening.choices,
            &half.gadget,
        );
        let sender = MulSender::init_phase2(
            &half.base_receiver,
            &self.direction(self.peer, self.me),
            std::mem::take(&mut *half.correlation),
            &half.blinding,
            &opening.base,
            &opening.gadget,
        );
        let seed = ZeroShare::generate_seed_pair(self.me, self.peer, &half.seed, &opening.seed);
        Some(Pair {
            seed: Zeroizing::new(seed.seed),
            sender: sender.ok()?,
            receiver: receiver.ok()?,
        })
    }
}
