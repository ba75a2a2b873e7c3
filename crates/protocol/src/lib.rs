//! One party's side of every joint computation, without network, clock, thread or operating-system randomness.
//!
//! [`keygen`] and [`sign`] give a [`Ceremony`]: messages in, [`Step`]s out. Which protocol runs behind it follows from
//! the scheme; nobody outside of this crate branches on it. Libraries' panics and strangers' bytes end at this border.
#![warn(missing_docs)]

pub mod ceremony;
pub mod context;
pub mod evidence;
pub mod share;
pub mod simulator;

mod cggmp;
mod dkls;
mod frost;
mod gather;
mod group;
mod guard;
mod redistribution;
mod reshare;
mod wire;

pub use ceremony::{Blame, Ceremony, Failure, Offence, Outbound, Step};
pub use context::{
    KeygenContext, PROTOCOL_VERSION, ReshareContext, SetupError, SigningContext, Subject,
};
pub use evidence::Evidence;
pub use share::{DecodeError, KeyShare};
pub use wire::MAX_PAYLOAD_BYTES;

use ed25519_dalek::SigningKey;
use entropy_shared::{PartyId, Scheme, Signature};
use group::{Ed25519, P256, Secp256k1};
use guard::Guard;
use reshare::Reshare;

/// One party's side of a key generation; its output is the party's share.
///
/// `account` is the key of the server `me`; what may become evidence is signed with it.
pub fn keygen(
    context: &KeygenContext,
    me: PartyId,
    account: &SigningKey,
) -> Result<Box<dyn Ceremony<Output = KeyShare>>, SetupError> {
    if !context.committee.contains(&me) {
        return Err(SetupError::NotAParty);
    }
    let parties = context.committee.parties().to_vec();
    match context.scheme {
        Scheme::EcdsaCggmp24 => {
            let inner = cggmp::Keygen::new(context, me, account)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::SchnorrTaproot => {
            let inner = frost::Keygen::<frost::Secp256K1Sha256TR>::new(context, me)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::SchnorrEd25519 => {
            let inner = frost::Keygen::<frost::Ed25519Sha512>::new(context, me)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::EcdsaDkls23 => {
            let inner = dkls::Keygen::<dkls_k256::Secp256k1>::new(context, me)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::EcdsaP256 => {
            let inner = dkls::Keygen::<dkls_p256::NistP256>::new(context, me)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
    }
}

/// One party's side of a re-dealing to a new committee, or of a refresh; its output is the party's new share, or nothing for
/// a dealer that is not among the new holders.
///
/// `old` is the share of a dealer, and `None` for all others. The old share stays as it is: whether it may be erased, the
/// chain decides. A leaving dealer's ceremony ends before the others' do.
pub fn reshare(
    context: &ReshareContext,
    me: PartyId,
    account: &SigningKey,
    old: Option<&KeyShare>,
) -> Result<Box<dyn Ceremony<Output = Option<KeyShare>>>, SetupError> {
    context.check(&me, old)?;
    let (id, parties) = (context.id(), context.parties());
    match context.scheme {
        Scheme::EcdsaCggmp24 | Scheme::EcdsaDkls23 | Scheme::SchnorrTaproot => {
            let inner = Reshare::<Secp256k1>::new(context, me, account, old)?;
            Ok(Box::new(Guard::new(id, me, parties, inner)))
        }
        Scheme::SchnorrEd25519 => {
            let inner = Reshare::<Ed25519>::new(context, me, account, old)?;
            Ok(Box::new(Guard::new(id, me, parties, inner)))
        }
        Scheme::EcdsaP256 => {
            let inner = Reshare::<P256>::new(context, me, account, old)?;
            Ok(Box::new(Guard::new(id, me, parties, inner)))
        }
    }
}

/// One signer's side of one signature; its output has been verified under the context's final key.
///
/// Every signer gets the signature. `share` must be the one that the context names, `account` the key of the share's party.
pub fn sign(
    context: &SigningContext,
    share: &KeyShare,
    account: &SigningKey,
) -> Result<Box<dyn Ceremony<Output = Signature>>, SetupError> {
    context.check(share)?;
    let (me, parties) = (share.party(), context.signer_ids());
    match share.public().scheme {
        Scheme::EcdsaCggmp24 => {
            let inner = cggmp::Sign::new(context, share, account)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::SchnorrTaproot => {
            let inner = frost::Sign::<frost::Secp256K1Sha256TR>::new(context, share)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::SchnorrEd25519 => {
            let inner = frost::Sign::<frost::Ed25519Sha512>::new(context, share)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::EcdsaDkls23 => {
            let inner = dkls::Sign::<dkls_k256::Secp256k1>::new(context, share)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
        Scheme::EcdsaP256 => {
            let inner = dkls::Sign::<dkls_p256::NistP256>::new(context, share)?;
            Ok(Box::new(Guard::new(context.id(), me, parties, inner)))
        }
    }
}
