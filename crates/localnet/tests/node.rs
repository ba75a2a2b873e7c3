//! The real `entropy-node` process: what an operator, a wallet and a second node get from it, and what becomes of its
//! database when it does not run.
//!
//! One story on one chain, because every start costs seconds. Ports are chosen by the processes themselves; what is
//! waited for has a deadline; nothing is asserted of time.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use entropy_localnet::{Binaries, Process, asked_to_end};
use serde_json::Value;
use subxt::{
    OnlineClient, SubstrateConfig,
    config::RpcConfigFor,
    dynamic::{self, At as _},
    ext::codec::Decode as _,
    metadata::Metadata,
    rpcs::{RpcClient, methods::legacy::LegacyRpcMethods, rpc_params},
    utils::{AccountId32, H256, MultiAddress},
};
use subxt_signer::sr25519::dev;
use tokio::process::Command;

/// What the slowest machine may need; a step that takes longer has failed.
const DEADLINE: Duration = Duration::from_secs(180);

/// Other than any fee or deposit.
const AMOUNT: u128 = 12_345_678_901_234;

/// As many blocks are taken back in the end.
const REVERTED: u64 = 2;

#[tokio::test(flavor = "multi_thread")]
async fn node() {
    let result = tokio::select! {
        _ = asked_to_end() => Err(anyhow::anyhow!("stopped by a signal")),
        result = story() => result,
    };
    // Processes and files are gone by now.
    if let Err(error) = result {
        panic!("{error:#}");
    }
}

async fn story() -> anyhow::Result<()> {
    let files = Files::new().await?;
    let mut first = Node::new(&files, "first", &["--alice"])?;
    // Keeps every state, serves what is not for everybody, and validates nothing.
    let archive = ["--state-pruning", "archive", "--blocks-pruning", "archive"];
    let mut second = Node::new(
        &files,
        "second",
        &[&archive[..], &["--rpc-methods", "unsafe"]].concat(),
    )?;
    let result = async {
        online(&files, &mut first, &mut second).await?;
        offline(&files, &first).await
    };
    let Err(error) = result.await else {
        return Ok(());
    };
    let tails = [&first, &second].map(|node| node.process.tail());
    bail!(
        "{error:#}\nThe logs of the nodes end with:\n{}",
        tails.join("\n")
    )
}

/// While the nodes run.
async fn online(files: &Files, first: &mut Node, second: &mut Node) -> anyhow::Result<()> {
    first.process.start()?;
    let alice = first.connect().await?;
    // The first node finalizes its first blocks meanwhile.
    bad_arguments(files).await?;
    alice.finalized(1).await?;
    let addresses = alice.ask("system_localListenAddresses").await?;
    let address = addresses[0].as_str().context("the node listens nowhere")?;
    second
        .arguments
        .extend(["--bootnodes".into(), address.into()]);
    second.restart_with_arguments(files)?;

    metadata(&alice).await?;
    methods(&alice).await?;
    refused_unless_asked_for(&alice).await?;
    let (number, hash) = transfer(&alice).await?;
    metrics(first).await?;

    let other = second.connect().await?;
    other.finalized(number).await?;
    ensure!(
        other.hash(number).await? == hash && other.hash(0).await? == alice.hash(0).await?,
        "the second node finalized another chain"
    );
    let height = other.ask("archive_v1_finalizedHeight").await?;
    ensure!(
        height.as_u64().is_some_and(|height| height >= number),
        "an archive serves the chain up to {height}"
    );
    let served: bool = other
        .rpc
        .request(
            "author_hasKey",
            rpc_params![format!("0x{}", "00".repeat(32)), "babe"],
        )
        .await
        .context("asked for unsafe methods")?;
    ensure!(!served, "the second node has a key of somebody");
    let status = second.process.stop().await?;
    ensure!(status.success(), "the second node ended with {status}");

    let genesis = alice.hash(0).await?;
    let before = alice.finalized(number).await?;
    let status = first.process.stop().await?;
    ensure!(status.success(), "the first node ended with {status}");
    first.process.start()?;
    let alice = first.connect().await?;
    alice.finalized(before + 1).await?;
    ensure!(
        alice.hash(0).await? == genesis && alice.hash(number).await? == hash,
        "the first node came back with another chain"
    );
    first.process.check_running()?;
    let status = first.process.stop().await?;
    ensure!(status.success(), "the first node ended with {status}");
    Ok(())
}

