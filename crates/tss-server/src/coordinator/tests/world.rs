//! A committee of coordinators against a test chain, on a network that loses and reorders, with ceremonies played by the test.
//!
//! [`World::execute`] asserts what must hold whatever happens.

use std::collections::{BTreeMap, BTreeSet};

use entropy_protocol::{Failure, KeygenContext, SigningContext, Subject};
use entropy_shared::{
    CeremonyId, PartyId, PublicPackage, RequestId, Scheme, Signature, VerifyingKey,
    canonical::ServerInfo,
    derivation,
    lifecycle::{key::KeyState, request::RequestState},
};
use k256::{
    ProjectivePoint, Scalar, ecdsa,
    elliptic_curve::{PrimeField, sec1::ToEncodedPoint},
};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};

use crate::coordinator::{Command, Coordinator, Event, Millis, share_name};
use crate::{
    frames::Frame,
    ports::{ShareName, Stage, Submission},
    testing::chain::{GENESIS, TestChain},
};

pub(super) const SCHEME: Scheme = Scheme::EcdsaCggmp24;

/// As a leader names them.
pub(super) type Signers = Vec<(PartyId, [u8; 32])>;

pub(super) fn party(number: u8) -> PartyId {
    PartyId([number; 32])
}

/// The root secret of an attempt; the same at all its parties, as a ceremony would have it.
pub(super) fn root_secret(attempt: u32) -> Scalar {
    Scalar::from(1_000_003u64 + u64::from(attempt))
}

pub(super) fn point(secret: &Scalar) -> VerifyingKey {
    let encoded = (ProjectivePoint::GENERATOR * secret)
        .to_affine()
        .to_encoded_point(true);
    VerifyingKey::Secp256k1(encoded.as_bytes().try_into().unwrap())
}

pub(super) fn package(context: &KeygenContext) -> PublicPackage {
    PublicPackage {
        genesis: context.genesis,
        scheme: context.scheme,
        epoch: context.epoch,
        attempt: context.attempt,
        committee: context.committee.clone(),
        root_key: point(&root_secret(context.attempt)),
        verification_shares: context
            .committee
            .parties()
            .iter()
            .map(|p| point(&Scalar::from(u64::from(p.0[0]) + 1)))
            .collect(),
    }
}

pub(super) fn signature(context: &SigningContext, attempt: u32) -> Signature {
    let secret = root_secret(attempt);
    let derived = derivation::derive(SCHEME, &point(&secret), &context.key, &context.path).unwrap();
    let offset: Option<Scalar> = Scalar::from_repr(derived.offset.into()).into();
    let key = ecdsa::SigningKey::from_bytes(&(secret + offset.unwrap()).to_repr()).unwrap();
    let (signature, recovery) = key.sign_prehash_recoverable(&context.digest.0).unwrap();
    let mut bytes = [0; 65];
    bytes[..64].copy_from_slice(&signature.to_bytes());
    bytes[64] = recovery.to_byte();
    let signature = Signature::EcdsaSecp256k1(bytes);
    signature
        .verify(&context.final_key, &context.digest.0)
        .expect("every plan names the right final key");
    signature
}

pub(super) struct Server {
    pub(super) coordinator: Coordinator,
    /// What its store holds: survives a crash.
    pub(super) disk: BTreeMap<ShareName, (Stage, PublicPackage)>,
    pub(super) started: BTreeSet<CeremonyId>,
    pub(super) running: BTreeMap<CeremonyId, Work>,
    pub(super) up: bool,
}

#[derive(Clone)]
pub(super) enum Work {
    Keygen(KeygenContext),
    Sign(Box<SigningContext>, ShareName),
}

impl Work {
    pub(super) fn parties(&self) -> Vec<PartyId> {
        match self {
            Self::Keygen(context) => context.committee.parties().to_vec(),
            Self::Sign(context, _) => context.signer_ids(),
        }
    }
}

pub(super) struct World {
    pub(super) chain: TestChain,
    pub(super) servers: BTreeMap<PartyId, Server>,
    pub(super) frames: Vec<(PartyId, PartyId, Frame)>,
    pub(super) now: Millis,
    pub(super) rng: ChaCha8Rng,
    pub(super) lag: usize,
}

impl World {
    pub(super) fn new(size: u8, seed: u64) -> Self {
        let infos: Vec<_> = (1..=size)
            .map(|n| ServerInfo {
                server: party(n),
                endpoint: b"ws://host".to_vec(),
                noise_key: [n; 32],
            })
            .collect();
        let servers = infos
            .iter()
            .map(|info| (info.server, Server::new(info.server)))
            .collect();
        let rng = ChaCha8Rng::seed_from_u64(seed);
        let mut world = Self {
            chain: TestChain::new(infos, [SCHEME]),
            servers,
            frames: Vec::new(),
            now: 0,
            rng,
            lag: 2,
        };
        world.links_changed();
        world
    }

