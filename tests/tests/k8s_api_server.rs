//! The API server that tests start.

#![allow(clippy::unwrap_used, reason = "test code: a broken assumption fails the test")]

use floe_tests::kubernetes::ApiServer;
use floe_tests::process::Scene;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::ListParams;

#[tokio::test]
async fn it_answers_administrators_and_refuses_strangers() {
    let scene = Scene::new("api_server_answers");
    let server = ApiServer::start(&scene).await;
    let kubectl = server.kubectl();
    kubectl.run(&["create", "configmap", "colours", "--from-literal=sky=blue"]);
    let mine = Api::<ConfigMap>::default_namespaced(server.client().await);
    let colours = mine.get("colours").await.unwrap();
    assert_eq!(colours.data.unwrap()["sky"], "blue");

    let theirs = Api::<ConfigMap>::default_namespaced(server.client_of("eve", &[]).await);
    let refused = theirs.list(&ListParams::default()).await.unwrap_err().to_string();
    assert!(refused.contains("User \"eve\" cannot list resource"), "{refused}");

    let failed = kubectl.attempt(&["get", "configmap", "shapes"]).unwrap_err();
    assert!(failed.stderr.contains("\"shapes\" not found"), "{failed}");
}

#[tokio::test]
async fn two_stand_side_by_side_and_run_the_controllers_asked_for() {
    let scenes = ["api_server_left", "api_server_right"].map(Scene::new);
    let mut left = ApiServer::start(&scenes[0]).await;
    let right = ApiServer::start(&scenes[1]).await;
    left.start_controllers(&scenes[0], &["serviceaccount-controller"]);
    left.kubectl().run(&["wait", "--for=create", "serviceaccount/default", "--timeout=60s"]);
    right.kubectl().attempt(&["get", "serviceaccount", "default"]).unwrap_err();
}
