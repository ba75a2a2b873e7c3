//! Reads the secret of the account that signs, and keeps it no longer than it takes to make a key pair of it.

use std::io::IsTerminal as _;

use anyhow::Context as _;
use entropy_client::Signer;
use zeroize::Zeroizing;

use crate::{arguments::SignerArguments, output::Failure};

/// The key pair that the arguments name: from a file, from the command line or the environment, or typed in.
pub(crate) fn signer(arguments: &SignerArguments) -> Result<Signer, Failure> {
    let uri = match arguments {
        SignerArguments {
            signer_file: Some(file),
            ..
        } => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("the secret in {} cannot be read", file.display()))?;
            Zeroizing::new(text)
        }
        SignerArguments {
            signer: Some(uri), ..
        } => Zeroizing::new(uri.clone()),
        _ if std::io::stdin().is_terminal() => Zeroizing::new(rpassword::prompt_password(
            "Secret URI of the account that signs: ",
        )?),
        _ => {
            return Err(Failure::Usage(
                "nobody to sign: give --signer-file FILE, or the environment variable ENTROPY_SIGNER, or --signer URI"
                    .into(),
            ));
        }
    };
    Signer::from_uri(uri.trim()).map_err(|error| Failure::Usage(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_may_end_with_a_newline() {
        let directory = tempfile::tempdir().expect("temporary directories can be made");
        let file = directory.path().join("secret");
        std::fs::write(&file, "//Alice\n").expect("can be written");
        let arguments = SignerArguments {
            signer_file: Some(file),
            signer: None,
        };
        let Ok(alice) = signer(&arguments) else {
            panic!("the file holds a secret URI")
        };
        let expected = Signer::from_uri("//Alice").expect("is a secret URI");
        assert_eq!(alice.account(), expected.account());
    }

    #[test]
    fn what_is_no_secret_is_wrong_usage() {
        let arguments = SignerArguments {
            signer_file: None,
            signer: Some("sesame".into()),
        };
        assert!(matches!(signer(&arguments), Err(Failure::Usage(_))));
    }
}
