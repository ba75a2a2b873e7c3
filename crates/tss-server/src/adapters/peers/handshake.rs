//! Proves to both sides of a new connection who the other is.

use entropy_shared::{Genesis, PartyId};
use snow::{Builder, HandshakeState, StatelessTransportState};
use zeroize::Zeroizing;

use super::{
    socket::{Socket, SocketError},
    wire::{Chunk, HELLO_BYTES, Hello, LINK_VERSION, MAX_MESSAGE_BYTES, Refusal, TAG_BYTES},
};

const PATTERN: &str = "Noise_KK_25519_ChaChaPoly_BLAKE2s";
const PROLOGUE: &[u8] = b"entropy/peer-link/v1";

/// Drawn when a process starts: two processes with the same keys have different ones.
pub(super) type BootId = [u8; 16];

const DH_BYTES: usize = 32;
/// Ephemeral key, boot id, whether the link replaces a live one, tag.
const FIRST_BYTES: usize = DH_BYTES + 17 + TAG_BYTES;
/// Ephemeral key, boot id, tag.
const SECOND_BYTES: usize = DH_BYTES + 16 + TAG_BYTES;

/// This side of every link.
pub(super) struct Local {
    /// The server.
    pub(super) me: PartyId,
    /// Its X25519 secret.
    pub(super) noise_secret: Zeroizing<[u8; 32]>,
    /// The chain.
    pub(super) genesis: Genesis,
    /// This process.
    pub(super) boot: BootId,
}

/// What a handshake ends in.
pub(super) struct Session {
    /// The keys of both directions.
    pub(super) noise: StatelessTransportState,
    /// Number of the next message to send.
    pub(super) send_nonce: u64,
    /// Number of the next message to receive.
    pub(super) receive_nonce: u64,
    /// The static key that the other side has proven.
    pub(super) remote_key: [u8; 32],
    /// The other side's process.
    pub(super) remote_boot: BootId,
    /// Whether the dialling side's previous link still works, so that it can hand over.
    pub(super) renews: bool,
}

/// Why there is no link.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandshakeError {
    /// The connection.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The other side's word.
    #[error("the peer refuses: {0}")]
    Refused(Refusal),
    /// Our word to the other side.
    #[error("refused {from}, as it calls itself: {why}")]
    Refuse {
        /// Whom.
        from: PartyId,
        /// Why.
        why: Refusal,
    },
    /// What came is no message of the handshake.
    #[error("the other side does not follow the handshake")]
    Malformed,
    /// What came was made with other keys or for another hello.
    #[error("the other side does not have the key that the chain names: {0}")]
    Noise(#[from] snow::Error),
}

impl Local {
    fn state(
        &self,
        hello: &Hello,
        remote_key: &[u8; 32],
        dials: bool,
    ) -> Result<HandshakeState, snow::Error> {
        let prologue = [PROLOGUE, &hello.encode()].concat();
        let builder = Builder::new(PATTERN.parse()?)
            .local_private_key(&*self.noise_secret)?
            .remote_public_key(remote_key)?
            .prologue(&prologue)?;
        if dials {
            builder.build_initiator()
        } else {
            builder.build_responder()
        }
    }
}

/// The dialling side.
pub(super) async fn initiate(
    socket: &mut Socket,
    local: &Local,
    peer: &PartyId,
    peer_key: &[u8; 32],
    renews: bool,
) -> Result<Session, HandshakeError> {
    let hello = Hello::new(local.genesis, local.me, *peer);
    let mut state = local.state(&hello, peer_key, true)?;
    let mut payload = local.boot.to_vec();
    payload.push(u8::from(renews));
    let mut first = vec![0; FIRST_BYTES];
    state.write_message(&payload, &mut first)?;
    socket
        .send([hello.encode().as_slice(), &first].concat())
        .await?;

    let second = socket.receive().await?;
    if let [byte] = second[..] {
        return Err(
            Refusal::decode(byte).map_or(HandshakeError::Malformed, HandshakeError::Refused)
        );
    }
    let remote_boot = read::<16>(&mut state, &second, SECOND_BYTES)?;
    let noise = state.into_stateless_transport_mode()?;
    let mut proof = vec![0; 1 + TAG_BYTES];
    let mut plain = Vec::with_capacity(1);
    Chunk::KeepAlive.encode_to(&mut plain);
    noise.write_message(0, &plain, &mut proof)?;
    socket.send(proof).await?;
    Ok(Session {
        noise,
        send_nonce: 1,
        receive_nonce: 0,
        remote_key: *peer_key,
        remote_boot,
        renews,
    })
}

