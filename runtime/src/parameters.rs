//! The chain's parameters as the types that pallets of Substrate want.
//!
//! The values are set once, by the genesis configuration, and read from state each time. BABE's
//! client reads the length of an epoch at genesis and never again, so nothing here may change on a
//! running chain.

use entropy_shared::Parameters;
use frame_support::traits::Get;
use sp_staking::{EraIndex, SessionIndex};

use crate::StakingExtension;

fn parameters() -> Parameters {
    // FRAME's own test of the runtime asks for these outside of any state.
    #[cfg(test)]
    if sp_externalities::with_externalities(|_| ()).is_none() {
        return Parameters::default();
    }
    StakingExtension::parameters()
}

/// The length of a session in slots, which is an epoch of BABE.
pub struct SessionSlots;

impl Get<u64> for SessionSlots {
    fn get() -> u64 {
        parameters().session_blocks.into()
    }
}

/// How many sessions an era of staking has.
pub struct SessionsPerEra;

impl Get<SessionIndex> for SessionsPerEra {
    fn get() -> SessionIndex {
        parameters().sessions_per_era
    }
}

/// For how many eras stake stays bonded after its owner asked for it.
pub struct BondingEras;

impl Get<EraIndex> for BondingEras {
    fn get() -> EraIndex {
        parameters().bonding_eras
    }
}

/// How many eras a slash waits, so that it can be cancelled.
pub struct SlashDeferEras;

impl Get<EraIndex> for SlashDeferEras {
    fn get() -> EraIndex {
        parameters().slash_defer_eras
    }
}

/// How many sessions the stake of an offender can still be reached.
pub struct BondedSessions;

impl Get<u64> for BondedSessions {
    fn get() -> u64 {
        let parameters = parameters();
        u64::from(parameters.bonding_eras) * u64::from(parameters.sessions_per_era)
    }
}

/// For how many blocks a report of an equivocation makes sense: as long as the stake is bonded.
pub struct ReportLongevity;

impl Get<u64> for ReportLongevity {
    fn get() -> u64 {
        BondedSessions::get() * SessionSlots::get()
    }
}
