//! The charts: what Helm makes of them, what it refuses, and what a real API server thinks of it.

#![allow(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod helm;
mod roles;

use std::collections::BTreeMap;
use std::time::Duration;

use floe_tests::kubernetes::{ApiServer, Kubectl};
use floe_tests::process::Scene;
use serde_json::{Value, json};

use self::helm::Helm;

const OPERATOR: &str = "charts/floe-operator";
const COMMITTEE: &str = "charts/floe-committee";
const SIZED: [&str; 4] = ["--set", "replicas=4", "--set", "storage.size=1Gi"];

#[test]
fn the_charts_are_in_order() {
    let helm = Helm::without_cluster();
    helm.run(&["lint", "--strict", OPERATOR]);
    helm.run(&[&["lint", "--strict", COMMITTEE][..], &SIZED].concat());
}

#[test]
fn values_that_mean_nothing_are_refused() {
    let helm = Helm::without_cluster();
    let refused = [
        (COMMITTEE, "replica=3", "at '': additional properties 'replica' not allowed"),
        (COMMITTEE, "replicas=3", "at '/replicas': minimum: got 3, want 4"),
        (
            COMMITTEE,
            "storage.class=fast",
            "at '/storage': additional properties 'class' not allowed",
        ),
        (COMMITTEE, "encoding.shards=2", "at '/encoding/shards': minimum: got 2, want 4"),
        (COMMITTEE, "keep=1", "at '/keep': got number, want boolean"),
        (OPERATOR, "replica=1", "at '': additional properties 'replica' not allowed"),
        (OPERATOR, "image.name=floe", "at '/image': additional properties 'name' not allowed"),
        (OPERATOR, "image.digest=abc", "at '/image/digest': 'abc' does not match pattern"),
        (
            OPERATOR,
            "logging.format=xml",
            "at '/logging/format': value must be one of 'json', 'text'",
        ),
        (OPERATOR, "crds.keep=never", "at '/crds/keep': got string, want boolean"),
    ];
    for (chart, value, words) in refused {
        let sized: &[&str] = if chart == COMMITTEE { &SIZED } else { &[] };
        let line = [&["template", "main", chart][..], sized, &["--set", value]].concat();
        let said = helm.attempt(&line).unwrap_err();
        assert!(said.contains("values don't meet the specifications of the schema(s)"), "{said}");
        assert!(said.contains(words), "{value}: {said}");
    }
    let said = helm.attempt(&["template", "main", COMMITTEE]).unwrap_err();
    assert!(said.contains("missing property 'replicas'"), "{said}");
    assert!(said.contains("at '/storage': missing property 'size'"), "{said}");
}

#[test]
fn what_holds_data_stays_unless_asked_otherwise() {
    let helm = Helm::without_cluster();
    let kept = |line: &[&str]| helm.run(line).matches("helm.sh/resource-policy: keep").count();
    assert_eq!(kept(&["template", "floe-operator", OPERATOR]), 3);
    let plain = ["template", "floe-operator", OPERATOR, "--set"];
    assert_eq!(kept(&[&plain[..], &["crds.keep=false"]].concat()), 0);
    let without = helm.run(&[&plain[..], &["crds.enabled=false"]].concat());
    assert!(!without.contains("kind: CustomResourceDefinition"));
    let committee = [&["template", "main", COMMITTEE][..], &SIZED].concat();
    assert_eq!(kept(&committee), 1);
    assert_eq!(kept(&[&committee[..], &["--set", "keep=false"]].concat()), 0);
}

#[test]
fn images_are_named_by_mirror_tag_or_digest() {
    let helm = Helm::without_cluster();
    let image = |values: &[&str]| {
        let rendered = helm.run(
            &[&["template", "o", OPERATOR, "-s", "templates/deployment.yaml"][..], values].concat(),
        );
        let line = rendered.lines().find_map(|line| line.trim().strip_prefix("image: "));
        let line = line.unwrap().to_owned();
        assert!(rendered.contains(&format!("--image={line}")), "{rendered}");
        line
    };
    let plain = image(&[]);
    assert!(plain.ends_with(concat!("/floe:", env!("CARGO_PKG_VERSION"))), "{plain}");
    assert_eq!(image(&["--set", "image.repository=floe,image.tag=dev"]), "floe:dev");
    let mirror = image(&["--set", "global.imageRegistry=mirror.example:5000/"]);
    let path = plain.split_once('/').unwrap().1;
    assert_eq!(mirror, format!("mirror.example:5000/{path}"));
    let digest = format!("sha256:{}", "a".repeat(64));
    let pinned = image(&["--set", &format!("image.digest={digest}")]);
    assert!(pinned.ends_with(&format!("/floe@{digest}")), "{pinned}");
}

#[test]
fn any_field_of_a_committee_can_be_set_through_spec() {
    let helm = Helm::without_cluster();
    let values = ["--set", "spec.repair.lossGrace=20s,spec.gateway.audiences[0]=a,spec.replicas=5"];
    let rendered = helm.run(
        &[&["template", "main", COMMITTEE, "-s", "templates/committee.yaml"][..], &SIZED, &values]
            .concat(),
    );
    for words in ["lossGrace: 20s", "audiences:\n    - a\n    replicas: 2", "replicas: 5\n"] {
        assert!(rendered.contains(words), "{words}: {rendered}");
    }
    assert!(!rendered.contains("replicas: 4"), "{rendered}");
}

