//! A runtime of this pallet alone, with one key of each scheme whose secret the tests know, and three bound servers.

use std::collections::BTreeMap;

use entropy_shared::{
    AccountId, Committee, DerivationPath, Digest, Genesis, Hasher, KeyId, PartyId, RequestId,
    Scheme, Signature, TaprootTweak, VerifyingKey,
    canonical::{refusal_bytes, result_bytes},
    derivation::derive,
    lifecycle::{
        key::ActiveKey,
        registry::{KeyRecord, Requesters},
        request::{Refusal, RequestContent, RequestRecord, request_id},
    },
    parameters::Parameters,
    traits::{Keys, Network},
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
    BuildStorage, DispatchResult, MultiSignature, generic,
    traits::{BlakeTwo256, Dispatchable, IdentityLookup},
    transaction_validity::{TransactionSource, TransactionValidityError, ValidTransaction},
};

use crate as signing;

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
    pub type Signing = signing;
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
    /// The registered keys.
    pub static Registered: BTreeMap<KeyId, KeyRecord> = BTreeMap::new();
    /// Whether the root keys are in use.
    pub static RootsActive: bool = true;
    /// The epoch of their holders.
    pub static Epoch: u32 = 1;
    /// The servers that hold them.
    pub static Holders: Vec<u8> = vec![1, 2, 3];
    /// How many requests one account can have open.
    pub static PerRequester: u32 = 1_000;
    /// How many requests one key can have open.
    pub static OpenPerKey: u32 = PER_KEY;
    /// What is held for a request.
    pub static RequestDeposit: u128 = DEPOSIT;
    /// What is burnt for a request.
    pub static RequestFee: u128 = FEE;
    /// How long an ended request is kept.
    pub static RequestRetention: u32 = RETENTION;
}

pub struct World;

impl Network for World {
    fn genesis() -> Genesis {
        GENESIS
    }

    fn parameters() -> Parameters {
        Parameters {
            request_expiry_blocks: EXPIRY,
            request_retention_blocks: RequestRetention::get(),
            request_deposit: RequestDeposit::get(),
            request_fee: RequestFee::get(),
            max_open_per_key: OpenPerKey::get(),
            max_open_per_requester: PerRequester::get(),
            ..Parameters::default()
        }
    }

    fn active_key(_: Scheme) -> Option<ActiveKey> {
        RootsActive::get().then(|| ActiveKey {
            epoch: Epoch::get(),
            attempt: 1,
            committee: Committee::new(Holders::get().into_iter().map(server), 2).unwrap(),
            root_key: root_key(),
            public_digest: Digest([0; 32]),
            protocol_version: 1,
            since: 1,
            attempts: 0,
        })
    }

    fn is_bound(server: &PartyId) -> bool {
        (1..=4).any(|number| *server == self::server(number))
    }
}

impl Keys for World {
    fn key(id: &KeyId) -> Option<KeyRecord> {
        Registered::get().get(id).cloned()
    }
}

impl signing::Config for Test {
    type Currency = Balances;
    type WeightInfo = crate::weights::HandMade<Test>;
    type Network = World;
    type Keys = World;
    type MaxOpenRequests = ConstU32<MAX_OPEN>;
}

pub(crate) const GENESIS: Genesis = Genesis([69; 32]);
pub(crate) const EXPIRY: u32 = 20;
pub(crate) const RETENTION: u32 = 50;
pub(crate) const DEPOSIT: u128 = 10;
pub(crate) const FEE: u128 = 3;
pub(crate) const PER_KEY: u32 = 60;
pub(crate) const ENDOWMENT: u128 = 100_000;
pub(crate) const MAX_OPEN: u32 = 300;

/// The state after genesis, in block 1; accounts 1 and 2 have funds, account 1 a key of each scheme of this version.
pub(crate) fn new_ext() -> sp_io::TestExternalities {
    let balances = [1, 2].map(|number| (account(number), ENDOWMENT)).to_vec();
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances,
            ..Default::default()
        },
        ..Default::default()
    };
    let records = [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot].map(|scheme| {
        let path = DerivationPath::default();
        let verifying_key = derive(scheme, &root_key(), &key(scheme), &path)
            .unwrap()
            .key;
        let owner = AccountId([1; 32]);
        let programs = vec![];
        (
            key(scheme),
            KeyRecord {
                owner,
                offered_to: None,
                registrant: owner,
                scheme,
                salt: [0; 32],
                verifying_key,
                programs,
                requesters: Requesters::Owner,
                registered: 1,
            },
        )
    });
    let mut registered = BTreeMap::from(records);
    // More keys, because each can have only so many requests.
    for number in 1..=MORE_KEYS {
        let mut record = registered[&key(Scheme::SchnorrTaproot)].clone();
        record.salt = [number; 32];
        registered.insert(another_key(number), record);
    }
    Registered::set(registered);
    RootsActive::set(true);
    Epoch::set(1);
    Holders::set(vec![1, 2, 3]);
    PerRequester::set(1_000);
    OpenPerKey::set(PER_KEY);
    RequestDeposit::set(DEPOSIT);
    RequestFee::set(FEE);
    RequestRetention::set(RETENTION);
    let mut ext = sp_io::TestExternalities::from(genesis.build_storage().unwrap());
    ext.execute_with(|| System::set_block_number(1));
    ext
}

pub(crate) fn account(number: u8) -> AccountId32 {
    AccountId32::new([number; 32])
}

pub(crate) fn server_pair(number: u8) -> ed25519::Pair {
    ed25519::Pair::from_seed(&[number; 32])
}

pub(crate) fn server(number: u8) -> PartyId {
    PartyId(server_pair(number).public().0)
}

