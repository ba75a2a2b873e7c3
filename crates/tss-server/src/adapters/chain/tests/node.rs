//! A node that answers what the test tells it to, on a port of the system's choice.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use codec::Encode;
use entropy_shared::{
    BlockNumber, Genesis,
    parameters::Parameters,
    view::{ChainView, VIEW_FORMAT},
};
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use subxt::{
    config::{
        Hasher,
        substrate::{BlakeTwo256, Digest, SubstrateHeader},
    },
    utils::H256,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_tungstenite::tungstenite::Message;

use super::metadata;
use crate::ports::BlockHash;

/// The genesis that the tests pin.
pub(super) const GENESIS: Genesis = Genesis([0x6e; 32]);

/// No test's chain is longer.
const LONGEST: BlockNumber = 64;

/// A running node; dropping it closes its connections.
pub(super) struct Node {
    address: SocketAddr,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

struct Script {
    genesis: Genesis,
    heads: watch::Sender<(BlockNumber, BlockNumber)>,
    /// Connections that began under another number are closed.
    generation: watch::Sender<u32>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    spec_version: u32,
    calls: Vec<String>,
    submitted: Vec<Vec<u8>>,
    refusal: Option<(i32, &'static str)>,
}

impl Node {
    pub(super) async fn start(genesis: Genesis) -> Self {
        let script = Arc::new(Script {
            genesis,
            heads: watch::Sender::new((0, 0)),
            generation: watch::Sender::new(0),
            state: Mutex::new(State {
                spec_version: 1,
                ..State::default()
            }),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let mut tasks = JoinSet::new();
        let shared = script.clone();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(shared.clone().serve(stream));
            }
        });
        Self {
            address,
            script,
            _tasks: tasks,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    pub(super) fn set_heads(&self, best: BlockNumber, finalized: BlockNumber) {
        self.script.heads.send_replace((best, finalized));
    }

    pub(super) fn set_spec_version(&self, version: u32) {
        self.script.state().spec_version = version;
    }

    pub(super) fn refuse(&self, code: i32, message: &'static str) {
        self.script.state().refusal = Some((code, message));
    }

    pub(super) fn disconnect(&self) {
        self.script
            .generation
            .send_modify(|generation| *generation += 1);
    }

    /// How often a function of the runtime was called.
    pub(super) fn calls(&self, function: &str) -> usize {
        self.script
            .state()
            .calls
            .iter()
            .filter(|called| *called == function)
            .count()
    }

    pub(super) fn submitted(&self) -> Vec<Vec<u8>> {
        self.script.state().submitted.clone()
    }
}

pub(super) fn block_hash(number: BlockNumber) -> BlockHash {
    BlakeTwo256.hash(&header(number).encode()).0
}

fn header(number: BlockNumber) -> SubstrateHeader<H256> {
    SubstrateHeader {
        parent_hash: H256::zero(),
        number: number.into(),
        state_root: H256::zero(),
        extrinsics_root: H256::zero(),
        digest: Digest { logs: Vec::new() },
    }
}

impl Script {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("no test panics while it holds the lock")
    }

    async fn serve(self: Arc<Self>, stream: TcpStream) {
        let mut generation = self.generation.subscribe();
        generation.mark_unchanged();
        let mut heads = self.heads.subscribe();
        let Ok(mut socket) = tokio_tungstenite::accept_async(stream).await else {
            return;
        };
        let (mut best, mut finalized) = (false, false);
        loop {
            let mut outgoing = Vec::new();
            tokio::select! {
                _ = generation.changed() => return,
                _ = heads.changed() => {}
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let request: Value = serde_json::from_str(&text).expect("JSON");
                        match request["method"].as_str() {
                            Some("chain_subscribeNewHeads") => best = true,
                            Some("chain_subscribeFinalizedHeads") => finalized = true,
                            _ => {}
                        }
                        outgoing.push(self.answer(&request));
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return,
                },
            }
            // The present heads again after every message: who follows them must not mind.
            let now = *heads.borrow_and_update();
            if best {
                outgoing.push(notification("chain_newHead", "best", now.0));
            }
            if finalized {
                outgoing.push(notification("chain_finalizedHead", "finalized", now.1));
            }
            for value in outgoing {
                if socket.send(Message::text(value.to_string())).await.is_err() {
                    return;
                }
            }
        }
    }

    fn answer(&self, request: &Value) -> Value {
        let parameters = &request["params"];
        let result = match request["method"].as_str().expect("a method") {
            "chain_getBlockHash" => Ok(json!(self.genesis.to_string())),
            "chain_subscribeNewHeads" => Ok(json!("best")),
            "chain_subscribeFinalizedHeads" => Ok(json!("finalized")),
            "state_call" => self.call(parameters[0].as_str().expect("a function"), &parameters[2]),
            "author_submitExtrinsic" => self.take(parameters[0].as_str().expect("an extrinsic")),
            other => Err((-32601, format!("the test's node has no {other}"))),
        };
        match result {
            Ok(result) => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
            Err((code, message)) => {
                json!({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}})
            }
        }
    }

    fn call(&self, function: &str, at: &Value) -> Result<Value, (i32, String)> {
        let number = (0..=LONGEST)
            .find(|number| json!(H256(block_hash(*number))) == *at)
            .ok_or_else(|| (4003, "UnknownBlock".to_owned()))?;
        let mut state = self.state();
        state.calls.push(function.to_owned());
        let answer = match function {
            "ThresholdApi_view" => self.view(number, state.spec_version).encode(),
            "ThresholdApi_key" | "ThresholdApi_request" => None::<u8>.encode(),
            "Metadata_metadata_at_version" => {
                Some(metadata::build("StakingExtension", &metadata::EXTENSIONS)).encode()
            }
            other => return Err((4003, format!("the test's runtime has no {other}"))),
        };
        Ok(json!(format!("0x{}", hex::encode(answer))))
    }

    fn view(&self, block: BlockNumber, spec_version: u32) -> ChainView {
        ChainView {
            format: VIEW_FORMAT,
            spec_version,
            genesis: self.genesis,
            block,
            parameters: Parameters::default(),
            binding: None,
            keys: Vec::new(),
            peers: Vec::new(),
            requests: Vec::new(),
        }
    }

    fn take(&self, extrinsic: &str) -> Result<Value, (i32, String)> {
        let mut state = self.state();
        if let Some((code, message)) = state.refusal {
            return Err((code, message.to_owned()));
        }
        state
            .submitted
            .push(hex::decode(&extrinsic[2..]).expect("hexadecimal"));
        Ok(json!(H256::zero()))
    }
}

fn notification(method: &str, subscription: &str, number: BlockNumber) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": {"subscription": subscription, "result": header(number)}})
}
