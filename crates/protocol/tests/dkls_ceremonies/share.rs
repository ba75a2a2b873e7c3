//! Shares survive their encoding, and nothing else is read.

use entropy_protocol::{DecodeError, KeyShare};
use proptest::prelude::*;

use super::{SCHEMES, two_of_three};
use entropy_shared::Scheme;

#[test]
fn a_share_is_read_as_it_was_written_and_shows_no_secret() {
    for scheme in SCHEMES {
        for share in two_of_three(scheme).values() {
            let bytes = share.encode();
            let again = KeyShare::decode(&bytes).unwrap();
            assert_eq!(again.public(), share.public());
            assert_eq!(again.encode(), bytes);
            let shown = format!("{share:?}");
            assert!(shown.contains("redacted") && shown.len() < 300, "{shown}");
        }
    }
}

#[test]
fn bans_are_part_of_a_share() {
    let shares = two_of_three(Scheme::EcdsaDkls23);
    let mut parties = shares.keys();
    let (me, other, third) = (
        parties.next().unwrap(),
        parties.next().unwrap(),
        parties.next().unwrap(),
    );
    let mut share = KeyShare::decode(&shares[me].encode()).unwrap();
    assert!(!share.is_banned(other));
    assert!(share.ban(other));
    assert!(!share.ban(other), "is not new");
    assert!(!share.ban(me), "nobody bans itself");
    let again = KeyShare::decode(&share.encode()).unwrap();
    assert!(again.is_banned(other) && !again.is_banned(third) && !again.is_banned(me));
    assert_ne!(share.encode(), shares[me].encode());
}

#[test]
fn a_share_of_somebody_else_or_of_another_curve_is_refused() {
    let shares = two_of_three(Scheme::EcdsaDkls23);
    let mut parties = shares.values();
    let (one, other) = (
        parties.next().unwrap().encode(),
        parties.next().unwrap().encode(),
    );
    // The last parts, which are the secrets, change places: the public package and the party come first, of the same length.
    let secret = one.len().min(other.len()) - 100_000;
    let mixed = [&one[..secret], &other[secret..]].concat();
    assert!(KeyShare::decode(&mixed).is_err());
    let p256 = two_of_three(Scheme::EcdsaP256).values().next().unwrap();
    let mut relabelled = p256.encode().to_vec();
    // Version, genesis, then the scheme.
    relabelled[33] = Scheme::EcdsaDkls23.encode_index();
    assert!(KeyShare::decode(&relabelled).is_err());
}

trait Index {
    fn encode_index(&self) -> u8;
}

impl Index for Scheme {
    fn encode_index(&self) -> u8 {
        codec::Encode::encode(self)[0]
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn altered_or_foreign_bytes_are_an_error_and_no_panic(
        at in any::<prop::sample::Index>(),
        bit in 0u32..8,
        cut in any::<prop::sample::Index>(),
        foreign in prop::collection::vec(any::<u8>(), 0..200),
    ) {
        let share = two_of_three(Scheme::EcdsaDkls23).values().next().unwrap();
        let bytes = share.encode();
        prop_assert!(KeyShare::decode(&bytes[..cut.index(bytes.len())]).is_err());
        prop_assert!(KeyShare::decode(&foreign).is_err());
        let mut longer = bytes.to_vec();
        longer.push(0);
        prop_assert!(matches!(KeyShare::decode(&longer), Err(DecodeError::Malformed(_))));
        // Not every bit of the pairwise set-up is checked, which is why storage is authenticated; none makes it panic.
        let mut altered = bytes.to_vec();
        altered[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(read) = KeyShare::decode(&altered) {
            prop_assert_eq!(read.encode().to_vec(), altered);
        }
    }
}
