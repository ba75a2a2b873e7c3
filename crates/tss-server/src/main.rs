//! The program `entropy-tss`: joins the engine to its real adapters. The only place that names them, beside tests.

mod args;

use std::{
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use ed25519_dalek::Signer;
use entropy_shared::canonical::{ServerInfo, binding_bytes};
use entropy_tss_server::{
    adapters::{chain::SubxtChain, peers::WebSocketPeers, store::SledStore},
    engine::{Engine, EngineError},
    http,
    ports::ChainError,
    status::Identity,
};
use serde::Serialize;
use subxt::utils::AccountId32;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};
use tracing_subscriber::EnvFilter;

use args::{Arguments, Command, Init, LogFormat, Proof, Run};

/// How long connections and blocking work may take to end once the server is told to stop.
const GRACE: Duration = Duration::from_secs(5);

/// How often measurements that nobody fetched are folded together.
const UPKEEP: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Command::Init(arguments) => init(&arguments),
        Command::Proof(arguments) => proof(&arguments),
        Command::Run(arguments) => run(arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told if standard error is closed.
            drop(writeln!(io::stderr(), "error: {error:#}"));
            exit_code(&error)
        }
    }
}

/// 2 for what keeps the program from starting until an operator sets it right, as for a bad command line; 1 for a node
/// that does not answer and for what broke later.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    ExitCode::from(if error.is::<EngineError>() || error.is::<ChainError>() {
        1
    } else {
        2
    })
}

fn init(arguments: &Init) -> anyhow::Result<()> {
    let genesis = match (&arguments.chain.genesis, &arguments.chain.node) {
        (Some(genesis), _) => *genesis,
        (None, Some(node)) => Runtime::new()?.block_on(SubxtChain::fetch_genesis(node))?,
        (None, None) => anyhow::bail!("either --genesis or --node is needed"),
    };
    let password = arguments.store.new_password()?;
    let store = SledStore::create(&arguments.store.data, &password, genesis)?;
    let mut out = io::stdout().lock();
    writeln!(out, "account    {}", AccountId32(store.party().0))?;
    writeln!(out, "public key {}", store.party())?;
    writeln!(out, "noise key  {}", hexadecimal(&store.noise_public()))?;
    writeln!(out, "genesis    {}", store.genesis())?;
    Ok(())
}

/// What a validator hands to the chain to bind a server.
#[derive(Serialize)]
struct BindingProof {
    stash: String,
    server: String,
    endpoint: String,
    noise_key: String,
    genesis: String,
    signature: String,
}

fn proof(arguments: &Proof) -> anyhow::Result<()> {
    let store = SledStore::open(&arguments.store.data, &arguments.store.password()?)?;
    let info = ServerInfo {
        server: store.party(),
        endpoint: arguments.endpoint.clone().into_bytes(),
        noise_key: store.noise_public(),
    };
    let signature = store
        .account()
        .sign(&binding_bytes(&store.genesis(), &arguments.stash, &info));
    let proof = BindingProof {
        stash: arguments.stash.to_string(),
        server: info.server.to_string(),
        endpoint: arguments.endpoint.clone(),
        noise_key: hexadecimal(&info.noise_key),
        genesis: store.genesis().to_string(),
        signature: hexadecimal(&signature.to_bytes()),
    };
    writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&proof)?)?;
    Ok(())
}

fn run(arguments: Run) -> anyhow::Result<()> {
    start_logging(arguments.log_format);
    let store = SledStore::open(&arguments.store.data, &arguments.store.password()?)?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let result = runtime.block_on(serve(arguments, store));
    // A step of a ceremony that is under way may take minutes; everything that counts is on the disk.
    runtime.shutdown_timeout(GRACE);
    result
}

async fn serve(arguments: Run, store: SledStore) -> anyhow::Result<()> {
    let stop = stop_signal()?;
    let identity = Identity {
        party: store.party(),
        noise_key: store.noise_public(),
        genesis: store.genesis(),
    };
    let metrics = http::metrics::recorder()?.install_recorder()?;
    http::metrics::describe();
    let listener = TcpListener::bind(arguments.listen)
        .await
        .with_context(|| format!("cannot listen on {}", arguments.listen))?;
    let address = listener.local_addr()?;

    let account = store.account().clone();
    let peers = Arc::new(WebSocketPeers::new(
        identity.party,
        store.noise_secret().clone(),
        identity.genesis,
    ));
    let chain = Arc::new(SubxtChain::follow(
        arguments.nodes,
        identity.genesis,
        identity.party,
    ));
    let engine = Engine::new(chain, peers.clone(), Arc::new(store), account, identity).await?;
    let router = http::router(identity, engine.status(), metrics.clone()).merge(peers.routes());

    let mut stopped = stop.clone();
    let server = tokio::spawn(
        axum::serve(
            listener,
            router.into_make_service_with_connect_info::<SocketAddr>(),
        )
        .with_graceful_shutdown(async move { requested(&mut stopped).await })
        .into_future(),
    );
    let upkeep = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(UPKEEP);
        loop {
            ticks.tick().await;
            metrics.run_upkeep();
        }
    });
    writeln!(io::stdout(), "listening on {address}")?;
    tracing::info!(%address, party = %identity.party, genesis = %identity.genesis, "server started");

    let mut stopped = stop;
    let result = engine
        .run(async move { requested(&mut stopped).await })
        .await;
    upkeep.abort();
    if result.is_err() {
        server.abort();
    } else if let Ok(ended) = tokio::time::timeout(GRACE, server).await {
        ended.context("the HTTP server was lost")??;
    }
    tracing::info!("server stopped");
    Ok(result?)
}

/// Becomes `true` with the first SIGTERM or SIGINT.
fn stop_signal() -> anyhow::Result<watch::Receiver<bool>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => tracing::info!("stopping: SIGTERM"),
            _ = interrupt.recv() => tracing::info!("stopping: SIGINT"),
        }
        sender.send_replace(true);
        // Kept: a receiver whose sender is gone would look as if it had been told.
        sender.closed().await;
    });
    Ok(receiver)
}

async fn requested(stop: &mut watch::Receiver<bool>) {
    // An error means that the task that listens for signals is gone, with the runtime.
    drop(stop.wait_for(|stop| *stop).await);
}

fn start_logging(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match format {
        LogFormat::Text => logger.init(),
        LogFormat::Json => logger.json().init(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}
