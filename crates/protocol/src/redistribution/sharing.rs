//! Polynomials over a group's scalars, and commitments to them (Feldman 1987).

use zeroize::Zeroizing;

use crate::{ceremony::Offence, group::Group};
use rand_core::CryptoRngCore;

/// A dealer's secret polynomial; its constant coefficient is what is dealt.
pub(crate) struct Polynomial<G: Group>(Zeroizing<Vec<G::Scalar>>);

impl<G: Group> Polynomial<G> {
    /// A random polynomial with `threshold` coefficients.
    pub(crate) fn new(constant: &G::Scalar, threshold: u16, rng: &mut dyn CryptoRngCore) -> Self {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(usize::from(threshold)));
        coefficients.push(*constant);
        coefficients.extend((1..threshold).map(|_| G::random(rng)));
        Self(coefficients)
    }

    /// `f(index)`, the subshare of the party with this coordinate.
    pub(crate) fn evaluate(&self, index: u16) -> Zeroizing<G::Scalar> {
        let x = G::Scalar::from(u64::from(index));
        let zero = G::Scalar::from(0);
        Zeroizing::new(
            self.0
                .iter()
                .rev()
                .fold(zero, |sum, coefficient| sum * x + *coefficient),
        )
    }

    /// What is published; nothing in the (never seen) case that a coefficient is zero.
    pub(crate) fn commit(&self) -> Option<Vec<G::PointBytes>> {
        self.0
            .iter()
            .map(|coefficient| G::compress(&G::generate(coefficient)))
            .collect()
    }
}

/// A dealer's checked commitments to its coefficients.
#[derive(Clone)]
pub(crate) struct Commitments<G: Group>(Vec<G::Point>);

impl<G: Group> Commitments<G> {
    /// Reads a dealer's commitments: exactly `threshold` points, the first being `constant`.
    pub(crate) fn new(
        points: &[G::PointBytes],
        threshold: u16,
        constant: &G::Point,
    ) -> Result<Self, Offence> {
        if points.len() != usize::from(threshold) {
            return Err(Offence::Malformed);
        }
        let points: Option<Vec<_>> = points.iter().map(G::decompress).collect();
        let points = points.ok_or(Offence::Malformed)?;
        if points.first() != Some(constant) {
            return Err(Offence::BadShare);
        }
        Ok(Self(points))
    }

    /// `f(index) G`.
    pub(crate) fn evaluate(&self, index: u16) -> G::Point {
        let x = G::Scalar::from(u64::from(index));
        self.0
            .iter()
            .rev()
            .fold(G::IDENTITY, |sum, point| sum * x + *point)
    }

    /// `f(0) G`, what is dealt.
    pub(crate) fn constant(&self) -> G::Point {
        self.0.first().copied().unwrap_or(G::IDENTITY)
    }

    /// The commitments to the weighted sum of polynomials, all with as many coefficients.
    pub(crate) fn combine(weighted: &[(G::Scalar, Self)]) -> Self {
        let length = weighted.iter().map(|(_, it)| it.0.len()).max().unwrap_or(0);
        let coefficient = |position: usize| {
            weighted
                .iter()
                .filter_map(|(weight, it)| Some(*it.0.get(position)? * *weight))
                .fold(G::IDENTITY, |sum, point| sum + point)
        };
        Self((0..length).map(coefficient).collect())
    }

    /// Whether this is the subshare of the party with this coordinate.
    pub(crate) fn fits(&self, index: u16, subshare: &G::Scalar) -> bool {
        G::generate(subshare) == self.evaluate(index)
    }
}

/// The sum of points.
#[cfg(test)]
pub(crate) fn sum<G: Group>(points: impl Iterator<Item = G::Point>) -> G::Point {
    points.fold(G::IDENTITY, |sum, point| sum + point)
}

