//! What a server is shown of the chain, and which chain it is.

use entropy_shared::{
    AccountId, Genesis, PartyId, Scheme,
    lifecycle::key::KeyState,
    traits::Network,
    view::{Binding, VIEW_FORMAT},
};
use frame_support::assert_ok;
use sp_runtime::{
    BuildStorage,
    traits::{BlakeTwo256, Hash, Header as _},
};

use crate::mock::*;

type Header = sp_runtime::generic::Header<u32, BlakeTwo256>;

#[test]
fn before_any_committee_a_server_sees_no_peers() {
    new_ext().execute_with(|| {
        (1..=3).for_each(bind);
        let view = StakingExtension::view(&server(1), vec![]);
        assert_eq!((view.format, view.block), (VIEW_FORMAT, 1));
        assert_eq!(view.genesis, StakingExtension::genesis());
        assert_eq!(view.parameters, parameters());
        assert_eq!(
            view.binding,
            Some(Binding {
                stash: AccountId([1; 32]),
                info: info(1),
                standing: Default::default(),
            })
        );
        let schemes: Vec<_> = view.keys.iter().map(|entry| entry.scheme).collect();
        assert_eq!(schemes, [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot]);
        assert_eq!(view.key(Scheme::EcdsaCggmp24), Some(&KeyState::Absent));
        assert_eq!(view.key(Scheme::EcdsaP256), None);
        assert!(view.peers.is_empty() && view.requests.is_empty());
    });
}

#[test]
fn a_member_sees_the_others_of_its_committee_and_nobody_else_does() {
    new_ext().execute_with(|| {
        bind(6);
        form_committee(4);
        let peers = |number| {
            let view = StakingExtension::view(&server(number), vec![]);
            let mut peers: Vec<PartyId> = view.peers.iter().map(|info| info.server).collect();
            peers.sort_unstable();
            peers
        };
        let others = |number: u8| {
            let mut others: Vec<_> = (1..=4)
                .filter(|other| *other != number)
                .map(server)
                .collect();
            others.sort_unstable();
            others
        };
        for number in 1..=4 {
            assert_eq!(peers(number), others(number));
        }
        // Those left out of an attempt are still of the target.
        for number in 1..=3 {
            assert_ok!(submit(call(
                ready(number, Scheme::EcdsaCggmp24, 1),
                now() + 10,
                number
            )));
        }
        run_to(attempt(Scheme::EcdsaCggmp24).deadline + 1);
        assert_eq!(peers(1), others(1));
        all_ready(Scheme::SchnorrTaproot);
        assert_eq!(peers(4), others(4));
        assert!(peers(6).is_empty());
        // A stranger sees the public state without a binding.
        let view = StakingExtension::view(&server(9), vec![]);
        assert_eq!(view.binding, None);
        assert!(view.peers.is_empty());
        assert_eq!(
            view.key(Scheme::SchnorrTaproot),
            Some(&state(Scheme::SchnorrTaproot))
        );
    });
}

#[test]
fn the_genesis_hash_outlives_the_hashes_of_other_blocks() {
    new_ext().execute_with(|| {
        let genesis = StakingExtension::genesis();
        assert_eq!(genesis, Genesis(System::block_hash(0).0));
        for number in 2..60 {
            System::initialize(&number, &Default::default(), &Default::default());
            System::finalize();
        }
        assert!(System::block_hash(1).is_zero(), "an old hash is forgotten");
        assert_eq!(StakingExtension::genesis(), genesis);
        assert_eq!(<StakingExtension as Network>::genesis(), genesis);
    });
}

#[test]
fn in_the_first_block_its_own_hash_is_computed() {
    let mut ext =
        sp_io::TestExternalities::from(RuntimeGenesisConfig::default().build_storage().unwrap());
    let state_root = *ext.backend.root();
    let expected = ext.execute_with(|| {
        let version = System::runtime_version().state_version();
        let extrinsics_root = BlakeTwo256::ordered_trie_root(vec![], version);
        Header::new(
            0,
            extrinsics_root,
            state_root,
            Default::default(),
            Default::default(),
        )
        .hash()
    });
    ext.execute_with(|| {
        assert_eq!(System::block_number(), 0);
        assert_eq!(StakingExtension::genesis(), Genesis(expected.0));
    });
}
