//! What our hooks cost a block at most.

use entropy_shared::{
    DerivationPath, Hasher, KeyId, PartyId, Scheme, TaprootTweak,
    lifecycle::{
        key::{ActiveKey, KeyState},
        registry::Requesters,
        request::RequestContent,
    },
};
use frame_support::{
    assert_ok,
    traits::{Get as _, Hooks as _},
    weights::Weight,
};
use serde_json::json;
use sp_keyring::Sr25519Keyring::Alice;

use super::{
    chain::{advance_to, local_with},
    servers::{PUBLIC, account, root_key},
};
use crate::{Registry, Runtime, RuntimeOrigin, Signing, StakingExtension, System};

/// The part of a block's weight that our hooks may take.
fn bound() -> Weight {
    <Runtime as frame_system::Config>::BlockWeights::get().max_block / 4
}

#[test]
fn the_worst_that_keys_can_ask_of_a_block_leaves_most_of_it() {
    use pallet_entropy_staking::weights::{HandMade, WeightInfo as _};
    let worst = HandMade::<Runtime>::advance_keys(crate::MAX_VALIDATORS, Scheme::ALL.len() as u64);
    assert!(worst.all_lt(bound()), "{worst:?} of {:?}", bound());
}

#[test]
fn as_many_requests_as_can_be_open_expire_and_vanish_within_their_part_of_each_block() {
    let lifetime = 20;
    let patch = json!({ "stakingExtension": { "parameters": {
        "maxOpenPerRequester": 2_000,
        "maxOpenPerKey": 64,
        "requestRetentionBlocks": 10,
    } } });
    local_with(&patch).execute_with(|| {
        advance_to(1);
        let committee =
            entropy_shared::Committee::new((1..=4).map(|number| PartyId([number; 32])), 3)
                .expect("is a committee");
        let key = ActiveKey {
            epoch: 1,
            attempt: 1,
            committee,
            root_key: root_key(),
            public_digest: PUBLIC,
            protocol_version: 1,
            since: 1,
            attempts: 0,
        };
        let scheme = Scheme::SchnorrTaproot;
        pallet_entropy_staking::KeyStates::<Runtime>::insert(scheme, KeyState::Active(key));
        let origin = RuntimeOrigin::signed(Alice.to_account_id());
        let most = <Runtime as pallet_entropy_signing::Config>::MaxOpenRequests::get();
        for number in 0..most {
            let salt = [(number / 64) as u8; 32];
            if number % 64 == 0 {
                assert_ok!(Registry::register(
                    origin.clone(),
                    scheme,
                    salt,
                    vec![],
                    Requesters::Owner
                ));
            }
            let content = RequestContent {
                key: KeyId::of(&StakingExtension::genesis(), scheme, &account(Alice), &salt),
                message: number.to_le_bytes().to_vec(),
                hasher: Hasher::Sha256,
                path: DerivationPath::default(),
                tweak: TaprootTweak::None,
            };
            assert_ok!(Signing::request(origin.clone(), content, Some(lifetime)));
        }
        assert_eq!(Signing::open_requests().len(), most as usize);
        let mut block = System::block_number();
        while kept() > 0 {
            block += 1;
            System::set_block_number(block);
            let weight = Signing::on_initialize(block);
            assert!(weight.all_lt(bound()), "{weight:?} of {:?}", bound());
            assert!(block < 200, "they never end");
        }
        // Spread over more blocks than one.
        assert!(block > 1 + lifetime + 10 + 2);
        assert_eq!(Signing::check_invariants(), Ok(()));
    });
}

fn kept() -> usize {
    pallet_entropy_signing::Requests::<Runtime>::iter_keys().count()
}
