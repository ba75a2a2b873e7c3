//! New threshold shares of a known secret, by Feldman's verifiable secret sharing: one implementation for every scheme and group.
//!
//! Every dealer deals what it holds, and each recipient adds up what it gets, weighted so that the sum is a share of the
//! same secret (Desmedt and Jajodia 1997; Wong, Wang and Wing 2002). A dealer commits to exactly as many coefficients as
//! the new threshold says, the first of them to what it is known to hold, and coordinates are assigned by the committee's
//! order. The libraries' own resharing is not used: they do not check how many coefficients a dealer has, and one too
//! many gives shares that reconstruct nothing.

mod agreement;
mod messages;
mod sharing;
mod signed;

pub(crate) use agreement::{
    DEALINGS as FIRST, Ended, Progress, ROUNDS, Redistributed, Redistribution, Roles,
};
pub(crate) use messages::{ANSWERS as RELAY, CLAIMS as STATEMENT, DEALING, SUBSHARE};
pub(crate) use sharing::{Commitments, Polynomial, lagrange};
pub(crate) use signed::{Dealing, Domain, Seen};
