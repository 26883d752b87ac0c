//! One API server with controllers and a kubelet, for all tests of this process.

use std::future::Future;
use std::sync::OnceLock;

use floe_tests::kubelet::Kubelet;
use floe_tests::kubernetes::ApiServer;
use floe_tests::process::Scene;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::runtime::Runtime;

/// Hosts for the pods of all tests.
const HOSTS: u16 = 6;
/// What the cluster does by itself.
const CONTROLLERS: [&str; 5] = [
    "statefulset-controller",
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "garbage-collector-controller",
];

/// Where tests play.
pub(crate) struct Stage {
    pub(crate) client: Client,
    pub(crate) kubelet: Kubelet,
    _server: ApiServer,
    _scene: Scene,
}

/// Its processes end with this one: they hang on its pipes.
static STAGE: OnceLock<(Runtime, Stage)> = OnceLock::new();

/// Plays a scene.
pub(crate) fn play<F>(scene: impl FnOnce(&'static Stage) -> F)
where
    F: Future<Output = ()>,
{
    let (runtime, stage) = STAGE.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let stage = runtime.block_on(Stage::set());
        (runtime, stage)
    });
    runtime.block_on(scene(stage));
}

impl Stage {
    async fn set() -> Self {
        let log = tracing_subscriber::fmt().with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env()
                .unwrap_or_else(|_| "warn,kube_client=off".into()),
        );
        let _ = log.with_test_writer().try_init();
        let scene = Scene::new("k8s_operator");
        let mut server = ApiServer::start(&scene).await;
        server.start_controllers(&scene, &CONTROLLERS);
        let kubectl = server.kubectl();
        kubectl.install_kinds();
        let client = server.client().await;
        let kubeconfig = Kubeconfig::read_from(server.kubeconfig()).unwrap();
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
        let kubelet = Kubelet::start(client.clone(), config, scene.dir(), HOSTS).await;
        Self { client, kubelet, _server: server, _scene: scene }
    }
}
