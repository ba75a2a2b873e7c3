//! The groups of prime order that keys live in, as far as re-dealing and deriving shares needs them.
//!
//! Every scalar and every point has one encoding and no other is read; the identity has none. Nothing here branches on a secret.

use core::{
    fmt::Debug,
    ops::{Add, Mul, Sub},
};

use codec::{Decode, Encode};
use curve25519_dalek::{EdwardsPoint, edwards::CompressedEdwardsY, traits::IsIdentity};
use entropy_shared::VerifyingKey;
use k256::elliptic_curve::{Field, PrimeField, sec1::ToEncodedPoint};
use rand_core::CryptoRngCore;
use zeroize::{Zeroize, Zeroizing};

/// A group of prime order with a generator.
pub(crate) trait Group: Copy + Send + 'static {
    /// A number modulo the group's order.
    type Scalar: Copy
        + Eq
        + Send
        + Zeroize
        + From<u64>
        + Add<Output = Self::Scalar>
        + Sub<Output = Self::Scalar>
        + Mul<Output = Self::Scalar>;
    /// An element of the group, the identity included.
    type Point: Copy
        + Eq
        + Send
        + Debug
        + Add<Output = Self::Point>
        + Mul<Self::Scalar, Output = Self::Point>;
    /// An element's encoding.
    type PointBytes: Copy + Eq + Send + Debug + AsRef<[u8]> + Encode + Decode;

    /// The neutral element.
    const IDENTITY: Self::Point;

    /// The multiple of the generator, in constant time.
    fn generate(scalar: &Self::Scalar) -> Self::Point;

    /// A uniformly random scalar.
    fn random(rng: &mut dyn CryptoRngCore) -> Self::Scalar;

    /// The inverse; zero has none.
    fn invert(scalar: &Self::Scalar) -> Option<Self::Scalar>;

    /// A scalar's one encoding, in the byte order of the curve's users.
    fn encode_scalar(scalar: &Self::Scalar) -> Zeroizing<[u8; 32]>;

    /// Reads a scalar, which must be below the group's order.
    fn decode_scalar(bytes: &[u8; 32]) -> Option<Self::Scalar>;

    /// The compressed form; the identity has none.
    fn compress(point: &Self::Point) -> Option<Self::PointBytes>;

    /// Reads a point of the group in its one compressed form; never the identity.
    fn decompress(bytes: &Self::PointBytes) -> Option<Self::Point>;

    /// The key with these bytes.
    fn to_key(bytes: Self::PointBytes) -> VerifyingKey;

    /// The bytes of a key of this group.
    fn of_key(key: &VerifyingKey) -> Option<Self::PointBytes>;

    /// The key that a point is.
    fn key(point: &Self::Point) -> Option<VerifyingKey> {
        Self::compress(point).map(Self::to_key)
    }

    /// The point that a key is.
    fn point(key: &VerifyingKey) -> Option<Self::Point> {
        Self::of_key(key).and_then(|bytes| Self::decompress(&bytes))
    }

    /// A scalar from 1 to the group's order, as a secret has to be.
    fn decode_secret(bytes: &[u8]) -> Option<Zeroizing<Self::Scalar>> {
        let bytes: Zeroizing<[u8; 32]> = Zeroizing::new(bytes.try_into().ok()?);
        Self::decode_scalar(&bytes)
            .filter(|scalar| *scalar != Self::Scalar::from(0))
            .map(Zeroizing::new)
    }
}

