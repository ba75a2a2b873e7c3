//! The states that the chain keeps and the transitions between them, as total, pure functions with typed errors.
//!
//! The pallets store what these functions return and decide nothing themselves. Nothing here panics or has a side effect.

pub mod key;
pub mod membership;
pub mod registry;
pub mod request;
pub mod standing;
