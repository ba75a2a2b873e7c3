//! From additive shares `x_i` to threshold shares: every party deals its own by Feldman's verifiable secret sharing, and each adds up what it gets.
//!
//! The library's own resharing is not used: it never checks how many coefficients a dealer has, and one too many gives
//! shares that reconstruct nothing. A dealer commits to exactly `t` coefficients here, the first of them to the share
//! that it is known to have; all agree on the commitments before a subshare is sent; coordinates are assigned.

use codec::{Decode, Encode};
use ed25519_dalek::{Signer, SigningKey};
use entropy_shared::{CeremonyId, PartyId, tagged_hash};
use k256::{
    ProjectivePoint, Scalar,
    elliptic_curve::{Field, PrimeField},
};
use rand_core::CryptoRngCore;
use zeroize::Zeroizing;

use super::{PointBytes, compress, decompress};
use crate::ceremony::Offence;

/// A dealer's secret polynomial; its constant coefficient is what is dealt.
pub(super) struct Polynomial(Zeroizing<Vec<Scalar>>);

impl Polynomial {
    /// A random polynomial with `threshold` coefficients.
    pub(super) fn new(constant: &Scalar, threshold: u16, mut rng: &mut dyn CryptoRngCore) -> Self {
        let mut coefficients = Zeroizing::new(Vec::with_capacity(usize::from(threshold)));
        coefficients.push(*constant);
        coefficients.extend((1..threshold).map(|_| Scalar::random(&mut rng)));
        Self(coefficients)
    }

    /// `f(index)`, the subshare of the party with this coordinate.
    pub(super) fn evaluate(&self, index: u16) -> Zeroizing<Scalar> {
        let x = Scalar::from(u64::from(index));
        Zeroizing::new(
            self.0
                .iter()
                .rev()
                .fold(Scalar::ZERO, |sum, coefficient| sum * x + coefficient),
        )
    }

    /// What is published; nothing in the (never seen) case that a coefficient is zero.
    pub(super) fn commit(&self) -> Option<Vec<PointBytes>> {
        self.0
            .iter()
            .map(|coefficient| compress(&(ProjectivePoint::GENERATOR * coefficient)))
            .collect()
    }
}

/// A dealer's checked commitments to its coefficients.
pub(super) struct Commitments(Vec<ProjectivePoint>);

impl Commitments {
    /// Reads a dealer's commitments: exactly `threshold` points, the first being `constant`.
    pub(super) fn new(
        points: &[PointBytes],
        threshold: u16,
        constant: &ProjectivePoint,
    ) -> Result<Self, Offence> {
        if points.len() != usize::from(threshold) {
            return Err(Offence::Malformed);
        }
        let points: Option<Vec<_>> = points.iter().map(decompress).collect();
        let points = points.ok_or(Offence::Malformed)?;
        if points.first() != Some(constant) {
            return Err(Offence::BadShare);
        }
        Ok(Self(points))
    }

    /// `f(index) G`.
    pub(super) fn evaluate(&self, index: u16) -> ProjectivePoint {
        let x = Scalar::from(u64::from(index));
        self.0
            .iter()
            .rev()
            .fold(ProjectivePoint::IDENTITY, |sum, point| sum * x + point)
    }

    /// Whether this is the subshare of the party with this coordinate.
    pub(super) fn fits(&self, index: u16, subshare: &Scalar) -> bool {
        ProjectivePoint::GENERATOR * subshare == self.evaluate(index)
    }
}

/// What a dealer publishes. The signature makes two versions of it a provable lie.
#[derive(Clone, Encode, Decode)]
pub(super) struct Dealing {
    pub(super) commitments: Vec<PointBytes>,
    pub(super) signature: [u8; 64],
}

/// What a party has seen of a dealing, shown to all others.
#[derive(Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub(super) struct Seen {
    hash: [u8; 32],
    signature: [u8; 64],
}

