//! Every rule of the kinds against a real API server: what it accepts, what it refuses, and in which
//! words. The words are those that users read; they change only on purpose.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod blob;
mod committee;
mod mistakes;
mod storage_node;

use std::collections::BTreeSet;
use std::time::Duration;

use floe_crd::definitions;
use floe_tests::kubernetes::ApiServer;
use floe_tests::process::Scene;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::{Error, Resource};
use serde_json::{Value, json};

/// Makes an object: the kind's plain one, changed by a merge patch.
struct Make {
    patch: Value,
    /// None = accepted.
    refused: Option<&'static str>,
}

/// Changes an object that is there.
struct Change {
    /// What the old one has beside the plain one's fields, its status included.
    old: Value,
    patch: Value,
    refused: Option<&'static str>,
}

/// The cases of one kind.
struct Cases {
    kind: ApiResource,
    plain: Value,
    make: Vec<Make>,
    change: Vec<Change>,
}

/// A patch of what is wanted.
fn spec(fields: Value) -> Value {
    Value::Object([("spec".to_owned(), fields)].into_iter().collect())
}

fn made(patch: Value) -> Make {
    Make { patch, refused: None }
}

fn not_made(patch: Value, refused: &'static str) -> Make {
    Make { patch, refused: Some(refused) }
}

fn changed(old: Value, patch: Value) -> Change {
    Change { old, patch, refused: None }
}

fn not_changed(old: Value, patch: Value, refused: &'static str) -> Change {
    Change { old, patch, refused: Some(refused) }
}

fn resource<K: Resource<DynamicType = ()>>() -> ApiResource {
    ApiResource::erase::<K>(&())
}

fn all() -> [Cases; 3] {
    [committee::cases(), storage_node::cases(), blob::cases()]
}

/// An API server that knows the kinds.
async fn with_kinds(scene: &Scene) -> ApiServer {
    let server = ApiServer::start(scene).await;
    let kinds = Api::<CustomResourceDefinition>::all(server.client().await);
    for definition in definitions() {
        kinds.create(&PostParams::default(), &definition).await.unwrap();
    }
    for definition in definitions() {
        let name = definition.metadata.name.unwrap();
        wait_until_served(&kinds, &name).await;
    }
    server
}

async fn wait_until_served(kinds: &Api<CustomResourceDefinition>, name: &str) {
    loop {
        let found = kinds.get(name).await.unwrap();
        let conditions = found.status.and_then(|status| status.conditions).unwrap_or_default();
        let says = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
        let schema = says("NonStructuralSchema");
        assert!(schema.is_none(), "{name}: {:?}", schema.map(|condition| &condition.message));
        if says("Established").is_some_and(|condition| condition.status == "True") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn every_rule_accepts_and_refuses_in_the_words_that_users_read() {
    let scene = Scene::new("crd_rules");
    let server = with_kinds(&scene).await;
    let client = server.client().await;
    for cases in all() {
        let api = Api::<DynamicObject>::default_namespaced_with(client.clone(), &cases.kind);
        for case in &cases.make {
            let object = merged(&cases.plain, &case.patch);
            let dry = PostParams { dry_run: true, ..PostParams::default() };
            // A new kind is served a moment after it says so.
            let outcome = patiently(|| api.create(&dry, &object)).await;
            compare(&cases, &case.patch, outcome, case.refused);
        }
        for case in &cases.change {
            let name = put_in_place(&api, &cases.plain, &case.old).await;
            let dry = PatchParams { dry_run: true, ..PatchParams::default() };
            let patch = Patch::Merge(&case.patch);
            let outcome = match case.patch.get("status") {
                Some(_) => api.patch_status(&name, &dry, &patch).await,
                None => api.patch(&name, &dry, &patch).await,
            };
            compare(&cases, &case.patch, outcome, case.refused);
            api.delete(&name, &DeleteParams::default()).await.unwrap();
        }
    }
}

/// What no case refuses may as well not be a rule.
#[test]
fn every_rule_is_refused_by_a_case() {
    let mut unseen: BTreeSet<String> = BTreeSet::new();
    for definition in definitions() {
        rules(&json!(definition), &mut unseen);
    }
    assert!(unseen.len() > 15, "{unseen:?}");
    for cases in all() {
        let refused = cases.make.iter().map(|case| case.refused);
        let refused = refused.chain(cases.change.iter().map(|case| case.refused));
        for words in refused.flatten() {
            unseen.retain(|message| !words.contains(message.as_str()));
        }
    }
    assert!(unseen.is_empty(), "no case for {unseen:?}");
}

/// The messages of all rules in `schema`.
fn rules(schema: &Value, messages: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            for rule in fields.get("x-kubernetes-validations").into_iter().flat_map(list) {
                messages.insert(rule["message"].as_str().unwrap().to_owned());
            }
            fields.values().for_each(|value| rules(value, messages));
        }
        Value::Array(values) => values.iter().for_each(|value| rules(value, messages)),
        _ => {}
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

fn compare(
    cases: &Cases,
    change: &Value,
    outcome: Result<DynamicObject, Error>,
    refused: Option<&str>,
) {
    let kind = &cases.kind.kind;
    let said = match outcome {
        Ok(_) => None,
        Err(Error::Api(status)) => Some(status.message),
        Err(error) => panic!("{kind} {change}: {error}"),
    };
    let said =
        said.as_ref().map(|text| text.split_once(" is invalid: ").map_or(text.as_str(), |it| it.1));
    assert_eq!(said, refused, "{kind} {change}");
}

async fn patiently<F>(attempt: impl Fn() -> F) -> Result<DynamicObject, Error>
where
    F: Future<Output = Result<DynamicObject, Error>>,
{
    loop {
        match attempt().await {
            Err(Error::Api(status)) if status.is_not_found() => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            outcome => return outcome,
        }
    }
}

/// Makes the plain object with these fields too; its name.
async fn put_in_place(api: &Api<DynamicObject>, plain: &Value, old: &Value) -> String {
    let object = merged(plain, old);
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    let name = made.metadata.name.unwrap();
    if let Some(status) = old.get("status") {
        let patch = Patch::Merge(json!({"status": status}));
        api.patch_status(&name, &PatchParams::default(), &patch).await.unwrap();
    }
    name
}

fn merged(plain: &Value, change: &Value) -> DynamicObject {
    let mut object = plain.clone();
    merge(&mut object, change);
    serde_json::from_value(object).unwrap()
}

/// RFC 7396.
fn merge(into: &mut Value, change: &Value) {
    let Value::Object(changes) = change else {
        into.clone_from(change);
        return;
    };
    if !into.is_object() {
        *into = json!({});
    }
    let fields = into.as_object_mut().unwrap();
    for (key, value) in changes {
        if value.is_null() {
            fields.remove(key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}
