//! Keys and signatures as people write them, and whether one verifies under the other: without any node.

use entropy_shared::{Signature, SignatureError, VerifyingKey};

/// A text that is no key, or no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not a key.
    #[error(
        "expected a verifying key in hexadecimal digits: 33 bytes (secp256k1, compressed, for ECDSA) or 32 (its x-coordinate, for BIP-340)"
    )]
    Key,
    /// Not a signature.
    #[error(
        "expected a signature in hexadecimal digits: 65 bytes (ECDSA, with the recovery id last) or 64 (BIP-340)"
    )]
    Signature,
}

/// The key that hexadecimal digits, with or without `0x`, stand for; its length says which kind.
pub fn parse_verifying_key(text: &str) -> Result<VerifyingKey, ParseError> {
    let bytes = parse_hex(text).ok_or(ParseError::Key)?;
    let key = match bytes.len() {
        // `k256` also takes a prefix 5, another encoding of a point that has one already.
        33 if matches!(bytes[0], 2 | 3) => bytes.try_into().map(VerifyingKey::Secp256k1),
        32 => bytes.try_into().map(VerifyingKey::XOnly),
        _ => return Err(ParseError::Key),
    };
    key.ok()
        .filter(VerifyingKey::is_valid)
        .ok_or(ParseError::Key)
}

/// The signature that hexadecimal digits, with or without `0x`, stand for; its length says which kind.
pub fn parse_signature(text: &str) -> Result<Signature, ParseError> {
    let bytes = parse_hex(text).ok_or(ParseError::Signature)?;
    match bytes.len() {
        65 => bytes
            .try_into()
            .map(Signature::EcdsaSecp256k1)
            .map_err(|_| ParseError::Signature),
        64 => bytes
            .try_into()
            .map(Signature::Bip340)
            .map_err(|_| ParseError::Signature),
        _ => Err(ParseError::Signature),
    }
}

/// Whether `signature` signs `message` under `key`; the chain's own rule, applied here.
///
/// `message` is what is signed (`entropy_shared::signed_bytes`): the 32-byte digest, except where Ed25519 signs a message as it is. `key` is the *final* key: derived by the request's path and tweaked, as the request's record has it.
pub fn verify(
    key: &VerifyingKey,
    message: &[u8],
    signature: &Signature,
) -> Result<(), SignatureError> {
    signature.verify(key, message)
}

fn parse_hex(text: &str) -> Option<Vec<u8>> {
    hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATOR: &str = "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";

    #[test]
    fn the_length_of_a_key_says_which_kind_it_is() {
        let compressed = parse_verifying_key(&format!("0x02{GENERATOR}"));
        assert!(matches!(compressed, Ok(VerifyingKey::Secp256k1(_))));
        assert!(matches!(
            parse_verifying_key(GENERATOR),
            Ok(VerifyingKey::XOnly(_))
        ));
    }

    #[test]
    fn what_is_no_point_is_no_key() {
        for text in [
            "",
            "0x",
            "hello",
            &"f".repeat(64),
            &format!("05{GENERATOR}"),
            &GENERATOR[2..],
        ] {
            assert_eq!(parse_verifying_key(text), Err(ParseError::Key), "{text}");
        }
    }

    #[test]
    fn the_length_of_a_signature_says_which_kind_it_is() {
        let bytes = "00".repeat(64);
        assert!(matches!(parse_signature(&bytes), Ok(Signature::Bip340(_))));
        let bytes = "00".repeat(65);
        assert!(matches!(
            parse_signature(&bytes),
            Ok(Signature::EcdsaSecp256k1(_))
        ));
        assert_eq!(parse_signature("00"), Err(ParseError::Signature));
    }

    /// Vector 0 of BIP-340.
    #[test]
    fn a_signature_of_the_standard_verifies() {
        let key =
            parse_verifying_key("F9308A019258C31049344F85F89D5229B531C845836F99B08601F113BCE036F9");
        let signature = parse_signature(
            "E907831F80848D1069A5371B402410364BDF1C5F8307B0084C55F1CE2DCA821525F66A4A85EA8B71E482A74F382D2CE5EBEEE8FDB2172F477DF4900D310536C0",
        );
        let (key, signature) = (key.expect("is a key"), signature.expect("is a signature"));
        assert_eq!(verify(&key, &[0; 32], &signature), Ok(()));
        assert_eq!(
            verify(&key, &[1; 32], &signature),
            Err(SignatureError::Invalid)
        );
    }
}
