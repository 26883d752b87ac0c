//! Every child object against a real API server: its schema and defaults, pod security `restricted`,
//! and what is written when something changed and when nothing did.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: a broken assumption fails the test"
)]

use std::fmt::Debug;

use floe_api::TlsIdentity;
use floe_crd::{Blob, labels};
use floe_model::keys::RegistrarKey;
use floe_model::{CommitteeId, Incarnation, Timestamp};
use floe_operator::apply::{self, Applied, ApplyError, Dependents};
use floe_operator::children::leaf::Leaf;
use floe_operator::children::{
    CommitteeScope, Volume, budget, gateway, import, leaf, network, repair, volume,
};
use floe_steward::start_files::NodeAddress;
use floe_tests::kubernetes::ApiServer;
use floe_tests::process::Scene;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, PodTemplateSpec, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const MANAGER: &str = labels::COMMITTEE_MANAGER;

fn scope(image: &str) -> CommitteeScope {
    let spec = json!({
        "replicas": 4,
        "storage": {"size": "1Gi"},
        "imagePullSecrets": [{"name": "registry"}],
        "template": {
            "labels": {"team": "storage"},
            "annotations": {"note": "x"},
            "nodeSelector": {"disk": "nvme"},
            "tolerations": [{"key": "storage", "operator": "Exists"}],
            "resources": {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}},
        },
    });
    CommitteeScope {
        namespace: "floe".to_owned(),
        name: "main".to_owned(),
        uid: "8c1d0a52-0000-0000-0000-000000000001".to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        committee: CommitteeId([7; 16]),
        operator: RegistrarKey::from_seed(&[1; 32]).public(),
        image: image.to_owned(),
        operator_namespace: "floe-system".to_owned(),
    }
}

fn volume() -> Volume {
    Volume {
        node: "main-0".parse().unwrap(),
        incarnation: Incarnation(0),
        node_uid: "8c1d0a52-0000-0000-0000-000000000002".to_owned(),
        zone: Some("a".to_owned()),
        placed: false,
        size: "1Gi".to_owned(),
        storage_class: None,
    }
}

fn nodes() -> Vec<NodeAddress> {
    vec![NodeAddress {
        node: "main-0".parse().unwrap(),
        incarnation: Incarnation(0),
        address: "main-0-0.floe.svc:7443".to_owned(),
    }]
}

fn blob() -> Blob {
    serde_json::from_value(json!({
        "apiVersion": "floe.dev/v1alpha1",
        "kind": "Blob",
        "metadata": {
            "name": "logo", "namespace": "floe", "uid": "8c1d0a52-0000-0000-0000-000000000003",
        },
        "spec": {"source": {"configMapKeyRef": {"name": "pictures", "key": "logo.svg"}}},
    }))
    .unwrap()
}

/// A namespace that takes only restricted pods.
async fn namespace(client: &Client, name: &str) {
    let enforced = [("pod-security.kubernetes.io/enforce".to_owned(), "restricted".to_owned())];
    let namespace = Namespace {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(enforced.into()),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    };
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.unwrap();
}

/// Applies it twice: the API server takes it as it is, and the second time there is nothing to do.
async fn taken<K>(client: &Client, object: &K)
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let what = format!("{} {}", K::kind(&()), object.name_any());
    let first = apply::apply(client, object, MANAGER).await;
    assert_eq!(first.unwrap_or_else(|error| panic!("{what}: {error}")), Applied::Created, "{what}");
    let second = apply::apply(client, object, MANAGER).await;
    assert_eq!(second.unwrap(), Applied::Unchanged, "{what}");
}

/// Pod security judges pods, not templates.
async fn admitted(client: &Client, name: &str, template: &PodTemplateSpec) {
    let mut spec = template.spec.clone().unwrap();
    // The claim's volume is added by the StatefulSet; the account is made elsewhere.
    let claim = json!({"name": "data", "persistentVolumeClaim": {"claimName": "data"}});
    spec.volumes.get_or_insert_default().push(serde_json::from_value(claim).unwrap());
    spec.service_account_name = None;
    let pod = Pod {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..template.metadata.clone().unwrap() },
        spec: Some(spec),
        status: None,
    };
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let pods = Api::<Pod>::namespaced(client.clone(), "floe");
    pods.create(&params, &pod).await.unwrap_or_else(|error| panic!("{name}: {error}"));
}

