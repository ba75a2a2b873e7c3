//! What the user typed.

use std::{path::PathBuf, time::Duration};

use clap::{ArgAction, Args, Parser, Subcommand};
use entropy_client::{parse_account, parse_signature, parse_verifying_key};
use entropy_shared::{
    AccountId, DerivationPath, Hasher, KeyId, RequestId, Scheme, Signature, TaprootTweak,
    VerifyingKey, lifecycle::registry::AttachedProgram, tagged_hash,
};

/// Keys that nobody holds: register them, have them sign, verify what they signed.
#[derive(Debug, Parser)]
#[command(name = "entropy", version, propagate_version = true)]
pub(crate) struct Cli {
    /// The node to ask.
    #[arg(
        long,
        global = true,
        env = "ENTROPY_NODE",
        value_name = "URL",
        default_value = "ws://127.0.0.1:9944"
    )]
    pub(crate) node: String,

    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// For validators: which server is theirs.
    #[command(subcommand)]
    Server(ServerCommand),

    /// Register keys and look at them.
    #[command(subcommand)]
    Key(KeyCommand),

    /// Ask for a signature and wait for it.
    Sign(SignArguments),

    /// Look at signature requests.
    #[command(subcommand)]
    Request(RequestCommand),

    /// Check a signature, given as such or by its request.
    Verify(VerifyArguments),

    /// Show the network's root keys and who holds them.
    Committee,

    /// A network of one's own, on this machine.
    #[command(subcommand)]
    Localnet(LocalnetCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ServerCommand {
    /// Bind a server to the validator whose account signs.
    Bind {
        /// The file that `entropy-tss proof` has printed.
        #[arg(long, value_name = "FILE")]
        proof: PathBuf,
        #[command(flatten)]
        signer: SignerArguments,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Register a key that the signing account manages.
    Register {
        /// Which signatures it makes, by which protocol.
        #[arg(long)]
        scheme: Scheme,
        /// Tells several keys of one owner and scheme apart: a text, or 0x and 64 hexadecimal digits.
        #[arg(long, value_name = "TEXT|HEX", value_parser = salt, default_value = "0x0000000000000000000000000000000000000000000000000000000000000000", hide_default_value = true)]
        salt: [u8; 32],
        /// A program that must allow each signature, and its configuration for this key; can be repeated.
        #[arg(long = "program", value_name = "ID[=HEX]", value_parser = attached_program)]
        programs: Vec<AttachedProgram>,
        /// An account that may request signatures beside the owner; can be repeated.
        #[arg(long = "requester", value_name = "ACCOUNT", value_parser = parse_account)]
        requesters: Vec<AccountId>,
        /// Let anybody request signatures; the key needs a program.
        #[arg(long, conflicts_with = "requesters", requires = "programs")]
        anyone: bool,
        #[command(flatten)]
        signer: SignerArguments,
    },

    /// List the keys of an account.
    List {
        /// The account; without it, that of the signer.
        #[arg(long, value_name = "ACCOUNT", value_parser = parse_account)]
        owner: Option<AccountId>,
        #[command(flatten)]
        signer: SignerArguments,
    },

    /// Show one key.
    Show {
        /// The key's id.
        key: KeyId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct SignArguments {
    /// The id of the key to sign with.
    pub(crate) key: KeyId,

    #[command(flatten)]
    pub(crate) message: MessageArguments,

    /// A path below the key, like m/0/1.
    #[arg(long, default_value = "m")]
    pub(crate) path: DerivationPath,

    /// For Taproot keys: which output key the signature is for: `none` (plain BIP-340), `key-path` (no scripts), or the Merkle root of the scripts.
    #[arg(long, value_name = "none|key-path|HEX", value_parser = tweak, default_value = "none")]
    pub(crate) taproot: TaprootTweak,

    /// For how many blocks the request stays open; without it, for as many as the chain allows.
    #[arg(long, value_name = "BLOCKS", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) lifetime: Option<u32>,

    /// How long to wait for the signature, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, default_value = "600")]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) signer: SignerArguments,
}

/// What is or was signed.
#[derive(Clone, Debug, Args)]
pub(crate) struct MessageArguments {
    /// The message: a text, 0x and hexadecimal digits, or @ and the name of a file.
    #[arg(long, value_name = "TEXT|HEX|@FILE", value_parser = Message::parse)]
    pub(crate) message: Message,

    /// How the message becomes the 32-byte digest that is signed.
    #[arg(long = "hash", value_name = "HASHER", default_value_t = Hasher::Sha256)]
    pub(crate) hasher: Hasher,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// Show one request.
    Show {
        /// The request's id.
        id: RequestId,
    },
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArguments {
    /// The request whose signature is checked, from the root key on; the node is asked for both.
    #[arg(long, value_name = "ID", conflicts_with_all = ["key", "signature", "message"], required_unless_present = "key")]
    pub(crate) request: Option<RequestId>,

    /// The key that the signature must verify under, derived and tweaked; no node is asked.
    #[arg(long, value_name = "HEX", value_parser = parse_verifying_key, requires_all = ["signature", "message"])]
    pub(crate) key: Option<VerifyingKey>,

    /// The signature: 65 bytes of ECDSA or 64 of BIP-340.
    #[arg(long, value_name = "HEX", value_parser = parse_signature)]
    pub(crate) signature: Option<Signature>,

    /// The message: a text, 0x and hexadecimal digits, or @ and the name of a file.
    #[arg(long, value_name = "TEXT|HEX|@FILE", value_parser = Message::parse)]
    pub(crate) message: Option<Message>,

    /// How the message becomes the 32-byte digest that is signed.
    #[arg(long = "hash", value_name = "HASHER", default_value_t = Hasher::Sha256)]
    pub(crate) hasher: Hasher,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LocalnetCommand {
    /// Start four nodes and four servers, generate keys, and have each scheme sign.
    Quickstart {
        /// Whether the network runs on afterwards until Ctrl-C; without this option, if the output is a terminal.
        #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true", action = ArgAction::Set)]
        keep: Option<bool>,
    },
}

/// Whose account signs; without any of these it is asked for.
#[derive(Debug, Args)]
pub(crate) struct SignerArguments {
    /// The file that holds the account's secret URI.
    #[arg(long, value_name = "FILE")]
    pub(crate) signer_file: Option<PathBuf>,

    /// The account's secret URI. Everybody on this machine can read it: for development accounts like //Alice only.
    #[arg(
        long,
        value_name = "URI",
        env = "ENTROPY_SIGNER",
        hide_env_values = true
    )]
    pub(crate) signer: Option<String>,
}

/// Where a message comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The content of a file.
    File(PathBuf),
}

impl Message {
    fn parse(text: &str) -> Result<Self, String> {
        if let Some(file) = text.strip_prefix('@') {
            return Ok(Self::File(file.into()));
        }
        match text.strip_prefix("0x") {
            None => Ok(Self::Bytes(text.into())),
            Some(digits) => hex::decode(digits).map(Self::Bytes).map_err(|_| {
                "expected an even number of hexadecimal digits after 0x (a text that begins so goes into a file)".into()
            }),
        }
    }
}

/// A program's id, and after `=` its configuration in hexadecimal digits.
fn attached_program(text: &str) -> Result<AttachedProgram, String> {
    let (id, configuration) = text.split_once('=').unwrap_or((text, ""));
    let digits = configuration.strip_prefix("0x").unwrap_or(configuration);
    Ok(AttachedProgram {
        program: id.parse().map_err(|error| format!("{error}"))?,
        configuration: hex::decode(digits).map_err(|error| {
            format!("a configuration is an even number of hexadecimal digits: {error}")
        })?,
    })
}

/// A salt from a text is a hash of the text under a tag of its own, so that it can be any text.
fn salt(text: &str) -> Result<[u8; 32], String> {
    if text.starts_with("0x") {
        let id: KeyId = text
            .parse()
            .map_err(|_| "expected 64 hexadecimal digits after 0x".to_owned())?;
        return Ok(id.0);
    }
    Ok(tagged_hash("entropy/key-salt/v1", &text))
}

fn tweak(text: &str) -> Result<TaprootTweak, String> {
    match text {
        "none" => Ok(TaprootTweak::None),
        "key-path" => Ok(TaprootTweak::KeyPath),
        root => match root.parse::<KeyId>() {
            Ok(root) => Ok(TaprootTweak::MerkleRoot(root.0)),
            Err(_) => Err(
                "expected none, key-path or a Merkle root as 0x and 64 hexadecimal digits".into(),
            ),
        },
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    text.parse()
        .map(Duration::from_secs)
        .map_err(|_| "expected a number of seconds".into())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(line: &str) -> Result<Cli, String> {
        Cli::try_parse_from(line.split_whitespace()).map_err(|error| error.to_string())
    }

    const ID: &str = "0x0101010101010101010101010101010101010101010101010101010101010101";

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_request_is_read_whole() {
        let cli = parse(&format!(
            "entropy sign {ID} --message 0xc0ffee --hash keccak256 --path m/0/5 --taproot {ID} --signer //Alice --json"
        ))
        .expect("is right");
        let Command::Sign(arguments) = cli.command else {
            panic!("another command: {:?}", cli.command)
        };
        assert!(cli.json);
        assert_eq!(
            arguments.message.message,
            Message::Bytes(vec![0xc0, 0xff, 0xee])
        );
        assert_eq!(arguments.message.hasher, Hasher::Keccak256);
        assert_eq!(arguments.path.steps(), [0, 5]);
        assert_eq!(arguments.taproot, TaprootTweak::MerkleRoot([1; 32]));
    }

    #[test]
    fn mistakes_are_explained() {
        for (line, explanation) in [
            (
                format!("entropy sign {ID} --message x --path m/0'/1"),
                "hardened",
            ),
            (
                format!("entropy sign {ID} --message x --path m/0/1/2/3/4/5"),
                "at most 5 steps",
            ),
            (
                format!("entropy sign {ID} --message x --hash md5"),
                "sha256",
            ),
            (format!("entropy sign {ID} --message 0xabc"), "even number"),
            (
                format!("entropy sign {ID} --message x --taproot 0x00"),
                "key-path",
            ),
            (
                "entropy sign 0x01 --message x".into(),
                "64 hexadecimal digits",
            ),
            ("entropy key register --scheme rsa".into(), "ecdsa-cggmp24"),
            (
                "entropy key register --scheme ecdsa-cggmp24 --salt 0x00".into(),
                "64 hexadecimal digits",
            ),
            (
                "entropy verify --key 0x00 --message x --signature 0x00".into(),
                "verifying key",
            ),
            ("entropy verify".into(), "--request"),
        ] {
            let error = parse(&line).expect_err("is a mistake");
            assert!(error.contains(explanation), "{line}: {error}");
        }
    }

    #[test]
    fn different_salts_are_different() {
        let mut salts = ["", "savings", "Savings"]
            .map(|text| salt(text).expect("any text is a salt"))
            .to_vec();
        salts.push(salt(ID).expect("is 32 bytes"));
        assert_eq!(salts[3], [1; 32]);
        salts.sort_unstable();
        salts.dedup();
        assert_eq!(salts.len(), 4);
    }

    #[test]
    fn quickstart_can_be_told_to_stay() {
        for (line, expected) in [
            ("entropy localnet quickstart", None),
            ("entropy localnet quickstart --keep", Some(true)),
            ("entropy localnet quickstart --keep=false", Some(false)),
        ] {
            let Ok(Cli {
                command: Command::Localnet(LocalnetCommand::Quickstart { keep }),
                ..
            }) = parse(line)
            else {
                panic!("{line} is refused")
            };
            assert_eq!(keep, expected, "{line}");
        }
    }
}
