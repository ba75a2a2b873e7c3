//! The pairwise set-up for shares that all agree on: seeds of zero shares, and both roles of the two-party multiplication.
//!
//! It belongs to no ceremony of its own. Key generation and dealing anew run it among the holders once everybody knows its
//! share and everybody's verification share, in two rounds, whose numbers begin where the ceremony says:
//!
//! 1. each to each: commitment to the proof that it knows its share (step 3 of protocol 9.1 in ePrint 2023/602; the same to
//!    all), commitment to the seed of the pair;
//! 2. each to each: the proof (step 4), the seed, and the base oblivious transfers of both roles.
//!
//! The library checks that the proven points lie on one polynomial and give the root key; here each must be the verification
//! share that is known already, so that whoever proves another is named.

use std::collections::BTreeMap;

use dkls23::{
    protocols::{
        PartiesMessage, PartyIndex,
        dkg::{
            BroadcastDerivationPhase2to4, BroadcastDerivationPhase3to4, KeepInitMulPhase3to4,
            KeepInitZeroSharePhase2to3, KeepInitZeroSharePhase3to4, ProofCommitment, SessionData,
            TransmitInitMulPhase3to4, TransmitInitZeroSharePhase2to4,
            TransmitInitZeroSharePhase3to4, UniqueKeepDerivationPhase2to3, phase2, phase3, phase4,
        },
    },
    utilities::{commits, proofs::DLogProof},
};
use entropy_shared::{CeremonyId, Committee, PartyId, PublicPackage, Scheme, VerifyingKey};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Curve, LibraryScalar, PointBytes, Secret, contained, decode_canonical, encode, index,
    parameters, point_bytes, to_library,
};
use crate::{
    ceremony::{Failure, Offence},
    gather::Gather,
    group::{P256, Secp256k1},
    guard::RoundMessage,
    share,
    wire::decode_body,
};

/// How many rounds it takes.
pub(crate) const ROUNDS: u8 = 2;

/// What a party commits to in the first round: its proof, the seed.
type Commitments = ([u8; 32], [u8; 32]);

/// What opens the commitments, with the base oblivious transfers.
type Opening<L> = (
    DLogProof<L>,
    TransmitInitZeroSharePhase3to4,
    TransmitInitMulPhase3to4<L>,
);

/// What is set up for: one party's share among those of a committee.
pub(crate) struct Shares<'a, C: Curve> {
    /// Who holds them.
    pub(crate) committee: &'a Committee,
    /// The root key.
    pub(crate) root_key: &'a VerifyingKey,
    /// Everybody's, in the order of the committee's parties.
    pub(crate) verification_shares: &'a [VerifyingKey],
    /// Whose is ours.
    pub(crate) me: PartyId,
    /// Ours.
    pub(crate) share: &'a C::Scalar,
}

/// One party's side of a set-up under way.
pub(crate) struct Setup<C: Curve> {
    committee: Committee,
    first_round: u8,
    data: SessionData,
    root_key: PointBytes,
    points: BTreeMap<PartyId, PointBytes>,
    share: Zeroizing<LibraryScalar<C>>,
    proof: ProofCommitment<C::Library>,
    stage: Stage<C>,
}

enum Stage<C: Curve> {
    Commitments {
        zero: BTreeMap<PartyIndex, KeepInitZeroSharePhase2to3>,
        derivation: UniqueKeepDerivationPhase2to3,
        gather: Gather<Commitments>,
    },
    Openings {
        zero: BTreeMap<PartyIndex, KeepInitZeroSharePhase3to4>,
        multiplication: BTreeMap<PartyIndex, KeepInitMulPhase3to4<C::Library>>,
        commitments: BTreeMap<PartyId, Commitments>,
        gather: Gather<Opening<C::Library>>,
    },
    Over,
}

/// Messages of the next round, and the secret once there is one.
type Progress<C> = (Vec<RoundMessage>, Option<Secret<C>>);

/// A set-up over either curve, for ceremonies that run over both.
pub(crate) trait AnySetup: Send {
    /// The number of the current round.
    fn round(&self) -> u8;