async fn live<K>(client: &Client, name: &str) -> K
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug,
{
    Api::<K>::namespaced(client.clone(), "floe").get(name).await.unwrap()
}

#[tokio::test]
async fn every_child_is_taken_as_it_is_and_written_once() {
    let scene = Scene::new("children_are_taken");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    namespace(&client, "floe").await;
    // Pods are not taken without their account.
    server.kubectl().run(&["create", "serviceaccount", "default", "-n", "floe"]);
    let (scope, volume, blob) = (scope("floe:1"), volume(), blob());
    let identity = TlsIdentity {
        ca_pem: "ca".to_owned(),
        certificate_pem: "certificate".to_owned(),
        key_pem: "key".to_owned(),
    };
    let leaf = Leaf { identity: &identity, issued: Timestamp(1_800_000_000_000) };
    let file = gateway::file(&scope, nodes()).unwrap();

    let set = volume::stateful_set(&scope, &volume);
    admitted(&client, "storage-node", &set.spec.template).await;
    taken(&client, &set).await;
    taken(&client, &volume::service(&scope, &volume)).await;
    taken(&client, &volume::node_config(&scope, &volume).unwrap()).await;
    taken(&client, &leaf::of_storage_node(&scope, &volume, leaf)).await;
    let deployment = gateway::deployment(&scope, &file).unwrap();
    admitted(&client, "gateway", &deployment.spec.template).await;
    taken(&client, &deployment).await;
    taken(&client, &gateway::service(&scope)).await;
    taken(&client, &gateway::service_account(&scope)).await;
    taken(&client, &gateway::cluster_role_binding(&scope)).await;
    taken(&client, &gateway::config(&scope, &file).unwrap()).await;
    taken(&client, &leaf::of_gateway(&scope, leaf, "5eed")).await;
    taken(&client, &gateway::ca(&scope, "ca")).await;
    taken(&client, &gateway::disruption_budget(&scope).unwrap()).await;
    taken(&client, &budget::disruption_budget(&scope, 3)).await;
    taken(&client, &repair::config(&scope, nodes()).unwrap()).await;
    taken(&client, &leaf::of_repair(&scope, leaf)).await;
    for policy in network::policies(&scope) {
        taken(&client, &policy).await;
    }
    taken(&client, &import::secret(&scope, &blob, "floe-ticket-v1.AAAA", "ca")).await;

    let source = blob.spec.source.config_map_key_ref.clone().unwrap();
    let jobs = [
        repair::job(&scope, &volume, b"shard 3 since 5").unwrap(),
        import::job(&scope, &blob, &source),
    ];
    for job in jobs {
        admitted(&client, "job", &job.spec.as_ref().unwrap().template).await;
        assert!(apply::create_once(&client, &job, MANAGER).await.unwrap());
        assert!(!apply::create_once(&client, &job, MANAGER).await.unwrap(), "it is there");
    }
}

#[tokio::test]
async fn what_changed_is_written_and_nothing_else() {
    let scene = Scene::new("children_change");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    namespace(&client, "floe").await;
    let apply_set = async |scope: &CommitteeScope, volume: &Volume| {
        apply::apply(&client, &volume::stateful_set(scope, volume), MANAGER).await.unwrap()
    };

    let made = volume();
    assert_eq!(apply_set(&scope("floe:1"), &made).await, Applied::Created);
    let first: StatefulSet = live(&client, "main-0-0").await;
    // A larger volume is no other StatefulSet: its claim's template cannot change.
    let mut grown = scope("floe:1");
    grown.spec.storage.size = "2Gi".into();
    assert_eq!(apply_set(&grown, &made).await, Applied::Unchanged);
    let unchanged: StatefulSet = live(&client, "main-0-0").await;
    assert_eq!(unchanged.resource_version(), first.resource_version());

    let placed = Volume { placed: true, zone: None, ..made.clone() };
    let mut other = scope("floe:2");
    other.spec.template.labels.remove("team");
    assert_eq!(apply_set(&other, &placed).await, Applied::Changed);
    let second: StatefulSet = live(&client, "main-0-0").await;
    assert_eq!(second.uid(), first.uid());
    let template = second.spec.template;
    assert_eq!(template.spec.unwrap().containers[0].image.as_deref(), Some("floe:2"));
    let labels = template.metadata.unwrap().labels.unwrap();
    assert!(!labels.contains_key("team"), "what is no longer wanted goes: {labels:?}");

    // What another writer took is taken back.
    let services = Api::<Service>::namespaced(client.clone(), "floe");
    let service = volume::service(&scope("floe:1"), &made);
    apply::apply(&client, &service, MANAGER).await.unwrap();
    let patch = json!({"spec": {"publishNotReadyAddresses": false}});
    services.patch("main-0-0", &PatchParams::default(), &Patch::Merge(&patch)).await.unwrap();
    assert_eq!(apply::apply(&client, &service, MANAGER).await.unwrap(), Applied::Changed);
    assert_eq!(apply::apply(&client, &service, MANAGER).await.unwrap(), Applied::Unchanged);
    let spec = services.get("main-0-0").await.unwrap().spec.unwrap();
    assert_eq!(spec.publish_not_ready_addresses, Some(true));
}

