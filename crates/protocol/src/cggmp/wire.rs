//! How manul's values become bytes and how parties sign them: postcard in its one canonical form, Ed25519 under a domain of ours.

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use entropy_shared::{PartyId, tagged_hash};
use manul::{
    session::{LocalError, SessionParameters, WireFormat},
    signature::{DigestVerifier, Error, Keypair, RandomizedDigestSigner},
};
use postcard::de_flavors::Slice;
use rand_core::CryptoRngCore;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{DeserializeOwned, Error as _, Visitor},
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// A party as manul knows it: its account, which is the Ed25519 key that its messages verify under.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Node([u8; 32]);

impl From<PartyId> for Node {
    fn from(party: PartyId) -> Self {
        Self(party.0)
    }
}

impl From<Node> for PartyId {
    fn from(node: Node) -> Self {
        Self(node.0)
    }
}

/// The account's key; its `Debug` shows the public key only.
#[derive(Debug)]
pub(super) struct NodeSigner(pub(super) SigningKey);

/// An Ed25519 signature in two halves, because serde has no arrays of 64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NodeSignature([u8; 32], [u8; 32]);

impl Keypair for NodeSigner {
    type VerifyingKey = Node;

    fn verifying_key(&self) -> Node {
        Node(self.0.verifying_key().to_bytes())
    }
}

/// What is signed for a digest of manul's: never what the account signs elsewhere.
fn signed(digest: Sha256) -> [u8; 32] {
    let digest: [u8; 32] = digest.finalize().into();
    tagged_hash("entropy/cggmp/message/v1", &digest)
}

impl RandomizedDigestSigner<Sha256, NodeSignature> for NodeSigner {
    /// Deterministic (RFC 8032): takes nothing from the random generator.
    fn try_sign_digest_with_rng(
        &self,
        _: &mut impl CryptoRngCore,
        digest: Sha256,
    ) -> Result<NodeSignature, Error> {
        let signature = self.0.sign(&signed(digest));
        Ok(NodeSignature(*signature.r_bytes(), *signature.s_bytes()))
    }
}

impl DigestVerifier<Sha256, NodeSignature> for Node {
    fn verify_digest(&self, digest: Sha256, signature: &NodeSignature) -> Result<(), Error> {
        let key = VerifyingKey::from_bytes(&self.0)?;
        let signature = ed25519_dalek::Signature::from_components(signature.0, signature.1);
        key.verify_strict(&signed(digest), &signature)
    }
}

/// The types that a session of manul runs with.
#[derive(Debug)]
pub(super) enum Parameters {}

impl SessionParameters for Parameters {
    type Signer = NodeSigner;
    type Digest = Sha256;
    type Verifier = Node;
    type Signature = NodeSignature;
    type WireFormat = Postcard;
}

/// Postcard that refuses bytes after the value.
#[derive(Debug)]
pub(super) enum Postcard {}

impl WireFormat for Postcard {
    fn serialize<T: Serialize>(value: T) -> Result<Box<[u8]>, LocalError> {
        let bytes =
            postcard::to_allocvec(&value).map_err(|error| LocalError::new(error.to_string()))?;
        Ok(bytes.into())
    }

    type Deserializer<'de> = Whole<'de>;

    fn deserializer(bytes: &[u8]) -> Whole<'_> {
        Whole(postcard::Deserializer::from_bytes(bytes))
    }
}

/// Reads exactly one value, which must be all there is.
pub(super) struct Whole<'de>(postcard::Deserializer<'de, Slice<'de>>);

