//! A local network of real processes: four nodes and four servers, for `entropy localnet quickstart` and for tests.
//!
//! It runs the programs that the workspace builds, as an operator would, and holds no logic of theirs. Everything
//! listens on the loopback interface only, on ports that were free. Not for production: the accounts are the
//! well-known development ones, and the servers' password is made up and kept in a file beside their data.
#![warn(missing_docs)]

mod binaries;
pub mod judge;
mod network;
mod ports;
mod process;
pub mod quickstart;
mod spec;
mod validator;

pub use binaries::Binaries;
pub use network::{Network, RootKey, VALIDATORS};
pub use process::Process;
pub use validator::{Validator, write_password};

/// Resolves once the process is asked to end: Ctrl-C, a termination, or the loss of its terminal.
///
/// Whoever starts a network waits for this beside its work, so that the network is dropped, and with it its processes, before the process ends.
pub async fn asked_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
        _ = hangup.recv() => {}
    }
    Ok(())
}
