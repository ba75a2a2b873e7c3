//! The library's values as bytes: postcard, in the one form that gives the same bytes again.

use serde::{Serialize, de::DeserializeOwned};
use zeroize::Zeroizing;

/// The value's encoding. The buffer never grows, so that no copies of secrets are left behind.
pub(super) fn encode(value: &impl Serialize) -> Option<Zeroizing<Vec<u8>>> {
    let length = postcard::experimental::serialized_size(value).ok()?;
    let mut bytes = Zeroizing::new(vec![0; length]);
    let written = postcard::to_slice(value, &mut bytes).ok()?.len();
    (written == length).then_some(bytes)
}

/// Reads a value whose encoding must be exactly `bytes`. What is longer than needed, or another form of a point, is refused.
pub(super) fn decode<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<T> {
    let (value, rest) = postcard::take_from_bytes(bytes).ok()?;
    (rest.is_empty() && encode(&value)?.as_slice() == bytes).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_read() {
        assert_eq!(decode::<(u8, Vec<u16>)>(&[7, 1, 5]), Some((7, vec![5])));
        for (bytes, why) in [
            (vec![7, 1, 5, 0], "a byte after the value"),
            (vec![7, 1, 0x85, 0], "5 in two bytes"),
            (vec![7, 2, 5], "a length that claims more than there is"),
        ] {
            assert_eq!(decode::<(u8, Vec<u16>)>(&bytes), None, "{why}");
        }
    }

    #[test]
    fn a_point_has_one_encoding() {
        use dkls_curve::{CurveAffine, Group, group::GroupEncoding};
        type Point = dkls_k256::AffinePoint;
        let generator = Point::from(dkls_k256::ProjectivePoint::generator());
        let compressed = encode(&generator).unwrap();
        assert_eq!(compressed.len(), 34);
        assert_eq!(&compressed[1..], generator.to_bytes().as_slice());
        assert_eq!(decode::<Point>(&compressed), Some(generator));
        // SEC1's form of both coordinates, which the library would read.
        let y = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";
        let mut uncompressed = compressed.to_vec();
        (uncompressed[0], uncompressed[1]) = (65, 4);
        uncompressed.extend(hex::decode(y).unwrap());
        assert_eq!(
            postcard::from_bytes::<Point>(&uncompressed).ok(),
            Some(generator)
        );
        assert_eq!(decode::<Point>(&uncompressed), None);
        // The identity is shorter than every other point: messages whose lengths are fixed cannot hold it.
        assert_eq!(encode(&Point::identity()).unwrap().as_slice(), [1, 0]);
    }
}
