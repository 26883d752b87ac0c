//! The Committee controller's line from installation to repair, on a real API server with kubelets in
//! this process.

#![allow(clippy::unwrap_used, reason = "test code: a broken assumption fails the test")]

mod site;

use std::time::Duration;

use floe_crd::{condition, labels};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Secret};
use kube::api::{DeleteParams, ListParams};
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
    site.make_committee(json!({}));
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

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_dies_again_and_again_ends_where_another_does() {
    let mut site = Site::open("committee_operator_dies").await;
    site.make_committee(json!({}));
    site.until_whole(90).await;
    site.make_blobs(4).await;
    site.until_whole(30).await;
    site.kubelet.lose_disk("floe", "data-main-2-0-0").await;
    let is_retired = async |site: &Site| {
        let all = claims(site).await;
        all.iter().any(|(_, is_retired)| *is_retired)
    };
    site.until("the volume is given up", 60, async || {
        if is_retired(&site).await { Ok(()) } else { Err(String::new()) }
    })
    .await;
    let turns = ["the next volume has a claim", "the next volume is in a record", "there is a Job"];
    for (at, turn) in turns.into_iter().enumerate() {
        site.kill_operator().await;
        site.start_operator();
        site.until(turn, 60, async || {
            let come = match at {
                0 => claims(&site).await.iter().any(|(name, _)| name == "data-main-2-1-0"),
                1 => site.records().await.len() > 1,
                _ => {
                    let jobs = Api::<Job>::namespaced(site.client.clone(), "floe");
                    !jobs.list(&ListParams::default()).await.unwrap().items.is_empty()
                }
            };
            if come { Ok(()) } else { Err(String::new()) }
        })
        .await;
    }
    site.kill_operator().await;
    site.start_operator();
    site.until("the next volume is whole", 90, async || {
        let status = site.node("main-2").await.status.unwrap();
        let whole = status.slivers.is_some_and(|it| it.held_percent == 100 && it.owed > 0);
        let filled = !condition::is_true(&status.conditions, condition::REPAIR_IN_PROGRESS);
        if whole && filled && status.incarnation == Some(1) {
            Ok(())
        } else {
            Err(shown(&status.conditions))
        }
    })
    .await;
    site.until_whole(30).await;
    assert_eq!(site.records().await, [0, 1, 2]);
    let retired: Vec<_> = claims(&site).await.into_iter().filter(|(_, retired)| *retired).collect();
    assert_eq!(retired, names(&[("data-main-2-0-0", true)]));
    let jobs = Api::<Job>::namespaced(site.client.clone(), "floe");
    assert_eq!(jobs.list(&ListParams::default()).await.unwrap().items.len(), 1);
    site.kill_operator().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committee_that_is_made_again_finds_its_volumes() {
    let site = Site::open("committee_adopted").await;
    site.make_committee(json!({}));
    site.until_whole(90).await;
    site.make_blobs(2).await;
    let secrets = Api::<Secret>::namespaced(site.client.clone(), "floe");
    let trust = secrets.get("main-trust").await.unwrap();
    let before = claims(&site).await;
    site.until_certified(2).await;

    let committees = Api::<floe_crd::Committee>::namespaced(site.client.clone(), "floe");
    let old = site.committee().await.uid();
    committees.delete("main", &DeleteParams::default()).await.unwrap();
    let sets = Api::<StatefulSet>::namespaced(site.client.clone(), "floe");
    site.until("the pods are stopped", 60, async || {
        let left = sets.list(&ListParams::default()).await.unwrap().items.len();
        let gone = committees.get_opt("main").await.unwrap().is_none();
        if left == 0 && gone { Ok(()) } else { Err(format!("{left} left, gone: {gone}")) }
    })
    .await;
    assert_eq!(claims(&site).await, before);
    assert_eq!(site.records().await, [0]);

    site.make_committee(json!({}));
    site.until_whole(90).await;
    assert_ne!(site.committee().await.uid(), old);
    assert_eq!(claims(&site).await, before);
    assert_eq!(site.records().await, [0], "there is no other beginning");
    let again = secrets.get("main-trust").await.unwrap();
    assert_eq!((trust.uid(), trust.data), (again.uid(), again.data));
    site.until_certified(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_told_and_then_it_goes_on() {
    let site = Site::open("committee_stalled").await;
    // One more than hosts.
    site.make_committee(json!({"replicas": 7}));
    site.until("it says who has no host", 60, async || {
        let status = site.committee().await.status.unwrap_or_default();
        let waiting = condition::get(&status.conditions, condition::PROGRESSING);
        let waits = waiting.is_some_and(|it| {
            it.status == "True" && it.observed_generation == Some(1) && it.reason == "Unschedulable"
        });
        if waits { Ok(()) } else { Err(shown(&status.conditions)) }
    })
    .await;
    assert!(site.records().await.is_empty());
    site.kubectl.run(&[
        "-n",
        "floe",
        "patch",
        "fc/main",
        "--type=merge",
        "-p",
        r#"{"spec":{"replicas":4}}"#,
    ]);
    site.until_whole(90).await;
    let status = site.committee().await.status.unwrap();
    assert_eq!(status.replicas, 4);
    assert!(status.conditions.iter().all(|it| it.observed_generation == Some(2)));
}
