//! A cluster with an operator: a real API server and its controllers, kubelets and the operator in
//! this process.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use floe_crd::{Blob, Committee, StorageNode, condition, labels};
use floe_operator::config::{Config, LeaseTimes, Pace};
use floe_tests::kubelet::Kubelet;
use floe_tests::kubernetes::{ApiServer, Kubectl};
use floe_tests::process::Scene;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Event;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use serde_json::json;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// What a cluster's controllers are needed of.
const CONTROLLERS: [&str; 8] = [
    "serviceaccount-controller",
    "statefulset-controller",
    "deployment-controller",
    "replicaset-controller",
    "job-controller",
    "garbage-collector-controller",
    "disruption-controller",
    "namespace-controller",
];
const HOSTS: u16 = 6;
const LOOK_EVERY: Duration = Duration::from_millis(100);
const NAMESPACE: &str = "floe";

/// What a test plays with.
pub(crate) struct Site {
    operator: Option<(JoinHandle<()>, oneshot::Sender<()>)>,
    pub(crate) kubelet: Kubelet,
    pub(crate) kubectl: Kubectl,
    pub(crate) client: Client,
    metrics_listen: SocketAddr,
    _api_server: ApiServer,
    _scene: Scene,
}

impl Site {
    /// Six hosts, Floe's kinds, an operator, no Committee.
    pub(crate) async fn open(test: &str) -> Self {
        let scene = Scene::new(test);
        let mut api_server = ApiServer::start(&scene).await;
        let kubectl = api_server.kubectl();
        api_server.start_controllers(&scene, &CONTROLLERS);
        kubectl.install_kinds();
        for namespace in [NAMESPACE, "shop", "floe-system"] {
            kubectl.run(&["create", "namespace", namespace]);
            let account = ["-n", namespace, "wait", "--for=create", "sa/default", "--timeout=60s"];
            kubectl.run(&account);
        }
        let role = ["create", "clusterrole", "floe-gateway", "--verb=*", "--resource=*.*"];
        kubectl.run(&role);
        let config = kube::config::Kubeconfig::read_from(api_server.kubeconfig()).unwrap();
        let options = kube::config::KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await.unwrap();
        let client = api_server.client().await;
        let kubelet = Kubelet::start(client.clone(), config, scene.dir(), HOSTS).await;
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut site = Self {
            operator: None,
            kubelet,
            kubectl,
            client,
            metrics_listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), free.port()),
            _api_server: api_server,
            _scene: scene,
        };
        site.start_operator();
        site
    }

    pub(crate) fn start_operator(&mut self) {
        let config = Config {
            image: "floe:test".to_owned(),
            namespace: "floe-system".to_owned(),
            watch_namespaces: std::collections::BTreeSet::new(),
            identity: "operator-0".to_owned(),
            lease: "floe-operator".to_owned(),
            lease_times: LeaseTimes::default(),
            metrics_listen: self.metrics_listen,
            pace: Pace {
                moving: Duration::from_millis(300),
                at_rest: Duration::from_secs(1),
                first_retry: Duration::from_millis(300),
                last_retry: Duration::from_secs(3),
            },
        };
        let (stop, stopped) = oneshot::channel();
        let (client, env) = (self.client.clone(), self.kubelet.env());
        let run = async move {
            let stopped = async { drop(stopped.await) };
            floe_operator::run(client, env, config, stopped).await.unwrap();
        };
        self.operator = Some((tokio::spawn(run), stop));
    }

    /// Ends the operator as a lost machine would.
    pub(crate) async fn kill_operator(&mut self) {
        let (running, _stop) = self.operator.take().unwrap();
        running.abort();
        let _ = running.await;
    }

    /// Makes Committee `floe/main` of four nodes, one gateway.
    pub(crate) fn make_committee(&self, changes: &serde_json::Value) {
        let mut spec = json!({
            "replicas": 4,
            "storage": {"size": "1Gi"},
            "repair": {"lossGrace": "5s"},
            "gateway": {"replicas": 1},
        });
        for (field, value) in changes.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let committee = json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Committee",
            "metadata": {
                "namespace": NAMESPACE,
                "name": "main",
                "annotations": { labels::DEFAULT_COMMITTEE: labels::TRUE },
            },
            "spec": spec,
        });
        self.kubectl.apply(&committee.to_string()).unwrap();
    }

    /// Makes inline Blobs `shop/blob-0`…, and waits until they are certified.
    pub(crate) async fn make_blobs(&self, count: usize) {
        for at in 0..count {
            let blob = json!({
                "apiVersion": "floe.dev/v1alpha1",
                "kind": "Blob",
                "metadata": {"namespace": "shop", "name": format!("blob-{at}")},
                "spec": {"source": {"inline": {"text": format!("content {at}\n").repeat(2000)}}},
            });
            self.kubectl.apply(&blob.to_string()).unwrap();
        }
        let blobs = Api::<Blob>::namespaced(self.client.clone(), "shop");
        self.until("all blobs are certified", 60, async || {
            let all = blobs.list(&ListParams::default()).await.unwrap().items;
            let ready = |blob: &&Blob| {
                let status = blob.status.as_ref();
                status.is_some_and(|it| condition::is_true(&it.conditions, condition::READY))
            };
            let left: Vec<String> =
                all.iter().filter(|blob| !ready(blob)).map(ResourceExt::name_any).collect();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
        })
        .await;
    }

    pub(crate) async fn committee(&self) -> Committee {
        Api::<Committee>::namespaced(self.client.clone(), NAMESPACE).get("main").await.unwrap()
    }

    pub(crate) async fn node(&self, name: &str) -> StorageNode {
        Api::<StorageNode>::namespaced(self.client.clone(), NAMESPACE).get(name).await.unwrap()
    }

    /// Until the Committee is ready, all nodes serve and hold what they owe, and nothing is under way.
    pub(crate) async fn until_whole(&self, seconds: u64) {
        self.until("the committee is whole", seconds, async || {
            let status = self.committee().await.status.unwrap_or_default();
            let is = |type_: &str| condition::is_true(&status.conditions, type_);
            let rests = is(condition::READY)
                && !is(condition::DEGRADED)
                && !is(condition::PROGRESSING)
                && !is(condition::REPAIR_IN_PROGRESS);
            if rests { Ok(()) } else { Err(shown(&status.conditions)) }
        })
        .await;
    }

    /// Looks until there is something; panics with what was seen last.
    pub(crate) async fn until<T>(
        &self,
        what: &str,
        seconds: u64,
        mut look: impl AsyncFnMut() -> Result<T, String>,
    ) -> T {
        let begun = Instant::now();
        loop {
            match look().await {
                Ok(found) => return found,
                Err(seen) if begun.elapsed() > Duration::from_secs(seconds) => {
                    let pods =
                        self.kubectl.run(&["get", "pods,pvc,jobs,fn,fc,fb", "-A", "-o", "wide"]);
                    panic!("{what}: not within {seconds} s: {seen}\n{pods}")
                }
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// The numbers of the epoch records.
    pub(crate) async fn records(&self) -> Vec<i64> {
        let api = Api::<ControllerRevision>::namespaced(self.client.clone(), NAMESPACE);
        let selector = format!("{}=main,!{}", labels::COMMITTEE, labels::COMPONENT);
        let all = api.list(&ListParams::default().labels(&selector)).await.unwrap();
        let mut numbers: Vec<i64> = all.items.iter().filter_map(|it| it.revision).collect();
        numbers.sort_unstable();
        numbers
    }

    /// The reasons of the Events of an object.
    pub(crate) async fn events(&self, kind: &str, name: &str) -> Vec<String> {
        let api = Api::<Event>::namespaced(self.client.clone(), NAMESPACE);
        let fields = format!("involvedObject.kind={kind},involvedObject.name={name}");
        let all = api.list(&ListParams::default().fields(&fields)).await.unwrap();
        all.items.into_iter().filter_map(|event| event.reason).collect()
    }

    /// Writes to the API server so far, by resource; those of Lease and Events apart.
    pub(crate) async fn writes(&self) -> BTreeMap<String, u64> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.metrics_listen).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nhost: operator\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let lines = text.lines().filter(|line| line.starts_with("floe_operator_api_writes_total"));
        let counts =
            lines.filter(|line| !line.contains("\"leases\"") && !line.contains("\"events\""));
        let count = |line: &str| {
            let (name, count) = line.rsplit_once(' ')?;
            Some((name.to_owned(), count.parse().ok()?))
        };
        counts.filter_map(count).collect()
    }
}

/// Conditions in a line.
pub(crate) fn shown(conditions: &[condition::Condition]) -> String {
    let texts = conditions
        .iter()
        .map(|it| format!("{}={} {} {}", it.type_, it.status, it.reason, it.message));
    texts.collect::<Vec<_>>().join("; ")
}
