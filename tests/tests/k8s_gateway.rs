//! A gateway over real storage nodes that asks a real API server who may, and which claim a name has.
//! No operator runs: where one is needed, the test ends a Blob object's deletion itself.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use floe_api::Role;
use floe_client::Budget;
use floe_crd::CommitteeReference;
use floe_gateway::{
    ApiServer as GatewaysWay, Config, Gateway, KubernetesObjects, KubernetesReviews,
};
use floe_model::Incarnation;
use floe_tests::kubernetes::{ApiServer, Kubectl};
use floe_tests::local::Committee;
use floe_tests::process::{Http, Scene, content, wait_for};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use sha2::Digest as _;
use tokio::runtime::Runtime;

/// As whom the gateway talks to the API server, and all that it may.
const GATEWAY: &str = "system:serviceaccount:floe:main-gateway";
const RIGHTS: &str = r#"
apiVersion: v1
kind: Namespace
metadata: {name: floe}
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {tier: gold}}
---
apiVersion: v1
kind: Namespace
metadata: {name: bank}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: floe-gateway}
rules:
- {apiGroups: [authentication.k8s.io], resources: [tokenreviews], verbs: [create]}
- {apiGroups: [authorization.k8s.io], resources: [subjectaccessreviews], verbs: [create]}
- {apiGroups: [""], resources: [namespaces], verbs: [get]}
- {apiGroups: [floe.dev], resources: [blobs], verbs: [get, create, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: floe-gateway}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: floe-gateway}
subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: "system:serviceaccount:floe:main-gateway"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: floe-blob-reader}
rules:
- {apiGroups: [floe.dev], resources: [blobs], verbs: [get, list]}
- {apiGroups: [floe.dev], resources: [blobs/data], verbs: [get]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: floe-blob-editor}
rules:
- {apiGroups: [floe.dev], resources: [blobs], verbs: [get, list, create, delete]}
- {apiGroups: [floe.dev], resources: [blobs/data], verbs: [get, update]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: only-model}
rules:
- {apiGroups: [floe.dev], resources: [blobs/data], resourceNames: [model], verbs: [get, update]}
"#;

/// An API server, a committee, and a gateway between them.
struct Stage {
    kubectl: Kubectl,
    http: Http,
    // In the order in which they end.
    gateway: Option<Gateway>,
    _committee: Committee,
    server: Option<ApiServer>,
    runtime: Runtime,
    _scene: Scene,
}

impl Stage {
    fn set(test: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let scene = Scene::new(test);
        let (server, committee) = runtime.block_on(async {
            futures::join!(ApiServer::start(&scene), Committee::start(test, 4, 4))
        });
        let kubectl = server.kubectl();
        kubectl.install_kinds();
        kubectl.apply(RIGHTS).unwrap();
        let ca = scene.dir().join("ca.pem");
        let gateway = runtime.block_on(start(&server, &committee, &ca));
        let http = Http::to_gateway(gateway.address(), &ca, "");
        let stage = Self {
            kubectl,
            http,
            gateway: Some(gateway),
            _committee: committee,
            server: Some(server),
            runtime,
            _scene: scene,
        };
        stage.is_ready();
        stage
    }

    /// The gateway listens before it has found its committee.
    fn is_ready(&self) {
        let http = self.account("probe", &[]);
        wait_for("the gateway to find its committee", Duration::from_mins(1), || {
            let reply = http.request("GET", "/v1/status").try_send();
            let reply = reply.map_err(|error| error.to_string())?;
            if reply.status == 200 { Ok(()) } else { Err(format!("{reply:?}")) }
        });
    }

    /// A new ServiceAccount of `shop`, bound to these ClusterRoles in these namespaces; requests with
    /// its token for us.
    fn account(&self, name: &str, roles: &[(&str, &str)]) -> Http {
        self.kubectl.run(&["-n", "shop", "create", "serviceaccount", name]);
        for (namespace, role) in roles {
            let binding = format!("{name}-{role}");
            let (role, account) =
                (format!("--clusterrole={role}"), format!("--serviceaccount=shop:{name}"));
            let words = ["-n", namespace, "create", "rolebinding", &binding, &role, &account];
            self.kubectl.run(&words);
        }
        self.http.with_token(Some(&self.token(name, Some("floe.dev"))))
    }