impl Dealing {
    pub(super) fn new(
        ceremony: &CeremonyId,
        account: &SigningKey,
        commitments: Vec<PointBytes>,
    ) -> Self {
        let dealer = PartyId(account.verifying_key().to_bytes());
        let signature = account
            .sign(&signed(ceremony, &dealer, &hash(&commitments)))
            .to_bytes();
        Self {
            commitments,
            signature,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        Seen {
            hash: hash(&self.commitments),
            signature: self.signature,
        }
    }
}

impl Seen {
    /// Whether `dealer` has signed this for this ceremony.
    pub(super) fn is_signed_by(&self, ceremony: &CeremonyId, dealer: &PartyId) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&self.signature);
        ed25519_dalek::VerifyingKey::from_bytes(&dealer.0).is_ok_and(|key| {
            key.verify_strict(&signed(ceremony, dealer, &self.hash), &signature)
                .is_ok()
        })
    }

    /// Compares what `witness` has seen of `dealer`'s dealing with what we have; a difference is the fault of one of them.
    pub(super) fn compare(
        &self,
        ours: &Self,
        ceremony: &CeremonyId,
        witness: &PartyId,
        dealer: &PartyId,
    ) -> Result<(), (PartyId, Offence)> {
        if self.hash == ours.hash {
            return Ok(());
        }
        if witness == dealer || self.is_signed_by(ceremony, dealer) {
            return Err((*dealer, Offence::Equivocation));
        }
        Err((*witness, Offence::FailedProof))
    }
}

fn hash(commitments: &[PointBytes]) -> [u8; 32] {
    tagged_hash("entropy/cggmp/commitments/v1", &commitments)
}

fn signed(ceremony: &CeremonyId, dealer: &PartyId, hash: &[u8; 32]) -> [u8; 32] {
    tagged_hash("entropy/cggmp/dealing/v1", &(ceremony, dealer, hash))
}

/// The Lagrange coefficient at zero of coordinate `index` among `indices`, which are distinct and not zero.
pub(super) fn lagrange(index: u16, indices: &[u16]) -> Option<Scalar> {
    let x = Scalar::from(u64::from(index));
    let mut numerator = Scalar::ONE;
    let mut denominator = Scalar::ONE;
    for other in indices.iter().filter(|other| **other != index) {
        let other = Scalar::from(u64::from(*other));
        numerator *= other;
        denominator *= other - x;
    }
    Option::<Scalar>::from(denominator.invert()).map(|inverse| numerator * inverse)
}

