//! Golden values of every hash under a tag, and of the encodings behind them.

use codec::{Decode, Encode, MaxEncodedLen};
use entropy_shared::{
    AccountId, DerivationPath, Digest, Genesis, Hasher, KeyId, PartyId, ProgramId, PublicPackage,
    RequestId, Scheme, Signature, TaprootTweak, VerifyingKey,
    canonical::{
        MAX_ENDPOINT_BYTES, MAX_VALIDITY_BLOCKS, ServerInfo, ValidityError, attempt_report_bytes,
        binding_bytes, blocks_left, proof_digest, ready_bytes, refusal_bytes, result_bytes,
    },
    derivation::derive,
    digest::tagged_hash,
    lifecycle::{
        key::{
            ActiveKey, Attempt, AttemptOutcome, AttemptReport, AttemptResult, KeyState, Reported,
            Suspect, begin,
        },
        registry::{
            AttachedProgram, KeyRecord, MAX_CONFIGURATION_BYTES, MAX_PROGRAMS, MAX_REQUESTERS,
            Requesters,
        },
        request::{
            Refusal, Refusals, RequestContent, RequestFailure, RequestRecord, RequestState,
            request_id,
        },
    },
};

use crate::support::{GENESIS, committee, failed, hex32, hex33, parameters, party};

const OWNER: AccountId = AccountId([2; 32]);
const SALT: [u8; 32] = [3; 32];
const SERVER: PartyId = PartyId([4; 32]);
/// 7 G.
const ROOT: &str = "025cbdf0646e5db4eaa398f365f2ea7a0e3d419b7e0330e39ce92bddedcac4f9bc";

fn info() -> ServerInfo {
    ServerInfo {
        server: SERVER,
        endpoint: b"ws://127.0.0.1:4001".to_vec(),
        noise_key: [5; 32],
    }
}

fn ready() -> AttemptReport {
    let result = AttemptResult {
        public_digest: Digest([6; 32]),
        root_key: VerifyingKey::Secp256k1(hex33(ROOT)),
    };
    let proof = Signature::EcdsaSecp256k1([7; 65]);
    AttemptReport {
        server: SERVER,
        scheme: Scheme::EcdsaCggmp24,
        epoch: 1,
        attempt: 2,
        outcome: AttemptOutcome::Ready { result, proof },
    }
}

fn content() -> RequestContent {
    RequestContent {
        key: KeyId([12; 32]),
        message: b"hello".to_vec(),
        hasher: Hasher::Sha256,
        path: DerivationPath::new(vec![0, 5]).unwrap(),
        tweak: TaprootTweak::MerkleRoot([13; 32]),
    }
}

#[test]
fn ids_are_golden() {
    assert_eq!(
        KeyId::of(&GENESIS, Scheme::EcdsaCggmp24, &OWNER, &SALT).0,
        hex32("b1d4506ee565e9b6d4e025725cc8fd2d7a4a5bc92b0e31eac9e5b363fc613a99")
    );
    assert_eq!(
        KeyId::of(&GENESIS, Scheme::SchnorrTaproot, &OWNER, &SALT).0,
        hex32("1d071429eb0af97ee1becf7b935334d8c58c6cadce0183f68bda9f0ec9225da7")
    );
    assert_eq!(
        KeyId::of_proof(&GENESIS, Scheme::EcdsaCggmp24).0,
        hex32("4e7887424cd222a6be18aa1fa281dde504a0d052401aa0c466deba1ef3a240a9")
    );
    assert_eq!(
        KeyId::of_proof(&GENESIS, Scheme::SchnorrTaproot).0,
        hex32("65367bc75ffd49d2eeb0314f879b4ea872533b1d940b0b4ad5f625109f5d1452")
    );
    assert_eq!(
        ProgramId::of(b"\0asm\x01\0\0\0", b"{}").0,
        hex32("ac98eeea40f332103a5b99613ff119980ad5156aa517620c700abc7be259add2")
    );
    assert_eq!(
        request_id(&GENESIS, &OWNER, 4, &content()).0,
        hex32("5d3eb0493810636f12f73e817fcda94f3fedbd2bf2b9720d3ef1b521fc410403")
    );
}