/// The Lagrange coefficient at zero of coordinate `index` among `indices`, which are distinct and not zero.
pub(crate) fn lagrange<G: Group>(index: u16, indices: &[u16]) -> Option<G::Scalar> {
    let x = G::Scalar::from(u64::from(index));
    let mut numerator = G::Scalar::from(1);
    let mut denominator = G::Scalar::from(1);
    for other in indices.iter().filter(|other| **other != index) {
        let other = G::Scalar::from(u64::from(*other));
        numerator = numerator * other;
        denominator = denominator * (other - x);
    }
    G::invert(&denominator).map(|inverse| numerator * inverse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::{Ed25519, P256, Secp256k1};
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    fn scalars<G: Group>(values: impl Iterator<Item = G::Scalar>) -> G::Scalar {
        values.fold(G::Scalar::from(0), |sum, value| sum + value)
    }

    /// The additive shares, and every party's checked commitments.
    fn deal<G: Group>(
        secrets: &[G::Scalar],
        t: u16,
        rng: &mut ChaCha20Rng,
    ) -> (Vec<Polynomial<G>>, Vec<Commitments<G>>) {
        let polynomials: Vec<_> = secrets
            .iter()
            .map(|share| Polynomial::<G>::new(share, t, rng))
            .collect();
        let commitments = polynomials
            .iter()
            .zip(secrets)
            .map(|(polynomial, share)| {
                let points = polynomial.commit().unwrap();
                Commitments::new(&points, t, &G::generate(share)).unwrap()
            })
            .collect();
        (polynomials, commitments)
    }

    fn interpolate<G: Group>(indices: &[u16], share: impl Fn(u16) -> G::Scalar) -> G::Scalar {
        scalars::<G>(
            indices
                .iter()
                .map(|index| lagrange::<G>(*index, indices).unwrap() * share(*index)),
        )
    }

    fn any_t_shares_give_the_sum<G: Group>(t: u16, n: u16, seed: u64, skip: usize) {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let additive: Vec<_> = (0..n).map(|_| G::random(rng)).collect();
        let (polynomials, commitments) = deal::<G>(&additive, t, rng);
        let share =
            |index: u16| scalars::<G>(polynomials.iter().map(|dealer| *dealer.evaluate(index)));
        let one = G::Scalar::from(1);
        for index in 1..=n {
            for (polynomial, commitments) in polynomials.iter().zip(&commitments) {
                let subshare = polynomial.evaluate(index);
                assert!(commitments.fits(index, &subshare));
                assert!(!commitments.fits(index, &(*subshare + one)));
                assert!(!commitments.fits(index % n + 1, &subshare), "another's");
            }
            let verification = sum::<G>(commitments.iter().map(|dealer| dealer.evaluate(index)));
            assert!(verification == G::generate(&share(index)));
        }
        let start = skip % usize::from(n);
        let signers: Vec<_> = (0..t).map(|step| (start as u16 + step) % n + 1).collect();
        let secret = scalars::<G>(additive.iter().copied());
        assert!(interpolate::<G>(&signers, share) == secret);
        assert!(
            interpolate::<G>(&signers[1..], share) != secret,
            "fewer than t"
        );
    }

    /// From any t of n shares to t' of n', and on.
    fn redistributed_shares_are_of_the_same_secret<G: Group>(sizes: &[(u16, u16)], seed: u64) {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let secret = G::random(rng);
        let (mut t, mut n) = sizes[0];
        let first = Polynomial::<G>::new(&secret, t, rng);
        let mut shares: Vec<_> = (1..=n).map(|index| *first.evaluate(index)).collect();
        for (next_t, next_n) in &sizes[1..] {
            let dealers: Vec<u16> = (n - t + 1..=n).collect();
            let held: Vec<_> = dealers
                .iter()
                .map(|index| shares[usize::from(*index) - 1])
                .collect();
            let (polynomials, commitments) = deal::<G>(&held, *next_t, rng);
            let weights: Vec<_> = dealers
                .iter()
                .map(|index| lagrange::<G>(*index, &dealers).unwrap())
                .collect();
            let new: Vec<_> = (1..=*next_n)
                .map(|index| {
                    let share = scalars::<G>(
                        polynomials
                            .iter()
                            .zip(&weights)
                            .map(|(dealer, weight)| *dealer.evaluate(index) * *weight),
                    );
                    let public = sum::<G>(
                        commitments
                            .iter()
                            .zip(&weights)
                            .map(|(dealer, weight)| dealer.evaluate(index) * *weight),
                    );
                    assert!(G::generate(&share) == public);
                    share
                })
                .collect();
            if (t, n) == (*next_t, *next_n) {
                let mut mixed = new.clone();
                mixed[0] = shares[0];
                let indices: Vec<_> = (1..=t).collect();
                let of = |index: u16| mixed[usize::from(index) - 1];
                assert!(
                    interpolate::<G>(&indices, of) != secret,
                    "old and new do not combine"
                );
            }
            (t, n, shares) = (*next_t, *next_n, new);
            let indices: Vec<_> = (n - t + 1..=n).collect();
            assert!(interpolate::<G>(&indices, |index| shares[usize::from(index) - 1]) == secret);
        }
    }

    fn size() -> impl Strategy<Value = (u16, u16)> {
        (2u16..=15).prop_flat_map(|n| (2..=n, Just(n)))
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_t_shares_give_the_sum_of_the_additive_ones((t, n) in size(), seed: u64, skip: usize) {
            any_t_shares_give_the_sum::<Secp256k1>(t, n, seed, skip);
            any_t_shares_give_the_sum::<P256>(t, n, seed, skip);
            any_t_shares_give_the_sum::<Ed25519>(t, n, seed, skip);
        }

        #[test]
        fn chains_of_redistributions_keep_the_secret(
            mut sizes in prop::collection::vec(size(), 2..5), refresh: bool, seed: u64,
        ) {
            if refresh {
                sizes.push(sizes[sizes.len() - 1]);
            }
            redistributed_shares_are_of_the_same_secret::<Secp256k1>(&sizes, seed);
            redistributed_shares_are_of_the_same_secret::<P256>(&sizes, seed);
            redistributed_shares_are_of_the_same_secret::<Ed25519>(&sizes, seed);
        }
    }

    fn only_exactly_t_coefficients<G: Group>() {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let secret = G::Scalar::from(7);
        let constant = G::generate(&secret);
        let commit = |coefficients, rng: &mut ChaCha20Rng| {
            Polynomial::<G>::new(&secret, coefficients, rng)
                .commit()
                .unwrap()
        };
        for (coefficients, verdict) in [
            (2, Some(Offence::Malformed)),
            (3, None),
            (4, Some(Offence::Malformed)),
        ] {
            let points = commit(coefficients, rng);
            let got = Commitments::<G>::new(&points, 3, &constant).err();
            assert_eq!(got, verdict, "{coefficients} coefficients");
        }
        // The length must not be taken modulo anything.
        let points = vec![commit(2, rng)[0]; 65_536 + 3];
        assert_eq!(
            Commitments::<G>::new(&points, 3, &constant).err(),
            Some(Offence::Malformed)
        );
        // The constant is what the dealer is known to hold.
        let points = commit(3, rng);
        let other = G::generate(&G::Scalar::from(8));
        assert_eq!(
            Commitments::<G>::new(&points, 3, &other).err(),
            Some(Offence::BadShare)
        );
    }

    #[test]
    fn only_exactly_t_coefficients_of_the_known_constant_are_taken() {
        only_exactly_t_coefficients::<Secp256k1>();
        only_exactly_t_coefficients::<P256>();
        only_exactly_t_coefficients::<Ed25519>();
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let rng = &mut ChaCha20Rng::seed_from_u64(3);
        let secret = 7u64.into();
        let constant = Secp256k1::generate(&secret);
        let good = Polynomial::<Secp256k1>::new(&secret, 2, rng)
            .commit()
            .unwrap();
        for bad in [[0; 33], [0xff; 33], {
            let mut point = good[1];
            point[0] = 4;
            point
        }] {
            let read = Commitments::<Secp256k1>::new(&[good[0], bad], 2, &constant);
            assert_eq!(read.err(), Some(Offence::Malformed));
        }
    }
}