    pub(super) fn up(&self) -> BTreeSet<PartyId> {
        self.servers
            .iter()
            .filter(|(_, server)| server.up)
            .map(|(party, _)| *party)
            .collect()
    }

    pub(super) fn links_changed(&mut self) {
        let up = self.up();
        for to in &up {
            let others = up.iter().filter(|party| *party != to).copied().collect();
            self.tell(*to, Event::Connected(others));
        }
    }

    pub(super) fn tell(&mut self, to: PartyId, event: Event) {
        let server = self.servers.get_mut(&to).unwrap();
        if !server.up {
            return;
        }
        let commands = server.coordinator.handle(event, self.now, &mut self.rng);
        for command in commands {
            self.execute(to, command);
        }
    }

    pub(super) fn execute(&mut self, who: PartyId, command: Command) {
        let server = self.servers.get_mut(&who).unwrap();
        match command {
            Command::StartKeygen(context) => {
                let id = context.id();
                if server.started.insert(id) {
                    server.running.insert(id, Work::Keygen(context));
                } else {
                    let result = Err(Failure::unattributed("started before"));
                    self.tell(who, Event::KeygenEnded { id, result });
                }
            }
            Command::StartSigning { context, share } => {
                let subjects: Vec<_> = server.running.values().filter_map(Work::subject).collect();
                assert!(
                    !subjects.contains(&context.subject),
                    "one live attempt for each subject at each signer"
                );
                assert!(
                    server.disk.contains_key(&share),
                    "signs only with what is on disk"
                );
                if let Subject::Request(id) = context.subject {
                    let stage = server.disk[&share].0;
                    assert_eq!(
                        stage,
                        Stage::Active,
                        "requests are signed with active shares only"
                    );
                    let heads = self.chain.heads(&who);
                    let record = self
                        .chain
                        .request_at(&heads.best.hash, &id)
                        .expect("the request exists");
                    assert_eq!(context.digest, record.digest);
                    let key = self
                        .chain
                        .key_at(&heads.finalized.hash, &record.content.key);
                    assert!(
                        key.is_some_and(|key| key.programs.is_empty()),
                        "finalized state authorises"
                    );
                }
                let server = self.servers.get_mut(&who).unwrap();
                server
                    .running
                    .insert(context.id(), Work::Sign(context, share));
            }
            Command::Expire(id) => {
                if let Some(work) = server.running.remove(&id) {
                    let absent = self.absentees(&id, &work);
                    self.end(who, id, &work, Err(Failure::silence(absent)));
                }
            }
            Command::Send { to, frame } => self.frames.push((who, to, frame)),
            Command::LookUp {
                request,
                key,
                best,
                finalized,
            } => {
                let event = Event::LookedUp {
                    id: request,
                    request: self.chain.request_at(&best, &request).map(Box::new),
                    best_key: self.chain.key_at(&best, &key),
                    finalized_key: self.chain.key_at(&finalized, &key),
                };
                self.tell(who, event);
            }
            Command::Promote(name) => {
                let finalized = self.chain.heads(&who).finalized.view;
                let active = finalized
                    .key(name.scheme)
                    .and_then(KeyState::active)
                    .expect("an active key");
                assert_eq!(
                    active.public_digest, name.public_digest,
                    "promotes only what finalized state names"
                );
                self.servers
                    .get_mut(&who)
                    .unwrap()
                    .disk
                    .get_mut(&name)
                    .expect("was staged")
                    .0 = Stage::Active;
            }
            Command::Erase(name) => {
                let (stage, _) = server.disk.remove(&name).expect("was staged");
                assert_eq!(stage, Stage::Staged, "never erases a share in use");
            }
            Command::Report {
                report,
                valid_until,
            } => {
                if report.is_ready() {
                    let attempt = (report.scheme, report.epoch, report.attempt);
                    let held = server
                        .disk
                        .keys()
                        .any(|name| (name.scheme, name.epoch, name.attempt) == attempt);
                    assert!(held, "persists before it reports");
                }
                self.chain.submit(Submission::Keygen {
                    report,
                    valid_until,
                    signature: [0; 64],
                });
            }
            Command::SubmitResult {
                request,
                signature,
                valid_until,
            } => self.chain.submit(Submission::Result {
                request,
                signature,
                server: who,
                valid_until,
                server_signature: [0; 64],
            }),
        }
    }

    pub(super) fn absentees(&self, id: &CeremonyId, work: &Work) -> Vec<PartyId> {
        let takes_part = |party: &PartyId| {
            self.servers
                .get(party)
                .is_some_and(|server| server.up && server.running.contains_key(id))
        };
        work.parties()
            .into_iter()
            .filter(|party| !takes_part(party))
            .collect()
    }

