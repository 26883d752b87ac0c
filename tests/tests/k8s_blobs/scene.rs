//! A shop: a real API server with Floe's kinds, a committee and its gateway in this process, and the
//! Blob controller's reconcile, called for every Blob again and again.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use floe_api::{ApplicationClient, Pieces, Role};
use floe_client::Budget;
use floe_crd::{Blob, CommitteeReference, condition};
use floe_env::{Env, real_env};
use floe_gateway::{Gateway, KubernetesObjects, TokenFile};
use floe_model::Incarnation;
use floe_operator::config::{LeaseTimes, Pace};
use floe_operator::{CommitteeKey, Config, Context, Events, Link, Links, Metrics, blob};
use floe_steward::Keys;
use floe_tests::kubernetes::{ApiServer, Kubectl};
use floe_tests::local::{Committee, until};
use floe_tests::process::Scene;
use http::Request;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};
use tokio::task::JoinHandle;

/// The bearer token of somebody who may do everything.
const TOKEN: &str = "secret";
/// Between two looks at all Blobs.
const PACE: Duration = Duration::from_millis(100);

/// What a test plays with.
pub(crate) struct Shop {
    pub(crate) kubectl: Kubectl,
    pub(crate) committee: Committee,
    pub(crate) client: Client,
    pub(crate) gateway_address: SocketAddr,
    pub(crate) ca_pem: String,
    context: Arc<Context>,
    running: Option<JoinHandle<()>>,
    gateway: Gateway,
    env: Env,
    // Last: its directory goes when all else has ended.
    pub(crate) api_server: ApiServer,
    pub(crate) scene: Scene,
}

impl Shop {
    /// Four nodes of a shard each keep the blobs of all namespaces: Committee `floe/main`, the default.
    pub(crate) async fn open(test: &str) -> Self {
        let scene = Scene::new(test);
        let api_server = ApiServer::start(&scene).await;
        let kubectl = api_server.kubectl();
        kubectl.install_kinds();
        kubectl.run(&["create", "namespace", "floe"]);
        kubectl.run(&["create", "namespace", "shop"]);
        kubectl.apply(MAIN).unwrap();

        let committee = Committee::start(test, 4, 4).await;
        let env = real_env(2).unwrap();
        let (gateway, ca_pem) = gateway(&env, &committee, &api_server, scene.dir()).await;
        let gateway_address = gateway.address();
        let client = api_server.client().await;
        let context = Arc::new(context(&env, &client));
        let link = Link {
            keys: Keys::from(committee.trust()),
            client: committee.caller(Role::Operator),
            record: committee.record().clone(),
            targets: (0..committee.size()).map(|at| committee.target(at)).collect(),
            gateway_address: gateway_address.to_string(),
            ca_pem: ca_pem.clone(),
            reports: std::collections::BTreeMap::new(),
        };
        context.links.set(main(), link);
        let mut shop = Self {
            kubectl,
            committee,
            client,
            gateway_address,
            ca_pem,
            context,
            running: None,
            gateway,
            env,
            api_server,
            scene,
        };
        shop.start_operator();
        shop
    }

    /// Reconciles all Blobs until it is stopped.
    pub(crate) fn start_operator(&mut self) {
        let (blobs, context) = (Api::<Blob>::all(self.client.clone()), Arc::clone(&self.context));
        self.running = Some(tokio::spawn(async move {
            loop {
                let all = blobs.list(&ListParams::default()).await;
                for found in all.map(|all| all.items).unwrap_or_default() {
                    let name = found.name_any();
                    if let Err(error) = blob::reconcile(Arc::new(found), Arc::clone(&context)).await
                    {
                        println!("{name}: {}", error.text());
                    }
                }
                tokio::time::sleep(PACE).await;
            }
        }));
    }

    /// Nothing is reconciled any more.
    pub(crate) async fn stop_operator(&mut self) {
        if let Some(running) = self.running.take() {
            running.abort();
            let _ = running.await;
        }
    }

    /// Reconciles all Blobs so many times.
    pub(crate) async fn reconcile_all(&self, times: usize) {
        for _ in 0..times {
            let all = Api::<Blob>::all(self.client.clone()).list(&ListParams::default()).await;
            for found in all.unwrap().items {
                blob::reconcile(Arc::new(found), Arc::clone(&self.context)).await.unwrap();
            }
        }
    }

    /// The committee is not known to the operator any more.
    pub(crate) fn forget_committee(&self) {
        self.context.links.remove(&main());
    }