macro_rules! whole {
    ($($method:ident($($name:ident: $kind:ty),*);)*) => {$(
        fn $method<V: Visitor<'de>>(mut self, $($name: $kind,)* visitor: V) -> Result<V::Value, Self::Error> {
            let value = (&mut self.0).$method($($name,)* visitor)?;
            if !self.0.finalize()?.is_empty() {
                return Err(postcard::Error::custom("bytes after the value"));
            }
            Ok(value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Whole<'de> {
    type Error = postcard::Error;

    whole! {
        deserialize_any(); deserialize_bool(); deserialize_i8(); deserialize_i16(); deserialize_i32(); deserialize_i64();
        deserialize_i128(); deserialize_u8(); deserialize_u16(); deserialize_u32(); deserialize_u64(); deserialize_u128();
        deserialize_f32(); deserialize_f64(); deserialize_char(); deserialize_str(); deserialize_string();
        deserialize_bytes(); deserialize_byte_buf(); deserialize_option(); deserialize_unit();
        deserialize_unit_struct(name: &'static str); deserialize_newtype_struct(name: &'static str); deserialize_seq();
        deserialize_tuple(length: usize); deserialize_tuple_struct(name: &'static str, length: usize);
        deserialize_map(); deserialize_struct(name: &'static str, fields: &'static [&'static str]);
        deserialize_enum(name: &'static str, variants: &'static [&'static str]);
        deserialize_identifier(); deserialize_ignored_any();
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The value's encoding. The buffer never grows, so that no copies of secrets are left behind.
pub(super) fn encode(value: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    let length = postcard::experimental::serialized_size(value).ok()?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    let written = postcard::to_slice(value, &mut bytes).ok()?.len();
    (written == length).then_some(bytes)
}

/// Reads a value whose encoding must be exactly `bytes`: nothing after it, nothing longer than needed.
pub(super) fn decode_canonical<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<T> {
    let value = Postcard::deserialize::<T>(bytes).ok()?;
    (encode(&value)?.as_slice() == bytes).then_some(value)
}

/// A signed part of one of manul's messages: signature, session, round's numbers, whether it is an echo round, payload.
type Part<'a> = (&'a [u8], &'a [u8], Vec<u8>, bool, Option<&'a [u8]>);

/// What one of manul's messages broadcasts with echo, which the library keeps to itself.
pub(super) fn echo_broadcast(message: &[u8]) -> Option<&[u8]> {
    // The message goes on after these fields.
    let (_destination, _direct, echo): (Node, Part<'_>, Part<'_>) =
        postcard::from_bytes(message).ok()?;
    echo.4
}

/// A random contribution of synedrion's: a number of bits, and the bytes that they are packed in.
pub(super) type Contribution = (u32, Vec<u8>);

/// Whether a contribution is as long as all are.
///
/// The library checks no length on receipt, and panics when it adds the contributions up, which blames nobody.
pub(super) fn is_whole((bits, bytes): &Contribution) -> bool {
    *bits == 256 && bytes.len() == 32
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_core::SeedableRng as _;

    #[test]
    fn only_the_canonical_form_is_read() {
        assert_eq!(
            decode_canonical::<(u8, Vec<u16>)>(&[7, 1, 5]),
            Some((7, vec![5]))
        );
        assert_eq!(
            decode_canonical::<(u8, Vec<u16>)>(&[7, 1, 5, 0]),
            None,
            "a byte after the value"
        );
        assert_eq!(
            decode_canonical::<(u8, Vec<u16>)>(&[7, 1, 0x85, 0]),
            None,
            "5 in two bytes"
        );
        assert_eq!(
            decode_canonical::<(u8, Vec<u16>)>(&[7, 2, 5]),
            None,
            "a length that claims more than there is"
        );
        assert!(
            Postcard::deserialize::<(u8, Vec<u16>)>(&[7, 1, 5, 0]).is_err(),
            "the parts inside are strict too"
        );
    }

    #[test]
    fn signatures_verify_under_their_party_and_digest_only() {
        let signer = NodeSigner(SigningKey::from_bytes(&[1; 32]));
        let other = NodeSigner(SigningKey::from_bytes(&[2; 32]));
        let digest = || Sha256::new_with_prefix(b"a");
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
        let signature = signer.sign_digest_with_rng(&mut rng, digest());
        assert!(
            signer
                .verifying_key()
                .verify_digest(digest(), &signature)
                .is_ok()
        );
        assert!(
            other
                .verifying_key()
                .verify_digest(digest(), &signature)
                .is_err()
        );
        assert!(
            signer
                .verifying_key()
                .verify_digest(Sha256::new_with_prefix(b"b"), &signature)
                .is_err()
        );
        // What the account signs is bound to our domain, not the bare digest.
        let bare = signer.0.sign(&digest().finalize());
        assert_ne!(NodeSignature(*bare.r_bytes(), *bare.s_bytes()), signature);
    }
}
