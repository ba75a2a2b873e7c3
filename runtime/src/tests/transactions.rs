//! What a transaction passes through before it is dispatched.

use codec::Encode;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob};
use sp_runtime::{
    generic::{Era, SignedPayload},
    traits::TransactionExtension,
    transaction_validity::{InvalidTransaction, TransactionSource, TransactionValidityError},
};

use super::chain::{advance_to, apply, begin_block, end_block, local};
use crate::{
    Balances, Executive, Nonce, RuntimeCall, System, TransactionExtensions, UNIT,
    UncheckedExtrinsic,
};

/// What a transaction without tip and era says to the extensions.
pub(super) fn extensions(nonce: Nonce) -> TransactionExtensions {
    (
        frame_system::AuthorizeCall::new(),
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckMortality::from(Era::Immortal),
        frame_system::CheckNonce::from(nonce),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(0),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
        frame_system::WeightReclaim::new(),
    )
}

fn transfer(amount: u128) -> RuntimeCall {
    pallet_balances::Call::transfer_keep_alive {
        dest: Bob.to_account_id().into(),
        value: amount,
    }
    .into()
}

fn signed(call: RuntimeCall, nonce: Nonce) -> UncheckedExtrinsic {
    signed_by(Alice, call, nonce)
}

/// The transaction that `signer` makes of a call.
pub(super) fn signed_by(
    signer: Sr25519Keyring,
    call: RuntimeCall,
    nonce: Nonce,
) -> UncheckedExtrinsic {
    let payload = SignedPayload::new(call, extensions(nonce)).expect("the implicit data is known");
    let signature = payload.using_encoded(|bytes| signer.sign(bytes));
    let (call, extensions, _) = payload.deconstruct();
    UncheckedExtrinsic::new_signed(
        call,
        signer.to_account_id().into(),
        signature.into(),
        extensions,
    )
}

#[test]
fn the_order_of_the_extensions_is_pinned() {
    let names: Vec<_> = <TransactionExtensions as TransactionExtension<RuntimeCall>>::metadata()
        .into_iter()
        .map(|extension| extension.identifier)
        .collect();
    assert_eq!(
        names,
        [
            "AuthorizeCall",
            "CheckNonZeroSender",
            "CheckSpecVersion",
            "CheckTxVersion",
            "CheckGenesis",
            "CheckMortality",
            "CheckNonce",
            "CheckWeight",
            "ChargeTransactionPayment",
            "CheckMetadataHash",
            "WeightReclaim",
        ]
    );
}

#[test]
fn a_signed_transfer_is_applied_and_its_fee_burnt() {
    local(20).execute_with(|| {
        advance_to(1);
        begin_block();
        let issued = Balances::total_issuance();
        let before = Balances::free_balance(Bob.to_account_id());
        apply(signed(transfer(5 * UNIT), 0))
            .expect("is valid")
            .expect("succeeds");
        end_block();
        assert_eq!(
            Balances::free_balance(Bob.to_account_id()),
            before + 5 * UNIT
        );
        assert!(Balances::total_issuance() < issued);
        assert_eq!(System::account_nonce(Alice.to_account_id()), 1);
    });
}

#[test]
fn a_transfer_with_the_wrong_nonce_or_signature_is_refused() {
    local(20).execute_with(|| {
        advance_to(1);
        begin_block();
        apply(signed(transfer(UNIT), 0))
            .expect("is valid")
            .expect("succeeds");
        assert_eq!(
            apply(signed(transfer(UNIT), 0)),
            Err(TransactionValidityError::Invalid(InvalidTransaction::Stale))
        );
        let mut tampered = signed(transfer(UNIT), 1);
        tampered.function = transfer(2 * UNIT);
        assert_eq!(
            apply(tampered),
            Err(TransactionValidityError::Invalid(
                InvalidTransaction::BadProof
            ))
        );
    });
}

#[test]
fn a_general_transaction_without_authority_is_refused() {
    local(20).execute_with(|| {
        advance_to(1);
        let orphan = UncheckedExtrinsic::new_transaction(transfer(UNIT), extensions(0));
        let validity = Executive::validate_transaction(
            TransactionSource::External,
            orphan,
            Default::default(),
        );
        assert!(validity.is_err(), "{validity:?}");
    });
}
