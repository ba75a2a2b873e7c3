//! Doubles of the ports, for tests of the coordinator and of whole committees in one process.

pub(crate) mod chain;
pub(crate) mod ports;
