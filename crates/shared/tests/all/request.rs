//! The lifecycle of a request.

use entropy_shared::{
    AccountId, DerivationError, DerivationPath, Digest, DigestError, Hasher, KeyId, Parameters,
    RequestId, Scheme, Signature, SignatureError, TaprootTweak, VerifyingKey,
    derivation::derive,
    digest::signed_bytes,
    lifecycle::{
        key::ActiveKey,
        registry::{KeyRecord, Requesters},
        request::{
            CancelError, OpenError, Refusal, RefusalError, RequestContent, RequestFailure,
            RequestRecord, RequestState, ResultError, fee, open, request_id,
        },
    },
    view::OpenRequest,
};
use proptest::prelude::*;

use crate::{
    signature::ed25519,
    support::{GENESIS, Root, committee, parameters, party},
};

const OWNER: AccountId = AccountId([2; 32]);
const NOW: u32 = 100;

fn key(scheme: Scheme, root: &Root) -> (KeyId, KeyRecord) {
    let id = KeyId::of(&GENESIS, scheme, &OWNER, &[0; 32]);
    let path = DerivationPath::default();
    let verifying_key = derive(scheme, &root.key(), &id, &path).unwrap().key;
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
fn the_fee_doubles_with_each_eighth_of_the_list_that_is_taken() {
    let parameters = Parameters {
        request_fee: 10,
        ..Parameters::default()
    };
    for (open, expected) in [(0, 10), (127, 10), (128, 20), (512, 160), (1_023, 1_280)] {
        assert_eq!(fee(open, 1_024, &parameters), expected, "{open}");
    }
    // Whatever the runtime says.
    assert_eq!(fee(9, 0, &parameters), 2_560);
    let dear = Parameters {
        request_fee: u128::MAX,
        ..parameters
    };
    assert_eq!(fee(1_024, 1_024, &dear), u128::MAX);
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
    assert_eq!(
        cancelled.clone().fail(RequestFailure::KeyClosed, NOW + 2),
        cancelled
    );
}

#[test]
fn more_than_n_minus_t_refusals_fail_a_request_with_what_most_of_them_say() {
    let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
    let cannot = |accused: &[u8]| Refusal::CannotSign {
        accused: accused.iter().copied().map(party).collect(),
    };
    let refuse = |record: RequestRecord, number, refusal: &Refusal, epoch| {
        record.refuse(party(number), epoch, refusal.clone(), &holders(epoch), NOW)
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

#[test]
fn a_refusal_counts_in_its_epoch_only() {
    let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
    let refuse = |record: &RequestRecord, number, said, epoch| {
        let refusal = Refusal::ProgramRefused;
        record
            .clone()
            .refuse(party(number), said, refusal, &holders(epoch), NOW)
    };
    assert_eq!(refuse(&record, 1, 2, 1), Err(RefusalError::Future));
    let once = refuse(&record, 1, 1, 1).unwrap();
    // The change of holders forgets it with the next refusal; nobody brings it back.
    assert_eq!(refuse(&once, 1, 1, 2), Err(RefusalError::Obsolete));
    let anew = refuse(&once, 2, 2, 2).unwrap();
    assert_eq!(refuse(&anew, 1, 1, 2), Err(RefusalError::Obsolete));
    // The same party may say the same again as one of the new holders.
    let failed = refuse(&anew, 1, 2, 2).unwrap();
    assert!(failed.failure().is_some());
}

#[test]
fn the_reason_of_a_failure_is_what_most_say_or_the_first_of_several() {
    let none = || Refusal::CannotSign { accused: vec![] };
    let reason_of = |said: &[Refusal]| {
        let wide = ActiveKey {
            committee: committee(6, 6 - (said.len() as u16 - 1)),
            ..holders(1)
        };
        let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
        let record = said
            .iter()
            .zip(1..)
            .fold(record, |record, (refusal, number)| {
                record
                    .refuse(party(number), 1, refusal.clone(), &wide, NOW)
                    .unwrap()
            });
        match record.failure() {
            Some(RequestFailure::Refused { reason, .. }) => reason.clone(),
            other => panic!("too few are left, but it stands as {other:?}"),
        }
    };
    use Refusal::{NotAuthorised, ProgramRefused, ProgramsNotSupported};
    assert_eq!(reason_of(&[ProgramRefused]), ProgramRefused);
    assert_eq!(reason_of(&[none(), none(), NotAuthorised]), none());
    assert_eq!(
        reason_of(&[none(), ProgramRefused, ProgramsNotSupported]),
        ProgramsNotSupported
    );
    assert_eq!(
        reason_of(&[none(), NotAuthorised, none(), NotAuthorised]),
        NotAuthorised
    );
}

#[test]
fn a_key_that_is_closed_ends_what_is_open_and_gives_up_what_is_over() {
    let record = opened(Scheme::SchnorrTaproot, &Root::new(5));
    let last = record.expires - 1;
    let closed = record.clone().fail(RequestFailure::KeyClosed, last);
    assert_eq!(
        closed.state,
        RequestState::Failed {
            failure: RequestFailure::KeyClosed,
            at: last
        }
    );
    assert_eq!(
        closed
            .clone()
            .fail(RequestFailure::KeyTransferred, last + 1),
        closed
    );
    let over = record.expires;
    assert_eq!(
        record.fail(RequestFailure::KeyClosed, over).state,
        RequestState::Expired { at: over }
    );
}

#[test]
fn ed25519_signs_a_whole_message_or_the_digest_that_the_hasher_makes() {
    use curve25519_dalek::{EdwardsPoint, Scalar};
    let scheme = Scheme::SchnorrEd25519;
    let secret = Scalar::from(42u8);
    let root = EdwardsPoint::mul_base(&secret).compress().to_bytes();
    let root = VerifyingKey::Ed25519(root);
    let id = KeyId::of(&GENESIS, scheme, &OWNER, &[0; 32]);
    let (_, taproot) = key(Scheme::SchnorrTaproot, &Root::new(5));
    for (hasher, message) in [
        (Hasher::Identity, vec![]),
        (Hasher::Identity, vec![7; 32]),
        (Hasher::Identity, vec![7; 8_192]),
        (Hasher::Sha256, vec![7; 100]),
    ] {
        let content = RequestContent {
            hasher,
            message: message.clone(),
            ..content(id)
        };
        let registered = KeyRecord {
            scheme,
            ..taproot.clone()
        };
        let record = open(content, OWNER, &registered, &root, None, NOW, &parameters()).unwrap();
        let derived = derive(scheme, &root, &id, &record.content.path).unwrap();
        let child = secret + Scalar::from_canonical_bytes(derived.offset).unwrap();
        let (of_message, of_digest) = (
            ed25519::sign(&child, &message).1,
            ed25519::sign(&child, &record.digest.0).1,
        );
        let (right, wrong) = match hasher {
            Hasher::Identity => (of_message, of_digest),
            _ => (of_digest, of_message),
        };
        assert_eq!(
            record.check_result(&Signature::Ed25519(wrong), NOW),
            Err(ResultError::Signature(SignatureError::Invalid))
        );
        let answered = record.answer(Signature::Ed25519(right), NOW);
        assert!(matches!(
            answered.unwrap().state,
            RequestState::Signed { .. }
        ));
    }
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
        refusal: Refusal,
        said: u32,
    },
    Cancel {
        by_requester: bool,
    },
    /// Others hold the root key from now on.
    NextEpoch,
    Expire,
    Close,
}

fn refusals() -> impl Strategy<Value = Refusal> {
    let accused = proptest::collection::vec((1u8..=6).prop_map(party), 0..4);
    prop_oneof![
        1 => Just(Refusal::NotAuthorised),
        1 => Just(Refusal::ProgramsNotSupported),
        1 => Just(Refusal::ProgramRefused),
        3 => accused.prop_map(|accused| Refusal::CannotSign { accused }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (1u32..30).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(|right| Step::Answer { right }),
        8 => (1u8..=6, refusals(), 0u32..=4)
            .prop_map(|(number, refusal, said)| Step::Refuse { number, refusal, said }),
        1 => any::<bool>().prop_map(|by_requester| Step::Cancel { by_requester }),
        1 => Just(Step::NextEpoch),
        1 => Just(Step::Expire),
        1 => Just(Step::Close),
    ];
    proptest::collection::vec(step, 0..40)
}

proptest! {
    #[test]
    fn in_every_history_a_request_ends_once_and_what_is_recorded_verifies(
        scheme in prop_oneof![Just(Scheme::EcdsaCggmp24), Just(Scheme::SchnorrTaproot)],
        lifetime in 1u32..=200,
        size in 4u8..=6,
        steps in steps(),
    ) {
        let root = Root::new(5);
        let (id, key) = key(scheme, &root);
        let mut record = open(content(id), OWNER, &key, &root.key(), Some(lifetime), NOW, &parameters()).unwrap();
        let right = answer_to(&record, &root);
        let wrong = root.sign(scheme, &id, &record.content.path, &Digest([9; 32]));
        let mut holders = ActiveKey { committee: committee(size, 3), ..holders(1) };
        let spare = usize::from(size) - 3;
        let mut now = NOW;
        let mut refused = Vec::new();
        for step in steps {
            let before = record.clone();
            let open = before.check_open(now).is_ok();
            let after = match step {
                Step::Wait(blocks) => {
                    now += blocks;
                    None
                }
                Step::NextEpoch => {
                    holders.epoch += 1;
                    refused.clear();
                    None
                }
                Step::Answer { right: is_right } => {
                    let result = record.clone().answer(if is_right { right } else { wrong }, now);
                    prop_assert_eq!(result.is_ok(), is_right && open);
                    result.ok()
                }
                Step::Refuse { number, refusal, said } => {
                    let check = record.check_refusal(&party(number), said, &refusal, &holders, now);
                    let result = record.clone().refuse(party(number), said, refusal, &holders, now);
                    prop_assert_eq!(check.err(), result.clone().err());
                    if result.is_ok() {
                        prop_assert!(open && said == holders.epoch && number <= size);
                        prop_assert!(!refused.contains(&number), "one refusal of each");
                        refused.push(number);
                        let failed = result.as_ref().is_ok_and(|record| record.failure().is_some());
                        prop_assert_eq!(failed, refused.len() > spare, "of the present holders");
                    }
                    result.ok()
                }
                Step::Cancel { by_requester } => {
                    let who = if by_requester { OWNER } else { AccountId([9; 32]) };
                    let result = record.clone().cancel(&who, now);
                    prop_assert_eq!(result.is_ok(), by_requester && open);
                    result.ok()
                }
                Step::Expire => Some(record.clone().expire(now)),
                Step::Close => Some(record.clone().fail(RequestFailure::KeyClosed, now)),
            };
            if let Some(after) = after {
                record = after;
            }
            if before.state != RequestState::Open {
                prop_assert_eq!(&record, &before, "a request ends once");
            } else {
                let in_time = now < record.expires;
                match &record.state {
                    RequestState::Open => {}
                    RequestState::Expired { at } => prop_assert!(*at == now && !in_time),
                    RequestState::Signed { at, .. } | RequestState::Cancelled { at } => {
                        prop_assert!(*at == now && in_time);
                    }
                    RequestState::Failed { failure, at } => {
                        prop_assert!(*at == now && in_time);
                        if let RequestFailure::Refused { blamed, .. } = failure {
                            for party in blamed {
                                let accusers = record.refusals.by.iter().filter(|(_, refusal)| {
                                    matches!(refusal, Refusal::CannotSign { accused } if accused.contains(party))
                                });
                                prop_assert!(accusers.count() > spare);
                            }
                        }
                    }
                }
            }
            if let RequestState::Signed { signature, .. } = record.state {
                let of = &record.content;
                let signed = signed_bytes(record.scheme, of.hasher, &of.message).unwrap();
                prop_assert_eq!(signature.verify(&record.final_key, &signed), Ok(()));
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
