//! One validator: its node and its server, their addresses and files.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

use entropy_client::Signer;

use crate::{
    binaries::Binaries,
    process::{PROGRAM_TIME, Process, run},
};

/// Guards nothing: whoever can read a local network's files may have its keys.
const PASSWORD: &str = "a local network has no secrets\n";

/// One validator's two processes.
#[derive(Debug)]
pub struct Validator {
    /// Its name, also that of its development account, in small letters.
    pub name: &'static str,
    /// Its node.
    pub node: Process,
    /// Its server, which follows that node.
    pub server: Process,
    ports: Ports,
    directory: PathBuf,
}

/// Where a validator's processes listen.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    p2p: u16,
    rpc: u16,
    prometheus: u16,
    server: u16,
}

impl Ports {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    pub(crate) const fn new([p2p, rpc, prometheus, server]: [u16; Self::COUNT]) -> Self {
        Self {
            p2p,
            rpc,
            prometheus,
            server,
        }
    }
}

impl Validator {
    /// Makes its directory below `root` and its node's key; starts nothing. Also returns the address by which other nodes find this one.
    pub(crate) async fn prepare(
        name: &'static str,
        binaries: &Binaries,
        root: &Path,
        chain: &Path,
        ports: Ports,
        bootnode: Option<&str>,
    ) -> anyhow::Result<(Self, String)> {
        let directory = root.join(name);
        std::fs::create_dir(&directory)?;
        write_password(&directory.join("password"), PASSWORD)?;
        let key = directory.join("node-key");
        let generate = [
            "key".into(),
            "generate-node-key".into(),
            "--file".into(),
            key.clone().into(),
        ];
        let (_, peer) = run(&binaries.node, generate).await?;
        let address = format!("/ip4/127.0.0.1/tcp/{}", ports.p2p);

        let mut arguments: Vec<OsString> = vec![format!("--{name}").into(), "--validator".into()];
        let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        option("--chain", chain.into());
        option("--base-path", directory.join("node").into());
        option("--node-key-file", key.into());
        option("--listen-addr", address.clone().into());
        option("--rpc-port", ports.rpc.to_string().into());
        option("--prometheus-port", ports.prometheus.to_string().into());
        if let Some(bootnode) = bootnode {
            option("--bootnodes", bootnode.into());
        }
        arguments.extend(["--no-mdns", "--no-telemetry"].map(Into::into));
        let log = |kind: &str| root.join("logs").join(format!("{kind}-{name}.log"));
        let node = Process::new(
            format!("node-{name}"),
            &binaries.node,
            arguments,
            log("node"),
        );

        let mut arguments: Vec<OsString> = vec!["run".into()];
        let mut option = |name: &str, value: OsString| arguments.extend([name.into(), value]);
        option("--data", directory.join("server").into());
        option("--node", format!("ws://127.0.0.1:{}", ports.rpc).into());
        option("--listen", format!("127.0.0.1:{}", ports.server).into());
        option("--password-file", directory.join("password").into());
        let server = Process::new(
            format!("server-{name}"),
            &binaries.server,
            arguments,
            log("server"),
        );

        let address = format!("{address}/p2p/{}", peer.trim());
        Ok((
            Self {
                name,
                node,
                server,
                ports,
                directory,
            },
            address,
        ))
    }

    /// Where its node answers RPC.
    pub fn node_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.ports.rpc)
    }

    /// Where its server waits for its peers, as the chain publishes it.
    pub fn endpoint(&self) -> String {
        format!("ws://127.0.0.1:{}", self.ports.server)
    }

    /// The data directory of its server.
    pub fn server_data(&self) -> PathBuf {
        self.directory.join("server")
    }

    /// The file that holds the password of its server.
    pub fn password_file(&self) -> PathBuf {
        self.directory.join("password")
    }

    /// The key pair of its account, which is its stash.
    pub fn signer(&self) -> anyhow::Result<Signer> {
        let (first, rest) = self.name.split_at(1);
        Ok(Signer::from_uri(&format!(
            "//{}{rest}",
            first.to_uppercase()
        ))?)
    }

    /// Waits until its node, just started, answers RPC.
    pub(crate) async fn wait_for_node(&self) -> anyhow::Result<()> {
        self.node
            .wait_for_line("Running JSON-RPC server", PROGRAM_TIME)
            .await?;
        Ok(())
    }

    /// Waits until its server, just started, listens for its peers.
    pub async fn wait_for_server(&self) -> anyhow::Result<()> {
        self.server
            .wait_for_line("listening on", PROGRAM_TIME)
            .await?;
        Ok(())
    }

    /// Whether its server says that it can take part in signing; `false` also if it does not answer.
    pub async fn is_server_ready(&self) -> bool {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/readyz", self.ports.server)).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// Writes a file that only its owner can read, as the server demands of one with its password.
pub fn write_password(path: &Path, password: &str) -> std::io::Result<()> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(password.as_bytes())
}
