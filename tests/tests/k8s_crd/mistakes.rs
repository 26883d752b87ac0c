//! Likely mistakes, with kubectl, in the words that it prints.

use floe_tests::kubernetes::Kubectl;
use floe_tests::process::Scene;

use super::with_kinds;

/// The Committee of the documentation.
const MAIN: &str = "
apiVersion: floe.dev/v1alpha1
kind: Committee
metadata: {name: main}
spec: {replicas: 6, encoding: {shards: 12}, storage: {size: 1Ti}}
";

const GREETING: &str = "
apiVersion: floe.dev/v1alpha1
kind: Blob
metadata: {name: greeting}
spec: {source: {inline: {text: hello}}}
";

fn refusal(kubectl: &Kubectl, document: &str, from: &str, to: &str) -> String {
    assert!(document.contains(from), "{from}");
    kubectl.apply(&document.replace(from, to)).unwrap_err().stderr
}

#[tokio::test]
async fn mistakes_are_answered_with_what_to_do() {
    let scene = Scene::new("crd_mistakes");
    let server = with_kinds(&scene).await;
    let kubectl = server.kubectl();
    let new = [
        ("replicas: 6, ", "", "* spec.replicas: Required value"),
        (
            "1Ti",
            "500GB",
            "The Committee \"main\" is invalid: spec.storage.size: Invalid value: \"500GB\": must be a quantity such as 500Gi or 1Ti (units: Ki Mi Gi Ti Pi or k M G T P, never GB)",
        ),
        (
            "spec: {",
            "spec: {repair: {lossGrace: 7d}, ",
            "The Committee \"main\" is invalid: spec.repair.lossGrace: Invalid value: \"7d\": must be a duration in h, m, s, ms such as 168h or 1h30m (there is no unit for days)",
        ),
        (
            "replicas: 6",
            "replicas: 20",
            "The Committee \"main\" is invalid: spec: Invalid value: `replicas` must be at most `encoding.shards`: every node needs at least one shard",
        ),
        ("replicas: 6", "replica: 6", ".spec.replica: field not declared in schema"),
    ];
    for (from, to, words) in new {
        let said = refusal(&kubectl, MAIN, from, to);
        assert!(said.contains(words), "{said}");
    }
    kubectl.apply(MAIN).unwrap();
    let changed = [
        (
            "1Ti",
            "500Gi",
            "spec.storage: Invalid value: `size` may only grow; to shrink, add smaller nodes and remove the large ones",
        ),
        (
            "shards: 12",
            "shards: 16",
            "spec: Invalid value: `encoding` is immutable; to change it, create a second Committee and copy the blobs",
        ),
    ];
    for (from, to, words) in changed {
        let said = refusal(&kubectl, MAIN, from, to);
        assert!(said.contains(&format!("The Committee \"main\" is invalid: {words}")), "{said}");
    }
    let said = kubectl.attempt(&["scale", "fc/main", "--replicas=20"]).unwrap_err().stderr;
    assert!(said.contains("every node needs at least one shard"), "{said}");
    kubectl.run(&["scale", "fc/main", "--replicas=8"]);

    let two = refusal(&kubectl, GREETING, "source: {", "source: {upload: {}, ");
    assert!(
        two.contains(
            "spec.source: Invalid value: set exactly one of `inline`, `configMapKeyRef`, `upload`"
        ),
        "{two}"
    );
    kubectl.apply(GREETING).unwrap();
    let edited = refusal(&kubectl, GREETING, "hello", "bye");
    assert!(edited.contains("The Blob \"greeting\" is invalid: spec.source: Invalid value: `source` is immutable: a Blob's bytes never change; create a Blob with a new name instead"), "{edited}");
}

#[tokio::test]
async fn objects_are_found_by_short_names_category_and_fields() {
    let scene = Scene::new("crd_columns");
    let server = with_kinds(&scene).await;
    let kubectl = server.kubectl();
    kubectl.apply(MAIN).unwrap();
    kubectl.apply(GREETING).unwrap();
    let status = r#"{"status": {
        "blobID": "dCUfYYKe", "protection": "Full", "margin": 6, "summary": {"size": "5 B"},
        "conditions": [{"type": "Ready", "status": "True", "reason": "Certified", "message": "",
                        "lastTransitionTime": "2026-11-22T10:00:00Z"}]
    }}"#;
    let patch = ["patch", "fb", "greeting", "--subresource=status", "--type=merge", "-p", status];
    kubectl.run(&patch);

    let table = kubectl.run(&["get", "fb"]);
    let words: Vec<&str> = table.split_whitespace().collect();
    let columns = ["NAME", "READY", "STATE", "SIZE", "PROTECTION", "MARGIN", "AGE"];
    assert_eq!(words[..7], columns);
    assert_eq!(words[7..13], ["greeting", "True", "Certified", "5", "B", "Full"]);
    let table = kubectl.run(&["get", "fc"]);
    let columns =
        ["NAME", "READY", "NODES", "DATA-SURVIVES", "WRITES-SURVIVE", "USED", "REPAIR", "AGE"];
    assert_eq!(table.lines().next().unwrap().split_whitespace().collect::<Vec<_>>(), columns);

    let names = |arguments: &[&str]| {
        kubectl.run(&[&["get", "-o", "name"], arguments].concat()).trim().to_owned()
    };
    assert_eq!(names(&["floe"]), "blob.floe.dev/greeting\ncommittee.floe.dev/main");
    assert_eq!(names(&["fb", "--field-selector=status.blobID=dCUfYYKe"]), "blob.floe.dev/greeting");
    assert_eq!(names(&["fb", "--field-selector=status.protection=AtRisk"]), "");
}