    fn token(&self, account: &str, audience: Option<&str>) -> String {
        let mut words = vec!["-n", "shop", "create", "token", account];
        words.extend(audience.into_iter().flat_map(|audience| ["--audience", audience]));
        self.kubectl.run(&words).trim().to_owned()
    }

    fn editor(&self) -> Http {
        self.account("editor", &[("shop", "floe-blob-editor"), ("bank", "floe-blob-editor")])
    }

    /// A Blob of `shop`.
    fn blob(&self, name: &str) -> Value {
        let words = ["-n", "shop", "get", "blob", name, "-o", "json"];
        serde_json::from_str(&self.kubectl.run(&words)).unwrap()
    }

    fn has_blob(&self, name: &str) -> bool {
        self.kubectl.attempt(&["-n", "shop", "get", "blob", name]).is_ok()
    }

    fn apply_blob(&self, name: &str, spec: &Value) {
        let blob = json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Blob",
            "metadata": {"namespace": "shop", "name": name},
            "spec": spec,
        });
        self.kubectl.apply(&blob.to_string()).unwrap();
    }

    /// What the operator does once the release is stored.
    fn let_go(&self, name: &str) {
        let none = r#"{"metadata":{"finalizers":null}}"#;
        self.kubectl.run(&["-n", "shop", "patch", "blob", name, "--type=merge", "-p", none]);
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            self.runtime.block_on(gateway.shutdown());
        }
    }
}

async fn start(server: &ApiServer, committee: &Committee, ca: &std::path::Path) -> Gateway {
    let env = committee.env().clone();
    let kubeconfig = server.kubeconfig_of(GATEWAY, &["system:serviceaccounts"]);
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    let api_server = GatewaysWay::with_config(env.clone(), config).unwrap();
    let audiences = vec!["floe.dev".to_owned()];
    let reference = CommitteeReference { name: "main".into(), namespace: "floe".into() };
    let gold = json!({"from": "Selector", "selector": {"matchLabels": {"tier": "gold"}}});
    let gold = serde_json::from_value(gold).unwrap();
    let (clock, names) = (env.clock.as_ref(), ["127.0.0.1".to_owned()]);
    let trust = committee.trust();
    let tls = trust.leaf(clock, Role::Gateway, "gateway", Incarnation(0), &names).unwrap();
    fs::write(ca, &tls.ca_pem).unwrap();
    let config = Config {
        committee: trust.committee(),
        operator: trust.operator_key().public(),
        registrar: committee.gateway_key().clone(),
        tls: tls.into(),
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics_listen: "127.0.0.1:0".parse().unwrap(),
        nodes: (0..committee.size()).map(|at| committee.target(at)).collect(),
        authenticator: Arc::new(KubernetesReviews::new(&api_server, audiences)),
        objects: Arc::new(KubernetesObjects::new(&api_server, reference, gold).unwrap()),
        budget: Budget::default(),
    };
    Gateway::start(env, config).await.unwrap()
}

fn path(name: &str) -> String {
    format!("/v1/namespaces/shop/blobs/{name}")
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(sha2::Sha256::digest(bytes)))
}

fn main_committee() -> Value {
    json!({"name": "main", "namespace": "floe"})
}

