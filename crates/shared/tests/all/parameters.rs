//! Which parameters a chain can begin with.

use entropy_shared::{
    ParameterError, Parameters, Scheme, SchemeSet, ThresholdRule,
    parameters::{MAX_OPEN_PER_KEY, MAX_PERIOD, PROTOCOL_VERSION},
};

type Period = fn(&mut Parameters) -> &mut u32;

fn check(change: impl FnOnce(&mut Parameters)) -> Result<(), ParameterError> {
    let mut parameters = Parameters::default();
    change(&mut parameters);
    parameters.check()
}

#[test]
fn the_defaults_are_possible() {
    assert_eq!(Parameters::default().check(), Ok(()));
    assert_eq!(
        ThresholdRule::TwoThirds.threshold(Parameters::default().committee_min),
        3
    );
}

#[test]
fn impossible_values_are_named() {
    assert_eq!(
        check(|p| p.session_blocks = 0),
        Err(ParameterError::Zero("sessionBlocks"))
    );
    assert_eq!(
        check(|p| p.sessions_per_era = 0),
        Err(ParameterError::Zero("sessionsPerEra"))
    );
    assert_eq!(
        check(|p| p.bonding_eras = 0),
        Err(ParameterError::Zero("bondingEras"))
    );
    assert_eq!(
        check(|p| p.attempt_deadline_blocks = 0),
        Err(ParameterError::Zero("attemptDeadlineBlocks"))
    );
    assert_eq!(
        check(|p| p.signing_slot_blocks = 0),
        Err(ParameterError::Zero("signingSlotBlocks"))
    );
    assert_eq!(
        check(|p| p.request_expiry_blocks = 0),
        Err(ParameterError::Zero("requestExpiryBlocks"))
    );
    assert_eq!(
        check(|p| p.request_retention_blocks = 0),
        Err(ParameterError::Zero("requestRetentionBlocks"))
    );
    assert_eq!(
        check(|p| p.slash_defer_eras = p.bonding_eras),
        Err(ParameterError::SlashDefer)
    );
    assert_eq!(
        check(|p| p.committee_min = 1),
        Err(ParameterError::CommitteeSize)
    );
    assert_eq!(
        check(|p| p.committee_min = p.committee_max + 1),
        Err(ParameterError::CommitteeSize)
    );
    assert_eq!(
        check(|p| p.committee_max = 33),
        Err(ParameterError::CommitteeSize)
    );
    assert_eq!(
        check(|p| p.threshold = ThresholdRule::Fixed(1)),
        Err(ParameterError::Threshold)
    );
    assert_eq!(
        check(|p| p.threshold = ThresholdRule::Fixed(5)),
        Err(ParameterError::Threshold)
    );
    assert_eq!(
        check(|p| p.suspension_blocks = 0),
        Err(ParameterError::Zero("suspensionBlocks"))
    );
    assert_eq!(
        check(|p| p.max_open_per_key = 0),
        Err(ParameterError::Zero("maxOpenPerKey"))
    );
    assert_eq!(
        check(|p| p.max_open_per_requester = 0),
        Err(ParameterError::Zero("maxOpenPerRequester"))
    );
    assert_eq!(
        check(|p| p.max_open_per_key = MAX_OPEN_PER_KEY + 1),
        Err(ParameterError::OpenPerKey)
    );
    let periods: [(&str, Period); 9] = [
        ("sessionBlocks", |p| &mut p.session_blocks),
        ("sessionsPerEra", |p| &mut p.sessions_per_era),
        ("bondingEras", |p| &mut p.bonding_eras),
        ("attemptDeadlineBlocks", |p| &mut p.attempt_deadline_blocks),
        ("suspensionBlocks", |p| &mut p.suspension_blocks),
        ("signingSlotBlocks", |p| &mut p.signing_slot_blocks),
        ("requestExpiryBlocks", |p| &mut p.request_expiry_blocks),
        ("requestRetentionBlocks", |p| {
            &mut p.request_retention_blocks
        }),
        ("refreshSessions", |p| &mut p.refresh_sessions),
    ];
    for (name, period) in periods {
        assert_eq!(check(|p| *period(p) = MAX_PERIOD), Ok(()));
        let too_long = Err(ParameterError::TooLong(name));
        assert_eq!(check(|p| *period(p) = MAX_PERIOD + 1), too_long);
    }
    for version in [0, PROTOCOL_VERSION + 1] {
        assert_eq!(
            check(|p| p.protocol_version = version),
            Err(ParameterError::ProtocolVersion(version))
        );
    }
    assert_eq!(check(|p| p.refresh_sessions = 0), Ok(()));
    let unsupported = [Scheme::EcdsaP256].into_iter().collect();
    assert_eq!(
        check(|p| p.schemes = unsupported),
        Err(ParameterError::UnsupportedScheme(Scheme::EcdsaP256))
    );
}