    /// Whose message of it is still to come.
    fn awaited(&self) -> Vec<PartyId>;

    /// Takes the message of the current round of an awaited party; gives messages of the next, and the secret at the end.
    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
    ) -> Result<(Vec<RoundMessage>, Option<share::Secret>), Failure>;
}

impl<C: Curve> AnySetup for Setup<C> {
    fn round(&self) -> u8 {
        Self::round(self)
    }

    fn awaited(&self) -> Vec<PartyId> {
        Self::awaited(self)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
    ) -> Result<(Vec<RoundMessage>, Option<share::Secret>), Failure> {
        let (outbound, secret) = Self::receive(self, from, body)?;
        Ok((outbound, secret.map(|secret| C::wrap(Box::new(secret)))))
    }
}

/// Begins the set-up of a new share of the public package's scheme, whose secret is given in the encoding of its group.
pub(crate) fn set_up(
    ceremony: &CeremonyId,
    first_round: u8,
    public: &PublicPackage,
    me: PartyId,
    secret: &[u8; 32],
) -> Result<(Box<dyn AnySetup>, Vec<RoundMessage>), Failure> {
    if public.scheme == Scheme::EcdsaP256 {
        set_up_over::<P256>(ceremony, first_round, public, me, secret)
    } else {
        set_up_over::<Secp256k1>(ceremony, first_round, public, me, secret)
    }
}

fn set_up_over<C: Curve>(
    ceremony: &CeremonyId,
    first_round: u8,
    public: &PublicPackage,
    me: PartyId,
    secret: &[u8; 32],
) -> Result<(Box<dyn AnySetup>, Vec<RoundMessage>), Failure> {
    let share =
        C::decode_secret(secret).ok_or_else(|| Failure::unattributed("the new share is zero"))?;
    let shares = Shares {
        committee: &public.committee,
        root_key: &public.root_key,
        verification_shares: &public.verification_shares,
        me,
        share: &*share,
    };
    let (setup, outbound) = Setup::<C>::start(ceremony, first_round, &shares)?;
    Ok((Box::new(setup), outbound))
}

impl<C: Curve> Setup<C> {
    /// Begins; gives the messages of its first round. `Err` if the shares contradict each other, which is ours or the caller's fault.
    pub(crate) fn start(
        ceremony: &CeremonyId,
        first_round: u8,
        shares: &Shares<'_, C>,
    ) -> Result<(Self, Vec<RoundMessage>), Failure> {
        let contradiction = || Failure::unattributed("the shares to be set up are not shares");
        let committee = shares.committee;
        let own = index(committee, &shares.me).ok_or_else(contradiction)?;
        let points: Option<BTreeMap<_, _>> = committee
            .parties()
            .iter()
            .zip(shares.verification_shares)
            .map(|(party, key)| Some((*party, C::of_key(key)?)))
            .collect();
        let points = points
            .filter(|points| points.len() == usize::from(committee.size()))
            .ok_or_else(contradiction)?;
        if points.get(&shares.me) != C::compress(&C::generate(shares.share)).as_ref() {
            return Err(contradiction());
        }
        let data = SessionData {
            parameters: parameters(committee).ok_or_else(contradiction)?,
            party_index: own,
            session_id: ceremony.0.to_vec(),
        };
        let share = to_library::<C>(shares.share).ok_or_else(contradiction)?;
        let (_, proof, zero, zero_commitments, derivation, _) =
            contained(committee, || Ok(phase2::<C::Library>(&data, &[*share])))?;
        let others: Vec<_> = committee
            .parties()
            .iter()
            .filter(|party| **party != shares.me)
            .copied()
            .collect();
        let mut outbound = Vec::with_capacity(others.len());
        for to in &others {
            let commitment = zero_commitments
                .iter()
                .find(|it| Some(it.parties.receiver) == index(committee, to))
                .ok_or_else(contradiction)?;
            let body: Commitments = (proof.commitment, commitment.commitment);
            outbound.push(RoundMessage {
                to: *to,
                round: first_round,
                body: codec::Encode::encode(&body),
            });
        }
        let setup = Self {
            committee: committee.clone(),
            first_round,
            data,
            root_key: C::of_key(shares.root_key).ok_or_else(contradiction)?,
            points,
            share,
            proof,
            stage: Stage::Commitments {
                zero,
                derivation,
                gather: Gather::from_each(&others),
            },
        };
        Ok((setup, outbound))
    }

