//! Accounts that act together or for one another: what each kind of proxy may do, and what it may not.

use entropy_shared::{
    DerivationPath, Hasher, KeyId, Scheme, TaprootTweak, lifecycle::registry::Requesters,
};
use frame_support::{assert_ok, traits::InstanceFilter as _};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie};
use sp_runtime::{
    DispatchResult,
    traits::{BlakeTwo256, Hash as _},
};

use super::chain::{advance_to, local};
use crate::{
    AccountId, Balances, Multisig, Proxy,
    ProxyType::{self, Any, NonTransfer, Signing, Staking},
    Runtime, RuntimeCall, RuntimeEvent, RuntimeOrigin, System, UNIT,
};

fn origin(key: Sr25519Keyring) -> RuntimeOrigin {
    RuntimeOrigin::signed(key.to_account_id())
}

fn free(key: Sr25519Keyring) -> u128 {
    Balances::free_balance(key.to_account_id())
}

fn transfer() -> RuntimeCall {
    let (dest, value) = (Charlie.to_account_id().into(), UNIT);
    pallet_balances::Call::transfer_keep_alive { dest, value }.into()
}

/// A request that only the absence of its key can keep from being taken.
fn request() -> RuntimeCall {
    pallet_entropy_signing::Call::request {
        content: entropy_shared::lifecycle::request::RequestContent {
            key: KeyId([9; 32]),
            message: b"hello".to_vec(),
            hasher: Hasher::Sha256,
            path: DerivationPath::default(),
            tweak: TaprootTweak::None,
        },
        lifetime: None,
    }
    .into()
}

fn upload() -> RuntimeCall {
    pallet_entropy_programs::Call::upload {
        code: Vec::new(),
        schema: Vec::new(),
        metadata: Vec::new(),
    }
    .into()
}

fn batch(calls: Vec<RuntimeCall>) -> RuntimeCall {
    pallet_utility::Call::batch_all { calls }.into()
}

fn let_bob(kind: ProxyType) {
    assert_ok!(Proxy::add_proxy(
        origin(Alice),
        Bob.to_account_id().into(),
        kind,
        0
    ));
}

/// How `call` ends that Bob makes in Alice's name.
fn by_bob(call: RuntimeCall) -> DispatchResult {
    System::reset_events();
    assert_ok!(Proxy::proxy(
        origin(Bob),
        Alice.to_account_id().into(),
        None,
        Box::new(call)
    ));
    let executed = System::events()
        .into_iter()
        .find_map(|record| match record.event {
            RuntimeEvent::Proxy(pallet_proxy::Event::ProxyExecuted { result }) => Some(result),
            _ => None,
        });
    executed.expect("a proxied call raises its event")
}

fn filtered() -> DispatchResult {
    Err(frame_system::Error::<Runtime>::CallFiltered.into())
}

#[test]
fn a_signing_proxy_requests_signatures_and_moves_nothing() {
    local(20).execute_with(|| {
        advance_to(1);
        let before = free(Alice);
        let_bob(Signing);
        assert!(free(Alice) < before, "a proxy costs a deposit");
        let before = free(Charlie);

        // It came as far as the pallet, in the name of Alice.
        assert_eq!(
            by_bob(request()),
            Err(pallet_entropy_signing::Error::<Runtime>::UnknownKey.into())
        );
        assert_eq!(by_bob(transfer()), filtered());
        assert_eq!(by_bob(batch(vec![transfer()])), filtered());
        let greater = pallet_proxy::Call::add_proxy {
            delegate: Charlie.to_account_id().into(),
            proxy_type: Any,
            delay: 0,
        };
        assert_eq!(by_bob(greater.into()), filtered());
        assert_eq!(free(Charlie), before);

        assert_ok!(Proxy::remove_proxies(origin(Alice)));
        assert_eq!(
            Proxy::proxy(
                origin(Bob),
                Alice.to_account_id().into(),
                None,
                Box::new(request())
            ),
            Err(pallet_proxy::Error::<Runtime>::NotProxy.into())
        );
    });
}

#[test]
fn a_proxy_for_everything_but_transfers_cannot_make_a_greater_one() {
    local(20).execute_with(|| {
        advance_to(1);
        let_bob(NonTransfer);
        let add = |proxy_type| -> RuntimeCall {
            pallet_proxy::Call::add_proxy {
                delegate: Charlie.to_account_id().into(),
                proxy_type,
                delay: 0,
            }
            .into()
        };
        assert_eq!(by_bob(transfer()), filtered());
        assert_eq!(by_bob(request()), filtered());
        assert_eq!(by_bob(add(Any)), filtered());
        assert_eq!(by_bob(add(Signing)), filtered());
        assert_eq!(by_bob(add(Staking)), Ok(()));
    });
}

