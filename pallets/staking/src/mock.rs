//! A runtime of this pallet alone, five validators with servers, and a root key whose secret the tests know.

use entropy_shared::{
    AccountId, DerivationPath, Digest, KeyId, PartyId, Scheme, Signature, VerifyingKey,
    canonical::{ServerInfo, attempt_report_bytes, binding_bytes, proof_digest, ready_bytes},
    derivation::derive,
    lifecycle::key::{Attempt, AttemptOutcome, AttemptReport, AttemptResult, KeyState},
    parameters::Parameters,
    traits::Validators,
};
use frame_support::{
    assert_ok, derive_impl, parameter_types,
    traits::{Authorize, ConstU32, ConstU128, Hooks},
};
use k256::{
    Scalar, SecretKey,
    ecdsa::SigningKey,
    elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
    schnorr,
};
use sp_core::{Pair, crypto::AccountId32, ed25519};
use sp_runtime::{
    BuildStorage, MultiSignature, generic,
    traits::{BlakeTwo256, Dispatchable, IdentityLookup},
    transaction_validity::{TransactionSource, TransactionValidityError, ValidTransaction},
};

use crate as staking_extension;

pub(crate) type Extension = (frame_system::AuthorizeCall<Test>,);
pub(crate) type UncheckedExtrinsic =
    generic::UncheckedExtrinsic<AccountId32, RuntimeCall, MultiSignature, Extension>;
pub(crate) type Block = generic::Block<generic::Header<u32, BlakeTwo256>, UncheckedExtrinsic>;

#[frame_support::runtime]
mod runtime {
    #[runtime::runtime]
    #[runtime::derive(
        RuntimeCall,
        RuntimeEvent,
        RuntimeError,
        RuntimeOrigin,
        RuntimeFreezeReason,
        RuntimeHoldReason,
        RuntimeSlashReason,
        RuntimeLockId,
        RuntimeTask
    )]
    pub struct Test;

    #[runtime::pallet_index(0)]
    pub type System = frame_system;
    #[runtime::pallet_index(1)]
    pub type Balances = pallet_balances;
    #[runtime::pallet_index(2)]
    pub type StakingExtension = staking_extension;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = Block;
    type AccountId = AccountId32;
    type Lookup = IdentityLookup<AccountId32>;
    type AccountData = pallet_balances::AccountData<u128>;
}

#[derive_impl(pallet_balances::config_preludes::TestDefaultConfig)]
impl pallet_balances::Config for Test {
    type Balance = u128;
    type ExistentialDeposit = ConstU128<1>;
    type AccountStore = System;
}

parameter_types! {
    /// Who has bonded and asked to validate.
    pub static Bonded: Vec<AccountId> = Vec::new();
}

pub struct BondedOnes;

impl Validators for BondedOnes {
    fn is_validator(stash: &AccountId) -> bool {
        Bonded::get().contains(stash)
    }
}

impl staking_extension::Config for Test {
    type Currency = Balances;
    type WeightInfo = crate::weights::HandMade<Test>;
    type Validators = BondedOnes;
    type MaxActiveValidators = ConstU32<6>;
}

pub(crate) const DEPOSIT: u128 = 1_000;
pub(crate) const ENDOWMENT: u128 = 10_000;
pub(crate) const PUBLIC: Digest = Digest([7; 32]);

pub(crate) fn parameters() -> Parameters {
    Parameters {
        attempt_deadline_blocks: 20,
        suspension_blocks: 30,
        committee_max: 5,
        server_deposit: DEPOSIT,
        ..Parameters::default()
    }
}

/// The state after genesis, in block 1; accounts 1 to 9 have funds and have bonded, nobody is active.
pub(crate) fn new_ext_with(parameters: Parameters) -> sp_io::TestExternalities {
    let accounts = 1..=9;
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances: accounts
                .clone()
                .map(|number| (stash(number), ENDOWMENT))
                .collect(),
            ..Default::default()
        },
        staking_extension: StakingExtensionConfig {
            parameters,
            ..Default::default()
        },
        ..Default::default()
    };
    Bonded::set(accounts.map(|number| AccountId([number; 32])).collect());
    let mut ext = sp_io::TestExternalities::from(genesis.build_storage().unwrap());
    ext.execute_with(|| System::set_block_number(1));
    ext
}

