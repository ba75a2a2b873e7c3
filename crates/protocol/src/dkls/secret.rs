//! A holder's secret: its share, what it has set up with each peer, and with whom it may not sign any more; with one strict encoding.
//!
//! Of the library's `Party` only what is secret is kept; the rest (indices, threshold, session, keys) follows from the public package when it signs,
//! so that it cannot contradict it. A checksum over all, bound to package and party, finds damage before a signature does: with a damaged set-up an innocent peer
//! would look like a cheat and be banned. It is no protection against somebody who can write to the store: that is the store's encryption.

use std::collections::{BTreeMap, BTreeSet};

use dkls_curve::{CurveAffine, Field, Group};
use dkls23::{
    protocols::{Parameters, Party, PartyIndex, derivation::DerivData},
    utilities::{
        multiplication::{MulReceiver, MulSender},
        zero_shares::{SeedPair, ZeroShare},
    },
};
use entropy_shared::{PartyId, PublicPackage, VerifyingKey, tagged_hash};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{
    Curve, compress, decompress, pair::Pair, party_index, scalar, scalar_bytes, setup::session,
    wire,
};
use crate::share::DecodeError;

/// Version of the encoding.
const VERSION: u8 = 1;

/// What one holder has.
pub(crate) struct Secret<C: Curve> {
    share: Zeroizing<C::Scalar>,
    pairs: BTreeMap<PartyId, Pair<C>>,
    banned: BTreeSet<PartyId>,
}

/// A secret as it is stored; the pairs in the order of their parties, which are those of the committee.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
struct Stored<C: Curve> {
    version: u8,
    share: [u8; 32],
    pairs: Vec<([u8; 32], MulSender<C>, MulReceiver<C>)>,
    banned: Vec<[u8; 32]>,
}

impl<C: Curve> Drop for Stored<C> {
    fn drop(&mut self) {
        self.share.zeroize();
        for (seed, _, _) in &mut self.pairs {
            seed.zeroize();
        }
    }
}

impl<C: Curve> Secret<C> {
    pub(super) fn new(share: C::Scalar, pairs: BTreeMap<PartyId, Pair<C>>) -> Self {
        Self {
            share: Zeroizing::new(share),
            pairs,
            banned: BTreeSet::new(),
        }
    }

    /// The share as 32 big-endian bytes, to be dealt again.
    pub(crate) fn share(&self) -> Zeroizing<[u8; 32]> {
        scalar_bytes::<C>(&self.share)
    }

    pub(crate) const fn banned(&self) -> &BTreeSet<PartyId> {
        &self.banned
    }

    /// Whether this is news. Only who is set up with this share can be banned from it.
    pub(crate) fn ban(&mut self, party: PartyId) -> bool {
        self.pairs.contains_key(&party) && self.banned.insert(party)
    }

    /// Whether the share is that of the verification share, and the set-up one with exactly the other members of the committee.
    pub(crate) fn fits(
        &self,
        verification: &VerifyingKey,
        public: &PublicPackage,
        party: &PartyId,
    ) -> bool {
        let own = compress::<C>(&(C::ProjectivePoint::generator() * *self.share)).map(C::key);
        let peers = public
            .committee
            .parties()
            .iter()
            .filter(|peer| *peer != party);
        public.scheme == C::SCHEME
            && own.as_ref() == Some(verification)
            && self.pairs.keys().eq(peers)
    }

    /// A checksum, then the secret itself.
    pub(crate) fn encode(&self, public: &PublicPackage, party: &PartyId) -> Zeroizing<Vec<u8>> {
        let pair = |pair: &Pair<C>| (*pair.seed, pair.sender.clone(), pair.receiver.clone());
        let stored = Stored {
            version: VERSION,
            share: *scalar_bytes::<C>(&self.share),
            pairs: self.pairs.values().map(pair).collect(),
            banned: self.banned.iter().map(|party| party.0).collect(),
        };
        // Values of these types always have an encoding: empty bytes would be refused when they are read.
        let body = wire::encode(&stored).unwrap_or_default();
        let checksum = checksum(public, party, &body);
        Zeroizing::new([checksum.as_slice(), body.as_slice()].concat())
    }

