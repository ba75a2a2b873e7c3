//! Identifiers: 32 bytes each, one type for each thing, so that none can stand for another.

use alloc::string::String;
use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{fmt, str::FromStr};
use scale_info::TypeInfo;

use crate::{digest::tagged_hash, scheme::Scheme};

/// Text that is not 64 hexadecimal digits, with or without a leading `0x`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseIdError;

impl fmt::Display for ParseIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected 32 bytes as 64 hexadecimal digits, with or without 0x")
    }
}

impl core::error::Error for ParseIdError {}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode, DecodeWithMemTracking, MaxEncodedLen, TypeInfo,
        )]
        pub struct $name(pub [u8; 32]);

        impl $name {
            /// The bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }
        }

        impl From<[u8; 32]> for $name {
            fn from(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }
        }

        impl From<$name> for [u8; 32] {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl AsRef<[u8]> for $name {
            fn as_ref(&self) -> &[u8] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("0x")?;
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                parse_hex(text).map(Self)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// A server inside a committee: its account on the chain, which is an Ed25519 public key (RFC 8032).
    PartyId
);
id!(
    /// Any account of the chain.
    AccountId
);
id!(
    /// A user's key: see [`KeyId::of`].
    KeyId
);
id!(
    /// A user's wish for one signature: a hash of its content, requester and account nonce.
    RequestId
);
id!(
    /// A WebAssembly program: see [`ProgramId::of`].
    ProgramId
);
id!(
    /// One attempt by named parties at a joint computation; commits to everything that the computation depends on.
    CeremonyId
);
id!(
    /// The hash of the chain's first block, which tells one chain from another.
    Genesis
);
id!(
    /// What is signed, or any other 32-byte hash that parties must agree on.
    Digest
);

impl KeyId {
    /// The id of the key that `owner` registers under `scheme` with a salt of its choice.
    ///
    /// A hash, never a counter: a reorganisation cannot hand one user's key to another.
    pub fn of(genesis: &Genesis, scheme: Scheme, owner: &AccountId, salt: &[u8; 32]) -> Self {
        Self(tagged_hash(
            "entropy/key-id/v1",
            &(genesis, scheme, owner, salt),
        ))
    }

    /// The reserved child under which new holders of a root key prove that they can sign.
    ///
    /// No user's id can equal it: the two are hashed under different tags.
    pub fn of_proof(genesis: &Genesis, scheme: Scheme) -> Self {
        Self(tagged_hash("entropy/proof-key-id/v1", &(genesis, scheme)))
    }
}

impl ProgramId {
    /// The id of the program with this code and this schema of its configuration.
    ///
    /// Both with their lengths before them, so that no two programs share an id. The schema says what a configuration on a key
    /// means: whoever attaches the id knows that neither can change.
    pub fn of(code: &[u8], schema: &[u8]) -> Self {
        Self(tagged_hash("entropy/program-id/v2", &(code, schema)))
    }
}

fn parse_hex(text: &str) -> Result<[u8; 32], ParseIdError> {
    let digits = text.strip_prefix("0x").unwrap_or(text).as_bytes();
    if digits.len() != 64 {
        return Err(ParseIdError);
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let nibble = |digit: u8| (digit as char).to_digit(16).ok_or(ParseIdError);
        *byte = (nibble(pair[0])? * 16 + nibble(pair[1])?) as u8;
    }
    Ok(bytes)
}