#[test]
fn a_chain_specification_names_them_in_camel_case_and_nothing_else() {
    let names = [
        "sessionBlocks",
        "sessionsPerEra",
        "bondingEras",
        "slashDeferEras",
        "schemes",
        "committeeMin",
        "committeeMax",
        "threshold",
        "attemptDeadlineBlocks",
        "refreshSessions",
        "suspensionBlocks",
        "protocolVersion",
        "signingSlotBlocks",
        "requestExpiryBlocks",
        "maxOpenPerKey",
        "maxOpenPerRequester",
        "requestRetentionBlocks",
        "serverDeposit",
        "keyDeposit",
        "keyByteDeposit",
        "programByteDeposit",
        "requestDeposit",
        "requestFee",
    ];
    let json = serde_json::to_value(Parameters::default()).unwrap();
    let object = json.as_object().unwrap();
    assert_eq!(object.len(), names.len());
    assert!(names.iter().all(|name| object.contains_key(*name)));
    assert_eq!(
        json["schemes"],
        serde_json::json!(["ecdsa-cggmp24", "schnorr-taproot"])
    );
    assert_eq!(
        serde_json::from_value::<Parameters>(json.clone()).unwrap(),
        Parameters::default()
    );
    let mut misspelt = json;
    misspelt["comitteeMin"] = 4.into();
    assert!(serde_json::from_value::<Parameters>(misspelt).is_err());
}

#[test]
fn a_running_chain_keeps_what_consensus_reads_and_the_schemes_with_keys() {
    let old = Parameters::default();
    let check = |change: &dyn Fn(&mut Parameters), in_use: &[Scheme]| {
        let mut new = old.clone();
        change(&mut new);
        old.check_change(&new, in_use.iter().copied().collect::<SchemeSet>())
    };
    assert_eq!(check(&|_| (), &[]), Ok(()));
    assert_eq!(check(&|p| p.key_deposit = 7, &Scheme::ALL[..1]), Ok(()));
    assert_eq!(
        check(&|p| p.committee_max = 1, &[]),
        Err(ParameterError::CommitteeSize),
        "the new ones must be possible"
    );
    assert_eq!(
        check(&|p| p.session_blocks += 1, &[]),
        Err(ParameterError::Fixed("sessionBlocks"))
    );
    assert_eq!(
        check(&|p| p.sessions_per_era += 1, &[]),
        Err(ParameterError::Fixed("sessionsPerEra"))
    );
    assert_eq!(
        check(&|p| p.bonding_eras += 1, &[]),
        Err(ParameterError::Fixed("bondingEras"))
    );
    assert_eq!(
        check(&|p| p.slash_defer_eras -= 1, &[]),
        Err(ParameterError::Fixed("slashDeferEras"))
    );
    let one = [Scheme::SchnorrTaproot];
    let only = |p: &mut Parameters| p.schemes = one.into_iter().collect();
    assert_eq!(check(&only, &one), Ok(()));
    assert_eq!(
        check(&only, &[Scheme::EcdsaCggmp24]),
        Err(ParameterError::SchemeInUse(Scheme::EcdsaCggmp24))
    );
    let later = Parameters {
        protocol_version: PROTOCOL_VERSION + 1,
        ..old.clone()
    };
    assert_eq!(
        later.check_change(&old, SchemeSet::default()),
        Err(ParameterError::ProtocolVersion(PROTOCOL_VERSION)),
        "it never falls"
    );
}
