//! Sessions, eras, by which keys nodes can be found, and what happens to a validator that contradicts itself.

use codec::Encode;
use frame_support::{assert_ok, traits::KeyOwnerProofSystem};
use sp_authority_discovery::runtime_decl_for_authority_discovery_api::AuthorityDiscoveryApi as _;
use sp_consensus_babe::{
    AuthorityId, AuthorityPair, BABE_ENGINE_ID, EquivocationProof, Slot,
    digests::{CompatibleDigestItem, PreDigest, SecondaryPlainPreDigest},
};
use sp_core::{Pair, proof_of_possession::statement_of_ownership, sr25519};
use sp_keyring::{
    Ed25519Keyring,
    Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Ferdie},
};
use sp_runtime::{
    Digest, DigestItem,
    traits::{Header as _, OpaqueKeys},
    transaction_validity::{InvalidTransaction, TransactionSource},
};

use super::chain::{advance_to, apply, begin_block, local};
use crate::{
    AccountId, Executive, Hash, Header, Historical, Runtime, RuntimeCall, RuntimeEvent,
    RuntimeOrigin, Session, SessionKeys, Staking, System, UncheckedExtrinsic,
};

#[test]
fn sessions_and_eras_have_the_length_of_the_specification() {
    local(5).execute_with(|| {
        // The first block's slot is the first of session 0.
        advance_to(5);
        assert_eq!(Session::current_index(), 0);
        advance_to(6);
        assert_eq!(Session::current_index(), 1);
        advance_to(15);
        assert_eq!(Session::current_index(), 2);
        assert_eq!(era(), Some(0));
        advance_to(16);
        assert_eq!(Session::current_index(), 3);
        assert_eq!(era(), Some(1));
        assert_eq!(Session::validators().len(), 4);
    });
}

fn era() -> Option<u32> {
    pallet_staking::ActiveEra::<Runtime>::get().map(|era| era.index)
}

#[test]
fn validators_are_paid_for_an_era() {
    local(5).execute_with(|| {
        advance_to(16);
        let paid = pallet_staking::ErasValidatorReward::<Runtime>::get(0).expect("era 0 is over");
        assert!(paid > 0);
        assert!(pallet_staking::ErasRewardPoints::<Runtime>::get(0).total > 0);
        assert_eq!(Staking::current_era(), Some(1));
    });
}

fn discoverable() -> Vec<AccountId> {
    // The well-known people use the key of their account for this, too.
    let keys = Runtime::authorities().into_iter();
    let mut accounts: Vec<_> = keys
        .map(|key| AccountId::from(sr25519::Public::from(key)))
        .collect();
    accounts.sort();
    accounts
}

#[test]
fn nodes_can_be_found_by_the_keys_of_this_session_and_of_the_next() {
    fn of(keys: &[Sr25519Keyring]) -> Vec<AccountId> {
        let mut accounts: Vec<_> = keys.iter().map(|key| key.to_account_id()).collect();
        accounts.sort();
        accounts
    }
    local(5).execute_with(|| {
        assert_eq!(discoverable(), of(&[Alice, Bob, Charlie, Dave]));
        advance_to(1);
        let keys = SessionKeys {
            babe: Dave.public().into(),
            grandpa: Ed25519Keyring::Dave.public().into(),
            authority_discovery: Ferdie.public().into(),
        };
        let stash = Dave.to_account_id();
        let statement = statement_of_ownership(stash.as_ref());
        let proof = (
            Dave.sign(&statement),
            Ed25519Keyring::Dave.sign(&statement),
            Ferdie.sign(&statement),
        );
        let origin = RuntimeOrigin::signed(stash.clone());
        assert_ok!(Session::set_keys(origin, keys, proof.encode()));
        // The new key is queued for session 2.
        advance_to(6);
        assert_eq!(discoverable(), of(&[Alice, Bob, Charlie, Dave, Ferdie]));
        advance_to(11);
        assert_eq!(discoverable(), of(&[Alice, Bob, Charlie, Ferdie]));
    });
}

#[test]
fn the_uses_of_session_keys_and_their_order_are_pinned() {
    let ids = <SessionKeys as OpaqueKeys>::key_ids().iter().map(|id| id.0);
    assert_eq!(ids.collect::<Vec<_>>(), [*b"babe", *b"gran", *b"audi"]);
}

/// A header that claims `slot` and is sealed by `author`.
fn sealed(author: &AuthorityPair, slot: Slot, extrinsics_root: Hash) -> Header {
    let claim = PreDigest::SecondaryPlain(SecondaryPlainPreDigest {
        authority_index: 1,
        slot,
    });
    let mut header = Header::new(
        3,
        extrinsics_root,
        Hash::zero(),
        Hash::zero(),
        Digest {
            logs: vec![DigestItem::PreRuntime(BABE_ENGINE_ID, claim.encode())],
        },
    );
    let seal = author.sign(header.hash().as_ref());
    header
        .digest_mut()
        .push(<DigestItem as CompatibleDigestItem>::babe_seal(seal));
    header
}

/// The report that Bob sealed two blocks for the same slot.
fn report_of_bob() -> UncheckedExtrinsic {
    let bob = AuthorityPair::from(Bob.pair());
    let slot = pallet_babe::CurrentSlot::<Runtime>::get();
    let offender: AuthorityId = bob.public();
    let key_owner_proof = Historical::prove((sp_consensus_babe::KEY_TYPE, &offender))
        .expect("Bob validates in this session");
    let equivocation_proof = Box::new(EquivocationProof {
        offender,
        slot,
        first_header: sealed(&bob, slot, Hash::repeat_byte(1)),
        second_header: sealed(&bob, slot, Hash::repeat_byte(2)),
    });
    let call = pallet_babe::Call::report_equivocation_unsigned {
        equivocation_proof,
        key_owner_proof,
    };
    UncheckedExtrinsic::new_bare(RuntimeCall::Babe(call))
}

#[test]
fn an_equivocation_is_reported_once_slashed_and_disables() {
    local(20).execute_with(|| {
        advance_to(3);
        begin_block();
        let report = report_of_bob();
        apply(report.clone())
            .expect("is valid")
            .expect("is punished");

        let reported = |event: &RuntimeEvent| {
            matches!(
                event,
                RuntimeEvent::Offences(pallet_offences::Event::Offence { .. })
            )
        };
        assert!(
            System::events()
                .iter()
                .any(|record| reported(&record.event))
        );
        assert!(System::events().iter().any(|record| matches!(
            &record.event,
            RuntimeEvent::Staking(pallet_staking::Event::SlashReported { validator, .. })
                if *validator == Bob.to_account_id()
        )));
        let index = Session::validators()
            .iter()
            .position(|validator| *validator == Bob.to_account_id())
            .expect("Bob is active");
        assert_eq!(Session::disabled_validators(), [index as u32]);

        assert_eq!(apply(report), Err(InvalidTransaction::Stale.into()));
    });
}

#[test]
fn a_strangers_report_of_an_equivocation_must_be_signed() {
    local(20).execute_with(|| {
        advance_to(3);
        let report = report_of_bob();
        assert_eq!(
            Executive::validate_transaction(
                TransactionSource::External,
                report.clone(),
                Hash::zero()
            ),
            Err(InvalidTransaction::Call.into())
        );
    });
    local(20).execute_with(|| {
        advance_to(3);
        let validity = Executive::validate_transaction(
            TransactionSource::Local,
            report_of_bob(),
            Hash::zero(),
        );
        assert!(validity.is_ok_and(|valid| !valid.propagate));
    });
}
