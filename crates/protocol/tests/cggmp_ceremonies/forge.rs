//! manul's messages, written down a second time: what a cheater needs who speaks the protocol and has its own key.

use ed25519_dalek::{Signer, SigningKey};
use entropy_shared::tagged_hash;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::common::Packet;

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) destination: [u8; 32],
    pub(crate) direct: Part,
    pub(crate) echo: Part,
    pub(crate) normal: Part,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Part {
    signature: Vec<u8>,
    pub(crate) metadata: Metadata,
    pub(crate) payload: Option<Vec<u8>>,
}

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub(crate) session: Vec<u8>,
    pub(crate) numbers: Vec<u8>,
    pub(crate) is_echo: bool,
}

/// The payload of an echo round: what its sender has seen of each broadcast.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Echoes(pub(crate) Vec<([u8; 32], Echo)>);

#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Echo {
    pub(crate) signature: Vec<u8>,
    metadata: Metadata,
    hash: Vec<u8>,
}

impl Part {
    fn sign(&mut self, kind: u8, account: &SigningKey) {
        let mut hash = Sha256::new_with_prefix(b"ProtocolMessagePart").chain_update([kind]);
        match &self.payload {
            None => hash.update([0]),
            Some(payload) => {
                hash.update([1]);
                hash.update((payload.len() as u64).to_be_bytes());
                hash.update(payload);
            }
        }
        let hash = hash.finalize();
        let digest = Sha256::new_with_prefix(b"SignedMessagePartDigest")
            .chain_update(postcard::to_allocvec(&self.metadata).unwrap())
            .chain_update((hash.len() as u64).to_be_bytes())
            .chain_update(hash);
        let digest: [u8; 32] = digest.finalize().into();
        self.signature = account
            .sign(&tagged_hash("entropy/cggmp/message/v1", &digest))
            .to_vec();
    }
}

/// The message that this packet carries.
pub(crate) fn message(packet: &Packet) -> Message {
    let body = packet.frame().body;
    let message: Message = postcard::from_bytes(&body).unwrap();
    assert_eq!(
        postcard::to_allocvec(&message).unwrap(),
        body,
        "the forger knows the format"
    );
    message
}

/// The same message with other content, signed by `account`.
pub(crate) fn forge(
    packet: &Packet,
    account: &SigningKey,
    edit: impl FnOnce(&mut Message),
) -> Packet {
    let mut message = message(packet);
    edit(&mut message);
    message.echo.sign(0, account);
    message.normal.sign(1, account);
    message.direct.sign(2, account);
    packet.with_body(postcard::to_allocvec(&message).unwrap())
}
