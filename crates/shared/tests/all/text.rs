//! What people type and read: ids, names of schemes and hashers, sets of schemes.

use entropy_shared::{Hasher, KeyId, PartyId, Scheme, SchemeSet};
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_id_survives_text(bytes: [u8; 32]) {
        let id = KeyId(bytes);
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        prop_assert_eq!(id.to_string()[2..].to_uppercase().parse(), Ok(id));
        let json = serde_json::to_string(&id).unwrap();
        prop_assert_eq!(&json, &format!("\"{id}\""));
        prop_assert_eq!(serde_json::from_str::<KeyId>(&json).unwrap(), id);
    }

    #[test]
    fn text_of_strangers_is_an_id_or_an_error(text: String) {
        if let Ok(id) = text.parse::<PartyId>() {
            let digits = text.trim_start_matches("0x").to_lowercase();
            prop_assert_eq!(id.to_string(), format!("0x{digits}"));
        }
    }

    #[test]
    fn a_set_of_schemes_has_what_was_put_in(members in proptest::sample::subsequence(Scheme::ALL.to_vec(), 0..=5)) {
        let set: SchemeSet = members.iter().copied().collect();
        prop_assert_eq!(set.iter().collect::<Vec<_>>(), members.clone());
        prop_assert!(Scheme::ALL.iter().all(|scheme| set.contains(*scheme) == members.contains(scheme)));
        let json = serde_json::to_string(&set).unwrap();
        prop_assert_eq!(serde_json::from_str::<SchemeSet>(&json).unwrap(), set);
    }
}

#[test]
fn what_is_no_id_is_refused() {
    for bad in [
        "",
        "0x",
        "00",
        &"0".repeat(63),
        &"0".repeat(65),
        &"g".repeat(64),
        &format!("0x0x{}", "0".repeat(62)),
    ] {
        assert!(bad.parse::<KeyId>().is_err(), "{bad}");
    }
}

#[test]
fn names_are_those_of_the_command_line_and_of_json() {
    for scheme in Scheme::ALL {
        assert_eq!(scheme.name().parse(), Ok(scheme));
        assert_eq!(
            serde_json::to_string(&scheme).unwrap(),
            format!("\"{scheme}\"")
        );
    }
    for hasher in Hasher::ALL {
        assert_eq!(hasher.name().parse(), Ok(hasher));
        assert_eq!(
            serde_json::to_string(&hasher).unwrap(),
            format!("\"{hasher}\"")
        );
    }
    let error = "ecdsa".parse::<Scheme>().unwrap_err().to_string();
    assert!(
        Scheme::ALL
            .iter()
            .all(|scheme| error.contains(scheme.name())),
        "{error}"
    );
    assert!(
        "md5"
            .parse::<Hasher>()
            .unwrap_err()
            .to_string()
            .contains("keccak256")
    );
    assert_eq!(format!("{:>16}|", Scheme::EcdsaP256), "      ecdsa-p256|");
}

#[test]
fn this_versions_servers_run_two_schemes() {
    let supported: Vec<_> = Scheme::ALL
        .into_iter()
        .filter(|scheme| scheme.is_supported())
        .collect();
    assert_eq!(supported, [Scheme::EcdsaCggmp24, Scheme::SchnorrTaproot]);
}
