//! Servers of the runtime's tests: what they sign for the chain, and the secrets of root keys, which on a real network
//! nobody has.

use entropy_shared::{
    AccountId, DerivationPath, Digest, KeyId, PartyId, RequestId, Scheme, Signature, VerifyingKey,
    canonical::{
        ServerInfo, attempt_report_bytes, binding_bytes, proof_digest, ready_bytes, result_bytes,
    },
    derivation::derive,
    lifecycle::{
        key::{Attempt, AttemptOutcome, AttemptReport, AttemptResult, KeyState},
        request::RequestRecord,
    },
};
use frame_support::dispatch::DispatchResult;
use k256::{
    Scalar, SecretKey,
    ecdsa::SigningKey,
    elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
    schnorr,
};
use sp_core::{Pair as _, ed25519};
use sp_keyring::Sr25519Keyring;

use crate::{Runtime, RuntimeCall, RuntimeOrigin, StakingExtension, System};

/// What holders agree on, as far as the chain can tell.
pub(super) const PUBLIC: Digest = Digest([7; 32]);

/// The key pair of the server that `validator` binds; it differs from every key of an account.
pub(super) fn server(validator: Sr25519Keyring) -> ed25519::Pair {
    ed25519::Pair::from_string(&format!("//server{}", validator.to_seed()), None)
        .expect("is a derivation path")
}

pub(super) fn party(validator: Sr25519Keyring) -> PartyId {
    PartyId(server(validator).public().0)
}

pub(super) fn account(of: Sr25519Keyring) -> AccountId {
    AccountId(of.to_raw_public())
}

pub(super) fn bind_call(validator: Sr25519Keyring) -> RuntimeCall {
    let info = ServerInfo {
        server: party(validator),
        endpoint: b"ws://127.0.0.1:1".to_vec(),
        noise_key: validator.to_raw_public(),
    };
    let message = binding_bytes(&StakingExtension::genesis(), &account(validator), &info);
    let proof = server(validator).sign(&message).0;
    pallet_entropy_staking::Call::bind_server { info, proof }.into()
}

pub(super) fn bind(validator: Sr25519Keyring) -> DispatchResult {
    use sp_runtime::traits::Dispatchable as _;
    bind_call(validator)
        .dispatch(RuntimeOrigin::signed(validator.to_account_id()))
        .map(|_| ())
        .map_err(|error| error.error)
}

pub(super) fn key_state(scheme: Scheme) -> KeyState {
    pallet_entropy_staking::KeyStates::<Runtime>::get(scheme)
}

/// The attempt under way.
pub(super) fn attempt(scheme: Scheme) -> Attempt {
    let state = key_state(scheme);
    match state.attempt() {
        Some(attempt) => attempt.clone(),
        None => panic!("an attempt is made, not {state:?}"),
    }
}

fn root_secret() -> SecretKey {
    SecretKey::from_slice(&[42; 32]).expect("is a scalar")
}

pub(super) fn root_key() -> VerifyingKey {
    let point = root_secret().public_key().to_encoded_point(true);
    VerifyingKey::Secp256k1(point.as_bytes().try_into().expect("is compressed"))
}

/// What holders of the root key make together: a signature by the child at `path` below `key`, without a tweak.
pub(super) fn sign(
    scheme: Scheme,
    key: &KeyId,
    path: &DerivationPath,
    digest: &Digest,
) -> Signature {
    let derived = derive(scheme, &root_key(), key, path).expect("is derivable");
    let offset = Scalar::from_repr(derived.offset.into()).expect("is a scalar");
    let secret = *root_secret().to_nonzero_scalar() + offset;
    if scheme == Scheme::SchnorrTaproot {
        let key = schnorr::SigningKey::from_bytes(&secret.to_bytes()).expect("is a scalar");
        let signature = key.sign_raw(&digest.0, &[0; 32]).expect("signs");
        return Signature::Bip340(signature.to_bytes());
    }
    let key = SigningKey::from_bytes(&secret.to_bytes()).expect("is a scalar");
    let (signature, recovery) = key.sign_prehash_recoverable(&digest.0).expect("signs");
    let mut bytes = [recovery.to_byte(); 65];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    Signature::EcdsaSecp256k1(bytes)
}

/// The signature that answers a request.
pub(super) fn answer(record: &RequestRecord) -> Signature {
    sign(
        record.scheme,
        &record.content.key,
        &record.content.path,
        &record.digest,
    )
}

/// The report of `validator`'s server on the attempt under way, of a share if `missed` is `None`.
pub(super) fn report_call(
    validator: Sr25519Keyring,
    scheme: Scheme,
    missed: Option<Vec<PartyId>>,
) -> RuntimeCall {
    let genesis = StakingExtension::genesis();
    let attempt = attempt(scheme);
    let outcome = match missed {
        None => {
            let digest = proof_digest(&genesis, scheme, attempt.epoch, attempt.attempt, &PUBLIC);
            let id = KeyId::of_proof(&genesis, scheme);
            AttemptOutcome::Ready {
                result: AttemptResult {
                    public_digest: PUBLIC,
                    root_key: root_key(),
                },
                proof: sign(scheme, &id, &DerivationPath::default(), &digest),
            }
        }
        Some(missed) => AttemptOutcome::Failed {
            accused: Vec::new(),
            missed,
        },
    };
    let report = AttemptReport {
        server: party(validator),
        scheme,
        epoch: attempt.epoch,
        attempt: attempt.attempt,
        outcome,
    };
    let valid_until = System::block_number() + 10;
    let message = attempt_report_bytes(&genesis, &report, valid_until);
    pallet_entropy_staking::Call::report_attempt {
        report,
        valid_until,
        signature: server(validator).sign(&message).0,
    }
    .into()
}

/// The word of `validator`'s server that it is ready after its suspension `number`.
pub(super) fn ready_call(validator: Sr25519Keyring, number: u32) -> RuntimeCall {
    let valid_until = System::block_number() + 10;
    let genesis = StakingExtension::genesis();
    let message = ready_bytes(&genesis, &party(validator), number, valid_until);
    pallet_entropy_staking::Call::ready {
        server: party(validator),
        number,
        valid_until,
        signature: server(validator).sign(&message).0,
    }
    .into()
}

/// The result of a request, brought by `validator`'s server.
pub(super) fn result_call(
    validator: Sr25519Keyring,
    request: RequestId,
    signature: Signature,
) -> RuntimeCall {
    let valid_until = System::block_number() + 10;
    let genesis = StakingExtension::genesis();
    let message = result_bytes(
        &genesis,
        &party(validator),
        &request,
        &signature,
        valid_until,
    );
    pallet_entropy_signing::Call::submit_result {
        request,
        signature,
        server: party(validator),
        valid_until,
        server_signature: server(validator).sign(&message).0,
    }
    .into()
}
