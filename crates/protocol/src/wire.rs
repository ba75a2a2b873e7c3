//! The envelope around every message of a ceremony. Canonical: one message has one encoding, and all else is refused.

use codec::{Compact, Decode, DecodeAll, Encode};
use entropy_shared::{CeremonyId, PartyId};
use zeroize::Zeroize;

use crate::{
    ceremony::{Failure, Offence},
    context::PROTOCOL_VERSION,
};

/// The longest payload that a peer may send in one message, in bytes. The largest of the protocols is a round of CGGMP'24's auxiliary generation.
pub const MAX_PAYLOAD_BYTES: usize = 512 * 1024;

/// A message on its way: which ceremony, which round, and the protocol's own bytes.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub(crate) struct Envelope {
    pub(crate) version: u16,
    pub(crate) ceremony: CeremonyId,
    pub(crate) round: u8,
    pub(crate) body: Vec<u8>,
}

/// Why bytes are no envelope of this ceremony.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WireError {
    Malformed,
    OtherCeremony,
}

impl Envelope {
    pub(crate) fn seal(ceremony: CeremonyId, round: u8, body: Vec<u8>) -> Vec<u8> {
        let mut envelope = Self {
            version: PROTOCOL_VERSION,
            ceremony,
            round,
            body,
        };
        let payload = envelope.encode();
        // The body may be a secret for the recipient alone; the payload's own copy is the transport's to guard.
        envelope.body.zeroize();
        payload
    }

    /// Parses the envelope; no memory beyond the payload's own length is taken.
    pub(crate) fn open(ceremony: &CeremonyId, payload: &[u8]) -> Result<Self, WireError> {
        if payload.len() > MAX_PAYLOAD_BYTES {
            return Err(WireError::Malformed);
        }
        let envelope = Self::decode_all(&mut &payload[..]).map_err(|_| WireError::Malformed)?;
        // SCALE's decoder takes a length in a longer form than needed; ours has one form only.
        let canonical = Self::HEADER
            + Compact::<u32>(envelope.body.len() as u32).encoded_size()
            + envelope.body.len();
        if canonical != payload.len() {
            return Err(WireError::Malformed);
        }
        if envelope.version != PROTOCOL_VERSION || envelope.ceremony != *ceremony {
            return Err(WireError::OtherCeremony);
        }
        Ok(envelope)
    }

    /// Bytes before the body's length: version, ceremony, round.
    const HEADER: usize = 2 + 32 + 1;
}

/// Reads a message of ours, which must be in its canonical form.
pub(crate) fn decode_body<T: Decode + Encode>(from: &PartyId, body: &[u8]) -> Result<T, Failure> {
    let value = T::decode_all(&mut &*body).ok().filter(|value| {
        let mut again = value.encode();
        let canonical = again == body;
        again.zeroize();
        canonical
    });
    value.ok_or_else(|| Failure::blaming(*from, Offence::Malformed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        let sealed = Envelope::seal(CeremonyId([7; 32]), 3, vec![1, 2, 3]);
        let expected = format!("0100{}03{}", "07".repeat(32), "0c010203");
        assert_eq!(hex::encode(&sealed), expected);
        let opened = Envelope::open(&CeremonyId([7; 32]), &sealed).unwrap();
        assert_eq!((opened.round, opened.body), (3, vec![1, 2, 3]));
    }

    #[test]
    fn other_bytes_are_refused() {
        let id = CeremonyId([7; 32]);
        let sealed = Envelope::seal(id, 3, vec![1, 2, 3]);
        assert_eq!(
            Envelope::open(&CeremonyId([8; 32]), &sealed),
            Err(WireError::OtherCeremony)
        );
        let mut version = sealed.clone();
        version[0] = 2;
        assert_eq!(Envelope::open(&id, &version), Err(WireError::OtherCeremony));
        let mut longer = sealed.clone();
        longer.push(0);
        assert_eq!(Envelope::open(&id, &longer), Err(WireError::Malformed));
        assert_eq!(
            Envelope::open(&id, &sealed[..sealed.len() - 1]),
            Err(WireError::Malformed)
        );
        assert_eq!(Envelope::open(&id, &[]), Err(WireError::Malformed));
        assert_eq!(
            Envelope::open(&id, &vec![0; MAX_PAYLOAD_BYTES + 1]),
            Err(WireError::Malformed)
        );
        // A length that claims more than there is takes no memory.
        let mut claims = sealed[..35].to_vec();
        claims.extend(Compact(u32::MAX).encode());
        assert_eq!(Envelope::open(&id, &claims), Err(WireError::Malformed));
        // The length 3 in the two-byte form of SCALE.
        let mut long_form = sealed[..35].to_vec();
        long_form.extend([0x0d, 0x00, 1, 2, 3]);
        assert_eq!(Envelope::open(&id, &long_form), Err(WireError::Malformed));
    }
}
