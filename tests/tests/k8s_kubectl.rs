//! `kubectl floe` before a real API server. No operator runs: the test writes the statuses.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

use floe_crd::labels;
use floe_kubectl::args::{ClusterArguments, Output, WayArguments};
use floe_kubectl::cluster::Cluster;
use floe_kubectl::gateway::way;
use floe_tests::kubernetes::{ApiServer, Kubectl};
use floe_tests::process::{Scene, floe_binary};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

const NAMESPACES: &str = r"
apiVersion: v1
kind: Namespace
metadata: {name: floe}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop}
";

/// An API server with Floe's kinds, and the plugin.
struct Stage {
    kubectl: Kubectl,
    plugin: PathBuf,
    kubeconfig: PathBuf,
    server: ApiServer,
    runtime: Runtime,
    scene: Scene,
}

impl Stage {
    fn set(test: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let scene = Scene::new(test);
        let server = runtime.block_on(ApiServer::start(&scene));
        let kubectl = server.kubectl();
        kubectl.install_kinds();
        kubectl.apply(NAMESPACES).unwrap();
        let plugin = scene.dir().join("kubectl-floe");
        std::os::unix::fs::symlink(floe_binary(), &plugin).unwrap();
        let kubeconfig = server.kubeconfig().to_owned();
        Self { kubectl, plugin, kubeconfig, server, runtime, scene }
    }

    /// `kubectl-floe` with these words, as the administrator.
    fn floe(&self, words: &[&str], typed: &str) -> process::Output {
        self.floe_as(&self.kubeconfig, words, typed)
    }

    fn floe_as(&self, kubeconfig: &Path, words: &[&str], typed: &str) -> process::Output {
        let mut command = Command::new(&self.plugin);
        self.scene.clean(&mut command);
        command.args(words).arg("--kubeconfig").arg(kubeconfig).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It need not read what is typed.
        let _ = child.stdin.take().unwrap().write_all(typed.as_bytes());
        child.wait_with_output().unwrap()
    }

    /// An object and its status.
    fn apply(&self, kind: &str, (namespace, name): (&str, &str), spec: &Value, status: &Value) {
        let object = json!({"apiVersion": "floe.dev/v1alpha1", "kind": kind,
            "metadata": {"namespace": namespace, "name": name}, "spec": spec});
        self.kubectl.apply(&object.to_string()).unwrap();
        let status = json!({"status": status}).to_string();
        let kind = kind.to_lowercase();
        let patch = ["--subresource=status", "--type=merge", "-p", &status];
        self.kubectl.run(&[&["-n", namespace, "patch", &kind, name][..], &patch].concat());
    }

    fn committee(&self, name: &str, status: &Value) {
        let spec = json!({"replicas": 4, "storage": {"size": "1Gi"}});
        self.apply("Committee", ("floe", name), &spec, status);
    }

    fn node(&self, name: &str, status: &Value) {
        self.apply(
            "StorageNode",
            ("floe", name),
            &json!({"committeeRef": {"name": "main"}}),
            status,
        );
    }

    fn annotation(&self, node: &str) -> Option<String> {
        let words = ["-n", "floe", "get", "storagenode", node, "-o", "json"];
        let object: Value = serde_json::from_str(&self.kubectl.run(&words)).unwrap();
        let annotation = &object["metadata"]["annotations"][labels::REPLACE_VOLUME];
        annotation.as_str().map(ToOwned::to_owned)
    }
}

fn condition(type_: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": message,
        "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn serving(margin: u16, ready_replicas: u16) -> Value {
    let nodes = |nodes: u16| json!({"nodes": nodes, "hosts": nodes, "zones": 0});
    json!({"epoch": 2, "replicas": 4, "readyReplicas": ready_replicas, "margin": margin,
        "survives": {"data": nodes(2), "writes": nodes(1)},
        "conditions": [condition("Ready", "True", "Serving", "")]})
}

fn whole() -> Value {
    json!({"incarnation": 0, "shards": {"owned": "0-2", "count": 3},
        "volume": {"id": "8f1c2d", "claimName": "data-main-0-0-0", "state": "Bound"},
        "conditions": [condition("Ready", "True", "Serving", "")]})
}

