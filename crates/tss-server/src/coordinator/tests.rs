//! Generated histories: a committee of coordinators against a test chain, with loss, reorder, crashes and lagging finality.
//!
//! Ceremonies are played by the test, which holds the root secrets: what is tested here are decisions, not cryptography.

mod world;

use entropy_protocol::{Blame, Failure, KeygenContext, Offence, Subject};
use entropy_shared::{
    Committee, Digest, PublicPackage, RequestId, TaprootTweak,
    lifecycle::{key::KeyState, request::RequestState},
};
use proptest::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use super::{Command, Coordinator, Event, share_name};
use crate::{
    frames::{DeclineReason, Frame, Invitation},
    ports::{Heads, Stage},
    testing::chain::GENESIS,
};
use world::{SCHEME, Signers, World, package, party};

#[test]
fn a_quiet_network_generates_a_key_and_signs() {
    let mut world = World::new(4, 1);
    world.run_until_active();
    let key = world.chain.register(SCHEME, 1, 0);
    world.block();
    world.block();
    world.block();
    let requests: Vec<_> = (0..8u8)
        .map(|i| world.chain.request(key, &[i], TaprootTweak::None))
        .collect();
    world.run_until(60, "all are signed", |world| {
        world.chain.block() > 0
            && requests.iter().all(|id| {
                world
                    .chain
                    .request_at(&world.chain.heads(&party(1)).best.hash, id)
                    .is_some()
                    && world.is_signed(id)
            })
    });
    assert!(
        world
            .servers
            .values()
            .all(|server| server.running.is_empty())
    );
}

#[test]
fn one_of_four_may_be_down_while_signing() {
    for down in 1..=4 {
        let mut world = World::new(4, u64::from(down));
        world.run_until_active();
        let key = world.chain.register(SCHEME, 1, 0);
        (0..4).for_each(|_| world.block());
        world.crash(party(down));
        let requests: Vec<_> = (0..6u8)
            .map(|i| world.chain.request(key, &[i], TaprootTweak::None))
            .collect();
        world.block();
        world.run_until(180, "all are signed by three", |world| {
            requests.iter().all(|id| world.is_signed(id))
        });
    }
}

#[test]
fn a_party_that_dies_before_the_proof_is_left_out() {
    let mut world = World::new(4, 10);
    while world.servers.values().any(|server| server.disk.is_empty()) {
        world.block();
        world.complete();
    }
    assert!(world.chain.key_state(SCHEME).active().is_none());
    world.crash(party(2));
    world.run_until_active();
    let committee = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .committee
        .clone();
    assert!(!committee.contains(&party(2)) && committee.size() == 3);
}

#[test]
fn a_failed_look_up_waits_before_it_is_made_again() {
    let mut world = World::new(4, 11);
    world.run_until_active();
    let key = world.chain.register(SCHEME, 1, 0);
    (0..4).for_each(|_| world.block());
    let id = world.chain.request(key, b"x", TaprootTweak::None);
    world.chain.make_block(2);
    let heads = Box::new(world.chain.heads(&party(1)));
    let now = world.now;
    let coordinator = &mut world.servers.get_mut(&party(1)).unwrap().coordinator;
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut looks = |event, now| {
        let commands = coordinator.handle(event, now, &mut rng);
        commands
            .iter()
            .any(|command| matches!(command, Command::LookUp { request, .. } if *request == id))
    };
    assert!(looks(Event::Heads(heads), now));
    assert!(
        !looks(Event::LookUpFailed { id }, now),
        "a node that is away fails at once"
    );
    assert!(!looks(Event::Tick, now + 999));
    assert!(looks(Event::Tick, now + 1_000));
}

#[test]
fn many_requests_queue_instead_of_running_all_at_once() {
    let mut world = World::new(4, 12);
    world.run_until_active();
    let key = world.chain.register(SCHEME, 1, 0);
    (0..4).for_each(|_| world.block());
    let requests: Vec<_> = (0..60u8)
        .map(|i| world.chain.request(key, &[i], TaprootTweak::None))
        .collect();
    world.block();
    for _ in 0..5 {
        for who in world.up() {
            world.tell(who, Event::Tick);
        }
        world.deliver(0);
        assert!(
            world
                .servers
                .values()
                .all(|server| server.running.len() <= 4)
        );
    }
    world.run_until(500, "all are signed", |world| {
        requests.iter().all(|id| world.is_signed(id))
    });
}

