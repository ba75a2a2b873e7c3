//! What all holders of a root key must agree on.

use alloc::vec::Vec;
use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;

use crate::{
    Epoch,
    committee::Committee,
    digest::tagged_hash,
    ids::{Digest, Genesis},
    scheme::Scheme,
    signature::VerifyingKey,
};

/// The public side of one generation of shares of a root key.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
pub struct PublicPackage {
    /// The chain that the key belongs to.
    pub genesis: Genesis,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The epoch that these shares serve.
    pub epoch: Epoch,
    /// The attempt that made them.
    pub attempt: u32,
    /// Who holds them, and how many sign.
    pub committee: Committee,
    /// The root key.
    pub root_key: VerifyingKey,
    /// Each party's public share `s_i G`, in the order of the committee's parties.
    pub verification_shares: Vec<VerifyingKey>,
}

impl PublicPackage {
    /// The digest that every holder reports, and that the chain keeps.
    pub fn digest(&self) -> Digest {
        Digest(tagged_hash("entropy/public-package/v1", self))
    }
}
