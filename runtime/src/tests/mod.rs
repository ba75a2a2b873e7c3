//! The runtime as a whole: genesis, sessions, transactions, offences. What a single pallet does is
//! tested where the pallet is.

mod chain;
mod consensus;
mod genesis;
mod threshold;
mod transactions;
