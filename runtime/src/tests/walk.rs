//! One life of a network over the real runtime: servers are bound, keys made, a signature asked for and given, validators
//! come and go, and those that fall silent are set aside.

use entropy_shared::{
    DerivationPath, Hasher, KeyId, PartyId, RequestId, Scheme, TaprootTweak,
    lifecycle::{
        key::LeftOutReason,
        registry::Requesters,
        request::{RequestContent, RequestState},
    },
};
use frame_support::{assert_noop, assert_ok};
use sp_keyring::Sr25519Keyring::{self, Alice, Bob, Charlie, Dave, Eve, Ferdie};
use sp_keystore::{KeystoreExt, testing::MemoryKeystore};
use sp_runtime::{
    ApplyExtrinsicResult,
    traits::Dispatchable as _,
    transaction_validity::{InvalidTransaction, TransactionValidityError},
};

use super::{
    chain::{advance_to, apply, begin_block, end_block, local},
    check_invariants,
    servers::{
        account, answer, attempt, bind, key_state, party, ready_call, report_call, result_call,
        root_key,
    },
    transactions::{extensions, signed_by},
};
use crate::{
    Balances, Registry, Runtime, RuntimeCall, RuntimeOrigin, SessionKeys, Staking,
    StakingExtension, System, UNIT, UncheckedExtrinsic,
    threshold_api::runtime_decl_for_threshold_api::ThresholdApi as _,
};

const ALL: [Sr25519Keyring; 5] = [Alice, Bob, Charlie, Dave, Eve];
const SCHEMES: [Scheme; 2] = [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot];
const SESSION: u32 = 10;
/// Picoseconds of a block beyond which a transaction may find no room.
const FULL: u64 = 200_000_000_000;

/// Executes one block with these extrinsics, each of which must be applied.
fn block(extrinsics: impl FnOnce() -> Vec<UncheckedExtrinsic>) -> Vec<ApplyExtrinsicResult> {
    begin_block();
    // A block that elects validators leaves no room for transactions: the pool keeps them for the next.
    while System::block_weight().total().ref_time() > FULL {
        end_block();
        begin_block();
    }
    let results = extrinsics().into_iter().map(apply).collect();
    end_block();
    check_invariants();
    results
}

fn signed(signer: Sr25519Keyring, call: impl Into<RuntimeCall>) -> UncheckedExtrinsic {
    signed_by(
        signer,
        call.into(),
        System::account_nonce(signer.to_account_id()),
    )
}

/// A call that carries its own authority.
fn general(call: RuntimeCall) -> UncheckedExtrinsic {
    UncheckedExtrinsic::new_transaction(call, extensions(0))
}

fn one(extrinsic: impl FnOnce() -> UncheckedExtrinsic) -> ApplyExtrinsicResult {
    block(|| vec![extrinsic()]).pop().expect("one was applied")
}

fn applied(result: &ApplyExtrinsicResult) {
    assert!(matches!(result, Ok(Ok(()))), "{result:?}");
}

/// Lets every party of the attempt under way report its share.
fn all_ready(scheme: Scheme) {
    let committee = attempt(scheme).committee;
    let members = ALL
        .into_iter()
        .filter(|who| committee.contains(&party(*who)));
    let results = block(|| {
        members
            .map(|who| general(report_call(who, scheme, None)))
            .collect()
    });
    assert_eq!(results.len(), usize::from(committee.size()));
    results.iter().for_each(applied);
}

fn content(key: KeyId, message: &[u8]) -> RequestContent {
    RequestContent {
        key,
        message: message.to_vec(),
        hasher: Hasher::Sha256,
        path: DerivationPath::new(vec![0, 5]).expect("is a path"),
        tweak: TaprootTweak::None,
    }
}

/// Registers a key of `owner` under `scheme`, for which Bob may request too.
fn register(owner: Sr25519Keyring, scheme: Scheme) -> KeyId {
    applied(&one(|| {
        signed(
            owner,
            pallet_entropy_registry::Call::register {
                scheme,
                salt: [1; 32],
                programs: vec![],
                requesters: Requesters::Accounts(vec![account(Bob)]),
            },
        )
    }));
    KeyId::of(
        &StakingExtension::genesis(),
        scheme,
        &account(owner),
        &[1; 32],
    )
}

