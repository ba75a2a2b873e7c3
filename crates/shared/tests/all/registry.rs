//! What a key may have attached, what it costs, and how it changes hands.

use codec::{Encode, MaxEncodedLen};
use entropy_shared::{
    AccountId, KeyId, ProgramId, Scheme, VerifyingKey,
    lifecycle::registry::{
        AttachedProgram, KeyPolicyError, KeyRecord, MAX_CONFIGURATION_BYTES, MAX_PROGRAMS,
        MAX_REQUESTERS, OwnershipError, RETIRED_BYTES, Requesters, check_policy, policy_bytes,
    },
    parameters::Parameters,
};
use proptest::prelude::*;

use crate::support::GENESIS;

fn account(number: u8) -> AccountId {
    AccountId([number; 32])
}

fn program(number: u8, configuration: usize) -> AttachedProgram {
    AttachedProgram {
        program: ProgramId([number; 32]),
        configuration: vec![number; configuration],
    }
}

fn programs(count: u32) -> Vec<AttachedProgram> {
    (0..count).map(|number| program(number as u8, 3)).collect()
}

fn accounts(count: u32) -> Requesters {
    Requesters::Accounts((0..count).map(|number| account(number as u8)).collect())
}

fn key(programs: Vec<AttachedProgram>, requesters: Requesters) -> KeyRecord {
    KeyRecord {
        owner: account(1),
        offered_to: None,
        registrant: account(1),
        scheme: Scheme::EcdsaCggmp24,
        salt: [7; 32],
        verifying_key: VerifyingKey::Secp256k1([2; 33]),
        programs,
        requesters,
        registered: 1,
    }
}

fn prices() -> Parameters {
    Parameters {
        key_deposit: 1_000,
        key_byte_deposit: 2,
        ..Parameters::default()
    }
}

#[test]
fn programs_are_few_different_and_configured_briefly() {
    let check = |programs: &[AttachedProgram]| check_policy(programs, &Requesters::Owner);
    assert_eq!(check(&programs(MAX_PROGRAMS)), Ok(()));
    assert_eq!(
        check(&programs(MAX_PROGRAMS + 1)),
        Err(KeyPolicyError::TooManyPrograms(MAX_PROGRAMS as usize + 1))
    );
    // A program is the same whatever it is told.
    assert_eq!(
        check(&[program(1, 0), program(2, 0), program(1, 9)]),
        Err(KeyPolicyError::DuplicateProgram(ProgramId([1; 32])))
    );
    let longest = MAX_CONFIGURATION_BYTES as usize;
    assert_eq!(check(&[program(1, longest)]), Ok(()));
    assert_eq!(
        check(&[program(1, longest + 1)]),
        Err(KeyPolicyError::ConfigurationTooLong(longest + 1))
    );
}

#[test]
fn requesters_are_few_in_order_and_not_everybody_without_a_guard() {
    let check = |requesters: Requesters| check_policy(&[], &requesters);
    assert_eq!(check(Requesters::Owner), Ok(()));
    assert_eq!(check(accounts(0)), Ok(()));
    assert_eq!(check(accounts(MAX_REQUESTERS)), Ok(()));
    assert_eq!(
        check(accounts(MAX_REQUESTERS + 1)),
        Err(KeyPolicyError::TooManyRequesters(
            MAX_REQUESTERS as usize + 1
        ))
    );
    for list in [[2, 1], [1, 1]] {
        assert_eq!(
            check(Requesters::Accounts(list.map(account).to_vec())),
            Err(KeyPolicyError::RequestersNotAscending)
        );
    }
    assert_eq!(check(Requesters::Anyone), Err(KeyPolicyError::Unguarded));
    assert_eq!(check_policy(&programs(1), &Requesters::Anyone), Ok(()));
}

#[test]
fn the_owner_may_always_request_and_others_as_the_policy_says() {
    let asks = |key: &KeyRecord| [1, 2, 3].map(|number| key.may_request(&account(number)));
    let owner_only = key(vec![], Requesters::Owner);
    assert_eq!(asks(&owner_only), [true, false, false]);
    let listed = key(vec![], Requesters::Accounts(vec![account(3)]));
    assert_eq!(asks(&listed), [true, false, true]);
    let open = key(programs(1), Requesters::Anyone);
    assert_eq!(asks(&open), [true, true, true]);
    // Even if such a record came to be, nobody else could use a key that nothing guards.
    let unguarded = key(vec![], Requesters::Anyone);
    assert_eq!(asks(&unguarded), [true, false, false]);
    // Neither who registered it nor to whom it is offered counts.
    let given = KeyRecord {
        owner: account(2),
        offered_to: Some(account(3)),
        ..owner_only
    };
    assert_eq!(asks(&given), [false, true, false]);
}

