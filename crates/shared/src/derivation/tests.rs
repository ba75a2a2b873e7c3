//! The steps of BIP-32 and SLIP-10 by themselves, on the published vectors: their chain codes are not ours, so the public interface can't reach them.

use core::str::FromStr;

use bitcoin::bip32::Xpub;
use k256::{Secp256k1, elliptic_curve::PrimeField};
use p256::NistP256;

use super::{
    DerivationError,
    weierstrass::{Child, Steps, child, child_offset, parse, scalar},
};
use crate::{signature::Weierstrass, tagged_hash};

/// Parent, index, child: every non-hardened step of BIP-32's test vectors 1 to 3.
const STEPS: [(&str, u32, &str); 6] = [
    (
        "xpub68Gmy5EdvgibQVfPdqkBBCHxA5htiqg55crXYuXoQRKfDBFA1WEjWgP6LHhwBZeNK1VTsfTFUHCdrfp1bgwQ9xv5ski8PX9rL2dZXvgGDnw",
        1,
        "xpub6ASuArnXKPbfEwhqN6e3mwBcDTgzisQN1wXN9BJcM47sSikHjJf3UFHKkNAWbWMiGj7Wf5uMash7SyYq527Hqck2AxYysAA7xmALppuCkwQ",
    ),
    (
        "xpub6D4BDPcP2GT577Vvch3R8wDkScZWzQzMMUm3PWbmWvVJrZwQY4VUNgqFJPMM3No2dFDFGTsxxpG5uJh7n7epu4trkrX7x7DogT5Uv6fcLW5",
        2,
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
    ),
    (
        "xpub6FHa3pjLCk84BayeJxFW2SP4XRrFd1JYnxeLeU8EqN3vDfZmbqBqaGJAyiLjTAwm6ZLRQUMv1ZACTj37sR62cfN7fe5JnJ7dh8zL4fiyLHV",
        1_000_000_000,
        "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy",
    ),
    (
        "xpub661MyMwAqRbcFW31YEwpkMuc5THy2PSt5bDMsktWQcFF8syAmRUapSCGu8ED9W6oDMSgv6Zz8idoc4a6mr8BDzTJY47LJhkJ8UB7WEGuduB",
        0,
        "xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH",
    ),
    (
        "xpub6ASAVgeehLbnwdqV6UKMHVzgqAG8Gr6riv3Fxxpj8ksbH9ebxaEyBLZ85ySDhKiLDBrQSARLq1uNRts8RuJiHjaDMBU4Zn9h8LZNnBC5y4a",
        1,
        "xpub6DF8uhdarytz3FWdA8TvFSvvAh8dP3283MY7p2V4SeE2wyWmG5mg5EwVvmdMVCQcoNJxGoWaU9DCWh89LojfZ537wTfunKau47EL2dhHKon",
    ),
    (
        "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL",
        2,
        "xpub6FnCn6nSzZAw5Tw7cgR9bi15UV96gLZhjDstkXXxvCLsUXBGXPdSnLFbdpq8p9HmGsApME5hQTZ3emM2rnY5agb9rXpVGyy3bdW6EEgAtqt",
    ),
];

