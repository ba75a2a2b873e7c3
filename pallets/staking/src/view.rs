//! The chain as one server must see it, for the runtime API.
//!
//! It only reads, and is never called in the execution of a block.

use alloc::{collections::BTreeSet, vec::Vec};

use codec::Decode;
use entropy_shared::{
    Committee, PartyId,
    view::{ChainView, OpenRequest, SchemeState, VIEW_FORMAT},
};
use frame_support::traits::Get;
use sp_runtime::traits::{Block, Hash, Header, Zero};

use crate::{ChainParameters, Config, KeyStates, Pallet, Servers};

impl<T: Config> Pallet<T> {
    /// The chain as `server` must see it, with the open requests that the pallet of signing lists.
    pub fn view(server: &PartyId, requests: Vec<OpenRequest>) -> ChainView {
        let parameters = ChainParameters::<T>::get();
        let keys: Vec<_> = parameters
            .schemes
            .iter()
            .map(|scheme| SchemeState {
                scheme,
                state: KeyStates::<T>::get(scheme),
            })
            .collect();
        let mut peers = BTreeSet::new();
        for entry in keys.iter().filter(|entry| entry.state.involves(server)) {
            let holders = entry.state.active().map(|key| &key.committee);
            let target = entry.state.attempt().map(|attempt| &attempt.target);
            peers.extend(
                holders
                    .into_iter()
                    .chain(target)
                    .flat_map(Committee::parties)
                    .copied(),
            );
        }
        peers.remove(server);
        ChainView {
            format: VIEW_FORMAT,
            spec_version: T::Version::get().spec_version,
            genesis: Self::genesis(),
            block: Self::now(),
            parameters,
            binding: Servers::<T>::get(server).map(|bound| bound.binding),
            keys,
            peers: peers
                .iter()
                .filter_map(Servers::<T>::get)
                .map(|bound| bound.binding.info)
                .collect(),
            requests,
        }
    }
}

/// The hash of the first block, computed in the state of that block: its header holds the root of this state and nothing else.
pub(crate) fn first_block_hash<T: Config>() -> T::Hash {
    let version = T::Version::get();
    let root = sp_io::storage::root(version.state_version());
    let state_root = T::Hash::decode(&mut &root[..]).unwrap_or_default();
    // As the node's chain specification builds it.
    let extrinsics_root = T::Hashing::trie_root(Vec::new(), version.state_version());
    let header = <T::Block as Block>::Header::new(
        Zero::zero(),
        extrinsics_root,
        state_root,
        Default::default(),
        Default::default(),
    );
    header.hash()
}
