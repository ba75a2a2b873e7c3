//! Submissions as *general* transactions (extrinsic format 5): no account, no fee, authorised by what the call carries.
//!
//! Only the few facts that the encoding needs are read from the runtime's metadata; what they do not agree with is an
//! error that names it, never a guess.

use codec::{Compact, Encode};
use entropy_shared::BlockNumber;
use scale_info::{TypeDef, form::PortableForm};
use subxt::{Metadata, utils::Era};

use crate::ports::{ChainError, Submission};

/// Extrinsic format 5 with extensions and no signature around it.
const GENERAL_PREAMBLE: u8 = 0b0100_0101;

/// The version of the transaction extensions that is used.
const EXTENSION_VERSION: u8 = 0;

/// For how many blocks a transaction may be included.
const ERA_BLOCKS: u64 = 64;

const KEYGEN: Call = Call {
    pallet: "StakingExtension",
    name: "report_attempt",
    arguments: &["report", "valid_until", "signature"],
};

const RESULT: Call = Call {
    pallet: "Signing",
    name: "submit_result",
    arguments: &[
        "request",
        "signature",
        "server",
        "valid_until",
        "server_signature",
    ],
};

/// A call as this version knows it: names are stable, indices are the runtime's business.
struct Call {
    pallet: &'static str,
    name: &'static str,
    arguments: &'static [&'static str],
}

/// What one transaction extension writes into a general transaction, if it writes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Explicit {
    /// The mortal era.
    Era,
    /// A zero byte: no nonce, no tip, no metadata hash.
    Zero,
}

/// How one version of the runtime wants our transactions.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    keygen: [u8; 2],
    result: [u8; 2],
    extensions: Vec<Explicit>,
}

impl Format {
    /// Reads the format out of a runtime's metadata.
    pub(super) fn read(metadata: &Metadata) -> Result<Self, ChainError> {
        let extensions = metadata
            .extrinsic()
            .transaction_extensions_by_version(EXTENSION_VERSION)
            .ok_or_else(|| {
                ChainError::Malformed(format!(
                    "the runtime has no transaction extensions of version {EXTENSION_VERSION}"
                ))
            })?
            .filter_map(|extension| {
                let empty = metadata
                    .types()
                    .resolve(extension.extra_ty())
                    .is_some_and(|ty| is_empty(&ty.type_def));
                explicit(extension.identifier(), empty).transpose()
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            keygen: KEYGEN.indices(metadata)?,
            result: RESULT.indices(metadata)?,
            extensions,
        })
    }

    /// The bytes of an extrinsic with this submission, which can be included in the blocks after `anchor`.
    ///
    /// Every node that judges the transaction must know the block `anchor`: a node that does not yet would ban it.
    pub(super) fn encode(&self, submission: &Submission, anchor: BlockNumber) -> Vec<u8> {
        let mut body = vec![GENERAL_PREAMBLE, EXTENSION_VERSION];
        for extension in &self.extensions {
            match extension {
                Explicit::Era => Era::mortal(ERA_BLOCKS, anchor.into()).encode_to(&mut body),
                Explicit::Zero => body.push(0),
            }
        }
        match submission {
            Submission::Keygen {
                report,
                valid_until,
                signature,
            } => {
                (self.keygen, report, valid_until, signature).encode_to(&mut body);
            }
            Submission::Result {
                request,
                signature,
                server,
                valid_until,
                server_signature,
            } => {
                (
                    self.result,
                    request,
                    signature,
                    server,
                    valid_until,
                    server_signature,
                )
                    .encode_to(&mut body);
            }
        }
        let mut extrinsic = Compact(body.len() as u32).encode();
        extrinsic.extend(body);
        extrinsic
    }
}

impl Call {
    /// The pallet's and the call's index, once the call's arguments have turned out to be those that we send.
    fn indices(&self, metadata: &Metadata) -> Result<[u8; 2], ChainError> {
        let Self {
            pallet,
            name,
            arguments,
        } = self;
        let entry = metadata
            .pallet_by_name(pallet)
            .ok_or_else(|| ChainError::Malformed(format!("the runtime has no pallet {pallet}")))?;
        let call = entry.call_variant_by_name(name).ok_or_else(|| {
            ChainError::Malformed(format!("the runtime has no call {pallet}.{name}"))
        })?;
        let found: Vec<&str> = call
            .fields
            .iter()
            .map(|field| field.name.as_deref().unwrap_or(""))
            .collect();
        if found != *arguments {
            return Err(ChainError::Malformed(format!(
                "the runtime's call {pallet}.{name} takes ({}), but this version sends ({})",
                found.join(", "),
                arguments.join(", "),
            )));
        }
        Ok([entry.call_index(), call.index])
    }
}

