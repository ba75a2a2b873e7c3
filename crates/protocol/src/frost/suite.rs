//! What tells the two schemes of FROST apart: group, form of a signature, and Taproot's tweaks.

use entropy_shared::{Signature, TaprootTweak};
use frost_core::{
    Ciphersuite,
    keys::{KeyPackage, PublicKeyPackage},
};
use frost_ed25519::Ed25519Sha512;
use frost_secp256k1_tr::{Secp256K1Sha256TR, keys::Tweak};

use crate::group::{Ed25519, Group, Secp256k1};

/// A ciphersuite of RFC 9591, or one made in its image.
pub(crate) trait Suite: Ciphersuite {
    /// The same group as the library's, as the rest of this crate knows it.
    type Curve: Group;

    /// The signature with these bytes.
    fn signature(bytes: [u8; 64]) -> Signature;

    /// The key that is signed under, from the child's. A tweak that the scheme does not have has been refused before.
    fn tweaked_key(package: KeyPackage<Self>, tweak: &TaprootTweak) -> KeyPackage<Self>;

    /// The same for what shares are checked against.
    fn tweaked_public(
        package: PublicKeyPackage<Self>,
        tweak: &TaprootTweak,
    ) -> PublicKeyPackage<Self>;
}

impl Suite for Secp256K1Sha256TR {
    type Curve = Secp256k1;

    fn signature(bytes: [u8; 64]) -> Signature {
        Signature::Bip340(bytes)
    }

    fn tweaked_key(package: KeyPackage<Self>, tweak: &TaprootTweak) -> KeyPackage<Self> {
        tweaked(package, tweak)
    }

    fn tweaked_public(
        package: PublicKeyPackage<Self>,
        tweak: &TaprootTweak,
    ) -> PublicKeyPackage<Self> {
        tweaked(package, tweak)
    }
}

/// The library's own signing with a tweak would add one even where none is asked for.
fn tweaked<T: Tweak>(package: T, tweak: &TaprootTweak) -> T {
    match tweak {
        TaprootTweak::None => package,
        TaprootTweak::KeyPath => package.tweak::<&[u8]>(None),
        TaprootTweak::MerkleRoot(root) => package.tweak(Some(root)),
    }
}

impl Suite for Ed25519Sha512 {
    type Curve = Ed25519;

    fn signature(bytes: [u8; 64]) -> Signature {
        Signature::Ed25519(bytes)
    }

    fn tweaked_key(package: KeyPackage<Self>, _: &TaprootTweak) -> KeyPackage<Self> {
        package
    }

    fn tweaked_public(package: PublicKeyPackage<Self>, _: &TaprootTweak) -> PublicKeyPackage<Self> {
        package
    }
}
