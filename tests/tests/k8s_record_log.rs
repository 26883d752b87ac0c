//! The log of epoch records and the trust of a committee, kept by a real API server.

#![allow(clippy::unwrap_used, reason = "test code: a broken assumption fails the test")]

use floe_crd::{labels, names};
use floe_env::real_env;
use floe_model::keys::RegistrarKey;
use floe_model::record::{NO_PARENT, Policy};
use floe_model::{CommitteeId, EpochNumber, EpochRecord, Geometry, SignedRecord};
use floe_operator::record_log::RevisionLog;
use floe_operator::trust_store;
use floe_steward::{LogError, RecordLog as _, Trust};
use floe_tests::kubernetes::ApiServer;
use floe_tests::process::Scene;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::json;

fn signed(number: u64) -> SignedRecord {
    let operator = RegistrarKey::from_seed(&[1; 32]);
    let record = EpochRecord {
        committee: CommitteeId([1; 16]),
        number: EpochNumber(number),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(4).unwrap(),
        policy: Policy::default(),
        registrars: Vec::new(),
        members: Vec::new(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
    };
    let signature = operator.sign(&SignedRecord::statement(&record));
    SignedRecord { record, key: operator.public(), signature }
}

#[tokio::test]
async fn a_number_is_used_once_and_what_is_in_it_stays() {
    let scene = Scene::new("record_log");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    let log = RevisionLog::new(client.clone(), "default", "main");
    assert!(log.is_empty().await.unwrap());
    assert_eq!(log.read_all().await.unwrap(), []);
    for number in [0, 10, 2] {
        log.create(&signed(number)).await.unwrap();
    }
    let again = log.create(&signed(2)).await.unwrap_err();
    assert!(matches!(again, LogError::Exists(EpochNumber(2))), "{again}");
    assert_eq!(log.read_all().await.unwrap(), [0, 2, 10].map(signed));

    // Whoever starts later reads the same; another committee has a log of its own.
    let later = RevisionLog::new(client.clone(), "default", "main");
    assert_eq!(later.read_all().await.unwrap(), [0, 2, 10].map(signed));
    let other = RevisionLog::new(client.clone(), "default", "other");
    assert!(other.is_empty().await.unwrap());

    // What another controller keeps for the Committee's pods is no record.
    let revisions = Api::<ControllerRevision>::default_namespaced(client.clone());
    let of_a_set = json!({
        "apiVersion": "apps/v1", "kind": "ControllerRevision", "revision": 1, "data": {"spec": {}},
        "metadata": {
            "name": "main-0-0-5d8f",
            "labels": labels::of_component("main", labels::Component::StorageNode),
        },
    });
    let of_a_set = serde_json::from_value(of_a_set).unwrap();
    revisions.create(&PostParams::default(), &of_a_set).await.unwrap();
    assert_eq!(later.read_all().await.unwrap().len(), 3);

    // The API server keeps what is in a record.
    let name = names::revision("main", EpochNumber(2));
    let forged = Patch::Merge(json!({"data": {"record": "AAAA"}}));
    let refused = revisions.patch(&name, &PatchParams::default(), &forged).await.unwrap_err();
    assert!(refused.to_string().contains("immutable"), "{refused}");
    assert!(revisions.get(&name).await.unwrap().owner_references().is_empty());

    // What is no record is named.
    let mut odd = revisions.get(&name).await.unwrap();
    odd.metadata.name = Some(names::revision("main", EpochNumber(3)));
    odd.metadata.resource_version = None;
    revisions.create(&PostParams::default(), &odd).await.unwrap();
    let error = later.read_all().await.unwrap_err().to_string();
    assert!(error.contains("ControllerRevision default/main-3 is damaged"), "{error}");
    revisions.delete("main-3", &DeleteParams::default()).await.unwrap();
    assert_eq!(later.read_all().await.unwrap().len(), 3);
}

#[tokio::test]
async fn many_records_are_read_page_by_page() {
    let scene = Scene::new("record_log_pages");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    let log = RevisionLog::new(client.clone(), "default", "main");
    let created = (0..520).map(|number| {
        let log = &log;
        async move { log.create(&signed(number)).await.unwrap() }
    });
    futures::future::join_all(created).await;
    let numbers = |records: Vec<SignedRecord>| -> Vec<u64> {
        records.into_iter().map(|signed| signed.record.number.0).collect()
    };
    let later = RevisionLog::new(client, "default", "main");
    assert_eq!(numbers(later.read_all().await.unwrap()), (0..520).collect::<Vec<_>>());
}

#[tokio::test]
async fn trust_is_drawn_once_and_cannot_be_changed() {
    let scene = Scene::new("trust_store");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    let env = real_env(1).unwrap();
    assert!(trust_store::open(&client, "default", "main").await.unwrap().is_none());
    let first = trust_store::create(&client, &env, "default", "main").await.unwrap();
    // Another operator was about to do the same.
    let second = trust_store::create(&client, &env, "default", "main").await.unwrap();
    let read = trust_store::open(&client, "default", "main").await.unwrap().unwrap();
    let files = |trust: &Trust| trust.to_files();
    assert_eq!(files(&first), files(&second));
    assert_eq!(files(&first), files(&read));

    let secrets = Api::<Secret>::default_namespaced(client.clone());
    let forged = Patch::Merge(json!({"data": {"operator-key": "AAAA"}}));
    let name = names::trust("main");
    let refused = secrets.patch(&name, &PatchParams::default(), &forged).await.unwrap_err();
    assert!(refused.to_string().contains("immutable"), "{refused}");
    assert!(secrets.get(&name).await.unwrap().owner_references().is_empty());

    // A Secret that is not one is named, not replaced.
    let odd = json!({"metadata": {"name": names::trust("odd")}, "stringData": {"ca.pem": "x"}});
    let odd = serde_json::from_value(odd).unwrap();
    secrets.create(&PostParams::default(), &odd).await.unwrap();
    let error = trust_store::open(&client, "default", "odd").await.unwrap_err();
    assert!(error.is_terminal(), "{error}");
    assert!(error.to_string().starts_with("Secret default/odd-trust: "), "{error}");
}
