//! Servers, keys and committees: what the chain keeps.

use std::fmt::Write as _;

use anyhow::Context as _;
use entropy_client::{BindingProof, Client, ClientError, format_account};
use entropy_shared::{
    KeyId, PartyId, Scheme, TaprootTweak,
    lifecycle::{
        key::{ActiveKey, KeyState},
        registry::{KeyRecord, Requesters},
    },
    view::SchemeState,
};
use serde_json::{Value, json};

use crate::{
    arguments::{KeyCommand, ServerCommand},
    output::{Answer, Failure, hexadecimal, progress},
    secret,
};

/// `entropy server …`
pub(crate) async fn server(node: &str, command: ServerCommand) -> Result<Answer, Failure> {
    let ServerCommand::Bind { proof, signer } = command;
    let text = std::fs::read_to_string(&proof)
        .with_context(|| format!("{} cannot be read", proof.display()))?;
    let binding =
        BindingProof::from_json(&text).map_err(|error| Failure::Usage(error.to_string()))?;
    let signer = secret::signer(&signer)?;
    if signer.account() != binding.stash {
        return Err(Failure::Usage(format!(
            "the proof is for the validator {}, but the account that signs is {}",
            format_account(&binding.stash),
            format_account(&signer.account()),
        )));
    }
    let client = Client::connect(node).await?;
    if client.genesis() != binding.genesis {
        return Err(Failure::Usage(format!(
            "the proof is for the chain {}, but the node follows {}",
            binding.genesis,
            client.genesis(),
        )));
    }
    progress("submitting; a block includes it in a few seconds");
    client.bind_server(&signer, &binding).await?;
    let stash = format_account(&signer.account());
    let endpoint = String::from_utf8_lossy(&binding.info.endpoint).into_owned();
    Ok(Answer::new(
        json!({ "server": binding.info.server, "stash": stash, "endpoint": endpoint }),
        &[
            ("server", binding.info.server.to_string()),
            ("validator", stash),
            ("endpoint", endpoint),
        ],
    ))
}

/// `entropy key …`
pub(crate) async fn key(node: &str, command: KeyCommand) -> Result<Answer, Failure> {
    match command {
        KeyCommand::Register {
            scheme,
            salt,
            programs,
            requesters,
            anyone,
            signer,
        } => {
            let signer = secret::signer(&signer)?;
            let requesters = match (anyone, requesters) {
                (true, _) => Requesters::Anyone,
                (false, accounts) if accounts.is_empty() => Requesters::Owner,
                (false, mut accounts) => {
                    accounts.sort_unstable();
                    accounts.dedup();
                    Requesters::Accounts(accounts)
                }
            };
            let client = Client::connect(node).await?;
            progress("submitting; a block includes it in a few seconds");
            let key = client
                .register_key(&signer, scheme, &salt, &programs, &requesters)
                .await?;
            show(&client, key).await
        }
        KeyCommand::List { owner, signer } => {
            let owner = match owner {
                Some(owner) => owner,
                None => secret::signer(&signer)?.account(),
            };
            let client = Client::connect(node).await?;
            let (mut json, mut text) = (Vec::new(), String::new());
            for key in client.keys(&owner).await? {
                // One may have been removed since.
                let Some(record) = client.key(&key).await? else {
                    continue;
                };
                writeln!(text, "{key}  {:16}{}", record.scheme, public_key(&record))?;
                json.push(to_json(key, &record));
            }
            if json.is_empty() {
                writeln!(text, "{} has no keys", format_account(&owner))?;
            }
            Ok(Answer::text(json.into(), text))
        }
        KeyCommand::Show { key } => show(&Client::connect(node).await?, key).await,
    }
}

async fn show(client: &Client, key: KeyId) -> Result<Answer, Failure> {
    let record = client
        .key(&key)
        .await?
        .ok_or_else(|| ClientError::Unknown(format!("key {key}")))?;
    let programs: Vec<_> = record
        .programs
        .iter()
        .map(|attached| attached.program.to_string())
        .collect();
    Ok(Answer::new(
        to_json(key, &record),
        &[
            ("key", key.to_string()),
            ("scheme", record.scheme.to_string()),
            ("owner", format_account(&record.owner)),
            ("public key", public_key(&record)),
            ("salt", hexadecimal(&record.salt)),
            (
                "programs",
                if programs.is_empty() {
                    "none".into()
                } else {
                    programs.join(", ")
                },
            ),
            ("requesters", describe_requesters(&record)),
            ("registered", format!("block {}", record.registered)),
        ],
    ))
}

fn describe_requesters(record: &KeyRecord) -> String {
    match &record.requesters {
        Requesters::Owner => "the owner".into(),
        Requesters::Accounts(accounts) => {
            let accounts: Vec<_> = accounts.iter().map(format_account).collect();
            format!("the owner, {}", accounts.join(", "))
        }
        Requesters::Anyone => "anyone".into(),
    }
}

