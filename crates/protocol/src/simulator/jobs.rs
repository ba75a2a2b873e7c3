//! What can be run: every scheme and ceremony, any sizes, from old shares that are made once.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::OnceLock,
};

use ed25519_dalek::SigningKey;
use entropy_shared::{
    CeremonyId, Committee, DerivationPath, Digest, Genesis, KeyId, PartyId, RequestId, Scheme,
    Signature, TaprootTweak, derivation,
};
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRngCore, RngCore, SeedableRng};
use zeroize::Zeroizing;

use super::{Expected, Honest, Plan, Running, Violation, below, run};
use crate::{
    ceremony::{Ceremony, Step},
    context::{KeygenContext, ReshareContext, SetupError, SigningContext, Subject},
    keygen, reshare,
    share::KeyShare,
    sign,
};

const GENESIS: Genesis = Genesis([1; 32]);
const OLD_EPOCH: u32 = 1;
const NEW_EPOCH: u32 = 2;

/// A kind of ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A new key.
    Keygen,
    /// A signature.
    Sign,
    /// New shares of the same key for the same committee.
    Refresh,
    /// New shares of the same key for another committee.
    Reshare,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Keygen, Self::Sign, Self::Refresh, Self::Reshare];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Keygen => "keygen",
            Self::Sign => "sign",
            Self::Refresh => "refresh",
            Self::Reshare => "reshare",
        }
    }
}

/// What a ceremony of any kind gives.
#[derive(Debug)]
pub enum Product {
    /// A share of a key.
    Share(Box<KeyShare>),
    /// Nothing, for a party that has helped and holds no share any more.
    Left,
    /// A signature.
    Signature(Signature),
}

/// To whom a key is dealt anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeal {
    /// The new threshold.
    pub t: u16,
    /// The new holders, by the numbers of their accounts; the old ones are `0..n`.
    pub members: Vec<u16>,
    /// How many of the old holders deal; at least the old threshold.
    pub dealers: u16,
}

/// A ceremony that can be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The scheme.
    pub scheme: Scheme,
    /// The kind of ceremony.
    pub kind: Kind,
    /// The threshold, of the old shares if there are any.
    pub t: u16,
    /// The number of holders, of the old shares if there are any.
    pub n: u16,
    /// For [`Kind::Reshare`]: to whom.
    pub redeal: Option<Redeal>,
}

/// A case with everybody's side of it, ready to run.
pub struct Job {
    /// The ceremony.
    pub id: CeremonyId,
    /// Each party's side.
    pub parties: Vec<(PartyId, Running<Product>)>,
    /// What must come of it.
    pub expected: Expected,
    /// Who leads, where somebody does.
    pub leader: Option<PartyId>,
    /// The shares that it begins with, as they are stored.
    old: Vec<(PartyId, Zeroizing<Vec<u8>>)>,
}

type Shares = BTreeMap<PartyId, KeyShare>;
type Sides = Vec<(PartyId, Running<KeyShare>)>;

/// Shares to sign with and to deal anew, made once for each scheme, threshold and size.
pub struct Stock {
    shares: BTreeMap<(Scheme, u16, u16), Shares>,
    prepare: fn(Sides) -> Sides,
}

impl Default for Stock {
    fn default() -> Self {
        Self::preparing(|sides| sides)
    }
}

impl Stock {
    /// Every key generation of CGGMP'24 passes through `prepare` before it runs: a test can spare it the search for primes.
    pub fn preparing(prepare: fn(Sides) -> Sides) -> Self {
        Self {
            shares: BTreeMap::new(),
            prepare,
        }
    }

    /// Puts shares in that were made elsewhere, for all holders of a committee of the accounts `0..n`.
    pub fn put(&mut self, shares: Shares) {
        if let Some(public) = shares.values().next().map(KeyShare::public) {
            let committee = &public.committee;
            let name = (public.scheme, committee.threshold(), committee.size());
            self.shares.insert(name, shares);
        }
    }

    /// The shares of an undisturbed key generation.
    pub fn shares(&mut self, scheme: Scheme, t: u16, n: u16) -> Result<&Shares, SetupError> {
        let prepare = self.prepare;
        match self.shares.entry((scheme, t, n)) {
            Entry::Occupied(entry) => Ok(entry.into_mut()),
            Entry::Vacant(entry) => Ok(entry.insert(generate(scheme, t, n, prepare)?)),
        }
    }
}

