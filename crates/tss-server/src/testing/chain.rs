//! A chain in memory that applies the very lifecycle rules of the pallets.
//!
//! No consensus: blocks are made when the test says so, and finality follows as far behind as the test says.

use std::collections::BTreeMap;

use entropy_shared::{
    BlockNumber, Committee, DerivationPath, Genesis, Hasher, KeyId, Parameters, PartyId, RequestId,
    Scheme, TaprootTweak, ThresholdRule,
    canonical::ServerInfo,
    derivation,
    ids::AccountId,
    lifecycle::{
        key::{self, AttemptReport, KeyState},
        registry::{AttachedProgram, KeyRecord, Requesters},
        request::{RequestContent, RequestRecord, RequestState, open, request_id},
        standing::Standing,
    },
    scheme::SchemeSet,
    view::{Binding, ChainView, OpenRequest, SchemeState, VIEW_FORMAT},
};

use crate::ports::{BlockHash, Head, Heads, Submission};

/// The genesis of every test chain.
pub(crate) const GENESIS: Genesis = Genesis([0xe0; 32]);

/// The account that owns the keys of tests.
pub(crate) const OWNER: AccountId = AccountId([0xaa; 32]);

#[derive(Clone, Default)]
struct State {
    keys: BTreeMap<Scheme, KeyState>,
    user_keys: BTreeMap<KeyId, KeyRecord>,
    requests: BTreeMap<RequestId, RequestRecord>,
}

/// See the module's documentation.
pub(crate) struct TestChain {
    /// The chain's parameters.
    pub(crate) parameters: Parameters,
    servers: Vec<ServerInfo>,
    /// The state after each block, from genesis.
    blocks: Vec<State>,
    finalized: usize,
    next: State,
    nonce: u32,
    pending: Vec<Submission>,
}

impl TestChain {
    /// A chain with these servers bound, whose key generations begin in the first block.
    pub(crate) fn new(servers: Vec<ServerInfo>, schemes: impl IntoIterator<Item = Scheme>) -> Self {
        let parameters = Parameters {
            schemes: SchemeSet::from_iter(schemes),
            committee_min: 2,
            threshold: ThresholdRule::TwoThirds,
            attempt_deadline_blocks: 60,
            signing_slot_blocks: 4,
            ..Parameters::default()
        };
        let mut chain = Self {
            parameters,
            servers,
            blocks: vec![State::default()],
            finalized: 0,
            next: State::default(),
            nonce: 0,
            pending: Vec::new(),
        };
        let parties: Vec<_> = chain.servers.iter().map(|info| info.server).collect();
        let threshold = chain.parameters.threshold.threshold(parties.len() as u16);
        let target = Committee::new(parties, threshold).expect("tests name a committee");
        for scheme in chain.parameters.schemes.iter() {
            let state = key::begin(target.clone(), 1, &chain.parameters).state;
            chain.next.keys.insert(scheme, state);
        }
        chain
    }

    /// The number of the best block.
    pub(crate) fn block(&self) -> BlockNumber {
        (self.blocks.len() - 1) as BlockNumber
    }

    /// Makes a block with everything that is pending and finalizes what is `lag` blocks behind it.
    pub(crate) fn make_block(&mut self, lag: usize) {
        let number = self.blocks.len() as BlockNumber;
        for state in self.next.keys.values_mut() {
            if let Some(transition) = state.tick(number, &self.parameters, |_| None) {
                *state = transition.state;
            }
        }
        for submission in std::mem::take(&mut self.pending) {
            self.apply(submission, number);
        }
        for record in self.next.requests.values_mut() {
            *record = record.clone().expire(number);
        }
        self.blocks.push(self.next.clone());
        self.finalized = self
            .finalized
            .max((self.blocks.len() - 1).saturating_sub(lag));
    }

    /// Puts a submission into the pool; whether it counts, the next block tells.
    pub(crate) fn submit(&mut self, submission: Submission) {
        self.pending.push(submission);
    }

    fn apply(&mut self, submission: Submission, number: BlockNumber) {
        match submission {
            Submission::Keygen {
                report,
                valid_until,
                ..
            } if number <= valid_until => self.report(&report, number),
            Submission::Result {
                request,
                signature,
                valid_until,
                ..
            } if number <= valid_until => {
                if let Some(record) = self.next.requests.get_mut(&request)
                    && let Ok(answered) = record.clone().answer(signature, number)
                {
                    *record = answered;
                }
            }
            Submission::Keygen { .. } | Submission::Result { .. } => {}
        }
    }

    fn report(&mut self, report: &AttemptReport, number: BlockNumber) {
        if let Some(state) = self.next.keys.get_mut(&report.scheme)
            && let Ok(transition) =
                state.report(&GENESIS, report, number, &self.parameters, |_| None)
        {
            *state = transition.state;
        }
    }

