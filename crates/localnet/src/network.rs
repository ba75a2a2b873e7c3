//! The network: four validators, each a node and a server, in one temporary directory.

use std::{path::Path, time::Duration};

use anyhow::Context as _;
use entropy_client::{BindingProof, Client, format_account};
use entropy_shared::{
    BlockNumber, Scheme,
    lifecycle::key::{ActiveKey, KeyState},
};
use serde_json::{Map, Value};

use crate::{
    binaries::Binaries,
    ports::free_ports,
    process::{PROGRAM_TIME, Process, run},
    spec,
    validator::{Ports, Validator},
};

/// Who validates: development accounts that the node's specification `local` gives stake and session keys.
pub const VALIDATORS: [&str; 4] = ["alice", "bob", "charlie", "dave"];

/// A root key that the network has come to have.
#[derive(Clone, Debug)]
pub struct RootKey {
    /// Its scheme.
    pub scheme: Scheme,
    /// The key and its holders.
    pub key: ActiveKey,
    /// How many blocks its generation took, failed attempts included, as far as it was watched.
    pub blocks: BlockNumber,
}

/// A running network. Dropping it kills its processes and removes its files.
#[derive(Debug)]
pub struct Network {
    /// The programs that run.
    pub binaries: Binaries,
    /// Its validators, in the order of [`VALIDATORS`].
    pub validators: Vec<Validator>,
    // After the processes: they are killed first.
    directory: tempfile::TempDir,
}

impl Network {
    /// Starts the nodes, with the given parameters of the chain (by their names in a chain specification) in place of
    /// those of `local`, and waits until they have finalized a block.
    pub async fn start(parameters: &Map<String, Value>) -> anyhow::Result<Self> {
        let binaries = Binaries::find()?;
        let directory = tempfile::Builder::new()
            .prefix("entropy-localnet-")
            .tempdir()?;
        let root = directory.path();
        let logs = root.join("logs");
        std::fs::create_dir(&logs)?;

        let (local, _) = run(
            &binaries.node,
            ["export-chain-spec", "--chain", "local"].map(Into::into),
        )
        .await?;
        let plain = root.join("chain-plain.json");
        std::fs::write(&plain, spec::with_parameters(local.as_bytes(), parameters)?)?;
        // With the state of the genesis in it, which each node would have to compute otherwise.
        let chain = root.join("chain.json");
        let arguments = [
            "export-chain-spec".into(),
            "--raw".into(),
            "--chain".into(),
            plain.into(),
            "--output".into(),
            chain.clone().into(),
        ];
        run(&binaries.node, arguments).await?;

        let mut validators = Vec::new();
        let mut bootnode = None;
        // All at once, so that none is given twice.
        let ports = free_ports::<{ VALIDATORS.len() * Ports::COUNT }>()?;
        for (name, ports) in VALIDATORS.into_iter().zip(ports.as_chunks().0) {
            let ports = Ports::new(*ports);
            let (validator, address) =
                Validator::prepare(name, &binaries, root, &chain, ports, bootnode.as_deref())
                    .await?;
            validators.push(validator);
            bootnode.get_or_insert(address);
        }
        let mut network = Self {
            binaries,
            validators,
            directory,
        };
        for validator in &mut network.validators {
            validator.node.start()?;
        }
        for validator in &network.validators {
            validator.wait_for_node().await?;
        }
        let client = network.client(0).await?;
        let finalized = client.until("a finalized block", PROGRAM_TIME, async || {
            if let Err(error) = network.check_running() {
                return Ok(Some(Err(error)));
            }
            Ok((client.finalized_block().await? > 0).then_some(Ok(())))
        });
        finalized.await.with_context(|| network.tails())??;
        Ok(network)
    }

    /// A connection to the node of the validator with this place in [`VALIDATORS`].
    pub async fn client(&self, validator: usize) -> anyhow::Result<Client> {
        Ok(Client::connect(&self.validators[validator].node_url()).await?)
    }

