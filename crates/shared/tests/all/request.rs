//! The lifecycle of a request.

use entropy_shared::{
    AccountId, DerivationError, DerivationPath, Digest, DigestError, Hasher, KeyId, RequestId,
    Scheme, Signature, SignatureError, TaprootTweak,
    lifecycle::request::{
        KeyRecord, OpenError, RequestContent, RequestRecord, RequestState, ResultError,
        may_request, open, request_id,
    },
    view::OpenRequest,
};
use proptest::prelude::*;

use crate::support::{GENESIS, Root, parameters};

const OWNER: AccountId = AccountId([2; 32]);
const NOW: u32 = 100;

fn key(scheme: Scheme, root: &Root) -> (KeyId, KeyRecord) {
    let id = KeyId::of(&GENESIS, scheme, &OWNER, &[0; 32]);
    let path = DerivationPath::default();
    let verifying_key = entropy_shared::derivation::derive(scheme, &root.key(), &id, &path)
        .unwrap()
        .key;
    (
        id,
        KeyRecord {
            owner: OWNER,
            scheme,
            salt: [0; 32],
            verifying_key,
            programs: vec![],
            registered: 1,
        },
    )
}

fn content(key: KeyId) -> RequestContent {
    RequestContent {
        key,
        message: b"pay Bob".to_vec(),
        hasher: Hasher::Sha256,
        path: "m/0/5".parse().unwrap(),
        tweak: TaprootTweak::None,
    }
}

fn opened(scheme: Scheme, root: &Root) -> RequestRecord {
    let (id, key) = key(scheme, root);
    open(content(id), OWNER, &key, &root.key(), NOW, &parameters()).unwrap()
}

fn answer_to(record: &RequestRecord, root: &Root) -> Signature {
    root.sign(
        record.scheme,
        &record.content.key,
        &record.content.path,
        &record.digest,
    )
}

#[test]
fn a_request_is_answered_by_a_signature_under_its_final_key() {
    for scheme in [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot] {
        let root = Root::new(5);
        let record = opened(scheme, &root);
        assert_eq!(record.digest, Hasher::Sha256.digest(b"pay Bob").unwrap());
        assert_eq!(
            (record.submitted, record.expires),
            (NOW, NOW + parameters().request_expiry_blocks)
        );
        assert_eq!(record.state, RequestState::Open);
        assert_eq!(
            record.final_key,
            root.final_key(scheme, &record.content.key, &record.content.path)
        );

        let signature = answer_to(&record, &root);
        assert_eq!(record.check_result(&signature, NOW + 1), Ok(()));
        let answered = record.answer(signature, NOW + 1).unwrap();
        assert_eq!(
            answered.state,
            RequestState::Signed {
                signature,
                at: NOW + 1
            }
        );
        assert_eq!(
            answered.clone().answer(signature, NOW + 2),
            Err(ResultError::NotOpen)
        );
        assert_eq!(answered.clone().expire(u32::MAX), answered);
    }
}

#[test]
fn a_signature_of_something_else_does_not_answer() {
    let root = Root::new(5);
    let record = opened(Scheme::SchnorrTaproot, &root);
    let refused = |signature| {
        let Err(ResultError::Signature(error)) = record.check_result(&signature, NOW) else {
            panic!("{signature} was taken")
        };
        error
    };
    let other = Digest([9; 32]);
    let path = &record.content.path;
    let id = &record.content.key;
    assert_eq!(
        refused(root.sign(record.scheme, id, path, &other)),
        SignatureError::Invalid
    );
    assert_eq!(
        refused(root.sign(record.scheme, &KeyId([9; 32]), path, &record.digest)),
        SignatureError::Invalid
    );
    assert_eq!(
        refused(root.sign(
            record.scheme,
            id,
            &DerivationPath::default(),
            &record.digest
        )),
        SignatureError::Invalid
    );
    assert_eq!(
        refused(answer_to(&record, &Root::new(6))),
        SignatureError::Invalid
    );
    let ecdsa = root.sign(Scheme::EcdsaCggmp24, id, path, &record.digest);
    assert_eq!(refused(ecdsa), SignatureError::WrongKind);
}

