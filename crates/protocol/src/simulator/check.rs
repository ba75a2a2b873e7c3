//! What holds after every run, whatever went wrong in it.

use std::{collections::BTreeSet, fmt};

use codec::Encode;
use entropy_shared::{Committee, Epoch, Genesis, PartyId, Scheme, VerifyingKey};

use super::{Case, Honest, Kind, Plan, Product, run, world::End, world::Run};
use crate::{
    ceremony::{Blame, Offence},
    context::SetupError,
    share::KeyShare,
};

/// What a ceremony's result must be.
#[derive(Debug, Clone)]
pub enum Expected {
    /// A share for each of these, nothing for all others.
    Share {
        /// The chain.
        genesis: Genesis,
        /// The key's scheme.
        scheme: Scheme,
        /// The epoch that the shares serve.
        epoch: Epoch,
        /// The attempt.
        attempt: u32,
        /// Who holds shares afterwards.
        committee: Committee,
        /// The key that they must be shares of; `None` if it is a new one.
        root_key: Option<VerifyingKey>,
    },
    /// A signature that verifies.
    Signature {
        /// Under this key.
        key: VerifyingKey,
        /// Over this.
        message: Vec<u8>,
    },
}

/// An invariant that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// A ceremony panicked.
    Panicked(PartyId, String),
    /// A ceremony would never have ended.
    Endless(PartyId),
    /// A ceremony did something after it had ended.
    Restless(PartyId),
    /// Two honest parties hold different results.
    Different(PartyId, PartyId),
    /// An honest party holds a result that is not what the ceremony should give.
    Wrong(PartyId, &'static str),
    /// An honest party blames another for what it has not done, or itself.
    HonestBlamed(PartyId, Blame),
    /// What a ceremony gave from cannot be the same any more.
    OldShareChanged(PartyId),
    /// Shares that all checks were passed by, and that do not sign.
    Dead(String),
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Panicked(party, message) => write!(f, "{party} panicked: {message}"),
            Self::Endless(party) => write!(f, "{party} would never have ended"),
            Self::Restless(party) => write!(f, "{party} did something after it had ended"),
            Self::Different(one, other) => write!(f, "{one} and {other} hold different results"),
            Self::Wrong(party, why) => write!(f, "{party} holds a wrong result: {why}"),
            Self::HonestBlamed(by, blame) => {
                let Blame { party, offence } = blame;
                write!(f, "{by} says that the honest {party} {offence}")
            }
            Self::OldShareChanged(party) => write!(f, "the old share of {party} has changed"),
            Self::Dead(why) => write!(f, "the new shares do not sign: {why}"),
        }
    }
}

impl std::error::Error for Violation {}

/// Whether an honest party is never to be blamed for this, however bad the network is.
pub const fn is_provable(offence: Offence) -> bool {
    match offence {
        // The link may have lost what was sent.
        Offence::Silent => false,
        Offence::Malformed
        | Offence::OtherCeremony
        | Offence::Unexpected
        | Offence::Equivocation
        | Offence::FailedProof
        | Offence::BadShare
        | Offence::Panic
        | Offence::Banned => true,
    }
}

/// The first invariant that the run broke, among those about parties that are not `dishonest`.
pub fn check(
    run: &Run<Product>,
    expected: &Expected,
    dishonest: &BTreeSet<PartyId>,
) -> Result<(), Violation> {
    let honest = || {
        run.ends
            .iter()
            .filter(|(party, _)| !dishonest.contains(party))
    };
    let mut agreed: Option<(PartyId, Vec<u8>)> = None;
    for (party, end) in honest() {
        if run.restless.contains(party) {
            return Err(Violation::Restless(*party));
        }
        match end {
            End::Stopped => {}
            End::Panicked(message) => return Err(Violation::Panicked(*party, message.clone())),
            End::Endless => return Err(Violation::Endless(*party)),
            End::Failed(failure) => {
                let unjust = |blame: &&Blame| {
                    let honest = !dishonest.contains(&blame.party);
                    (honest && is_provable(blame.offence)) || blame.party == *party
                };
                if let Some(blame) = failure.blame.iter().find(unjust) {
                    return Err(Violation::HonestBlamed(*party, *blame));
                }
            }
            End::Done(product) => {
                is_expected(product, party, expected)
                    .map_err(|why| Violation::Wrong(*party, why))?;
                let Some(own) = digest(product) else {
                    continue;
                };
                match &agreed {
                    Some((other, theirs)) if *theirs != own => {
                        return Err(Violation::Different(*other, *party));
                    }
                    _ => agreed = Some((*party, own)),
                }
            }
        }
    }
    Ok(())
}

/// What all results must have in common; those who leave have none.
fn digest(product: &Product) -> Option<Vec<u8>> {
    match product {
        Product::Share(share) => Some(share.public().digest().encode()),
        Product::Signature(signature) => Some(signature.encode()),
        Product::Left => None,
    }
}

fn is_expected(
    product: &Product,
    party: &PartyId,
    expected: &Expected,
) -> Result<(), &'static str> {
    let holds = |holds: bool, why| if holds { Ok(()) } else { Err(why) };
    match (product, expected) {
        (Product::Signature(signature), Expected::Signature { key, message }) => signature
            .verify(key, message)
            .map_err(|_| "the signature does not verify"),
        (Product::Left, Expected::Share { committee, .. }) => holds(
            !committee.contains(party),
            "no share for a party of the committee",
        ),
        (
            Product::Share(share),
            Expected::Share {
                genesis,
                scheme,
                epoch,
                attempt,
                committee,
                root_key,
            },
        ) => {
            let public = share.public();
            holds(share.party() == *party, "another party's share")?;
            let named = public.genesis == *genesis
                && public.scheme == *scheme
                && public.epoch == *epoch
                && public.attempt == *attempt
                && public.committee == *committee;
            holds(named, "a share of another attempt")?;
            holds(
                root_key.is_none_or(|key| key == public.root_key),
                "a share of another key",
            )?;
            let bytes = share.encode();
            let again = KeyShare::decode(&bytes).map(|share| share.encode());
            holds(
                again.as_ref() == Ok(&bytes),
                "a share that cannot be stored and read",
            )
        }
        _ => Err("a result of another kind"),
    }
}

/// Lets the holders among `shares` sign together, undisturbed, in groups that between them name each holder.
///
/// Whoever made dead shares passes every other check. Nothing happens if there are fewer than `t`.
pub fn check_alive(shares: &[&KeyShare], seed: u64) -> Result<(), Violation> {
    let Some(threshold) = shares
        .first()
        .map(|share| usize::from(share.public().committee.threshold()))
    else {
        return Ok(());
    };
    if shares.len() < threshold {
        return Ok(());
    }
    let starts = (0..shares.len())
        .step_by(threshold)
        .map(|start| start.min(shares.len() - threshold));
    for start in starts {
        let signers = &shares[start..start + threshold];
        let dead = |why: String| Violation::Dead(why);
        let job =
            Case::sign_with(signers, seed).map_err(|error: SetupError| dead(error.to_string()))?;
        let run = run(job.parties, &Plan::quiet(), &mut Honest, seed);
        check(&run, &job.expected, &BTreeSet::new())?;
        if let Some((party, end)) = run
            .ends
            .iter()
            .find(|(_, end)| !matches!(end, End::Done(_)))
        {
            return Err(dead(format!("{:?} of {party}: {end:?}", Kind::Sign)));
        }
    }
    Ok(())
}
