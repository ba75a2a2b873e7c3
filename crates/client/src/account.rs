//! Users' accounts: the key pairs that sign transactions, and addresses as people write them.

use core::fmt;
use std::str::FromStr;

use entropy_shared::AccountId;
use subxt::utils::AccountId32;
use subxt_signer::{SecretUri, sr25519::Keypair};

/// The key pair of a user's account (Sr25519), which signs its transactions.
///
/// The secret is wiped when the last clone is dropped; [`fmt::Debug`] shows the address only.
#[derive(Clone)]
pub struct Signer(Keypair);

/// A text from which no key pair follows. Says nothing of the text, which may be nearly a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a secret URI: a BIP-39 phrase or 0x and 64 hexadecimal digits, each with optional //hard and /soft steps, or a development account like //Alice"
)]
pub struct SignerError;

impl Signer {
    /// The key pair of a secret URI in Substrate's syntax: `phrase//hard/soft///password`.
    ///
    /// Without a phrase it is a well-known development account (`//Alice`), whose secret everybody has.
    pub fn from_uri(uri: &str) -> Result<Self, SignerError> {
        let uri = SecretUri::from_str(uri).map_err(|_| SignerError)?;
        Keypair::from_uri(&uri).map(Self).map_err(|_| SignerError)
    }

    /// The account that the key pair controls.
    pub fn account(&self) -> AccountId {
        AccountId(self.0.public_key().0)
    }

    pub(crate) const fn keypair(&self) -> &Keypair {
        &self.0
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", format_account(&self.account()))
    }
}

/// A text that is no account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected an account: an SS58 address, or 64 hexadecimal digits with or without 0x")]
pub struct AccountError;

/// The account that a text names: an SS58 address of any network, or 32 bytes in hexadecimal digits.
pub fn parse_account(text: &str) -> Result<AccountId, AccountError> {
    text.parse().or_else(|_| match AccountId32::from_str(text) {
        Ok(account) => Ok(AccountId(account.0)),
        Err(_) => Err(AccountError),
    })
}

/// The account as an SS58 address with the generic prefix 42, which this chain uses.
pub fn format_account(account: &AccountId) -> String {
    AccountId32(account.0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";
    const ALICE_HEX: &str = "0xd43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d";

    #[test]
    fn a_development_account_has_its_well_known_address() {
        let alice = Signer::from_uri("//Alice").expect("is a secret URI");
        assert_eq!(format_account(&alice.account()), ALICE);
        assert_eq!(alice.account().to_string(), ALICE_HEX);
    }

    #[test]
    fn addresses_are_read_in_both_forms() {
        let alice = parse_account(ALICE_HEX).expect("is an account");
        assert_eq!(parse_account(ALICE), Ok(alice));
        assert_eq!(parse_account(ALICE_HEX.trim_start_matches("0x")), Ok(alice));
    }

    #[test]
    fn a_mistyped_address_is_refused() {
        let mistyped = ALICE.replace('G', "H");
        for text in ["", "Alice", &mistyped, &ALICE_HEX[..64]] {
            assert_eq!(parse_account(text), Err(AccountError), "{text}");
        }
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let error = Signer::from_uri("correct horse battery staple").expect_err("is no phrase");
        assert!(!error.to_string().contains("horse"), "{error}");
    }

    #[test]
    fn debug_shows_the_address_and_nothing_else() {
        let alice = Signer::from_uri("//Alice").expect("is a secret URI");
        assert_eq!(format!("{alice:?}"), format!("Signer({ALICE})"));
    }
}