/// The only open request.
fn open_request() -> RequestId {
    match &Runtime::view(party(Alice)).requests[..] {
        [open] => open.id,
        others => panic!("one request is open, not {}", others.len()),
    }
}

fn request(who: Sr25519Keyring, content: &RequestContent, lifetime: Option<u32>) -> RequestId {
    applied(&one(|| {
        signed(
            who,
            pallet_entropy_signing::Call::request {
                content: content.clone(),
                lifetime,
            },
        )
    }));
    open_request()
}

#[test]
fn from_an_empty_chain_through_signatures_and_changes_of_the_committee() {
    let mut state = local(SESSION);
    state.register_extension(KeystoreExt::new(MemoryKeystore::new()));
    state.execute_with(|| {
        advance_to(1);
        for validator in [Alice, Bob, Charlie, Dave] {
            assert_ok!(bind(validator));
        }
        advance_to(2);
        for scheme in SCHEMES {
            assert_eq!(attempt(scheme).target.size(), 4);
            assert_noop!(
                Registry::register(
                    RuntimeOrigin::signed(Alice.to_account_id()),
                    scheme,
                    [1; 32],
                    vec![],
                    Requesters::Owner
                ),
                pallet_entropy_registry::Error::<Runtime>::NoRootKey
            );
            all_ready(scheme);
            let key = key_state(scheme);
            assert_eq!(key.active().expect("is active").root_key, root_key());
        }

        signatures();
        expiry();
        rotation();
        silence();
    });
}

/// A key, a request by whom the owner named, wrong results, the right one.
fn signatures() {
    for scheme in SCHEMES {
        let key = register(Alice, scheme);
        let stranger = one(|| {
            signed(
                Ferdie,
                pallet_entropy_signing::Call::request {
                    content: content(key, b"not mine"),
                    lifetime: None,
                },
            )
        });
        assert!(
            matches!(stranger, Ok(Err(_))),
            "included and refused: {stranger:?}"
        );
        let id = request(Bob, &content(key, b"pay 5"), None);
        let record = Runtime::request(id).expect("is kept");
        assert_eq!(record.requester, account(Bob));

        let right = answer(&record);
        let mut other = record.clone();
        other.digest.0[0] ^= 1;
        let results = block(|| {
            vec![
                // Of another digest; brought by a server that no validator has bound; the right one; the right one again.
                general(result_call(Alice, id, answer(&other))),
                general(result_call(Eve, id, right)),
                general(result_call(Charlie, id, right)),
                general(result_call(Dave, id, right)),
            ]
        });
        assert!(matches!(
            results[0],
            Err(TransactionValidityError::Invalid(
                InvalidTransaction::Custom(_)
            ))
        ));
        assert_eq!(results[1], Err(InvalidTransaction::BadSigner.into()));
        applied(&results[2]);
        assert_eq!(results[3], Err(InvalidTransaction::Stale.into()));
        let state = Runtime::request(id).expect("is kept").state;
        assert!(
            matches!(state, RequestState::Signed { signature, .. } if signature == right),
            "{state:?}"
        );
    }
}

/// A request that nobody answers expires; what has ended is forgotten and its deposit given back.
fn expiry() {
    let key = KeyId::of(
        &StakingExtension::genesis(),
        SCHEMES[0],
        &account(Alice),
        &[1; 32],
    );
    let before = Balances::reserved_balance(Bob.to_account_id());
    let id = request(Bob, &content(key, b"too late"), Some(3));
    let held = Balances::reserved_balance(Bob.to_account_id()) - before;
    assert_eq!(held, Runtime::parameters().request_deposit);
    let record = Runtime::request(id).expect("is kept");
    assert_eq!(record.expires, record.submitted + 3);
    advance_to(record.expires);
    let late = one(|| general(result_call(Alice, id, answer(&record))));
    assert_eq!(late, Err(InvalidTransaction::Stale.into()));
    let state = Runtime::request(id).expect("is kept").state;
    assert!(matches!(state, RequestState::Expired { .. }), "{state:?}");
    advance_to(record.expires + Runtime::parameters().request_retention_blocks + 2);
    assert_eq!(Runtime::request(id), None);
    check_invariants();
}

