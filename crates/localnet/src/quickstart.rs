//! The guided tour: from nothing to a verified signature of every scheme.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use entropy_client::{Client, verify};
use entropy_shared::{
    BlockNumber, DerivationPath, Hasher, KeyId, RequestId, Scheme, Signature, TaprootTweak,
    lifecycle::{
        registry::Requesters,
        request::{RequestContent, RequestRecord, RequestState},
    },
};
use serde_json::Map;

use crate::{
    judge::judge,
    network::{Network, RootKey},
};

/// How long the generation of all root keys may take; a minute or two when the machine is not busy.
const KEYGEN_TIME: Duration = Duration::from_secs(40 * 60);

/// How long one signature may take; less than the time after which the chain lets a request expire.
const SIGNING_TIME: Duration = Duration::from_secs(10 * 60);

const MESSAGE: &[u8] = b"Nobody holds the key that signed this.";

/// What the tour has made.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The root keys.
    pub root_keys: Vec<RootKey>,
    /// One signature of each scheme.
    pub signatures: Vec<Signed>,
}

/// One request that was answered, and judged by two implementations.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The scheme.
    pub scheme: Scheme,
    /// The user's key.
    pub key: KeyId,
    /// The request.
    pub request: RequestId,
    /// The request as the chain keeps it.
    pub record: RequestRecord,
    /// The signature.
    pub signature: Signature,
    /// The blocks from the request's inclusion to the record of its signature.
    pub blocks: BlockNumber,
}

/// Starts a network and makes it sign; `progress` hears of each step.
///
/// The network runs on until it is dropped. An error about it ends with the last lines of its logs.
pub async fn run(progress: &dyn Fn(&str)) -> anyhow::Result<(Network, Outcome)> {
    progress("starting four nodes");
    let mut network = Network::start(&Map::new()).await?;
    let outcome = match tour(&mut network, progress).await {
        Ok(outcome) => outcome,
        Err(error) => {
            let tails = network.tails();
            return Err(error
                .context(tails)
                .context("the quickstart failed; the logs of the network follow"));
        }
    };
    Ok((network, outcome))
}

async fn tour(network: &mut Network, progress: &dyn Fn(&str)) -> anyhow::Result<Outcome> {
    let client = network.client(0).await?;
    progress("they finalize blocks; starting four servers");
    bind_servers(network, &client, progress).await?;
    progress("generating root keys, which no server will know; this takes a minute or more");
    let root_keys = network
        .wait_for_root_keys(&client, KEYGEN_TIME, progress)
        .await?;
    let mut signatures = Vec::new();
    for root in &root_keys {
        let content = |key| RequestContent {
            key,
            message: MESSAGE.to_vec(),
            hasher: Hasher::Sha256,
            path: DerivationPath::default(),
            tweak: match root.scheme {
                Scheme::SchnorrTaproot => TaprootTweak::KeyPath,
                _ => TaprootTweak::None,
            },
        };
        signatures.push(sign(network, &client, root, content, progress).await?);
    }
    Ok(Outcome {
        root_keys,
        signatures,
    })
}

/// Makes the servers, starts them and binds each to its validator.
pub async fn bind_servers(
    network: &mut Network,
    client: &Client,
    progress: &dyn Fn(&str),
) -> anyhow::Result<()> {
    network.init_servers().await?;
    let mut proofs = Vec::new();
    for validator in 0..network.validators.len() {
        proofs.push(
            network
                .prove(validator, &network.validators[validator].endpoint())
                .await?,
        );
    }
    network.start_servers().await?;
    for (validator, proof) in network.validators.iter().zip(&proofs) {
        let signer = validator.signer()?;
        client
            .bind_server(&signer, proof)
            .await
            .with_context(|| format!("binding the server of {}", validator.name))?;
        progress(&format!(
            "bound {}'s server {}",
            validator.name, proof.info.server
        ));
    }
    Ok(())
}

/// Registers a key for the first validator's account, requests one signature of it, and checks that by two implementations.
async fn sign(
    network: &mut Network,
    client: &Client,
    root: &RootKey,
    content: impl FnOnce(KeyId) -> RequestContent,
    progress: &dyn Fn(&str),
) -> anyhow::Result<Signed> {
    let signer = network.validators[0].signer()?;
    let key = client
        .register_key(&signer, root.scheme, &[0; 32], &[], &Requesters::Owner)
        .await?;
    progress(&format!("registered {} key {key}", root.scheme));
    let request = client.request(&signer, &content(key), None).await?;
    progress(&format!("requested a signature: {request}"));
    let began = Instant::now();
    let record = client.wait_for_signature(&request, SIGNING_TIME).await?;
    network.check_running()?;
    let signature = judge(&record, &root.key.root_key)?;
    verify(&record.final_key, &record.digest.0, &signature)?;
    let blocks = match record.state {
        RequestState::Signed { at, .. } => at.saturating_sub(record.submitted),
        _ => 0,
    };
    progress(&format!(
        "signed after {blocks} blocks ({:.1} s), and verified",
        began.elapsed().as_secs_f32()
    ));
    Ok(Signed {
        scheme: root.scheme,
        key,
        request,
        record,
        signature,
        blocks,
    })
}
