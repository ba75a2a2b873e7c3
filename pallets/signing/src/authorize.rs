//! Whether a server's result may enter a block: cheap checks of state first, then the server's
//! signature, then the result itself.
//!
//! Runs in the transaction pool and again in the block; whatever passes cannot fail in dispatch.
//! What may come true later is *unknown*, because the pool bans what is *invalid* for half an hour.

use entropy_shared::{
    BlockNumber, PartyId, RequestId, Signature,
    canonical::{ValidityError, blocks_left, result_bytes},
    lifecycle::request::ResultError,
    traits::Network,
};
use frame_support::{pallet_prelude::*, weights::Weight};
use sp_core::ed25519;

use crate::{Config, Pallet, Requests};

/// Above everything that users send, whatever tip they give.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// The custom code of a result that does not verify.
pub(crate) const BAD_RESULT: u8 = 1;

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
        let has_signed = sp_io::crypto::ed25519_verify(
            &ed25519::Signature::from_raw(*server_signature),
            &message,
            &ed25519::Public::from_raw(server.0),
        );
        if !has_signed {
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
