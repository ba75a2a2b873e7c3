//! Shamir's sharing with Feldman's commitments (FOCS 1987) in the curve's group: exactly `t` coefficients, coordinates `1..=n` assigned by the committee.

use dkls_curve::{Field, Group};
use entropy_shared::PublicPackage;
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{Curve, compress, decompress, point, random_scalar};

/// A dealer's secret polynomial.
pub(super) struct Polynomial<C: Curve>(Zeroizing<Vec<C::Scalar>>);

impl<C: Curve> Polynomial<C> {
    /// A random polynomial with `threshold` coefficients.
    pub(super) fn random(threshold: u16, rng: &mut dyn CryptoRngCore) -> Self {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(usize::from(threshold)));
        coefficients.extend((0..threshold).map(|_| random_scalar::<C>(rng)));
        Self(coefficients)
    }

    /// `f(index)`, the subshare of the party with this coordinate.
    pub(super) fn evaluate(&self, index: u16) -> Zeroizing<C::Scalar> {
        let x = C::Scalar::from(u64::from(index));
        Zeroizing::new(
            self.0
                .iter()
                .rev()
                .fold(C::Scalar::ZERO, |sum, coefficient| sum * x + coefficient),
        )
    }

    /// What is published; nothing in the (never seen) case that a coefficient is zero.
    pub(super) fn commit(&self) -> Option<Vec<[u8; 33]>> {
        self.0
            .iter()
            .map(|coefficient| compress::<C>(&(C::ProjectivePoint::generator() * coefficient)))
            .collect()
    }
}

/// The commitments to a polynomial's coefficients, or to those of a sum of polynomials.
pub(super) struct Commitments<C: Curve>(Vec<C::ProjectivePoint>);

impl<C: Curve> Commitments<C> {
    /// Reads a dealer's commitments: exactly `threshold` points, none of them the identity.
    pub(super) fn read(bytes: &[u8], threshold: u16) -> Option<Self> {
        let (points, rest) = bytes.as_chunks::<33>();
        if !rest.is_empty() || points.len() != usize::from(threshold) {
            return None;
        }
        points
            .iter()
            .map(decompress::<C>)
            .collect::<Option<_>>()
            .map(Self)
    }

    /// The commitments to the sum of the dealers' polynomials, all with the same number of coefficients.
    pub(super) fn sum<'a>(dealers: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Vec::new();
        for dealer in dealers {
            sum.resize(dealer.0.len(), C::ProjectivePoint::identity());
            for (total, point) in sum.iter_mut().zip(&dealer.0) {
                *total += point;
            }
        }
        Self(sum)
    }

    /// `f(index) G`; at zero, the commitment to what is shared.
    pub(super) fn evaluate(&self, index: u16) -> C::ProjectivePoint {
        let x = C::Scalar::from(u64::from(index));
        self.0
            .iter()
            .rev()
            .fold(C::ProjectivePoint::identity(), |sum, point| sum * x + point)
    }

    /// Whether this is the subshare of the party with this coordinate.
    pub(super) fn fits(&self, index: u16, subshare: &C::Scalar) -> bool {
        C::ProjectivePoint::generator() * subshare == self.evaluate(index)
    }
}

/// Whether the verification shares lie on one polynomial of degree below the threshold whose value at zero is the root key.
pub(super) fn interpolates<C: Curve>(public: &PublicPackage) -> bool {
    let keys = [&public.root_key]
        .into_iter()
        .chain(&public.verification_shares);
    let Some(points) = keys.map(point::<C>).collect::<Option<Vec<_>>>() else {
        return false;
    };
    let t = usize::from(public.committee.threshold());
    // The root and the first t - 1 shares are t values of the polynomial; they fix all others.
    let (base, rest) = points.split_at(t.min(points.len()));
    points.len() == usize::from(public.committee.size()) + 1
        && rest.iter().enumerate().all(|(position, expected)| {
            let terms = base.iter().enumerate().map(|(j, point)| {
                lagrange::<C>(j, t + position, t).map(|coefficient| *point * coefficient)
            });
            terms.sum::<Option<C::ProjectivePoint>>() == Some(*expected)
        })
}

/// The Lagrange coefficient at `x` of coordinate `j` among the coordinates below `t`.
fn lagrange<C: Curve>(j: usize, x: usize, t: usize) -> Option<C::Scalar> {
    let scalar = |value: usize| C::Scalar::from(value as u64);
    let (mut numerator, mut denominator) = (C::Scalar::ONE, C::Scalar::ONE);
    for other in (0..t).filter(|other| *other != j) {
        numerator *= scalar(x) - scalar(other);
        denominator *= scalar(j) - scalar(other);
    }
    Option::<C::Scalar>::from(denominator.invert()).map(|inverse| numerator * inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use dkls_k256::Secp256k1;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    type C = Secp256k1;

    fn deal(dealers: u16, t: u16, seed: u64) -> Vec<(Polynomial<C>, Commitments<C>)> {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let dealing = |_| {
            let polynomial = Polynomial::<C>::random(t, rng);
            let points = polynomial.commit().unwrap().concat();
            let commitments = Commitments::read(&points, t).unwrap();
            (polynomial, commitments)
        };
        (0..dealers).map(dealing).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn subshares_fit_their_dealer_and_index((t, n) in (2u16..=15).prop_flat_map(|n| (2..=n, Just(n))), seed: u64) {
            let dealt = deal(2, t, seed);
            for index in 1..=n {
                for (dealer, (polynomial, commitments)) in dealt.iter().enumerate() {
                    let subshare = polynomial.evaluate(index);
                    prop_assert!(commitments.fits(index, &subshare));
                    prop_assert!(!commitments.fits(index, &(*subshare + <C as dkls_curve::CurveArithmetic>::Scalar::ONE)));
                    prop_assert!(!commitments.fits(index + 1, &subshare), "another's subshare");
                    prop_assert!(!dealt[1 - dealer].1.fits(index, &subshare), "another's dealing");
                }
            }
            let sum = Commitments::sum(dealt.iter().map(|(_, commitments)| commitments));
            let total = *dealt[0].0.evaluate(n) + *dealt[1].0.evaluate(n);
            prop_assert!(sum.fits(n, &total));
        }
    }

    #[test]
    fn only_exactly_t_coefficients_are_read() {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let points = Polynomial::<C>::random(4, rng).commit().unwrap().concat();
        for (length, whole) in [
            (66, false),
            (98, false),
            (99, true),
            (100, false),
            (132, false),
        ] {
            assert_eq!(
                Commitments::<C>::read(&points[..length], 3).is_some(),
                whole,
                "{length} bytes"
            );
        }
        // The length must not be taken modulo anything.
        let many = points[..33].repeat(65_536 + 3);
        assert!(Commitments::<C>::read(&many, 3).is_none());
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let good = deal(1, 2, 2)[0].0.commit().unwrap();
        for bad in [[0; 33], [0xff; 33], [5; 33], {
            let mut uncompressed = good[1];
            uncompressed[0] = 4;
            uncompressed
        }] {
            assert!(Commitments::<C>::read(&[good[0], bad].concat(), 2).is_none());
        }
        assert!(
            super::super::scalar::<C>(&[0xff; 32]).is_none(),
            "at least the group order"
        );
    }
}
