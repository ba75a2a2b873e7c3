//! Does what the command line says.

use std::sync::Arc;

use entropy_runtime::opaque::Block;
use sc_cli::{CliConfiguration, SubstrateCli};
use sc_network::config::NetworkBackendType;
use sc_service::Configuration;

use crate::{
    chain_spec,
    cli::{Cli, Subcommand},
    service::{self, Parts},
};

impl SubstrateCli for Cli {
    fn impl_name() -> String {
        "Entropy node".into()
    }

    fn impl_version() -> String {
        env!("SUBSTRATE_CLI_IMPL_VERSION").into()
    }

    fn description() -> String {
        env!("CARGO_PKG_DESCRIPTION").into()
    }

    fn author() -> String {
        "the Entropy developers".into()
    }

    fn support_url() -> String {
        "the README of the project".into()
    }

    fn copyright_start_year() -> i32 {
        2026
    }

    fn load_spec(&self, id: &str) -> Result<Box<dyn sc_service::ChainSpec>, String> {
        Ok(Box::new(chain_spec::load(id)?))
    }
}

/// Parses the command line and does what it says; returns when the node has stopped.
pub fn run() -> sc_cli::Result<()> {
    let cli = Cli::from_args().without_unasked_unsafe_rpc();
    match &cli.subcommand {
        None => {
            let runner = cli.create_runner(&cli.run)?;
            runner.run_node_until_exit(|config| async move { start(config).map_err(Into::into) })
        }
        Some(Subcommand::Key(command)) => command.run(&cli),
        Some(Subcommand::BuildSpec(command)) => {
            let runner = cli.create_runner(command)?;
            runner.sync_run(|config| command.run(config.chain_spec, config.network))
        }
        Some(Subcommand::ExportChainSpec(command)) => command.run(cli.load_spec(&command.chain)?),
        Some(Subcommand::CheckBlock(command)) => offline(&cli, command, |parts, _| {
            command.run(parts.client, parts.import_queue)
        }),
        Some(Subcommand::ExportBlocks(command)) => offline(&cli, command, |parts, config| {
            command.run(parts.client, config.database)
        }),
        Some(Subcommand::ExportState(command)) => offline(&cli, command, |parts, config| {
            command.run(parts.client, config.chain_spec)
        }),
        Some(Subcommand::ImportBlocks(command)) => offline(&cli, command, |parts, _| {
            command.run(parts.client, parts.import_queue)
        }),
        Some(Subcommand::PurgeChain(command)) => {
            let runner = cli.create_runner(command)?;
            runner.sync_run(|config| command.run(config.database))
        }
        Some(Subcommand::Revert(command)) => offline(&cli, command, |parts, _| {
            let revert_consensus = Box::new(|client: Arc<_>, backend: Arc<_>, blocks| {
                sc_consensus_babe::revert(Arc::clone(&client), backend, blocks)?;
                sc_consensus_grandpa::revert(client, blocks)?;
                Ok(())
            });
            command.run(parts.client, parts.backend, Some(revert_consensus))
        }),
        Some(Subcommand::ChainInfo(command)) => {
            let runner = cli.create_runner(command)?;
            runner.sync_run(|config| command.run::<Block>(&config))
        }
    }
}

fn start(config: Configuration) -> Result<sc_service::TaskManager, sc_service::Error> {
    match config.network.network_backend {
        NetworkBackendType::Libp2p => service::start::<sc_network::NetworkWorker<_, _>>(config),
        NetworkBackendType::Litep2p => service::start::<sc_network::Litep2pNetworkBackend>(config),
    }
}

/// Runs a command on the database of a node that doesn't run.
fn offline<C, W, F>(cli: &Cli, command: &C, work: W) -> sc_cli::Result<()>
where
    C: CliConfiguration,
    W: FnOnce(Parts, Configuration) -> F,
    F: Future<Output = sc_cli::Result<()>>,
{
    cli.create_runner(command)?.async_run(|config| {
        let (parts, tasks) = service::build(&config)?;
        Ok((work(parts, config), tasks))
    })
}
