//! Whether a server's report or its word that it is ready may enter a block: cheap checks of state
//! first, then the server's signature, then the proof.
//!
//! Runs in the transaction pool and again in the block; whatever passes cannot fail in dispatch.
//! What may come true later is *unknown*, because the pool bans what is *invalid* for half an hour.

use entropy_shared::{
    BlockNumber, PartyId,
    canonical::{ValidityError, attempt_report_bytes, blocks_left, ready_bytes},
    lifecycle::{
        key::{AttemptReport, ReportError},
        standing::ReadyError,
    },
};
use frame_support::{pallet_prelude::*, weights::Weight};

use crate::{Config, KeyStates, Pallet, Servers};

/// Above everything that users send, whatever tip they give.
const PRIORITY: TransactionPriority = TransactionPriority::MAX / 2;

/// The custom code of a report whose accusation cannot be.
pub(crate) const BAD_ACCUSATION: u8 = 1;
/// The custom code of a report whose proof does not verify.
pub(crate) const BAD_SHARE_PROOF: u8 = 2;
/// The custom code of a report of a share of another key than the one that exists.
pub(crate) const WRONG_KEY: u8 = 3;

impl<T: Config> Pallet<T> {
    /// Whether this report counts now, and how the pool shall treat it.
    pub(crate) fn authorize_report(
        _source: TransactionSource,
        report: &AttemptReport,
        valid_until: &BlockNumber,
        signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let now = Self::now();
        let longevity = blocks_left(*valid_until, now).map_err(validity_error)?;
        let state = KeyStates::<T>::get(report.scheme);
        state
            .check_report_state(report, now)
            .map_err(report_error)?;
        if !Servers::<T>::contains_key(report.server) {
            return Err(InvalidTransaction::BadSigner.into());
        }
        let genesis = Self::genesis();
        let message = attempt_report_bytes(&genesis, report, *valid_until);
        if !Self::has_signed(&report.server, &message, signature) {
            return Err(InvalidTransaction::BadProof.into());
        }
        state
            .check_report(&genesis, report, now)
            .map_err(report_error)?;

        let transaction = ValidTransaction::with_tag_prefix("entropy/report-attempt")
            .priority(PRIORITY)
            .longevity(longevity.into())
            .and_provides((report.server, report.scheme, report.epoch, report.attempt))
            .propagate(true)
            .build()?;
        Ok((transaction, Weight::zero()))
    }

    /// Whether the suspended server's word that it is ready counts now, and how the pool shall treat it.
    pub(crate) fn authorize_ready(
        _source: TransactionSource,
        server: &PartyId,
        number: &u32,
        valid_until: &BlockNumber,
        signature: &[u8; 64],
    ) -> TransactionValidityWithRefund {
        let now = Self::now();
        let longevity = blocks_left(*valid_until, now).map_err(validity_error)?;
        let bound = Servers::<T>::get(server).ok_or(InvalidTransaction::BadSigner)?;
        bound
            .binding
            .standing
            .check_ready(*number, now)
            .map_err(ready_error)?;
        let message = ready_bytes(&Self::genesis(), server, *number, *valid_until);
        if !Self::has_signed(server, &message, signature) {
            return Err(InvalidTransaction::BadProof.into());
        }
        let transaction = ValidTransaction::with_tag_prefix("entropy/server-ready")
            .priority(PRIORITY)
            .longevity(longevity.into())
            .and_provides((server, number))
            .propagate(true)
            .build()?;
        Ok((transaction, Weight::zero()))
    }
}

fn ready_error(error: ReadyError) -> TransactionValidityError {
    match error {
        ReadyError::Future | ReadyError::TooEarly(_) => UnknownTransaction::CannotLookup.into(),
        ReadyError::NotSuspended => InvalidTransaction::Stale.into(),
    }
}

fn validity_error(error: ValidityError) -> TransactionValidityError {
    match error {
        ValidityError::Over => InvalidTransaction::Stale.into(),
        // A node that lags sees as far ahead what is not.
        ValidityError::TooFar => UnknownTransaction::CannotLookup.into(),
    }
}

fn report_error(error: ReportError) -> TransactionValidityError {
    match error {
        ReportError::Future => UnknownTransaction::CannotLookup.into(),
        ReportError::Obsolete | ReportError::Repeated => InvalidTransaction::Stale.into(),
        ReportError::NotAParty => InvalidTransaction::BadSigner.into(),
        ReportError::BadAccusation => InvalidTransaction::Custom(BAD_ACCUSATION).into(),
        ReportError::BadProof => InvalidTransaction::Custom(BAD_SHARE_PROOF).into(),
        ReportError::WrongKey => InvalidTransaction::Custom(WRONG_KEY).into(),
    }
}
