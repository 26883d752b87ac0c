//! Who may do what with the roles that the operator's chart brings.

use std::time::Duration;

use floe_tests::kubernetes::Kubectl;
use floe_tests::process::Scene;

use super::installed;

const OPERATOR: &str = "system:serviceaccount:floe-system:floe-operator";

/// Whether this user may.
fn may(kubectl: &Kubectl, user: &str, verb: &str, resource: &str) -> bool {
    let (resource, below) = resource.split_once('/').unwrap_or((resource, ""));
    let below = format!("--subresource={below}");
    let user = format!("--as={user}");
    let words = ["-n", "shop", "auth", "can-i", verb, resource, &below, &user];
    match kubectl.attempt(&words) {
        Ok(answer) => {
            assert_eq!(answer.trim(), "yes");
            true
        }
        Err(failed) => {
            assert_eq!(failed.stdout.trim(), "no", "{failed}");
            false
        }
    }
}

#[tokio::test]
async fn roles_allow_what_they_are_for_and_nothing_else() {
    let scene = Scene::new("charts_roles");
    let (mut server, kubectl, _helm) = installed(&scene).await;
    server.start_controllers(&scene, &["clusterrole-aggregation-controller"]);
    kubectl.run(&["create", "namespace", "shop"]);
    let roles = ["floe-blob-reader", "floe-blob-editor", "view", "edit", "admin", "floe-gateway"];
    for role in roles {
        let role_flag = format!("--clusterrole={role}");
        let user = format!("--user={role}");
        kubectl.run(&["-n", "shop", "create", "rolebinding", role, &role_flag, &user]);
    }
    while !may(&kubectl, "view", "list", "blobs.floe.dev") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    while !may(&kubectl, "edit", "create", "blobs.floe.dev") {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let table = [
        ("floe-blob-reader", "list", "blobs.floe.dev", true),
        ("floe-blob-reader", "get", "blobs.floe.dev/data", true),
        ("floe-blob-reader", "update", "blobs.floe.dev/data", false),
        ("floe-blob-reader", "delete", "blobs.floe.dev", false),
        ("floe-blob-editor", "create", "blobs.floe.dev", true),
        ("floe-blob-editor", "update", "blobs.floe.dev/data", true),
        ("floe-blob-editor", "get", "blobs.floe.dev/data", true),
        ("floe-blob-editor", "patch", "blobs.floe.dev/status", false),
        ("floe-blob-editor", "get", "secrets", false),
        ("view", "get", "committees.floe.dev", true),
        ("view", "get", "blobs.floe.dev/data", false),
        ("edit", "get", "blobs.floe.dev/data", true),
        ("edit", "patch", "committees.floe.dev", false),
        ("admin", "patch", "committees.floe.dev", true),
        ("admin", "update", "committees.floe.dev/scale", true),
        ("floe-gateway", "create", "blobs.floe.dev", true),
        ("floe-gateway", "patch", "blobs.floe.dev", false),
        ("floe-gateway", "patch", "blobs.floe.dev/status", false),
        ("floe-gateway", "get", "secrets", false),
        (OPERATOR, "patch", "blobs.floe.dev/status", true),
        (OPERATOR, "create", "statefulsets.apps", true),
        (OPERATOR, "delete", "persistentvolumeclaims", false),
        (OPERATOR, "create", "controllerrevisions.apps", true),
        (OPERATOR, "patch", "controllerrevisions.apps", false),
        (OPERATOR, "delete", "controllerrevisions.apps", false),
        (OPERATOR, "create", "pods/exec", false),
        (OPERATOR, "create", "clusterroles.rbac.authorization.k8s.io", false),
        (OPERATOR, "escalate", "clusterroles.rbac.authorization.k8s.io", false),
    ];
    for (user, verb, resource, allowed) in table {
        assert_eq!(may(&kubectl, user, verb, resource), allowed, "{user} {verb} {resource}");
    }
    // It gives away one role, and no other.
    let bind = |role: &str| {
        let role = format!("--clusterrole={role}");
        let operator = format!("--as={OPERATOR}");
        let words = ["create", "clusterrolebinding", "given", &role, "--user=x", &operator];
        kubectl.attempt(&[&words[..], &["--dry-run=server"]].concat())
    };
    bind("floe-gateway").unwrap();
    assert!(
        bind("cluster-admin").unwrap_err().stderr.contains("attempting to grant RBAC permissions")
    );
}
