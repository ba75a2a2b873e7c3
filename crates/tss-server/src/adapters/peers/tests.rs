//! Links over real sockets: between servers, and from those that do not keep to the rules.

use std::net::SocketAddr;

use snow::{
    params::DHChoice,
    resolvers::{CryptoResolver, DefaultResolver},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use super::{
    handshake::{HandshakeError, Session},
    wire::{Chunk, Hello, MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES, Refusal, TAG_BYTES},
    *,
};

const GENESIS: Genesis = Genesis([7; 32]);
const DEADLINE: Duration = Duration::from_secs(60);

const FAST: Timing = Timing {
    handshake: Duration::from_secs(20),
    keep_alive: Duration::from_millis(50),
    silence: Duration::from_secs(20),
    renew_after: Duration::from_secs(3600),
    stable: Duration::from_secs(30),
    redial_min: Duration::from_millis(10),
    redial_max: Duration::from_millis(50),
};

/// Who a server is: its account and its Noise key.
#[derive(Clone)]
struct Identity {
    party: PartyId,
    secret: Zeroizing<[u8; 32]>,
    public: [u8; 32],
}

/// An identity whose account has this as every byte, so that lower numbers dial.
fn identity(number: u8) -> Identity {
    let mut secret = Zeroizing::new([0; 32]);
    OsRng.fill_bytes(&mut *secret);
    let mut dh = DefaultResolver.resolve_dh(&DHChoice::Curve25519).unwrap();
    dh.set(&*secret);
    let public = dh.pubkey().try_into().unwrap();
    Identity {
        party: PartyId([number; 32]),
        secret,
        public,
    }
}

impl Identity {
    fn local(&self, genesis: Genesis) -> Local {
        let mut boot = [0; 16];
        OsRng.fill_bytes(&mut boot);
        Local {
            me: self.party,
            noise_secret: self.secret.clone(),
            genesis,
            boot,
        }
    }

    fn info(&self, address: SocketAddr) -> ServerInfo {
        let endpoint = format!("ws://{address}").into_bytes();
        ServerInfo {
            server: self.party,
            endpoint,
            noise_key: self.public,
        }
    }
}

/// A server as far as its links go, listening on a port of its own.
struct Node {
    peers: WebSocketPeers,
    info: ServerInfo,
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl Node {
    async fn start(identity: &Identity) -> Self {
        Self::start_with(identity, FAST, "127.0.0.1:0".parse().unwrap()).await
    }

    async fn start_with(identity: &Identity, timing: Timing, address: SocketAddr) -> Self {
        let peers =
            WebSocketPeers::with_timing(identity.party, identity.secret.clone(), GENESIS, timing);
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = peers
            .routes()
            .into_make_service_with_connect_info::<SocketAddr>();
        let listening = tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self {
            peers,
            info: identity.info(address),
            address,
            listening,
        }
    }

    fn id(&self) -> PartyId {
        self.info.server
    }

    fn is_linked(&self, to: PartyId) -> bool {
        self.peers.connected().contains(&to)
    }

    /// How many links to `to` there have been.
    fn links(&self, to: PartyId) -> u64 {
        self.peers.shared.peer(&to).map_or(0, |peer| peer.count())
    }

    async fn send(&self, to: PartyId, frame: &[u8]) {
        until("a frame is queued", || self.peers.send(&to, frame.to_vec())).await;
    }

    async fn receive(&self) -> (PartyId, Vec<u8>) {
        timeout(DEADLINE, self.peers.receive())
            .await
            .expect("a frame comes")
    }

    /// Dies as a process does: nothing is said to anyone.
    async fn kill(mut self) -> SocketAddr {
        self.listening.abort();
        drop((&mut self.listening).await);
        self.address
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Waits for a condition, at most until the deadline.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(2));
        while !condition() {
            ticks.tick().await;
        }
    };
    timeout(DEADLINE, wait)
        .await
        .unwrap_or_else(|_| panic!("in vain: {what}"));
}

/// Starts servers that know each other, and waits for all links.
async fn network<const N: usize>() -> [Node; N] {
    let mut nodes = Vec::new();
    for number in 1..=N {
        nodes.push(Node::start(&identity(number as u8)).await);
    }
    let infos: Vec<_> = nodes.iter().map(|node| node.info.clone()).collect();
    for node in &nodes {
        node.peers.set_peers(infos.clone());
    }
    until("all are linked", || {
        nodes
            .iter()
            .all(|node| node.peers.connected().len() == N - 1)
    })
    .await;
    nodes.try_into().unwrap_or_else(|_| unreachable!())
}

/// A peer's side of a link, in the hands of a test.
struct Raw {
    session: Session,
    socket: Socket,
}

impl Raw {
    async fn dial(local: &Local, to: &ServerInfo) -> Result<Self, HandshakeError> {
        Self::dial_with(local, to, false).await
    }

    async fn dial_with(
        local: &Local,
        to: &ServerInfo,
        renews: bool,
    ) -> Result<Self, HandshakeError> {
        let url = format!("{}{PATH}", String::from_utf8(to.endpoint.clone()).unwrap());
        let mut socket = Socket::dial(&url).await?;
        let session =
            handshake::initiate(&mut socket, local, &to.server, &to.noise_key, renews).await?;
        Ok(Self { session, socket })
    }

    async fn send(&mut self, chunk: Chunk<'_>) -> bool {
        let mut plain = Vec::new();
        chunk.encode_to(&mut plain);
        self.send_plain(&plain).await
    }

    async fn send_plain(&mut self, plain: &[u8]) -> bool {
        let mut message = vec![0; plain.len() + TAG_BYTES];
        self.session
            .noise
            .write_message(self.session.send_nonce, plain, &mut message)
            .unwrap();
        self.session.send_nonce += 1;
        self.socket.send(message).await.is_ok()
    }

    /// The plain content of the next message; `None` when the link has ended.
    async fn receive(&mut self) -> Option<Vec<u8>> {
        let message = timeout(DEADLINE, self.socket.receive())
            .await
            .expect("something comes")
            .ok()?;
        let mut plain = vec![0; MAX_MESSAGE_BYTES];
        let length = self
            .session
            .noise
            .read_message(self.session.receive_nonce, &message, &mut plain)
            .unwrap();
        self.session.receive_nonce += 1;
        plain.truncate(length);
        Some(plain)
    }

    async fn is_closed(&mut self) {
        while self.receive().await.is_some() {}
    }
}

/// A node with number 9 that knows one peer with number 1, whom the test plays.
async fn node_and_peer(timing: Timing) -> (Node, Identity) {
    let peer = identity(1);
    let node = Node::start_with(&identity(9), timing, "127.0.0.1:0".parse().unwrap()).await;
    // Where the peer would listen does not matter: it is the one to dial.
    node.peers
        .set_peers(vec![peer.info("127.0.0.1:1".parse().unwrap())]);
    (node, peer)
}

fn refusal(result: Result<Raw, HandshakeError>) -> Refusal {
    match result.err() {
        Some(HandshakeError::Refused(refusal)) => refusal,
        other => panic!("expected a refusal, not {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_servers_exchange_frames_in_order() {
    let [one, two] = network().await;
    let big: Vec<u8> = (0..500_000u32).map(|i| (i % 251) as u8).collect();
    let there = async {
        for number in 0..500u32 {
            one.send(two.id(), &number.to_le_bytes()).await;
        }
        one.send(two.id(), &big).await;
        one.send(two.id(), &[]).await;
    };
    let back = async {
        two.send(one.id(), &big).await;
        for number in 0..500u32 {
            two.send(one.id(), &number.to_le_bytes()).await;
        }
    };
    let at_two = async {
        for number in 0..500u32 {
            assert_eq!(
                two.receive().await,
                (one.id(), number.to_le_bytes().to_vec())
            );
        }
        assert_eq!(two.receive().await, (one.id(), big.clone()));
        assert_eq!(two.receive().await, (one.id(), Vec::new()));
    };
    let at_one = async {
        assert_eq!(one.receive().await, (two.id(), big.clone()));
        for number in 0..500u32 {
            assert_eq!(
                one.receive().await,
                (two.id(), number.to_le_bytes().to_vec())
            );
        }
    };
    tokio::join!(there, back, at_two, at_one);
    assert_eq!(
        (one.links(two.id()), two.links(one.id())),
        (1, 1),
        "a pair has one link"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_servers_are_linked_in_pairs() {
    let nodes: [Node; 3] = network().await;
    for from in &nodes {
        for to in nodes.iter().filter(|to| to.id() != from.id()) {
            from.send(to.id(), from.id().as_bytes()).await;
        }
    }
    for to in &nodes {
        let mut received = BTreeSet::new();
        for _ in 0..2 {
            let (from, frame) = to.receive().await;
            assert_eq!(frame, from.as_bytes(), "who sent it is who the link says");
            received.insert(from);
        }
        assert_eq!(received.len(), 2);
    }
    assert!(
        !nodes[0].peers.send(&nodes[0].id(), vec![1]),
        "nobody is its own peer"
    );
    assert!(
        !nodes[0]
            .peers
            .send(&nodes[1].id(), vec![0; MAX_FRAME_BYTES + 1]),
        "too long"
    );
}

#[tokio::test]
async fn strangers_are_refused_in_the_handshake() {
    let (node, peer) = node_and_peer(FAST).await;
    let dial = |local: Local, to: ServerInfo| async move { Raw::dial(&local, &to).await };

    let stranger = identity(2);
    assert_eq!(
        refusal(dial(stranger.local(GENESIS), node.info.clone()).await),
        Refusal::Stranger
    );
    let thief = Identity {
        party: peer.party,
        ..identity(1)
    };
    assert_eq!(
        refusal(dial(thief.local(GENESIS), node.info.clone()).await),
        Refusal::Key
    );
    let elsewhere = Genesis([8; 32]);
    assert_eq!(
        refusal(dial(peer.local(elsewhere), node.info.clone()).await),
        Refusal::Chain
    );
    let other = ServerInfo {
        server: PartyId([5; 32]),
        ..node.info.clone()
    };
    assert_eq!(
        refusal(dial(peer.local(GENESIS), other).await),
        Refusal::NotMe
    );
    let old_key = ServerInfo {
        noise_key: identity(9).public,
        ..node.info.clone()
    };
    assert_eq!(
        refusal(dial(peer.local(GENESIS), old_key).await),
        Refusal::Key
    );
    assert!(node.peers.connected().is_empty());

    let high = identity(200);
    node.peers
        .set_peers(vec![high.info("127.0.0.1:1".parse().unwrap())]);
    assert_eq!(
        refusal(dial(high.local(GENESIS), node.info.clone()).await),
        Refusal::Direction
    );
    assert_eq!(
        refusal(dial(peer.local(GENESIS), node.info.clone()).await),
        Refusal::Stranger,
        "a former peer"
    );
    assert!(node.peers.connected().is_empty());
}

#[tokio::test]
async fn another_version_is_refused() {
    let (node, peer) = node_and_peer(FAST).await;
    for change in [
        |hello: &mut Hello| hello.link_version += 1,
        |hello: &mut Hello| hello.protocol_version += 1,
    ] {
        let mut hello = Hello::new(GENESIS, peer.party, node.id());
        change(&mut hello);
        let mut socket = Socket::dial(&format!("ws://{}{PATH}", node.address))
            .await
            .unwrap();
        socket
            .send([hello.encode().as_slice(), &[0; 65]].concat())
            .await
            .unwrap();
        assert_eq!(
            socket.receive().await.unwrap()[..],
            [Refusal::Version as u8]
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_dialling_side_notices_an_impostor() {
    // Number 2 listens where the chain says that it does, but with another key.
    let (one, two) = (
        Node::start(&identity(1)).await,
        Node::start(&identity(2)).await,
    );
    two.peers.set_peers(vec![one.info.clone()]);
    let real = ServerInfo {
        noise_key: identity(2).public,
        ..two.info.clone()
    };
    let shared = &one.peers.shared;
    let mut socket = Socket::dial(&format!("ws://{}{PATH}", two.address))
        .await
        .unwrap();
    let result = handshake::initiate(
        &mut socket,
        &shared.local,
        &two.id(),
        &real.noise_key,
        false,
    )
    .await;
    assert!(matches!(result, Err(HandshakeError::Refused(Refusal::Key))));
    // One that answers at random, instead of refusing.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route(
        PATH,
        any(|upgrade: WebSocketUpgrade| async {
            upgrade.on_upgrade(|socket| async move {
                let mut socket = Socket::accepted(socket);
                drop(socket.receive().await);
                drop(socket.send(vec![9; 64]).await);
                drop(socket.receive().await);
            })
        }),
    );
    let listening = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let mut socket = Socket::dial(&format!("ws://{address}{PATH}"))
        .await
        .unwrap();
    let result = handshake::initiate(
        &mut socket,
        &shared.local,
        &two.id(),
        &real.noise_key,
        false,
    )
    .await;
    assert!(matches!(result, Err(HandshakeError::Noise(_))));
    listening.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_peer_is_cut_off_at_once() {
    let [one, two, three] = network().await;
    two.peers.set_peers(vec![three.info.clone()]);
    until("the link is closed", || !one.is_linked(two.id())).await;
    assert!(!two.peers.send(&one.id(), vec![1]));
    assert!(
        two.is_linked(three.id()) && one.is_linked(three.id()),
        "the others are not affected"
    );
    two.peers
        .set_peers(vec![one.info.clone(), three.info.clone()]);
    one.send(two.id(), b"again").await;
    assert_eq!(two.receive().await, (one.id(), b"again".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_of_a_former_peer_are_forgotten() {
    let (node, peer) = node_and_peer(FAST).await;
    let mut raw = Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
    assert!(raw.send(Chunk::Last(b"before")).await);
    assert!(raw.send(Chunk::Last(b"unread")).await);
    assert_eq!(node.receive().await.1, b"before");
    let other = identity(3);
    node.peers
        .set_peers(vec![other.info("127.0.0.1:1".parse().unwrap())]);
    raw.is_closed().await;
    let mut raw = Raw::dial(&other.local(GENESIS), &node.info).await.unwrap();
    assert!(raw.send(Chunk::Last(b"after")).await);
    assert_eq!(node.receive().await, (other.party, b"after".to_vec()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_peer_is_linked_again() {
    let identities = [identity(1), identity(2)];
    for (survivor, victim) in [(0, 1), (1, 0)] {
        let stays = Node::start(&identities[survivor]).await;
        let dies = Node::start(&identities[victim]).await;
        let id = dies.id();
        stays.peers.set_peers(vec![dies.info.clone()]);
        dies.peers.set_peers(vec![stays.info.clone()]);
        stays.send(id, b"one").await;
        assert_eq!(dies.receive().await.1, b"one");
        let address = dies.kill().await;
        until("the death is noticed", || !stays.is_linked(id)).await;
        assert!(!stays.peers.send(&id, vec![1]), "nobody is there");

        let lives = Node::start_with(&identities[victim], FAST, address).await;
        lives.peers.set_peers(vec![stays.info.clone()]);
        stays.send(id, b"two").await;
        assert_eq!(lives.receive().await, (stays.id(), b"two".to_vec()));
        lives.send(stays.id(), b"three").await;
        assert_eq!(stays.receive().await, (id, b"three".to_vec()));
        assert!(
            stays.peers.duplicated().is_empty(),
            "a restart is no second process"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_key_is_used_at_once() {
    let [one, two] = network().await;
    let renewed = identity(2);
    let id = two.id();
    let address = two.kill().await;
    let two = Node::start_with(&renewed, FAST, address).await;
    two.peers.set_peers(vec![one.info.clone()]);
    one.peers.set_peers(vec![two.info.clone()]);
    one.send(id, b"new key").await;
    assert_eq!(two.receive().await.1, b"new key");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_process_with_the_same_keys_is_noticed() {
    let twin = identity(1);
    let node = Node::start(&identity(2)).await;
    let (first, second) = (Node::start(&twin).await, Node::start(&twin).await);
    node.peers.set_peers(vec![first.info.clone()]);
    first.peers.set_peers(vec![node.info.clone()]);
    until("the first is linked", || node.is_linked(twin.party)).await;
    assert!(node.peers.duplicated().is_empty());
    second.peers.set_peers(vec![node.info.clone()]);
    until("both are noticed", || {
        node.peers.duplicated() == BTreeSet::from([twin.party])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_read_delays_itself_only() {
    let stuck = identity(1);
    let (node, other) = (
        Node::start(&identity(9)).await,
        Node::start(&identity(2)).await,
    );
    node.peers.set_peers(vec![
        stuck.info("127.0.0.1:1".parse().unwrap()),
        other.info.clone(),
    ]);
    other.peers.set_peers(vec![node.info.clone()]);
    let raw = Raw::dial(&stuck.local(GENESIS), &node.info).await.unwrap();
    until("both are linked", || node.peers.connected().len() == 2).await;

    let mut queued = 0;
    while node.peers.send(&stuck.party, vec![0; 500_000]) {
        queued += 1;
        assert!(queued < 1000, "the queue has a bound");
        node.send(other.id(), &[1]).await;
        assert_eq!(other.receive().await, (node.id(), vec![1]));
    }
    node.send(other.id(), &vec![2; 500_000]).await;
    assert_eq!(other.receive().await.1.len(), 500_000);
    drop(raw);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooding_peer_does_not_keep_others_out() {
    let flooding = identity(1);
    let (node, other) = (
        Node::start(&identity(9)).await,
        Node::start(&identity(2)).await,
    );
    node.peers.set_peers(vec![
        flooding.info("127.0.0.1:1".parse().unwrap()),
        other.info.clone(),
    ]);
    other.peers.set_peers(vec![node.info.clone()]);
    let mut raw = Raw::dial(&flooding.local(GENESIS), &node.info)
        .await
        .unwrap();
    let party = flooding.party;
    let flood = tokio::spawn(async move { while raw.send(Chunk::Last(&[0; 60_000])).await {} });
    for number in 0..50 {
        other.send(node.id(), &[number]).await;
        // The flood may be ahead by as many frames as it has turns, not by as many as it sends.
        let mut ahead = 0;
        loop {
            let (from, frame) = node.receive().await;
            if from == other.id() {
                assert_eq!(frame, [number]);
                break;
            }
            assert_eq!(from, party);
            ahead += 1;
            assert!(ahead < 5000);
        }
    }
    flood.abort();
}

#[tokio::test]
async fn a_frame_that_is_too_long_closes_the_link() {
    let (node, peer) = node_and_peer(FAST).await;
    let mut raw = Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
    assert!(raw.send(Chunk::Last(b"good")).await);
    assert_eq!(node.receive().await.1, b"good");
    let piece = vec![0; MAX_CHUNK_BYTES];
    let mut sent = 0;
    while sent < 1000 && raw.send(Chunk::Part(&piece)).await {
        sent += 1;
    }
    until("the link is closed", || !node.is_linked(peer.party)).await;
}

#[tokio::test]
async fn malformed_messages_close_the_link_and_nothing_else() {
    let (node, peer) = node_and_peer(FAST).await;
    let local = peer.local(GENESIS);
    for plain in [&[][..], &[77], &[1, 2, 3], &[0, 0]] {
        let mut raw = Raw::dial(&local, &node.info).await.unwrap();
        assert!(raw.send_plain(plain).await);
        raw.is_closed().await;
    }
    // Not made with the link's keys, or a second time.
    let mut raw = Raw::dial(&local, &node.info).await.unwrap();
    raw.socket.send(vec![5; 100]).await.unwrap();
    raw.is_closed().await;
    let mut raw = Raw::dial(&local, &node.info).await.unwrap();
    raw.session.send_nonce = 0;
    raw.send(Chunk::KeepAlive).await;
    raw.is_closed().await;
    // The end of a link in the middle of a frame.
    let mut raw = Raw::dial(&local, &node.info).await.unwrap();
    raw.send(Chunk::Part(&vec![0; MAX_CHUNK_BYTES])).await;
    raw.send(Chunk::End).await;
    raw.is_closed().await;
    // A WebSocket message longer than any Noise message.
    let mut raw = Raw::dial(&local, &node.info).await.unwrap();
    drop(raw.socket.send(vec![5; MAX_MESSAGE_BYTES + 1]).await);
    raw.is_closed().await;

    let mut raw = Raw::dial(&local, &node.info).await.unwrap();
    assert!(raw.send(Chunk::Last(b"still there")).await);
    assert_eq!(node.receive().await, (peer.party, b"still there".to_vec()));
}

#[tokio::test]
async fn garbage_before_the_handshake_closes_the_connection() {
    let (node, peer) = node_and_peer(FAST).await;
    let url = format!("ws://{}{PATH}", node.address);
    for garbage in [
        vec![],
        vec![1],
        vec![0; 99],
        vec![0xff; 165],
        vec![0; 60_000],
        vec![0; 70_000],
    ] {
        let mut socket = Socket::dial(&url).await.unwrap();
        drop(socket.send(garbage).await);
        // A refusal at most.
        while let Ok(answer) = timeout(DEADLINE, socket.receive()).await.unwrap() {
            assert_eq!(answer.len(), 1);
        }
    }
    let mut stream = TcpStream::connect(node.address).await.unwrap();
    stream.write_all(&[0; 1000]).await.unwrap();
    drop(
        timeout(DEADLINE, stream.read_to_end(&mut Vec::new()))
            .await
            .expect("the connection is closed"),
    );
    Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
}

#[tokio::test]
async fn a_recorded_handshake_replaces_no_link() {
    let (node, peer) = node_and_peer(FAST).await;
    let local = peer.local(GENESIS);
    // What the peer once sent, as an eavesdropper has it.
    let hello = Hello::new(GENESIS, peer.party, node.id());
    let prologue = [b"entropy/peer-link/v1".as_slice(), &hello.encode()].concat();
    let mut state = snow::Builder::new("Noise_KK_25519_ChaChaPoly_BLAKE2s".parse().unwrap())
        .local_private_key(&*peer.secret)
        .and_then(|builder| builder.remote_public_key(&node.info.noise_key))
        .and_then(|builder| builder.prologue(&prologue))
        .and_then(snow::Builder::build_initiator)
        .unwrap();
    let mut first = vec![0; 65];
    state.write_message(&[3; 17], &mut first).unwrap();

    let mut raw = Raw::dial(&local, &node.info).await.unwrap();
    until("linked", || node.is_linked(peer.party)).await;
    let mut socket = Socket::dial(&format!("ws://{}{PATH}", node.address))
        .await
        .unwrap();
    socket
        .send([hello.encode().as_slice(), &first].concat())
        .await
        .unwrap();
    assert_eq!(
        socket.receive().await.unwrap().len(),
        64,
        "the first message is genuine"
    );
    socket.send(vec![0; 17]).await.unwrap();
    assert!(socket.receive().await.is_err(), "the proof is not");
    assert_eq!(node.links(peer.party), 1);
    assert!(raw.send(Chunk::Last(b"undisturbed")).await);
    assert_eq!(node.receive().await.1, b"undisturbed");
}

#[tokio::test]
async fn silence_ends_a_connection_and_a_link() {
    let timing = Timing {
        handshake: Duration::from_millis(100),
        ..FAST
    };
    let (node, _) = node_and_peer(timing).await;
    let mut socket = Socket::dial(&format!("ws://{}{PATH}", node.address))
        .await
        .unwrap();
    assert!(
        timeout(DEADLINE, socket.receive())
            .await
            .expect("the handshake has a deadline")
            .is_err()
    );

    let timing = Timing {
        silence: Duration::from_millis(300),
        ..FAST
    };
    let (node, peer) = node_and_peer(timing).await;
    let mut raw = Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
    raw.is_closed().await;
    until("the link is given up", || !node.is_linked(peer.party)).await;
    // A link that was to be replaced, and was not.
    let mut raw = Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
    assert!(raw.send(Chunk::End).await);
    raw.is_closed().await;
    until("the link is given up", || !node.is_linked(peer.party)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_link_is_kept_alive() {
    let timing = Timing {
        keep_alive: Duration::from_millis(10),
        ..FAST
    };
    let (node, peer) = node_and_peer(timing).await;
    let mut raw = Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
    for _ in 0..5 {
        assert_eq!(raw.receive().await.unwrap(), [0]);
    }
}

#[tokio::test]
async fn attempts_that_fail_are_limited_for_each_remote() {
    let (node, _) = node_and_peer(FAST).await;
    let stranger = identity(2);
    let mut last = None;
    for _ in 0..1000 {
        match Raw::dial(&stranger.local(GENESIS), &node.info).await.err() {
            Some(HandshakeError::Refused(Refusal::Stranger)) => {}
            other => {
                last = other;
                break;
            }
        }
    }
    let last = last.expect("strangers are stopped").to_string();
    assert!(last.contains("429"), "{last}");
}

/// Sends `count` numbered frames, of many lengths, while the other end checks that each comes once and in order.
async fn numbered(from: &Node, to: &Node, count: u32) {
    let length = |number: u32| 4 + (number as usize * 7919) % 150_000;
    let send = async {
        for number in 0..count {
            let mut frame = number.to_le_bytes().to_vec();
            frame.resize(length(number), number as u8);
            from.send(to.id(), &frame).await;
        }
    };
    let receive = async {
        for number in 0..count {
            let (_, frame) = to.receive().await;
            assert_eq!(frame[..4], number.to_le_bytes(), "in order");
            assert_eq!(frame.len(), length(number));
        }
    };
    tokio::join!(send, receive);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewing_loses_and_reorders_nothing() {
    let [one, two] = network().await;
    let renewals = async {
        for round in 0..6 {
            let before = one.links(two.id()).min(two.links(one.id()));
            // Either side asks, or both at once, as after a ceremony.
            if round % 3 != 1 {
                one.peers.renew();
            }
            if round % 3 != 0 {
                two.peers.renew();
            }
            until("a fresh link", || {
                one.links(two.id()).min(two.links(one.id())) > before
            })
            .await;
            assert!(one.is_linked(two.id()) && two.is_linked(one.id()));
        }
    };
    tokio::join!(
        numbered(&one, &two, 1500),
        numbered(&two, &one, 1500),
        renewals
    );
    assert!(one.links(two.id()) > 6);
    assert!(one.peers.duplicated().is_empty() && two.peers.duplicated().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_ends_before_its_successor_is_there_is_still_written() {
    let timing = Timing {
        keep_alive: Duration::from_millis(10),
        ..FAST
    };
    let (node, peer) = node_and_peer(timing).await;
    let local = peer.local(GENESIS);
    let mut old = Raw::dial(&local, &node.info).await.unwrap();
    assert!(old.send(Chunk::Last(b"the old link's last")).await);
    assert!(old.send(Chunk::End).await);
    assert_eq!(node.receive().await.1, b"the old link's last");
    for _ in 0..10 {
        assert_eq!(
            old.receive().await.expect("the other direction goes on"),
            [0]
        );
    }
    let mut new = Raw::dial_with(&local, &node.info, true).await.unwrap();
    until("the successor is there", || node.links(peer.party) == 2).await;
    // The other direction ends too, and only then does the new link carry anything.
    while old.receive().await.expect("an end is said") != [4] {}
    assert!(new.send(Chunk::Last(b"the new link's first")).await);
    assert_eq!(node.receive().await.1, b"the new link's first");
    node.send(peer.party, b"back").await;
    while new.receive().await.expect("the new link lives") != *b"\x02back" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_link_is_renewed_by_itself() {
    let timing = Timing {
        renew_after: Duration::from_millis(30),
        ..FAST
    };
    let one = Node::start_with(&identity(1), timing, "127.0.0.1:0".parse().unwrap()).await;
    let two = Node::start(&identity(2)).await;
    one.peers.set_peers(vec![two.info.clone()]);
    two.peers.set_peers(vec![one.info.clone()]);
    tokio::join!(
        numbered(&one, &two, 300),
        until("renewed", || one.links(two.id()) > 3)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_server_lets_nobody_in() {
    let (node, peer) = node_and_peer(FAST).await;
    let mut raw = Raw::dial(&peer.local(GENESIS), &node.info).await.unwrap();
    let routes = node.peers.routes();
    let info = node.info.clone();
    drop(node);
    raw.is_closed().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let moved = ServerInfo {
        endpoint: format!("ws://{}", listener.local_addr().unwrap()).into_bytes(),
        ..info
    };
    let listening = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    assert_eq!(
        refusal(Raw::dial(&peer.local(GENESIS), &moved).await),
        Refusal::Stranger
    );
    listening.abort();
}
