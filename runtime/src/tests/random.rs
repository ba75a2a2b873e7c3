//! Random calls and blocks over the real runtime: whatever users and servers send, the invariants hold after each block,
//! and what was authorised succeeds.
//!
//! Prints its seed; `ENTROPY_SEED` replays it.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};

use entropy_shared::{
    DerivationPath, KeyId, Parameters, ProgramId, RequestId, Scheme, Signature, TaprootTweak,
    ThresholdRule,
    canonical::refusal_bytes,
    digest::Hasher,
    lifecycle::{
        registry::{AttachedProgram, Requesters},
        request::{Refusal, RequestContent},
    },
};
use frame_support::traits::Authorize as _;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use serde_json::json;
use sp_core::Pair as _;
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};
use sp_runtime::{traits::Dispatchable as _, transaction_validity::TransactionSource};

use super::{
    chain::{begin_block, end_block, local_with},
    check_invariants,
    servers::{
        account, answer, bind, bind_call, key_state, party, ready_call, report_call, result_call,
        server,
    },
};
use crate::{
    Runtime, RuntimeCall, RuntimeOrigin, StakingExtension, System,
    threshold_api::runtime_decl_for_threshold_api::ThresholdApi as _,
};

const USERS: [Sr25519Keyring; 6] = [Alice, Bob, Charlie, Dave, Eve, Ferdie];
const SCHEMES: [Scheme; 2] = [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot];
const BLOCKS: u32 = 1_500;
const CALLS: u32 = 10;

struct Dice(ChaCha20Rng);

impl Dice {
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

    fn user(&mut self) -> Sr25519Keyring {
        USERS[self.below(USERS.len())]
    }

    fn scheme(&mut self) -> Scheme {
        SCHEMES[self.below(SCHEMES.len())]
    }
}

/// What has succeeded, and how often.
#[derive(Debug, Default)]
struct Tally {
    signed: u32,
    signed_ok: u32,
    authorized: u32,
    unauthorized: u32,
    root_ok: u32,
}

fn keys() -> Vec<KeyId> {
    pallet_entropy_registry::Keys::<Runtime>::iter_keys().collect()
}

fn programs() -> Vec<ProgramId> {
    pallet_entropy_programs::Records::<Runtime>::iter_keys().collect()
}

fn requests() -> Vec<RequestId> {
    pallet_entropy_signing::Requests::<Runtime>::iter_keys().collect()
}

fn attached(dice: &mut Dice) -> Vec<AttachedProgram> {
    let known = programs();
    (0..dice.below(3))
        .filter_map(|_| {
            Some(AttachedProgram {
                program: dice.pick(&known)?,
                configuration: vec![1; dice.below(40)],
            })
        })
        .collect()
}

fn requesters(dice: &mut Dice) -> Requesters {
    match dice.below(3) {
        0 => Requesters::Owner,
        1 => {
            let mut accounts = vec![account(dice.user()), account(dice.user())];
            accounts.sort_unstable();
            accounts.dedup();
            Requesters::Accounts(accounts)
        }
        _ => Requesters::Anyone,
    }
}

fn content(dice: &mut Dice) -> Option<RequestContent> {
    Some(RequestContent {
        key: dice.pick(&keys())?,
        message: vec![dice.below(4) as u8; [0, 5, 32, 9_000][dice.below(4)]],
        hasher: Hasher::ALL[dice.below(Hasher::ALL.len())],
        path: DerivationPath::new(vec![dice.below(3) as u32; dice.below(3)]).expect("is a path"),
        tweak: [TaprootTweak::None, TaprootTweak::KeyPath][usize::from(dice.one_in(6))],
    })
}