#[track_caller]
fn said(output: &process::Output, code: i32, words: &[&str]) {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text);
    assert_eq!(output.status.code(), Some(code), "{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn the_exit_code_of_status_is_the_verdict() {
    let stage = Stage::set("k8s_kubectl_status");
    let status = |words: &[&str]| stage.floe(&[&["status", "-n", "floe"], words].concat(), "");
    said(&status(&[]), 4, &["there is no Committee in namespace floe"]);
    said(&status(&["main"]), 4, &["the Committee cannot be read", "\"main\" not found"]);

    stage.committee("main", &json!({}));
    said(&status(&["main"]), 4, &["COMMITTEE floe/main · epoch none yet", "UNKNOWN"]);
    stage.committee("main", &serving(6, 4));
    stage.node("main-0", &whole());
    said(&status(&["main"]), 0, &["epoch 2 · 10 shards, f = 3", "full margin", "1 whole node (-v"]);
    said(&status(&["-v"]), 0, &["main-0", "0-2"]);
    stage.committee("main", &serving(4, 3));
    let away = condition("Ready", "False", "Away", "its storage node does not answer");
    stage.node("main-10", &json!({"conditions": [away]}));
    said(&status(&["main"]), 1, &["below full margin", "main-10", "Away since", "heals by itself"]);
    stage.committee("main", &serving(0, 2));
    said(&status(&["main"]), 2, &["AT RISK", "bring back main-10 first"]);

    let json = status(&["main", "-o", "json"]);
    let page: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((&page["verdict"], &page["exitCode"]), (&json!("AtRisk"), &json!(2)));
    assert_eq!(page["nodes"][1]["name"], "main-10");

    stage.committee("other", &json!({}));
    said(&status(&[]), 2, &["name one of the Committees: ", "main", "other"]);
    let stranger = stage.server.kubeconfig_of("eve", &[]);
    let refused = stage.floe_as(&stranger, &["status", "-n", "floe", "main"], "");
    said(&refused, 4, &["User \"eve\" cannot get resource \"committees\""]);
}

#[test]
fn a_volume_is_given_up_when_its_node_is_typed() {
    let stage = Stage::set("k8s_kubectl_replace");
    stage.committee("main", &serving(6, 4));
    stage.node("main-0", &whole());
    let replace = |words: &[&str], typed: &str| {
        stage.floe(&[&["node", "replace", "-n", "floe", "main-0"], words].concat(), typed)
    };
    said(&replace(&[], "main-1\n"), 1, &["volume 8f1c2d", "Type main-0", "nothing was changed"]);
    said(&replace(&[], ""), 1, &["nothing was changed"]);
    assert_eq!(stage.annotation("main-0"), None);
    said(&replace(&[], "main-0\n"), 0, &["volume 8f1c2d is given up"]);
    assert_eq!(stage.annotation("main-0").as_deref(), Some("8f1c2d"));

    stage.node("main-1", &whole());
    stage.committee("main", &serving(2, 3));
    let another = ["node", "replace", "-n", "floe", "main-1", "--yes"];
    said(&stage.floe(&another, ""), 1, &["blobs survive 2 more", "other nodes first"]);
    assert_eq!(stage.annotation("main-1"), None);
    stage.committee("main", &serving(3, 4));
    said(&stage.floe(&another, ""), 0, &["the next volume is main-1-1"]);
    assert_eq!(stage.annotation("main-1").as_deref(), Some("8f1c2d"));
}

#[test]
fn adopting_waits_and_takes_stock() {
    let stage = Stage::set("k8s_kubectl_adopt");
    let adopt = |timeout| stage.floe(&["adopt", "main", "-n", "floe", "--timeout", timeout], "");
    said(&adopt("1s"), 4, &["\"main\" not found"]);
    stage.committee("main", &json!({}));
    said(&adopt("0s"), 3, &["the operator said nothing yet", "the operator goes on"]);
    stage.committee("main", &serving(6, 4));
    let blob = |name: &str, ready: &str| {
        let status = json!({"committeeRef": {"name": "main", "namespace": "floe"},
            "certifiedEpoch": 1, "conditions": [condition("Ready", ready, "Certified", "")]});
        stage.apply("Blob", ("shop", name), &json!({"source": {"upload": {}}}), &status);
    };
    blob("kept", "True");
    said(&adopt("1m"), 0, &["4 of 4 storage nodes serve", "1 Blob found with content, 0 without"]);
    blob("gone", "False");
    said(&adopt("1m"), 3, &["shop/gone has no content", "nothing was deleted"]);
}

