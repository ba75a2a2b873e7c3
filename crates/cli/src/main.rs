//! The `entropy` command: for users who register keys and ask for signatures, for validators who bind servers, and for
//! whoever wants to see a whole network on one machine.
//!
//! Results go to standard output, for people or (with `--json`) for programs; progress and errors to standard error.
//! Exit codes: 0 done, 1 failed, 2 wrong usage.

mod arguments;
mod commands;
mod output;
mod secret;

use std::process::ExitCode;

use clap::Parser as _;

use crate::{
    arguments::{Cli, Command},
    output::{Answer, Failure},
};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
        .with_writer(std::io::stderr)
        .init();
    let json = cli.json;
    match run(cli).await.and_then(|answer| answer.print(json)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print(json);
            failure.code()
        }
    }
}

async fn run(cli: Cli) -> Result<Answer, Failure> {
    match cli.command {
        Command::Server(command) => commands::chain::server(&cli.node, command).await,
        Command::Key(command) => commands::chain::key(&cli.node, command).await,
        Command::Sign(arguments) => commands::sign::sign(&cli.node, arguments).await,
        Command::Request(command) => commands::sign::request(&cli.node, command).await,
        Command::Verify(arguments) => commands::sign::verify(&cli.node, arguments).await,
        Command::Committee => commands::chain::committee(&cli.node).await,
        Command::Localnet(command) => commands::localnet::localnet(command, cli.json).await,
    }
}