/// A call that a user signs; `None` if the dice ask for a thing that is not there.
fn user_call(dice: &mut Dice, who: Sr25519Keyring) -> Option<RuntimeCall> {
    use pallet_entropy_programs::Call as Program;
    use pallet_entropy_registry::Call as Registry;
    use pallet_entropy_signing::Call as Signing;
    use pallet_entropy_staking::Call as Staking;

    let lifetime = [
        None,
        Some(1 + dice.below(20) as u32),
        Some(0),
        Some(u32::MAX),
    ][dice.below(4)];
    Some(match dice.below(20) {
        0 => bind_call(who),
        1 => Staking::unbind_server {}.into(),
        2 | 3 => Registry::register {
            scheme: dice.scheme(),
            salt: [dice.below(4) as u8; 32],
            programs: attached(dice),
            requesters: requesters(dice),
        }
        .into(),
        4 => Registry::set_policy {
            id: dice.pick(&keys())?,
            programs: attached(dice),
            requesters: requesters(dice),
        }
        .into(),
        5 => Registry::offer {
            id: dice.pick(&keys())?,
            to: [None, Some(dice.user().to_account_id())][dice.below(2)].clone(),
        }
        .into(),
        6 => Registry::accept {
            id: dice.pick(&keys())?,
        }
        .into(),
        7 => Registry::close {
            id: dice.pick(&keys())?,
        }
        .into(),
        8 => {
            let mut code = b"\0asm\x01\0\0\0".to_vec();
            code.extend(vec![dice.below(4) as u8; dice.below(200)]);
            Program::upload {
                code,
                schema: vec![0; dice.below(20)],
                metadata: vec![0; dice.below(20)],
            }
            .into()
        }
        9 => Program::remove {
            id: dice.pick(&programs())?,
        }
        .into(),
        10..=14 => Signing::request {
            content: content(dice)?,
            lifetime,
        }
        .into(),
        15 => Signing::request_batch {
            contents: (0..dice.below(5)).filter_map(|_| content(dice)).collect(),
            lifetime,
        }
        .into(),
        16 => Signing::cancel {
            id: dice.pick(&requests())?,
        }
        .into(),
        17 | 18 => {
            let request = dice.pick(&requests())?;
            Signing::submit_result_paid {
                request,
                signature: signature(dice, &request)?,
            }
            .into()
        }
        _ => pallet_balances::Call::transfer_keep_alive {
            dest: dice.user().to_account_id().into(),
            value: 1,
        }
        .into(),
    })
}

/// The signature that answers a request without a tweak, or a wrong one.
fn signature(dice: &mut Dice, request: &RequestId) -> Option<Signature> {
    let mut record = pallet_entropy_signing::Pallet::<Runtime>::record(request)?;
    if dice.one_in(5) {
        record.digest.0[0] ^= 1;
    }
    Some(answer(&record))
}

/// A call that carries a server's authority, or pretends to.
fn server_call(dice: &mut Dice) -> Option<RuntimeCall> {
    // Now and then one that no validator has bound.
    let who = USERS[if dice.one_in(10) {
        4 + dice.below(2)
    } else {
        dice.below(4)
    }];
    Some(match dice.below(10) {
        0..=5 => {
            let scheme = dice.scheme();
            key_state(scheme).attempt()?;
            let missed = dice.one_in(20).then(|| vec![party(dice.user())]);
            report_call(who, scheme, missed)
        }
        6 => ready_call(who, dice.below(3) as u32),
        7 => {
            let request = dice.pick(&requests())?;
            let refusal = [
                Refusal::NotAuthorised,
                Refusal::ProgramsNotSupported,
                Refusal::ProgramRefused,
                Refusal::CannotSign {
                    accused: vec![party(dice.user())],
                },
            ][dice.below(4)]
            .clone();
            refuse_call(who, request, refusal)
        }
        _ => {
            let request = dice.pick(&requests())?;
            result_call(who, request, signature(dice, &request)?)
        }
    })
}

fn refuse_call(who: Sr25519Keyring, request: RequestId, refusal: Refusal) -> RuntimeCall {
    let valid_until = System::block_number() + 10;
    let genesis = StakingExtension::genesis();
    let epoch = pallet_entropy_signing::Pallet::<Runtime>::record(&request)
        .and_then(|record| key_state(record.scheme).active().map(|key| key.epoch))
        .unwrap_or_default();
    let message = refusal_bytes(
        &genesis,
        &party(who),
        &request,
        epoch,
        &refusal,
        valid_until,
    );
    pallet_entropy_signing::Call::refuse {
        request,
        epoch,
        refusal,
        server: party(who),
        valid_until,
        server_signature: server(who).sign(&message).0,
    }
    .into()
}