/// What needs no chain: the version, and how bad arguments are refused.
async fn bad_arguments(files: &Files) -> anyhow::Result<()> {
    let version = files.run(["--version"]).await?.done()?;
    let (_, version) = version
        .trim()
        .split_once(&format!(" {}-", env!("CARGO_PKG_VERSION")))
        .with_context(|| format!("no version in: {version}"))?;
    ensure!(
        version.len() == 11
            && version.bytes().all(|byte| byte.is_ascii_hexdigit())
            && version.bytes().any(|byte| byte != b'0'),
        "{version} is no commit"
    );

    let inspected = files.run(["key", "inspect", "//Alice"]).await?.done()?;
    ensure!(
        inspected.contains("5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"),
        "{inspected}"
    );

    let unknown = files.run(["--chain", "prodution", "--tmp"]).await?;
    unknown.failed(&["`prodution`", "`dev`, `local`, `template`"])?;

    let damaged = files.path("damaged.json");
    let spec = std::fs::read(&files.chain)?;
    std::fs::write(&damaged, &spec[..spec.len() / 2])?;
    let damaged = damaged.display().to_string();
    let refused = files.run(["--chain", &damaged, "--tmp"]).await?;
    refused.failed(&[&damaged, "is no chain specification"])?;

    let template = files.run(["--chain", "template", "--tmp"]).await?;
    template.failed(&["placeholders", "balances.balances[0][0]"])?;
    Ok(())
}

async fn metadata(node: &Connection) -> anyhow::Result<()> {
    for version in 14u32..=16 {
        let argument = format!("0x{}", hex::encode(version.to_le_bytes()));
        let answer: String = node
            .rpc
            .request(
                "state_call",
                rpc_params!["Metadata_metadata_at_version", argument],
            )
            .await?;
        let answer = hex::decode(answer.trim_start_matches("0x"))?;
        let bytes = Option::<Vec<u8>>::decode(&mut &answer[..])?
            .with_context(|| format!("no metadata of version {version}"))?;
        // After four bytes that say what it is.
        ensure!(
            bytes.get(4) == Some(&(version as u8)),
            "not version {version}"
        );
        let metadata = Metadata::decode_from(&bytes)?;
        for pallet in ["StakingExtension", "Programs", "Registry", "Signing"] {
            ensure!(
                metadata.pallet_by_name(pallet).is_some(),
                "no {pallet} in metadata of version {version}"
            );
        }
    }
    Ok(())
}

/// The methods that polkadot.js, substrate-interface and subxt call.
async fn methods(node: &Connection) -> anyhow::Result<()> {
    let answer = node.ask("rpc_methods").await?;
    let methods: Vec<_> = answer["methods"]
        .as_array()
        .context("no list of methods")?
        .iter()
        .filter_map(Value::as_str)
        .collect();
    for method in [
        "system_health",
        "system_accountNextIndex",
        "author_submitAndWatchExtrinsic",
        "chain_getBlock",
        "chain_subscribeFinalizedHeads",
        "state_call",
        "state_getMetadata",
        "chainHead_v1_follow",
        "chainSpec_v1_genesisHash",
        "transaction_v1_broadcast",
        "transactionWatch_v1_submitAndWatch",
        "babe_epochAuthorship",
        "grandpa_roundState",
        "grandpa_proveFinality",
        "grandpa_subscribeJustifications",
        "payment_queryInfo",
    ] {
        ensure!(
            methods.contains(&method),
            "{method} is not served: {methods:?}"
        );
    }
    ensure!(
        !methods.iter().any(|method| method.starts_with("archive_")),
        "a node that forgets old states serves an archive: {methods:?}"
    );
    let round = node.ask("grandpa_roundState").await?;
    ensure!(round["best"].is_object(), "{round}");
    Ok(())
}