#[test]
fn signed_bytes_are_golden() {
    assert_eq!(
        binding_bytes(&GENESIS, &OWNER, &info()),
        hex32("b1eb6e38e9fe38f56f5e7b77264406a65d66d7920961eb041f39f975349adeae")
    );
    assert_eq!(
        attempt_report_bytes(&GENESIS, &ready(), 99),
        hex32("a0c8a497bd86b17a1c8ab6b54e231c5b11e2b8182d655a5b7eed5739ddeed6e3")
    );
    let failure = failed(
        SERVER,
        Scheme::SchnorrTaproot,
        3,
        vec![party(10), party(11)],
    );
    assert_eq!(
        attempt_report_bytes(&GENESIS, &failure, 99),
        hex32("2ce55eb2e7bdcd5b8b130ba0e816a1f59e6b4108cbf7a41afcc434722db45dbe")
    );
    assert_eq!(
        ready_bytes(&GENESIS, &SERVER, 3, 99),
        hex32("a8366aac8b515e581c7a54fc0c365d9593daa7980f8344cf4dd41926c46ace3e")
    );
    let signature = Signature::Bip340([8; 64]);
    assert_eq!(
        result_bytes(&GENESIS, &SERVER, &RequestId([9; 32]), &signature, 77),
        hex32("ef6ecc6a4dfcfc6a8270d244abdaf1a3b6a53b453ce9be59b1929987433fda65")
    );
    let refusal = Refusal::CannotSign {
        accused: vec![party(10)],
    };
    assert_eq!(
        refusal_bytes(&GENESIS, &SERVER, &RequestId([9; 32]), 5, &refusal, 77),
        hex32("b649520522aea8f84344aec0d9446db60ab204c358c24569a56864b5c215d13a")
    );
    assert_eq!(
        proof_digest(&GENESIS, Scheme::EcdsaCggmp24, 1, 2, &Digest([6; 32])).0,
        hex32("b97820ef895d1d5a8a1d986ef02a3027a0b896ef6dafc6b216bc512e9588510f")
    );
}

#[test]
fn what_is_signed_binds_every_part() {
    let other = Genesis([2; 32]);
    let binding = binding_bytes(&GENESIS, &OWNER, &info());
    assert_ne!(binding, binding_bytes(&other, &OWNER, &info()));
    assert_ne!(
        binding,
        binding_bytes(&GENESIS, &AccountId([9; 32]), &info())
    );
    assert_ne!(
        binding,
        binding_bytes(
            &GENESIS,
            &OWNER,
            &ServerInfo {
                noise_key: [6; 32],
                ..info()
            }
        )
    );
    let report = attempt_report_bytes(&GENESIS, &ready(), 99);
    assert_ne!(report, attempt_report_bytes(&other, &ready(), 99));
    assert_ne!(report, attempt_report_bytes(&GENESIS, &ready(), 98));
    assert_ne!(
        report,
        attempt_report_bytes(
            &GENESIS,
            &AttemptReport {
                attempt: 3,
                ..ready()
            },
            99
        )
    );
}

#[test]
fn the_public_package_is_golden() {
    // The shares are 2 G, 3 G, 4 G.
    let shares = [
        "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5",
        "02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
        "02e493dbf1c10d80f3581e4904930b1404cc6c13900ee0758474fa94abe8c4cd13",
    ];
    let package = PublicPackage {
        genesis: GENESIS,
        scheme: Scheme::SchnorrTaproot,
        epoch: 1,
        attempt: 2,
        committee: committee(3, 2),
        root_key: VerifyingKey::Secp256k1(hex33(ROOT)),
        verification_shares: shares
            .iter()
            .map(|share| VerifyingKey::Secp256k1(hex33(share)))
            .collect(),
    };
    assert_eq!(
        package.digest().0,
        hex32("e2b0e116ba4d1c56f7f33ad2a5de246c0f83a17672e3ea30cfff24dc3c154b97")
    );
}