#[test]
fn the_way_to_a_gateway_is_found_with_a_token_for_it() {
    let stage = Stage::set("k8s_kubectl_way");
    let find = |committee: Option<&str>, account: Option<&str>| {
        let wishes = WayArguments {
            committee: committee.map(ToOwned::to_owned),
            as_service_account: account.map(ToOwned::to_owned),
        };
        let found = stage.runtime.block_on(look(&stage.kubeconfig, &wishes));
        found.map_err(|error| format!("{error:#}"))
    };
    let refused = || find(None, None).err().unwrap();
    assert_eq!(refused(), "there is no Committee in this cluster");
    stage.committee("main", &json!({}));
    assert!(refused().contains("no default Committee; name one with --committee"));
    let is_default = format!("{}=true", labels::DEFAULT_COMMITTEE);
    stage.kubectl.run(&["-n", "floe", "annotate", "committee", "main", &is_default]);
    assert!(refused().contains("see --as-service-account"), "{}", refused());
    for account in ["default", "ci"] {
        stage.kubectl.run(&["-n", "shop", "create", "serviceaccount", account]);
    }
    assert_eq!(refused(), "no pod of the gateway of floe/main is ready");
    ready_gateway(&stage);
    assert!(refused().contains("\"main-gateway-ca\" not found"), "{}", refused());
    let words =
        ["-n", "floe", "create", "configmap", "main-gateway-ca", "--from-literal=ca.crt=PEM"];
    stage.kubectl.run(&words);

    let (way, user) = find(None, None).unwrap();
    assert_eq!((way.0.as_str(), way.1.as_str()), ("https://main-gateway.floe.svc", "PEM"));
    assert_eq!(user, "system:serviceaccount:shop:default");
    let (_, user) = find(Some("floe/main"), Some("ci")).unwrap();
    assert_eq!(user, "system:serviceaccount:shop:ci");
    let unknown = find(Some("floe/none"), None).err().unwrap();
    assert!(unknown.contains("\"none\" not found"), "{unknown}");

    // There is no kubelet: the way ends there, and says so.
    let lost = stage.floe(&["get", "shop/a"], "");
    said(
        &lost,
        1,
        &["the gateway at https://main-gateway.floe.svc does not answer", "pod main-gateway-0"],
    );
}

/// Address and CA of the way, and whom the API server sees in its token.
async fn look(
    kubeconfig: &Path,
    wishes: &WayArguments,
) -> anyhow::Result<((String, String), String)> {
    use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec};
    let which = ClusterArguments {
        kubeconfig: Some(kubeconfig.to_owned()),
        context: None,
        namespace: None,
        output: Output::Table,
    };
    let cluster = Cluster::connect(&which).await?;
    let found = way(&cluster, wishes, ("shop", "a")).await?;
    let audiences = vec!["floe.dev".to_owned()];
    let spec = TokenReviewSpec { token: found.token, audiences: Some(audiences.clone()) };
    let review = TokenReview { spec, ..TokenReview::default() };
    let reviews = kube::Api::<TokenReview>::all(cluster.client);
    let status = reviews.create(&kube::api::PostParams::default(), &review).await?.status.unwrap();
    assert_eq!(status.audiences.unwrap_or_default(), audiences);
    Ok(((found.url, found.ca_pem), status.user.unwrap().username.unwrap()))
}

/// What a Deployment would make.
fn ready_gateway(stage: &Stage) {
    let labels = labels::of_component("main", labels::Component::Gateway);
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"namespace": "floe", "name": "main-gateway-0", "labels": labels},
        "spec": {"nodeName": "nowhere", "containers": [{"name": "gateway", "image": "floe"}]}});
    stage.kubectl.apply(&pod.to_string()).unwrap();
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let words =
        ["-n", "floe", "patch", "pod", "main-gateway-0", "--subresource=status", "--type=merge"];
    stage.kubectl.run(&[&words[..], &["-p", &ready.to_string()]].concat());
}
