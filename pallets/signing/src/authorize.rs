//! Whether a server's result or refusal may enter a block: cheap checks of state first, then the
//! server's signature, then the result itself.
//!
//! Runs in the transaction pool and again in the block; whatever passes cannot fail in dispatch.
//! What may come true later is *unknown*, because the pool bans what is *invalid* for half an hour.

use entropy_shared::{
    BlockNumber, Epoch, PartyId, RequestId, Signature,
    canonical::{ValidityError, blocks_left, refusal_bytes, result_bytes},
    lifecycle::request::{Refusal, RefusalError, ResultError},
    traits::Network,
};
use frame_support::{pallet_prelude::*, weights::Weight};
use sp_core::ed25519;

use crate::{Config, Pallet, Requests};

/// Above everything that users send, whatever tip they give.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// The custom code of a result that does not verify.
pub(crate) const BAD_RESULT: u8 = 1;
/// The custom code of a refusal whose accusation cannot be.
pub(crate) const BAD_ACCUSATION: u8 = 2;

impl<T: Config> Pallet<T> {
    /// Whether this result is taken now, and how the pool shall treat it.
    pub(crate) fn authorize_result(
        _source: TransactionSource,
        request: &RequestId,
        signature: &Signature,
        server: &PartyId,
        valid_until: &BlockNumber,
        server_signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let now = Self::now();
        let longevity = blocks_left(*valid_until, now).map_err(validity_error)?;
        // It may be in a block that this node has not seen yet.
        let stored = Requests::<T>::get(request).ok_or(UnknownTransaction::CannotLookup)?;
        stored.record.check_open(now).map_err(result_error)?;
        if !T::Network::is_bound(server) {
            return Err(InvalidTransaction::BadSigner.into());
        }
        let message = result_bytes(
            &T::Network::genesis(),
            server,
            request,
            signature,
            *valid_until,
        );
        if !has_signed(server, &message, server_signature) {
            return Err(InvalidTransaction::BadProof.into());
        }
        stored
            .record
            .check_result(signature, now)
            .map_err(result_error)?;

        // One result for each request is enough, whoever sends it.
        let transaction = ValidTransaction::with_tag_prefix("entropy/submit-result")
            .priority(PRIORITY)
            .longevity(longevity.into())
            .and_provides(request)
            .propagate(true)
            .build()?;
        Ok((transaction, Weight::zero()))
    }

    /// Whether this refusal counts now, and how the pool shall treat it.
    pub(crate) fn authorize_refusal(
        _source: TransactionSource,
        request: &RequestId,
        epoch: &Epoch,
        refusal: &Refusal,
        server: &PartyId,
        valid_until: &BlockNumber,
        server_signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let now = Self::now();
        let longevity = blocks_left(*valid_until, now).map_err(validity_error)?;
        // It may be in a block that this node has not seen yet.
        let stored = Requests::<T>::get(request).ok_or(UnknownTransaction::CannotLookup)?;
        let holders =
            T::Network::active_key(stored.record.scheme).ok_or(UnknownTransaction::CannotLookup)?;
        stored
            .record
            .check_refusal(server, *epoch, refusal, &holders, now)
            .map_err(refusal_error)?;
        let genesis = T::Network::genesis();
        let message = refusal_bytes(&genesis, server, request, *epoch, refusal, *valid_until);
        if !has_signed(server, &message, server_signature) {
            return Err(InvalidTransaction::BadProof.into());
        }
        let transaction = ValidTransaction::with_tag_prefix("entropy/refuse-request")
            .priority(PRIORITY)
            .longevity(longevity.into())
            .and_provides((server, request))
            .propagate(true)
            .build()?;
        Ok((transaction, Weight::zero()))
    }
}

fn has_signed(server: &PartyId, message: &[u8; 32], signature: &[u8; 64]) -> bool {
    sp_io::crypto::ed25519_verify(
        &ed25519::Signature::from_raw(*signature),
        message,
        &ed25519::Public::from_raw(server.0),
    )
}

fn refusal_error(error: RefusalError) -> TransactionValidityError {
    match error {
        RefusalError::Future => UnknownTransaction::CannotLookup.into(),
        RefusalError::NotOpen | RefusalError::Obsolete | RefusalError::Repeated => {
            InvalidTransaction::Stale.into()
        }
        RefusalError::NotAHolder => InvalidTransaction::BadSigner.into(),
        RefusalError::BadAccusation => InvalidTransaction::Custom(BAD_ACCUSATION).into(),
    }
}

fn validity_error(error: ValidityError) -> TransactionValidityError {
    match error {
        ValidityError::Over => InvalidTransaction::Stale.into(),
        // A node that lags sees as far ahead what is not.
        ValidityError::TooFar => UnknownTransaction::CannotLookup.into(),
    }
}

fn result_error(error: ResultError) -> TransactionValidityError {
    match error {
        ResultError::NotOpen => InvalidTransaction::Stale.into(),
        ResultError::Signature(_) => InvalidTransaction::Custom(BAD_RESULT).into(),
    }
}
