//! What can go wrong between a user and the chain, and whose fault it is.

use std::time::Duration;

use subxt::error::{
    BackendError, DispatchError, ExtrinsicError, RpcError, TransactionEventsError,
    TransactionStatusError,
};

/// Why the client could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers at the node's address, or not as a node.
    #[error("the node at {url} cannot be reached: {reason}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the connection said.
        reason: String,
    },
    /// The node answered with an error, or the connection broke. Whether a transaction that was under way is included is unknown.
    #[error("the node failed: {0}")]
    Node(String),
    /// The node did not take the transaction: no fee could be paid, or it was outdated. Nothing has changed on the chain.
    #[error("the node did not take the transaction: {0}")]
    NotTaken(String),
    /// The transaction was included, and the chain refused what it asks for. Its fee is paid.
    #[error("the chain refused: {error}{}", separated(.explanation))]
    Refused {
        /// Pallet and name of the error, like `Signing::NotAllowed`.
        error: String,
        /// What the pallet's documentation says about it; may be empty.
        explanation: String,
    },
    /// What was waited for did not come in time; it may come later.
    #[error("{what} did not come within {} s", .within.as_secs())]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        within: Duration,
    },
    /// The chain has no such thing.
    #[error("the chain knows no {0}")]
    Unknown(String),
    /// The chain's data is not what this version of the client understands: one of the two is older.
    #[error("this client and the chain don't fit together: {0}")]
    Malformed(String),
}

fn separated(explanation: &str) -> String {
    if explanation.is_empty() {
        String::new()
    } else {
        format!(": {explanation}")
    }
}

impl From<subxt::rpcs::Error> for ClientError {
    fn from(error: subxt::rpcs::Error) -> Self {
        Self::Node(describe(&error))
    }
}

impl From<DispatchError> for ClientError {
    fn from(error: DispatchError) -> Self {
        let DispatchError::Module(module) = &error else {
            return Self::Refused {
                error: error.to_string(),
                explanation: String::new(),
            };
        };
        let explanation = module
            .details()
            .map(|details| details.variant.docs.join(" "))
            .unwrap_or_default();
        Self::Refused {
            error: module.details_string(),
            explanation: explanation.trim().into(),
        }
    }
}

impl From<TransactionEventsError> for ClientError {
    fn from(error: TransactionEventsError) -> Self {
        match error {
            TransactionEventsError::ExtrinsicFailed(error) => error.into(),
            other => Self::Node(other.to_string()),
        }
    }
}

impl From<ExtrinsicError> for ClientError {
    fn from(error: ExtrinsicError) -> Self {
        match error {
            ExtrinsicError::ErrorSubmittingTransaction(BackendError::Rpc(
                RpcError::ClientError(error @ subxt::rpcs::Error::User(_)),
            )) => Self::NotTaken(describe(&error)),
            ExtrinsicError::TransactionStatusError(error) => error.into(),
            error @ (ExtrinsicError::PalletNameNotFound(_)
            | ExtrinsicError::CallNameNotFound { .. }
            | ExtrinsicError::EncodeError(_)
            | ExtrinsicError::CannotDecodeCallData(_)
            | ExtrinsicError::CannotDecodeCallDataFields(_)
            | ExtrinsicError::LeftoverBytesDecodingCallData(_)) => {
                Self::Malformed(error.to_string())
            }
            other => Self::Node(other.to_string()),
        }
    }
}

impl From<TransactionStatusError> for ClientError {
    fn from(error: TransactionStatusError) -> Self {
        Self::NotTaken(error.to_string())
    }
}

/// The message of a node, which has its reason in the data beside it.
pub(crate) fn describe(error: &subxt::rpcs::Error) -> String {
    match error {
        subxt::rpcs::Error::User(user) => match &user.data {
            Some(data) => format!("{} ({})", user.message, data.get().trim_matches('"')),
            None => user.message.clone(),
        },
        subxt::rpcs::Error::Client(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_the_error_and_explains_it_if_the_chain_does() {
        let refused = |explanation: &str| ClientError::Refused {
            error: "Signing::NotAllowed".into(),
            explanation: explanation.into(),
        };
        assert_eq!(
            refused("").to_string(),
            "the chain refused: Signing::NotAllowed"
        );
        assert_eq!(
            refused("Only the owner may ask.").to_string(),
            "the chain refused: Signing::NotAllowed: Only the owner may ask."
        );
    }

    #[test]
    fn what_a_node_says_keeps_its_reason() {
        let error: subxt::rpcs::UserError = serde_json::from_str(
            r#"{"code":1010,"message":"Invalid Transaction","data":"Inability to pay some fees"}"#,
        )
        .expect("is an error of JSON-RPC");
        assert_eq!(
            describe(&subxt::rpcs::Error::User(error)),
            "Invalid Transaction (Inability to pay some fees)"
        );
    }
}
