//! etcd and the API server: every kind, rule, review and watch is the real one, and nothing runs.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};

use super::attended::Attended;
use super::authority::Authority;
use super::kubectl::Kubectl;
use super::program;
use crate::process::Scene;

const ETCD_PORT: u16 = 2379;
const ETCD_PEER_PORT: u16 = 2380;
const API_PORT: u16 = 6443;
/// How long the start may take on a loaded machine.
const STARTS_WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Who may do everything.
const ADMIN: (&str, &[&str]) = ("admin", &["system:masters"]);

/// A running API server without controllers and kubelets: nobody makes pods, collects garbage or ends
/// a namespace. Its processes end when it is dropped.
pub struct ApiServer {
    dir: PathBuf,
    url: String,
    authority: Authority,
    kubeconfig: PathBuf,
    // In the order in which they end.
    controllers: Option<Attended>,
    server: Attended,
    etcd: Attended,
}

impl ApiServer {
    /// Starts one in the scene's directory, on a loopback address of its own.
    pub async fn start(scene: &Scene) -> Self {
        let dir = scene.dir().join("kubernetes");
        fs::create_dir_all(&dir).unwrap();
        let address = free_address();
        let authority = Authority::create(&dir.join("pki"));
        let url = format!("https://{address}:{API_PORT}");
        let kubeconfig = authority.kubeconfig(&url, ADMIN.0, ADMIN.1);
        let spawn = |name: &str, flags: Vec<String>| {
            Attended::spawn(&program(name), &flags, &dir, &scene.log(name))
        };
        let etcd = spawn("etcd", etcd_flags(address));
        let api_server = spawn("kube-apiserver", api_server_flags(address, &authority));
        let mut server = Self {
            dir: dir.clone(),
            url,
            authority,
            kubeconfig,
            controllers: None,
            server: api_server,
            etcd,
        };
        server.wait_until_ready(scene).await;
        server
    }

    /// Runs these controllers of kube-controller-manager too, such as `garbage-collector`,
    /// `namespace`, `statefulset` or `job`.
    pub fn start_controllers(&mut self, scene: &Scene, names: &[&str]) {
        let kubeconfig = self.kubeconfig.display();
        let sa_key = self.dir.join("pki/sa.key");
        let ca = self.authority.ca_path();
        let flags = [
            format!("--kubeconfig={kubeconfig}"),
            format!("--controllers={}", names.join(",")),
            format!("--service-account-private-key-file={}", sa_key.display()),
            format!("--root-ca-file={}", ca.display()),
            "--leader-elect=false".to_owned(),
            "--secure-port=0".to_owned(),
        ];
        let name = "kube-controller-manager";
        let log = scene.log(name);
        self.controllers = Some(Attended::spawn(&program(name), &flags, &self.dir, &log));
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// A kubeconfig of another user in at most one group, whom RBAC allows nothing yet.
    pub fn kubeconfig_of(&self, user: &str, groups: &[&str]) -> PathBuf {
        self.authority.kubeconfig(&self.url, user, groups)
    }

    /// A client with the administrator's rights.
    pub async fn client(&self) -> Client {
        client(&self.kubeconfig).await
    }

    /// A client with another user's rights.
    pub async fn client_of(&self, user: &str, groups: &[&str]) -> Client {
        client(&self.kubeconfig_of(user, groups)).await
    }

    /// The administrator's kubectl.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.kubeconfig, &self.dir.join("kubectl"))
    }

    async fn wait_until_ready(&mut self, scene: &Scene) {
        let client = self.client().await;
        let begun = tokio::time::Instant::now();
        loop {
            let Err(reason) = is_ready(&client).await else { return };
            let ended = [("etcd", &mut self.etcd), ("kube-apiserver", &mut self.server)]
                .into_iter()
                .find_map(|(name, process)| process.has_ended().then_some(name));
            let log = scene.log_tail(ended.unwrap_or("kube-apiserver"));
            assert!(ended.is_none(), "{ended:?} ended:\n{log}");
            assert!(begun.elapsed() < STARTS_WITHIN, "no API server: {reason}\n{log}");
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

async fn is_ready(client: &Client) -> Result<(), String> {
    let ready = Request::get("/readyz").body(Vec::new()).unwrap();
    client.request_text(ready).await.map_err(|error| error.to_string())?;
    // Made after the server says that it is ready.
    let namespaces = Api::<Namespace>::all(client.clone());
    namespaces.get("default").await.map(drop).map_err(|error| error.to_string())
}

/// A client as this kubeconfig says.
pub(super) async fn client(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(kubeconfig, &options).await.unwrap();
    Client::try_from(config).unwrap()
}

fn etcd_flags(address: IpAddr) -> Vec<String> {
    let [clients, peers] =
        [ETCD_PORT, ETCD_PEER_PORT].map(|port| format!("http://{address}:{port}"));
    vec![
        "--data-dir=etcd".to_owned(),
        format!("--listen-client-urls={clients}"),
        format!("--advertise-client-urls={clients}"),
        format!("--listen-peer-urls={peers}"),
        format!("--initial-advertise-peer-urls={peers}"),
        format!("--initial-cluster=default={peers}"),
        // It dies with the test.
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server_flags(address: IpAddr, authority: &Authority) -> Vec<String> {
    let (cert, key) = authority.server(address);
    let pki = |name: &str| authority.ca_path().with_file_name(name).display().to_string();
    vec![
        format!("--etcd-servers=http://{address}:{ETCD_PORT}"),
        format!("--bind-address={address}"),
        format!("--secure-port={API_PORT}"),
        // Without it the server looks for a default route, which need not be there.
        format!("--advertise-address={address}"),
        "--endpoint-reconciler-type=none".to_owned(),
        format!("--tls-cert-file={}", cert.display()),
        format!("--tls-private-key-file={}", key.display()),
        format!("--client-ca-file={}", authority.ca_path().display()),
        "--service-cluster-ip-range=10.43.0.0/16".to_owned(),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-signing-key-file={}", pki("sa.key")),
        format!("--service-account-key-file={}", pki("sa.pub")),
        "--authorization-mode=RBAC".to_owned(),
        "--allow-privileged".to_owned(),
        // It wants service accounts that a controller makes in every namespace.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
    ]
}

/// 127.x.y.1 on whose ports nobody listens.
fn free_address() -> IpAddr {
    for _ in 0..1000 {
        let [.., x, y] = rand_bytes();
        let address = IpAddr::from(Ipv4Addr::new(127, x.clamp(1, 254), y, 1));
        let bind = |port| TcpListener::bind(SocketAddr::new(address, port));
        if [ETCD_PORT, ETCD_PEER_PORT, API_PORT].into_iter().all(|port| bind(port).is_ok()) {
            return address;
        }
    }
    panic!("no address of 127.0.0.0/8 is free");
}

fn rand_bytes() -> [u8; 8] {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(std::process::id()).to_be_bytes()
}
