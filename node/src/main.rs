//! `entropy-node`: a node of the Entropy chain.

#![expect(clippy::result_large_err, reason = "the error type is that of sc-cli")]

fn main() -> sc_cli::Result<()> {
    entropy_node::run()
}
