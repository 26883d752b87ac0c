//! Whether a Committee that was installed again has everything: volumes keep their content and the
//! Committee's Secret its trust, so the operator takes them up by itself. This waits and says so.

use std::time::Duration;

use anyhow::Context as _;
use floe_crd::{Blob, Committee, condition};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};

use crate::args::AdoptArguments;
use crate::cluster::{Cluster, print};
use crate::exit::{Ended, Exit};
use crate::text::plural;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Names of Blobs that are shown.
const MOST_NAMES: usize = 10;

/// Waits until the Committee serves, then says which Blobs it has.
pub async fn adopt(cluster: &Cluster, arguments: &AdoptArguments) -> anyhow::Result<()> {
    let committee = wait_until_ready(cluster, arguments).await?;
    let blobs = Api::<Blob>::all(cluster.client.clone()).list(&ListParams::default()).await;
    let blobs = blobs.context("Blobs of all namespaces cannot be listed")?.items;
    let found = take_stock(&committee, &blobs);
    print(&found.text)?;
    match found.lacking {
        0 => Ok(()),
        lacking => {
            let message = format!("{} without content", plural(lacking, "Blob"));
            Err(Ended::new(Exit::NotEnoughNodes, message).into())
        }
    }
}

async fn wait_until_ready(
    cluster: &Cluster,
    arguments: &AdoptArguments,
) -> anyhow::Result<Committee> {
    let committees = Api::<Committee>::namespaced(cluster.client.clone(), &cluster.namespace);
    let begun = Timestamp::now();
    let mut said = String::new();
    loop {
        let committee = committees.get(&arguments.committee).await;
        let committee = committee.context("the Committee cannot be read")?;
        let Some(missing) = missing(&committee) else { return Ok(committee) };
        if crate::text::between(begun, Timestamp::now()) > arguments.timeout {
            let message = format!(
                "not within {}: {missing}; the operator goes on",
                crate::text::span(arguments.timeout)
            );
            return Err(Ended::new(Exit::NotEnoughNodes, message).into());
        }
        if missing != said {
            eprintln!("waiting: {missing}");
            said = missing;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// What keeps a Committee from being Ready; nothing if it is.
fn missing(committee: &Committee) -> Option<String> {
    let status = committee.status.clone().unwrap_or_default();
    let ready = condition::get(&status.conditions, condition::READY);
    let is_current = |generation: Option<i64>| generation >= committee.metadata.generation;
    match ready {
        Some(ready) if !is_current(ready.observed_generation) => {
            Some("the operator has not seen the newest spec".to_owned())
        }
        Some(ready) if ready.status == "True" => None,
        Some(ready) => Some(format!("{}: {}", ready.reason, ready.message)),
        None => Some("the operator said nothing yet".to_owned()),
    }
}

/// What a Committee has.
struct Stock {
    /// For people.
    text: String,
    /// Blobs that were certified and are not Ready now.
    lacking: u64,
}

fn take_stock(committee: &Committee, blobs: &[Blob]) -> Stock {
    let status = committee.status.clone().unwrap_or_default();
    let (name, namespace) = (committee.name_any(), committee.namespace().unwrap_or_default());
    let is_ours = |blob: &&Blob| {
        let reference = blob.status.as_ref().and_then(|status| status.committee_ref.as_ref());
        reference.is_some_and(|it| it.name == name && it.namespace == namespace)
    };
    let is_ready = |blob: &Blob| {
        let status = blob.status.as_ref();
        status.is_some_and(|it| condition::is_true(&it.conditions, condition::READY))
    };
    let was_certified =
        |blob: &Blob| blob.status.as_ref().is_some_and(|status| status.certified_epoch.is_some());
    let ours: Vec<&Blob> = blobs.iter().filter(is_ours).collect();
    let ready = ours.iter().filter(|blob| is_ready(blob)).count();
    let lost: Vec<&&Blob> =
        ours.iter().filter(|blob| !is_ready(blob) && was_certified(blob)).collect();
    let waiting = ours.len() - ready - lost.len();
    let mut lines = vec![
        format!(
            "{} of {} serve; epoch {}; {} in the catalog",
            status.ready_replicas,
            plural(status.replicas.into(), "storage node"),
            status.epoch.unwrap_or_default(),
            plural(status.blobs.map_or(0, |blobs| blobs.certified), "blob"),
        ),
        format!(
            "{} found with content, {} without, {} not written yet",
            plural(ready as u64, "Blob"),
            lost.len(),
            waiting
        ),
    ];
    for blob in lost.iter().take(MOST_NAMES) {
        let namespace = blob.namespace().unwrap_or_default();
        lines.push(format!("  {namespace}/{} has no content", blob.name_any()));
    }
    if lost.len() > MOST_NAMES {
        lines.push(format!("  … and {} more", lost.len() - MOST_NAMES));
    }
    lines.push("nothing was deleted".to_owned());
    Stock { text: lines.join("\n"), lacking: lost.len() as u64 }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, from_value, json};

    use super::*;

    fn committee(status: &Value) -> Committee {
        from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "Committee",
            "metadata": {"name": "main", "namespace": "floe", "generation": 2},
            "spec": {"replicas": 4, "storage": {"size": "1Gi"}}, "status": status}))
        .unwrap()
    }

    fn ready(status: &str, generation: i64) -> Value {
        json!({"type": "Ready", "status": status, "reason": "TooFewNodes", "message": "main-1 is away",
            "observedGeneration": generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn blob(name: &str, committee: &str, status: &str, epoch: Option<u64>) -> Blob {
        from_value(json!({"apiVersion": "floe.dev/v1alpha1", "kind": "Blob",
            "metadata": {"name": name, "namespace": "shop"},
            "spec": {"source": {"upload": {}}},
            "status": {"committeeRef": {"name": committee, "namespace": "floe"},
                "certifiedEpoch": epoch, "conditions": [ready(status, 1)]}}))
        .unwrap()
    }

    #[test]
    fn it_is_waited_for_with_the_reason() {
        let missing = |conditions: Value| missing(&committee(&json!({"conditions": conditions})));
        assert_eq!(missing(json!([])).unwrap(), "the operator said nothing yet");
        assert_eq!(missing(json!([ready("False", 2)])).unwrap(), "TooFewNodes: main-1 is away");
        assert_eq!(
            missing(json!([ready("True", 1)])).unwrap(),
            "the operator has not seen the newest spec"
        );
        assert_eq!(missing(json!([ready("True", 2)])), None);
    }

    #[test]
    fn blobs_that_had_content_and_have_none_are_named() {
        let main = committee(&json!({"epoch": 7, "replicas": 4, "readyReplicas": 4,
            "blobs": {"certified": 2}}));
        let blobs = [
            blob("a", "main", "True", Some(1)),
            blob("b", "main", "False", Some(2)),
            blob("c", "main", "False", None),
            blob("d", "other", "False", Some(1)),
        ];
        let stock = take_stock(&main, &blobs);
        assert_eq!(stock.lacking, 1);
        insta::assert_snapshot!(stock.text, @r"
        4 of 4 storage nodes serve; epoch 7; 2 blobs in the catalog
        1 Blob found with content, 1 without, 1 not written yet
          shop/b has no content
        nothing was deleted
        ");
    }
}