#[test]
fn the_api_server_says_who_may() {
    let stage = Stage::set("k8s-gateway-who");
    let editor = stage.editor();
    let bytes = content(1, 10_000);
    editor.put(&path("model"), &bytes).expect(201);
    editor.put(&path("other"), b"other").expect(201);

    // Tokens that are not meant for us.
    let hint = "mount a serviceAccountToken with audience floe.dev";
    let default = stage.http.with_token(Some(&stage.token("editor", None)));
    let detail = default.get(&path("model")).expect_problem(401, "unauthenticated");
    let words = "token audiences [\"https://kubernetes.default.svc\"] is invalid for the target \
                 audiences [\"floe.dev\"]";
    assert!(detail.contains(words) && detail.ends_with(hint), "{detail}");
    let others = stage.http.with_token(Some(&stage.token("editor", Some("other.dev"))));
    let detail = others.get(&path("model")).expect_problem(401, "unauthenticated");
    assert!(detail.contains("other.dev") && detail.ends_with(hint), "{detail}");
    let reply = stage.http.with_token(Some("guess")).get(&path("model"));
    assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"floe\"");
    reply.expect_problem(401, "unauthenticated");
    stage.http.with_token(None).get(&path("model")).expect_problem(401, "unauthenticated");

    // No rights: existing and missing names look alike.
    let web = stage.account("web", &[]);
    let forbidden = |reply: floe_tests::process::Reply, deed: &str, role: &str| {
        let detail = reply.expect_problem(403, "forbidden");
        let expected = format!(
            "User \"system:serviceaccount:shop:web\" cannot {deed} in API group \"floe.dev\" in \
             the namespace \"shop\"; a role that may: floe-blob-{role}"
        );
        assert_eq!(detail, expected);
    };
    for name in ["model", "missing"] {
        forbidden(web.get(&path(name)), "get resource \"blobs/data\"", "reader");
        forbidden(web.put(&path(name), b"x"), "update resource \"blobs/data\"", "editor");
        forbidden(web.delete(&path(name)), "delete resource \"blobs\"", "editor");
        let status = format!("{}/status", path(name));
        forbidden(web.get(&status), "get resource \"blobs\"", "reader");
    }
    let list = "/v1/namespaces/shop/blobs";
    forbidden(web.get(list), "list resource \"blobs\"", "reader");

    // Readers read; whoever may use one name uses that one, and makes no other.
    let reader = stage.account("reader", &[("shop", "floe-blob-reader")]);
    assert_eq!(reader.get(&path("model")).expect(200).body, bytes);
    assert_eq!(reader.get(list).expect(200).json()["items"].as_array().unwrap().len(), 2);
    reader.put(&path("model"), &bytes).expect_problem(403, "forbidden");
    let named = stage.account("named", &[("shop", "only-model")]);
    assert_eq!(named.get(&path("model")).expect(200).body, bytes);
    assert_eq!(named.put(&path("model"), &bytes).expect(200).json()["size"], 10_000);
    named.get(&path("other")).expect_problem(403, "forbidden");
    named.get(list).expect_problem(403, "forbidden");

    // Namespaces that the committee does not admit, or that there are not.
    let bank = "/v1/namespaces/bank/blobs/model";
    let admits = "floe/main admits namespaces with tier=gold; bank has none";
    assert_eq!(editor.get(bank).expect_problem(403, "forbidden"), admits);
    assert_eq!(editor.put(bank, b"x").expect_problem(403, "forbidden"), admits);
    let words = ["create", "clusterrolebinding", "everywhere", "--clusterrole=floe-blob-editor"];
    stage.kubectl.run(&[&words[..], &["--serviceaccount=shop:reader"]].concat());
    let missing = reader.get("/v1/namespaces/nowhere/blobs/model");
    let detail = missing.expect_problem(404, "not-found");
    assert_eq!(detail, "there is no namespace nowhere");
}