/// Parent, index, child: every non-hardened step of SLIP-10's vectors for nist256p1, each key as (chain code, secret, public key).
/// The last is that of "derivation retry".
const SLIP10_STEPS: [([&str; 3], u32, [&str; 3]); 7] = [
    (
        [
            "3460cea53e6a6bb5fb391eeef3237ffd8724bf0a40e94943c98b83825342ee11",
            "6939694369114c67917a182c59ddb8cafc3004e63ca5d3b84403ba8613debc0c",
            "0384610f5ecffe8fda089363a41f56a5c7ffc1d81b59a612d0d649b2d22355590c",
        ],
        1,
        [
            "4187afff1aafa8445010097fb99d23aee9f599450c7bd140b6826ac22ba21d0c",
            "284e9d38d07d21e4e281b645089a94f4cf5a5a81369acf151a1c3a57f18b2129",
            "03526c63f8d0b4bbbf9c80df553fe66742df4676b241dabefdef67733e070f6844",
        ],
    ),
    (
        [
            "98c7514f562e64e74170cc3cf304ee1ce54d6b6da4f880f313e8204c2a185318",
            "694596e8a54f252c960eb771a3c41e7e32496d03b954aeb90f61635b8e092aa7",
            "0359cf160040778a4b14c5f4d7b76e327ccc8c4a6086dd9451b7482b5a4972dda0",
        ],
        2,
        [
            "ba96f776a5c3907d7fd48bde5620ee374d4acfd540378476019eab70790c63a0",
            "5996c37fd3dd2679039b23ed6f70b506c6b56b3cb5e424681fb0fa64caf82aaa",
            "029f871f4cb9e1c97f9f4de9ccd0d4a2f2a171110c61178f84430062230833ff20",
        ],
    ),
    (
        [
            "ba96f776a5c3907d7fd48bde5620ee374d4acfd540378476019eab70790c63a0",
            "5996c37fd3dd2679039b23ed6f70b506c6b56b3cb5e424681fb0fa64caf82aaa",
            "029f871f4cb9e1c97f9f4de9ccd0d4a2f2a171110c61178f84430062230833ff20",
        ],
        1_000_000_000,
        [
            "b9b7b82d326bb9cb5b5b121066feea4eb93d5241103c9e7a18aad40f1dde8059",
            "21c4f269ef0a5fd1badf47eeacebeeaa3de22eb8e5b0adcd0f27dd99d34d0119",
            "02216cd26d31147f72427a453c443ed2cde8a1e53c9cc44e5ddf739725413fe3f4",
        ],
    ),
    (
        [
            "96cd4465a9644e31528eda3592aa35eb39a9527769ce1855beafc1b81055e75d",
            "eaa31c2e46ca2962227cf21d73a7ef0ce8b31c756897521eb6c7b39796633357",
            "02c9e16154474b3ed5b38218bb0463e008f89ee03e62d22fdcc8014beab25b48fa",
        ],
        0,
        [
            "84e9c258bb8557a40e0d041115b376dd55eda99c0042ce29e81ebe4efed9b86a",
            "d7d065f63a62624888500cdb4f88b6d59c2927fee9e6d0cdff9cad555884df6e",
            "039b6df4bece7b6c81e2adfeea4bcf5c8c8a6e40ea7ffa3cf6e8494c61a1fc82cc",
        ],
    ),
    (
        [
            "f235b2bc5c04606ca9c30027a84f353acf4e4683edbd11f635d0dcc1cd106ea6",
            "96d2ec9316746a75e7793684ed01e3d51194d81a42a3276858a5b7376d4b94b9",
            "02f89c5deb1cae4fedc9905f98ae6cbf6cbab120d8cb85d5bd9a91a72f4c068c76",
        ],
        1,
        [
            "7c0b833106235e452eba79d2bdd58d4086e663bc8cc55e9773d2b5eeda313f3b",
            "974f9096ea6873a915910e82b29d7c338542ccde39d2064d1cc228f371542bbc",
            "03abe0ad54c97c1d654c1852dfdc32d6d3e487e75fa16f0fd6304b9ceae4220c64",
        ],
    ),
    (
        [
            "5794e616eadaf33413aa309318a26ee0fd5163b70466de7a4512fd4b1a5c9e6a",
            "da29649bbfaff095cd43819eda9a7be74236539a29094cd8336b07ed8d4eff63",
            "03cb8cb067d248691808cd6b5a5a06b48e34ebac4d965cba33e6dc46fe13d9b933",
        ],
        2,
        [
            "3bfb29ee8ac4484f09db09c2079b520ea5616df7820f071a20320366fbe226a7",
            "bb0a77ba01cc31d77205d51d08bd313b979a71ef4de9b062f8958297e746bd67",
            "020ee02e18967237cf62672983b253ee62fa4dd431f8243bfeccdf39dbe181387f",
        ],
    ),
    (
        [
            "e94c8ebe30c2250a14713212f6449b20f3329105ea15b652ca5bdfc68f6c65c2",
            "06f0db126f023755d0b8d86d4591718a5210dd8d024e3e14b6159d63f53aa669",
            "02519b5554a4872e8c9c1c847115363051ec43e93400e030ba3c36b52a3e70a5b7",
        ],
        33_941,
        [
            "9e87fe95031f14736774cd82f25fd885065cb7c358c1edf813c72af535e83071",
            "092154eed4af83e078ff9b84322015aefe5769e31270f62c3f66c33888335f3a",
            "0235bfee614c0d5b2cae260000bb1d0d84b270099ad790022c1ae0b2e782efe120",
        ],
    ),
];

fn hex<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

fn step<C: Weierstrass>(
    steps: Steps,
    parent: &[u8; 33],
    chain_code: &[u8; 32],
    index: u32,
) -> Result<Child<C>, DerivationError> {
    child(
        steps,
        &parse::<C>(parent).unwrap(),
        parent,
        chain_code,
        index,
    )
}

#[test]
fn a_step_is_that_of_the_published_vectors() {
    for (parent, index, child) in STEPS {
        let (parent, child) = (
            Xpub::from_str(parent).unwrap(),
            Xpub::from_str(child).unwrap(),
        );
        let chain_code = parent.chain_code.as_bytes();
        let ours = step::<Secp256k1>(
            Steps::Bip32,
            &parent.public_key.serialize(),
            chain_code,
            index,
        )
        .unwrap();
        assert_eq!(ours.bytes, child.public_key.serialize());
        assert_eq!(ours.chain_code, *child.chain_code.as_bytes());
    }
}

#[test]
fn a_step_on_p256_is_that_of_the_published_vectors() {
    for ([chain_code, secret, public], index, [child_chain_code, child_secret, child_public]) in
        SLIP10_STEPS
    {
        let ours = step::<NistP256>(Steps::Slip10, &hex(public), &hex(chain_code), index).unwrap();
        assert_eq!(ours.bytes, hex(child_public));
        assert_eq!(ours.chain_code, hex(child_chain_code));
        let secret = scalar::<NistP256>(&hex(secret)).unwrap() + ours.tweak;
        assert_eq!(secret.to_repr()[..], hex::<32>(child_secret));
    }
}

#[test]
fn where_bip32_has_no_child_slip10_hashes_again() {
    let retried = SLIP10_STEPS.map(|([chain_code, _, public], index, _)| {
        step::<NistP256>(Steps::Bip32, &hex(public), &hex(chain_code), index).err()
    });
    let [first @ .., last] = retried;
    assert_eq!(first, [None; 6]);
    assert_eq!(last, Some(DerivationError::Unlucky));
}

#[test]
fn a_hash_that_is_no_scalar_is_hashed_again() {
    fn check<C: Weierstrass>() {
        let beyond = [0xff; 32];
        assert_eq!(scalar::<C>(&beyond), None);
        let again = tagged_hash("entropy/child-offset-again/v1", &beyond);
        assert_eq!(child_offset::<C>(beyond).ok(), scalar::<C>(&again));
        assert_eq!(child_offset::<C>(again).ok(), scalar::<C>(&again));
        assert!(scalar::<C>(&again).is_some());
    }
    check::<Secp256k1>();
    check::<NistP256>();
}
