//! A party's secret: its share with the pairwise set-up, and with whom it must never sign again.

use std::collections::BTreeSet;

use codec::{Decode, DecodeAll, Encode};
use dkls23::protocols::{Party, PartyIndex};
use entropy_shared::{PartyId, PublicPackage, VerifyingKey};
use k256_dkls::elliptic_curve::PrimeField;
use zeroize::{Zeroize, Zeroizing};

use super::{Curve, decode_canonical, encode, index, of_library, parameters, point_bytes};
use crate::share::DecodeError;

/// The library's party, and the indices of those whom it has caught at what forbids to sign with them under this share.
pub(crate) struct Secret<C: Curve> {
    /// The library erases it when it is dropped.
    pub(super) party: Party<C::Library>,
    banned: BTreeSet<u8>,
    /// The party, encoded.
    encoded: Zeroizing<Vec<u8>>,
}

#[derive(Encode, Decode)]
struct Encoded {
    banned: Vec<u8>,
    party: Vec<u8>,
}

impl Drop for Encoded {
    fn drop(&mut self) {
        self.party.zeroize();
    }
}

impl<C: Curve> Secret<C> {
    /// Nothing if the library's party has no encoding that gives it back.
    pub(super) fn new(party: Party<C::Library>) -> Option<Self> {
        let encoded = encode(&party)?;
        decode_canonical::<Party<C::Library>>(&encoded)?;
        Some(Self {
            party,
            banned: BTreeSet::new(),
            encoded,
        })
    }

    /// The banned in ascending order, then the library's party.
    pub(crate) fn encode(&self) -> Zeroizing<Vec<u8>> {
        let encoded = Encoded {
            banned: self.banned.iter().copied().collect(),
            party: self.encoded.to_vec(),
        };
        Zeroizing::new(Encode::encode(&encoded))
    }

    /// The share alone, as 32 big-endian bytes.
    pub(crate) fn share(&self) -> Zeroizing<Vec<u8>> {
        let mut repr = self.party.poly_point.to_repr();
        let share = Zeroizing::new(AsRef::<[u8]>::as_ref(&repr).to_vec());
        AsMut::<[u8]>::as_mut(&mut repr).zeroize();
        share
    }

    /// Reads what [`Self::encode`] wrote; every secret has one encoding.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let encoded = Encoded::decode_all(&mut &*bytes)
            .map_err(|_| DecodeError::Malformed("not the expected fields"))?;
        if !encoded.banned.is_sorted_by(|one, other| one < other) {
            return Err(DecodeError::Malformed("the banned are not ascending"));
        }
        let party = decode_canonical(&encoded.party).ok_or(DecodeError::Malformed(
            "no party of the library's in its canonical form",
        ))?;
        Ok(Self {
            party,
            banned: encoded.banned.iter().copied().collect(),
            encoded: Zeroizing::new(encoded.party.clone()),
        })
    }

    /// Whether this is the share of `owner`, set up with every other holder and nobody else.
    pub(crate) fn fits(
        &self,
        owner: &PartyId,
        verification: &VerifyingKey,
        public: &PublicPackage,
    ) -> bool {
        let party = &self.party;
        let others: BTreeSet<_> = public
            .committee
            .parties()
            .iter()
            .filter(|other| *other != owner)
            .filter_map(|other| index(&public.committee, other))
            .collect();
        let share = of_library::<C>(&party.poly_point);
        let seeds: Vec<_> = party
            .zero_share
            .seeds
            .iter()
            .map(|pair| (pair.index_counterparty, pair.lowest_index))
            .collect();
        let expected = others
            .iter()
            .map(|other| (*other, party.party_index < *other));
        let derived = &party.derivation_data;
        share.is_some_and(|share| C::key(&C::generate(&share)).as_ref() == Some(verification))
            && point_bytes::<C>(&party.pk).map(C::to_key) == Some(public.root_key)
            && Some(party.party_index) == index(&public.committee, owner)
            && parameters(&public.committee).is_some_and(|expected| {
                let ours = &party.parameters;
                (ours.threshold, ours.share_count) == (expected.threshold, expected.share_count)
            })
            && expected.eq(seeds)
            && party.mul_senders.keys().eq(&others)
            && party.mul_receivers.keys().eq(&others)
            && party
                .mul_senders
                .values()
                .all(|it| it.check_state().is_ok())
            && party
                .mul_receivers
                .values()
                .all(|it| it.check_state(None).is_ok())
            && (derived.poly_point, derived.pk) == (party.poly_point, party.pk)
            && (derived.chain_code, derived.depth, derived.child_number) == ([0; 32], 0, 0)
            && self
                .banned
                .iter()
                .all(|banned| PartyIndex::new(*banned).is_ok_and(|banned| others.contains(&banned)))
    }

    /// Whether the party with this coordinate must not sign together with the owner.
    pub(crate) fn is_banned(&self, index: u16) -> bool {
        u8::try_from(index).is_ok_and(|index| self.banned.contains(&index))
    }

    /// Remembers that the party with this coordinate must not sign together with the owner; whether that is new.
    pub(crate) fn ban(&mut self, index: u16) -> bool {
        u8::try_from(index).is_ok_and(|index| self.banned.insert(index))
    }
}
