//! The Job that brings a Blob's content from a ConfigMap to the gateway. It runs in the Blob's
//! namespace, with a ticket in place of a token.

use std::collections::BTreeMap;

use floe_crd::labels::{self, Component};
use floe_crd::{Blob, ConfigMapKey, names};
use k8s_openapi::ByteString;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;

use super::meta::owner;
use super::{CommitteeScope, gateway, pod, repair};

/// How long bringing the content may take.
const DEADLINE_SECONDS: i64 = 3600;
/// The ticket, a key of the Secret and a file.
const TICKET: &str = "ticket";
/// The content, a file.
const CONTENT: &str = "content";

/// What the Job shows the gateway, and by what it knows the gateway.
pub fn secret(scope: &CommitteeScope, blob: &Blob, ticket: &str, ca_pem: &str) -> Secret {
    let entry = |key: &str, text: &str| (key.to_owned(), ByteString(text.as_bytes().to_vec()));
    Secret {
        metadata: of_blob(scope, blob),
        type_: Some("Opaque".to_owned()),
        data: Some([entry(TICKET, ticket), entry(gateway::CA_KEY, ca_pem)].into()),
        ..Secret::default()
    }
}

/// The Job. It is created and never changed.
pub fn job(scope: &CommitteeScope, blob: &Blob, source: &ConfigMapKey) -> Job {
    let metadata = of_blob(scope, blob);
    let name = metadata.name.clone().unwrap_or_default();
    let file = |name: &str| format!("{}/{name}", pod::START_DIR);
    let arguments = vec![
        "import".to_owned(),
        "--url".to_owned(),
        format!("https://{}", names::gateway_host(&scope.name, &scope.namespace)),
        "--ca".to_owned(),
        file(gateway::CA_KEY),
        "--ticket-file".to_owned(),
        file(TICKET),
        format!("{}/{}", blob.namespace().unwrap_or_default(), blob.name_any()),
        file(CONTENT),
    ];
    let container = pod::container(scope, arguments, pod::IMPORT.resources());
    let start = vec![
        pod::from_secret(name, &[(TICKET, TICKET), (gateway::CA_KEY, gateway::CA_KEY)]),
        pod::from_config_map(source.name.clone(), &[(&source.key, CONTENT)]),
    ];
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: metadata.labels.clone(), ..ObjectMeta::default() }),
        spec: Some(PodSpec {
            restart_policy: Some("Never".to_owned()),
            ..pod::spec(container, start)
        }),
    };
    Job { metadata, spec: Some(repair::once(template, DEADLINE_SECONDS)), status: None }
}

fn of_blob(scope: &CommitteeScope, blob: &Blob) -> ObjectMeta {
    let labels: BTreeMap<_, _> = labels::of_component(&scope.name, Component::Import);
    ObjectMeta {
        name: Some(names::import_job(&blob.name_any())),
        namespace: blob.namespace(),
        labels: Some(labels),
        owner_references: Some(vec![owner::<Blob>(
            blob.name_any(),
            blob.uid().unwrap_or_default(),
        )]),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