/// A scalar from its one encoding: 32 bytes, big-endian, below the group order.
pub(super) fn scalar(bytes: &[u8; 32]) -> Option<Scalar> {
    Scalar::from_repr((*bytes).into()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};

    /// The additive shares, and every party's checked commitments.
    fn deal(t: u16, n: u16, seed: u64) -> (Vec<Scalar>, Vec<Polynomial>, Vec<Commitments>) {
        let rng = &mut ChaCha20Rng::seed_from_u64(seed);
        let additive: Vec<_> = (0..n).map(|_| Scalar::random(&mut *rng)).collect();
        let polynomials: Vec<_> = additive
            .iter()
            .map(|share| Polynomial::new(share, t, rng))
            .collect();
        let commitments = polynomials
            .iter()
            .zip(&additive)
            .map(|(polynomial, share)| {
                let points = polynomial.commit().unwrap();
                Commitments::new(&points, t, &(ProjectivePoint::GENERATOR * share)).unwrap()
            })
            .collect();
        (additive, polynomials, commitments)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_t_shares_give_the_sum_of_the_additive_ones(
            (t, n) in (2u16..=15).prop_flat_map(|n| (2..=n, Just(n))),
            seed: u64,
            skip: usize,
        ) {
            let (additive, polynomials, commitments) = deal(t, n, seed);
            let share = |index: u16| polynomials.iter().map(|dealer| *dealer.evaluate(index)).sum::<Scalar>();
            for index in 1..=n {
                for (polynomial, commitments) in polynomials.iter().zip(&commitments) {
                    let subshare = polynomial.evaluate(index);
                    prop_assert!(commitments.fits(index, &subshare));
                    prop_assert!(!commitments.fits(index, &(*subshare + Scalar::ONE)));
                    prop_assert!(!commitments.fits(index % n + 1, &subshare), "another's subshare");
                }
                let verification: ProjectivePoint = commitments.iter().map(|dealer| dealer.evaluate(index)).sum();
                prop_assert_eq!(verification, ProjectivePoint::GENERATOR * share(index));
            }
            let start = skip % usize::from(n);
            let signers: Vec<_> = (0..t).map(|step| (start as u16 + step) % n + 1).collect();
            let interpolate = |signers: &[u16]| {
                signers.iter().map(|index| lagrange(*index, signers).unwrap() * share(*index)).sum::<Scalar>()
            };
            let secret: Scalar = additive.iter().sum();
            prop_assert_eq!(interpolate(&signers), secret);
            prop_assert_ne!(interpolate(&signers[1..]), secret, "fewer than t shares give nothing");
        }
    }

    #[test]
    fn only_exactly_t_coefficients_are_taken() {
        let rng = &mut ChaCha20Rng::seed_from_u64(1);
        let secret = Scalar::from(7u64);
        let constant = ProjectivePoint::GENERATOR * secret;
        for (coefficients, verdict) in [
            (2, Some(Offence::Malformed)),
            (3, None),
            (4, Some(Offence::Malformed)),
        ] {
            let points = Polynomial::new(&secret, coefficients, rng)
                .commit()
                .unwrap();
            assert_eq!(
                Commitments::new(&points, 3, &constant).err(),
                verdict,
                "{coefficients} coefficients"
            );
        }
        // The length must not be taken modulo anything.
        let points = vec![Polynomial::new(&secret, 2, rng).commit().unwrap()[0]; 65_536 + 3];
        assert_eq!(
            Commitments::new(&points, 3, &constant).err(),
            Some(Offence::Malformed)
        );
    }

    #[test]
    fn the_constant_is_the_share_that_the_dealer_is_known_to_have() {
        let rng = &mut ChaCha20Rng::seed_from_u64(2);
        let points = Polynomial::new(&Scalar::from(8u64), 2, rng)
            .commit()
            .unwrap();
        let known = ProjectivePoint::GENERATOR * Scalar::from(7u64);
        assert_eq!(
            Commitments::new(&points, 2, &known).err(),
            Some(Offence::BadShare)
        );
    }

    #[test]
    fn what_is_no_point_is_refused() {
        let rng = &mut ChaCha20Rng::seed_from_u64(3);
        let secret = Scalar::from(7u64);
        let constant = ProjectivePoint::GENERATOR * secret;
        let good = Polynomial::new(&secret, 2, rng).commit().unwrap();
        for bad in [[0; 33], [2; 33].map(|_| 0xff), {
            let mut point = good[1];
            point[0] = 4;
            point
        }] {
            assert_eq!(
                Commitments::new(&[good[0], bad], 2, &constant).err(),
                Some(Offence::Malformed)
            );
        }
        assert!(scalar(&[0xff; 32]).is_none(), "at least the group order");
    }

    #[test]
    fn a_difference_is_blamed_on_who_made_it() {
        let rng = &mut ChaCha20Rng::seed_from_u64(4);
        let [account, other] = [1, 2].map(|byte| SigningKey::from_bytes(&[byte; 32]));
        let [dealer, witness] =
            [&account, &other].map(|key| PartyId(key.verifying_key().to_bytes()));
        let (ceremony, elsewhere) = (CeremonyId([1; 32]), CeremonyId([2; 32]));
        let mut dealing = |ceremony, account| {
            Dealing::new(
                ceremony,
                account,
                Polynomial::new(&Scalar::ONE, 2, rng).commit().unwrap(),
            )
            .seen()
        };
        let ours = dealing(&ceremony, &account);
        assert!(ours.is_signed_by(&ceremony, &dealer) && !ours.is_signed_by(&ceremony, &witness));
        assert_eq!(ours.compare(&ours, &ceremony, &witness, &dealer), Ok(()));
        let second = dealing(&ceremony, &account);
        assert_eq!(
            second.compare(&ours, &ceremony, &witness, &dealer),
            Err((dealer, Offence::Equivocation))
        );
        for forged in [dealing(&ceremony, &other), dealing(&elsewhere, &account)] {
            assert_eq!(
                forged.compare(&ours, &ceremony, &witness, &dealer),
                Err((witness, Offence::FailedProof))
            );
            assert_eq!(
                forged.compare(&ours, &ceremony, &dealer, &dealer),
                Err((dealer, Offence::Equivocation))
            );
        }
    }
}
