//! Blobs.

use floe_crd::Blob;
use serde_json::{Value, json};

use super::{Cases, Change, Make, changed, made, not_changed, not_made, resource, spec};

pub(super) fn cases() -> Cases {
    Cases {
        kind: resource::<Blob>(),
        plain: json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Blob",
            "metadata": {"name": "greeting"},
            "spec": {"source": {"inline": {"text": "hello, floe\n"}}},
        }),
        make: makes(),
        change: [changes(), status_changes()].into_iter().flatten().collect(),
    }
}

fn source(fields: Value) -> Value {
    spec(Value::Object([("source".to_owned(), fields)].into_iter().collect()))
}

fn makes() -> Vec<Make> {
    let one_source =
        "spec.source: Invalid value: set exactly one of `inline`, `configMapKeyRef`, `upload`";
    let one_form = "spec.source.inline: Invalid value: set exactly one of `text`, `base64`";
    vec![
        made(json!({})),
        made(source(json!({"inline": null, "upload": {}}))),
        made(source(
            json!({"inline": null, "configMapKeyRef": {"name": "page", "key": "index.html"}}),
        )),
        not_made(source(json!({"upload": {}})), one_source),
        not_made(source(json!({"inline": null})), one_source),
        made(source(json!({"inline": {"text": null, "base64": "aGVsbG8="}}))),
        not_made(source(json!({"inline": {"base64": "aGVsbG8="}})), one_form),
        not_made(source(json!({"inline": {"text": null}})), one_form),
        not_made(
            source(json!({"inline": {"text": null, "base64": "?"}})),
            "[spec.source.inline.base64: Invalid value: \"?\": spec.source.inline.base64 in body must be of type byte: \"?\", <nil>: Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation]",
        ),
        not_made(
            source(json!({"inline": null, "upload": {"expireAfter": "1d"}})),
            "spec.source.upload.expireAfter: Invalid value: \"1d\": must be a duration in h, m, s, ms such as 168h or 1h30m (there is no unit for days)",
        ),
        made(json!({"spec": {"digest": digest('a')}})),
        not_made(
            json!({"spec": {"digest": "9f86d081"}}),
            "spec.digest: Invalid value: \"9f86d081\": must be `sha256:` and 64 hexadecimal digits in lower case",
        ),
    ]
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

fn changes() -> Vec<Change> {
    let immutable_source = "spec.source: Invalid value: `source` is immutable: a Blob's bytes never change; create a Blob with a new name instead";
    let immutable_digest = "spec: Invalid value: `digest` is immutable: a Blob's bytes never change; create a Blob with a new name instead";
    let immutable_reference = "spec: Invalid value: `committeeRef` is immutable, also when it was left out; create a Blob with a new name instead";
    let plain = json!({});
    let with_digest = json!({"spec": {"digest": digest('a')}});
    let main = json!({"spec": {"committeeRef": {"name": "main", "namespace": "floe"}}});
    vec![
        changed(plain.clone(), json!({"spec": {"deletionPolicy": "Retain"}})),
        not_changed(plain.clone(), source(json!({"inline": {"text": "bye"}})), immutable_source),
        not_changed(plain.clone(), source(json!({"inline": null, "upload": {}})), immutable_source),
        not_changed(plain.clone(), with_digest.clone(), immutable_digest),
        not_changed(with_digest.clone(), json!({"spec": {"digest": null}}), immutable_digest),
        not_changed(with_digest, json!({"spec": {"digest": digest('b')}}), immutable_digest),
        not_changed(plain.clone(), main.clone(), immutable_reference),
        not_changed(main.clone(), json!({"spec": {"committeeRef": null}}), immutable_reference),
        not_changed(
            main,
            json!({"spec": {"committeeRef": {"name": "other"}}}),
            immutable_reference,
        ),
        not_changed(
            plain,
            json!({"spec": {"contentType": "text/plain"}}),
            "spec: Invalid value: `contentType` is immutable: it is signed with the bytes; create a Blob with a new name instead",
        ),
    ]
}

fn status_changes() -> Vec<Change> {
    let id = "status: Invalid value: `blobID` never changes";
    let reference = "status: Invalid value: `committeeRef` never changes";
    let certified = json!({"status": {"blobID": "dCUfYYKe"}});
    let resolved = json!({"status": {"committeeRef": {"name": "main", "namespace": "floe"}}});
    vec![
        changed(json!({}), certified.clone()),
        changed(certified.clone(), json!({"status": {"protection": "Full"}})),
        not_changed(certified.clone(), json!({"status": {"blobID": "other"}}), id),
        not_changed(certified, json!({"status": {"blobID": null}}), id),
        changed(json!({}), resolved.clone()),
        not_changed(
            resolved.clone(),
            json!({"status": {"committeeRef": {"name": "other"}}}),
            reference,
        ),
        not_changed(resolved, json!({"status": {"committeeRef": null}}), reference),
    ]
}