    /// Reads what [`Self::encode`] wrote for this package and party.
    pub(crate) fn decode(
        bytes: &[u8],
        public: &PublicPackage,
        party: &PartyId,
    ) -> Result<Self, DecodeError> {
        let (expected, body) = bytes
            .split_first_chunk::<32>()
            .ok_or(DecodeError::Malformed("shorter than a checksum"))?;
        if *expected != checksum(public, party, body) {
            return Err(DecodeError::Malformed(
                "damaged, or of another package or party",
            ));
        }
        let mut stored = wire::decode::<Stored<C>>(body)
            .filter(|stored| stored.version == VERSION)
            .ok_or(DecodeError::Malformed("no secret in its canonical form"))?;
        let share = scalar::<C>(&stored.share)
            .filter(|share| !bool::from(share.is_zero()))
            .ok_or(DecodeError::Malformed("the share is no scalar"))?;
        let parties = public.committee.parties().iter();
        let peers: Vec<_> = parties.filter(|peer| *peer != party).collect();
        if peers.len() != stored.pairs.len() {
            return Err(DecodeError::Malformed("not one set-up for each peer"));
        }
        let pairs = std::mem::take(&mut stored.pairs)
            .into_iter()
            .map(|(seed, sender, receiver)| {
                let whole = sender.check_state().is_ok() && receiver.check_state(None).is_ok();
                let seed = Zeroizing::new(seed);
                whole.then_some(Pair {
                    seed,
                    sender,
                    receiver,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or(DecodeError::Malformed("a set-up of the wrong dimensions"))?;
        let mut secret = Self::new(share, peers.into_iter().copied().zip(pairs).collect());
        let ordered = stored.banned.windows(2).all(|pair| pair[0] < pair[1]);
        if !ordered || !stored.banned.iter().all(|id| secret.ban(PartyId(*id))) {
            return Err(DecodeError::Malformed("the banned are no list of peers"));
        }
        Ok(secret)
    }

    /// The library's party for one signature with these peers, everything of it shifted by the `offset` of a child key.
    ///
    /// Library trap: the shift must be in the share, in the key, and in both again inside of its derivation data, at every signer.
    pub(super) fn party(
        &self,
        public: &PublicPackage,
        me: &PartyId,
        peers: &[PartyId],
        offset: &[u8; 32],
    ) -> Option<Party<C>> {
        let index = |party: &PartyId| party_index(&public.committee, party);
        let offset = scalar::<C>(offset)?;
        let share = Zeroizing::new(*self.share + offset);
        let root = decompress::<C>(C::key_bytes(&public.root_key)?)?;
        let key: C::AffinePoint = (root + C::ProjectivePoint::generator() * offset).into();
        if key == C::AffinePoint::identity() {
            return None;
        }
        let own = index(me)?;
        let mut seeds = Vec::new();
        let (mut senders, mut receivers) = (BTreeMap::new(), BTreeMap::new());
        for peer in peers {
            let (pair, peer) = (self.pairs.get(peer)?, index(peer)?);
            seeds.push(seed_pair(own, peer, &pair.seed));
            senders.insert(peer, pair.sender.clone());
            receivers.insert(peer, pair.receiver.clone());
        }
        let count = |count: u16| u8::try_from(count).ok();
        let committee = &public.committee;
        Some(Party {
            parameters: Parameters::new(count(committee.threshold())?, count(committee.size())?)
                .ok()?,
            party_index: own,
            session_id: session(public).to_vec(),
            poly_point: *share,
            pk: key,
            zero_share: ZeroShare::initialize(seeds),
            mul_senders: senders,
            mul_receivers: receivers,
            derivation_data: DerivData {
                depth: 0,
                child_number: 0,
                parent_fingerprint: [0; 4],
                poly_point: *share,
                pk: key,
                chain_code: [0; 32],
            },
            address: String::new(),
        })
    }
}

#[cfg(test)]
impl<C: Curve> Secret<C> {
    pub(super) fn replace_share(&mut self, share: C::Scalar) {
        self.share = Zeroizing::new(share);
    }
}

fn seed_pair(own: PartyIndex, peer: PartyIndex, seed: &[u8; 32]) -> SeedPair {
    SeedPair {
        lowest_index: own < peer,
        index_counterparty: peer,
        seed: *seed,
    }
}

fn checksum(public: &PublicPackage, party: &PartyId, body: &[u8]) -> [u8; 32] {
    tagged_hash("entropy/dkls/stored/v1", &(public.digest(), party, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use entropy_shared::{Committee, Genesis};

    type C = dkls_k256::Secp256k1;

    fn package() -> PublicPackage {
        let key = |byte| VerifyingKey::Secp256k1([byte; 33]);
        PublicPackage {
            genesis: Genesis([1; 32]),
            scheme: C::SCHEME,
            epoch: 1,
            attempt: 1,
            committee: Committee::new([1, 2, 3].map(|byte| PartyId([byte; 32])), 2).unwrap(),
            root_key: key(2),
            verification_shares: vec![key(2); 3],
        }
    }

    /// A set-up of the right dimensions, in the bytes of the library.
    fn pair(rows: usize) -> (MulSender<C>, MulReceiver<C>) {
        let gadget = vec![<C as dkls_curve::CurveArithmetic>::Scalar::ONE; 416];
        let seeds = vec![[7u8; 32]; rows];
        let sender = wire::encode(&(&gadget, (vec![true; rows], &seeds))).unwrap();
        let receiver = wire::encode(&(&gadget, (&seeds, &seeds))).unwrap();
        (
            wire::decode(&sender).unwrap(),
            wire::decode(&receiver).unwrap(),
        )
    }

    fn stored(edit: impl FnOnce(&mut Stored<C>)) -> Result<Secret<C>, DecodeError> {
        let (sender, receiver) = pair(256);
        let pair = || ([5; 32], sender.clone(), receiver.clone());
        let mut stored = Stored::<C> {
            version: VERSION,
            share: [1; 32],
            pairs: vec![pair(), pair()],
            banned: Vec::new(),
        };
        edit(&mut stored);
        let body = wire::encode(&stored).unwrap();
        let checksum = checksum(&package(), &PartyId([1; 32]), &body);
        let bytes = [&checksum, body.as_slice()].concat();
        Secret::decode(&bytes, &package(), &PartyId([1; 32]))
    }

    #[test]
    fn a_record_that_contradicts_itself_is_refused() {
        let secret = stored(|_| ()).ok().unwrap();
        assert!(secret.banned().is_empty());
        let malformed = |edit: fn(&mut Stored<C>), why: &str| {
            let DecodeError::Malformed(text) = stored(edit).err().unwrap() else {
                panic!("another error")
            };
            assert!(text.contains(why), "{text}");
        };
        malformed(|stored| stored.version = 2, "canonical");
        malformed(|stored| stored.share = [0; 32], "no scalar");
        malformed(|stored| stored.share = [0xff; 32], "no scalar");
        malformed(|stored| drop(stored.pairs.pop()), "each peer");
        malformed(
            |stored| stored.pairs.push(stored.pairs[0].clone()),
            "each peer",
        );
        malformed(
            |stored| (stored.pairs[1].1, stored.pairs[1].2) = pair(255),
            "dimensions",
        );
        for banned in [
            vec![[1; 32]],
            vec![[9; 32]],
            vec![[3; 32], [2; 32]],
            vec![[2; 32], [2; 32]],
        ] {
            let refused = stored(|stored| stored.banned = banned.clone()).err();
            assert_eq!(
                refused,
                Some(DecodeError::Malformed("the banned are no list of peers"))
            );
        }
        let banned = stored(|stored| stored.banned = vec![[2; 32], [3; 32]]);
        assert_eq!(banned.ok().unwrap().banned().len(), 2);
    }

    #[test]
    fn nothing_grows_with_what_a_length_claims() {
        let mut body = vec![VERSION];
        body.extend([1; 32]);
        body.extend([0xff, 0xff, 0xff, 0xff, 0x0f]);
        let checksum = checksum(&package(), &PartyId([1; 32]), &body);
        let bytes = [checksum.as_slice(), &body].concat();
        assert!(Secret::<C>::decode(&bytes, &package(), &PartyId([1; 32])).is_err());
    }
}