    /// Ends a ceremony at one party.
    pub(super) fn end(
        &mut self,
        who: PartyId,
        id: CeremonyId,
        work: &Work,
        result: Result<(), Failure>,
    ) {
        let event = match work {
            Work::Keygen(context) => {
                let result = result.map(|()| {
                    let public = package(context);
                    let name = share_name(&public, who);
                    let server = self.servers.get_mut(&who).unwrap();
                    server
                        .disk
                        .insert(name.clone(), (Stage::Staged, public.clone()));
                    (name, public)
                });
                Event::KeygenEnded { id, result }
            }
            Work::Sign(context, share) => Event::SigningEnded {
                id,
                result: result.map(|()| signature(context, share.attempt)),
            },
        };
        self.tell(who, event);
    }

    /// Completes every ceremony in which all parties take part.
    pub(super) fn complete(&mut self) {
        loop {
            let mut all = self.servers.iter().flat_map(|(who, server)| {
                server
                    .running
                    .iter()
                    .map(move |(id, w)| (*who, *id, w.clone()))
            });
            let ready = all.find(|(_, id, work)| self.absentees(id, work).is_empty());
            let Some((_, id, work)) = ready else { return };
            for who in work.parties() {
                self.servers.get_mut(&who).unwrap().running.remove(&id);
            }
            for who in work.parties() {
                self.end(who, id, &work, Ok(()));
            }
        }
    }

    pub(super) fn block(&mut self) {
        self.chain.make_block(self.lag);
        for who in self.up() {
            let heads = self.chain.heads(&who);
            self.tell(who, Event::Heads(Box::new(heads)));
        }
    }

    pub(super) fn crash(&mut self, who: PartyId) {
        let server = self.servers.get_mut(&who).unwrap();
        server.up = false;
        server.running.clear();
        self.links_changed();
    }

    pub(super) fn restart(&mut self, who: PartyId) {
        let server = self.servers.get_mut(&who).unwrap();
        let disk = server
            .disk
            .iter()
            .map(|(name, (stage, public))| (name.clone(), *stage, public.clone()));
        server.coordinator = Coordinator::new(who, GENESIS, disk.collect::<Vec<_>>());
        server.up = true;
        self.links_changed();
        let heads = self.chain.heads(&who);
        self.tell(who, Event::Heads(Box::new(heads)));
    }

    /// Delivers a frame, in an order that the seed chooses; `loss` of 100 are lost.
    pub(super) fn deliver(&mut self, loss: u32) {
        while !self.frames.is_empty() {
            let index = self.rng.next_u32() as usize % self.frames.len();
            let (from, to, frame) = self.frames.swap_remove(index);
            if self.rng.next_u32() % 100 >= loss {
                self.tell(to, Event::Frame { from, frame });
            }
        }
    }

    /// One second of an undisturbed network.
    pub(super) fn second(&mut self) {
        self.now += 1_000;
        if self.now / 3_000 != (self.now - 1_000) / 3_000 {
            self.block();
        }
        for who in self.up() {
            self.tell(who, Event::Tick);
        }
        self.deliver(0);
        self.complete();
    }

    pub(super) fn run_until(&mut self, seconds: u32, what: &str, done: impl Fn(&Self) -> bool) {
        for _ in 0..seconds {
            if done(self) {
                return;
            }
            self.second();
        }
        panic!(
            "{what}: not within {seconds} seconds; {:?}",
            self.chain.key_state(SCHEME)
        );
    }

    pub(super) fn run_until_active(&mut self) {
        self.run_until(
            2_000,
            "the key is active and every holder has promoted its share",
            |world| {
                world.chain.key_state(SCHEME).active().is_some_and(|key| {
                    key.committee.parties().iter().all(|party| {
                        let server = &world.servers[party];
                        !server.up
                            || server
                                .disk
                                .values()
                                .any(|(stage, _)| *stage == Stage::Active)
                    })
                })
            },
        );
    }

    pub(super) fn is_signed(&self, id: &RequestId) -> bool {
        matches!(self.chain.request_state(id), RequestState::Signed { .. })
    }
}

impl Work {
    pub(super) fn subject(&self) -> Option<Subject> {
        match self {
            Self::Keygen(_) => None,
            Self::Sign(context, _) => Some(context.subject),
        }
    }
}

impl Server {
    pub(super) fn new(me: PartyId) -> Self {
        Self {
            coordinator: Coordinator::new(me, GENESIS, []),
            disk: BTreeMap::new(),
            started: BTreeSet::new(),
            running: BTreeMap::new(),
            up: true,
        }
    }
}