#[test]
fn a_name_lives_and_dies_with_its_blob_object() {
    let stage = Stage::set("k8s-gateway-life");
    let http = stage.editor();
    let bytes = content(2, 300_000);

    // PUT makes the object.
    let put = http.request("PUT", &path("model")).header("Content-Type", "text/x-model");
    let status = put.body(&bytes).send().expect(201).json();
    let blob = stage.blob("model");
    assert_eq!(status["claimID"], blob["metadata"]["uid"]);
    assert_eq!(blob["metadata"]["finalizers"], json!(["floe.dev/finalizer"]));
    assert_eq!(blob["metadata"]["managedFields"], Value::Null, "kubectl leaves them out");
    assert_eq!(blob["metadata"]["labels"]["app.kubernetes.io/managed-by"], "floe-gateway");
    assert_eq!(blob["spec"]["committeeRef"], main_committee());
    assert_eq!(blob["spec"]["contentType"], "text/x-model");
    assert_eq!(blob["spec"]["source"], json!({"upload": {"expireAfter": "24h"}}));
    let seconds = |text: &Value| text.as_str().unwrap().trim_end_matches('Z').to_owned();
    assert_eq!(seconds(&status["created"]), seconds(&blob["metadata"]["creationTimestamp"]));

    // The same bytes are fine, others are not.
    http.put(&path("model"), &bytes).expect(200);
    http.put(&path("model"), &bytes[1..]).expect_problem(409, "content-differs");
    assert_eq!(stage.blob("model")["metadata"]["uid"], status["claimID"]);

    // DELETE releases the content and deletes the object, which waits for the operator.
    let deleted = http.delete(&path("model")).expect(202).json();
    assert!(deleted["undeleteUntil"].is_string(), "{deleted}");
    assert!(stage.blob("model")["metadata"]["deletionTimestamp"].is_string());
    http.get(&path("model")).expect_problem(404, "not-found");
    http.delete(&path("model")).expect_problem(404, "not-found");
    let detail = http.put(&path("model"), &bytes).expect_problem(409, "being-deleted");
    assert!(detail.contains("shop/model"), "{detail}");

    // A write that waits goes on when the object before it is gone; undelete makes a new one.
    let undelete = format!("{}/undelete", path("model"));
    let back = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| http.request("POST", &undelete).send());
        stage.let_go("model");
        waiting.join().unwrap()
    });
    let back = back.expect(201).json();
    assert_ne!(back["claimID"], status["claimID"]);
    assert_eq!(back["claimID"], stage.blob("model")["metadata"]["uid"]);
    assert_eq!(stage.blob("model")["spec"]["contentType"], "text/x-model");
    assert_eq!(http.get(&path("model")).expect(200).body, bytes);
    http.request("POST", &undelete).send().expect_problem(409, "not-deleted");

    // Once more, with other bytes under the name.
    http.delete(&path("model")).expect(202);
    stage.let_go("model");
    assert!(!stage.has_blob("model"));
    let others = content(3, 1000);
    http.put(&path("model"), &others).expect(201);
    assert_eq!(http.get(&path("model")).expect(200).body, others);
}

#[test]
fn a_put_fills_the_object_that_waits_for_it_and_no_other() {
    let stage = Stage::set("k8s-gateway-fill");
    let http = stage.editor();
    let writer = stage.account("writer", &[("shop", "only-model")]);
    let (bytes, others) = (content(4, 20_000), content(5, 20_000));

    // Without the right to create, an object that waits can be filled, by the bytes it promises.
    writer.put(&path("model"), &bytes).expect_problem(403, "forbidden");
    let promised = json!({
        "committeeRef": main_committee(),
        "source": {"upload": {}},
        "digest": sha256(&bytes),
        "contentType": "text/x-model",
    });
    stage.apply_blob("model", &promised);
    let uid = stage.blob("model")["metadata"]["uid"].clone();
    let detail = writer.put(&path("model"), &others).expect_problem(422, "digest-mismatch");
    assert!(detail.contains("spec.digest"), "{detail}");
    assert_eq!(writer.put(&path("model"), &bytes).expect(201).json()["claimID"], uid);
    assert_eq!(http.get(&path("model")).expect(200).header("content-type"), "text/x-model");

    // Objects that are not ours to fill.
    let upload = json!({"upload": {}});
    let inline = json!({"committeeRef": main_committee(), "source": {"inline": {"text": "hello"}}});
    stage.apply_blob("greeting", &inline);
    let detail = http.put(&path("greeting"), b"hello").expect_problem(409, "not-an-upload");
    assert!(detail.contains("spec.source.inline"), "{detail}");
    let elsewhere = json!({"name": "other", "namespace": "floe"});
    stage.apply_blob("elsewhere", &json!({"committeeRef": elsewhere, "source": upload}));
    let detail = http.put(&path("elsewhere"), b"x").expect_problem(409, "other-committee");
    assert!(detail.contains("floe/other"), "{detail}");
    http.delete(&path("elsewhere")).expect_problem(409, "other-committee");
    stage.apply_blob("nobodys", &json!({"source": upload}));
    http.put(&path("nobodys"), b"x").expect_problem(409, "other-committee");

    // What its object keeps is not deleted; what has no content goes without a release.
    let kept = json!({
        "committeeRef": main_committee(),
        "source": upload,
        "deletionPolicy": "Retain",
    });
    stage.apply_blob("kept", &kept);
    http.put(&path("kept"), b"kept").expect(201);
    http.delete(&path("kept")).expect_problem(409, "held");
    assert_eq!(http.get(&path("kept")).expect(200).body, b"kept");
    http.delete(&path("greeting")).expect(202);
    assert!(!stage.has_blob("greeting"));
    http.delete(&path("greeting")).expect_problem(404, "not-found");
}