#[test]
fn the_deposit_counts_programs_configurations_and_accounts() {
    assert_eq!(policy_bytes(&[], &Requesters::Owner), 0);
    assert_eq!(policy_bytes(&[], &accounts(3)), 3 * 32);
    assert_eq!(
        policy_bytes(&[program(1, 0), program(2, 10)], &Requesters::Anyone),
        2 * 32 + 10
    );
    let key = key(vec![program(1, 10)], accounts(1));
    assert_eq!(key.policy_bytes(), 74);
    assert_eq!(key.deposit(&prices()), 1_000 + 2 * 74);
    let dear = Parameters {
        key_deposit: u128::MAX,
        key_byte_deposit: u128::MAX,
        ..Parameters::default()
    };
    assert_eq!(key.deposit(&dear), u128::MAX);
}

#[test]
fn the_largest_record_fits_its_bound() {
    let longest = MAX_CONFIGURATION_BYTES as usize;
    let largest = KeyRecord {
        offered_to: Some(account(2)),
        ..key(
            (0..MAX_PROGRAMS)
                .map(|number| program(number as u8, longest))
                .collect(),
            accounts(MAX_REQUESTERS),
        )
    };
    assert_eq!(check_policy(&largest.programs, &largest.requesters), Ok(()));
    let size = largest.encoded_size();
    // The bound counts five bytes for each length that needs one or two.
    assert!(size <= KeyRecord::max_encoded_len() && size + 64 > KeyRecord::max_encoded_len());
}

#[test]
fn a_key_changes_hands_only_if_its_owner_offers_and_the_other_accepts() {
    let registered = key(programs(1), accounts(2));
    assert_eq!(
        registered.clone().accept(account(2)),
        Err(OwnershipError::NotOffered)
    );
    assert_eq!(
        registered.clone().offer(Some(account(1))),
        Err(OwnershipError::AlreadyOwner)
    );
    let offered = registered.clone().offer(Some(account(2))).unwrap();
    assert_eq!(offered.owner, account(1));
    for other in [1, 3] {
        assert_eq!(
            offered.clone().accept(account(other)),
            Err(OwnershipError::NotOffered)
        );
    }
    // A later offer replaces an earlier one, and none takes it back.
    let elsewhere = offered.clone().offer(Some(account(3))).unwrap();
    assert_eq!(
        elsewhere.accept(account(2)),
        Err(OwnershipError::NotOffered)
    );
    assert_eq!(offered.clone().offer(None), Ok(registered.clone()));
    assert_eq!(
        offered.accept(account(2)),
        Ok(KeyRecord {
            owner: account(2),
            ..registered
        })
    );
}

#[test]
fn an_id_is_used_up_unless_its_registrant_closes_the_key() {
    let registered = key(vec![], Requesters::Owner);
    assert!(!registered.retires());
    let fee = 2 * u128::from(RETIRED_BYTES);
    assert_eq!(registered.transfer_fee(&prices()), fee);
    let given = registered
        .offer(Some(account(2)))
        .unwrap()
        .accept(account(2))
        .unwrap();
    assert!(given.retires());
    assert_eq!(given.transfer_fee(&prices()), 0);
    let back = given
        .offer(Some(account(1)))
        .unwrap()
        .accept(account(1))
        .unwrap();
    assert!(!back.retires());
    assert_eq!(back.transfer_fee(&prices()), fee);
}

proptest! {
    #[test]
    fn whatever_is_offered_and_accepted_who_registered_and_what_the_id_commits_to_stay(
        steps in proptest::collection::vec((any::<bool>(), proptest::option::of(1u8..4)), 0..20)
    ) {
        let first = key(programs(2), accounts(2));
        let mut now = first.clone();
        for (offers, number) in steps {
            let before = now.clone();
            let next = match (offers, number) {
                (true, to) => now.clone().offer(to.map(account)),
                (false, Some(by)) => now.clone().accept(account(by)),
                (false, None) => continue,
            };
            now = next.unwrap_or(now);
            prop_assert!(now.offered_to != Some(now.owner));
            prop_assert!(now.owner == before.owner || before.offered_to == Some(now.owner));
            let id = |key: &KeyRecord| KeyId::of(&GENESIS, key.scheme, &key.registrant, &key.salt);
            prop_assert_eq!(id(&now), id(&first));
            prop_assert_eq!(
                KeyRecord { owner: first.owner, offered_to: None, ..now.clone() },
                first.clone()
            );
        }
    }

    #[test]
    fn two_programs_share_an_id_only_if_they_are_the_same(
        code in proptest::collection::vec(any::<u8>(), 0..80),
        schema in proptest::collection::vec(any::<u8>(), 0..80),
        cut in 0usize..160,
    ) {
        // Where code ends and schema begins counts, not only the bytes.
        let joined = [code.clone(), schema.clone()].concat();
        let (other_code, other_schema) = joined.split_at(cut.min(joined.len()));
        prop_assert_eq!(
            ProgramId::of(&code, &schema) == ProgramId::of(other_code, other_schema),
            code == other_code
        );
    }
}