async fn refused_unless_asked_for(node: &Connection) -> anyhow::Result<()> {
    for method in ["author_rotateKeys", "babe_epochAuthorship"] {
        match node.ask(method).await {
            Ok(answer) => bail!("{method} is served to everybody: {answer}"),
            Err(error) => ensure!(
                format!("{error:#}").contains("unsafe"),
                "{method}: {error:#}"
            ),
        }
    }
    Ok(())
}

/// Sends tokens from Alice to Bob; the number and the hash of the block that has finalized it.
async fn transfer(node: &Connection) -> anyhow::Result<(u64, H256)> {
    let bob = dev::bob().public_key().0;
    let call = dynamic::transaction(
        "Balances",
        "transfer_keep_alive",
        (
            MultiAddress::<AccountId32, ()>::Id(AccountId32(bob)),
            AMOUNT,
        ),
    );
    let before = node.balance(bob).await?;
    let client = &node.client;
    let sent = async {
        let transactions = client.at_current_block().await?;
        let included = transactions
            .transactions()
            .sign_and_submit_then_watch_default(&call, &dev::alice())
            .await?
            .wait_for_finalized()
            .await?;
        included.wait_for_success().await?;
        anyhow::Ok(included.block_hash())
    };
    let hash = within("a finalized transfer", sent).await??;
    let header = node.legacy.chain_get_header(Some(hash)).await?;
    let number = header.context("its block is gone")?.number;
    let received = node.balance(bob).await?.checked_sub(before);
    ensure!(received == Some(AMOUNT), "Bob received {received:?}");
    Ok((number, hash))
}

async fn metrics(node: &Node) -> anyhow::Result<()> {
    let line = node.line("Prometheus exporter started at ").await?;
    let text = reqwest::get(format!("http://{}/metrics", address_in(&line)?))
        .await?
        .text()
        .await?;
    let finalized = text
        .lines()
        .find(|line| line.starts_with("substrate_block_height{") && line.contains("finalized"))
        .with_context(|| format!("no height in:\n{text}"))?;
    let height = finalized
        .rsplit(' ')
        .next()
        .and_then(|height| height.parse::<u64>().ok());
    ensure!(height.is_some_and(|height| height > 0), "{finalized}");
    ensure!(
        text.contains("substrate_authority_discovery_"),
        "no authority discovery in:\n{text}"
    );
    Ok(())
}

/// The commands on a database whose node does not run.
async fn offline(files: &Files, node: &Node) -> anyhow::Result<()> {
    let info = files.chain_info(&node.base).await?;
    let number = info["finalized_number"].as_u64().context("no number")?;
    ensure!(number > REVERTED, "{info}");
    ensure!(info["best_number"].as_u64() >= Some(number), "{info}");

    let last = number.to_string();
    files.on(&node.base, ["check-block", &last]).await?.done()?;
    let exported = files.path("blocks");
    let file = exported.display().to_string();
    files
        .on(
            &node.base,
            ["export-blocks", &file, "--binary", "--to", &last],
        )
        .await?
        .done()?;

    let fresh = files.path("fresh");
    files
        .on(&fresh, ["import-blocks", &file, "--binary"])
        .await?
        .done()?;
    let imported = files.chain_info(&fresh).await?;
    ensure!(
        imported["best_hash"] == info["finalized_hash"]
            && imported["genesis_hash"] == info["genesis_hash"],
        "{imported} was imported from {info}"
    );
    let revert = REVERTED.to_string();
    files.on(&fresh, ["revert", &revert]).await?.done()?;
    let reverted = files.chain_info(&fresh).await?;
    ensure!(
        reverted["best_number"].as_u64() == Some(number - REVERTED),
        "{imported} became {reverted}"
    );
    // What was taken back can be had again.
    files
        .on(&fresh, ["import-blocks", &file, "--binary"])
        .await?
        .done()?;
    ensure!(
        files.chain_info(&fresh).await? == imported,
        "it ends elsewhere"
    );

    let database = fresh.join("chains/entropy_dev/paritydb/full");
    ensure!(database.is_dir(), "no database in {}", database.display());
    files.on(&fresh, ["purge-chain", "-y"]).await?.done()?;
    ensure!(!database.exists(), "{} is still there", database.display());
    Ok(())
}

