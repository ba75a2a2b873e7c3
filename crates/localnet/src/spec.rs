//! The chain specification of a local network: the node's own, with parameters changed.

use anyhow::Context as _;
use serde_json::{Map, Value};

/// The node's specification with these parameters (of [`entropy_shared::Parameters`], by their names in JSON) in place of its own.
pub(crate) fn with_parameters(
    spec: &[u8],
    changes: &Map<String, Value>,
) -> anyhow::Result<Vec<u8>> {
    let mut spec: Value =
        serde_json::from_slice(spec).context("the node's chain specification is no JSON")?;
    let parameters = spec
        .pointer_mut("/genesis/runtimeGenesis/patch/stakingExtension/parameters")
        .and_then(Value::as_object_mut)
        .context("the node's chain specification has no stakingExtension.parameters in its genesis patch")?;
    parameters.extend(changes.clone());
    Ok(serde_json::to_vec(&spec)?)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::with_parameters;

    fn spec() -> Value {
        json!({
            "id": "local",
            "genesis": { "runtimeGenesis": { "code": "0x00", "patch": {
                "stakingExtension": { "parameters": { "sessionBlocks": 20, "committeeMin": 4 } },
            } } },
        })
    }

    #[test]
    fn only_what_is_named_changes() {
        let changes = json!({ "sessionBlocks": 9 })
            .as_object()
            .cloned()
            .expect("is an object");
        let changed =
            with_parameters(spec().to_string().as_bytes(), &changes).expect("is a specification");
        let mut expected = spec();
        expected["genesis"]["runtimeGenesis"]["patch"]["stakingExtension"]["parameters"]["sessionBlocks"] =
            9.into();
        assert_eq!(
            serde_json::from_slice::<Value>(&changed).expect("is JSON"),
            expected
        );
    }

    #[test]
    fn a_specification_of_another_shape_is_refused() {
        let error =
            with_parameters(b"{}", &Default::default()).expect_err("there are no parameters");
        assert!(
            error.to_string().contains("stakingExtension.parameters"),
            "{error}"
        );
    }
}
