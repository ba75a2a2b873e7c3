//! Auxiliary material for the holders of threshold shares (`AuxGen`, the paper's Fig. 7 without refresh), and the share made of both.
//!
//! Key generation and re-dealing end with it: it is where the primes are searched, seconds of computation.

use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use entropy_shared::{CeremonyId, PartyId};
use rand_core::CryptoRngCore;
use synedrion::{AuxGen, AuxGenProtocol, AuxInfo};
use zeroize::Zeroizing;

use super::{
    Production, Secret,
    session::{Progress, Session, Setting},
    wire::{Contribution, Node, decode_canonical, is_whole},
};
use crate::{ceremony::Failure, guard::RoundMessage};

/// How many rounds it takes: three, of which the first two are echoed.
pub(crate) const ROUNDS: u8 = 5;

/// Modulus and two bases, as the library serialises them.
type RingPedersen = [Vec<u8>; 3];

/// One party's side, from round `FIRST` of the ceremony on.
pub(crate) struct Auxiliary<const FIRST: u8>(Box<Session<AuxGenProtocol<Production, Node>>>);

/// The library's material.
pub(crate) struct Material(AuxInfo<Production, Node>);

impl<const FIRST: u8> Auxiliary<FIRST> {
    /// Searches the primes and begins, together with `others`.
    pub(crate) fn start(
        ceremony: CeremonyId,
        account: &SigningKey,
        others: &BTreeSet<PartyId>,
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(Self, Vec<RoundMessage>), Failure> {
        let me = PartyId(account.verifying_key().to_bytes());
        let nodes = others
            .iter()
            .chain([&me])
            .copied()
            .map(Node::from)
            .collect();
        let entry = AuxGen::<Production, Node>::new(nodes)
            .map_err(|_| Failure::unattributed("the library refused the parties"))?;
        let setting = Setting {
            ceremony,
            label: "auxiliary",
            account,
            others,
            first_round: FIRST,
            fork: None,
            accepts: accepts::<FIRST>,
        };
        let (session, outbound) = Session::start(&setting, entry, rng)?;
        Ok((Self(Box::new(session)), outbound))
    }

    pub(crate) fn round(&self) -> u8 {
        self.0.round()
    }

    pub(crate) fn awaited(&self) -> Vec<PartyId> {
        self.0.awaited()
    }

    /// Takes a message of the current round; gives messages of the next, and the material at the end.
    pub(crate) fn receive(
        &mut self,
        from: &PartyId,
        body: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Result<(Vec<RoundMessage>, Option<Material>), Failure> {
        let Progress { outbound, result } = self.0.receive(from, body, rng)?;
        Ok((outbound, result.transpose()?.map(Material)))
    }
}

/// The third round, before which the second is echoed, opens what the first commits to.
fn accepts<const FIRST: u8>(round: u8, broadcast: &[u8]) -> bool {
    round != FIRST + 2
        || decode_canonical::<(RingPedersen, Contribution)>(broadcast)
            .is_some_and(|it| is_whole(&it.1))
}

/// A party's secret: its share and the material.
pub(crate) fn secret(
    share: Zeroizing<k256::Scalar>,
    material: Material,
) -> Result<Secret, Failure> {
    Secret::new(share, material.0).ok_or_else(|| {
        Failure::unattributed("the library's auxiliary material has no canonical form")
    })
}