    /// Where the root key of `scheme` stands in the best block.
    pub(crate) fn key_state(&self, scheme: Scheme) -> &KeyState {
        self.blocks
            .last()
            .and_then(|state| state.keys.get(&scheme))
            .unwrap_or(&KeyState::Absent)
    }

    /// Registers a key of [`OWNER`] under the active root key, from the next block on.
    pub(crate) fn register(&mut self, scheme: Scheme, salt: u8, programs: usize) -> KeyId {
        let id = KeyId::of(&GENESIS, scheme, &OWNER, &[salt; 32]);
        let root = self.next.keys[&scheme]
            .active()
            .expect("the root key is active")
            .root_key;
        let derived = derivation::derive(scheme, &root, &id, &DerivationPath::default())
            .expect("a derivable key");
        let record = KeyRecord {
            owner: OWNER,
            offered_to: None,
            registrant: OWNER,
            scheme,
            salt: [salt; 32],
            verifying_key: derived.key,
            programs: (0..programs)
                .map(|i| AttachedProgram {
                    program: [i as u8; 32].into(),
                    configuration: Vec::new(),
                })
                .collect(),
            requesters: Requesters::Owner,
            registered: self.block() + 1,
        };
        self.next.user_keys.insert(id, record);
        id
    }

    /// Requests a signature as [`OWNER`], from the next block on.
    pub(crate) fn request(&mut self, key: KeyId, message: &[u8], tweak: TaprootTweak) -> RequestId {
        let content = RequestContent {
            key,
            message: message.to_vec(),
            hasher: Hasher::Sha256,
            path: DerivationPath::default(),
            tweak,
        };
        self.nonce += 1;
        let id = request_id(&GENESIS, &OWNER, self.nonce, &content);
        let record = &self.next.user_keys[&key];
        let root = self.next.keys[&record.scheme]
            .active()
            .expect("the root key is active")
            .root_key;
        let number = self.block() + 1;
        let opened = open(
            content,
            OWNER,
            record,
            &root,
            None,
            number,
            &self.parameters,
        )
        .expect("a request that may be made");
        self.next.requests.insert(id, opened);
        id
    }

    /// How a request stands in the best block.
    pub(crate) fn request_state(&self, id: &RequestId) -> RequestState {
        self.blocks.last().expect("there is a genesis").requests[id]
            .state
            .clone()
    }

    /// Whether a request is in the best block, in whatever state.
    pub(crate) fn knows(&self, id: &RequestId) -> bool {
        self.blocks
            .last()
            .is_some_and(|state| state.requests.contains_key(id))
    }

    /// The best and the finalized block as `server` sees them.
    pub(crate) fn heads(&self, server: &PartyId) -> Heads {
        Heads {
            best: self.head(self.blocks.len() - 1, server),
            finalized: self.head(self.finalized, server),
        }
    }

    /// A key in the block with this hash.
    pub(crate) fn key_at(&self, at: &BlockHash, id: &KeyId) -> Option<KeyRecord> {
        self.state_at(at).user_keys.get(id).cloned()
    }

    /// A request in the block with this hash.
    pub(crate) fn request_at(&self, at: &BlockHash, id: &RequestId) -> Option<RequestRecord> {
        self.state_at(at).requests.get(id).cloned()
    }

    fn state_at(&self, at: &BlockHash) -> &State {
        let number = u32::from_le_bytes([at[0], at[1], at[2], at[3]]);
        &self.blocks[number as usize]
    }

    fn head(&self, number: usize, server: &PartyId) -> Head {
        let state = &self.blocks[number];
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&(number as u32).to_le_bytes());
        let own = self.servers.iter().find(|info| info.server == *server);
        let mut requests: Vec<_> = state
            .requests
            .iter()
            .filter(|(_, r)| r.state == RequestState::Open)
            .collect();
        requests.sort_by_key(|(id, record)| (record.submitted, **id));
        let view = ChainView {
            format: VIEW_FORMAT,
            spec_version: 1,
            genesis: GENESIS,
            block: number as BlockNumber,
            parameters: self.parameters.clone(),
            binding: own.map(|info| Binding {
                stash: AccountId(info.server.0),
                info: info.clone(),
                standing: Standing::default(),
            }),
            keys: state
                .keys
                .iter()
                .map(|(&scheme, s)| SchemeState {
                    scheme,
                    state: s.clone(),
                })
                .collect(),
            peers: self
                .servers
                .iter()
                .filter(|info| info.server != *server)
                .cloned()
                .collect(),
            requests: requests
                .into_iter()
                .map(|(id, record)| OpenRequest::new(*id, record))
                .collect(),
        };
        Head { hash, view }
    }
}
