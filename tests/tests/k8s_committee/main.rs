//! The Committee controller's line from installation to repair, on a real API server with kubelets in
//! this process.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it runs on the real machine, and a broken assumption fails the test"
)]

mod site;

use std::time::Duration;

use floe_crd::{condition, labels};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde_json::json;
use site::{Site, shown};

/// The claims of volumes, and whether each is retired.
async fn claims(site: &Site) -> Vec<(String, bool)> {
    let api = Api::<PersistentVolumeClaim>::namespaced(site.client.clone(), "floe");
    let all = api.list(&ListParams::default()).await.unwrap().items;
    let mut claims: Vec<_> = all
        .iter()
        .map(|claim| (claim.name_any(), claim.labels().contains_key(labels::RETIRED)))
        .collect();
    claims.sort();
    claims
}

fn names(of: &[(&str, bool)]) -> Vec<(String, bool)> {
    of.iter().map(|(name, is_retired)| ((*name).to_owned(), *is_retired)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_disk_is_replaced_and_filled_by_one_job() {
    let mut site = Site::open("committee_lost_disk").await;
    site.make_committee(&json!({}));
    site.until_whole(90).await;
    assert_eq!(site.records().await, [0]);
    let zones = site.node("main-0").await.status.unwrap();
    assert!(zones.zone.unwrap().starts_with("zone-"));
    site.make_blobs(6).await;
    site.until_whole(30).await;

    // Nothing is written at rest.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = site.writes().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(site.writes().await, before);

    site.kubelet.lose_disk("floe", "data-main-1-0-0").await;
    site.until("the next volume is whole", 90, async || {
        let status = site.node("main-1").await.status.unwrap();
        let whole = status.slivers.is_some_and(|it| it.held_percent == 100 && it.owed > 0);
        let filled = !condition::is_true(&status.conditions, condition::REPAIR_IN_PROGRESS);
        let done = status.incarnation == Some(1) && whole && filled;
        if done { Ok(()) } else { Err(shown(&status.conditions)) }
    })
    .await;
    site.until_whole(30).await;

    assert_eq!(
        claims(&site).await,
        names(&[
            ("data-main-0-0-0", false),
            ("data-main-1-0-0", true),
            ("data-main-1-1-0", false),
            ("data-main-2-0-0", false),
            ("data-main-3-0-0", false),
        ])
    );
    let sets = Api::<StatefulSet>::namespaced(site.client.clone(), "floe");
    assert!(sets.get_opt("main-1-0").await.unwrap().is_none());
    let jobs = Api::<Job>::namespaced(site.client.clone(), "floe");
    let jobs = jobs.list(&ListParams::default()).await.unwrap().items;
    let job_names: Vec<String> = jobs.iter().map(ResourceExt::name_any).collect();
    assert_eq!(jobs.len(), 1, "{job_names:?}");
    assert!(job_names[0].starts_with("main-1-1-repair-"), "{job_names:?}");
    // The volume in its place, and then that it is whole.
    assert_eq!(site.records().await, [0, 1, 2]);
    let told = site.events("StorageNode", "main-1").await;
    for reason in ["VolumeLost", "VolumeReplaced", "RepairStarted", "Repaired"] {
        let times = told.iter().filter(|it| *it == reason).count();
        assert_eq!(times, 1, "{reason} in {told:?}");
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let before = site.writes().await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(site.writes().await, before);
    site.kill_operator().await;
}
