//! The real-process test: four nodes and four servers, from an empty chain to signatures that libsecp256k1 accepts; then
//! crashes, absences, wrong passwords and every bad input that a user can think of.
//!
//! One story, because starting the network and generating its keys takes minutes. Nothing is asserted of time; the
//! numbers that interest people are printed at the end.

use std::{
    ffi::OsStr,
    io::Write as _,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use entropy_client::{BindingProof, Client, ClientError, Signer, verify};
use entropy_localnet::{Network, RootKey, asked_to_end, judge::judge, write_password};
use entropy_shared::{
    DerivationPath, Hasher, KeyId, RequestId, Scheme, TaprootTweak,
    lifecycle::{
        key::KeyState,
        registry::Requesters,
        request::{RequestContent, RequestState},
    },
};
use serde_json::{Map, Value};
use tokio::process::Command;

/// Prints past the test harness, which shows what a test prints only if it fails; these lines are for people.
macro_rules! say {
    ($($text:tt)*) => {
        // Whoever closed the output does not want to read it.
        drop(writeln!(std::io::stdout().lock(), $($text)*))
    };
}

/// What the slowest machine may need; a step that takes longer has failed.
const KEYGEN_TIME: Duration = Duration::from_secs(45 * 60);
/// Longer than the chain keeps a request open, so that its expiry is seen as such.
const SIGNING_TIME: Duration = Duration::from_secs(12 * 60);
const COMMAND_TIME: Duration = Duration::from_secs(3 * 60);

/// Other than that of the node's specification `local`, and short, so that sessions and eras change meanwhile.
const SESSION_BLOCKS: u32 = 10;

/// The places of validators in the network.
const ALICE: usize = 0;
const BOB: usize = 1;
const CHARLIE: usize = 2;
const DAVE: usize = 3;

#[tokio::test(flavor = "multi_thread")]
async fn first_light() {
    let result = tokio::select! {
        _ = asked_to_end() => Err(anyhow::anyhow!("stopped by a signal")),
        result = story() => result,
    };
    // The network has been dropped by now, and its processes with it.
    if let Err(error) = result {
        panic!("{error:#}");
    }
}

async fn story() -> anyhow::Result<()> {
    let mut story = Story::begin().await?;
    match story.run().await {
        Ok(()) => Ok(()),
        Err(error) => {
            let tails = story.network.tails();
            bail!("{error:#}\nThe logs of the network end with:\n{tails}")
        }
    }
}

struct Story {
    began: Instant,
    network: Network,
    client: Client,
    alice: Signer,
    bob: Signer,
    roots: Vec<RootKey>,
    /// What is printed at the end.
    numbers: Vec<String>,
}

impl Story {
    async fn begin() -> anyhow::Result<Self> {
        let began = Instant::now();
        let parameters = Map::from_iter([("sessionBlocks".into(), SESSION_BLOCKS.into())]);
        let network = Network::start(&parameters).await?;
        Ok(Self {
            began,
            client: network.client(ALICE).await?,
            alice: network.validators[ALICE].signer()?,
            bob: network.validators[BOB].signer()?,
            network,
            roots: Vec::new(),
            numbers: Vec::new(),
        })
    }

    async fn run(&mut self) -> anyhow::Result<()> {
        self.step("four nodes finalize blocks; nothing is registered on the chain");
        self.the_chain_is_empty().await?;
        self.step("servers are made and bound");
        self.bind_servers().await?;
        self.step("root keys are generated");
        self.generate_root_keys().await?;
        self.step("a key of each scheme is registered");
        let ecdsa = self.register_by_command(Scheme::EcdsaCggmp24).await?;
        let taproot = self
            .client
            .register_key(
                &self.alice,
                Scheme::SchnorrTaproot,
                &[7; 32],
                &[],
                &Requesters::Owner,
            )
            .await?;
        self.step("requests are answered");
        self.sign_in_all_ways(ecdsa, taproot).await?;
        self.sign_by_command(ecdsa).await?;
        self.step("bad inputs are refused, each with its reason");
        self.bad_requests(ecdsa, taproot).await?;
        self.bad_commands(ecdsa).await?;
        self.step("one server is killed and restarted, another is stopped: signing needs the restarted one's shares");
        self.crash_and_absence(ecdsa, taproot).await?;
        self.step("numbers");
        self.report()
    }

    fn step(&self, text: &str) {
        say!("[{:4} s] {text}", self.began.elapsed().as_secs());
    }

    async fn the_chain_is_empty(&self) -> anyhow::Result<()> {
        let session_blocks = self.client.parameters().await?.session_blocks;
        ensure!(
            session_blocks == SESSION_BLOCKS,
            "a session has {session_blocks} blocks"
        );
        let states = self.client.root_keys().await?;
        ensure!(
            states.len() == 2,
            "two schemes are enabled, not {}",
            states.len()
        );
        ensure!(
            states.iter().all(|entry| entry.state == KeyState::Absent),
            "there are root keys: {states:?}"
        );
        ensure!(
            self.client.keys(&self.alice.account()).await?.is_empty(),
            "Alice has keys"
        );
        let registered = self
            .client
            .register_key(
                &self.alice,
                Scheme::EcdsaCggmp24,
                &[0; 32],
                &[],
                &Requesters::Owner,
            )
            .await;
        refused(registered, "Registry::NoRootKey")
    }

    async fn bind_servers(&mut self) -> anyhow::Result<()> {
        self.network.init_servers().await?;
        let mut proofs = Vec::new();
        for (i, validator) in self.network.validators.iter().enumerate() {
            proofs.push(self.network.prove(i, &validator.endpoint()).await?);
        }
        let [alices, bobs, ..] = &proofs[..] else {
            bail!("there are four validators")
        };

        let error = self
            .network
            .prove(ALICE, "garbage")
            .await
            .expect_err("is no endpoint");
        ensure!(
            format!("{error:#}").contains("ws://"),
            "an endpoint that is none: {error:#}"
        );
        let mut garbage = bobs.clone();
        garbage.info.endpoint = b"garbage".to_vec();
        refused(
            self.client.bind_server(&self.bob, &garbage).await,
            "StakingExtension::BadEndpoint",
        )?;
        let forged = BindingProof {
            proof: alices.proof,
            ..bobs.clone()
        };
        refused(
            self.client.bind_server(&self.bob, &forged).await,
            "StakingExtension::BadProof",
        )?;
        // A true proof, but for another validator.
        refused(
            self.client.bind_server(&self.bob, alices).await,
            "StakingExtension::BadProof",
        )?;
        let eve = Signer::from_uri("//Eve")?;
        refused(
            self.client.bind_server(&eve, bobs).await,
            "StakingExtension::NotAValidator",
        )?;

        self.network.start_servers().await?;
        for (validator, proof) in self.network.validators.iter().zip(&proofs).skip(1) {
            self.client.bind_server(&validator.signer()?, proof).await?;
        }
        // The last one as an operator would, with which the committee is complete.
        let file = self.network.directory().join("alice-proof.json");
        std::fs::write(&file, proof_json(alices))?;
        let file = file.to_string_lossy().into_owned();
        let wrong = self
            .entropy(["server", "bind", "--proof", &file, "--signer", "//Bob"])
            .await?;
        wrong.failed(2, "the proof is for the validator")?;
        self.entropy(["server", "bind", "--proof", &file, "--signer", "//Alice"])
            .await?
            .done()?;
        Ok(())
    }

    async fn generate_root_keys(&mut self) -> anyhow::Result<()> {
        let began = Instant::now();
        let progress = |text: &str| say!("  {:4} s: {text}", began.elapsed().as_secs());
        self.roots = self
            .network
            .wait_for_root_keys(&self.client, KEYGEN_TIME, &progress)
            .await?;
        for root in &self.roots {
            ensure!(
                root.key.committee.size() == 4 && root.key.committee.threshold() == 3,
                "{:?}",
                root.key
            );
            let attempt = root.key.attempt;
            self.numbers.push(format!(
                "keygen of {}: {} blocks, attempt {attempt}",
                root.scheme, root.blocks
            ));
        }
        let ready = self.client.until(
            "a committee that is ready to sign",
            COMMAND_TIME,
            async || {
                for validator in &self.network.validators {
                    if !validator.is_server_ready().await {
                        return Ok(None);
                    }
                }
                Ok(Some(()))
            },
        );
        ready.await?;
        let committee = self.entropy(["committee"]).await?.done()?;
        ensure!(
            committee.contains("held by 4 servers of which 3 sign"),
            "{committee}"
        );
        Ok(())
    }

    async fn register_by_command(&self, scheme: Scheme) -> anyhow::Result<KeyId> {
        let name = scheme.to_string();
        let arguments = [
            "--json", "key", "register", "--scheme", &name, "--salt", "savings", "--signer",
            "//Alice",
        ];
        let registered: Value = serde_json::from_str(&self.entropy(arguments).await?.done()?)?;
        let key = registered["key"].as_str().context("no key in the output")?;
        let again = self.entropy(arguments).await?;
        again.failed(1, "Registry::AlreadyRegistered")?;
        let shown = self.entropy(["key", "show", key]).await?.done()?;
        ensure!(shown.contains(&name), "{shown}");
        let listed = self
            .entropy(["key", "list", "--signer", "//Alice"])
            .await?
            .done()?;
        ensure!(listed.contains(key), "{listed}");
        Ok(key.parse()?)
    }

    /// All requests at once: the servers run several ceremonies beside each other.
    async fn sign_in_all_ways(&mut self, ecdsa: KeyId, taproot: KeyId) -> anyhow::Result<()> {
        let content = |key, hasher, path: &str, tweak| {
            let path: DerivationPath = path.parse().expect("is a path");
            RequestContent {
                key,
                message: b"first light, 32 bytes in length!".to_vec(),
                hasher,
                path,
                tweak,
            }
        };
        let requests = [
            content(ecdsa, Hasher::Keccak256, "m/0/5", TaprootTweak::None),
            content(ecdsa, Hasher::DoubleSha256, "m", TaprootTweak::None),
            content(taproot, Hasher::Sha256, "m", TaprootTweak::None),
            content(
                taproot,
                Hasher::Identity,
                "m/86/0/2147483647",
                TaprootTweak::KeyPath,
            ),
            content(
                taproot,
                Hasher::Sha256,
                "m/1",
                TaprootTweak::MerkleRoot([0xa5; 32]),
            ),
        ];
        self.sign("all servers up", &requests).await
    }

    /// Requests signatures, waits for them and has both judges look at each.
    async fn sign(&mut self, when: &str, requests: &[RequestContent]) -> anyhow::Result<()> {
        let mut ids: Vec<RequestId> = Vec::new();
        for content in requests {
            ids.push(self.client.request(&self.alice, content, None).await?);
        }
        for id in ids {
            let record = self.client.wait_for_signature(&id, SIGNING_TIME).await?;
            self.network.check_running()?;
            let root = self
                .roots
                .iter()
                .find(|root| root.scheme == record.scheme)
                .context("no such root key")?;
            let signature = judge(&record, &root.key.root_key)
                .with_context(|| format!("request {id}, {when}"))?;
            verify(&record.final_key, &record.digest.0, &signature)?;
            let RequestState::Signed { at, .. } = record.state else {
                bail!("judged without a signature")
            };
            let blocks = at - record.submitted;
            self.numbers.push(format!(
                "{}, {when}: signed {blocks} blocks after its inclusion",
                record.scheme
            ));
        }
        Ok(())
    }

    /// As a user does it, and checked as a user would.
    async fn sign_by_command(&self, key: KeyId) -> anyhow::Result<()> {
        let key = key.to_string();
        let message = "0xc0ffee";
        let arguments = [
            "--json",
            "sign",
            &key,
            "--message",
            message,
            "--path",
            "m/3",
            "--signer",
            "//Alice",
        ];
        let signed: Value = serde_json::from_str(&self.entropy(arguments).await?.done()?)?;
        let field = |pointer: &str| {
            let value = signed
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(ToOwned::to_owned);
            value.with_context(|| format!("no {pointer} in the output: {signed}"))
        };
        let (id, final_key, signature) = (
            field("/request")?,
            field("/finalKey")?,
            field("/state/signature")?,
        );
        let shown = self.entropy(["request", "show", &id]).await?.done()?;
        ensure!(shown.contains(&signature), "{shown}");
        self.entropy(["verify", "--request", &id]).await?.done()?;
        let verify = |message| {
            [
                "verify",
                "--key",
                &final_key,
                "--signature",
                &signature,
                "--message",
                message,
            ]
        };
        self.entropy(verify(message)).await?.done()?;
        self.entropy(verify("0xc0ffed"))
            .await?
            .failed(1, "does not verify")
    }

    async fn bad_requests(&self, ecdsa: KeyId, taproot: KeyId) -> anyhow::Result<()> {
        let good = RequestContent {
            key: taproot,
            message: vec![0; 32],
            hasher: Hasher::Identity,
            path: DerivationPath::default(),
            tweak: TaprootTweak::None,
        };
        let ask = async |who: &Signer, content: RequestContent| {
            self.client.request(who, &content, None).await
        };
        refused(ask(&self.bob, good.clone()).await, "Signing::NotAllowed")?;
        let unknown = RequestContent {
            key: KeyId([9; 32]),
            ..good.clone()
        };
        refused(ask(&self.alice, unknown).await, "Signing::UnknownKey")?;
        let short = RequestContent {
            message: vec![0; 31],
            ..good.clone()
        };
        refused(ask(&self.alice, short).await, "Signing::MessageNotADigest")?;
        let long = RequestContent {
            message: vec![0; 8193],
            hasher: Hasher::Sha256,
            ..good.clone()
        };
        refused(ask(&self.alice, long).await, "Signing::MessageTooLong")?;
        let tweaked = RequestContent {
            key: ecdsa,
            tweak: TaprootTweak::KeyPath,
            ..good
        };
        refused(
            ask(&self.alice, tweaked).await,
            "Signing::TweakWithoutTaproot",
        )?;
        let unsupported = self
            .client
            .register_key(
                &self.alice,
                Scheme::EcdsaP256,
                &[0; 32],
                &[],
                &Requesters::Owner,
            )
            .await;
        refused(unsupported, "Registry::SchemeNotEnabled")?;
        match Client::connect("ws://127.0.0.1:1").await {
            Err(ClientError::Unreachable { .. }) => Ok(()),
            other => bail!("nobody listens there: {other:?}"),
        }
    }

    async fn bad_commands(&self, key: KeyId) -> anyhow::Result<()> {
        let key = key.to_string();
        let sign = |option, value| {
            [
                "sign",
                &key,
                "--message",
                "hello",
                "--signer",
                "//Alice",
                option,
                value,
            ]
        };
        self.entropy(sign("--hash", "identity"))
            .await?
            .failed(2, "32-byte digest")?;
        self.entropy(sign("--path", "m/0'"))
            .await?
            .failed(2, "hardened")?;
        self.entropy(sign("--taproot", "key"))
            .await?
            .failed(2, "Merkle root")?;
        let scheme = ["key", "register", "--scheme", "rsa", "--signer", "//Alice"];
        self.entropy(scheme).await?.failed(2, "ecdsa-cggmp24")?;
        self.entropy(["key", "register", "--scheme", "schnorr-taproot"])
            .await?
            .failed(2, "--signer-file")?;
        self.entropy(["key", "show", &"ab".repeat(32)])
            .await?
            .failed(1, "knows no key")?;
        self.entropy(["committee", "--node", "ws://127.0.0.1:1"])
            .await?
            .failed(1, "cannot be reached")
    }

    async fn crash_and_absence(&mut self, ecdsa: KeyId, taproot: KeyId) -> anyhow::Result<()> {
        let requests = [ecdsa, taproot].map(|key| RequestContent {
            key,
            message: b"three of four are enough, and these three are needed".to_vec(),
            hasher: Hasher::Sha256,
            path: DerivationPath::default(),
            tweak: TaprootTweak::None,
        });
        let charlie = &mut self.network.validators[CHARLIE];
        charlie.server.kill()?;
        charlie.server.start()?;
        charlie.wait_for_server().await?;
        let dave = &mut self.network.validators[DAVE];
        let status = dave.server.stop().await?;
        ensure!(
            status.success(),
            "the server of dave ended with {status} when it was asked to stop"
        );
        self.wrong_password().await?;
        self.sign("one server killed and restarted, one stopped", &requests)
            .await?;

        let dave = &mut self.network.validators[DAVE];
        dave.server.start()?;
        dave.wait_for_server().await?;
        let dave = &self.network.validators[DAVE];
        let ready = self
            .client
            .until("dave's server, ready again", COMMAND_TIME, async || {
                Ok(dave.is_server_ready().await.then_some(()))
            });
        ready.await?;
        Ok(())
    }

    /// On the data of the server that does not run.
    async fn wrong_password(&self) -> anyhow::Result<()> {
        let dave = &self.network.validators[DAVE];
        let file = self.network.directory().join("wrong-password");
        write_password(&file, "sesame\n")?;
        let (data, node) = (dave.server_data(), dave.node_url());
        let arguments: [&OsStr; 9] = [
            "run".as_ref(),
            "--data".as_ref(),
            data.as_ref(),
            "--node".as_ref(),
            node.as_ref(),
            "--listen".as_ref(),
            "127.0.0.1:0".as_ref(),
            "--password-file".as_ref(),
            file.as_ref(),
        ];
        let ended = execute(&self.network.binaries.server, &arguments, &node).await?;
        ended.failed(2, "password")?;
        ensure!(
            !ended.errors.contains("sesame"),
            "the error repeats the password: {}",
            ended.errors
        );
        Ok(())
    }

    fn report(&mut self) -> anyhow::Result<()> {
        for validator in &self.network.validators {
            for process in [&validator.node, &validator.server] {
                let memory = process.memory().context("a process is gone")?;
                self.numbers.push(format!(
                    "memory of {}: {} MiB",
                    process.name(),
                    memory >> 20
                ));
            }
        }
        for number in &self.numbers {
            say!("  {number}");
        }
        self.network.check_running()
    }

    /// Runs the command of users against Alice's node.
    async fn entropy<const N: usize>(&self, arguments: [&str; N]) -> anyhow::Result<Ended> {
        let arguments = arguments.map(OsStr::new);
        execute(
            &self.network.binaries.cli,
            &arguments,
            &self.network.validators[ALICE].node_url(),
        )
        .await
    }
}

/// How a command ended.
struct Ended {
    what: String,
    code: Option<i32>,
    output: String,
    errors: String,
}

impl Ended {
    fn done(self) -> anyhow::Result<String> {
        ensure!(
            self.code == Some(0),
            "{} ended with {:?}: {}{}",
            self.what,
            self.code,
            self.output,
            self.errors
        );
        Ok(self.output)
    }

    fn failed(&self, code: i32, reason: &str) -> anyhow::Result<()> {
        ensure!(
            self.code == Some(code) && self.errors.contains(reason),
            "{} ended with {:?} instead of {code} and a word on `{reason}`: {}{}",
            self.what,
            self.code,
            self.output,
            self.errors
        );
        Ok(())
    }
}

async fn execute(program: &Path, arguments: &[&OsStr], node: &str) -> anyhow::Result<Ended> {
    let what = format!(
        "{} {}",
        program.display(),
        arguments.join(OsStr::new(" ")).display()
    );
    let command = Command::new(program)
        .args(arguments)
        .env("ENTROPY_NODE", node)
        .env_remove("ENTROPY_SIGNER")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(SIGNING_TIME, command).await;
    let ended = ended
        .with_context(|| format!("{what} did not end"))?
        .with_context(|| what.clone())?;
    Ok(Ended {
        what,
        code: ended.status.code(),
        output: String::from_utf8_lossy(&ended.stdout).into_owned(),
        errors: String::from_utf8_lossy(&ended.stderr).into_owned(),
    })
}

/// Whether the chain refused with this error, and explained it.
fn refused<T>(result: Result<T, ClientError>, expected: &str) -> anyhow::Result<()> {
    match result {
        Err(ClientError::Refused { error, explanation }) if error == expected => {
            ensure!(!explanation.is_empty(), "{expected} is not explained");
            Ok(())
        }
        Err(other) => bail!("expected {expected}, got: {other}"),
        Ok(_) => bail!("expected {expected}, but it was accepted"),
    }
}

/// What `entropy-tss proof` prints, from what was read of it.
fn proof_json(binding: &BindingProof) -> String {
    serde_json::json!({
        "stash": binding.stash.to_string(),
        "server": binding.info.server,
        "endpoint": String::from_utf8_lossy(&binding.info.endpoint),
        "noise_key": format!("0x{}", hex::encode(binding.info.noise_key)),
        "genesis": binding.genesis,
        "signature": format!("0x{}", hex::encode(binding.proof)),
    })
    .to_string()
}
