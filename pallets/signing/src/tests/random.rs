//! Random calls, blocks, parameters and changes of holders: the invariants hold after each, deposits add up, no request ends
//! twice, and what was authorised succeeds.
//!
//! Prints its seed; `ENTROPY_SEED` replays it.

use std::{
    collections::BTreeMap,
    hash::{BuildHasher as _, Hasher as _, RandomState},
};

use entropy_shared::{
    DerivationPath, Hasher, KeyId, RequestId, Scheme, Signature, TaprootTweak,
    digest::signed_bytes,
    lifecycle::{
        registry::Requesters,
        request::{Refusal, RequestContent, RequestFailure, RequestState},
    },
    traits::Requests as _,
};
use frame_support::traits::Hooks as _;
use proptest::{
    prelude::Rng as _,
    test_runner::{RngAlgorithm, TestRng},
};
use sp_runtime::traits::Dispatchable as _;

use super::{check_state, held};
use crate::{Call, OpenOfKey, OpenOfRequester, Requests, mock::*};

const STEPS: u32 = 6_000;

struct Dice(TestRng);

impl Dice {
    fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self(TestRng::from_seed(RngAlgorithm::ChaCha, &bytes))
    }

    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        (self.0.next_u64() % end as u64) as usize
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        (!from.is_empty()).then(|| from[self.below(from.len())].clone())
    }

    fn key(&mut self) -> KeyId {
        match self.below(8) {
            0 => KeyId([0; 32]),
            1 | 2 => key(Scheme::EcdsaCggmp24),
            3 | 4 => key(Scheme::SchnorrTaproot),
            other => another_key(other as u8 - 4),
        }
    }

    fn content(&mut self) -> RequestContent {
        RequestContent {
            key: self.key(),
            message: vec![self.below(4) as u8; [0, 5, 32, 9_000][self.below(4)]],
            hasher: Hasher::ALL[self.below(Hasher::ALL.len())],
            path: DerivationPath::new(vec![self.below(3) as u32; self.below(3)]).unwrap(),
            tweak: [TaprootTweak::None, TaprootTweak::KeyPath][usize::from(self.one_in(6))],
        }
    }

    fn lifetime(&mut self) -> Option<u32> {
        (!self.one_in(4)).then(|| self.below(EXPIRY as usize + 2) as u32)
    }

    /// A request that is kept, rather an open one, or an unknown one now and then.
    fn request(&mut self) -> RequestId {
        let open: Vec<_> = Signing::open_requests()
            .into_iter()
            .map(|open| open.id)
            .collect();
        let kept: Vec<_> = Requests::<Test>::iter_keys().collect();
        let from = if self.one_in(4) { kept } else { open };
        self.pick(&from).unwrap_or(RequestId([0; 32]))
    }

    /// The signature that answers a request, or one that does not.
    fn signature(&mut self, of: &RequestId) -> Signature {
        let Some(mut record) = Signing::record(of) else {
            return Signature::Bip340([1; 64]);
        };
        if self.one_in(4) {
            record.digest.0[0] ^= 1;
        }
        // The mock's signer knows no tweaks.
        answer_to(&record)
    }

    fn refusal(&mut self) -> Refusal {
        match self.below(6) {
            0 => Refusal::NotAuthorised,
            1 => Refusal::ProgramsNotSupported,
            2 => Refusal::ProgramRefused,
            _ => Refusal::CannotSign {
                accused: (0..self.below(3))
                    .map(|_| server(1 + self.below(5) as u8))
                    .collect(),
            },
        }
    }
}

/// What has succeeded, and how often.
#[derive(Debug, Default)]
struct Tally {
    asked: u32,
    batches: u32,
    cancelled: u32,
    brought: u32,
    authorized: u32,
    unauthorized: u32,
    signed: u32,
    expired: u32,
    failed: u32,
}

fn signed_call(number: u8, call: Call<Test>) -> bool {
    System::inc_account_nonce(account(number));
    let call = RuntimeCall::from(call);
    call.dispatch(RuntimeOrigin::signed(account(number)))
        .is_ok()
}

fn next_block(dice: &mut Dice) {
    for _ in 0..=dice.below(4) {
        System::set_block_number(now() + 1);
        Signing::on_initialize(now());
        check_state();
    }
}

fn change_the_world(dice: &mut Dice) {
    match dice.below(8) {
        0 => {
            Epoch::mutate(|epoch| *epoch += 1);
            let holders = [vec![1, 2, 3], vec![2, 3, 4], vec![1, 2], vec![1, 2, 3, 4]];
            Holders::set(dice.pick(&holders).unwrap());
        }
        1 => RootsActive::set(!dice.one_in(4)),
        2 => RequestDeposit::set(dice.below(30) as u128),
        3 => RequestFee::set(dice.below(5) as u128),
        4 => OpenPerKey::set(1 + dice.below(12) as u32),
        5 => PerRequester::set(1 + dice.below(30) as u32),
        6 => RequestRetention::set(1 + dice.below(60) as u32),
        _ => {
            let id = dice.key();
            let policy = [
                Requesters::Owner,
                Requesters::Accounts(vec![[2; 32].into()]),
            ];
            let requesters = dice.pick(&policy).unwrap();
            Registered::mutate(|keys| {
                if let Some(key) = keys.get_mut(&id) {
                    key.requesters = requesters;
                }
            });
        }
    }
}