#[test]
fn a_dead_party_is_left_out_of_the_key_generation() {
    let mut world = World::new(4, 3);
    world.crash(party(2));
    world.run_until_active();
    let committee = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .committee
        .clone();
    assert_eq!(
        committee,
        Committee::new([party(1), party(3), party(4)], 3).unwrap()
    );
}

#[test]
fn a_key_with_programs_and_a_request_only_in_the_best_block_are_told_apart() {
    let mut world = World::new(4, 4);
    world.run_until_active();
    let guarded = world.chain.register(SCHEME, 1, 1);
    let plain = world.chain.register(SCHEME, 2, 0);
    let refused = world.chain.request(guarded, b"x", TaprootTweak::None);
    let signed = world.chain.request(plain, b"x", TaprootTweak::None);
    world.lag = 1_000;
    (0..5).for_each(|_| world.block());
    world.deliver(0);
    // Neither key is finalized, so nobody may sign, however long the requests have been in best blocks.
    assert!(
        world
            .servers
            .values()
            .all(|server| server.running.is_empty())
    );
    world.lag = 2;
    world.run_until(60, "the plain one is signed", |world| {
        world.is_signed(&signed)
    });
    assert!(!world.is_signed(&refused));
    // Asked in person, a signer says why.
    let heads = world.chain.heads(&party(1));
    let digest = heads
        .finalized
        .view
        .key(SCHEME)
        .and_then(KeyState::active)
        .unwrap()
        .public_digest;
    let invitation = Invitation {
        number: [1; 16],
        subject: Subject::Request(refused),
        public_digest: digest,
    };
    world.tell(
        party(1),
        Event::Frame {
            from: party(2),
            frame: Frame::Invite(invitation),
        },
    );
    let answer = world.frames.pop().unwrap().2;
    let reason = DeclineReason::ProgramsNotSupported;
    assert_eq!(
        answer,
        Frame::Decline {
            invitation: [1; 16],
            reason
        }
    );
}

#[test]
fn only_the_leader_of_the_slot_is_followed() {
    let mut world = World::new(4, 5);
    world.run_until_active();
    let key = world.chain.register(SCHEME, 1, 0);
    (0..4).for_each(|_| world.block());
    // Down, so that nobody signs before the test looks.
    let request = world.chain.request(key, b"x", TaprootTweak::None);
    let committee = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .committee
        .clone();
    world.block();
    let leader = entropy_shared::leader(&committee, &request, 0);
    let other = *committee
        .parties()
        .iter()
        .find(|party| **party != leader)
        .unwrap();
    let signer = *committee
        .parties()
        .iter()
        .find(|party| ![leader, other].contains(party))
        .unwrap();
    let digest = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .public_digest;
    world.frames.clear();
    let mut ask = |from, subject, public_digest| {
        let invitation = Invitation {
            number: [7; 16],
            subject,
            public_digest,
        };
        world.tell(
            signer,
            Event::Frame {
                from,
                frame: Frame::Invite(invitation),
            },
        );
        world
            .frames
            .drain(..)
            .find(|(who, to, _)| *who == signer && *to == from)
            .unwrap()
            .2
    };
    let declined = |reason| Frame::Decline {
        invitation: [7; 16],
        reason,
    };
    let subject = Subject::Request(request);
    assert_eq!(
        ask(other, subject, digest),
        declined(DeclineReason::NotLeader)
    );
    assert_eq!(
        ask(party(99), subject, digest),
        declined(DeclineReason::NotLeader)
    );
    assert_eq!(
        ask(leader, subject, Digest([0; 32])),
        declined(DeclineReason::NoShare)
    );
    let unknown = Subject::Request(RequestId([5; 32]));
    assert_eq!(
        ask(leader, unknown, digest),
        declined(DeclineReason::Unknown)
    );
    let answer = ask(leader, subject, digest);
    assert!(
        matches!(answer, Frame::Accept { invitation, .. } if invitation == [7; 16]),
        "{answer:?}"
    );
}

