//! The command line of `entropy-tss`, and what it takes to read an argument or a password. Part of the binary only.

use std::{
    fs::File,
    io::Read,
    net::SocketAddr,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use clap::{Args, Parser, Subcommand, ValueEnum};
use entropy_shared::{AccountId, Genesis, canonical::MAX_ENDPOINT_BYTES};
use subxt::utils::AccountId32;
use url::Url;
use zeroize::Zeroizing;

/// The longest password, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// The threshold-signature server of a validator.
///
/// It follows the chain through a node, computes with the servers of other validators, and keeps its shares of the
/// network's keys encrypted in a folder.
#[derive(Parser)]
#[command(version, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Create the share store and the server's keys, pinned to one chain
    Init(Init),
    /// Print the proof with which a validator binds this server (`entropy server bind`)
    Proof(Proof),
    /// Run the server
    Run(Run),
}

/// Where the store is and what opens it.
#[derive(Args)]
pub(crate) struct Store {
    /// The folder of the share store
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// File that holds the store's password, readable by its owner only; without it the password is asked for
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

#[derive(Args)]
pub(crate) struct Init {
    #[command(flatten)]
    pub(crate) store: Store,
    #[command(flatten)]
    pub(crate) chain: Pin,
}

/// Which chain to pin the store to.
#[derive(Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Pin {
    /// Hash of the first block of the chain that this server will serve
    #[arg(long, value_name = "HASH")]
    pub(crate) genesis: Option<Genesis>,
    /// Node to ask for that hash instead
    #[arg(long, value_name = "URL", value_parser = node)]
    pub(crate) node: Option<String>,
}

#[derive(Args)]
pub(crate) struct Proof {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Stash account of the validator that will bind this server: SS58, or 64 hexadecimal digits
    #[arg(long, value_name = "ACCOUNT", value_parser = stash)]
    pub(crate) stash: AccountId,
    /// Where other servers reach this one, as they see it: ws://HOST:PORT or wss://HOST:PORT
    #[arg(long, value_name = "URL", value_parser = endpoint)]
    pub(crate) endpoint: String,
}

#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    pub(crate) store: Store,
    /// RPC of the validator's node: ws://HOST:PORT. Repeat it to name others to fall back on, in order
    #[arg(long = "node", value_name = "URL", required = true, value_parser = node)]
    pub(crate) nodes: Vec<String>,
    /// Address to listen on, for peers and for HTTP; with port 0 the system chooses one, and the first line of output names it
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    /// How log lines look on standard error; the variable RUST_LOG chooses which there are
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

impl Store {
    /// The password of a store that exists.
    pub(crate) fn password(&self) -> anyhow::Result<Zeroizing<String>> {
        match &self.password_file {
            Some(file) => read_password(file),
            None => prompt("Password of the share store: "),
        }
    }

    /// The password of a store to be created, asked for twice if it is asked for.
    pub(crate) fn new_password(&self) -> anyhow::Result<Zeroizing<String>> {
        if let Some(file) = &self.password_file {
            return read_password(file);
        }
        let password = prompt("New password for the share store: ")?;
        ensure!(!password.is_empty(), "the password is empty");
        ensure!(
            prompt("The same again: ")? == password,
            "the two passwords differ: nothing was created"
        );
        Ok(password)
    }
}

fn prompt(text: &str) -> anyhow::Result<Zeroizing<String>> {
    rpassword::prompt_password(text)
        .map(Zeroizing::new)
        .context("cannot ask for the password here: use --password-file")
}

/// Reads a password from a file that nobody but its owner can read; one newline at its end does not count.
fn read_password(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let shown = path.display();
    let file =
        File::open(path).with_context(|| format!("cannot open the password file {shown}"))?;
    // Of the open file, so that it is the one that is read.
    let mode = file
        .metadata()
        .with_context(|| format!("cannot read the password file {shown}"))?
        .mode();
    if mode & 0o077 != 0 {
        bail!(
            "others can read the password file {shown} (mode {:03o}): make it yours alone with chmod 600",
            mode & 0o777
        );
    }
    let mut password = Zeroizing::new(String::with_capacity(MAX_PASSWORD_BYTES as usize + 1));
    file.take(MAX_PASSWORD_BYTES + 1)
        .read_to_string(&mut password)
        .with_context(|| format!("cannot read the password file {shown}"))?;
    ensure!(
        password.len() as u64 <= MAX_PASSWORD_BYTES,
        "the password file {shown} is longer than {MAX_PASSWORD_BYTES} bytes"
    );
    let length = password
        .strip_suffix('\n')
        .map(|line| line.strip_suffix('\r').unwrap_or(line))
        .unwrap_or(&password)
        .len();
    password.truncate(length);
    ensure!(!password.is_empty(), "the password file {shown} is empty");
    Ok(password)
}

fn node(text: &str) -> Result<String, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("expected ws://HOST:PORT or wss://HOST:PORT: {error}"))?;
    match (url.scheme(), url.host()) {
        ("ws" | "wss", Some(_)) => Ok(text.to_owned()),
        _ => Err("expected ws://HOST:PORT or wss://HOST:PORT".into()),
    }
}

fn stash(text: &str) -> Result<AccountId, String> {
    if let Ok(account) = text.parse() {
        return Ok(account);
    }
    text.parse::<AccountId32>()
        .map(|account| AccountId(account.0))
        .map_err(|error| format!("expected an SS58 address or 64 hexadecimal digits: {error}"))
}

fn endpoint(text: &str) -> Result<String, String> {
    let info = entropy_shared::canonical::ServerInfo {
        server: entropy_shared::PartyId([0; 32]),
        endpoint: text.as_bytes().to_vec(),
        noise_key: [0; 32],
    };
    info.checked_endpoint()
        .filter(|endpoint| node(endpoint).is_ok())
        .ok_or_else(|| format!("expected ws://HOST:PORT or wss://HOST:PORT without a path, at most {MAX_ENDPOINT_BYTES} bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stash_is_ss58_or_hex() {
        let alice = AccountId(
            hex::decode("d43593c715fdd31c61141abd04a99fd6822c8558854ccde39a5684e7a56da27d")
                .expect("hex")
                .try_into()
                .expect("32 bytes"),
        );
        assert_eq!(
            stash("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
            Ok(alice)
        );
        assert_eq!(stash(&alice.to_string()), Ok(alice));
        for bad in [
            "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQZ",
            "0x1234",
            "",
        ] {
            assert!(stash(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn endpoints_are_websocket_urls_without_path() {
        assert_eq!(
            endpoint("wss://tss.example:443"),
            Ok("wss://tss.example:443".into())
        );
        for bad in [
            "http://tss.example",
            "ws://",
            "ws://a/b",
            "tss.example:443",
            "ws://a b",
        ] {
            assert!(endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }
}
