//! What the chain's side of threshold signing costs: `view` with few and many open requests, natively and in Wasm, and a
//! result of each scheme judged in Wasm. Prints a table; run by `cargo bench -p entropy-runtime`.
//!
//! Times are medians. Each kind stands beside a baseline of the same run: an empty view, a result that is refused before
//! its signature is looked at.

#![expect(clippy::print_stdout, reason = "a bench prints")]

use std::time::{Duration, Instant};

use codec::{Decode, Encode};
use entropy_runtime::{
    Runtime, RuntimeCall, RuntimeOrigin, TransactionExtensions, UncheckedExtrinsic,
};
use entropy_shared::{
    AccountId, Committee, DerivationPath, Digest, Hasher, KeyId, PartyId, RequestId, Scheme,
    Signature, TaprootTweak, VerifyingKey,
    canonical::{ServerInfo, result_bytes},
    derivation::derive,
    lifecycle::{
        key::{ActiveKey, KeyState},
        registry::Requesters,
        request::RequestContent,
        standing::Standing,
    },
    view::{Binding, ChainView},
};
use frame_support::assert_ok;
use sc_executor::WasmExecutor;
use sp_core::{
    Pair as _, ed25519,
    traits::{CallContext, CodeExecutor as _, RuntimeCode, WrappedRuntimeCode},
};
use sp_externalities::Externalities as _;
use sp_genesis_builder::runtime_decl_for_genesis_builder::GenesisBuilder as _;
use sp_io::TestExternalities;
use sp_keyring::Sr25519Keyring::Alice;
use sp_runtime::{
    generic::Era,
    transaction_validity::{TransactionSource, TransactionValidity},
};

type Staking = pallet_entropy_staking::Pallet<Runtime>;

const RUNS: usize = 50;