    /// Makes each server's account and store.
    pub async fn init_servers(&self) -> anyhow::Result<()> {
        for validator in &self.validators {
            let arguments = [
                "init".into(),
                "--data".into(),
                validator.server_data().into(),
                "--node".into(),
                validator.node_url().into(),
                "--password-file".into(),
                validator.password_file().into(),
            ];
            run(&self.binaries.server, arguments).await?;
        }
        Ok(())
    }

    /// Starts the servers and waits until they listen.
    pub async fn start_servers(&mut self) -> anyhow::Result<()> {
        for validator in &mut self.validators {
            validator.server.start()?;
        }
        for validator in &self.validators {
            validator.wait_for_server().await?;
        }
        Ok(())
    }

    /// What the server of this validator publishes, with the proof that it agrees. Its data must not be in use: ask before it runs.
    pub async fn prove(&self, validator: usize, endpoint: &str) -> anyhow::Result<BindingProof> {
        let validator = &self.validators[validator];
        let stash = format_account(&validator.signer()?.account());
        let (json, _) = run(
            &self.binaries.server,
            [
                "proof".into(),
                "--data".into(),
                validator.server_data().into(),
                "--stash".into(),
                stash.into(),
                "--endpoint".into(),
                endpoint.into(),
                "--password-file".into(),
                validator.password_file().into(),
            ],
        )
        .await?;
        Ok(BindingProof::from_json(&json)?)
    }

    /// Waits, for at most `within`, until the network has a root key of every enabled scheme. `progress` hears of each change.
    pub async fn wait_for_root_keys(
        &mut self,
        client: &Client,
        within: Duration,
        progress: &dyn Fn(&str),
    ) -> anyhow::Result<Vec<RootKey>> {
        let mut said = String::new();
        let mut began: Vec<(Scheme, BlockNumber)> = Vec::new();
        let keys = client.until("a root key of every scheme", within, async || {
            if let Err(error) = self.check_running() {
                return Ok(Some(Err(error)));
            }
            let states = client.root_keys().await?;
            for entry in &states {
                if let KeyState::Generating(generating) = &entry.state
                    && !began.iter().any(|(scheme, _)| *scheme == entry.scheme)
                {
                    began.push((entry.scheme, generating.started));
                }
            }
            let now: Vec<_> = states
                .iter()
                .map(|entry| format!("{}: {}", entry.scheme, describe(&entry.state)))
                .collect();
            let now = now.join("; ");
            if now != said {
                progress(&now);
                said = now;
            }
            let keys: Option<Vec<_>> = states
                .into_iter()
                .map(|entry| {
                    let key = entry.state.active()?.clone();
                    let began = began.iter().find(|(scheme, _)| *scheme == entry.scheme);
                    let blocks = began.map_or(0, |(_, began)| key.since.saturating_sub(*began));
                    Some(RootKey {
                        scheme: entry.scheme,
                        key,
                        blocks,
                    })
                })
                .collect();
            Ok(keys.filter(|keys| !keys.is_empty()).map(Ok))
        });
        keys.await?
    }

    /// An error with the end of its log, if one of the processes should run and does not.
    pub fn check_running(&mut self) -> anyhow::Result<()> {
        for validator in &mut self.validators {
            validator.node.check_running()?;
            validator.server.check_running()?;
        }
        Ok(())
    }

    /// The last lines of every log.
    pub fn tails(&self) -> String {
        let processes = self
            .validators
            .iter()
            .flat_map(|validator| [&validator.node, &validator.server]);
        processes.map(Process::tail).collect::<Vec<_>>().join("\n")
    }

    /// Where the network keeps its files; the logs are in `logs` below.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }
}

fn describe(state: &KeyState) -> String {
    match state {
        KeyState::Absent => "waits for a committee".into(),
        KeyState::Generating(generating) => format!(
            "attempt {} until block {}, {} of {} parties have reported",
            generating.attempt,
            generating.deadline,
            generating.reports.len(),
            generating.committee.size(),
        ),
        KeyState::Active(key) => format!("in use since block {}", key.since),
        KeyState::Resharing { from, attempt } => format!(
            "in use since block {}, dealt anew in attempt {}",
            from.since, attempt.attempt
        ),
    }
}
