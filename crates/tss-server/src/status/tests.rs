use entropy_shared::{
    AccountId, Committee, Digest, VerifyingKey,
    lifecycle::key::{ActiveKey, KeyState},
    parameters::Parameters,
    view::{Binding, ChainView, SchemeState, VIEW_FORMAT},
};

use super::*;
use crate::ports::Head;

pub(crate) const IDENTITY: Identity = Identity {
    party: PartyId([1; 32]),
    noise_key: [0x4e; 32],
    genesis: Genesis([0x6e; 32]),
};

fn key() -> ActiveKey {
    ActiveKey {
        epoch: 1,
        attempt: 2,
        committee: Committee::new((1..=4).map(|i| PartyId([i; 32])), 3).expect("3 of 4"),
        root_key: VerifyingKey::Secp256k1([2; 33]),
        public_digest: Digest([0xd1; 32]),
        protocol_version: 1,
        since: 8,
        attempts: 0,
    }
}

fn view(binding: Option<Binding>, state: KeyState) -> ChainView {
    ChainView {
        format: VIEW_FORMAT,
        spec_version: 1,
        genesis: IDENTITY.genesis,
        block: 10,
        parameters: Parameters::default(),
        binding,
        keys: vec![SchemeState {
            scheme: Scheme::SchnorrTaproot,
            state,
        }],
        peers: Vec::new(),
        requests: Vec::new(),
    }
}

fn binding() -> Binding {
    Binding {
        stash: AccountId([0x57; 32]),
        info: ServerInfo {
            server: IDENTITY.party,
            endpoint: b"ws://server.example:4000".to_vec(),
            noise_key: IDENTITY.noise_key,
        },
        standing: Default::default(),
    }
}

fn heads(view: ChainView) -> Option<Arc<Heads>> {
    let head = Head {
        hash: [0xb1; 32],
        view,
    };
    Some(Arc::new(Heads {
        best: head.clone(),
        finalized: head,
    }))
}

/// The status of a server that lacks nothing at time `now`.
pub(crate) fn ready(now: Instant) -> Status {
    let key = key();
    let name = ShareName {
        genesis: IDENTITY.genesis,
        scheme: Scheme::SchnorrTaproot,
        epoch: key.epoch,
        attempt: key.attempt,
        party: IDENTITY.party,
        public_digest: key.public_digest,
    };
    Status {
        heads: heads(view(Some(binding()), KeyState::Active(key))),
        heads_seen: Some(now),
        chain_error: None,
        shares: vec![(name, Stage::Active)],
        connected: [PartyId([2; 32]), PartyId([3; 32])].into(),
    }
}

fn missing(status: &Status, now: Instant) -> Vec<Missing> {
    status.missing(&IDENTITY, now)
}

#[test]
fn nothing_is_missing_from_a_ready_server() {
    let now = Instant::now();
    assert_eq!(missing(&ready(now), now), []);
}

#[test]
fn a_fresh_server_misses_heads() {
    assert_eq!(
        missing(&Status::default(), Instant::now()),
        [Missing::RecentHeads(None)]
    );
}

#[test]
fn chain_errors_and_old_heads_are_missing() {
    let seen = Instant::now();
    let status = Status {
        chain_error: Some("gone".into()),
        ..ready(seen)
    };
    assert_eq!(missing(&status, seen), [Missing::Chain("gone".into())]);
    let limit = Duration::from_millis(BLOCK_MILLIS * STALE_BLOCKS);
    assert_eq!(missing(&ready(seen), seen + limit), []);
    let late = seen + limit + Duration::from_secs(1);
    assert_eq!(
        missing(&ready(seen), late),
        [Missing::RecentHeads(Some(31))]
    );
}

#[test]
fn binding_must_name_this_servers_keys_and_a_dialable_endpoint() {
    let now = Instant::now();
    let with = |binding| Status {
        heads: heads(view(binding, KeyState::Absent)),
        ..ready(now)
    };
    assert_eq!(missing(&with(None), now), [Missing::Binding]);
    let mut other = binding();
    other.info.noise_key = [0; 32];
    assert_eq!(missing(&with(Some(other)), now), [Missing::NoiseKey]);
    let mut other = binding();
    other.info.endpoint = b"http://server.example".to_vec();
    assert_eq!(missing(&with(Some(other)), now), [Missing::Endpoint]);
}

#[test]
fn share_of_an_active_key_must_be_exactly_that_one_and_active() {
    let now = Instant::now();
    let mut status = ready(now);
    status.shares[0].1 = Stage::Staged;
    assert_eq!(
        missing(&status, now),
        [Missing::Share(Scheme::SchnorrTaproot)]
    );
    let mut status = ready(now);
    status.shares[0].0.public_digest = Digest([0; 32]);
    assert_eq!(
        missing(&status, now),
        [Missing::Share(Scheme::SchnorrTaproot)]
    );
}

#[test]
fn only_holders_count_as_peers() {
    let now = Instant::now();
    let status = Status {
        connected: [PartyId([2; 32]), PartyId([9; 32])].into(),
        ..ready(now)
    };
    assert_eq!(
        missing(&status, now),
        [Missing::Peers {
            scheme: Scheme::SchnorrTaproot,
            connected: 1,
            needed: 2
        }]
    );
}

#[test]
fn a_server_outside_of_the_committee_needs_neither_share_nor_peers() {
    let now = Instant::now();
    let mut key = key();
    key.committee = Committee::new((2..=5).map(|i| PartyId([i; 32])), 3).expect("3 of 4");
    let status = Status {
        heads: heads(view(Some(binding()), KeyState::Active(key))),
        heads_seen: Some(now),
        ..Status::default()
    };
    assert_eq!(missing(&status, now), []);
}