pub(crate) fn new_ext() -> sp_io::TestExternalities {
    new_ext_with(parameters())
}

pub(crate) fn stash(number: u8) -> AccountId32 {
    AccountId32::new([number; 32])
}

pub(crate) fn server_pair(number: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[number; 32])
}

pub(crate) fn server(number: u8) -> PartyId {
    PartyId(server_pair(number).public().0)
}

pub(crate) fn info(number: u8) -> ServerInfo {
    let endpoint = format!("ws://127.0.0.1:{}", 4_000 + u16::from(number)).into_bytes();
    ServerInfo {
        server: server(number),
        endpoint,
        noise_key: [number; 32],
    }
}

/// The proof of possession of server `number` for validator `of`.
pub(crate) fn proof(number: u8, of: u8, info: &ServerInfo) -> [u8; 64] {
    let message = binding_bytes(&StakingExtension::genesis(), &AccountId([of; 32]), info);
    server_pair(number).sign(&message).0
}

/// Binds server `number` to validator `number`.
pub(crate) fn bind(number: u8) {
    let info = info(number);
    let proof = proof(number, number, &info);
    assert_ok!(StakingExtension::bind_server(
        RuntimeOrigin::signed(stash(number)),
        info,
        proof
    ));
}

/// Lets validators 1 to `size` be active with a server each, and begins the next block.
pub(crate) fn form_committee(size: u8) {
    (1..=size).for_each(bind);
    StakingExtension::note_active_validators((1..=size).map(stash).collect());
    run_to(now() + 1);
}

pub(crate) fn now() -> u32 {
    System::block_number()
}

pub(crate) fn run_to(block: u32) {
    while now() < block {
        System::set_block_number(now() + 1);
        System::reset_events();
        StakingExtension::on_initialize(now());
        assert_eq!(StakingExtension::check_invariants(), Ok(()));
    }
}

pub(crate) fn state(scheme: Scheme) -> KeyState {
    staking_extension::KeyStates::<Test>::get(scheme)
}

/// The attempt under way.
pub(crate) fn attempt(scheme: Scheme) -> Attempt {
    let state = state(scheme);
    match state.attempt() {
        Some(attempt) => attempt.clone(),
        None => panic!("an attempt is made, not {state:?}"),
    }
}

pub(crate) fn events() -> Vec<staking_extension::Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::StakingExtension(event) => Some(event),
            _ => None,
        })
        .collect()
}

/// The secret of a root key, which on a real network nobody has.
pub(crate) fn root_secret() -> SecretKey {
    SecretKey::from_slice(&[42; 32]).unwrap()
}

pub(crate) fn root_key() -> VerifyingKey {
    let point = root_secret().public_key().to_encoded_point(true);
    VerifyingKey::Secp256k1(point.as_bytes().try_into().unwrap())
}

/// What the holders of the key sign together to prove that they can.
pub(crate) fn share_proof(
    scheme: Scheme,
    epoch: u32,
    attempt: u32,
    public_digest: &Digest,
) -> Signature {
    let genesis = StakingExtension::genesis();
    let digest = proof_digest(&genesis, scheme, epoch, attempt, public_digest);
    let id = KeyId::of_proof(&genesis, scheme);
    let derived = derive(scheme, &root_key(), &id, &DerivationPath::default()).unwrap();
    let offset = Scalar::from_repr(derived.offset.into()).unwrap();
    let secret = *root_secret().to_nonzero_scalar() + offset;
    match scheme {
        Scheme::SchnorrTaproot => {
            let key = schnorr::SigningKey::from_bytes(&secret.to_bytes()).unwrap();
            Signature::Bip340(key.sign_raw(&digest.0, &[0; 32]).unwrap().to_bytes())
        }
        _ => {
            let key = SigningKey::from_bytes(&secret.to_bytes()).unwrap();
            let (signature, recovery) = key.sign_prehash_recoverable(&digest.0).unwrap();
            let mut bytes = [recovery.to_byte(); 65];
            bytes[..64].copy_from_slice(&signature.to_bytes());
            Signature::EcdsaSecp256k1(bytes)
        }
    }
}