/// The key of account 1.
pub(crate) fn key(scheme: Scheme) -> KeyId {
    KeyId::of(&GENESIS, scheme, &AccountId([1; 32]), &[0; 32])
}

/// How many more keys account 1 has.
const MORE_KEYS: u8 = 6;

/// Another Taproot key of account 1.
pub(crate) fn another_key(number: u8) -> KeyId {
    let owner = AccountId([1; 32]);
    KeyId::of(&GENESIS, Scheme::SchnorrTaproot, &owner, &[number; 32])
}

/// The `number`-th of many Taproot requests, spread over the keys.
pub(crate) fn open_one_of_many(number: u32) -> RequestId {
    let content = RequestContent {
        key: another_key((number / PER_KEY) as u8 + 1),
        ..content(Scheme::SchnorrTaproot, &number.to_le_bytes())
    };
    let nonce = System::account_nonce(account(1));
    let id = request_id(&GENESIS, &AccountId([1; 32]), nonce, &content);
    assert_ok!(request(1, content));
    id
}

pub(crate) fn content(scheme: Scheme, message: &[u8]) -> RequestContent {
    RequestContent {
        key: key(scheme),
        message: message.to_vec(),
        hasher: Hasher::Sha256,
        path: "m/0/5".parse().unwrap(),
        tweak: TaprootTweak::None,
    }
}

/// Requests as a transaction of account `number` does: its nonce is counted before the call.
pub(crate) fn request(number: u8, content: RequestContent) -> DispatchResult {
    request_for(number, content, None)
}

pub(crate) fn request_for(
    number: u8,
    content: RequestContent,
    lifetime: Option<u32>,
) -> DispatchResult {
    System::inc_account_nonce(account(number));
    frame_support::storage::with_storage_layer(|| {
        Signing::request(RuntimeOrigin::signed(account(number)), content, lifetime)
    })
}

/// The call by which server `number` refuses a request in the present epoch, signed by server `signer`.
pub(crate) fn refuse_call(
    request: RequestId,
    refusal: Refusal,
    number: u8,
    signer: u8,
) -> RuntimeCall {
    refuse_call_in(Epoch::get(), request, refusal, number, signer)
}

pub(crate) fn refuse_call_in(
    epoch: u32,
    request: RequestId,
    refusal: Refusal,
    number: u8,
    signer: u8,
) -> RuntimeCall {
    let valid_until = now() + 5;
    let message = refusal_bytes(
        &GENESIS,
        &server(number),
        &request,
        epoch,
        &refusal,
        valid_until,
    );
    signing::Call::refuse {
        request,
        epoch,
        refusal,
        server: server(number),
        valid_until,
        server_signature: server_pair(signer).sign(&message).0,
    }
    .into()
}

/// Opens a request of account 1 and returns its id.
pub(crate) fn open(scheme: Scheme, message: &[u8]) -> RequestId {
    let nonce = System::account_nonce(account(1));
    let content = content(scheme, message);
    let id = request_id(&GENESIS, &AccountId([1; 32]), nonce, &content);
    assert_ok!(request(1, content));
    id
}

pub(crate) fn now() -> u32 {
    System::block_number()
}

pub(crate) fn run_to(block: u32) {
    while now() < block {
        System::set_block_number(now() + 1);
        System::reset_events();
        Signing::on_initialize(now());
    }
}

pub(crate) fn events() -> Vec<signing::Event<Test>> {
    System::events()
        .into_iter()
        .filter_map(|record| match record.event {
            RuntimeEvent::Signing(event) => Some(event),
            _ => None,
        })
        .collect()
}

fn root_secret() -> SecretKey {
    SecretKey::from_slice(&[42; 32]).unwrap()
}

pub(crate) fn root_key() -> VerifyingKey {
    let point = root_secret().public_key().to_encoded_point(true);
    VerifyingKey::Secp256k1(point.as_bytes().try_into().unwrap())
}

/// The signature that the servers would make together.
pub(crate) fn answer_to(record: &RequestRecord) -> Signature {
    let derived = derive(
        record.scheme,
        &root_key(),
        &record.content.key,
        &record.content.path,
    )
    .unwrap();
    let offset = Scalar::from_repr(derived.offset.into()).unwrap();
    let secret = *root_secret().to_nonzero_scalar() + offset;
    match record.scheme {
        Scheme::SchnorrTaproot => {
            let key = schnorr::SigningKey::from_bytes(&secret.to_bytes()).unwrap();
            Signature::Bip340(key.sign_raw(&record.digest.0, &[0; 32]).unwrap().to_bytes())
        }
        _ => {
            let key = SigningKey::from_bytes(&secret.to_bytes()).unwrap();
            let (signature, recovery) = key.sign_prehash_recoverable(&record.digest.0).unwrap();
            let mut bytes = [recovery.to_byte(); 65];
            bytes[..64].copy_from_slice(&signature.to_bytes());
            Signature::EcdsaSecp256k1(bytes)
        }
    }
}

pub(crate) fn answer(id: &RequestId) -> Signature {
    answer_to(&Signing::record(id).unwrap())
}

/// The call by which server `number` submits a result, signed by server `signer`.
pub(crate) fn call(
    request: RequestId,
    signature: Signature,
    number: u8,
    valid_until: u32,
    signer: u8,
) -> RuntimeCall {
    let message = result_bytes(&GENESIS, &server(number), &request, &signature, valid_until);
    let server_signature = server_pair(signer).sign(&message).0;
    signing::Call::submit_result {
        request,
        signature,
        server: server(number),
        valid_until,
        server_signature,
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
    assert_eq!(Signing::check_invariants(), Ok(()));
    Ok(())
}