/// Where everything is: the program, and a folder that goes with the test.
struct Files {
    program: PathBuf,
    directory: tempfile::TempDir,
    /// The specification of the chain, its genesis state included.
    chain: PathBuf,
}

impl Files {
    async fn new() -> anyhow::Result<Self> {
        let directory = tempfile::Builder::new().prefix("entropy-node-").tempdir()?;
        let mut files = Self {
            program: Binaries::find()?.node,
            chain: directory.path().join("chain.json"),
            directory,
        };
        // In two steps, as somebody does who edits what is between.
        let plain = files.path("plain.json");
        let spec = files
            .run(["export-chain-spec", "--chain", "dev"])
            .await?
            .done()?;
        let parsed: Value = serde_json::from_str(&spec)?;
        ensure!(parsed["genesis"]["runtimeGenesis"]["patch"].is_object());
        std::fs::write(&plain, spec)?;
        let plain = plain.display().to_string();
        let chain = files.chain.display().to_string();
        files
            .run([
                "export-chain-spec",
                "--raw",
                "--chain",
                &plain,
                "--output",
                &chain,
            ])
            .await?
            .done()?;
        let raw: Value = serde_json::from_slice(&std::fs::read(&files.chain)?)?;
        ensure!(raw["genesis"]["raw"]["top"].is_object());
        files.chain = chain.into();
        Ok(files)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Runs the program to its end.
    async fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>) -> anyhow::Result<Ended> {
        self.execute(arguments.into_iter().map(OsString::from).collect())
            .await
    }

    /// Runs a subcommand on the database below `base`.
    async fn on<'a>(
        &self,
        base: &Path,
        arguments: impl IntoIterator<Item = &'a str>,
    ) -> anyhow::Result<Ended> {
        let mut arguments: Vec<_> = arguments.into_iter().map(OsString::from).collect();
        arguments.extend(["--chain".into(), self.chain.clone().into()]);
        arguments.extend(["--base-path".into(), base.into()]);
        self.execute(arguments).await
    }

    async fn chain_info(&self, base: &Path) -> anyhow::Result<Value> {
        let output = self.on(base, ["chain-info"]).await?.done()?;
        serde_json::from_str(&output).with_context(|| format!("no JSON: {output}"))
    }

    async fn execute(&self, arguments: Vec<OsString>) -> anyhow::Result<Ended> {
        let what = arguments.join(OsStr::new(" ")).display().to_string();
        let command = Command::new(&self.program)
            .args(&arguments)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = within(&what, command).await??;
        Ok(Ended {
            what,
            success: ended.status.success(),
            output: String::from_utf8_lossy(&ended.stdout).into_owned(),
            errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
        })
    }
}

/// How a command ended.
struct Ended {
    what: String,
    success: bool,
    output: String,
    errors: String,
}

impl Ended {
    fn done(self) -> anyhow::Result<String> {
        let Self { what, errors, .. } = &self;
        ensure!(self.success, "`{what}` failed: {}{errors}", self.output);
        Ok(self.output)
    }

    /// Checks that it failed, and said all of that.
    fn failed(&self, reasons: &[&str]) -> anyhow::Result<()> {
        let Self { what, errors, .. } = self;
        ensure!(
            !self.success,
            "`{what}` did not fail: {}{errors}",
            self.output
        );
        for reason in reasons {
            ensure!(
                errors.contains(reason),
                "`{what}` says nothing of {reason}: {errors}"
            );
        }
        ensure!(!errors.contains("panicked"), "`{what}` panicked: {errors}");
        Ok(())
    }
}

/// One node, running or not.
struct Node {
    name: &'static str,
    base: PathBuf,
    arguments: Vec<OsString>,
    process: Process,
}

