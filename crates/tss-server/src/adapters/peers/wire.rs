//! The bytes of a link: the hello before the handshake, the refusal that may answer it, and the chunks inside.
//!
//! All integers are little-endian; golden bytes pin every layout. A WebSocket message carries one Noise message.

use entropy_protocol::PROTOCOL_VERSION;
use entropy_shared::{Genesis, PartyId};

use crate::frames::MAX_FRAME_BYTES;

/// Version of everything in this file and of the handshake.
pub(super) const LINK_VERSION: u16 = 1;

/// The longest Noise message, and so the longest WebSocket message (Noise specification, section 3).
pub(super) const MAX_MESSAGE_BYTES: usize = 65535;

/// What authenticated encryption adds to a message.
pub(super) const TAG_BYTES: usize = 16;

/// The most bytes of a frame in one chunk.
pub(super) const MAX_CHUNK_BYTES: usize = MAX_MESSAGE_BYTES - TAG_BYTES - 1;

/// Who dials whom, in clear before the handshake, and its prologue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hello {
    /// [`LINK_VERSION`] of the dialling side.
    pub(super) link_version: u16,
    /// Version of the ceremonies that the dialling side runs.
    pub(super) protocol_version: u16,
    /// The chain.
    pub(super) genesis: Genesis,
    /// The server that dials.
    pub(super) from: PartyId,
    /// The server that it means to reach.
    pub(super) to: PartyId,
}

/// Length of an encoded [`Hello`].
pub(super) const HELLO_BYTES: usize = 2 + 2 + 3 * 32;

impl Hello {
    /// The hello of this version.
    pub(super) fn new(genesis: Genesis, from: PartyId, to: PartyId) -> Self {
        Self {
            link_version: LINK_VERSION,
            protocol_version: PROTOCOL_VERSION,
            genesis,
            from,
            to,
        }
    }

    /// Versions, genesis, the accounts of the dialling and of the accepting side.
    pub(super) fn encode(&self) -> [u8; HELLO_BYTES] {
        let mut bytes = [0; HELLO_BYTES];
        bytes[..2].copy_from_slice(&self.link_version.to_le_bytes());
        bytes[2..4].copy_from_slice(&self.protocol_version.to_le_bytes());
        bytes[4..36].copy_from_slice(self.genesis.as_bytes());
        bytes[36..68].copy_from_slice(self.from.as_bytes());
        bytes[68..].copy_from_slice(self.to.as_bytes());
        bytes
    }

    /// Reads what [`Self::encode`] gave; every 100 bytes are a hello.
    pub(super) fn decode(bytes: &[u8; HELLO_BYTES]) -> Self {
        let id = |at: usize| {
            let mut id = [0; 32];
            id.copy_from_slice(&bytes[at..at + 32]);
            id
        };
        Self {
            link_version: u16::from_le_bytes([bytes[0], bytes[1]]),
            protocol_version: u16::from_le_bytes([bytes[2], bytes[3]]),
            genesis: Genesis(id(4)),
            from: PartyId(id(36)),
            to: PartyId(id(68)),
        }
    }
}

/// Why the accepting side refuses: one byte in clear, for the other operator's log. Nobody has authenticated it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[repr(u8)]
pub(super) enum Refusal {
    /// Another version of the link or of the ceremonies.
    #[error("the two run different versions of the protocol")]
    Version = 1,
    /// Another chain.
    #[error("the two serve different chains")]
    Chain = 2,
    /// The hello means another server.
    #[error("another server is meant than the one at this address")]
    NotMe = 3,
    /// The chain, as the accepting side sees it, does not name the dialling account as a peer.
    #[error("the dialling server is no peer")]
    Stranger = 4,
    /// The accepting side has the lower account: it is the one to dial.
    #[error("the server with the lower account dials")]
    Direction = 5,
    /// The handshake failed: the dialling side's key is not the one on the chain.
    #[error("the dialling server's key is not the one on the chain")]
    Key = 6,
}

impl Refusal {
    /// Reads the byte.
    pub(super) fn decode(byte: u8) -> Option<Self> {
        [
            Self::Version,
            Self::Chain,
            Self::NotMe,
            Self::Stranger,
            Self::Direction,
            Self::Key,
        ]
        .into_iter()
        .find(|refusal| *refusal as u8 == byte)
    }
}