    /// Makes the Blob `shop/NAME` with this spec.
    #[expect(clippy::needless_pass_by_value, reason = "a spec is written where it is applied")]
    pub(crate) fn apply(&self, name: &str, spec: serde_json::Value) {
        let blob = serde_json::json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Blob",
            "metadata": {"namespace": "shop", "name": name},
            "spec": spec,
        });
        self.kubectl.apply(&blob.to_string()).unwrap();
    }

    /// The Blob `shop/NAME`.
    pub(crate) async fn blob(&self, name: &str) -> Option<Blob> {
        Api::<Blob>::namespaced(self.client.clone(), "shop").get_opt(name).await.unwrap()
    }

    /// Waits until the Blob says this reason, and gives the message.
    pub(crate) async fn says(&self, name: &str, reason: &str) -> (Blob, String) {
        until(&format!("{name} to say {reason}"), || async {
            let blob = self.blob(name).await.ok_or("there is none")?;
            let conditions = blob.status.clone().unwrap_or_default().conditions;
            match condition::get(&conditions, condition::READY) {
                Some(ready) if ready.reason == reason => Ok((blob, ready.message.clone())),
                other => Err(format!("{other:?}")),
            }
        })
        .await
    }

    /// Waits until the Blob is gone.
    pub(crate) async fn gone(&self, name: &str) {
        until(&format!("{name} to go"), || async {
            match self.blob(name).await {
                None => Ok(()),
                Some(blob) => Err(format!("{:?}", blob.status)),
            }
        })
        .await;
    }

    /// What the gateway answers to a request with a token.
    pub(crate) async fn ask(
        &self,
        method: &str,
        name: &str,
        token: &str,
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let address = self.gateway_address.to_string();
        let gateway = ApplicationClient::new(&self.env, &self.ca_pem, &address).unwrap();
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/namespaces/shop/blobs/{name}"))
            .header("authorization", format!("Bearer {token}"))
            .header("cache-control", "no-cache")
            .body(Pieces::from(bytes::Bytes::copy_from_slice(body)))
            .unwrap();
        let answer = gateway.call(request, Duration::from_secs(30)).await.unwrap();
        (answer.status().as_u16(), answer.body().to_vec())
    }

    /// PUTs as an application.
    pub(crate) async fn put(&self, name: &str, body: &[u8]) -> u16 {
        self.ask("PUT", name, TOKEN, body).await.0
    }

    /// Content as an application reads it.
    pub(crate) async fn get(&self, name: &str) -> Option<Vec<u8>> {
        match self.ask("GET", name, TOKEN, b"").await {
            (200, body) => Some(body),
            (404, _) => None,
            other => panic!("{other:?}"),
        }
    }

    /// Reasons of the Events of a Blob.
    pub(crate) fn events(&self, name: &str) -> Vec<String> {
        let words = ["-n", "shop", "get", "events.events.k8s.io", "-o", "json"];
        let said: serde_json::Value = serde_json::from_str(&self.kubectl.run(&words)).unwrap();
        let events = said["items"].as_array().unwrap().iter();
        let ours = events.filter(|event| event["regarding"]["name"] == name);
        let mut reasons: Vec<String> =
            ours.map(|event| event["reason"].as_str().unwrap().to_owned()).collect();
        reasons.sort();
        reasons
    }

    /// Ends the test in order.
    pub(crate) async fn close(mut self) {
        self.stop_operator().await;
        self.gateway.shutdown().await;
    }
}

const MAIN: &str = r#"{
    "apiVersion": "floe.dev/v1alpha1",
    "kind": "Committee",
    "metadata": {
        "namespace": "floe",
        "name": "main",
        "annotations": {"floe.dev/is-default-committee": "true"}
    },
    "spec": {"replicas": 4, "storage": {"size": "1Gi"}, "encoding": {"shards": 4}}
}"#;

fn main() -> CommitteeKey {
    CommitteeKey { namespace: "floe".to_owned(), name: "main".to_owned() }
}

fn context(env: &Env, client: &Client) -> Context {
    let identity = "operator-0".to_owned();
    Context {
        client: client.clone(),
        env: env.clone(),
        config: Config {
            image: "floe:test".to_owned(),
            namespace: "floe-system".to_owned(),
            watch_namespaces: std::collections::BTreeSet::new(),
            identity: identity.clone(),
            lease: "floe-operator".to_owned(),
            lease_times: LeaseTimes::default(),
            metrics_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            pace: Pace::default(),
        },
        events: Events::new(client.clone(), Arc::clone(&env.clock), identity),
        metrics: Metrics::new().unwrap(),
        links: Links::default(),
        actors: floe_operator::committee::Actors::default(),
    }
}

async fn gateway(
    env: &Env,
    committee: &Committee,
    api_server: &ApiServer,
    dir: &Path,
) -> (Gateway, String) {
    let host = IpAddr::from(Ipv4Addr::LOCALHOST);
    let trust = committee.trust();
    let clock = env.clock.as_ref();
    let tls =
        trust.leaf(clock, Role::Gateway, "gateway", Incarnation(0), &[host.to_string()]).unwrap();
    let ca_pem = tls.ca_pem.clone();
    let tokens: PathBuf = dir.join("tokens");
    std::fs::write(&tokens, format!("{TOKEN} anna\n")).unwrap();
    let config = kube_config(api_server.kubeconfig()).await;
    let server = floe_gateway::ApiServer::with_config(env.clone(), config).unwrap();
    let main = CommitteeReference { name: "main".to_owned(), namespace: "floe".to_owned() };
    let objects =
        KubernetesObjects::new(&server, main, floe_crd::NamespaceAccess::default()).unwrap();
    let config = floe_gateway::Config {
        committee: trust.committee(),
        operator: trust.operator_key().public(),
        registrar: trust.gateway_key().clone(),
        tls: tls.into(),
        listen: SocketAddr::new(host, 0),
        metrics_listen: SocketAddr::new(host, 0),
        nodes: (0..committee.size()).map(|at| committee.target(at)).collect(),
        authenticator: Arc::new(TokenFile::new(env.clone(), tokens)),
        objects: Arc::new(objects),
        budget: Budget::default(),
    };
    (Gateway::start(env.clone(), config).await.unwrap(), ca_pem)
}

async fn kube_config(kubeconfig: &Path) -> kube::Config {
    let read = kube::config::Kubeconfig::read_from(kubeconfig).unwrap();
    kube::Config::from_custom_kubeconfig(read, &kube::config::KubeConfigOptions::default())
        .await
        .unwrap()
}