#[test]
fn a_leader_cannot_start_with_signers_that_may_not_sign() {
    let mut world = World::new(4, 6);
    world.run_until_active();
    let key = world.chain.register(SCHEME, 1, 0);
    (0..4).for_each(|_| world.block());
    let request = world.chain.request(key, b"x", TaprootTweak::None);
    let committee = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .committee
        .clone();
    world.block();
    world.frames.clear();
    let leader = entropy_shared::leader(&committee, &request, 0);
    let others: Vec<_> = committee
        .parties()
        .iter()
        .filter(|party| **party != leader)
        .copied()
        .collect();
    let digest = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .public_digest;
    let subject = Subject::Request(request);
    let signer = others[0];
    let begin = |world: &mut World, change: &dyn Fn(&mut Signers)| {
        let invitation = Invitation {
            number: [7; 16],
            subject,
            public_digest: digest,
        };
        world.tell(
            signer,
            Event::Frame {
                from: leader,
                frame: Frame::Invite(invitation),
            },
        );
        let (_, _, frame) = world.frames.pop().unwrap();
        let Frame::Accept { nonce, .. } = frame else {
            panic!("{frame:?}")
        };
        let mut signers = vec![(leader, [1; 32]), (signer, nonce), (others[1], [2; 32])];
        signers.sort_unstable();
        change(&mut signers);
        world.tell(
            signer,
            Event::Frame {
                from: leader,
                frame: Frame::Begin {
                    invitation: [7; 16],
                    signers,
                },
            },
        );
        world.servers[&signer].running.len()
    };
    assert_eq!(
        begin(&mut world, &|signers| signers.truncate(2)),
        0,
        "too few"
    );
    assert_eq!(
        begin(&mut world, &|signers| signers.reverse()),
        0,
        "out of order"
    );
    assert_eq!(
        begin(&mut world, &|signers| signers.retain(|(p, _)| *p != leader)),
        0,
        "without the leader"
    );
    assert_eq!(
        begin(&mut world, &|signers| signers
            .iter_mut()
            .for_each(|s| s.1 = [9; 32])),
        0,
        "another nonce"
    );
    let outsider = party(200);
    assert_eq!(
        begin(&mut world, &|signers| *signers
            .iter_mut()
            .find(|(p, _)| *p == others[1])
            .unwrap() = (outsider, [3; 32])),
        0,
        "an outsider"
    );
    assert_eq!(begin(&mut world, &|_| {}), 1, "as it should be");
}

#[test]
fn blamed_signers_are_avoided_until_nobody_else_is_left() {
    let mut world = World::new(4, 7);
    world.run_until_active();
    let key = world.chain.register(SCHEME, 1, 0);
    (0..4).for_each(|_| world.block());
    let request = world.chain.request(key, b"x", TaprootTweak::None);
    world.block();
    world.deliver(0);
    let committee = world
        .chain
        .key_state(SCHEME)
        .active()
        .unwrap()
        .committee
        .clone();
    let leader = entropy_shared::leader(&committee, &request, 0);
    let running = world.servers[&leader]
        .running
        .iter()
        .next()
        .map(|(id, work)| (*id, work.clone()));
    let (id, work) = running.expect("the leader began");
    let cheat = *work
        .parties()
        .iter()
        .find(|party| **party != leader)
        .unwrap();
    // As in the real protocol only the leader knows: the others wait for a package that never comes.
    world.servers.get_mut(&leader).unwrap().running.remove(&id);
    let blame = vec![Blame {
        party: cheat,
        offence: Offence::BadShare,
    }];
    let reason = "test".into();
    world.end(leader, id, &work, Err(Failure { blame, reason }));
    world.run_until(30, "signed without the cheat", |world| {
        world.is_signed(&request)
    });
}

/// A head of another chain or format never gets here: the adapter refuses it. But the best block may be anything.
#[test]
fn a_committee_of_which_this_server_is_no_member_is_none_of_its_business() {
    let mut world = World::new(4, 8);
    world.block();
    world.block();
    world.block();
    let heads = world.chain.heads(&party(1));
    let mut stranger = Coordinator::new(party(77), GENESIS, []);
    let everybody = world.up();
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    assert_eq!(
        stranger.handle(Event::Connected(everybody), 0, &mut rng),
        vec![]
    );
    assert_eq!(
        stranger.handle(Event::Heads(Box::new(heads)), 1, &mut rng),
        vec![]
    );
    assert_eq!(stranger.running(), 0);
}