/// The accounts of the servers `0..n`.
pub fn accounts(n: u16) -> BTreeMap<PartyId, SigningKey> {
    (0..n).map(account).collect()
}

fn account(number: u16) -> (PartyId, SigningKey) {
    let mut secret = [7; 32];
    secret[..2].copy_from_slice(&number.to_be_bytes());
    let key = SigningKey::from_bytes(&secret);
    (PartyId(key.verifying_key().to_bytes()), key)
}

/// All accounts that any case has.
fn known_accounts() -> &'static BTreeMap<PartyId, SigningKey> {
    static ACCOUNTS: OnceLock<BTreeMap<PartyId, SigningKey>> = OnceLock::new();
    ACCOUNTS.get_or_init(|| accounts(MOST_ACCOUNTS))
}

fn committee(numbers: impl IntoIterator<Item = u16>, t: u16) -> Result<Committee, SetupError> {
    Committee::new(numbers.into_iter().map(|number| account(number).0), t)
        .map_err(|_| SetupError::Library("not a committee"))
}

/// A ceremony of one kind as one of any kind.
struct Of<T>(Running<T>, fn(T) -> Product);

impl<T> Of<T> {
    fn convert(&self, step: Step<T>) -> Step<Product> {
        Step {
            outbound: step.outbound,
            outcome: step.outcome.map(|outcome| outcome.map(self.1)),
        }
    }
}

impl<T> Ceremony for Of<T> {
    type Output = Product;

    fn start(&mut self, rng: &mut dyn CryptoRngCore) -> Step<Product> {
        let step = self.0.start(rng);
        self.convert(step)
    }

    fn receive(
        &mut self,
        from: &PartyId,
        payload: &[u8],
        rng: &mut dyn CryptoRngCore,
    ) -> Step<Product> {
        let step = self.0.receive(from, payload, rng);
        self.convert(step)
    }

    fn expire(&mut self, rng: &mut dyn CryptoRngCore) -> Step<Product> {
        let step = self.0.expire(rng);
        self.convert(step)
    }
}

/// A ceremony whose result becomes a [`Product`].
pub fn of_products<T: 'static>(running: Running<T>, product: fn(T) -> Product) -> Running<Product> {
    Box::new(Of(running, product))
}

fn keygen_context(case: &Case, attempt: u32) -> Result<KeygenContext, SetupError> {
    Ok(KeygenContext {
        genesis: GENESIS,
        scheme: case.scheme,
        epoch: OLD_EPOCH,
        attempt,
        committee: committee(0..case.n, case.t)?,
    })
}

fn keygens(context: &KeygenContext) -> Result<Sides, SetupError> {
    let accounts = accounts(context.committee.size());
    let side =
        |(party, account): (&PartyId, &SigningKey)| Ok((*party, keygen(context, *party, account)?));
    accounts.iter().map(side).collect()
}

fn generate(
    scheme: Scheme,
    t: u16,
    n: u16,
    prepare: fn(Sides) -> Sides,
) -> Result<Shares, SetupError> {
    let case = Case::new(scheme, Kind::Keygen, t, n);
    let mut sides = keygens(&keygen_context(&case, 1)?)?;
    if scheme == Scheme::EcdsaCggmp24 {
        sides = prepare(sides);
    }
    let run = run(sides, &Plan::quiet(), &mut Honest, 1);
    run.ends
        .into_iter()
        .map(|(party, end)| match end {
            super::End::Done(share) => Ok((party, share)),
            _ => Err(SetupError::Library(
                "an undisturbed key generation has failed",
            )),
        })
        .collect()
}

impl Case {
    /// The case of these sizes. A reshare replaces the first holder by a new one.
    pub fn new(scheme: Scheme, kind: Kind, t: u16, n: u16) -> Self {
        let redeal = (kind == Kind::Reshare).then(|| Redeal {
            t,
            members: (1..=n).collect(),
            dealers: n,
        });
        Self {
            scheme,
            kind,
            t,
            n,
            redeal,
        }
    }

