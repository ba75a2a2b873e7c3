//! Resharing and refresh of the schemes of FROST: honest runs of every shape, a cheater for every offence, golden bytes.

#[path = "../common/mod.rs"]
mod common;

mod cheats;
mod disputes;
mod evidence;
mod forge;
mod golden;
mod honest;
