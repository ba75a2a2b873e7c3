//! Which parameters a chain can begin with.

use entropy_shared::{ParameterError, Parameters, Scheme, ThresholdRule};

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
        check(|p| p.keygen_deadline_blocks = 0),
        Err(ParameterError::Zero("keygenDeadlineBlocks"))
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
        "keygenDeadlineBlocks",
        "signingSlotBlocks",
        "requestExpiryBlocks",
        "requestRetentionBlocks",
        "serverDeposit",
        "keyDeposit",
        "programByteDeposit",
        "requestDeposit",
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