    /// A case with at most `largest` holders.
    pub fn random(scheme: Scheme, kind: Kind, largest: u16, rng: &mut impl RngCore) -> Self {
        let size = |rng: &mut _| {
            let n = 2 + below(rng, u64::from(largest) - 1) as u16;
            (2 + below(rng, u64::from(n) - 1) as u16, n)
        };
        let (t, n) = size(rng);
        let mut case = Self::new(scheme, kind, t, n);
        if let Some(redeal) = &mut case.redeal {
            let (new_t, new_n) = size(rng);
            // From none in common to all.
            let first = below(rng, u64::from(n) + 1) as u16;
            *redeal = Redeal {
                t: new_t,
                members: (first..first + new_n).collect(),
                dealers: t + below(rng, u64::from(n - t) + 1) as u16,
            };
        }
        case
    }

    /// Everybody's side; what is left to choose follows from `seed`, and so does the ceremony's id.
    pub fn build(&self, stock: &mut Stock, seed: u64) -> Result<Job, SetupError> {
        match self.kind {
            Kind::Keygen => self.build_keygen(stock, seed as u32),
            Kind::Sign => {
                let shares = stock.shares(self.scheme, self.t, self.n)?;
                let mut rng = ChaCha20Rng::seed_from_u64(seed);
                let mut signers: Vec<_> = shares.values().collect();
                while signers.len() > usize::from(self.t) {
                    let place = below(&mut rng, signers.len() as u64) as usize;
                    signers.remove(place);
                }
                Self::sign_with(&signers, seed)
            }
            Kind::Refresh => {
                let redeal = Redeal {
                    t: self.t,
                    members: (0..self.n).collect(),
                    dealers: self.n,
                };
                self.build_redeal(stock, &redeal, seed)
            }
            Kind::Reshare => {
                let standard = Self::new(self.scheme, self.kind, self.t, self.n).redeal;
                match self.redeal.as_ref().or(standard.as_ref()) {
                    Some(redeal) => self.build_redeal(stock, redeal, seed),
                    None => Err(SetupError::Library("a reshare without a new committee")),
                }
            }
        }
    }

    fn build_keygen(&self, stock: &Stock, attempt: u32) -> Result<Job, SetupError> {
        let context = keygen_context(self, attempt)?;
        let mut sides = keygens(&context)?;
        if self.scheme == Scheme::EcdsaCggmp24 {
            sides = (stock.prepare)(sides);
        }
        let share: fn(KeyShare) -> Product = |share| Product::Share(Box::new(share));
        Ok(Job {
            id: context.id(),
            parties: sides
                .into_iter()
                .map(|(party, side)| (party, of_products(side, share)))
                .collect(),
            expected: Expected::Share {
                genesis: context.genesis,
                scheme: context.scheme,
                epoch: context.epoch,
                attempt,
                committee: context.committee,
                root_key: None,
            },
            leader: None,
            old: Vec::new(),
        })
    }

    /// A signature by exactly these holders; key, path, tweak, digest, nonces and leader follow from `seed`.
    pub fn sign_with(signers: &[&KeyShare], seed: u64) -> Result<Job, SetupError> {
        let Some(public) = signers.first().map(|share| share.public()) else {
            return Err(SetupError::Signers { expected: 2 });
        };
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let context = signing_context(signers, public.scheme, &mut rng)?;
        let all = known_accounts();
        let side = |share: &&KeyShare| {
            let party = share.party();
            let account = all.get(&party).ok_or(SetupError::NotAParty)?;
            let running = sign(&context, share, account)?;
            Ok((party, of_products(running, Product::Signature)))
        };
        Ok(Job {
            id: context.id(),
            parties: signers
                .iter()
                .map(side)
                .collect::<Result<_, SetupError>>()?,
            expected: Expected::Signature {
                key: context.final_key,
                message: context.digest.0.to_vec(),
            },
            leader: (public.scheme == Scheme::SchnorrTaproot
                || public.scheme == Scheme::SchnorrEd25519)
                .then_some(context.leader),
            old: stored(signers.iter().copied()),
        })
    }

