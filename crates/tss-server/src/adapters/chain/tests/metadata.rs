//! Metadata of a runtime with our two calls and little else.

use codec::Encode;
use scale_info::{TypeInfo, meta_type};
use subxt::ext::frame_metadata::{
    RuntimeMetadataPrefixed,
    v16::{
        CustomMetadata, EnumDeprecationInfo, ExtrinsicMetadata, ItemDeprecationInfo, OuterEnums,
        PalletCallMetadata, PalletMetadata, RuntimeMetadataV16, TransactionExtensionMetadata,
    },
};

/// Pallet and call index of the report.
pub(super) const REPORT_KEYGEN: [u8; 2] = [12, 3];
/// Pallet and call index of the result.
pub(super) const SUBMIT_RESULT: [u8; 2] = [15, 1];

/// The extensions that write something, and one that does not, in the order of our runtime.
pub(super) const EXTENSIONS: [&str; 5] = [
    "CheckGenesis",
    "CheckMortality",
    "CheckNonce",
    "ChargeTransactionPayment",
    "CheckMetadataHash",
];

// Only their shape is used.
#[derive(TypeInfo)]
#[expect(
    dead_code,
    non_camel_case_types,
    reason = "metadata is made of the names"
)]
enum StakingCall {
    #[codec(index = 3)]
    report_attempt {
        report: u8,
        valid_until: u32,
        signature: [u8; 64],
    },
}

#[derive(TypeInfo)]
#[expect(
    dead_code,
    non_camel_case_types,
    reason = "metadata is made of the names"
)]
enum SwappedCall {
    #[codec(index = 3)]
    report_attempt {
        valid_until: u32,
        report: u8,
        signature: [u8; 64],
    },
}

#[derive(TypeInfo)]
#[expect(
    dead_code,
    non_camel_case_types,
    reason = "metadata is made of the names"
)]
enum SigningCall {
    #[codec(index = 1)]
    submit_result {
        request: u8,
        signature: u8,
        server: u8,
        valid_until: u32,
        server_signature: [u8; 64],
    },
}

/// Metadata whose pallet of reports has this name, and whose transactions have these extensions.
pub(super) fn build(reports: &'static str, extensions: &[&'static str]) -> Vec<u8> {
    encode::<StakingCall>(reports, extensions)
}

/// Metadata whose report takes the same arguments in another order.
pub(super) fn with_swapped_arguments() -> Vec<u8> {
    encode::<SwappedCall>("StakingExtension", &EXTENSIONS)
}

fn encode<Calls: TypeInfo + 'static>(
    reports: &'static str,
    extensions: &[&'static str],
) -> Vec<u8> {
    let pallets = vec![
        pallet::<Calls>(reports, REPORT_KEYGEN[0]),
        pallet::<SigningCall>("Signing", SUBMIT_RESULT[0]),
    ];
    let extrinsic = ExtrinsicMetadata {
        versions: vec![4, 5],
        address_ty: meta_type::<()>(),
        call_ty: meta_type::<()>(),
        signature_ty: meta_type::<()>(),
        transaction_extensions_by_version: [(
            0,
            (0..extensions.len() as u32).map(Into::into).collect(),
        )]
        .into(),
        transaction_extensions: extensions
            .iter()
            .map(|identifier| extension(identifier))
            .collect(),
    };
    let outer_enums = OuterEnums {
        call_enum_ty: meta_type::<()>(),
        event_enum_ty: meta_type::<()>(),
        error_enum_ty: meta_type::<()>(),
    };
    let custom = CustomMetadata {
        map: Default::default(),
    };
    let metadata = RuntimeMetadataV16::new(pallets, extrinsic, Vec::new(), outer_enums, custom);
    RuntimeMetadataPrefixed::from(metadata).encode()
}

fn pallet<Calls: TypeInfo + 'static>(name: &'static str, index: u8) -> PalletMetadata {
    PalletMetadata {
        name,
        storage: None,
        calls: Some(PalletCallMetadata {
            ty: meta_type::<Calls>(),
            deprecation_info: EnumDeprecationInfo::nothing_deprecated(),
        }),
        event: None,
        constants: Vec::new(),
        error: None,
        associated_types: Vec::new(),
        view_functions: Vec::new(),
        index,
        docs: Vec::new(),
        deprecation_info: ItemDeprecationInfo::NotDeprecated,
    }
}

fn extension(identifier: &'static str) -> TransactionExtensionMetadata {
    let ty = if identifier == "CheckGenesis" {
        meta_type::<()>()
    } else {
        meta_type::<u8>()
    };
    TransactionExtensionMetadata {
        identifier,
        ty,
        implicit: meta_type::<()>(),
    }
}