#[test]
fn derivation_is_golden() {
    let root = VerifyingKey::Secp256k1(hex33(
        "03f973a0b87062c389d125d8199e803b832b6ac6bf7867a4f6cd87506060fc4c58",
    ));
    let id = KeyId::of(&GENESIS, Scheme::EcdsaCggmp24, &OWNER, &SALT);
    let cases = [
        (
            "m",
            "0317d729a0fbd1aca127c75f353d57861066bd75e2dd51d4b0373441b2d4f109a8",
            "ded6fbf59ca563c88d68b0adf5b8067782cf81d024767f45e062d2b752dc63d3",
            "81107f4fb726c644e684671553f3461d5a46ca803e7b7b6fabf02a52cb8dcdf2",
        ),
        (
            "m/0/5",
            "030ffb509cbcd37db5b69054cd9f4303df11e6f57366d1d926b4e1658621e7f3b4",
            "b833d16fd6a57ee95e413df43fe6d7d2e51059f65e003bfcd543b577a93f7a87",
            "c5e8ae09d0f79a1f263e8a9c8ddba2b568c60c8c1cf8341da20238e3d5bbcc0b",
        ),
    ];
    for (path, key, offset, chain_code) in cases {
        let derived = derive(Scheme::EcdsaCggmp24, &root, &id, &path.parse().unwrap()).unwrap();
        assert_eq!(derived.key, VerifyingKey::Secp256k1(hex33(key)), "{path}");
        assert_eq!(derived.offset, hex32(offset), "{path}");
        assert_eq!(derived.chain_code, hex32(chain_code), "{path}");
    }
}