    fn build_redeal(
        &self,
        stock: &mut Stock,
        redeal: &Redeal,
        seed: u64,
    ) -> Result<Job, SetupError> {
        let shares = stock.shares(self.scheme, self.t, self.n)?;
        let from = shares.values().next().ok_or(SetupError::OtherShare)?;
        let (from, attempt) = (from.public(), seed as u32);
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let mut dealers: Vec<_> = shares.keys().copied().collect();
        while dealers.len() > usize::from(redeal.dealers.max(self.t)) {
            let place = below(&mut rng, dealers.len() as u64) as usize;
            dealers.remove(place);
        }
        let committee = committee(redeal.members.iter().copied(), redeal.t)?;
        let context = ReshareContext {
            genesis: GENESIS,
            scheme: self.scheme,
            epoch: NEW_EPOCH,
            attempt,
            from: from.clone(),
            dealers: dealers.clone(),
            committee: committee.clone(),
        };
        let involved: BTreeSet<_> = dealers.iter().chain(committee.parties()).copied().collect();
        let all = known_accounts();
        let product: fn(Option<KeyShare>) -> Product = |share| match share {
            Some(share) => Product::Share(Box::new(share)),
            None => Product::Left,
        };
        let side = |party: &PartyId| {
            let account = all.get(party).ok_or(SetupError::NotAParty)?;
            let old = shares.get(party).filter(|_| dealers.contains(party));
            let running = reshare(&context, *party, account, old)?;
            Ok((*party, of_products(running, product)))
        };
        Ok(Job {
            id: context.id(),
            parties: involved
                .iter()
                .map(side)
                .collect::<Result<_, SetupError>>()?,
            expected: Expected::Share {
                genesis: GENESIS,
                scheme: self.scheme,
                epoch: NEW_EPOCH,
                attempt,
                committee,
                root_key: Some(from.root_key),
            },
            leader: None,
            old: stored(shares.values()),
        })
    }
}

/// More servers than any case has: holders and newcomers.
const MOST_ACCOUNTS: u16 = 64;

fn signing_context(
    signers: &[&KeyShare],
    scheme: Scheme,
    rng: &mut ChaCha20Rng,
) -> Result<SigningContext, SetupError> {
    let public = signers
        .first()
        .ok_or(SetupError::Signers { expected: 2 })?
        .public();
    let mut bytes = || {
        let mut bytes = [0; 32];
        rng.fill_bytes(&mut bytes);
        bytes
    };
    let (key, digest, request, root) = (KeyId(bytes()), bytes(), bytes(), bytes());
    let nonces: Vec<_> = signers
        .iter()
        .map(|share| (share.party(), bytes()))
        .collect();
    let leader = signers[below(rng, signers.len() as u64) as usize].party();
    let steps = (0..below(rng, 3)).map(|_| rng.next_u32() >> 1).collect();
    let path = DerivationPath::new(steps).map_err(|_| SetupError::Library("not a path"))?;
    let tweak = match below(rng, 3) {
        _ if scheme != Scheme::SchnorrTaproot => TaprootTweak::None,
        0 => TaprootTweak::None,
        1 => TaprootTweak::KeyPath,
        _ => TaprootTweak::MerkleRoot(root),
    };
    let derived = derivation::derive(scheme, &public.root_key, &key, &path)?;
    Ok(SigningContext {
        public_digest: public.digest(),
        subject: Subject::Request(RequestId(request)),
        key,
        path,
        tweak,
        digest: Digest(digest),
        message: None,
        final_key: derived.final_key(scheme, &tweak)?,
        leader,
        signers: nonces,
    })
}

fn stored<'a>(
    shares: impl IntoIterator<Item = &'a KeyShare>,
) -> Vec<(PartyId, Zeroizing<Vec<u8>>)> {
    shares
        .into_iter()
        .map(|share| (share.party(), share.encode()))
        .collect()
}

impl Job {
    /// What was stored when the job was built: [`Stock::check_intact`] compares it with what is there after the run.
    pub fn old_shares(&self) -> &[(PartyId, Zeroizing<Vec<u8>>)] {
        &self.old
    }
}

impl Stock {
    /// Whether the shares that a job began with are what they were.
    pub fn check_intact(
        &mut self,
        case: &Case,
        before: &[(PartyId, Zeroizing<Vec<u8>>)],
    ) -> Result<(), Violation> {
        for (party, bytes) in before {
            let now = self
                .shares(case.scheme, case.t, case.n)
                .ok()
                .and_then(|shares| shares.get(party))
                .map(KeyShare::encode);
            if now.as_ref() != Some(bytes) {
                return Err(Violation::OldShareChanged(*party));
            }
        }
        Ok(())
    }
}