#[test]
fn staged_shares_of_ended_attempts_are_erased_and_only_they() {
    let context = |attempt| KeygenContext {
        genesis: GENESIS,
        scheme: SCHEME,
        epoch: 1,
        attempt,
        committee: Committee::new([party(1), party(2)], 2).unwrap(),
    };
    let mut world = World::new(2, 9);
    world.run_until_active();
    let active = world.chain.key_state(SCHEME).active().unwrap().attempt;
    let stale = package(&context(active + 5));
    let mut stale = PublicPackage {
        attempt: active,
        ..stale
    };
    stale.verification_shares.reverse();
    let heads: Heads = world.chain.heads(&party(1));
    let current = world.servers[&party(1)]
        .disk
        .iter()
        .next()
        .map(|(n, (s, p))| (n.clone(), *s, p.clone()))
        .unwrap();
    let stale_name = share_name(&stale, party(1));
    let future = package(&context(active + 1));
    let future_name = share_name(&future, party(1));
    let held = [
        current.clone(),
        (stale_name.clone(), Stage::Staged, stale),
        (future_name, Stage::Staged, future),
    ];
    let mut coordinator = Coordinator::new(party(1), GENESIS, held);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let commands = coordinator.handle(Event::Heads(Box::new(heads)), 0, &mut rng);
    let erased: Vec<_> = commands
        .iter()
        .filter(|command| matches!(command, Command::Erase(_)))
        .collect();
    assert_eq!(erased, vec![&Command::Erase(stale_name)]);
    assert!(
        coordinator
            .shares()
            .any(|(name, stage)| *name == current.0 && stage == Stage::Active)
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whatever is lost, reordered or crashes: the assertions of [`World::execute`] hold, and once the network is quiet, everything is signed.
    #[test]
    fn disturbed_histories_keep_the_rules_and_recover(seed: u64, size in 2u8..=6, loss in 0u32..40) {
        let mut world = World::new(size, seed);
        let mut requests = Vec::new();
        let mut key = None;
        for _ in 0..300 {
            world.now += u64::from(world.rng.next_u32() % 1_500);
            let who = party(1 + (world.rng.next_u32() % u32::from(size)) as u8);
            match world.rng.next_u32() % 40 {
                0 if world.servers[&who].up => world.crash(who),
                1..=4 if !world.servers[&who].up => world.restart(who),
                5..=14 => {
                    world.lag = (world.rng.next_u32() % 6) as usize;
                    world.block();
                }
                15 if key.is_none() && world.chain.key_state(SCHEME).active().is_some() => {
                    key = Some(world.chain.register(SCHEME, 1, 0));
                }
                16 | 17 if requests.len() < 10 => {
                    if let Some(key) = key {
                        requests.push(world.chain.request(key, &[requests.len() as u8], TaprootTweak::None));
                    }
                }
                18..=20 => world.complete(),
                _ => {
                    world.tell(who, Event::Tick);
                    world.deliver(loss);
                }
            }
        }
        for who in world.servers.keys().copied().collect::<Vec<_>>() {
            if !world.servers[&who].up {
                world.restart(who);
            }
        }
        world.lag = 2;
        world.run_until_active();
        let key = key.unwrap_or_else(|| world.chain.register(SCHEME, 1, 0));
        world.block();
        requests.push(world.chain.request(key, b"last", TaprootTweak::None));
        world.block();
        let last = *requests.last().unwrap();
        world.run_until(400, "the last request is signed", |world| world.is_signed(&last));
        world.run_until(700, "no request is left open", |world| {
            requests.iter().all(|id| world.chain.request_state(id) != RequestState::Open)
        });
    }
}

/// Not part of a view: tests build heads only through the chain.
#[test]
fn nothing_is_decided_before_the_first_heads() {
    let mut coordinator = Coordinator::new(party(1), GENESIS, []);
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    assert_eq!(coordinator.handle(Event::Tick, 0, &mut rng), vec![]);
    let subject = Subject::Request(RequestId([1; 32]));
    let invitation = Invitation {
        number: [1; 16],
        subject,
        public_digest: Digest([0; 32]),
    };
    let commands = coordinator.handle(
        Event::Frame {
            from: party(2),
            frame: Frame::Invite(invitation),
        },
        1,
        &mut rng,
    );
    let reason = DeclineReason::Unknown;
    assert_eq!(
        commands,
        vec![Command::Send {
            to: party(2),
            frame: Frame::Decline {
                invitation: [1; 16],
                reason
            }
        }]
    );
}
