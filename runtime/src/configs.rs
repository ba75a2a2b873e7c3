//! How each pallet is configured, one file by theme.

mod consensus;
mod fees;
mod staking;
mod system;
mod threshold;