#[tokio::test]
async fn what_is_refused_says_whether_to_try_again() {
    let scene = Scene::new("children_refused");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    namespace(&client, "floe").await;
    let scope = scope("floe:1");

    let mut set = volume::stateful_set(&scope, &volume());
    apply::apply(&client, &set, MANAGER).await.unwrap();
    set.spec.service_name = Some("other".to_owned());
    let error = apply::apply(&client, &set, MANAGER).await.unwrap_err();
    assert!(matches!(error, ApplyError::Invalid { .. }), "{error}");
    assert!(error.is_terminal());
    assert!(error.to_string().starts_with("StatefulSet floe/main-0-0 is refused: "), "{error}");

    let config = gateway::ca(&scope, "ca");
    let eve = server.client_of("eve", &[]).await;
    let error = apply::apply(&eve, &config, MANAGER).await.unwrap_err();
    assert!(matches!(error, ApplyError::Forbidden { .. }), "{error}");
    assert!(!error.is_terminal(), "the role may come yet");
    let nowhere = CommitteeScope { namespace: "nowhere".to_owned(), ..scope.clone() };
    let error = apply::apply(&client, &gateway::ca(&nowhere, "ca"), MANAGER).await.unwrap_err();
    assert!(!error.is_terminal(), "{error}");

    // A name that somebody else took first.
    server.kubectl().run(&["create", "configmap", "main-gateway-ca", "-n", "floe"]);
    let error = apply::apply(&client, &config, MANAGER).await.unwrap_err();
    assert!(matches!(error, ApplyError::Foreign { .. }), "{error}");
    assert!(live::<ConfigMap>(&client, "main-gateway-ca").await.data.is_none());
}

#[tokio::test]
async fn only_what_was_read_is_deleted() {
    let scene = Scene::new("children_deleted");
    let server = ApiServer::start(&scene).await;
    let client = server.client().await;
    namespace(&client, "floe").await;
    let config = gateway::ca(&scope("floe:1"), "ca");
    assert!(apply::create_once(&client, &config, MANAGER).await.unwrap());
    let read: ConfigMap = live(&client, "main-gateway-ca").await;

    let unread = apply::delete(&client, &config, Dependents::Go).await.unwrap_err();
    assert!(matches!(unread, ApplyError::Malformed { .. }), "{unread}");
    let mut other = read.clone();
    other.metadata.uid = Some("8c1d0a52-0000-0000-0000-000000000009".to_owned());
    let error = apply::delete(&client, &other, Dependents::Go).await.unwrap_err();
    assert!(matches!(error, ApplyError::Conflict { .. }), "{error}");
    assert!(apply::delete(&client, &read, Dependents::Stay).await.unwrap());
    let managed: Value = serde_json::to_value(&read.metadata.managed_fields).unwrap();
    assert_eq!(managed[0]["manager"], MANAGER);
    // Without a garbage collector, whoever wants dependents to stay waits for it.
    let finalizers = json!({"metadata": {"finalizers": null}});
    let configs = Api::<ConfigMap>::namespaced(client.clone(), "floe");
    if configs.get_opt("main-gateway-ca").await.unwrap().is_some() {
        let applied = apply::apply(&client, &config, MANAGER).await.unwrap();
        assert_eq!(applied, Applied::Unchanged, "it is on its way out");
        configs
            .patch("main-gateway-ca", &PatchParams::default(), &Patch::Merge(&finalizers))
            .await
            .unwrap();
    }
    assert!(!apply::delete(&client, &read, Dependents::Go).await.unwrap(), "it is gone");
}