/// The accepting side. `key_of` knows the peers' static keys.
pub(super) async fn respond(
    socket: &mut Socket,
    local: &Local,
    key_of: impl Fn(&PartyId) -> Option<[u8; 32]>,
) -> Result<(PartyId, Session), HandshakeError> {
    let opening = socket.receive().await?;
    let (hello, first) = opening
        .split_first_chunk::<HELLO_BYTES>()
        .ok_or(HandshakeError::Malformed)?;
    let hello = Hello::decode(hello);
    let from = hello.from;
    let (mut state, remote_key) = match judge(&hello, local, key_of) {
        Ok(key) => (local.state(&hello, &key, false)?, key),
        Err(why) => return refuse(socket, from, why).await,
    };
    let Ok(payload) = read::<17>(&mut state, first, FIRST_BYTES) else {
        return refuse(socket, from, Refusal::Key).await;
    };
    let mut remote_boot = [0; 16];
    remote_boot.copy_from_slice(&payload[..16]);
    let mut second = vec![0; SECOND_BYTES];
    state.write_message(&local.boot, &mut second)?;
    socket.send(second).await?;

    let noise = state.into_stateless_transport_mode()?;
    let proof = socket.receive().await?;
    let mut plain = vec![0; MAX_MESSAGE_BYTES];
    let length = noise.read_message(0, &proof, &mut plain)?;
    if Chunk::decode(&plain[..length]) != Some(Chunk::KeepAlive) {
        return Err(HandshakeError::Malformed);
    }
    let renews = payload[16] == 1;
    Ok((
        from,
        Session {
            noise,
            send_nonce: 0,
            receive_nonce: 1,
            remote_key,
            remote_boot,
            renews,
        },
    ))
}

/// The key to expect, or why the hello is refused.
fn judge(
    hello: &Hello,
    local: &Local,
    key_of: impl Fn(&PartyId) -> Option<[u8; 32]>,
) -> Result<[u8; 32], Refusal> {
    let ours = Hello::new(local.genesis, hello.from, local.me);
    if hello.link_version != LINK_VERSION || hello.protocol_version != ours.protocol_version {
        return Err(Refusal::Version);
    }
    if hello.genesis != ours.genesis {
        return Err(Refusal::Chain);
    }
    if hello.to != ours.to {
        return Err(Refusal::NotMe);
    }
    let key = key_of(&hello.from).ok_or(Refusal::Stranger)?;
    if hello.from >= local.me {
        Err(Refusal::Direction)
    } else {
        Ok(key)
    }
}

async fn refuse<T>(socket: &mut Socket, from: PartyId, why: Refusal) -> Result<T, HandshakeError> {
    socket.send(vec![why as u8]).await?;
    Err(HandshakeError::Refuse { from, why })
}

/// Reads a handshake message of exactly `length` bytes with a payload of `N`.
fn read<const N: usize>(
    state: &mut HandshakeState,
    message: &[u8],
    length: usize,
) -> Result<[u8; N], HandshakeError> {
    if message.len() != length {
        return Err(HandshakeError::Malformed);
    }
    let mut payload = [0; N];
    if state.read_message(message, &mut payload)? != N {
        return Err(HandshakeError::Malformed);
    }
    Ok(payload)
}
