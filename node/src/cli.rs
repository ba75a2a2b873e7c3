//! The command line of the node.

use sc_cli::{
    BuildSpecCmd, ChainInfoCmd, CheckBlockCmd, ExportBlocksCmd, ExportChainSpecCmd, ExportStateCmd,
    ImportBlocksCmd, KeySubcommand, PurgeChainCmd, RevertCmd, RpcMethods, RunCmd,
};

/// What the user typed: a subcommand, or the options of a running node.
#[derive(Debug, clap::Parser)]
#[command(
    after_help = "RPC methods that are not safe for everybody are served only with --rpc-methods unsafe: `auto` means `safe`."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) subcommand: Option<Subcommand>,

    #[command(flatten)]
    pub(crate) run: RunCmd,
}

impl Cli {
    /// Reads `auto` as `safe`: that a port is open to this machine only doesn't mean that whoever runs here may
    /// change the keys of a validator.
    pub(crate) fn without_unasked_unsafe_rpc(mut self) -> Self {
        let rpc = &mut self.run.rpc_params;
        let endpoints = rpc.experimental_rpc_endpoint.iter_mut();
        let all = endpoints.map(|endpoint| &mut endpoint.rpc_methods);
        for methods in all.chain([&mut rpc.rpc_methods]) {
            if *methods == RpcMethods::Auto {
                *methods = RpcMethods::Safe;
            }
        }
        self
    }
}

/// What the program can do besides running a node.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Subcommand {
    /// Key management utilities.
    #[command(subcommand)]
    Key(KeySubcommand),

    /// Print a chain specification, to be edited or (with `--raw`) to be distributed.
    BuildSpec(BuildSpecCmd),

    /// Export a chain specification to a file.
    ExportChainSpec(ExportChainSpecCmd),

    /// Execute a block of the database again.
    CheckBlock(CheckBlockCmd),

    /// Export blocks.
    ExportBlocks(ExportBlocksCmd),

    /// Export the state of a block as a chain specification.
    ExportState(ExportStateCmd),

    /// Import blocks.
    ImportBlocks(ImportBlocksCmd),

    /// Remove the database of a chain.
    PurgeChain(PurgeChainCmd),

    /// Take back the newest blocks that aren't final.
    Revert(RevertCmd),

    /// Print the newest and the finalized block of the database.
    ChainInfo(ChainInfoCmd),
}
