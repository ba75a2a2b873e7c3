//! A runtime of this pallet alone, five validators with servers, and a root key whose secret the tests know.

use entropy_shared::{
    AccountId, DerivationPath, Digest, KeyId, PartyId, Scheme, Signature, VerifyingKey,
    canonical::{ServerInfo, binding_bytes, keygen_report_bytes, proof_digest},
    derivation::derive,
    lifecycle::keygen::{Generating, KeyState, KeygenOutcome, KeygenReport, KeygenResult},
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
    type Validators = BondedOnes;
    type MaxActiveValidators = ConstU32<6>;
}

pub(crate) const DEPOSIT: u128 = 1_000;
pub(crate) const ENDOWMENT: u128 = 10_000;
pub(crate) const PUBLIC: Digest = Digest([7; 32]);

pub(crate) fn parameters() -> Parameters {
    Parameters {
        keygen_deadline_blocks: 20,
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
    }
}

pub(crate) fn state(scheme: Scheme) -> KeyState {
    staking_extension::KeyStates::<Test>::get(scheme)
}

pub(crate) fn generating(scheme: Scheme) -> Generating {
    match state(scheme) {
        KeyState::Generating(generating) => generating,
        other => panic!("an attempt is made, not {other:?}"),
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
pub(crate) fn keygen_proof(scheme: Scheme, attempt: u32, public_digest: &Digest) -> Signature {
    let genesis = StakingExtension::genesis();
    let digest = proof_digest(&genesis, scheme, 1, attempt, public_digest);
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

/// What server `number` reports if all went well.
pub(crate) fn ready(number: u8, scheme: Scheme, attempt: u32) -> KeygenReport {
    let proof = keygen_proof(scheme, attempt, &PUBLIC);
    let result = KeygenResult {
        public_digest: PUBLIC,
        root_key: root_key(),
    };
    let outcome = KeygenOutcome::Ready { result, proof };
    KeygenReport {
        server: server(number),
        scheme,
        epoch: 1,
        attempt,
        outcome,
    }
}

pub(crate) fn failed(
    number: u8,
    scheme: Scheme,
    attempt: u32,
    accused: Vec<PartyId>,
) -> KeygenReport {
    let outcome = KeygenOutcome::Failed { accused };
    KeygenReport {
        server: server(number),
        scheme,
        epoch: 1,
        attempt,
        outcome,
    }
}

/// The call with the signature of server `signer`.
pub(crate) fn call(report: KeygenReport, valid_until: u32, signer: u8) -> RuntimeCall {
    let message = keygen_report_bytes(&StakingExtension::genesis(), &report, valid_until);
    let signature = server_pair(signer).sign(&message).0;
    staking_extension::Call::report_keygen {
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
    Ok(())
}

/// Reports of servers 1 to `size` that all went well in the present attempt.
pub(crate) fn all_ready(scheme: Scheme, size: u8) {
    let attempt = generating(scheme).attempt;
    for number in 1..=size {
        assert_ok!(submit(call(
            ready(number, scheme, attempt),
            now() + 10,
            number
        )));
    }
}
