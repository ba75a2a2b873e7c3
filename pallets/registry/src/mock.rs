//! A runtime of this pallet alone: root keys, programs and requests are what a test says.

use std::collections::{BTreeMap, BTreeSet};

use entropy_shared::{
    Committee, Digest, Genesis, KeyId, PartyId, ProgramId, Scheme, VerifyingKey,
    lifecycle::keygen::ActiveKey,
    parameters::Parameters,
    traits::{Network, Programs, Requests, UnknownProgram},
};
use frame_support::{derive_impl, parameter_types, traits::ConstU128};
use sp_core::crypto::AccountId32;
use sp_runtime::{BuildStorage, traits::IdentityLookup};

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
    pub static References: BTreeMap<ProgramId, u32> = BTreeMap::new();
    /// The keys for which a request is open.
    pub static Busy: BTreeSet<KeyId> = BTreeSet::new();
}

pub struct World;

impl Network for World {
    fn genesis() -> Genesis {
        GENESIS
    }

    fn parameters() -> Parameters {
        Parameters {
            key_deposit: DEPOSIT,
            ..Parameters::default()
        }
    }

    fn active_key(scheme: Scheme) -> Option<ActiveKey> {
        let committee = Committee::new((1..=4).map(|number| PartyId([number; 32])), 3).unwrap();
        Active::get().contains(&scheme).then(|| ActiveKey {
            epoch: 1,
            attempt: 1,
            committee,
            root_key: root_key(),
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
        References::mutate(|references| *references.get_mut(id).unwrap() -= 1);
    }
}

impl Requests for World {
    fn has_open(key: &KeyId) -> bool {
        Busy::get().contains(key)
    }
}

impl registry::Config for Test {
    type Currency = Balances;
    type Network = World;
    type Programs = World;
    type Requests = World;
}

pub(crate) const GENESIS: Genesis = Genesis([69; 32]);
pub(crate) const DEPOSIT: u128 = 100;
pub(crate) const ENDOWMENT: u128 = 1_000;

/// 7 G.
pub(crate) fn root_key() -> VerifyingKey {
    let scalar = k256::SecretKey::from_slice(&{
        let mut bytes = [0; 32];
        bytes[31] = 7;
        bytes
    })
    .unwrap();
    let point =
        k256::elliptic_curve::sec1::ToEncodedPoint::to_encoded_point(&scalar.public_key(), true);
    VerifyingKey::Secp256k1(point.as_bytes().try_into().unwrap())
}

/// The state after genesis, in block 1; accounts 1 and 2 have funds, both root keys of this version are in use, programs 0 to 9 are stored.
pub(crate) fn new_ext() -> sp_io::TestExternalities {
    let balances = [1, 2].map(|number| (account(number), ENDOWMENT)).to_vec();
    let genesis = RuntimeGenesisConfig {
        balances: BalancesConfig {
            balances,
            ..Default::default()
        },
        ..Default::default()
    };
    Active::set([Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot].into());
    References::set((0..10).map(|number| (ProgramId([number; 32]), 0)).collect());
    Busy::set(BTreeSet::new());
    let mut ext = sp_io::TestExternalities::from(genesis.build_storage().unwrap());
    ext.execute_with(|| System::set_block_number(1));
    ext
}

pub(crate) fn account(number: u8) -> AccountId32 {
    AccountId32::new([number; 32])
}
