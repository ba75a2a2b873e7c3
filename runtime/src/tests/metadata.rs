//! What wallets and clients read of the runtime: metadata of every version that they use, with our pallets
//! in it and the extension that proves to the chain what a hardware wallet has shown.

use codec::Decode as _;
use frame_metadata::{RuntimeMetadata, RuntimeMetadataPrefixed};

use super::chain::local;
use crate::Runtime;

const OURS: [(&str, u8); 4] = [
    ("StakingExtension", 12),
    ("Programs", 40),
    ("Registry", 41),
    ("Signing", 42),
];

/// The names and indices of pallets, and the names of the extensions of transactions.
fn read(version: u32) -> (Vec<(String, u8)>, Vec<String>) {
    let bytes = Runtime::metadata_at_version(version).expect("this version is served");
    let RuntimeMetadataPrefixed(_, metadata) =
        RuntimeMetadataPrefixed::decode(&mut &bytes[..]).expect("is metadata");
    assert_eq!(metadata.version(), version);
    macro_rules! names {
        ($metadata:ident, $extensions:expr) => {{
            let pallets = $metadata.pallets.into_iter();
            (
                pallets.map(|pallet| (pallet.name, pallet.index)).collect(),
                $extensions
                    .into_iter()
                    .map(|extension| extension.identifier)
                    .collect(),
            )
        }};
    }
    match metadata {
        RuntimeMetadata::V14(metadata) => names!(metadata, metadata.extrinsic.signed_extensions),
        RuntimeMetadata::V15(metadata) => names!(metadata, metadata.extrinsic.signed_extensions),
        RuntimeMetadata::V16(metadata) => {
            names!(metadata, metadata.extrinsic.transaction_extensions)
        }
        other => panic!("version {}", other.version()),
    }
}

#[test]
fn metadata_of_versions_14_to_16_is_served() {
    local(20).execute_with(|| {
        let versions = Runtime::metadata_versions();
        for version in 14..=16 {
            assert!(versions.contains(&version), "{versions:?}");
            let (pallets, extensions) = read(version);
            for (name, index) in OURS {
                assert!(
                    pallets.contains(&(name.into(), index)),
                    "{version}: {pallets:?}"
                );
            }
            for extension in ["AuthorizeCall", "CheckMetadataHash"] {
                assert!(
                    extensions.iter().any(|name| name == extension),
                    "{version}: {extensions:?}"
                );
            }
        }
        assert!(Runtime::metadata_at_version(13).is_none());
    });
}

/// Transactions name pallets by these: a wallet that was built yesterday must not mean another pallet today.
#[test]
fn the_indices_of_the_pallets_are_pinned() {
    local(20).execute_with(|| {
        let (pallets, _) = read(16);
        let pallets: Vec<_> = pallets
            .iter()
            .map(|(name, index)| (&name[..], *index))
            .collect();
        assert_eq!(
            pallets,
            [
                ("System", 0),
                ("Timestamp", 1),
                ("Balances", 10),
                ("TransactionPayment", 11),
                ("StakingExtension", 12),
                ("Babe", 20),
                ("Authorship", 21),
                ("Staking", 22),
                ("Session", 23),
                ("Historical", 24),
                ("Grandpa", 25),
                ("Offences", 26),
                ("AuthorityDiscovery", 27),
                ("Sudo", 30),
                ("Utility", 31),
                ("Multisig", 32),
                ("Proxy", 33),
                ("Programs", 40),
                ("Registry", 41),
                ("Signing", 42),
            ]
        );
    });
}
