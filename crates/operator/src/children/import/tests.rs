use serde_json::json;

use super::*;
use crate::children::tests::fixture::{assert_restricted, blob, scope};

#[test]
fn it_runs_beside_the_blob_and_goes_with_it() {
    let mut blob = blob();
    let source = blob.spec.source.config_map_key_ref.clone().unwrap();
    let scope = scope(&json!({}));
    let job = job(&scope, &blob, &source);
    assert_restricted(job.spec.as_ref().unwrap().template.spec.as_ref().unwrap(), false);
    let secret = secret(&scope, &blob, "ticket", "ca");
    assert_eq!(secret.metadata, job.metadata);
    assert_eq!(job.metadata.namespace.as_deref(), Some("shop"));
    assert_eq!(job.metadata.owner_references.unwrap()[0].uid, "0000-logo");

    blob.metadata.name = Some("x".repeat(253));
    let long = super::job(&scope, &blob, &source).metadata.name.unwrap();
    assert!(long.len() <= 63, "a pod's label holds it: {long}");
}