#[test]
fn no_proxy_but_one_for_everything_reaches_through_another_account() {
    let inside = || Box::new(transfer());
    let proxied: RuntimeCall = pallet_proxy::Call::proxy {
        real: Charlie.to_account_id().into(),
        force_proxy_type: None,
        call: inside(),
    }
    .into();
    let announced: RuntimeCall = pallet_proxy::Call::proxy_announced {
        delegate: Alice.to_account_id().into(),
        real: Charlie.to_account_id().into(),
        force_proxy_type: None,
        call: inside(),
    }
    .into();
    let voted: RuntimeCall = pallet_multisig::Call::as_multi_threshold_1 {
        other_signatories: vec![Charlie.to_account_id()],
        call: inside(),
    }
    .into();
    let payee = pallet_staking::RewardDestination::Account(Charlie.to_account_id());
    let diverted: RuntimeCall = pallet_staking::Call::set_payee { payee }.into();
    for call in [proxied, announced, voted, diverted] {
        for kind in [NonTransfer, Signing, Staking] {
            assert!(!kind.filter(&call), "{kind:?}: {call:?}");
        }
        assert!(Any.filter(&call));
    }
}

#[test]
fn a_proxy_for_everything_moves_tokens() {
    local(20).execute_with(|| {
        advance_to(1);
        let_bob(Any);
        let before = free(Charlie);
        assert_eq!(by_bob(batch(vec![transfer(), transfer()])), Ok(()));
        assert_eq!(free(Charlie), before + 2 * UNIT);
    });
}

#[test]
fn each_kind_of_proxy_has_its_calls() {
    let id = KeyId([1; 32]);
    let close: RuntimeCall = pallet_entropy_registry::Call::close { id }.into();
    let offer: RuntimeCall = pallet_entropy_registry::Call::offer { id, to: None }.into();
    let unguard: RuntimeCall = pallet_entropy_registry::Call::set_policy {
        id,
        programs: Vec::new(),
        requesters: Requesters::Owner,
    }
    .into();
    let chill: RuntimeCall = pallet_staking::Call::chill {}.into();
    let unbind: RuntimeCall = pallet_entropy_staking::Call::unbind_server {}.into();
    let purge: RuntimeCall = pallet_session::Call::purge_keys {}.into();
    let sudo: RuntimeCall = pallet_sudo::Call::remove_key {}.into();
    for (call, kinds) in [
        (transfer(), &[Any][..]),
        (request(), &[Any, Signing]),
        (register(), &[Any, Signing]),
        (close, &[Any]),
        (offer, &[Any]),
        (unguard, &[Any]),
        (chill, &[Any, NonTransfer, Staking]),
        (unbind, &[Any, NonTransfer, Staking]),
        (purge, &[Any, NonTransfer, Staking]),
        (upload(), &[Any, NonTransfer]),
        (sudo, &[Any]),
    ] {
        for kind in [Any, NonTransfer, Signing, Staking] {
            assert_eq!(
                kind.filter(&call),
                kinds.contains(&kind),
                "{kind:?}: {call:?}"
            );
        }
    }
}

fn register() -> RuntimeCall {
    pallet_entropy_registry::Call::register {
        scheme: Scheme::SchnorrTaproot,
        salt: [0; 32],
        programs: Vec::new(),
        requesters: Requesters::Owner,
    }
    .into()
}

#[test]
fn a_kind_that_includes_another_allows_all_that_the_other_does() {
    let calls = [
        transfer(),
        request(),
        register(),
        pallet_staking::Call::chill {}.into(),
        pallet_entropy_staking::Call::unbind_server {}.into(),
        upload(),
        pallet_sudo::Call::remove_key {}.into(),
        batch(Vec::new()),
    ];
    let kinds = [Any, NonTransfer, Signing, Staking];
    for greater in kinds {
        for lesser in kinds.into_iter().filter(|kind| greater.is_superset(kind)) {
            for call in calls.iter().filter(|call| lesser.filter(call)) {
                assert!(
                    greater.filter(call),
                    "{greater:?} includes {lesser:?}: {call:?}"
                );
            }
        }
    }
    // What an unknown caller gets by default is what pallet-proxy demands: the most.
    assert_eq!(ProxyType::default(), Any);
}

#[test]
fn two_of_three_move_the_tokens_of_a_multisig() {
    local(20).execute_with(|| {
        advance_to(1);
        let mut all = [Alice, Bob, Charlie].map(|key| key.to_account_id());
        all.sort();
        let others = |key: Sr25519Keyring| -> Vec<AccountId> {
            all.iter()
                .filter(|account| **account != key.to_account_id())
                .cloned()
                .collect()
        };
        let multisig = Multisig::multi_account_id(&all, 2);
        assert_ok!(Balances::transfer_keep_alive(
            origin(Alice),
            multisig.clone().into(),
            10 * UNIT
        ));
        let before = (free(Alice), free(Charlie));
        let call = transfer();
        let hash = BlakeTwo256::hash_of(&call);
        assert_ok!(Multisig::approve_as_multi(
            origin(Alice),
            2,
            others(Alice),
            None,
            hash.0,
            Default::default()
        ));
        assert!(free(Alice) < before.0, "an approval costs a deposit");
        assert_eq!(free(Charlie), before.1);

        let begun = pallet_multisig::Multisigs::<Runtime>::get(&multisig, hash.0)
            .expect("waits for another")
            .when;
        let weight = frame_support::weights::Weight::from_parts(1_000_000_000_000, 1_000_000);
        assert_ok!(Multisig::as_multi(
            origin(Bob),
            2,
            others(Bob),
            Some(begun),
            Box::new(call),
            weight
        ));
        assert_eq!(free(Charlie), before.1 + UNIT);
        assert_eq!(free(Alice), before.0, "the deposit comes back");
    });
}