#[test]
fn a_deletion_that_broke_off_is_completed() {
    let stage = Stage::set("k8s-gateway-broken-off");
    let http = stage.editor();
    let upload = json!({"upload": {}});

    // A write that never ended: its claim is closed, its object goes.
    http.delete(&format!("{}?unfinished=true", path("missing"))).expect_problem(404, "not-found");
    stage.apply_blob("begun", &json!({"committeeRef": main_committee(), "source": upload}));
    http.delete(&format!("{}?unfinished=true", path("begun"))).expect(202);
    assert!(!stage.has_blob("begun"));
    http.put(&path("begun"), b"anew").expect(201);

    // A deletion that broke off after the release is completed by the next write.
    let uid = stage.blob("begun")["metadata"]["uid"].clone();
    let stop =
        json!({"apiGroups": ["floe.dev"], "resources": ["blobs"], "verbs": ["get", "create"]});
    let rules = |rule: &Value| json!([{"op": "replace", "path": "/rules/3", "value": rule}]);
    let patch = |rule: &Value| {
        let patch = rules(rule).to_string();
        let words = ["patch", "clusterrole", "floe-gateway", "--type=json", "-p", &patch];
        stage.kubectl.run(&words);
    };
    patch(&stop);
    wait_for("the gateway to lose a right", Duration::from_secs(30), || {
        let words = ["auth", "can-i", "delete", "blobs.floe.dev", "-n", "shop", "--as", GATEWAY];
        if stage.kubectl.attempt(&words).is_err() { Ok(()) } else { Err("still there".to_owned()) }
    });
    http.delete(&path("begun")).expect_problem(403, "forbidden");
    http.get(&path("begun")).expect_problem(404, "not-found");
    assert!(stage.has_blob("begun"));
    patch(&json!({
        "apiGroups": ["floe.dev"], "resources": ["blobs"], "verbs": ["get", "create", "delete"],
    }));
    wait_for("the gateway to have it again", Duration::from_secs(30), || {
        let words = ["auth", "can-i", "delete", "blobs.floe.dev", "-n", "shop", "--as", GATEWAY];
        stage.kubectl.attempt(&words).map(drop).map_err(|failed| failed.to_string())
    });
    let anew = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| http.put(&path("begun"), b"once more"));
        wait_for("the old object to be deleted", Duration::from_secs(30), || {
            match stage.blob("begun")["metadata"]["deletionTimestamp"] {
                Value::Null => Err("not yet".to_owned()),
                _ => Ok(()),
            }
        });
        stage.let_go("begun");
        waiting.join().unwrap()
    });
    assert_ne!(anew.expect(201).json()["claimID"], uid);
    assert_eq!(http.get(&path("begun")).expect(200).body, b"once more");
}

#[test]
fn without_an_api_server_those_known_go_on_reading() {
    let mut stage = Stage::set("k8s-gateway-away");
    let http = stage.editor();
    let bytes = content(6, 10_000);
    http.put(&path("model"), &bytes).expect(201);
    http.get(&path("model")).expect(200);
    let token = stage.token("editor", Some("floe.dev"));
    drop(stage.server.take());

    for _ in 0..2 {
        let got = http.request("GET", &path("model")).header("Cache-Control", "no-cache").send();
        assert_eq!(got.expect(200).body, bytes);
    }
    // Neither a new token, nor a new question about a known one.
    let newcomer = http.with_token(Some(&token));
    let detail = newcomer.get(&path("model")).expect_problem(503, "authorizer-unavailable");
    assert!(detail.contains("API server"), "{detail}");
    http.get(&path("other")).expect_problem(503, "authorizer-unavailable");
    // Who may write still cannot: nobody keeps the object.
    http.put(&path("model"), &bytes).expect_problem(503, "api-server-unavailable");
    assert_eq!(http.get(&path("model")).expect(200).body, bytes);
}
