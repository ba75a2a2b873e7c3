//! Requests, their signatures, and whether those verify.

use std::time::Instant;

use anyhow::{Context as _, anyhow};
use entropy_client::{Client, ClientError, format_account};
use entropy_shared::{
    Digest, Hasher, RequestId,
    derivation::derive,
    digest::signed_bytes,
    lifecycle::request::{Refusal, RequestContent, RequestFailure, RequestRecord, RequestState},
};
use serde_json::{Value, json};

use crate::{
    arguments::{Message, RequestCommand, SignArguments, VerifyArguments},
    commands::chain::tweak_name,
    output::{Answer, Failure, hexadecimal, progress},
    secret,
};

/// `entropy sign …`
pub(crate) async fn sign(node: &str, arguments: SignArguments) -> Result<Answer, Failure> {
    let message = read(&arguments.message.message)?;
    let hasher = arguments.message.hasher;
    // The chain would refuse it, too, but takes a fee for that.
    digest(hasher, &message)?;
    let signer = secret::signer(&arguments.signer)?;
    let client = Client::connect(node).await?;
    let content = RequestContent {
        key: arguments.key,
        message,
        hasher,
        path: arguments.path,
        tweak: arguments.taproot,
    };
    progress("submitting; a block includes it in a few seconds");
    let id = client
        .request(&signer, &content, arguments.lifetime)
        .await?;
    progress(&format!(
        "request {id} is included; waiting for its signature"
    ));
    let began = Instant::now();
    let record = client.wait_for_signature(&id, arguments.timeout).await?;
    match &record.state {
        RequestState::Open | RequestState::Signed { .. } => {}
        ended => {
            return Err(anyhow!("the request has no signature: it {}", describe(ended)).into());
        }
    }
    progress(&format!(
        "signed after {:.1} s",
        began.elapsed().as_secs_f32()
    ));
    Ok(show(id, &record))
}

/// `entropy request …`
pub(crate) async fn request(node: &str, command: RequestCommand) -> Result<Answer, Failure> {
    let RequestCommand::Show { id } = command;
    Ok(show(id, &find(&Client::connect(node).await?, &id).await?))
}

async fn find(client: &Client, id: &RequestId) -> Result<RequestRecord, ClientError> {
    let unknown = || {
        ClientError::Unknown(format!(
            "request {id}; it forgets those that ended long ago"
        ))
    };
    client.request_record(id).await?.ok_or_else(unknown)
}

fn show(id: RequestId, record: &RequestRecord) -> Answer {
    let content = &record.content;
    let json_state = match &record.state {
        RequestState::Open => json!({ "name": "open" }),
        RequestState::Signed { signature, at } => {
            json!({ "name": "signed", "at": at, "signature": signature.to_string() })
        }
        RequestState::Expired { at } => json!({ "name": "expired", "at": at }),
        RequestState::Failed { failure, at } => {
            json!({ "name": "failed", "at": at, "why": describe_failure(failure) })
        }
        RequestState::Cancelled { at } => json!({ "name": "cancelled", "at": at }),
    };
    let mut facts = vec![
        ("request", id.to_string()),
        ("state", describe(&record.state)),
        ("key", content.key.to_string()),
        ("scheme", record.scheme.to_string()),
        ("requester", format_account(&record.requester)),
        ("message", hexadecimal(&content.message)),
        ("hash", content.hasher.to_string()),
        ("digest", record.digest.to_string()),
        ("path", content.path.to_string()),
        ("taproot", tweak_name(&content.tweak)),
        ("verifies under", record.final_key.to_string()),
        ("submitted", format!("block {}", record.submitted)),
    ];
    match record.state {
        RequestState::Signed { signature, .. } => facts.push(("signature", signature.to_string())),
        RequestState::Open => facts.push(("expires", format!("block {}", record.expires))),
        _ => {}
    }
    Answer::new(to_json(id, record, json_state), &facts)
}

fn describe(state: &RequestState) -> String {
    match state {
        RequestState::Open => "open".into(),
        RequestState::Signed { at, .. } => format!("signed in block {at}"),
        RequestState::Expired { at } => format!("expired in block {at}: no signature came in time"),
        RequestState::Failed { failure, at } => {
            format!("failed in block {at}: {}", describe_failure(failure))
        }
        RequestState::Cancelled { at } => format!("was cancelled in block {at}"),
    }
}