fn root_call(dice: &mut Dice) -> RuntimeCall {
    use pallet_entropy_staking::Call as Staking;
    let parameters = Runtime::parameters();
    match dice.below(4) {
        0 => Staking::refresh {
            scheme: dice.scheme(),
        }
        .into(),
        1 => Staking::give_up {
            scheme: dice.scheme(),
        }
        .into(),
        2 => Staking::set_parameters {
            parameters: Parameters {
                threshold: [ThresholdRule::TwoThirds, ThresholdRule::Fixed(2)][dice.below(2)],
                committee_max: 3 + dice.below(3) as u16,
                committee_min: 3,
                request_deposit: dice.below(1_000) as u128,
                key_byte_deposit: dice.below(1_000) as u128,
                ..parameters
            },
        }
        .into(),
        _ => Staking::set_parameters {
            parameters: Parameters {
                session_blocks: dice.below(9) as u32,
                ..parameters
            },
        }
        .into(),
    }
}

fn run(seed: u64) -> Tally {
    let mut dice = Dice(ChaCha20Rng::seed_from_u64(seed));
    let mut tally = Tally::default();
    let patch = json!({ "stakingExtension": { "parameters": {
        "sessionBlocks": 10,
        "attemptDeadlineBlocks": 12,
        "suspensionBlocks": 3,
        "requestExpiryBlocks": 15,
        "requestRetentionBlocks": 10,
        "refreshSessions": 3,
        "maxOpenPerKey": 4,
        "maxOpenPerRequester": 6,
    } } });
    local_with(&patch).execute_with(|| {
        begin_block();
        for validator in &USERS[..4] {
            bind(*validator).expect("a validator binds its server");
        }
        end_block();
        for _ in 0..BLOCKS {
            begin_block();
            for _ in 0..dice.below(CALLS as usize) {
                match dice.below(20) {
                    0 => {
                        let result = root_call(&mut dice).dispatch(RuntimeOrigin::root());
                        tally.root_ok += u32::from(result.is_ok());
                    }
                    1..=8 => {
                        let who = dice.user();
                        let Some(call) = user_call(&mut dice, who) else {
                            continue;
                        };
                        tally.signed += 1;
                        let origin = RuntimeOrigin::signed(who.to_account_id());
                        tally.signed_ok += u32::from(call.dispatch(origin).is_ok());
                        // As `CheckNonce` does before the next transaction of this account.
                        System::inc_account_nonce(who.to_account_id());
                    }
                    _ => {
                        let Some(call) = server_call(&mut dice) else {
                            continue;
                        };
                        let verdict = call.authorize(TransactionSource::External);
                        let Some(Ok(_)) = verdict else {
                            tally.unauthorized += 1;
                            continue;
                        };
                        tally.authorized += 1;
                        let result = call
                            .clone()
                            .dispatch(frame_system::RawOrigin::Authorized.into());
                        assert!(
                            result.is_ok(),
                            "{call:?} was authorised and failed: {result:?}"
                        );
                    }
                }
            }
            end_block();
            check_invariants();
        }
    });
    tally
}

#[test]
fn whatever_is_sent_the_invariants_hold_and_what_is_authorised_succeeds() {
    let replayed = std::env::var("ENTROPY_SEED")
        .ok()
        .map(|seed| seed.parse().expect("ENTROPY_SEED is a number"));
    // The standard library seeds its hash maps at random.
    let seed = replayed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
    println!("ENTROPY_SEED={seed}");
    let tally = run(seed);
    println!("{tally:?}");
    // Far below what any seed gave: that the test still tries something.
    assert!(tally.authorized > 50, "too little was tried: {tally:?}");
    assert!(tally.signed_ok > 100, "too little was tried: {tally:?}");
    assert!(tally.unauthorized > 50, "too little was refused: {tally:?}");
}