fn explicit(identifier: &str, empty: bool) -> Result<Option<Explicit>, ChainError> {
    match identifier {
        "CheckMortality" => Ok(Some(Explicit::Era)),
        "CheckNonce" | "ChargeTransactionPayment" | "CheckMetadataHash" => Ok(Some(Explicit::Zero)),
        _ if empty => Ok(None),
        _ => Err(ChainError::Malformed(format!(
            "the runtime asks for a transaction extension that this version does not know: {identifier}"
        ))),
    }
}

fn is_empty(definition: &TypeDef<PortableForm>) -> bool {
    match definition {
        TypeDef::Composite(composite) => composite.fields.is_empty(),
        TypeDef::Tuple(tuple) => tuple.fields.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use entropy_shared::{
        PartyId, RequestId, Scheme, Signature,
        lifecycle::key::{AttemptOutcome, AttemptReport},
    };

    use super::*;

    fn format() -> Format {
        Format {
            keygen: [12, 3],
            result: [15, 1],
            // In the order of our runtime: mortality, nonce, payment, metadata hash; the others are empty.
            extensions: vec![
                Explicit::Era,
                Explicit::Zero,
                Explicit::Zero,
                Explicit::Zero,
            ],
        }
    }

    fn keygen() -> Submission {
        Submission::Keygen {
            report: AttemptReport {
                server: PartyId([0x11; 32]),
                scheme: Scheme::SchnorrTaproot,
                epoch: 1,
                attempt: 2,
                outcome: AttemptOutcome::Failed {
                    accused: vec![PartyId([0x22; 32])],
                    missed: vec![PartyId([0x77; 32])],
                },
            },
            valid_until: 0x0403_0201,
            signature: [0x33; 64],
        }
    }

    #[test]
    fn keygen_report_has_the_bytes_of_a_general_transaction() {
        let bytes = format().encode(&keygen(), 1_000);
        let expected = [
            // Length 185, preamble, extension version.
            "e502",
            "45",
            "00",
            // Era: period 64, phase 1000 % 64 = 40; then nonce, tip, mode.
            "8502",
            "00",
            "00",
            "00",
            // Call, server, scheme, epoch, attempt.
            "0c03",
            &"11".repeat(32),
            "03",
            "01000000",
            "02000000",
            // Failed, one accused, one missed, valid until, signature.
            "01",
            "04",
            &"22".repeat(32),
            "04",
            &"77".repeat(32),
            "01020304",
            &"33".repeat(64),
        ]
        .concat();
        assert_eq!(hex::encode(bytes), expected);
    }

    #[test]
    fn result_has_the_bytes_of_a_general_transaction() {
        let submission = Submission::Result {
            request: RequestId([0x44; 32]),
            signature: Signature::Bip340([0x55; 64]),
            server: PartyId([0x11; 32]),
            valid_until: 7,
            server_signature: [0x66; 64],
        };
        let bytes = format().encode(&submission, 0);
        let expected = [
            // Length 206; block 0 begins an era of 64 blocks.
            "3903",
            "45",
            "00",
            "0500",
            "00",
            "00",
            "00",
            "0f01",
            &"44".repeat(32),
            "01",
            &"55".repeat(64),
            &"11".repeat(32),
            "07000000",
            &"66".repeat(64),
        ]
        .concat();
        assert_eq!(hex::encode(bytes), expected);
    }

    #[test]
    fn another_anchor_gives_another_transaction() {
        assert_ne!(
            format().encode(&keygen(), 10),
            format().encode(&keygen(), 11)
        );
    }

    #[test]
    fn unknown_extensions_pass_only_if_they_are_empty() {
        assert_eq!(explicit("CheckGenesis", true).expect("empty"), None);
        let error = explicit("ChargeAssets", false).expect_err("we do not know what it wants");
        assert!(error.to_string().contains("ChargeAssets"), "{error}");
    }
}
