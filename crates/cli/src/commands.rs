//! What the subcommands do.

pub(crate) mod chain;
pub(crate) mod localnet;
pub(crate) mod sign;