/// What a Noise message of an established link holds: a kind byte, and for two kinds a piece of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk<'a> {
    /// Nothing; shows that the sender is there. Kind 0.
    KeepAlive,
    /// Exactly [`MAX_CHUNK_BYTES`] of a frame that goes on in the next chunk of a frame. Kind 1.
    Part(&'a [u8]),
    /// The end of a frame. Kind 2.
    Last(&'a [u8]),
    /// Asks the dialling side for a fresh handshake. Kind 3.
    Renew,
    /// The sender sends nothing more on this link. Kind 4.
    End,
}

impl<'a> Chunk<'a> {
    /// The chunks of a frame, in order.
    pub(super) fn of_frame(frame: &'a [u8]) -> impl Iterator<Item = Self> {
        // An empty frame is one empty chunk.
        let count = frame.len().div_ceil(MAX_CHUNK_BYTES).max(1);
        (0..count).map(move |i| {
            let rest = &frame[i * MAX_CHUNK_BYTES..];
            if i + 1 < count {
                Self::Part(&rest[..MAX_CHUNK_BYTES])
            } else {
                Self::Last(rest)
            }
        })
    }

    /// Appends the kind and the piece.
    pub(super) fn encode_to(self, bytes: &mut Vec<u8>) {
        let (kind, piece): (u8, &[u8]) = match self {
            Self::KeepAlive => (0, &[]),
            Self::Part(piece) => (1, piece),
            Self::Last(piece) => (2, piece),
            Self::Renew => (3, &[]),
            Self::End => (4, &[]),
        };
        bytes.push(kind);
        bytes.extend_from_slice(piece);
    }

    /// Reads what [`Self::encode_to`] wrote; `None` for anything else.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        match bytes.split_first()? {
            (0, []) => Some(Self::KeepAlive),
            (1, piece) if piece.len() == MAX_CHUNK_BYTES => Some(Self::Part(piece)),
            (2, piece) => Some(Self::Last(piece)),
            (3, []) => Some(Self::Renew),
            (4, []) => Some(Self::End),
            _ => None,
        }
    }
}

/// A frame would be longer than [`MAX_FRAME_BYTES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLong;

/// Puts a frame's pieces together.
#[derive(Default)]
pub(super) struct Assembler(Vec<u8>);

impl Assembler {
    /// Adds a piece; gives the frame after its last.
    pub(super) fn push(&mut self, piece: &[u8], last: bool) -> Result<Option<Vec<u8>>, TooLong> {
        if self.0.len() + piece.len() > MAX_FRAME_BYTES {
            return Err(TooLong);
        }
        self.0.extend_from_slice(piece);
        Ok(last.then(|| std::mem::take(&mut self.0)))
    }

    /// Whether a frame has begun and not ended.
    pub(super) fn is_partial(&self) -> bool {
        !self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(chunk: Chunk) -> Vec<u8> {
        let mut bytes = Vec::new();
        chunk.encode_to(&mut bytes);
        bytes
    }

    #[test]
    fn golden_bytes_of_the_hello() {
        let hello = Hello::new(
            Genesis([0xaa; 32]),
            PartyId([0xbb; 32]),
            PartyId([0xcc; 32]),
        );
        let expected = format!(
            "01000100{}{}{}",
            "aa".repeat(32),
            "bb".repeat(32),
            "cc".repeat(32)
        );
        assert_eq!(hex::encode(hello.encode()), expected);
        assert_eq!(Hello::decode(&hello.encode()), hello);
    }

    #[test]
    fn golden_bytes_of_chunks() {
        assert_eq!(encoded(Chunk::KeepAlive), [0]);
        assert_eq!(encoded(Chunk::Last(b"abc")), [2, b'a', b'b', b'c']);
        assert_eq!(encoded(Chunk::Last(b"")), [2]);
        assert_eq!(encoded(Chunk::Renew), [3]);
        assert_eq!(encoded(Chunk::End), [4]);
        let piece = vec![7; MAX_CHUNK_BYTES];
        let part = encoded(Chunk::Part(&piece));
        assert_eq!((part[0], part.len()), (1, 65519));
        assert_eq!(Chunk::decode(&part), Some(Chunk::Part(&piece)));
    }

    #[test]
    fn one_chunk_has_one_encoding() {
        for bytes in [&[][..], &[0, 0], &[1], &[1, 2, 3], &[3, 0], &[4, 9], &[5]] {
            assert_eq!(Chunk::decode(bytes), None, "{bytes:?}");
        }
        assert_eq!(
            Chunk::decode(&vec![1; MAX_CHUNK_BYTES]),
            None,
            "a part is full"
        );
    }

    #[test]
    fn frames_of_every_length_come_back() {
        for length in [
            0,
            1,
            MAX_CHUNK_BYTES - 1,
            MAX_CHUNK_BYTES,
            MAX_CHUNK_BYTES + 1,
            3 * MAX_CHUNK_BYTES,
            MAX_FRAME_BYTES,
        ] {
            let frame: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let mut assembler = Assembler::default();
            let mut whole = Vec::new();
            for chunk in Chunk::of_frame(&frame) {
                let bytes = encoded(chunk);
                assert!(bytes.len() + TAG_BYTES <= MAX_MESSAGE_BYTES);
                let complete = match Chunk::decode(&bytes).unwrap() {
                    Chunk::Part(piece) => assembler.push(piece, false),
                    Chunk::Last(piece) => assembler.push(piece, true),
                    other => panic!("{other:?}"),
                };
                whole.extend(complete.unwrap());
            }
            assert_eq!(whole, [frame], "{length} bytes");
        }
    }

    #[test]
    fn a_frame_without_end_takes_bounded_memory() {
        let mut assembler = Assembler::default();
        let piece = vec![0; MAX_CHUNK_BYTES];
        let taken = (0..)
            .take_while(|_| assembler.push(&piece, false).is_ok())
            .count();
        assert_eq!(taken, MAX_FRAME_BYTES / MAX_CHUNK_BYTES);
    }

    #[test]
    fn refusals_have_their_bytes() {
        let all: Vec<_> = (0..=u8::MAX)
            .filter_map(Refusal::decode)
            .map(|refusal| refusal as u8)
            .collect();
        assert_eq!(all, [1, 2, 3, 4, 5, 6]);
    }
}
