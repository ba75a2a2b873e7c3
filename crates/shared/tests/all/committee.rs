//! Committees cannot be wrong; leaders take turns; proofs reach every holder.

use codec::{Decode, Encode};
use entropy_shared::{
    Committee, CommitteeError, PartyId, RequestId, ThresholdRule, committee::MAX_PARTIES, leader,
};
use proptest::{collection::btree_set, prelude::*, sample::Index};

use crate::support::{committee, hex32, party};

fn any_committee() -> impl Strategy<Value = Committee> {
    (
        btree_set(any::<[u8; 32]>(), 2..=MAX_PARTIES as usize),
        any::<Index>(),
    )
        .prop_map(|(parties, threshold)| {
            let threshold = threshold.index(parties.len() - 1) as u16 + 2;
            Committee::new(parties.into_iter().map(PartyId), threshold).unwrap()
        })
}

proptest! {
    #[test]
    fn parties_are_in_order_and_numbered_by_it(committee in any_committee()) {
        prop_assert!(committee.parties().is_sorted());
        for (i, party) in committee.parties().iter().enumerate() {
            prop_assert!(committee.contains(party));
            prop_assert_eq!(committee.index(party), Some(i as u16 + 1));
        }
        prop_assert_eq!(usize::from(committee.size()), committee.parties().len());
    }

    #[test]
    fn the_order_in_which_parties_are_given_does_not_matter(
        (given, sorted) in btree_set(any::<[u8; 32]>(), 2..10).prop_flat_map(|parties| {
            let parties: Vec<_> = parties.into_iter().map(PartyId).collect();
            (Just(parties.clone()).prop_shuffle(), Just(parties))
        })
    ) {
        let committee = Committee::new(given, 2).unwrap();
        prop_assert_eq!(committee.parties(), &sorted[..]);
    }

    #[test]
    fn a_committee_survives_bytes(committee in any_committee()) {
        prop_assert_eq!(Committee::decode(&mut &committee.encode()[..]).unwrap(), committee);
    }

    #[test]
    fn what_decodes_is_a_committee(parties: Vec<[u8; 32]>, threshold: u16, garbage: Vec<u8>) {
        for bytes in [(parties, threshold).encode(), garbage] {
            if let Ok(committee) = Committee::decode(&mut &bytes[..]) {
                let again = Committee::new(committee.parties().iter().copied(), committee.threshold());
                prop_assert_eq!(again, Ok(committee));
            }
        }
    }

    #[test]
    fn proof_sets_are_of_t_members_reach_everybody_and_are_as_few_as_can_be(committee in any_committee()) {
        let sets = committee.proof_sets();
        let t = usize::from(committee.threshold());
        for set in &sets {
            prop_assert_eq!(set.len(), t);
            prop_assert!(set.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(set.iter().all(|party| committee.contains(party)));
        }
        prop_assert!(committee.parties().iter().all(|party| sets.iter().any(|set| set.contains(party))));
        prop_assert_eq!(sets.len(), committee.parties().len().div_ceil(t));
    }

    #[test]
    fn everybody_leads_once_in_n_slots(committee in any_committee(), request: [u8; 32], first in 0u32..1_000_000) {
        let n = u32::from(committee.size());
        let mut leaders: Vec<_> = (first..first + n).map(|slot| leader(&committee, &RequestId(request), slot)).collect();
        prop_assert_eq!(leader(&committee, &RequestId(request), first + n), leaders[0]);
        leaders.sort_unstable();
        prop_assert_eq!(&leaders[..], committee.parties());
        prop_assert!(committee.contains(&leader(&committee, &RequestId(request), u32::MAX)));
    }

    #[test]
    fn two_thirds_is_more_than_two_thirds_and_at_most_all(n in 1u16..=32) {
        let t = ThresholdRule::TwoThirds.threshold(n);
        prop_assert!(u32::from(t) * 3 > 2 * u32::from(n) && t <= n);
        prop_assert!(u32::from(t - 1) * 3 <= 2 * u32::from(n));
        prop_assert_eq!(ThresholdRule::Fixed(7).threshold(n), 7);
    }
}

#[test]
fn what_is_no_committee_is_refused() {
    let new =
        |parties: Vec<u8>, threshold| Committee::new(parties.into_iter().map(party), threshold);
    assert_eq!(new(vec![], 2), Err(CommitteeError::Size(0)));
    assert_eq!(new(vec![1], 2), Err(CommitteeError::Size(1)));
    assert_eq!(new((0..33).collect(), 2), Err(CommitteeError::Size(33)));
    assert_eq!(
        new(vec![1, 2, 1], 2),
        Err(CommitteeError::Duplicate(party(1)))
    );
    for threshold in [0, 1, 4] {
        assert_eq!(
            new(vec![1, 2, 3], threshold),
            Err(CommitteeError::Threshold {
                threshold,
                parties: 3
            })
        );
    }
    assert!(new((0..32).collect(), 32).is_ok());
}

#[test]
fn what_is_no_committee_does_not_decode() {
    let good = committee(3, 2).encode();
    assert!(Committee::decode(&mut &good[..]).is_ok());
    let cases = [
        (vec![party(2), party(1), party(3)], 2),
        (vec![party(1), party(1), party(3)], 2),
        (vec![party(1), party(2), party(3)], 1),
        (vec![party(1), party(2), party(3)], 4),
        (vec![party(1)], 1),
        ((0..33).map(party).collect(), 2),
    ];
    for (parties, threshold) in cases {
        assert!(Committee::decode(&mut &(parties, threshold as u16).encode()[..]).is_err());
    }
}

#[test]
fn the_first_leader_is_golden() {
    // The first 8 bytes of the hash are 0xdc23fd0f99cbab8e, little-endian modulo 5: 2.
    assert_eq!(
        entropy_shared::tagged_hash("entropy/leader/v1", &RequestId([9; 32])),
        hex32("dc23fd0f99cbab8e9cd0d377888e580d7cefb77482955e644f7f4d364a7a0cb6")
    );
    let committee = committee(5, 4);
    assert_eq!(leader(&committee, &RequestId([9; 32]), 0), party(3));
    assert_eq!(leader(&committee, &RequestId([9; 32]), 3), party(1));
}
