//! How each pallet is configured, one file by theme.

mod accounts;
mod consensus;
mod fees;
mod staking;
mod system;
mod threshold;

pub use accounts::ProxyType;
