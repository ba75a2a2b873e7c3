//! `entropy localnet …`

use std::time::Instant;

use anyhow::anyhow;
use entropy_localnet::{Network, asked_to_end, quickstart};
use serde_json::json;

use crate::{
    arguments::LocalnetCommand,
    output::{Answer, Failure, is_watched, progress},
};

pub(crate) async fn localnet(command: LocalnetCommand, json: bool) -> Result<Answer, Failure> {
    let LocalnetCommand::Quickstart { keep } = command;
    let began = Instant::now();
    let tell = |text: &str| progress(&format!("[{:4} s] {text}", began.elapsed().as_secs()));
    // Whichever way this ends, the network is dropped before the process exits.
    let (network, outcome) = tokio::select! {
        biased;
        asked = asked_to_end() => {
            asked?;
            return Err(anyhow!("stopped; nothing is left running").into());
        }
        result = quickstart::run(&tell) => result?,
    };
    let keep = keep.unwrap_or_else(is_watched);
    let answer = describe(keep.then_some(&network), &outcome);
    if keep {
        answer.print(json)?;
        progress("the network runs until Ctrl-C");
        asked_to_end().await?;
        drop(network);
        return Ok(Answer::text(
            json!({ "stopped": true }),
            "stopped; nothing is left running\n".into(),
        ));
    }
    Ok(answer)
}

/// What has been made, and where the network is if it stays.
fn describe(network: Option<&Network>, outcome: &quickstart::Outcome) -> Answer {
    let mut facts = Vec::new();
    for validator in network.iter().flat_map(|network| &network.validators) {
        facts.push((
            "node",
            format!(
                "{}  server {}  ({})",
                validator.node_url(),
                validator.endpoint(),
                validator.name
            ),
        ));
    }
    if let Some(network) = network {
        facts.push((
            "logs",
            network.directory().join("logs").display().to_string(),
        ));
    }
    for root in &outcome.root_keys {
        facts.push((
            "root key",
            format!(
                "{}  {} after {} blocks",
                root.key.root_key, root.scheme, root.blocks
            ),
        ));
    }
    for signed in &outcome.signatures {
        facts.push(("scheme", signed.scheme.to_string()));
        facts.push(("  key", signed.key.to_string()));
        facts.push(("  request", signed.request.to_string()));
        facts.push(("  digest", signed.record.digest.to_string()));
        facts.push(("  verifies under", signed.record.final_key.to_string()));
        facts.push(("  signature", signed.signature.to_string()));
        facts.push((
            "  verified",
            format!(
                "by the chain, by us, by libsecp256k1; {} blocks after the request",
                signed.blocks
            ),
        ));
    }
    let json = json!({
        "nodes": network.iter().flat_map(|network| &network.validators).map(|validator| validator.node_url()).collect::<Vec<_>>(),
        "rootKeys": outcome.root_keys.iter().map(|root| json!({
            "scheme": root.scheme, "rootKey": root.key.root_key.to_string(), "blocks": root.blocks,
        })).collect::<Vec<_>>(),
        "signatures": outcome.signatures.iter().map(|signed| json!({
            "scheme": signed.scheme,
            "key": signed.key,
            "request": signed.request,
            "digest": signed.record.digest,
            "finalKey": signed.record.final_key.to_string(),
            "signature": signed.signature.to_string(),
            "blocks": signed.blocks,
        })).collect::<Vec<_>>(),
    });
    Answer::new(json, &facts)
}