/// An API server on which the operator's chart is installed.
async fn installed(scene: &Scene) -> (ApiServer, Kubectl, Helm) {
    let server = ApiServer::start(scene).await;
    let kubectl = server.kubectl();
    let helm = Helm::of(&server, scene);
    let line = ["install", "floe-operator", OPERATOR, "-n", "floe-system", "--create-namespace"];
    helm.run(&line);
    (server, kubectl, helm)
}

#[tokio::test]
async fn what_the_charts_render_is_accepted_under_the_strictest_pod_security() {
    let scene = Scene::new("charts_accepted");
    let (_server, kubectl, helm) = installed(&scene).await;
    for namespace in ["floe", "shop"] {
        kubectl.run(&["create", "namespace", namespace]);
    }
    for namespace in ["floe", "floe-system"] {
        let label = "pod-security.kubernetes.io/enforce=restricted";
        kubectl.run(&["label", "namespace", namespace, label]);
    }
    // A Deployment is always taken, its pods are not.
    let deployment =
        kubectl.run(&["-n", "floe-system", "get", "deploy", "floe-operator", "-o", "json"]);
    let mut pod: Value =
        serde_json::from_str::<Value>(&deployment).unwrap()["spec"]["template"].take();
    pod["apiVersion"] = json!("v1");
    pod["kind"] = json!("Pod");
    pod["metadata"]["name"] = json!("floe-operator-0");
    pod["metadata"]["namespace"] = json!("floe-system");
    kubectl.apply(&pod.to_string()).unwrap();

    let line = [&["template", "main", COMMITTEE, "-n", "floe"][..], &SIZED].concat();
    let rendered = helm.run(&line);
    let applied = kubectl.apply(&rendered).unwrap();
    for object in
        ["committee.floe.dev/main", "pod/main-test", "role.rbac.authorization.k8s.io/main-test"]
    {
        assert!(applied.contains(object), "{applied}");
    }
    let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/samples");
    kubectl.run(&["-n", "shop", "apply", "--validate=strict", "-f", samples]);
}

#[tokio::test]
async fn uninstalling_keeps_what_holds_data_and_installing_again_takes_it_over() {
    let scene = Scene::new("charts_kept");
    let (_server, kubectl, helm) = installed(&scene).await;
    let install =
        [&["install", "main", COMMITTEE, "-n", "floe", "--create-namespace"][..], &SIZED].concat();
    let notes = helm.run(&install);
    for words in [
        "4 storage nodes of 1Gi, 12 shards of which 3 may be faulty",
        "3.33 raw bytes for each byte of a blob",
        "Survives 2 node(s) for data, 1 for writes",
        "WARN  4 nodes cannot re-home a lost node",
    ] {
        assert!(notes.contains(words), "{notes}");
    }
    let uid =
        || kubectl.run(&["-n", "floe", "get", "fc", "main", "-o", "jsonpath={.metadata.uid}"]);
    let first = uid();
    let kept = helm.run(&["uninstall", "main", "-n", "floe"]);
    assert!(kept.contains("[Committee] main"), "{kept}");
    let kept = helm.run(&["uninstall", "floe-operator", "-n", "floe-system"]);
    assert!(kept.contains("[CustomResourceDefinition] committees.floe.dev"), "{kept}");
    assert_eq!(uid(), first);
    helm.run(&["install", "floe-operator", OPERATOR, "-n", "floe-system"]);
    helm.run(&install);
    assert_eq!(uid(), first);
}

#[tokio::test]
async fn a_committee_that_holds_blobs_goes_only_after_a_typed_confirmation() {
    let scene = Scene::new("charts_confirmation");
    let (_server, kubectl, helm) = installed(&scene).await;
    helm.run(
        &[&["install", "main", COMMITTEE, "-n", "floe", "--create-namespace"][..], &SIZED].concat(),
    );
    let patch = |words: &[&str]| {
        kubectl.run(&[&["-n", "floe", "patch", "fc", "main", "--type=merge", "-p"], words].concat())
    };
    patch(&[r#"{"status": {"blobs": {"certified": 9180}}}"#, "--subresource=status"]);
    let delete = |more: &[&str]| {
        kubectl.attempt(&[&["-n", "floe", "delete", "fc", "main", "--wait=false"], more].concat())
    };
    // The server reads its policies a moment after it took them.
    let denied = loop {
        match delete(&["--dry-run=server"]) {
            Err(failed) => break failed.stderr,
            Ok(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    for words in [
        "committees.floe.dev \"main\" is forbidden: ValidatingAdmissionPolicy 'committee-deletion.floe.dev'",
        "denied request: Committee main holds 9180 certified blobs; to destroy them set spec.deletion.confirmation to yes-really-destroy-data",
    ] {
        assert!(denied.contains(words), "{denied}");
    }
    patch(&[r#"{"spec": {"deletion": {"confirmation": "yes-really-destroy-data"}}}"#]);
    delete(&[]).unwrap();
    let left: BTreeMap<String, Value> =
        serde_json::from_str(&kubectl.run(&["-n", "floe", "get", "fc", "-o", "json"])).unwrap();
    assert_eq!(left["items"], json!([]));
}
