use serde_json::{Value, json};

use super::*;

/// Calls `see` for `schema` and every schema in it, with its path.
fn each(path: &str, schema: &Value, see: &mut impl FnMut(&str, &Value)) {
    see(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        each(&format!("{path}.{name}"), property, see);
    }
    for inside in ["items", "additionalProperties"] {
        if schema[inside].is_object() {
            each(&format!("{path}[]"), &schema[inside], see);
        }
    }
}

fn each_of_all(mut see: impl FnMut(&str, &Value)) {
    for definition in definitions() {
        let kind = definition.spec.names.kind.clone();
        let definition = json!(definition);
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        assert!(schema["properties"]["spec"].is_object(), "{kind}");
        each(&kind, schema, &mut see);
    }
}

#[test]
fn every_string_list_and_map_is_bounded() {
    each_of_all(|path, schema| {
        let bounded = match schema["type"].as_str() {
            Some("string") => {
                schema["maxLength"].is_u64()
                    || schema["enum"].is_array()
                    || schema["format"] == "date-time"
            }
            Some("array") => schema["maxItems"].is_u64(),
            Some("object") => {
                schema["additionalProperties"].is_null() || schema["maxProperties"].is_u64()
            }
            _ => true,
        };
        assert!(bounded, "{path}: {schema}");
    });
}

#[test]
fn every_field_has_a_type_and_a_description_and_none_is_open() {
    each_of_all(|path, schema| {
        assert!(schema["nullable"].is_null(), "{path}");
        assert!(schema["x-kubernetes-preserve-unknown-fields"].is_null(), "{path}");
        let typed = schema["type"].is_string() || schema["x-kubernetes-int-or-string"] == true;
        assert!(typed, "{path}: {schema}");
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let inner =
                path.contains("conditions") || path.contains('[') || path.contains("elector");
            let known = !path.contains('.');
            if !inner && !known {
                assert!(property["description"].is_string(), "{path}.{name}");
            }
        }
    });
}

#[test]
fn every_rule_has_a_message_that_names_what_to_do() {
    let mut rules = 0;
    each_of_all(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            rules += 1;
            let message = rule["message"].as_str().unwrap_or_else(|| panic!("{path}: {rule}"));
            assert!(!message.ends_with('.') && message.len() < 200, "{path}: {message}");
        }
    });
    assert!(rules > 20, "{rules} rules");
}

#[test]
fn defaults_are_spelled_out() {
    let definition = json!(Committee::crd());
    let spec = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        ["properties"];
    assert_eq!(spec["access"]["default"], json!({"namespaces": {"from": "All"}}));
    assert_eq!(spec["encoding"]["default"], json!({"shards": 10}));
    assert_eq!(
        spec["repair"]["default"],
        json!({"lossGrace": "10m", "maxBytesPerSecond": "100Mi"})
    );
    assert_eq!(
        definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["required"],
        json!(["replicas", "storage"])
    );
}
