//! What a server gives to its validator, as `entropy-tss proof` prints it: what it publishes, and its agreement to serve.

use entropy_shared::{AccountId, Genesis, PartyId, canonical::ServerInfo};
use serde::Deserialize;

use crate::account::parse_account;

/// A server's agreement to serve one validator on one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BindingProof {
    /// The chain.
    pub genesis: Genesis,
    /// The validator's stash, which must sign the transaction.
    pub stash: AccountId,
    /// What the server publishes.
    pub info: ServerInfo,
    /// Its Ed25519 signature over [`entropy_shared::canonical::binding_bytes`] of the other three; only the chain verifies it.
    pub proof: [u8; 64],
}

/// A text that is no such agreement.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the JSON that `entropy-tss proof` prints: {0}")]
pub struct BindingProofError(String);

#[derive(Deserialize)]
struct Json {
    stash: String,
    server: PartyId,
    endpoint: String,
    noise_key: String,
    genesis: Genesis,
    signature: String,
}

impl BindingProof {
    /// Reads the JSON that `entropy-tss proof` prints.
    pub fn from_json(text: &str) -> Result<Self, BindingProofError> {
        let json: Json =
            serde_json::from_str(text).map_err(|error| BindingProofError(error.to_string()))?;
        let stash = parse_account(&json.stash)
            .map_err(|error| BindingProofError(format!("stash: {error}")))?;
        let info = ServerInfo {
            server: json.server,
            endpoint: json.endpoint.into_bytes(),
            noise_key: bytes("noise_key", &json.noise_key)?,
        };
        Ok(Self {
            genesis: json.genesis,
            stash,
            info,
            proof: bytes("signature", &json.signature)?,
        })
    }
}

fn bytes<const N: usize>(field: &str, digits: &str) -> Result<[u8; N], BindingProofError> {
    let mut bytes = [0; N];
    hex::decode_to_slice(digits.strip_prefix("0x").unwrap_or(digits), &mut bytes).map_err(
        |_| BindingProofError(format!("{field}: expected {N} bytes in hexadecimal digits")),
    )?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(signature: &str) -> String {
        serde_json::json!({
            "stash": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY",
            "server": format!("0x{}", "01".repeat(32)),
            "endpoint": "ws://127.0.0.1:4000",
            "noise_key": format!("0x{}", "02".repeat(32)),
            "genesis": format!("0x{}", "03".repeat(32)),
            "signature": signature,
        })
        .to_string()
    }

    #[test]
    fn what_the_server_prints_is_read() {
        let proof =
            BindingProof::from_json(&json(&format!("0x{}", "04".repeat(64)))).expect("is a proof");
        assert_eq!(proof.info.server, PartyId([1; 32]));
        assert_eq!(proof.info.endpoint, b"ws://127.0.0.1:4000");
        assert_eq!(proof.info.noise_key, [2; 32]);
        assert_eq!(proof.genesis, Genesis([3; 32]));
        assert_eq!(proof.proof, [4; 64]);
    }

    #[test]
    fn anything_else_is_refused_with_what_is_wrong() {
        for (text, reason) in [
            ("hello", "JSON"),
            ("{}", "stash"),
            (&*json("0x00"), "signature: expected 64 bytes"),
        ] {
            let error = BindingProof::from_json(text)
                .expect_err("is no proof")
                .to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
