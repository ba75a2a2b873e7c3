//! A runtime of this pallet alone: root keys, programs and requests are what a test says.

use std::collections::{BTreeMap, BTreeSet};

use entropy_shared::{
    Committee, Digest, Genesis, KeyId, PartyId, ProgramId, Scheme, VerifyingKey,
    lifecycle::{key::ActiveKey, request::RequestFailure},
    parameters::Parameters,
    traits::{Network, Programs, Requests, UnknownProgram},
};
use frame_support::{
    derive_impl, parameter_types,
    traits::{ConstU128, fungible::InspectHold},
};
use sp_core::crypto::AccountId32;
use sp_runtime::{BuildStorage, DispatchResult, traits::IdentityLookup};

use crate as registry;

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
    pub type Registry = registry;
}

#[derive_impl(frame_system::config_preludes::TestDefaultConfig)]
impl frame_system::Config for Test {
    type Block = frame_system::mocking::MockBlockU32<Test>;
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
    /// The schemes whose root key is in use.
    pub static Active: BTreeSet<Scheme> = BTreeSet::new();
    /// The stored programs and how many keys need each.
    pub static References: BTreeMap<ProgramId, u64> = BTreeMap::new();
    /// The keys whose open requests were ended.
    pub static Ended: Vec<(KeyId, RequestFailure)> = Vec::new();
    /// What is held for a key.
    pub static KeyDeposit: u128 = DEPOSIT;
}

pub struct World;

impl Network for World {
    fn genesis() -> Genesis {
        GENESIS
    }

    fn parameters() -> Parameters {
        Parameters {
            schemes: SCHEMES.into_iter().collect(),
            key_deposit: KeyDeposit::get(),
            key_byte_deposit: BYTE_DEPOSIT,
            ..Parameters::default()
        }
    }

    fn active_key(scheme: Scheme) -> Option<ActiveKey> {
        let committee = Committee::new((1..=4).map(|number| PartyId([number; 32])), 3).unwrap();
        Active::get().contains(&scheme).then(|| ActiveKey {
            epoch: 1,
            attempt: 1,
            attempts: 1,
            protocol_version: 1,
            committee,
            root_key: root_key(scheme),
            public_digest: Digest([0; 32]),
            since: 1,
        })
    }

    fn is_bound(_: &PartyId) -> bool {
        true
    }
}

impl Programs for World {
    fn add_reference(id: &ProgramId) -> Result<(), UnknownProgram> {
        References::mutate(|references| {
            references
                .get_mut(id)
                .map(|count| *count += 1)
                .ok_or(UnknownProgram)
        })
    }

    fn remove_reference(id: &ProgramId) {
        References::mutate(|references| {
            let count = references.get_mut(id).unwrap();
            *count = count.checked_sub(1).unwrap();
        });
    }
}

impl Requests for World {
    fn fail_open(key: &KeyId, failure: RequestFailure) {
        assert!(Registry::key(key).is_some(), "the key is still there");
        Ended::mutate(|ended| ended.push((*key, failure)));
    }
}

impl registry::Config for Test {
    type Currency = Balances;
    type WeightInfo = crate::weights::HandMade<Test>;
    type Network = World;
    type Programs = World;
    type Requests = World;
}

pub(crate) const GENESIS: Genesis = Genesis([69; 32]);
pub(crate) const DEPOSIT: u128 = 100;
pub(crate) const BYTE_DEPOSIT: u128 = 1;
pub(crate) const ENDOWMENT: u128 = 10_000;

/// The schemes that the chain has enabled.
pub(crate) const SCHEMES: [Scheme; 4] = [
    Scheme::EcdsaCggmp24,
    Scheme::EcdsaP256,
    Scheme::SchnorrTaproot,
    Scheme::SchnorrEd25519,
];

/// The generator of the scheme's group, as if the secret were 1.
pub(crate) fn root_key(scheme: Scheme) -> VerifyingKey {
    let compressed = |x: &str| {
        let mut bytes = [0; 33];
        (0..33).for_each(|i| bytes[i] = u8::from_str_radix(&x[2 * i..2 * i + 2], 16).unwrap());
        bytes
    };
    match scheme {
        Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot => {
            VerifyingKey::Secp256k1(compressed(
                "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
            ))
        }
        Scheme::EcdsaP256 => VerifyingKey::P256(compressed(
            "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296",
        )),
        Scheme::SchnorrEd25519 => {
            let mut bytes = [0x66; 32];
            bytes[0] = 0x58;
            VerifyingKey::Ed25519(bytes)
        }
    }
}

/// The state after genesis, in block 1; accounts 1 to 4 have funds, all enabled schemes have a root key, programs 0 to 9 are
/// stored.
pub(crate) fn new_ext() -> sp_io::TestExternalities {
    let balances = (1..=4).map(|number| (account(number), ENDOWMENT)).collect();
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances,
            ..Default::default()
        },
        ..Default::default()
    };
    Active::set(SCHEMES.into());
    References::set((0..10).map(|number| (ProgramId([number; 32]), 0)).collect());
    Ended::set(Vec::new());
    KeyDeposit::set(DEPOSIT);
    let mut ext = sp_io::TestExternalities::from(genesis.build_storage().unwrap());
    ext.execute_with(|| System::set_block_number(1));
    ext
}

pub(crate) fn account(number: u8) -> AccountId32 {
    AccountId32::new([number; 32])
}

/// As a block does, which takes everything back if a call fails.
pub(crate) fn call(what: impl FnOnce() -> DispatchResult) -> DispatchResult {
    let references = References::get();
    let result = frame_support::storage::with_storage_layer(what);
    if result.is_err() {
        References::set(references);
    }
    check();
    result
}

/// The pallet's invariants, and that the programs' counts are of the keys that name them.
pub(crate) fn check() {
    Registry::check_invariants().unwrap();
    let named: BTreeMap<_, _> = References::get()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(Registry::references(), named);
    for number in 1..=4 {
        let due: u128 = crate::KeysOf::<Test>::iter_prefix_values(account(number)).sum();
        let held = Balances::balance_on_hold(
            &RuntimeHoldReason::Registry(crate::HoldReason::Key),
            &account(number),
        );
        assert_eq!(held, due, "nothing stays held from who has no key");
    }
}