#[test]
fn encodings_are_golden() {
    assert_eq!(
        hex::encode(info().encode()),
        format!(
            "{}4c{}{}",
            "04".repeat(32),
            hex::encode("ws://127.0.0.1:4001"),
            "05".repeat(32)
        )
    );
    assert_eq!(
        hex::encode(ready().encode()),
        format!(
            "{}000100000002000000 00{}00{ROOT}00{}",
            "04".repeat(32),
            "06".repeat(32),
            "07".repeat(65)
        )
        .replace(' ', "")
    );
    assert_eq!(
        hex::encode(content().encode()),
        format!(
            "{}1468656c6c6f0108000000000500000002{}",
            "0c".repeat(32),
            "0d".repeat(32)
        )
    );
    let schemes: Vec<_> = Scheme::ALL.iter().flat_map(Encode::encode).collect();
    assert_eq!(schemes, [0, 1, 2, 3, 4]);
    let hashers: Vec<_> = Hasher::ALL.iter().flat_map(Encode::encode).collect();
    assert_eq!(hashers, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_tag_is_bound() {
    assert_ne!(tagged_hash("a", &0u8), tagged_hash("b", &0u8));
    assert_ne!(tagged_hash("a", &0u8), tagged_hash("a", &1u8));
}

#[test]
fn endpoints_that_a_peer_could_dial_are_taken_and_others_are_not() {
    let checked = |endpoint: &[u8]| {
        ServerInfo {
            endpoint: endpoint.to_vec(),
            ..info()
        }
        .checked_endpoint()
        .is_some()
    };
    for good in [
        "ws://127.0.0.1:4001",
        "wss://tss.example.org",
        "ws://[::1]:80/",
        "wss://host:443",
    ] {
        assert!(checked(good.as_bytes()), "{good}");
    }
    for bad in [
        "",
        "ws://",
        "ws:///",
        "http://host",
        "host:1",
        "ws://host/path",
        "ws://user@host",
        "ws://h?q",
        "ws://h#f",
        "ws://a b",
    ] {
        assert!(!checked(bad.as_bytes()), "{bad}");
    }
    assert!(!checked(b"ws://h\xc3\xb6st"));
    assert!(!checked(b"ws://host\n"));
    let longest = format!("ws://{}", "a".repeat(MAX_ENDPOINT_BYTES as usize - 5));
    assert!(checked(longest.as_bytes()));
    assert!(!checked(format!("{longest}a").as_bytes()));
}

#[test]
fn validity_ends_with_its_last_block_and_begins_64_blocks_before() {
    assert_eq!(blocks_left(10, 11), Err(ValidityError::Over));
    assert_eq!(blocks_left(10, 10), Ok(1));
    assert_eq!(
        blocks_left(10 + MAX_VALIDITY_BLOCKS, 10),
        Ok(MAX_VALIDITY_BLOCKS + 1)
    );
    assert_eq!(
        blocks_left(11 + MAX_VALIDITY_BLOCKS, 10),
        Err(ValidityError::TooFar)
    );
    assert_eq!(blocks_left(u32::MAX, 0), Err(ValidityError::TooFar));
}

#[test]
fn nothing_that_the_chain_stores_encodes_to_more_than_it_says() {
    let full = committee(32, 32);
    let KeyState::Generating(attempt) = begin(full.clone(), 1, &parameters()).state else {
        panic!("a key generation begins");
    };
    let all: Vec<_> = full.parties().to_vec();
    let result = AttemptResult {
        public_digest: Digest([0; 32]),
        root_key: VerifyingKey::Secp256k1([2; 33]),
    };
    let reported = |party: &PartyId| Reported {
        party: *party,
        result: Some(result),
        accused: all.clone(),
        missed: all.clone(),
    };
    let suspect = |party: &PartyId| Suspect {
        party: *party,
        attempts: u16::MAX,
    };
    let state = KeyState::Resharing {
        from: ActiveKey {
            epoch: 1,
            attempt: 1,
            committee: full.clone(),
            root_key: result.root_key,
            public_digest: result.public_digest,
            protocol_version: 1,
            since: 0,
            attempts: 0,
        },
        attempt: Attempt {
            left_out: all.clone(),
            set_aside: all.clone(),
            suspects: all.iter().map(suspect).collect(),
            reports: all.iter().map(reported).collect(),
            ..attempt
        },
    };
    assert!(state.encoded_size() <= KeyState::max_encoded_len());
    assert_eq!(KeyState::decode(&mut &state.encode()[..]).unwrap(), state);

    let endpoint = vec![0; MAX_ENDPOINT_BYTES as usize];
    assert!(ServerInfo { endpoint, ..info() }.encoded_size() <= ServerInfo::max_encoded_len());
    let attached = AttachedProgram {
        program: ProgramId([0; 32]),
        configuration: vec![0; MAX_CONFIGURATION_BYTES as usize],
    };
    let key = KeyRecord {
        owner: OWNER,
        offered_to: Some(OWNER),
        registrant: OWNER,
        scheme: Scheme::EcdsaCggmp24,
        salt: SALT,
        verifying_key: VerifyingKey::Secp256k1([2; 33]),
        programs: vec![attached; MAX_PROGRAMS as usize],
        requesters: Requesters::Accounts(vec![OWNER; MAX_REQUESTERS as usize]),
        registered: u32::MAX,
    };
    assert!(key.encoded_size() <= KeyRecord::max_encoded_len());
    let message = vec![0; entropy_shared::digest::MAX_MESSAGE_BYTES as usize];
    let path = DerivationPath::new(vec![0; 5]).unwrap();
    let refusal = Refusal::CannotSign {
        accused: all.clone(),
    };
    let request = RequestRecord {
        requester: OWNER,
        content: RequestContent {
            message,
            path,
            ..content()
        },
        scheme: Scheme::EcdsaCggmp24,
        digest: Digest([0; 32]),
        final_key: VerifyingKey::Secp256k1([2; 33]),
        submitted: 0,
        expires: 0,
        refusals: Refusals {
            epoch: 1,
            by: vec![(SERVER, refusal.clone()); all.len()],
        },
        state: RequestState::Failed {
            failure: RequestFailure::Refused {
                reason: refusal,
                blamed: all,
            },
            at: 0,
        },
    };
    assert!(request.encoded_size() <= RequestRecord::max_encoded_len());
    assert_eq!(
        RequestRecord::decode(&mut &request.encode()[..]).unwrap(),
        request
    );
}
