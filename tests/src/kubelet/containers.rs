//! What runs in a container: the real thing, in this process.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use floe_api::{Target, TlsIdentity, TlsSource};
use floe_client::Budget;
use floe_env::{BoxFuture, Env};
use floe_gateway::{ApiServer, Gateway, KubernetesObjects, KubernetesReviews};
use floe_model::keys::RegistrarKey;
use floe_sidecar::{RepairJob, RepairJobError, Sidecar, run_repair_job};
use floe_steward::start_files::{
    GATEWAY_FILE, GatewayFile, NODE_FILE, NodeFile, REGISTRAR_KEY_FILE, REPAIR_FILE, RepairFile,
};
use futures::FutureExt as _;
use kube::Config;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::life::Mounts;

/// How long a repair job goes on while nothing comes back.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a probe waits for an answer.
const PROBE: Duration = Duration::from_secs(2);

/// What was started.
pub(super) enum Container {
    /// Goes on until it fails.
    Server(Server),
    /// Ends with a text, or with an exit code and a text.
    Job(BoxFuture<'static, Result<String, (i32, String)>>),
}

/// A process that serves; dropping it ends it.
pub(super) enum Server {
    Sidecar(Sidecar),
    Gateway(#[expect(dead_code, reason = "it is held to go on")] Gateway),
}

impl Server {
    /// Why it can serve no longer, when that is so.
    pub(super) fn failed(&self) -> BoxFuture<'static, String> {
        match self {
            Self::Sidecar(sidecar) => sidecar.failed(),
            Self::Gateway(_) => std::future::pending().boxed(),
        }
    }
}

/// Starts what `floe` would with these arguments.
pub(super) async fn start(
    env: &Env,
    config: &Config,
    arguments: &[String],
    mounts: &Mounts,
) -> anyhow::Result<Container> {
    let dir = flag(arguments, "--dir").context("--dir is missing")?;
    let dir = mounts.find(Path::new(dir)).with_context(|| format!("{dir} is not mounted"))?;
    match arguments.first().map(String::as_str) {
        Some("sidecar") => {
            Ok(Container::Server(Server::Sidecar(sidecar(env, &dir, mounts).await?)))
        }
        Some("gateway") => {
            Ok(Container::Server(Server::Gateway(gateway(env, config, &dir).await?)))
        }
        Some("repair") => repair(env.clone(), arguments, &dir),
        other => bail!("this kubelet has no {other:?}"),
    }
}

async fn sidecar(env: &Env, dir: &Path, mounts: &Mounts) -> anyhow::Result<Sidecar> {
    let file: NodeFile = read(&dir.join(NODE_FILE))?;
    let volume = file.volume_dir.context("the volume has a directory")?;
    let config = floe_sidecar::Config {
        committee: file.committee,
        operator: file.operator,
        node: file.node,
        incarnation: file.incarnation,
        tls: TlsSource::Directory(dir.join("tls")),
        listen: file.listen,
        metrics_listen: file.metrics_listen,
        volume_dir: mounts.find(&volume).context("the volume is mounted")?,
        limits: floe_sidecar::Limits::default(),
    };
    Ok(Sidecar::start(env.clone(), config).await?)
}

async fn gateway(env: &Env, config: &Config, dir: &Path) -> anyhow::Result<Gateway> {
    let file: GatewayFile = read(&dir.join(GATEWAY_FILE))?;
    let kubernetes = file.kubernetes.context("the gateway is on Kubernetes")?;
    let namespaces = serde_json::from_value(serde_json::to_value(kubernetes.namespaces)?)?;
    let committee = serde_json::from_value(serde_json::to_value(kubernetes.committee)?)?;
    let api_server = ApiServer::with_config(env.clone(), config.clone())?;
    let objects = KubernetesObjects::new(&api_server, committee, namespaces)?;
    let mut seed = [0; 32];
    let key = std::fs::read(dir.join(REGISTRAR_KEY_FILE))?;
    hex::decode_to_slice(key.trim_ascii(), &mut seed)?;
    let config = floe_gateway::Config {
        committee: file.committee,
        operator: file.operator,
        registrar: RegistrarKey::from_seed(&seed),
        tls: TlsSource::Directory(dir.join("tls")),
        listen: file.listen,
        metrics_listen: file.metrics_listen,
        nodes: file.nodes.into_iter().map(Target::from).collect(),
        authenticator: Arc::new(KubernetesReviews::new(&api_server, kubernetes.audiences)),
        objects: Arc::new(objects),
        budget: Budget::default(),
    };
    Ok(Gateway::start(env.clone(), config).await?)
}

fn repair(env: Env, arguments: &[String], dir: &Path) -> anyhow::Result<Container> {
    let file: RepairFile = read(&dir.join(REPAIR_FILE))?;
    let job = RepairJob {
        operator: file.operator,
        tls: TlsIdentity::read(env.disk.as_ref(), &dir.join("tls"))?,
        node: flag(arguments, "--node").context("--node is missing")?.parse()?,
        nodes: file.nodes.into_iter().map(Target::from).collect(),
        bytes_per_second: None,
        patience: PATIENCE,
    };
    let run = async move {
        match run_repair_job(&env, &job).await {
            Ok(summary) => Ok(format!("{summary:?}")),
            Err(error @ (RepairJobError::NoLease { .. } | RepairJobError::NoSources { .. })) => {
                Err((3, error.to_string()))
            }
            Err(error) => Err((1, error.to_string())),
        }
    };
    Ok(Container::Job(run.boxed()))
}

/// Whether `/readyz` answers that it is.
pub(super) async fn is_ready(address: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: pod\r\nconnection: close\r\n\r\n").await?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.ends_with(b"200"))
    };
    matches!(tokio::time::timeout(PROBE, asked).await, Ok(Ok(true)))
}

fn flag<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let text = std::fs::read(path).with_context(|| format!("{} cannot be read", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no start file", path.display()))
}
