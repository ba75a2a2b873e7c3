//! The stored form of a share of scheme `SchnorrTaproot`: one strict encoding, and no secret in any text.

mod common;

use common::{Network, shares, signing_context, signs};
use entropy_protocol::{DecodeError, KeyShare};
use entropy_shared::{DerivationPath, PartyId, Scheme, TaprootTweak};
use proptest::prelude::*;

fn share() -> KeyShare {
    shares(Scheme::SchnorrTaproot, 2, 3, 1)
        .into_values()
        .next()
        .unwrap()
}

/// The secret is the encoding's last field, 32 bytes after its length.
fn secret(encoded: &[u8]) -> &[u8] {
    &encoded[encoded.len() - 32..]
}

#[test]
fn a_decoded_share_signs() {
    let shares = shares(Scheme::SchnorrTaproot, 2, 3, 1);
    let restored: std::collections::BTreeMap<PartyId, KeyShare> = shares
        .iter()
        .map(|(party, share)| (*party, KeyShare::decode(&share.encode()).unwrap()))
        .inspect(|(party, share)| {
            assert_eq!(share.party(), *party);
            assert_eq!(share.public(), shares[party].public());
            assert_eq!(share.encode(), shares[party].encode());
        })
        .collect();
    let signers: Vec<_> = shares.keys().take(2).copied().collect();
    let context = signing_context(
        &restored[&signers[0]],
        &signers,
        DerivationPath::default(),
        TaprootTweak::KeyPath,
        [1; 32],
    );
    assert_eq!(
        Network::orderly(1)
            .run(signs(&context, &restored))
            .outputs()
            .len(),
        2
    );
}

#[test]
fn the_secret_shows_in_no_text() {
    let share = share();
    let secret = secret(&share.encode()).to_vec();
    let text = format!("{share:?} {share:#?}");
    assert!(text.contains("redacted"));
    assert!(!text.contains(&hex::encode(&secret)), "{text}");
    assert!(!text.contains(&format!("{secret:?}")), "{text}");
}

#[test]
fn other_bytes_say_what_is_wrong() {
    let encoded = share().encode();
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
    let secret_at = encoded.len() - 32;
    let mut other = encoded.to_vec();
    other[secret_at + 31] ^= 1;
    assert_eq!(
        error(&other),
        DecodeError::Malformed("the secret does not fit the verification share")
    );
    for not_a_secret in [[0; 32], [0xff; 32]] {
        let mut bytes = encoded.to_vec();
        bytes[secret_at..].copy_from_slice(&not_a_secret);
        assert!(matches!(error(&bytes), DecodeError::Malformed(text) if text.contains("scalar")));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_truncated_share_is_refused(cut in any::<prop::sample::Index>()) {
        let encoded = share().encode();
        prop_assert!(KeyShare::decode(&encoded[..cut.index(encoded.len())]).is_err());
    }

    /// What names the share (genesis, epoch, …) can only be checked by storage; whatever is accepted is read as written.
    #[test]
    fn an_altered_share_never_panics(at in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut altered = share().encode().to_vec();
        let at = at.index(altered.len());
        altered[at] ^= 1 << bit;
        match KeyShare::decode(&altered) {
            Ok(share) => {
                prop_assert!(at < altered.len() - 32, "an altered secret never passes");
                prop_assert_eq!(&*share.encode(), &altered);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    #[test]
    fn garbage_is_refused(bytes: Vec<u8>) {
        prop_assert!(KeyShare::decode(&bytes).is_err());
    }
}
