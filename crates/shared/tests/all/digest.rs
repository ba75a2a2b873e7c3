//! The hashers against published vectors, and what they refuse.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use entropy_shared::{Digest, DigestError, Hasher, digest::MAX_MESSAGE_BYTES, tagged_hash};

use crate::support::hex32;

#[test]
fn hashers_are_those_of_the_published_vectors() {
    let vectors: [(Hasher, &[u8], &str); 8] = [
        (
            Hasher::Sha256,
            b"",
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ),
        (
            Hasher::Sha256,
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Hasher::DoubleSha256,
            b"hello",
            "9595c9df90075148eb06860365df33584b75bff782a510c6cd4883a419833d50",
        ),
        (
            Hasher::Keccak256,
            b"",
            "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470",
        ),
        (
            Hasher::Keccak256,
            b"abc",
            "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45",
        ),
        (
            Hasher::Blake2b256,
            b"abc",
            "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319",
        ),
        (
            Hasher::Sha3_256,
            b"",
            "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
        ),
        (
            Hasher::Sha3_256,
            b"abc",
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        ),
    ];
    for (hasher, message, digest) in vectors {
        assert_eq!(
            hasher.digest(message),
            Ok(Digest(hex32(digest))),
            "{hasher} of {message:?}"
        );
    }
}

#[test]
fn identity_takes_a_digest_and_nothing_else() {
    assert_eq!(Hasher::Identity.digest(&[7; 32]), Ok(Digest([7; 32])));
    for length in [0, 31, 33, 64] {
        assert_eq!(
            Hasher::Identity.digest(&vec![0; length]),
            Err(DigestError::NotADigest(length))
        );
    }
}

#[test]
fn a_message_has_a_largest_size() {
    let most = MAX_MESSAGE_BYTES as usize;
    for hasher in Hasher::ALL {
        assert_eq!(
            hasher.digest(&vec![0; most + 1]),
            Err(DigestError::TooLong(most + 1)),
            "{hasher}"
        );
        if hasher != Hasher::Identity {
            assert!(hasher.digest(&vec![0; most]).is_ok(), "{hasher}");
        }
    }
}

#[test]
fn the_tagged_hash_is_that_of_bip340() {
    let tag = sha256::Hash::hash(b"BIP0340/challenge").to_byte_array();
    let mut engine = sha256::Hash::engine();
    [&tag[..], &tag[..], &[42; 32]]
        .iter()
        .for_each(|part| engine.input(part));
    let expected = sha256::Hash::from_engine(engine).to_byte_array();
    assert_eq!(tagged_hash("BIP0340/challenge", &[42u8; 32]), expected);
}