fn median(mut run: impl FnMut()) -> Duration {
    // The first call compiles, fills caches.
    run();
    let mut times: Vec<_> = (0..RUNS)
        .map(|_| {
            let began = Instant::now();
            run();
            began.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[RUNS / 2]
}

fn server(number: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[number; 32])
}

fn party(number: u8) -> PartyId {
    PartyId(server(number).public().0)
}

/// The secret of every root key, as a scalar of any of the curves, big-endian.
fn secret() -> [u8; 32] {
    let mut secret = [0; 32];
    secret[31] = 42;
    secret
}

fn root_key(scheme: Scheme) -> VerifyingKey {
    use p256::elliptic_curve::sec1::ToEncodedPoint as _;
    match scheme {
        Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot => {
            let key = k256::SecretKey::from_slice(&secret()).expect("is a scalar");
            let point = key.public_key().to_encoded_point(true);
            VerifyingKey::Secp256k1(point.as_bytes().try_into().expect("is compressed"))
        }
        Scheme::EcdsaP256 => {
            let key = p256::SecretKey::from_slice(&secret()).expect("is a scalar");
            let point = key.public_key().to_encoded_point(true);
            VerifyingKey::P256(point.as_bytes().try_into().expect("is compressed"))
        }
        Scheme::SchnorrEd25519 => {
            let secret = curve25519_dalek::Scalar::from(42u8);
            let point = curve25519_dalek::EdwardsPoint::mul_base(&secret);
            VerifyingKey::Ed25519(point.compress().to_bytes())
        }
    }
}

/// What holders of the root key make together, with its secret in one hand.
fn sign(scheme: Scheme, key: &KeyId, path: &DerivationPath, digest: &Digest) -> Signature {
    use k256::elliptic_curve::PrimeField as _;
    let offset = derive(scheme, &root_key(scheme), key, path)
        .expect("is derivable")
        .offset;
    match scheme {
        Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot => {
            let secret = k256::Scalar::from(42u64)
                + k256::Scalar::from_repr(offset.into()).expect("is a scalar");
            if scheme == Scheme::SchnorrTaproot {
                let key =
                    k256::schnorr::SigningKey::from_bytes(&secret.to_bytes()).expect("is a scalar");
                let signature = key.sign_raw(&digest.0, &[0; 32]).expect("signs");
                return Signature::Bip340(signature.to_bytes());
            }
            let key = k256::ecdsa::SigningKey::from_bytes(&secret.to_bytes()).expect("is a scalar");
            let (signature, recovery) = key.sign_prehash_recoverable(&digest.0).expect("signs");
            let mut bytes = [recovery.to_byte(); 65];
            bytes[..64].copy_from_slice(&signature.to_bytes());
            Signature::EcdsaSecp256k1(bytes)
        }
        Scheme::EcdsaP256 => {
            let secret = p256::Scalar::from(42u64)
                + p256::Scalar::from_repr(offset.into()).expect("is a scalar");
            let key = p256::ecdsa::SigningKey::from_bytes(&secret.to_bytes()).expect("is a scalar");
            let (signature, recovery) = key.sign_prehash_recoverable(&digest.0).expect("signs");
            let (signature, recovery) = match signature.normalize_s() {
                Some(low) => (low, recovery.to_byte() ^ 1),
                None => (signature, recovery.to_byte()),
            };
            let mut bytes = [recovery; 65];
            bytes[..64].copy_from_slice(&signature.to_bytes());
            Signature::EcdsaP256(bytes)
        }
        Scheme::SchnorrEd25519 => {
            use curve25519_dalek::{EdwardsPoint, Scalar};
            use sha2::{Digest as _, Sha512};
            let offset = Scalar::from_canonical_bytes(offset).expect("is a scalar");
            let secret = Scalar::from(42u8) + offset;
            let key = EdwardsPoint::mul_base(&secret).compress();
            let nonce = Scalar::from(1_000_003u64);
            let commitment = EdwardsPoint::mul_base(&nonce).compress();
            let hash = Sha512::new()
                .chain_update(commitment.as_bytes())
                .chain_update(key.as_bytes())
                .chain_update(digest.0);
            let challenge = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
            let mut bytes = [0; 64];
            bytes[..32].copy_from_slice(commitment.as_bytes());
            bytes[32..].copy_from_slice((nonce + challenge * secret).as_bytes());
            Signature::Ed25519(bytes)
        }
    }
}

/// A chain with a committee of four that holds a key of every scheme, in block 1.
fn chain() -> TestExternalities {
    let default = Runtime::get_preset(&None).expect("there is a default");
    let mut config: serde_json::Value = serde_json::from_slice(&default).expect("is JSON");
    config["stakingExtension"]["parameters"]["maxOpenPerKey"] = 64.into();
    config["stakingExtension"]["parameters"]["maxOpenPerRequester"] = 2_000.into();
    config["balances"]["balances"] =
        serde_json::json!([[Alice.to_account_id(), 1_000_000_000_000_000_000_000_000u128]]);
    let mut state = TestExternalities::default();
    state.execute_with(|| {
        Runtime::build_state(config.to_string().into_bytes()).expect("the genesis is valid");
        frame_system::Pallet::<Runtime>::set_block_number(1);
        let committee = Committee::new((1..=4).map(party), 3).expect("is a committee");
        for number in 1..=4 {
            let info = ServerInfo {
                server: party(number),
                endpoint: b"wss://server.example.org:4001".to_vec(),
                noise_key: [number; 32],
            };
            let binding = Binding {
                stash: AccountId([number; 32]),
                info,
                standing: Standing::default(),
            };
            pallet_entropy_staking::Servers::<Runtime>::insert(
                party(number),
                pallet_entropy_staking::BoundServer {
                    binding,
                    deposit: 0,
                },
            );
        }
        // No specification could enable those that servers do not have yet.
        pallet_entropy_staking::ChainParameters::<Runtime>::mutate(|parameters| {
            parameters.schemes = Scheme::ALL.into_iter().collect();
        });
        for scheme in Scheme::ALL {
            let key = ActiveKey {
                epoch: 1,
                attempt: 1,
                committee: committee.clone(),
                root_key: root_key(scheme),
                public_digest: Digest([7; 32]),
                protocol_version: 1,
                since: 1,
                attempts: 0,
            };
            pallet_entropy_staking::KeyStates::<Runtime>::insert(scheme, KeyState::Active(key));
        }
    });
    state.commit_all().expect("nothing is open");
    state
}

/// Registers a key and requests a signature of a message of 100 bytes.
fn request(scheme: Scheme, salt: u8, nonce: u32) -> RequestId {
    let origin = RuntimeOrigin::signed(Alice.to_account_id());
    let genesis = Staking::genesis();
    let owner = AccountId(Alice.to_raw_public());
    let key = KeyId::of(&genesis, scheme, &owner, &[salt; 32]);
    if pallet_entropy_registry::Pallet::<Runtime>::key(&key).is_none() {
        assert_ok!(pallet_entropy_registry::Pallet::<Runtime>::register(
            origin.clone(),
            scheme,
            [salt; 32],
            vec![],
            Requesters::Owner
        ));
    }
    let mut message = vec![9; 100];
    message[..4].copy_from_slice(&nonce.to_le_bytes());
    let content = RequestContent {
        key,
        message,
        hasher: Hasher::Sha256,
        path: DerivationPath::new(vec![0, 5]).expect("is a path"),
        tweak: TaprootTweak::None,
    };
    let id = entropy_shared::lifecycle::request::request_id(&genesis, &owner, 0, &content);
    assert_ok!(pallet_entropy_signing::Pallet::<Runtime>::request(
        origin, content, None
    ));
    id
}

struct Wasm {
    executor: WasmExecutor,
    code: &'static [u8],
}

impl Wasm {
    fn call(&self, state: &mut TestExternalities, method: &str, data: &[u8]) -> Vec<u8> {
        let code = WrappedRuntimeCode(self.code.into());
        let runtime = RuntimeCode {
            code_fetcher: &code,
            heap_pages: None,
            hash: sp_io::hashing::blake2_256(self.code).to_vec(),
        };
        // What a call writes, such as the number of the block that it pretends to be in, must not be there for the next.
        let mut state = state.ext();
        state.storage_start_transaction();
        let context = CallContext::Offchain;
        let (answer, _) = self
            .executor
            .call(&mut state, &runtime, method, data, context);
        state
            .storage_rollback_transaction()
            .expect("it has been started");
        answer.expect("the call succeeds")
    }
}

fn views(wasm: &Wasm) {
    println!("view of a member       |   bytes | natively |  in Wasm");
    let mut state = chain();
    let mut open = 0;
    for wanted in [0u32, 100, 1_000] {
        state.execute_with(|| {
            while open < wanted {
                let salt = (open / 64) as u8;
                let _ = request(Scheme::SchnorrTaproot, salt, open);
                open += 1;
            }
        });
        state.commit_all().expect("nothing is open");
        let me = party(1).encode();
        let answer = wasm.call(&mut state, "ThresholdApi_view", &me);
        let view = ChainView::decode(&mut &answer[..]).expect("is a view");
        assert_eq!(view.requests.len(), wanted as usize);
        let native = state.execute_with(|| {
            median(|| {
                let requests = pallet_entropy_signing::Pallet::<Runtime>::open_requests();
                let _ = std::hint::black_box(Staking::view(&party(1), requests));
            })
        });
        let in_wasm = median(|| {
            let _ = wasm.call(&mut state, "ThresholdApi_view", &me);
        });
        println!(
            "{wanted:>5} open requests     | {:>7} | {:>5.2} ms | {:>5.2} ms",
            answer.len(),
            native.as_secs_f64() * 1e3,
            in_wasm.as_secs_f64() * 1e3,
        );
    }
}

fn extensions() -> TransactionExtensions {
    (
        frame_system::AuthorizeCall::new(),
        frame_system::CheckNonZeroSender::new(),
        frame_system::CheckSpecVersion::new(),
        frame_system::CheckTxVersion::new(),
        frame_system::CheckGenesis::new(),
        frame_system::CheckMortality::from(Era::Immortal),
        frame_system::CheckNonce::from(0),
        frame_system::CheckWeight::new(),
        pallet_transaction_payment::ChargeTransactionPayment::from(0),
        frame_metadata_hash_extension::CheckMetadataHash::new(false),
        frame_system::WeightReclaim::new(),
    )
}

/// What a pool sends to the runtime to have a server's result judged.
fn validation(request: RequestId, signature: Signature) -> Vec<u8> {
    let genesis = Staking::genesis();
    let valid_until = 10;
    let message = result_bytes(&genesis, &party(1), &request, &signature, valid_until);
    let call: RuntimeCall = pallet_entropy_signing::Call::submit_result {
        request,
        signature,
        server: party(1),
        valid_until,
        server_signature: server(1).sign(&message).0,
    }
    .into();
    let transaction = UncheckedExtrinsic::new_transaction(call, extensions());
    (
        TransactionSource::External,
        transaction,
        entropy_runtime::Hash::default(),
    )
        .encode()
}

fn results(wasm: &Wasm) {
    const METHOD: &str = "TaggedTransactionQueue_validate_transaction";
    println!();
    println!("a result judged in Wasm | whole call | its signature alone");
    let mut state = chain();
    let verdict =
        |answer: &[u8]| TransactionValidity::decode(&mut &answer[..]).expect("is a verdict");
    let refused = state.execute_with(|| validation(RequestId([0; 32]), Signature::Bip340([1; 64])));
    assert!(verdict(&wasm.call(&mut state, METHOD, &refused)).is_err());
    let baseline = median(|| {
        let _ = wasm.call(&mut state, METHOD, &refused);
    });
    println!(
        "unknown request         | {:>7.0} us | (baseline: no signature is looked at)",
        baseline.as_secs_f64() * 1e6
    );
    for (number, scheme) in Scheme::ALL.into_iter().enumerate() {
        let data = state.execute_with(|| {
            let id = request(scheme, 200, number as u32);
            let record = pallet_entropy_signing::Pallet::<Runtime>::record(&id).expect("is kept");
            let content = &record.content;
            let signature = sign(scheme, &content.key, &content.path, &record.digest);
            validation(id, signature)
        });
        state.commit_all().expect("nothing is open");
        let answer = verdict(&wasm.call(&mut state, METHOD, &data));
        assert!(answer.is_ok(), "{scheme}: {answer:?}");
        let time = median(|| {
            let _ = wasm.call(&mut state, METHOD, &data);
        });
        println!(
            "{scheme:<23} | {:>7.0} us | {:>7.0} us, with the server's own by the host",
            time.as_secs_f64() * 1e6,
            time.saturating_sub(baseline).as_secs_f64() * 1e6
        );
    }
}

fn main() {
    let code = match entropy_runtime::wasm_binary() {
        Ok(code) => code,
        Err(missing) => {
            println!("{missing}");
            return;
        }
    };
    let wasm = Wasm {
        executor: WasmExecutor::builder().build(),
        code,
    };
    views(&wasm);
    results(&wasm);
}
