//! Whether another writer took or removed a field that was applied: then it is no longer among those
//! that the API server has us down for. Seen in the metadata, without the object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

/// What is no field of anyone.
const IDENTITY: [&str; 4] = ["apiVersion", "kind", "name", "namespace"];

/// Whether `manager` still owns every field of what it applied.
pub(super) fn owns_all(
    applied: &Value,
    managed: Option<&Vec<ManagedFieldsEntry>>,
    manager: &str,
) -> bool {
    let ours = managed.into_iter().flatten().find(|entry| {
        entry.manager.as_deref() == Some(manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let fields = ours.and_then(|entry| entry.fields_v1.as_ref()).map(|fields| &fields.0);
    let Some((applied, fields)) = applied.as_object().zip(fields) else { return false };
    applied.iter().filter(|(name, _)| !IDENTITY.contains(&name.as_str())).all(|(name, value)| {
        match value.as_object().filter(|_| name == "metadata") {
            Some(metadata) => {
                let own = metadata.iter().filter(|(name, _)| !IDENTITY.contains(&name.as_str()));
                let own: Map<_, _> = own.map(|(name, it)| (name.clone(), it.clone())).collect();
                owns(&Value::Object(own), fields.get("f:metadata"))
            }
            None => owns(value, fields.get(format!("f:{name}"))),
        }
    })
}

/// Whether a value's fields are among those owned. An entry without entries of its own stands for all
/// that is below it.
fn owns(value: &Value, owned: Option<&Value>) -> bool {
    let Some(owned) = owned.and_then(Value::as_object) else {
        // What says nothing needs no owner.
        return matches!(value, Value::Null)
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_array().is_some_and(Vec::is_empty);
    };
    if owned.keys().all(|name| name == ".") {
        return true;
    }
    match value {
        Value::Object(fields) => {
            fields.iter().all(|(name, value)| owns(value, owned.get(&format!("f:{name}"))))
        }
        Value::Array(items) => items.iter().all(|item| owns_item(item, owned)),
        _ => true,
    }
}

/// Whether an item of a list is: it goes by some of its fields (`k:`), of which it may leave out those
/// with defaults, or by itself (`v:`).
fn owns_item(item: &Value, owned: &Map<String, Value>) -> bool {
    let parse = |text: &str| serde_json::from_str::<Value>(text).ok();
    owned.iter().any(|(name, owned)| {
        if let Some(value) = name.strip_prefix("v:") {
            return parse(value).as_ref() == Some(item);
        }
        let Some(key) = name.strip_prefix("k:").and_then(parse) else { return false };
        let is_it = key.as_object().is_some_and(|key| {
            key.iter().all(|(name, value)| item.get(name).is_none_or(|it| it == value))
        });
        is_it && owns(item, Some(owned))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_field_that_another_took_is_missed() {
        let applied = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "a", "namespace": "b", "labels": {"x": "1"}},
            "spec": {
                "clusterIP": "None",
                "ports": [{"name": "node", "port": 7443}, {"name": "metrics", "port": 9090}],
                "policies": ["Ingress", "Egress"],
                "atomic": {"deep": {"er": 1}},
                "nothing": {},
            },
        });
        let port = |name: &str| json!({".": {}, "f:name": {}, "f:port": {}, "x": name});
        let owned = json!({
            "f:metadata": {"f:labels": {"f:x": {}}},
            "f:spec": {
                "f:clusterIP": {},
                "f:ports": {
                    "k:{\"port\":7443,\"protocol\":\"TCP\"}": port("node"),
                    "k:{\"port\":9090,\"protocol\":\"TCP\"}": port("metrics"),
                },
                "f:policies": {"v:\"Ingress\"": {}, "v:\"Egress\"": {}},
                "f:atomic": {},
            },
        });
        let entries = |fields: &Value, manager: &str, operation: &str, subresource: &str| {
            let entry = json!({
                "manager": manager, "operation": operation, "subresource": subresource,
                "fieldsType": "FieldsV1", "fieldsV1": fields,
            });
            vec![from_value::<ManagedFieldsEntry>(entry).unwrap()]
        };
        let owns =
            |fields: &Value| owns_all(&applied, Some(&entries(fields, "us", "Apply", "")), "us");
        assert!(owns(&owned));
        for path in [
            "/f:metadata",
            "/f:spec/f:clusterIP",
            "/f:spec/f:ports",
            "/f:spec/f:ports/k:{\"port\":9090,\"protocol\":\"TCP\"}",
            "/f:spec/f:ports/k:{\"port\":7443,\"protocol\":\"TCP\"}/f:name",
            "/f:spec/f:policies/v:\"Egress\"",
            "/f:spec/f:atomic",
            "/f:spec",
        ] {
            let (parent, name) = path.rsplit_once('/').unwrap();
            let mut less = owned.clone();
            let parent = less.pointer_mut(parent).unwrap().as_object_mut().unwrap();
            assert!(parent.remove(name).is_some(), "{path}");
            assert!(!owns(&less), "{path}");
        }
        for other in [
            entries(&owned, "them", "Apply", ""),
            entries(&owned, "us", "Update", ""),
            entries(&owned, "us", "Apply", "status"),
            Vec::new(),
        ] {
            assert!(!owns_all(&applied, Some(&other), "us"));
        }
        assert!(!owns_all(&applied, None, "us"));
    }
}