    pub(crate) fn round(&self) -> u8 {
        match self.stage {
            Stage::Commitments { .. } => self.first_round,
            Stage::Openings { .. } | Stage::Over => self.first_round + 1,
        }
    }

    pub(crate) fn awaited(&self) -> Vec<PartyId> {
        match &self.stage {
            Stage::Commitments { gather, .. } => gather.awaited(),
            Stage::Openings { gather, .. } => gather.awaited(),
            Stage::Over => Vec::new(),
        }
    }

    /// Takes the message of the current round of an awaited party.
    pub(crate) fn receive(&mut self, from: &PartyId, body: &[u8]) -> Result<Progress<C>, Failure> {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Commitments {
                zero,
                derivation,
                mut gather,
            } => {
                if gather.insert(from, decode_body(from, body)?) {
                    return self.open(&zero, &derivation, gather.into_values());
                }
                self.stage = Stage::Commitments {
                    zero,
                    derivation,
                    gather,
                };
                Ok((Vec::new(), None))
            }
            Stage::Openings {
                zero,
                multiplication,
                commitments,
                mut gather,
            } => {
                let opening = self.read_opening(from, body)?;
                if gather.insert(from, opening) {
                    let openings = gather.into_values();
                    let secret = self.finish(&zero, &multiplication, &commitments, openings)?;
                    return Ok((Vec::new(), Some(secret)));
                }
                self.stage = Stage::Openings {
                    zero,
                    multiplication,
                    commitments,
                    gather,
                };
                Ok((Vec::new(), None))
            }
            Stage::Over => Ok((Vec::new(), None)),
        }
    }

    fn index(&self, party: &PartyId) -> Result<PartyIndex, Failure> {
        index(&self.committee, party)
            .ok_or_else(|| Failure::unattributed("a party is not in the committee"))
    }

    fn open(
        &mut self,
        zero: &BTreeMap<PartyIndex, KeepInitZeroSharePhase2to3>,
        derivation: &UniqueKeepDerivationPhase2to3,
        commitments: BTreeMap<PartyId, Commitments>,
    ) -> Result<Progress<C>, Failure> {
        let (zero, zero_openings, multiplication, transfers, _) =
            contained(&self.committee, || {
                Ok(phase3::<C::Library>(&self.data, zero, derivation))
            })?;
        let others: Vec<_> = commitments.keys().copied().collect();
        let mut zero_openings = by_receiver(zero_openings, |it| it.parties.receiver);
        let mut transfers = by_receiver(transfers, |it| it.parties.receiver);
        let mut outbound = Vec::with_capacity(others.len());
        for to in &others {
            let receiver = self.index(to)?;
            let incomplete =
                || Failure::unattributed("the library has no message for one of the parties");
            let opening: Opening<C::Library> = (
                self.proof.proof.clone(),
                zero_openings.remove(&receiver).ok_or_else(incomplete)?,
                transfers.remove(&receiver).ok_or_else(incomplete)?,
            );
            outbound.push(RoundMessage {
                to: *to,
                round: self.first_round + 1,
                body: encode(&opening).ok_or_else(incomplete)?.to_vec(),
            });
        }
        self.stage = Stage::Openings {
            zero,
            multiplication,
            commitments,
            gather: Gather::from_each(&others),
        };
        Ok((outbound, None))
    }

    /// Reads what opens a party's commitments: addressed from it to us, and a proof of the share that it is known to have.
    fn read_opening(&self, from: &PartyId, body: &[u8]) -> Result<Opening<C::Library>, Failure> {
        let opening = decode_canonical::<Opening<C::Library>>(body)
            .ok_or_else(|| Failure::blaming(*from, Offence::Malformed))?;
        let sender = self.index(from)?;
        let is_ours = |parties: &PartiesMessage| {
            parties.sender == sender && parties.receiver == self.data.party_index
        };
        if !is_ours(&opening.1.parties) || !is_ours(&opening.2.parties) {
            return Err(Failure::blaming(*from, Offence::Unexpected));
        }
        let proven = point_bytes::<C>(&opening.0.point);
        if proven.is_none() || proven.as_ref() != self.points.get(from) {
            return Err(Failure::blaming(*from, Offence::BadShare));
        }
        Ok(opening)
    }

    fn finish(
        &self,
        zero: &BTreeMap<PartyIndex, KeepInitZeroSharePhase3to4>,
        multiplication: &BTreeMap<PartyIndex, KeepInitMulPhase3to4<C::Library>>,
        commitments: &BTreeMap<PartyId, Commitments>,
        openings: BTreeMap<PartyId, Opening<C::Library>>,
    ) -> Result<Secret<C>, Failure> {
        let own = self.data.party_index;
        let mut proofs = vec![self.proof.clone()];
        let mut zero_commitments = Vec::new();
        let mut zero_openings = Vec::new();
        let mut transfers = Vec::new();
        for (party, (proof, seed, transfer)) in openings {
            let index = self.index(&party)?;
            let Some((to_proof, to_seed)) = commitments.get(&party) else {
                return Err(Failure::unattributed("a party has opened no commitment"));
            };
            proofs.push(ProofCommitment {
                index,
                proof,
                commitment: *to_proof,
            });
            zero_commitments.push(TransmitInitZeroSharePhase2to4 {
                parties: PartiesMessage {
                    sender: index,
                    receiver: own,
                },
                commitment: *to_seed,
            });
            zero_openings.push(seed);
            transfers.push(transfer);
        }
        let (committed, opened) = no_chain_code(&self.committee)?;
        let result = contained(&self.committee, || {
            phase4::<C::Library>(
                &self.data,
                &self.share,
                &proofs,
                zero,
                &zero_commitments,
                &zero_openings,
                multiplication,
                &transfers,
                &committed,
                &opened,
                |_| String::new(),
            )
        });
        zero_openings
            .iter_mut()
            .for_each(|opening| opening.seed.zeroize());
        let (party, _) = result?;
        if point_bytes::<C>(&party.pk) != Some(self.root_key) {
            return Err(Failure::unattributed(
                "the shares that were set up are of another key",
            ));
        }
        Secret::new(party)
            .ok_or_else(|| Failure::unattributed("the library's state has no canonical form"))
    }
}