fn describe_failure(failure: &RequestFailure) -> String {
    let (reason, blamed) = match failure {
        RequestFailure::Refused { reason, blamed } => (reason, blamed),
        RequestFailure::KeyClosed => return "the key was closed".into(),
        RequestFailure::KeyTransferred => return "the key has another owner now".into(),
    };
    let reason = match reason {
        Refusal::NotAuthorised => "the requester may not have this signature",
        Refusal::ProgramsNotSupported => "the key has programs, which servers cannot evaluate yet",
        Refusal::ProgramRefused => "a program of the key does not allow it",
        Refusal::CannotSign { .. } => "their attempts failed",
    };
    let blamed: Vec<_> = blamed.iter().map(ToString::to_string).collect();
    let blame = if blamed.is_empty() {
        String::new()
    } else {
        format!("; they blame {}", blamed.join(", "))
    };
    format!("too many servers refuse, because {reason}{blame}")
}

fn to_json(id: RequestId, record: &RequestRecord, state: Value) -> Value {
    json!({
        "request": id,
        "state": state,
        "key": record.content.key,
        "scheme": record.scheme,
        "requester": format_account(&record.requester),
        "message": hexadecimal(&record.content.message),
        "hash": record.content.hasher,
        "digest": record.digest,
        "path": record.content.path.to_string(),
        "taproot": tweak_name(&record.content.tweak),
        "finalKey": record.final_key.to_string(),
        "submitted": record.submitted,
        "expires": record.expires,
    })
}

/// `entropy verify …`
pub(crate) async fn verify(node: &str, arguments: VerifyArguments) -> Result<Answer, Failure> {
    if let Some(id) = &arguments.request {
        return verify_request(&Client::connect(node).await?, id).await;
    }
    let (Some(key), Some(signature), Some(message)) =
        (arguments.key, arguments.signature, &arguments.message)
    else {
        return Err(Failure::Usage(
            "either --request, or all of --key, --signature and --message".into(),
        ));
    };
    let digest = digest(arguments.hasher, &read(message)?)?;
    entropy_client::verify(&key, &digest.0, &signature)?;
    Ok(Answer::new(
        json!({ "valid": true, "key": key.to_string(), "digest": digest }),
        &[
            ("valid", "yes".into()),
            ("key", key.to_string()),
            ("digest", digest.to_string()),
        ],
    ))
}

/// Computes everything again that the chain has computed: the digest, the key from the root key on, the check.
async fn verify_request(client: &Client, id: &RequestId) -> Result<Answer, Failure> {
    let record = find(client, id).await?;
    let RequestState::Signed { signature, .. } = record.state else {
        return Err(anyhow!("request {id} has no signature").into());
    };
    let content = &record.content;
    let roots = client.root_keys().await?;
    let root = roots
        .iter()
        .find(|entry| entry.scheme == record.scheme)
        .and_then(|entry| entry.state.active());
    let root = root.with_context(|| format!("the chain has no root key of {}", record.scheme))?;
    let key = derive(record.scheme, &root.root_key, &content.key, &content.path)?
        .final_key(record.scheme, &content.tweak)?;
    let signed = signed_bytes(record.scheme, content.hasher, &content.message)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    entropy_client::verify(&key, &signed, &signature)?;
    let digest = record.digest;
    Ok(Answer::new(
        json!({ "valid": true, "request": id, "key": key.to_string(), "digest": digest, "signature": signature.to_string() }),
        &[
            ("valid", "yes".into()),
            ("root key", root.root_key.to_string()),
            ("key", key.to_string()),
            ("digest", digest.to_string()),
            ("signature", signature.to_string()),
        ],
    ))
}

fn read(message: &Message) -> Result<Vec<u8>, Failure> {
    match message {
        Message::Bytes(bytes) => Ok(bytes.clone()),
        Message::File(path) => {
            let content =
                std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()));
            Ok(content?)
        }
    }
}

fn digest(hasher: Hasher, message: &[u8]) -> Result<Digest, Failure> {
    hasher
        .digest(message)
        .map_err(|error| Failure::Usage(error.to_string()))
}