/// Eve begins to validate and Dave leaves: the shares pass to the others, the key stays.
fn rotation() {
    let keys = SessionKeys::generate(&Eve.to_raw_public(), Some(b"//Eve".to_vec()));
    for call in [
        RuntimeCall::from(pallet_staking::Call::bond {
            value: 1_000 * UNIT,
            payee: pallet_staking::RewardDestination::Staked,
        }),
        pallet_session::Call::set_keys {
            keys: keys.keys,
            proof: codec::Encode::encode(&keys.proof),
        }
        .into(),
        pallet_staking::Call::validate {
            prefs: Default::default(),
        }
        .into(),
    ] {
        assert_ok!(call.dispatch(RuntimeOrigin::signed(Eve.to_account_id())));
    }
    assert_ok!(bind(Eve));
    assert_ok!(Staking::chill(RuntimeOrigin::signed(Dave.to_account_id())));
    assert_noop!(
        StakingExtension::unbind_server(RuntimeOrigin::signed(Dave.to_account_id())),
        pallet_entropy_staking::Error::<Runtime>::ServerInUse
    );
    let eve_active = || {
        pallet_entropy_staking::ActiveValidators::<Runtime>::get().contains(&Eve.to_account_id())
    };
    // An election, the queue, and the session that begins with them.
    let patience = System::block_number() + 4 * 3 * SESSION;
    while !eve_active() {
        assert!(System::block_number() < patience, "Eve is never active");
        advance_to(System::block_number() + 1);
    }
    advance_to(System::block_number() + 1);
    let mut expected: Vec<PartyId> = [Alice, Bob, Charlie, Eve].map(party).to_vec();
    expected.sort_unstable();
    for scheme in SCHEMES {
        assert_eq!(attempt(scheme).target.parties(), expected);
        let holders = key_state(scheme);
        assert!(
            holders
                .active()
                .expect("is active")
                .committee
                .contains(&party(Dave))
        );
        all_ready(scheme);
        let state = key_state(scheme);
        let key = state.active().expect("is active");
        assert_eq!((key.epoch, key.root_key), (2, root_key()));
        assert_eq!(key.committee.parties(), expected);
    }
    assert_ok!(StakingExtension::unbind_server(RuntimeOrigin::signed(
        Dave.to_account_id()
    )));
    check_invariants();
}

/// Eve falls silent in a refresh that root asks for: it goes on without her, and she waits before she may come back.
fn silence() {
    let scheme = SCHEMES[1];
    assert_ok!(StakingExtension::refresh(RuntimeOrigin::root(), scheme));
    advance_to(System::block_number() + 1);
    let begun = attempt(scheme);
    for who in [Alice, Bob, Charlie] {
        applied(&one(|| general(report_call(who, scheme, None))));
    }
    advance_to(begun.deadline + 1);
    assert_eq!(attempt(scheme).left_out, [party(Eve)]);
    let offences = StakingExtension::offences(&party(Eve));
    assert_eq!(
        offences
            .iter()
            .map(|offence| (offence.reason, offence.epoch))
            .collect::<Vec<_>>(),
        [(LeftOutReason::Silent, 3)]
    );
    all_ready(scheme);
    let state = key_state(scheme);
    assert!(
        !state
            .active()
            .expect("is active")
            .committee
            .contains(&party(Eve))
    );
    let standing = Runtime::view(party(Eve))
        .binding
        .expect("is bound")
        .standing;
    let until = standing.suspended_until.expect("is suspended");
    assert!(one(|| general(ready_call(Eve, standing.number))).is_err());
    advance_to(until);
    applied(&one(|| general(ready_call(Eve, standing.number))));
    let again = one(|| general(ready_call(Eve, standing.number)));
    assert_eq!(again, Err(InvalidTransaction::Stale.into()));
    // The next session takes her back.
    advance_to(System::block_number() + SESSION + 1);
    assert!(attempt(scheme).target.contains(&party(Eve)));
    all_ready(scheme);
    check_invariants();
}