fn to_json(key: KeyId, record: &KeyRecord) -> Value {
    json!({
        "key": key,
        "scheme": record.scheme,
        "owner": format_account(&record.owner),
        "publicKey": public_key(record),
        "salt": hexadecimal(&record.salt),
        "programs": record
            .programs
            .iter()
            .map(|attached| json!({
                "program": attached.program,
                "configuration": hexadecimal(&attached.configuration),
            }))
            .collect::<Vec<_>>(),
        "requesters": match &record.requesters {
            Requesters::Owner => json!("owner"),
            Requesters::Accounts(accounts) => accounts.iter().map(format_account).collect(),
            Requesters::Anyone => json!("anyone"),
        },
        "registered": record.registered,
    })
}

/// The key in the form in which its signatures verify at the empty path: for Taproot without a tweak.
fn public_key(record: &KeyRecord) -> String {
    match record.scheme {
        Scheme::SchnorrTaproot => hexadecimal(&record.verifying_key.as_bytes()[1..]),
        _ => record.verifying_key.to_string(),
    }
}

/// `entropy committee`
pub(crate) async fn committee(node: &str) -> Result<Answer, Failure> {
    let client = Client::connect(node).await?;
    let (mut json, mut text) = (Vec::new(), String::new());
    for entry in client.root_keys().await? {
        let (scheme, description) = describe(&entry);
        writeln!(text, "{description}")?;
        // Who signs now, or will.
        let committee = match (entry.state.active(), entry.state.attempt()) {
            (Some(key), _) => Some(&key.committee),
            (None, attempt) => attempt.map(|attempt| &attempt.committee),
        };
        let mut members = Vec::new();
        for party in committee.iter().flat_map(|committee| committee.parties()) {
            let member = Member::find(&client, *party).await?;
            writeln!(text, "  {party}  {}  {}", member.stash, member.endpoint)?;
            members.push(
                json!({ "server": party, "stash": member.stash, "endpoint": member.endpoint }),
            );
        }
        json.push(json!({
            "scheme": entry.scheme,
            "state": scheme,
            "threshold": committee.map(|committee| committee.threshold()),
            "members": members,
        }));
    }
    Ok(Answer::text(json.into(), text))
}

fn describe(entry: &SchemeState) -> (Value, String) {
    let scheme = entry.scheme;
    match &entry.state {
        KeyState::Absent => (
            json!({ "name": "absent" }),
            format!("{scheme}: no root key yet, and too few validators with a server to make one"),
        ),
        KeyState::Generating(generating) => (
            json!({ "name": "generating", "attempt": generating.attempt, "deadline": generating.deadline, "reports": generating.reports.len() }),
            format!(
                "{scheme}: being generated by {} servers of which {} will sign; attempt {} until block {}, {} have reported",
                generating.committee.size(),
                generating.committee.threshold(),
                generating.attempt,
                generating.deadline,
                generating.reports.len(),
            ),
        ),
        KeyState::Active(key) => (active("active", key), describe_holders(scheme, key)),
        KeyState::Resharing { from, attempt } => {
            let mut json = active("resharing", from);
            json["to"] = json!({
                "epoch": attempt.epoch,
                "attempt": attempt.attempt,
                "deadline": attempt.deadline,
                "reports": attempt.reports.len(),
                "members": attempt.committee.parties(),
                "threshold": attempt.committee.threshold(),
            });
            let text = format!(
                "{}; its shares are being dealt anew to {} servers of which {} will sign: attempt {} until block {}, {} have reported",
                describe_holders(scheme, from),
                attempt.committee.size(),
                attempt.committee.threshold(),
                attempt.attempt,
                attempt.deadline,
                attempt.reports.len(),
            );
            (json, text)
        }
    }
}

fn active(name: &str, key: &ActiveKey) -> Value {
    json!({
        "name": name,
        "rootKey": key.root_key.to_string(),
        "epoch": key.epoch,
        "since": key.since,
        "publicDigest": key.public_digest,
    })
}

fn describe_holders(scheme: Scheme, key: &ActiveKey) -> String {
    format!(
        "{scheme}: root key {}, held by {} servers of which {} sign, in use since block {}",
        key.root_key,
        key.committee.size(),
        key.committee.threshold(),
        key.since,
    )
}

/// What the chain says of a server, as text.
struct Member {
    stash: String,
    endpoint: String,
}

impl Member {
    async fn find(client: &Client, party: PartyId) -> Result<Self, Failure> {
        let binding = client.view(&party).await?.binding;
        Ok(match binding {
            Some(binding) => Self {
                stash: format_account(&binding.stash),
                endpoint: String::from_utf8_lossy(&binding.info.endpoint).into_owned(),
            },
            None => Self {
                stash: "unbound".into(),
                endpoint: String::new(),
            },
        })
    }
}

/// A tweak as on the command line.
pub(crate) fn tweak_name(tweak: &TaprootTweak) -> String {
    match tweak {
        TaprootTweak::None => "none".into(),
        TaprootTweak::KeyPath => "key-path".into(),
        TaprootTweak::MerkleRoot(root) => hexadecimal(root),
    }
}