/// A call of a server's: one that is authorised succeeds, or `submit` panics.
fn server_call(dice: &mut Dice, tally: &mut Tally) {
    let request = dice.request();
    let number = 1 + dice.below(5) as u8;
    let signer = if dice.one_in(8) { 1 } else { number };
    let call = if dice.one_in(3) {
        let signature = dice.signature(&request);
        let until = now() + dice.below(70) as u32;
        call(request, signature, number, until, signer)
    } else {
        let refusal = dice.refusal();
        let epoch = (Epoch::get() + 1).saturating_sub([1, 1, 1, 2, 0][dice.below(5)]);
        refuse_call_in(epoch, request, refusal, number, signer)
    };
    match submit(call.clone()) {
        Ok(()) => {
            tally.authorized += 1;
            // What has been in a block is never in another.
            assert!(authorize(&call).is_err(), "{call:?} could be repeated");
        }
        Err(_) => tally.unauthorized += 1,
    }
}

/// Every request keeps its content, ends at most once, and only with a signature that verifies.
fn check_history(seen: &mut BTreeMap<RequestId, RequestState>, tally: &mut Tally) {
    let mut of_account = [0; 3];
    for (id, stored) in Requests::<Test>::iter() {
        let record = stored.record;
        of_account[usize::from(record.requester.0[0])] += stored.deposit;
        let before = seen
            .insert(id, record.state.clone())
            .unwrap_or(RequestState::Open);
        if before != RequestState::Open {
            assert_eq!(record.state, before, "a request ends once");
            continue;
        }
        match record.state {
            RequestState::Signed { signature, .. } => {
                let of = &record.content;
                let signed = signed_bytes(record.scheme, of.hasher, &of.message).unwrap();
                assert_eq!(signature.verify(&record.final_key, &signed), Ok(()));
                tally.signed += 1;
            }
            RequestState::Expired { .. } => tally.expired += 1,
            RequestState::Failed { .. } => tally.failed += 1,
            RequestState::Open | RequestState::Cancelled { .. } => {}
        }
    }
    assert_eq!([held(1), held(2)], of_account[1..]);
}

fn step(dice: &mut Dice, tally: &mut Tally) {
    let number = 1 + u8::from(dice.one_in(4));
    match dice.below(32) {
        0..=7 => {
            let (content, lifetime) = (dice.content(), dice.lifetime());
            tally.asked += u32::from(signed_call(number, Call::request { content, lifetime }));
        }
        8..=9 => {
            let contents = (0..dice.below(4)).map(|_| dice.content()).collect();
            let lifetime = dice.lifetime();
            let before = Signing::open_requests().len();
            let call = Call::request_batch { contents, lifetime };
            if signed_call(number, call) {
                tally.batches += 1;
            } else {
                assert_eq!(Signing::open_requests().len(), before, "all or none");
            }
        }
        10 => {
            let id = dice.request();
            tally.cancelled += u32::from(signed_call(number, Call::cancel { id }));
        }
        11 => {
            let request = dice.request();
            let signature = dice.signature(&request);
            let call = Call::submit_result_paid { request, signature };
            tally.brought += u32::from(signed_call(2, call));
        }
        12..=23 => server_call(dice, tally),
        24 if dice.one_in(4) => {
            let key = dice.key();
            Signing::fail_open(&key, RequestFailure::KeyTransferred);
            assert!(OpenOfKey::<Test>::get(key).is_empty());
        }
        25..=27 => change_the_world(dice),
        28..=31 => next_block(dice),
        _ => {}
    }
}

#[test]
fn whatever_happens_the_invariants_hold_and_every_request_ends_once() {
    let replayed = std::env::var("ENTROPY_SEED")
        .ok()
        .map(|seed| seed.parse().expect("ENTROPY_SEED is a number"));
    // The standard library seeds its hash maps at random.
    let seed = replayed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("ENTROPY_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut tally = Tally::default();
    new_ext().execute_with(|| {
        let mut seen = BTreeMap::new();
        for _ in 0..STEPS {
            System::reset_events();
            step(&mut dice, &mut tally);
            check_state();
            check_history(&mut seen, &mut tally);
        }
        // At last nothing is left, and nothing held.
        run_to(now() + EXPIRY + 60 + 20);
        assert_eq!(Requests::<Test>::iter().count(), 0);
        assert_eq!(OpenOfRequester::<Test>::iter().count(), 0);
        assert_eq!((held(1), held(2)), (0, 0));
        check_state();
    });
    println!("{tally:?}");
    for (what, count) in [
        ("asked", tally.asked),
        ("in batches", tally.batches),
        ("cancelled", tally.cancelled),
        ("brought", tally.brought),
        ("authorised", tally.authorized),
        ("refused", tally.unauthorized),
        ("signed", tally.signed),
        ("expired", tally.expired),
        ("failed", tally.failed),
    ] {
        assert!(count >= 10, "too little was {what}: {tally:?}");
    }
}