macro_rules! weierstrass {
    ($(#[$doc:meta])* $name:ident, $library:ident, $key:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name {}

        impl Group for $name {
            type Scalar = $library::Scalar;
            type Point = $library::ProjectivePoint;
            type PointBytes = [u8; 33];

            const IDENTITY: Self::Point = $library::ProjectivePoint::IDENTITY;

            fn generate(scalar: &Self::Scalar) -> Self::Point {
                $library::ProjectivePoint::GENERATOR * scalar
            }

            fn random(mut rng: &mut dyn CryptoRngCore) -> Self::Scalar {
                <Self::Scalar as Field>::random(&mut rng)
            }

            fn invert(scalar: &Self::Scalar) -> Option<Self::Scalar> {
                scalar.invert().into()
            }

            fn encode_scalar(scalar: &Self::Scalar) -> Zeroizing<[u8; 32]> {
                Zeroizing::new(scalar.to_repr().into())
            }

            fn decode_scalar(bytes: &[u8; 32]) -> Option<Self::Scalar> {
                Self::Scalar::from_repr((*bytes).into()).into()
            }

            fn compress(point: &Self::Point) -> Option<Self::PointBytes> {
                point.to_affine().to_encoded_point(true).as_bytes().try_into().ok()
            }

            fn decompress(bytes: &Self::PointBytes) -> Option<Self::Point> {
                // The library also reads SEC1's compact form, which begins with 5: a second encoding.
                matches!(bytes[0], 2 | 3)
                    .then(|| $library::PublicKey::from_sec1_bytes(bytes).ok())
                    .flatten()
                    .map(|key| key.to_projective())
            }

            fn to_key(bytes: Self::PointBytes) -> VerifyingKey {
                VerifyingKey::$key(bytes)
            }

            fn of_key(key: &VerifyingKey) -> Option<Self::PointBytes> {
                match key {
                    VerifyingKey::$key(bytes) => Some(*bytes),
                    _ => None,
                }
            }
        }
    };
}

weierstrass!(
    /// The curve of Bitcoin and Ethereum (SEC 2, section 2.4.1).
    Secp256k1,
    k256,
    Secp256k1
);
weierstrass!(
    /// NIST's curve P-256 (SEC 2, section 2.4.2).
    P256,
    p256,
    P256
);

/// The subgroup of prime order of edwards25519 (RFC 8032, section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ed25519 {}

impl Group for Ed25519 {
    type Scalar = curve25519_dalek::Scalar;
    type Point = EdwardsPoint;
    type PointBytes = [u8; 32];

    const IDENTITY: Self::Point = {
        use curve25519_dalek::constants::EIGHT_TORSION;
        // The first of the points of small order.
        EIGHT_TORSION[0]
    };

    fn generate(scalar: &Self::Scalar) -> Self::Point {
        EdwardsPoint::mul_base(scalar)
    }

    fn random(rng: &mut dyn CryptoRngCore) -> Self::Scalar {
        // 512 bits modulo an order of 253: no scalar is likelier than another by more than 2^-250.
        let mut bytes = Zeroizing::new([0; 64]);
        rng.fill_bytes(bytes.as_mut());
        Self::Scalar::from_bytes_mod_order_wide(&bytes)
    }

    fn invert(scalar: &Self::Scalar) -> Option<Self::Scalar> {
        (*scalar != Self::Scalar::ZERO).then(|| scalar.invert())
    }

    fn encode_scalar(scalar: &Self::Scalar) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(scalar.to_bytes())
    }

    fn decode_scalar(bytes: &[u8; 32]) -> Option<Self::Scalar> {
        Self::Scalar::from_canonical_bytes(*bytes).into()
    }

    fn compress(point: &Self::Point) -> Option<Self::PointBytes> {
        (!point.is_identity()).then(|| point.compress().to_bytes())
    }

    fn decompress(bytes: &Self::PointBytes) -> Option<Self::Point> {
        CompressedEdwardsY(*bytes)
            .decompress()
            .filter(|point| !point.is_identity() && point.is_torsion_free())
            .filter(|point| point.compress().as_bytes() == bytes)
    }

    fn to_key(bytes: Self::PointBytes) -> VerifyingKey {
        VerifyingKey::Ed25519(bytes)
    }

    fn of_key(key: &VerifyingKey) -> Option<Self::PointBytes> {
        match key {
            VerifyingKey::Ed25519(bytes) => Some(*bytes),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn encodings_are_read_as_written<G: Group>(order_minus_one: &str, big_endian: bool) {
        let mut rng = ChaCha20Rng::seed_from_u64(1);
        for _ in 0..20 {
            let scalar = G::random(&mut rng);
            assert!(G::decode_scalar(&G::encode_scalar(&scalar)) == Some(scalar));
            let bytes = G::compress(&G::generate(&scalar)).unwrap();
            assert_eq!(G::decompress(&bytes), Some(G::generate(&scalar)));
            let key = G::to_key(bytes);
            assert!(key.is_valid());
            assert_eq!(G::of_key(&key), Some(bytes));
            assert!(G::invert(&scalar).unwrap() * scalar == G::Scalar::from(1));
        }
        assert!(G::compress(&G::IDENTITY).is_none(), "the identity has none");
        assert_eq!(G::generate(&G::Scalar::from(0)), G::IDENTITY);
        assert!(G::invert(&G::Scalar::from(0)).is_none());
        assert!(G::decode_secret(&[0; 32]).is_none() && G::decode_secret(&[1; 31]).is_none());
        let mut bytes: [u8; 32] = hex::decode(order_minus_one).unwrap().try_into().unwrap();
        if !big_endian {
            bytes.reverse();
        }
        let largest = G::decode_scalar(&bytes).unwrap();
        assert!(largest + G::Scalar::from(1) == G::Scalar::from(0));
        bytes[if big_endian { 31 } else { 0 }] += 1;
        assert!(G::decode_scalar(&bytes).is_none(), "the order itself");
        assert!(G::decode_scalar(&[0xff; 32]).is_none());
    }

    #[test]
    fn every_scalar_and_point_has_one_encoding() {
        encodings_are_read_as_written::<Secp256k1>(
            "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364140",
            true,
        );
        encodings_are_read_as_written::<P256>(
            "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632550",
            true,
        );
        encodings_are_read_as_written::<Ed25519>(
            "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ec",
            false,
        );
    }

    #[test]
    fn other_forms_of_points_are_refused() {
        let good = Secp256k1::compress(&Secp256k1::generate(&7u64.into())).unwrap();
        for first in [0, 4, 5, 6, 7] {
            let mut bytes = good;
            bytes[0] = first;
            assert!(Secp256k1::decompress(&bytes).is_none(), "{first}");
            assert!(P256::decompress(&bytes).is_none(), "{first}");
        }
        assert!(Secp256k1::decompress(&[0xff; 33]).is_none());
    }

    /// Every point of small order, their sums with a good point, and the encodings with y not below the field's order.
    #[test]
    fn points_outside_of_the_subgroup_are_refused() {
        let good = Ed25519::generate(&7u64.into());
        for torsion in curve25519_dalek::constants::EIGHT_TORSION {
            let small = torsion.compress().to_bytes();
            assert!(Ed25519::decompress(&small).is_none());
            if torsion != Ed25519::IDENTITY {
                let mixed = (good + torsion).compress().to_bytes();
                assert!(Ed25519::decompress(&mixed).is_none());
            }
        }
        for low in 0xed..=0xff_u8 {
            for sign in [0x7f, 0xff] {
                let mut bytes = [0xff; 32];
                bytes[0] = low;
                bytes[31] = sign;
                assert!(Ed25519::decompress(&bytes).is_none(), "{low:x}");
            }
        }
    }
}
