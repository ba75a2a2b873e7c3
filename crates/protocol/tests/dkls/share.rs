//! The stored form of a share: one strict encoding, any damage refused, and no secret in any text.

use entropy_protocol::{DecodeError, KeyShare};
use entropy_shared::Scheme;
use proptest::prelude::*;

use crate::{
    Shares,
    common::{Network, signs},
    context, parties, shares,
    sign::judge,
};

fn any_share() -> &'static KeyShare {
    shares(Scheme::EcdsaDkls23, 2, 3).values().next().unwrap()
}

#[test]
fn a_decoded_share_signs() {
    for scheme in [Scheme::EcdsaDkls23, Scheme::EcdsaP256] {
        let shares = shares(scheme, 2, 3);
        let restored: Shares = shares
            .iter()
            .map(|(party, share)| (*party, KeyShare::decode(&share.encode()).unwrap()))
            .inspect(|(party, share)| {
                assert_eq!(share.party(), *party);
                assert_eq!(share.public(), shares[party].public());
                assert_eq!(share.encode(), shares[party].encode());
            })
            .collect();
        let context = context(&restored, &parties(&restored)[1..], "m/3");
        let outputs = Network::orderly(1)
            .run(signs(&context, &restored))
            .outputs();
        outputs
            .values()
            .for_each(|signature| judge(&context, signature));
        let size = shares.values().next().unwrap().encode().len();
        println!("{scheme}: a share of three parties has {size} bytes");
    }
}

/// The secret is a list of bytes at the end of the share, a checksum of 32 bytes at its start, then version and Shamir share.
fn secret_at(encoded: &[u8], share: &KeyShare) -> usize {
    use codec::Encode;
    let length = encoded.len() - 1 - share.public().encoded_size() - 32;
    encoded.len() - (length - 4)
}

/// Shares of 2 of 2 that were stored when the encoding was made: they are read, are written the same again, and sign.
///
/// Their random numbers are the library's own and cannot be made again. To replace them, with a new version: run the ignored test below.
#[test]
fn golden_shares_sign() {
    let golden: [&[u8]; 2] = [
        include_bytes!("../golden/dkls_share_1.bin"),
        include_bytes!("../golden/dkls_share_2.bin"),
    ];
    let shares: Shares = golden
        .iter()
        .map(|bytes| {
            let share = KeyShare::decode(bytes).unwrap();
            assert_eq!(share.encode().as_slice(), *bytes);
            (share.party(), share)
        })
        .collect();
    let context = context(&shares, &parties(&shares), "m/1");
    let outputs = Network::orderly(1).run(signs(&context, &shares)).outputs();
    assert_eq!(outputs.len(), 2);
    outputs
        .values()
        .for_each(|signature| judge(&context, signature));
}

#[test]
#[ignore = "writes the golden shares anew"]
fn write_golden_shares() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");
    for (number, share) in shares(Scheme::EcdsaDkls23, 2, 2).values().enumerate() {
        let file = format!("{folder}/dkls_share_{}.bin", number + 1);
        std::fs::write(file, share.encode()).unwrap();
    }
}

#[test]
fn the_secret_shows_in_no_text() {
    let (share, encoded) = (any_share(), any_share().encode());
    let at = secret_at(&encoded, share) + 32 + 1;
    let secret = &encoded[at..at + 32];
    let text = format!("{share:?} {share:#?}");
    assert!(text.contains("redacted"));
    assert!(!text.contains(&hex::encode(secret)), "{text}");
    assert!(!text.contains(&format!("{secret:?}")), "{text}");
}

/// Another party's secret, or one of another key, in this party's record.
#[test]
fn a_foreign_secret_is_refused() {
    let mine = any_share().encode();
    let at = secret_at(&mine, any_share());
    let others = shares(Scheme::EcdsaDkls23, 2, 3).values().skip(1);
    let other_key = crate::common::shares(Scheme::EcdsaDkls23, 2, 3, 7);
    for other in others.chain(other_key.values()) {
        let theirs = other.encode();
        let mut mixed = mine[..at].to_vec();
        mixed.extend_from_slice(&theirs[secret_at(&theirs, other)..]);
        assert_eq!(
            KeyShare::decode(&mixed).unwrap_err(),
            DecodeError::Malformed("damaged, or of another package or party")
        );
    }
}

#[test]
fn other_bytes_say_what_is_wrong() {
    let encoded = any_share().encode();
    let error = |bytes: &[u8]| KeyShare::decode(bytes).unwrap_err();
    assert_eq!(error(&[]), DecodeError::Malformed("empty"));
    let mut version = encoded.to_vec();
    version[0] = 2;
    assert_eq!(error(&version), DecodeError::Version(2));
    let mut longer = encoded.to_vec();
    longer.push(0);
    assert_eq!(
        error(&longer),
        DecodeError::Malformed("not the expected fields")
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_share_is_refused(cut in any::<prop::sample::Index>()) {
        let encoded = any_share().encode();
        prop_assert!(KeyShare::decode(&encoded[..cut.index(encoded.len())]).is_err());
    }

    /// Wherever it is: a damaged set-up would get an innocent peer banned.
    #[test]
    fn an_altered_share_is_refused(at in any::<prop::sample::Index>(), front: bool, bit in 0u8..8) {
        let mut altered = any_share().encode().to_vec();
        let end = if front { secret_at(&altered, any_share()) + 96 } else { altered.len() };
        let at = at.index(end);
        altered[at] ^= 1 << bit;
        prop_assert!(KeyShare::decode(&altered).is_err());
    }

    #[test]
    fn garbage_is_refused(bytes: Vec<u8>) {
        prop_assert!(KeyShare::decode(&bytes).is_err());
    }
}
