//! How root keys come to be and pass from committee to committee by themselves: when that begins, with whom, and what
//! becomes of those who are left out.
//!
//! The rules are `entropy_shared`'s; here they meet the storage.

use alloc::vec::Vec;

use entropy_shared::{
    Committee, PartyId, Scheme,
    lifecycle::{
        key::{self, ActiveKey, KeyNote, KeyState, Transition},
        membership::{self, Candidates},
    },
    parameters::Parameters,
};
use frame_support::{defensive, traits::Get, weights::Weight};

use crate::{
    ActiveValidators, ChainParameters, Config, Event, KeyStates, MAX_OFFENCES, OffenceRecord,
    Offences, Pallet, Review, Reviews, ServerOf, Servers, weights::WeightInfo,
};

/// The servers of the session's validators, in the order in which the session has them.
struct Eligible(Vec<PartyId>);

impl<T: Config> Pallet<T> {
    /// Lets a block pass for every scheme's key; begins to generate one that is absent, and to deal anew the shares of one
    /// whose committee ought to be another or whose refresh is due.
    pub(crate) fn advance_keys() -> Weight {
        let now = Self::now();
        let parameters = ChainParameters::<T>::get();
        let mut eligible = None;
        let mut changed = 0;
        for scheme in parameters.schemes.iter() {
            let state = KeyStates::<T>::get(scheme);
            let transition = match &state {
                KeyState::Absent => Self::choose(None, &mut eligible, &[], &parameters)
                    .map(|target| key::begin(target, now, &parameters)),
                KeyState::Active(holders) => {
                    Self::review(scheme, &state, holders, &mut eligible, &parameters)
                }
                KeyState::Generating(_) | KeyState::Resharing { .. } => {
                    state.tick(now, &parameters, |unfit| {
                        Self::choose(state.active(), &mut eligible, unfit, &parameters)
                    })
                }
            };
            if let Some(transition) = transition {
                changed += 1;
                Self::apply(scheme, transition);
            }
        }
        let looked_up = if eligible.is_some() {
            T::MaxActiveValidators::get()
        } else {
            0
        };
        T::WeightInfo::advance_keys(looked_up, changed)
    }

    /// What a session, root or new parameters have asked to look at: whether the committee ought to be another.
    fn review(
        scheme: Scheme,
        state: &KeyState,
        holders: &ActiveKey,
        eligible: &mut Option<Eligible>,
        parameters: &Parameters,
    ) -> Option<Transition> {
        let review = Reviews::<T>::get(scheme).filter(|review| *review != Review::Deferred)?;
        Reviews::<T>::remove(scheme);
        let now = Self::now();
        let Some(target) = Self::choose(Some(holders), eligible, &[], parameters) else {
            if review == Review::Refresh {
                Reviews::<T>::insert(scheme, Review::Deferred);
            }
            Self::deposit_event(Event::NotEnoughServers { scheme });
            return None;
        };
        let refresh = review == Review::Refresh || holders.is_refresh_due(now, parameters);
        if target == holders.committee && !refresh {
            return None;
        }
        state.reshare(target, now, parameters).ok()
    }

    /// What becomes of a key when root gives up the attempts at it; `None` if there are none.
    pub(crate) fn given_up(scheme: Scheme) -> Option<Transition> {
        let parameters = ChainParameters::<T>::get();
        let choose = |unfit: &[_]| Self::choose(None, &mut None, unfit, &parameters);
        KeyStates::<T>::get(scheme).give_up(Self::now(), &parameters, choose)
    }

    /// The committee that ought to hold a key now, without those who are `unfit`; the servers are looked up once a block.
    fn choose(
        holders: Option<&ActiveKey>,
        eligible: &mut Option<Eligible>,
        unfit: &[PartyId],
        parameters: &Parameters,
    ) -> Option<Committee> {
        let Eligible(eligible) = eligible.get_or_insert_with(Self::eligible);
        let eligible: Vec<_> = eligible
            .iter()
            .filter(|server| !unfit.contains(server))
            .copied()
            .collect();
        let holders = holders.map(|key| &key.committee);
        let retained: Vec<_> = holders
            .into_iter()
            .flat_map(Committee::parties)
            .filter(|party| !eligible.contains(party) && Servers::<T>::contains_key(party))
            .copied()
            .collect();
        let candidates = Candidates {
            eligible: &eligible,
            retained: &retained,
        };
        membership::choose(holders, candidates, parameters)
    }

    fn eligible() -> Eligible {
        let may_serve = |server: &PartyId| {
            Servers::<T>::get(server).is_some_and(|bound| bound.binding.standing.is_eligible())
        };
        Eligible(
            ActiveValidators::<T>::get()
                .into_iter()
                .filter_map(ServerOf::<T>::get)
                .filter(may_serve)
                .collect(),
        )
    }

    /// Counts a report that has been authorised; `None` if it does not count.
    pub(crate) fn count(report: &key::AttemptReport) -> Option<Transition> {
        let parameters = ChainParameters::<T>::get();
        let state = KeyStates::<T>::get(report.scheme);
        let choose = |unfit: &[_]| Self::choose(state.active(), &mut None, unfit, &parameters);
        state
            .report(&Self::genesis(), report, Self::now(), &parameters, choose)
            .ok()
    }

    pub(crate) fn apply(scheme: Scheme, transition: Transition) {
        let (epoch, attempt) = match KeyStates::<T>::get(scheme).attempt() {
            Some(attempt) => (attempt.epoch, attempt.attempt),
            None => (0, 0),
        };
        for note in &transition.notes {
            match note {
                KeyNote::LeftOut { party, reason } => {
                    let offence = OffenceRecord {
                        reason: *reason,
                        scheme,
                        epoch,
                        attempt,
                        at: Self::now(),
                    };
                    Self::suspend(party, offence);
                }
                KeyNote::Activated { .. } => {
                    let holders = transition.state.active();
                    holders
                        .into_iter()
                        .flat_map(|key| key.committee.parties())
                        .for_each(Self::redeem);
                }
                KeyNote::Started { .. }
                | KeyNote::TooManyLeftOut
                | KeyNote::Disagreed
                | KeyNote::GivenUp => {}
            }
        }
        KeyStates::<T>::insert(scheme, transition.state);
        for note in transition.notes {
            Self::deposit_event(Event::Key { scheme, note });
        }
    }

    /// Records what a server is left out for, and keeps it from being chosen until it says that it is ready.
    fn suspend(server: &PartyId, offence: OffenceRecord) {
        Offences::<T>::mutate(server, |records| {
            if records.len() >= MAX_OFFENCES as usize {
                records.remove(0);
            }
            if records.try_push(offence).is_err() {
                defensive!("there is room now");
            }
        });
        let suspended = Servers::<T>::mutate(server, |bound| {
            let standing = &mut bound.as_mut()?.binding.standing;
            let before = *standing;
            *standing = before.suspend(Self::now(), &ChainParameters::<T>::get());
            standing.suspended_until.filter(|_| *standing != before)
        });
        if let Some(until) = suspended {
            Self::deposit_event(Event::Suspended {
                server: *server,
                until,
            });
        }
    }

    /// Forgets how often a server was suspended, because it has come to hold a share.
    fn redeem(server: &PartyId) {
        if let Some(mut bound) = Servers::<T>::get(server)
            && bound.binding.standing.suspensions > 0
        {
            bound.binding.standing = bound.binding.standing.redeem();
            Servers::<T>::insert(server, bound);
        }
    }
}