/// What server `number` reports of a key generation if all went well.
pub(crate) fn ready(number: u8, scheme: Scheme, attempt: u32) -> AttemptReport {
    ready_in(1, number, scheme, attempt)
}

/// What server `number` reports of an attempt in this epoch if all went well.
pub(crate) fn ready_in(epoch: u32, number: u8, scheme: Scheme, attempt: u32) -> AttemptReport {
    let proof = share_proof(scheme, epoch, attempt, &PUBLIC);
    let result = AttemptResult {
        public_digest: PUBLIC,
        root_key: root_key(),
    };
    let outcome = AttemptOutcome::Ready { result, proof };
    AttemptReport {
        server: server(number),
        scheme,
        epoch,
        attempt,
        outcome,
    }
}

pub(crate) fn failed(
    number: u8,
    scheme: Scheme,
    attempt: u32,
    accused: Vec<PartyId>,
) -> AttemptReport {
    let outcome = AttemptOutcome::Failed {
        accused,
        missed: vec![],
    };
    AttemptReport {
        server: server(number),
        scheme,
        epoch: 1,
        attempt,
        outcome,
    }
}

/// The call with the signature of server `signer`.
pub(crate) fn call(report: AttemptReport, valid_until: u32, signer: u8) -> RuntimeCall {
    let message = attempt_report_bytes(&StakingExtension::genesis(), &report, valid_until);
    let signature = server_pair(signer).sign(&message).0;
    staking_extension::Call::report_attempt {
        report,
        valid_until,
        signature,
    }
    .into()
}

pub(crate) fn authorize(call: &RuntimeCall) -> Result<ValidTransaction, TransactionValidityError> {
    let (transaction, unspent) = call.authorize(TransactionSource::External).unwrap()?;
    assert_eq!(unspent, frame_support::weights::Weight::zero());
    Ok(transaction)
}

/// Authorises and dispatches, as a block does.
pub(crate) fn submit(call: RuntimeCall) -> Result<(), TransactionValidityError> {
    authorize(&call)?;
    assert_ok!(call.dispatch(frame_system::RawOrigin::Authorized.into()));
    assert_eq!(StakingExtension::check_invariants(), Ok(()));
    Ok(())
}

/// Reports of all its parties that all went well in the present attempt.
pub(crate) fn all_ready(scheme: Scheme) {
    let attempt = attempt(scheme);
    for number in (1..=9).filter(|number| attempt.committee.contains(&server(*number))) {
        let report = ready_in(attempt.epoch, number, scheme, attempt.attempt);
        assert_ok!(submit(call(report, now() + 10, number)));
    }
}

/// Lets the present attempt at a key pass while server `silent` does not report; the others do.
pub(crate) fn without(scheme: Scheme, silent: u8) {
    let attempt = attempt(scheme);
    for number in (1..=9).filter(|number| *number != silent) {
        if attempt.committee.contains(&server(number)) {
            let report = ready_in(attempt.epoch, number, scheme, attempt.attempt);
            assert_ok!(submit(call(report, now() + 10, number)));
        }
    }
    run_to(attempt.deadline + 1);
}

/// The word of server `number` that it is ready after its suspension `suspension`, with the signature of server `signer`.
pub(crate) fn ready_call(number: u8, suspension: u32, valid_until: u32, signer: u8) -> RuntimeCall {
    let genesis = StakingExtension::genesis();
    let message = ready_bytes(&genesis, &server(number), suspension, valid_until);
    staking_extension::Call::ready {
        server: server(number),
        number: suspension,
        valid_until,
        signature: server_pair(signer).sign(&message).0,
    }
    .into()
}

/// The validators of a session that begins now; the next block begins too.
pub(crate) fn session(validators: &[u8]) {
    StakingExtension::note_active_validators(validators.iter().copied().map(stash).collect());
    run_to(now() + 1);
}
