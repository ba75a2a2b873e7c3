//! What servers say to each other inside an authenticated link. Canonical bytes, pinned by golden tests.

use codec::{Decode, DecodeAll, Encode};
use entropy_protocol::{MAX_PAYLOAD_BYTES, Subject};
use entropy_shared::{CeremonyId, Digest, PartyId};

/// The longest frame, in bytes.
pub const MAX_FRAME_BYTES: usize = MAX_PAYLOAD_BYTES + 64;

/// Something that one server tells another.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub enum Frame {
    /// A message of a running ceremony.
    #[codec(index = 0)]
    Ceremony {
        /// Which one.
        id: CeremonyId,
        /// The ceremony's own bytes.
        payload: Vec<u8>,
    },
    /// A leader asks whether the recipient would sign.
    #[codec(index = 1)]
    Invite(Invitation),
    /// An answer: would sign, with a fresh nonce for the ceremony's id.
    #[codec(index = 2)]
    Accept {
        /// The invitation's number.
        invitation: [u8; 16],
        /// The nonce.
        nonce: [u8; 32],
    },
    /// An answer: would not sign.
    #[codec(index = 3)]
    Decline {
        /// The invitation's number.
        invitation: [u8; 16],
        /// Why.
        reason: DeclineReason,
    },
    /// The leader names the signers, each with its nonce, in ascending order; the ceremony begins.
    #[codec(index = 4)]
    Begin {
        /// The invitation's number.
        invitation: [u8; 16],
        /// Signers and nonces.
        signers: Vec<(PartyId, [u8; 32])>,
    },
}

/// What a leader wants signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct Invitation {
    /// Chosen by the leader at random, new for each attempt.
    pub number: [u8; 16],
    /// What for.
    pub subject: Subject,
    /// Digest of the public package of the shares that are to sign.
    pub public_digest: Digest,
}

/// Why a server would not sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub enum DeclineReason {
    /// It does not know the request or the proof, in the blocks that it has seen so far.
    #[codec(index = 0)]
    Unknown,
    /// It does not take the sender for the leader, now.
    #[codec(index = 1)]
    NotLeader,
    /// It already takes part in an attempt at the same.
    #[codec(index = 2)]
    Busy,
    /// It has no such share.
    #[codec(index = 3)]
    NoShare,
    /// The finalized state does not authorise the request.
    #[codec(index = 4)]
    NotAuthorised,
    /// The key has programs attached, which this version cannot evaluate.
    #[codec(index = 5)]
    ProgramsNotSupported,
}

impl Frame {
    /// Reads a frame; `None` for anything but exactly one.
    pub fn decode_strict(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > MAX_FRAME_BYTES {
            return None;
        }
        let frame = Self::decode_all(&mut &bytes[..]).ok()?;
        // One frame has one encoding: SCALE also reads lengths in longer forms.
        (frame.encode() == bytes).then_some(frame)
    }
}

#[cfg(test)]
mod tests {
    use entropy_shared::{RequestId, Scheme};
    use proptest::prelude::*;

    use super::*;

    fn check(frame: &Frame, expected: &str) {
        assert_eq!(hex::encode(frame.encode()), expected);
        assert_eq!(Frame::decode_strict(&frame.encode()).as_ref(), Some(frame));
    }

    #[test]
    fn golden_bytes() {
        let (number, party) = ("07".repeat(16), "0a".repeat(32));
        let ceremony = Frame::Ceremony {
            id: CeremonyId([3; 32]),
            payload: vec![1, 2, 3],
        };
        check(&ceremony, &format!("00{}0c010203", "03".repeat(32)));
        let invite = |subject| {
            Frame::Invite(Invitation {
                number: [7; 16],
                subject,
                public_digest: Digest([9; 32]),
            })
        };
        let digest = "09".repeat(32);
        let request = invite(Subject::Request(RequestId([5; 32])));
        check(
            &request,
            &format!("01{number}00{}{digest}", "05".repeat(32)),
        );
        let proof = invite(Subject::Proof {
            scheme: Scheme::SchnorrTaproot,
            epoch: 1,
            attempt: 2,
            set: 1,
        });
        check(&proof, &format!("01{number}0103010000000200000001{digest}"));
        let accept = Frame::Accept {
            invitation: [7; 16],
            nonce: [4; 32],
        };
        check(&accept, &format!("02{number}{}", "04".repeat(32)));
        let decline = Frame::Decline {
            invitation: [7; 16],
            reason: DeclineReason::ProgramsNotSupported,
        };
        check(&decline, &format!("03{number}05"));
        let begin = Frame::Begin {
            invitation: [7; 16],
            signers: vec![(PartyId([10; 32]), [4; 32])],
        };
        check(&begin, &format!("04{number}04{party}{}", "04".repeat(32)));
    }

    #[test]
    fn anything_but_one_canonical_frame_is_refused() {
        let frame = Frame::Ceremony {
            id: CeremonyId([3; 32]),
            payload: vec![1, 2, 3],
        };
        let bytes = frame.encode();
        assert_eq!(Frame::decode_strict(&[]), None);
        assert_eq!(Frame::decode_strict(&bytes[..bytes.len() - 1]), None);
        assert_eq!(Frame::decode_strict(&[&bytes[..], &[0]].concat()), None);
        assert_eq!(Frame::decode_strict(&[9]), None);
        let long_length = [&bytes[..33], &[0x0d, 0x00, 1, 2, 3]].concat();
        assert_eq!(Frame::decode_strict(&long_length), None);
        let claims = [&bytes[..33], &[0xfe, 0xff, 0xff, 0xff]].concat();
        assert_eq!(Frame::decode_strict(&claims), None);
        let oversized = Frame::Ceremony {
            id: CeremonyId([3; 32]),
            payload: vec![0; MAX_FRAME_BYTES],
        };
        assert_eq!(Frame::decode_strict(&oversized.encode()), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_decodes_encodes_to_the_same(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(frame) = Frame::decode_strict(&bytes) {
                prop_assert_eq!(frame.encode(), bytes);
            }
        }
    }
}