#[test]
fn a_request_expires_in_its_block_and_not_before() {
    let root = Root::new(5);
    let record = opened(Scheme::SchnorrTaproot, &root);
    let signature = answer_to(&record, &root);
    let expires = record.expires;
    assert_eq!(record.clone().expire(expires - 1), record);
    assert_eq!(record.check_result(&signature, expires - 1), Ok(()));
    // Whether or not somebody has marked it as expired.
    assert_eq!(
        record.check_result(&signature, expires),
        Err(ResultError::NotOpen)
    );
    let expired = record.expire(expires);
    assert_eq!(expired.state, RequestState::Expired { at: expires });
    assert_eq!(
        expired.answer(signature, expires - 1),
        Err(ResultError::NotOpen)
    );
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let root = Root::new(5);
    let (id, key) = key(Scheme::EcdsaCggmp24, &root);
    let ask = |content, requester| open(content, requester, &key, &root.key(), NOW, &parameters());
    assert!(may_request(&key, &OWNER));
    assert_eq!(
        ask(content(id), AccountId([3; 32])),
        Err(OpenError::NotAllowed)
    );
    let identity = RequestContent {
        hasher: Hasher::Identity,
        ..content(id)
    };
    assert_eq!(
        ask(identity, OWNER),
        Err(OpenError::Digest(DigestError::NotADigest(7)))
    );
    let long = RequestContent {
        message: vec![0; 8193],
        ..content(id)
    };
    assert_eq!(
        ask(long, OWNER),
        Err(OpenError::Digest(DigestError::TooLong(8193)))
    );
    let tweaked = RequestContent {
        tweak: TaprootTweak::KeyPath,
        ..content(id)
    };
    assert_eq!(
        ask(tweaked, OWNER),
        Err(OpenError::Derivation(DerivationError::TweakWithoutTaproot))
    );
}

#[test]
fn a_taproot_request_names_the_output_key() {
    let root = Root::new(5);
    let (id, key) = key(Scheme::SchnorrTaproot, &root);
    let tweaks = [
        TaprootTweak::None,
        TaprootTweak::KeyPath,
        TaprootTweak::MerkleRoot([1; 32]),
    ];
    let keys = tweaks.map(|tweak| {
        let content = RequestContent {
            tweak,
            ..content(id)
        };
        open(content, OWNER, &key, &root.key(), NOW, &parameters())
            .unwrap()
            .final_key
    });
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
}

#[test]
fn the_compact_form_says_what_the_record_says() {
    let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
    let id = RequestId([1; 32]);
    let compact = OpenRequest::new(id, &record);
    assert_eq!(
        (compact.id, compact.key, compact.scheme),
        (id, record.content.key, record.scheme)
    );
    assert_eq!(
        (compact.requester, compact.digest, compact.final_key),
        (OWNER, record.digest, record.final_key)
    );
    assert_eq!(
        (compact.path, compact.tweak),
        (record.content.path, record.content.tweak)
    );
    assert_eq!(
        (compact.submitted, compact.expires),
        (record.submitted, record.expires)
    );
}

proptest! {
    #[test]
    fn an_id_depends_on_everything(nonce: u32, other: u32, message: Vec<u8>, another: Vec<u8>) {
        let with = |nonce, message: &Vec<u8>| {
            let content = RequestContent { message: message.clone(), ..content(KeyId([0; 32])) };
            request_id(&GENESIS, &OWNER, nonce, &content)
        };
        prop_assert_eq!(with(nonce, &message) == with(other, &message), nonce == other);
        prop_assert_eq!(with(nonce, &message) == with(nonce, &another), message == another);
    }
}