fn by_receiver<T>(
    messages: Vec<T>,
    receiver: impl Fn(&T) -> PartyIndex,
) -> BTreeMap<PartyIndex, T> {
    let addressed = messages
        .into_iter()
        .map(|message| (receiver(&message), message));
    addressed.collect()
}

type Committed = BTreeMap<PartyIndex, BroadcastDerivationPhase2to4>;
type Opened = BTreeMap<PartyIndex, BroadcastDerivationPhase3to4>;

/// The library wants a chain code of everybody's making. Ours derive by `entropy_shared`, so everybody is given nothing to add: it is zero at all.
fn no_chain_code(committee: &Committee) -> Result<(Committed, Opened), Failure> {
    let (mut committed, mut opened) = (Committed::new(), Opened::new());
    for party in committee.parties() {
        let sender_index = index(committee, party)
            .ok_or_else(|| Failure::unattributed("a party is not in the committee"))?;
        let (cc_commitment, cc_salt) = commits::commit(&[0; 32]);
        committed.insert(
            sender_index,
            BroadcastDerivationPhase2to4 {
                sender_index,
                cc_commitment,
            },
        );
        opened.insert(
            sender_index,
            BroadcastDerivationPhase3to4 {
                sender_index,
                aux_chain_code: [0; 32],
                cc_salt,
            },
        );
    }
    Ok((committed, opened))
}
