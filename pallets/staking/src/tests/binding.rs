//! Which server belongs to which validator, and what is held for it.

use entropy_shared::{
    AccountId, Genesis, Scheme, canonical::binding_bytes, traits::Network, view::Binding,
};
use frame_support::{assert_noop, assert_ok};
use sp_core::Pair;
use sp_runtime::{DispatchError, TokenError};

use super::held;
use crate::{Error, Event, ServerOf, Servers, mock::*};

fn bind_with(
    validator: u8,
    info: entropy_shared::canonical::ServerInfo,
    signer: u8,
) -> sp_runtime::DispatchResult {
    let proof = proof(signer, validator, &info);
    StakingExtension::bind_server(RuntimeOrigin::signed(stash(validator)), info, proof)
}

#[test]
fn a_validator_binds_a_server_for_a_deposit() {
    new_ext().execute_with(|| {
        assert!(!StakingExtension::is_bound(&server(1)));
        bind(1);
        let bound = Servers::<Test>::get(server(1)).unwrap();
        assert_eq!(
            bound.binding,
            Binding {
                stash: AccountId([1; 32]),
                info: info(1),
                standing: Default::default(),
            }
        );
        assert_eq!(bound.deposit, DEPOSIT);
        assert_eq!(ServerOf::<Test>::get(stash(1)), Some(server(1)));
        assert_eq!(held(&stash(1)), DEPOSIT);
        assert!(StakingExtension::is_bound(&server(1)));
        assert_eq!(
            events(),
            [Event::ServerBound {
                stash: stash(1),
                server: server(1)
            }]
        );
    });
}

#[test]
fn only_who_has_bonded_and_validates_binds_a_server() {
    new_ext().execute_with(|| {
        Bonded::set(vec![AccountId([2; 32])]);
        assert_noop!(bind_with(1, info(1), 1), Error::<Test>::NotAValidator);
        assert_ok!(bind_with(2, info(2), 2));
        let unsigned = RuntimeOrigin::none();
        assert_noop!(
            StakingExtension::bind_server(unsigned, info(1), proof(1, 1, &info(1))),
            DispatchError::BadOrigin
        );
    });
}

#[test]
fn the_endpoint_must_be_one_that_a_peer_could_dial() {
    new_ext().execute_with(|| {
        for endpoint in [
            "",
            "http://host",
            "ws://host/path",
            &format!("ws://{}", "a".repeat(124)),
        ] {
            let info = entropy_shared::canonical::ServerInfo {
                endpoint: endpoint.as_bytes().to_vec(),
                ..info(1)
            };
            assert_noop!(bind_with(1, info, 1), Error::<Test>::BadEndpoint);
        }
    });
}

#[test]
fn the_server_itself_must_have_agreed_to_serve_this_validator_on_this_chain() {
    new_ext().execute_with(|| {
        let bind =
            |proof| StakingExtension::bind_server(RuntimeOrigin::signed(stash(1)), info(1), proof);
        // Another server's signature, one for another validator, for other facts, for another chain, none at all.
        assert_noop!(bind(proof(2, 1, &info(1))), Error::<Test>::BadProof);
        assert_noop!(bind(proof(1, 2, &info(1))), Error::<Test>::BadProof);
        let mut other = info(1);
        other.noise_key = [9; 32];
        assert_noop!(bind(proof(1, 1, &other)), Error::<Test>::BadProof);
        let message = binding_bytes(&Genesis([0; 32]), &AccountId([1; 32]), &info(1));
        assert_noop!(
            bind(server_pair(1).sign(&message).0),
            Error::<Test>::BadProof
        );
        assert_noop!(bind([0; 64]), Error::<Test>::BadProof);
        assert_ok!(bind(proof(1, 1, &info(1))));
    });
}

#[test]
fn a_server_serves_one_validator() {
    new_ext().execute_with(|| {
        bind(1);
        assert_noop!(bind_with(2, info(1), 1), Error::<Test>::ServerTaken);
        // A Noise key is no identity: whoever publishes another's can't use it, and keeps nobody from using it.
        let mut copied = info(2);
        copied.noise_key = info(1).noise_key;
        assert_ok!(bind_with(2, copied, 2));
        bind(3);
    });
}

#[test]
fn who_lacks_the_deposit_binds_nothing() {
    new_ext_with(entropy_shared::Parameters {
        server_deposit: ENDOWMENT,
        ..parameters()
    })
    .execute_with(|| {
        assert_noop!(bind_with(1, info(1), 1), TokenError::FundsUnavailable);
    });
}

#[test]
fn a_server_publishes_new_facts_at_any_time_and_for_the_same_deposit() {
    new_ext().execute_with(|| {
        form_committee(4);
        // Even of a validator that has chilled.
        Bonded::set(vec![]);
        let mut moved = info(1);
        moved.endpoint = b"wss://tss.example.org".to_vec();
        moved.noise_key = [99; 32];
        assert_ok!(bind_with(1, moved.clone(), 1));
        assert_eq!(Servers::<Test>::get(server(1)).unwrap().binding.info, moved);
        assert_eq!(held(&stash(1)), DEPOSIT);
        // It must agree each time.
        assert_noop!(bind_with(1, info(1), 2), Error::<Test>::BadProof);
    });
}

#[test]
fn another_server_is_bound_instead_only_while_the_old_one_is_in_no_committee() {
    new_ext().execute_with(|| {
        bind(1);
        let mut replacement = info(8);
        replacement.noise_key = info(1).noise_key;
        assert_ok!(bind_with(1, replacement, 8));
        assert_eq!(ServerOf::<Test>::get(stash(1)), Some(server(8)));
        assert!(Servers::<Test>::get(server(1)).is_none());
        assert_eq!(held(&stash(1)), DEPOSIT);
        assert_ok!(bind_with(1, info(1), 1));

        form_committee(4);
        assert_noop!(bind_with(1, info(8), 8), Error::<Test>::ServerInUse);
        for scheme in [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot] {
            all_ready(scheme);
        }
        assert_noop!(bind_with(1, info(8), 8), Error::<Test>::ServerInUse);
    });
}

#[test]
fn unbinding_gives_the_deposit_back_unless_the_server_is_in_a_committee() {
    new_ext().execute_with(|| {
        let unbind = |number| StakingExtension::unbind_server(RuntimeOrigin::signed(stash(number)));
        assert_noop!(unbind(1), Error::<Test>::NoServer);
        assert_noop!(
            StakingExtension::unbind_server(RuntimeOrigin::none()),
            DispatchError::BadOrigin
        );
        bind(6);
        form_committee(5);
        // Even while the validator is in the committee that is left out of an attempt.
        let over = attempt(Scheme::EcdsaCggmp24).deadline + 1;
        for number in 1..=4 {
            assert_ok!(submit(call(
                ready(number, Scheme::EcdsaCggmp24, 1),
                now() + 10,
                number
            )));
        }
        run_to(over);
        assert_eq!(attempt(Scheme::EcdsaCggmp24).left_out, [server(5)]);
        for number in 1..=5 {
            assert_noop!(unbind(number), Error::<Test>::ServerInUse);
        }
        assert_ok!(unbind(6));
        assert_eq!(held(&stash(6)), 0);
        assert!(!StakingExtension::is_bound(&server(6)));
        assert_eq!(ServerOf::<Test>::get(stash(6)), None);
        assert!(events().contains(&Event::ServerUnbound {
            stash: stash(6),
            server: server(6)
        }));
        // Another validator may take the server now.
        let info = info(6);
        assert_ok!(bind_with(7, info, 6));
    });
}
