//! The real world behind the ports.

pub mod chain;
pub mod peers;
pub mod store;
