//! The lifecycle of a request.

use entropy_shared::{
    AccountId, DerivationError, DerivationPath, Digest, DigestError, Hasher, KeyId, RequestId,
    Scheme, Signature, SignatureError, TaprootTweak,
    lifecycle::{
        key::ActiveKey,
        registry::{KeyRecord, Requesters},
        request::{
            CancelError, OpenError, Refusal, RefusalError, RequestContent, RequestFailure,
            RequestRecord, RequestState, ResultError, open, request_id,
        },
    },
    view::OpenRequest,
};
use proptest::prelude::*;

use crate::support::{GENESIS, Root, committee, parameters, party};

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
            offered_to: None,
            registrant: OWNER,
            scheme,
            salt: [0; 32],
            verifying_key,
            programs: vec![],
            requesters: Requesters::Owner,
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
    open(
        content(id),
        OWNER,
        &key,
        &root.key(),
        None,
        NOW,
        &parameters(),
    )
    .unwrap()
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
    let ask = |content, requester| {
        open(
            content,
            requester,
            &key,
            &root.key(),
            None,
            NOW,
            &parameters(),
        )
    };
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
        open(content, OWNER, &key, &root.key(), None, NOW, &parameters())
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

fn holders(epoch: u32) -> ActiveKey {
    ActiveKey {
        epoch,
        attempt: 1,
        committee: committee(4, 3),
        root_key: Root::new(5).key(),
        public_digest: Digest([0; 32]),
        protocol_version: 1,
        since: 1,
        attempts: 0,
    }
}

#[test]
fn a_life_time_is_within_what_the_chain_allows() {
    let root = Root::new(5);
    let (id, key) = key(Scheme::SchnorrTaproot, &root);
    let most = parameters().request_expiry_blocks;
    let ask = |lifetime| {
        open(
            content(id),
            OWNER,
            &key,
            &root.key(),
            lifetime,
            NOW,
            &parameters(),
        )
        .map(|record| record.expires - NOW)
    };
    assert_eq!(ask(None), Ok(most));
    assert_eq!(ask(Some(1)), Ok(1));
    assert_eq!(ask(Some(most)), Ok(most));
    for bad in [0, most + 1, u32::MAX] {
        assert_eq!(ask(Some(bad)), Err(OpenError::LifeTime(most)));
    }
}

#[test]
fn only_who_asked_cancels_while_the_request_is_open() {
    let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
    let stranger = AccountId([9; 32]);
    assert_eq!(
        record.clone().cancel(&stranger, NOW),
        Err(CancelError::NotRequester)
    );
    assert_eq!(
        record.clone().cancel(&OWNER, record.expires),
        Err(CancelError::NotOpen)
    );
    let cancelled = record.cancel(&OWNER, NOW + 1).unwrap();
    assert_eq!(cancelled.state, RequestState::Cancelled { at: NOW + 1 });
    assert_eq!(
        cancelled.clone().cancel(&OWNER, NOW + 2),
        Err(CancelError::NotOpen)
    );
    assert_eq!(cancelled.clone().close(NOW + 2), cancelled);
}

#[test]
fn more_than_n_minus_t_refusals_fail_a_request_with_what_most_of_them_say() {
    let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
    let cannot = |accused: &[u8]| Refusal::CannotSign {
        accused: accused.iter().copied().map(party).collect(),
    };
    let refuse = |record: RequestRecord, number, refusal: &Refusal, epoch| {
        record.refuse(party(number), refusal.clone(), &holders(epoch), NOW)
    };
    assert_eq!(
        refuse(record.clone(), 5, &cannot(&[]), 1),
        Err(RefusalError::NotAHolder)
    );
    for accused in [&[1][..], &[5], &[2, 2], &[1, 2, 3, 4]] {
        assert_eq!(
            refuse(record.clone(), 1, &cannot(accused), 1),
            Err(RefusalError::BadAccusation)
        );
    }
    // Three of four sign: one may refuse.
    let once = refuse(record, 1, &cannot(&[3]), 1).unwrap();
    assert_eq!(once.state, RequestState::Open);
    assert_eq!(
        refuse(once.clone(), 1, &Refusal::NotAuthorised, 1),
        Err(RefusalError::Repeated)
    );
    // In another epoch the refusals of this one are forgotten.
    let anew = refuse(once.clone(), 2, &Refusal::NotAuthorised, 2).unwrap();
    assert_eq!((anew.refusals.epoch, anew.refusals.by.len()), (2, 1));
    assert_eq!(anew.state, RequestState::Open);
    let failed = refuse(once, 2, &cannot(&[3, 4]), 1).unwrap();
    let expected = RequestFailure::Refused {
        reason: cannot(&[]),
        blamed: vec![party(3)],
    };
    assert_eq!(failed.failure(), Some(&expected));
    assert_eq!(
        refuse(failed, 3, &Refusal::NotAuthorised, 1),
        Err(RefusalError::NotOpen)
    );
}

/// What may be done to a request.
#[derive(Clone, Debug)]
enum Step {
    Wait(u32),
    Answer {
        right: bool,
    },
    Refuse {
        number: u8,
        accused: Vec<u8>,
        epoch: u32,
    },
    Cancel {
        by_requester: bool,
    },
    Expire,
    Close,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1u32..60).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(|right| Step::Answer { right }),
        4 => (1u8..=5, proptest::collection::vec(1u8..=5, 0..3), 1u32..=2)
            .prop_map(|(number, accused, epoch)| Step::Refuse { number, accused, epoch }),
        1 => any::<bool>().prop_map(|by_requester| Step::Cancel { by_requester }),
        1 => Just(Step::Expire),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn in_every_history_a_request_ends_once_and_what_is_recorded_verifies(steps in steps()) {
        let root = Root::new(5);
        let mut record = opened(Scheme::SchnorrTaproot, &root);
        let right = answer_to(&record, &root);
        let mut now = NOW;
        for step in steps {
            let before = record.clone();
            let after = match step {
                Step::Wait(blocks) => {
                    now += blocks;
                    None
                }
                Step::Answer { right: is_right } => {
                    let signature = if is_right { right } else { Signature::Bip340([1; 64]) };
                    let result = record.clone().answer(signature, now);
                    prop_assert_eq!(result.is_ok(), is_right && before.check_open(now).is_ok());
                    result.ok()
                }
                Step::Refuse { number, accused, epoch } => {
                    let refusal = Refusal::CannotSign { accused: accused.into_iter().map(party).collect() };
                    let check = record.check_refusal(&party(number), &refusal, &holders(epoch), now);
                    let result = record.clone().refuse(party(number), refusal, &holders(epoch), now);
                    prop_assert_eq!(check.is_ok(), result.is_ok());
                    result.ok()
                }
                Step::Cancel { by_requester } => {
                    let who = if by_requester { OWNER } else { AccountId([9; 32]) };
                    record.clone().cancel(&who, now).ok()
                }
                Step::Expire => Some(record.clone().expire(now)),
                Step::Close => Some(record.clone().close(now)),
            };
            if let Some(after) = after {
                record = after;
            }
            if before.state != RequestState::Open {
                prop_assert_eq!(&record, &before, "a request ends once");
            }
            prop_assert!(record.refusals.by.len() <= 2, "a second refusal ends it");
            if let RequestState::Signed { signature, .. } = record.state {
                prop_assert_eq!(signature.verify(&record.final_key, &record.digest.0), Ok(()));
            }
            prop_assert_eq!((&record.content, record.final_key), (&before.content, before.final_key));
        }
    }

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
