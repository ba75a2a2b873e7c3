//! Which signature a key makes, and by which protocol.

use codec::{Decode, DecodeWithMemTracking, Encode, MaxEncodedLen};
use core::{fmt, str::FromStr};
use scale_info::TypeInfo;

/// Which signature, and which protocol makes it.
///
/// The discriminants are part of ids and of canonical bytes: they never change.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
    serde::Serialize,
    serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Scheme {
    /// ECDSA over secp256k1 by CGGMP'24.
    #[codec(index = 0)]
    EcdsaCggmp24,
    /// ECDSA over secp256k1 by DKLs23.
    #[codec(index = 1)]
    EcdsaDkls23,
    /// ECDSA over secp256r1 by DKLs23.
    #[codec(index = 2)]
    EcdsaP256,
    /// BIP-340 over secp256k1 by FROST, with Taproot tweaks (BIP-341).
    #[codec(index = 3)]
    SchnorrTaproot,
    /// Ed25519 (RFC 8032) by FROST.
    #[codec(index = 4)]
    SchnorrEd25519,
}

impl Scheme {
    /// Every scheme, in the order of their discriminants.
    pub const ALL: [Self; 5] = [
        Self::EcdsaCggmp24,
        Self::EcdsaDkls23,
        Self::EcdsaP256,
        Self::SchnorrTaproot,
        Self::SchnorrEd25519,
    ];

    /// The scheme's name on the command line and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::EcdsaCggmp24 => "ecdsa-cggmp24",
            Self::EcdsaDkls23 => "ecdsa-dkls23",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::SchnorrTaproot => "schnorr-taproot",
            Self::SchnorrEd25519 => "schnorr-ed25519",
        }
    }

    /// Whether this version's servers can run its ceremonies: generate a root key, re-deal it and sign.
    ///
    /// Says nothing of the rest: keys are derived and signatures verified for every scheme.
    pub const fn is_supported(self) -> bool {
        matches!(self, Self::EcdsaCggmp24 | Self::SchnorrTaproot)
    }

    const fn bit(self) -> u8 {
        1 << (self as u8)
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no scheme has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownScheme;

impl fmt::Display for UnknownScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected one of ")?;
        for (i, scheme) in Scheme::ALL.iter().enumerate() {
            write!(f, "{}{scheme}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownScheme {}

impl FromStr for Scheme {
    type Err = UnknownScheme;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|scheme| scheme.name() == text)
            .ok_or(UnknownScheme)
    }
}

/// A set of schemes; in JSON a list of their names.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Encode,
    Decode,
    DecodeWithMemTracking,
    MaxEncodedLen,
    TypeInfo,
)]
pub struct SchemeSet(u8);

impl SchemeSet {
    /// Whether `scheme` is in the set.
    pub const fn contains(self, scheme: Scheme) -> bool {
        self.0 & scheme.bit() != 0
    }

    /// The set's members, in the order of their discriminants.
    pub fn iter(self) -> impl Iterator<Item = Scheme> {
        Scheme::ALL
            .into_iter()
            .filter(move |scheme| self.contains(*scheme))
    }
}

impl FromIterator<Scheme> for SchemeSet {
    fn from_iter<I: IntoIterator<Item = Scheme>>(schemes: I) -> Self {
        Self(
            schemes
                .into_iter()
                .fold(0, |bits, scheme| bits | scheme.bit()),
        )
    }
}

impl serde::Serialize for SchemeSet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> serde::Deserialize<'de> for SchemeSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <alloc::vec::Vec<Scheme> as serde::Deserialize>::deserialize(deserializer)
            .map(Self::from_iter)
    }
}
