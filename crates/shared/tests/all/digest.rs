//! The hashers against published vectors, and what they refuse.

use bitcoin::hashes::{Hash, HashEngine, sha256};
use entropy_shared::{
    Digest, DigestError, Hasher, Scheme,
    digest::{MAX_MESSAGE_BYTES, request_digest, signed_bytes},
    tagged_hash,
};

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

#[test]
fn what_is_signed_is_the_digest_except_for_whole_messages_of_ed25519() {
    for scheme in Scheme::ALL {
        for hasher in Hasher::ALL {
            for message in [&b"pay Bob"[..], &[7; 32], b""] {
                let signed = signed_bytes(scheme, hasher, message);
                let named = request_digest(scheme, hasher, message);
                if (scheme, hasher) == (Scheme::SchnorrEd25519, Hasher::Identity) {
                    assert_eq!(signed.unwrap(), message);
                    // Even a message of 32 bytes is named by its hash: a name is never what is signed.
                    assert_ne!(named.unwrap().0, message);
                } else {
                    let digest = hasher.digest(message);
                    assert_eq!(named, digest);
                    assert_eq!(
                        signed.map(|bytes| bytes.to_vec()),
                        digest.map(|digest| digest.0.to_vec())
                    );
                }
            }
        }
    }
}

#[test]
fn whole_messages_are_named_by_these_hashes() {
    for (message, name) in [
        (
            &b"pay Bob"[..],
            "6269fc3357d04437305cd02fd4c6c5cb0f522a8c9840216b2b91e38b5c71ed22",
        ),
        (
            &[b'x'; 100],
            "2cedff95787d512b50f261e7c7c8f2c99db280c43165807e8daaca7df42e781d",
        ),
        (
            b"",
            "227bed93388fa710227163df59b6c6b2ccd58dc3b214daf482c319d33a8c4304",
        ),
    ] {
        let named = request_digest(Scheme::SchnorrEd25519, Hasher::Identity, message);
        assert_eq!(named, Ok(Digest(hex32(name))));
    }
}

#[test]
fn a_whole_message_has_a_largest_size_too() {
    let (most, scheme) = (MAX_MESSAGE_BYTES as usize, Scheme::SchnorrEd25519);
    assert!(signed_bytes(scheme, Hasher::Identity, &vec![0; most]).is_ok());
    assert!(request_digest(scheme, Hasher::Identity, &vec![0; most]).is_ok());
    let (long, error) = (vec![0; most + 1], DigestError::TooLong(most + 1));
    for hasher in Hasher::ALL {
        assert_eq!(signed_bytes(scheme, hasher, &long), Err(error));
        assert_eq!(request_digest(scheme, hasher, &long), Err(error));
    }
}
