//! What root may change on a running chain, and what nobody may.

use entropy_shared::{Parameters, Scheme, ThresholdRule};
use frame_support::{assert_noop, assert_ok};
use sp_runtime::DispatchError;

use crate::{Error, Event, mock::*};

const SCHEME: Scheme = Scheme::SchnorrTaproot;

fn set(parameters: Parameters) -> sp_runtime::DispatchResult {
    StakingExtension::set_parameters(RuntimeOrigin::root(), parameters)
}

#[test]
fn only_root_changes_parameters() {
    new_ext().execute_with(|| {
        for origin in [RuntimeOrigin::none(), RuntimeOrigin::signed(stash(1))] {
            assert_noop!(
                StakingExtension::set_parameters(origin.clone(), parameters()),
                DispatchError::BadOrigin
            );
            assert_noop!(
                StakingExtension::refresh(origin.clone(), SCHEME),
                DispatchError::BadOrigin
            );
            assert_noop!(
                StakingExtension::give_up(origin, SCHEME),
                DispatchError::BadOrigin
            );
        }
        let changed = Parameters {
            key_deposit: 77,
            ..parameters()
        };
        assert_ok!(set(changed.clone()));
        assert_eq!(StakingExtension::parameters(), changed);
        assert_eq!(
            events().last(),
            Some(&Event::ParametersChanged {
                parameters: changed
            })
        );
    });
}

#[test]
fn inconsistent_values_and_what_consensus_reads_are_refused() {
    new_ext().execute_with(|| {
        let now = parameters();
        for bad in [
            Parameters {
                committee_min: 9,
                ..now.clone()
            },
            Parameters {
                session_blocks: now.session_blocks + 1,
                ..now.clone()
            },
            Parameters {
                sessions_per_era: now.sessions_per_era + 1,
                ..now.clone()
            },
            Parameters {
                bonding_eras: now.bonding_eras + 1,
                ..now.clone()
            },
            Parameters {
                slash_defer_eras: now.slash_defer_eras - 1,
                ..now.clone()
            },
            Parameters {
                protocol_version: 0,
                ..now.clone()
            },
        ] {
            assert_noop!(set(bad), Error::<Test>::BadParameters);
        }
    });
}

#[test]
fn a_scheme_is_enabled_at_any_time_and_disabled_only_without_a_key() {
    let only = |scheme: Scheme| Parameters {
        schemes: [scheme].into_iter().collect(),
        ..parameters()
    };
    new_ext_with(only(SCHEME)).execute_with(|| {
        assert_ok!(set(only(Scheme::EcdsaCggmp24)));
        assert_ok!(set(only(SCHEME)));
        form_committee(4);
        assert_noop!(
            set(only(Scheme::EcdsaCggmp24)),
            Error::<Test>::BadParameters
        );
        all_ready(SCHEME);
        assert_ok!(set(parameters()));
        run_to(now() + 1);
        assert_eq!(attempt(Scheme::EcdsaCggmp24).target.size(), 4);
        assert_noop!(set(only(SCHEME)), Error::<Test>::BadParameters);
    });
}

#[test]
fn another_threshold_or_size_takes_effect_by_a_reshare() {
    new_ext().execute_with(|| {
        form_committee(5);
        all_ready(SCHEME);
        let before = state(SCHEME).active().unwrap().committee.clone();
        assert_eq!((before.size(), before.threshold()), (5, 4));
        assert_ok!(set(Parameters {
            threshold: ThresholdRule::Fixed(3),
            ..parameters()
        }));
        assert_eq!(state(SCHEME).active().unwrap().committee, before);
        run_to(now() + 1);
        let target = attempt(SCHEME).target;
        assert_eq!(
            (target.parties(), target.threshold()),
            (before.parties(), 3)
        );
        assert_eq!(
            state(SCHEME).active().unwrap().committee,
            before,
            "never under a running epoch"
        );
        // A change that comes while a reshare is under way waits for its end.
        assert_ok!(set(Parameters {
            committee_max: 4,
            ..parameters()
        }));
        run_to(now() + 1);
        assert_eq!(attempt(SCHEME).target, target);
        all_ready(SCHEME);
        assert_eq!(state(SCHEME).active().unwrap().committee, target);
        run_to(now() + 1);
        assert_eq!(attempt(SCHEME).target.size(), 4);
    });
}
