//! Schemas of fields that derive cannot say.

use kube::core::Rule;
use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::duration::{EXPECTATION as DURATION, PATTERN as DURATION_PATTERN};
use crate::quantity::EXPECTATION as QUANTITY;

/// Conditions: a list-map by `type`.
pub(crate) fn conditions(generator: &mut SchemaGenerator) -> Schema {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
    let mut item = <Condition as schemars::JsonSchema>::json_schema(generator);
    item.insert(
        "properties".to_owned(),
        json!({
            "type": {"type": "string", "maxLength": 64},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": {"type": "string", "minLength": 1, "maxLength": 64},
            "message": {"type": "string", "maxLength": 1024},
            "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
        }),
    );
    json_schema!({
        "type": "array",
        "items": item,
        "maxItems": 16,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
    })
}

/// A quantity that must be at least `least`, when one is given.
pub(crate) fn quantity(least: Option<&str>) -> Schema {
    let mut rules = vec![json!(Rule::new("isQuantity(string(self))").message(QUANTITY))];
    if let Some(least) = least {
        let rule = format!(
            "!isQuantity(string(self)) || quantity(string(self)).compareTo(quantity('{least}')) >= 0"
        );
        rules.push(json!(Rule::new(rule).message(format!("must be at least {least}").as_str())));
    }
    json_schema!({
        "x-kubernetes-int-or-string": true,
        "maxLength": 32,
        "x-kubernetes-validations": rules,
    })
}

/// A quantity of bytes that a volume may have.
pub(crate) fn volume_size(_: &mut SchemaGenerator) -> Schema {
    quantity(Some("1Gi"))
}

/// A quantity of bytes a second.
pub(crate) fn rate(_: &mut SchemaGenerator) -> Schema {
    quantity(Some("1"))
}

/// A duration.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    let rule = format!("self.matches('{DURATION_PATTERN}')");
    json_schema!({
        "type": "string",
        "maxLength": 32,
        "x-kubernetes-validations": [Rule::new(rule).message(DURATION)],
    })
}

/// A map from text to text, as labels are.
pub(crate) fn text_map(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 1024},
        "maxProperties": 32,
    })
}

/// Amounts by resource.
pub(crate) fn amounts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": quantity(None),
        "maxProperties": 8,
    })
}