impl Node {
    fn new(files: &Files, name: &'static str, options: &[&str]) -> anyhow::Result<Self> {
        let base = files.path(name);
        let mut arguments: Vec<OsString> = options.iter().map(OsString::from).collect();
        arguments.extend(["--chain".into(), files.chain.clone().into()]);
        arguments.extend(["--base-path".into(), base.clone().into()]);
        let local = "--listen-addr /ip4/127.0.0.1/tcp/0 --rpc-port 0 --prometheus-port 0 --no-mdns";
        arguments.extend(local.split(' ').map(OsString::from));
        // A validator makes no identity by itself, because it must keep the one it has.
        arguments.extend(["--unsafe-force-node-key-generation".into()]);
        let process = process(files, name, &arguments);
        Ok(Self {
            name,
            base,
            arguments,
            process,
        })
    }

    /// Starts it with arguments that were added.
    fn restart_with_arguments(&mut self, files: &Files) -> anyhow::Result<()> {
        self.process = process(files, self.name, &self.arguments);
        self.process.start()
    }

    async fn line(&self, text: &str) -> anyhow::Result<String> {
        self.process.wait_for_line(text, DEADLINE).await
    }

    /// Connects to it as soon as it answers.
    async fn connect(&self) -> anyhow::Result<Connection> {
        let line = self.line("Running JSON-RPC server").await?;
        Connection::open(&format!("ws://{}", address_in(&line)?)).await
    }
}

fn process(files: &Files, name: &str, arguments: &[OsString]) -> Process {
    let log = files.path(&format!("{name}.log"));
    Process::new(name.into(), &files.program, arguments.to_vec(), log)
}

/// The first address of the loopback interface in a line of a log.
fn address_in(line: &str) -> anyhow::Result<&str> {
    let host = "127.0.0.1:";
    let start = line
        .find(host)
        .with_context(|| format!("no address in: {line}"))?;
    let digits = &line[start + host.len()..];
    let length = digits
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(digits.len());
    Ok(&line[start..start + host.len() + length])
}

/// A connection to a node.
struct Connection {
    rpc: RpcClient,
    legacy: LegacyRpcMethods<RpcConfigFor<SubstrateConfig>>,
    client: OnlineClient<SubstrateConfig>,
}

impl Connection {
    async fn open(url: &str) -> anyhow::Result<Self> {
        let open = async {
            let rpc = RpcClient::from_insecure_url(url).await?;
            anyhow::Ok(Self {
                legacy: LegacyRpcMethods::new(rpc.clone()),
                client: OnlineClient::from_rpc_client(rpc.clone()).await?,
                rpc,
            })
        };
        within("a connection", open).await?
    }

    /// Calls a method without arguments.
    async fn ask(&self, method: &str) -> anyhow::Result<Value> {
        Ok(self.rpc.request(method, rpc_params![]).await?)
    }

    /// Waits until this block is final; the number of the last final one.
    async fn finalized(&self, number: u64) -> anyhow::Result<u64> {
        let wait = async {
            let mut heads = self.legacy.chain_subscribe_finalized_heads().await?;
            while let Some(head) = heads.next().await {
                let height = head?.number;
                if height >= number {
                    return Ok(height);
                }
            }
            bail!("the connection was closed")
        };
        within(&format!("block {number} to be final"), wait).await?
    }

    async fn hash(&self, number: u64) -> anyhow::Result<H256> {
        let hash = self
            .legacy
            .chain_get_block_hash(Some(number.into()))
            .await?;
        hash.with_context(|| format!("there is no block {number}"))
    }

    /// What an account has in the last final block.
    async fn balance(&self, account: [u8; 32]) -> anyhow::Result<u128> {
        let address = dynamic::storage::<([u8; 32],), dynamic::Value>("System", "Account");
        let block = self.client.at_current_block().await?;
        let entry = block.storage().fetch(address, (account,)).await?;
        let value = entry.decode()?;
        let data = value.at("data").context("no data of the account")?;
        let free = data.at("free").and_then(|free| free.as_u128());
        free.context("no balance")
    }
}

/// What `work` gives if it is done before the deadline.
async fn within<T>(what: &str, work: impl Future<Output = T>) -> anyhow::Result<T> {
    let late = || format!("waited {DEADLINE:?} for {what}");
    tokio::time::timeout(DEADLINE, work)
        .await
        .with_context(late)
}
