//! Who validates in a session: pallet-staking's election, its Merkle root kept for reports of
//! offences, and the new active set told to our pallet of committees.
//!
//! It may not choose validators itself.

use alloc::vec::Vec;

use pallet_session::historical::NoteHistoricalRoot;
use sp_staking::SessionIndex;

use crate::{AccountId, Runtime, Session, Staking, StakingExtension};

type Elected = NoteHistoricalRoot<Runtime, Staking>;

/// The session manager of the runtime.
pub struct SessionManager;

impl pallet_session::SessionManager<AccountId> for SessionManager {
    fn new_session(index: SessionIndex) -> Option<Vec<AccountId>> {
        <Elected as pallet_session::SessionManager<AccountId>>::new_session(index)
    }

    fn new_session_genesis(index: SessionIndex) -> Option<Vec<AccountId>> {
        <Elected as pallet_session::SessionManager<AccountId>>::new_session_genesis(index)
    }

    fn end_session(index: SessionIndex) {
        <Elected as pallet_session::SessionManager<AccountId>>::end_session(index);
    }

    fn start_session(index: SessionIndex) {
        <Elected as pallet_session::SessionManager<AccountId>>::start_session(index);
        StakingExtension::note_active_validators(Session::validators());
    }
}
