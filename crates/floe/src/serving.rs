//! Starting storage nodes, gateways and committees from their directories, and ending them.

use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow};
use floe_api::{NodeClient, Role, Target, TlsIdentity, TlsSource, TransportLimits};
use floe_client::Budget;
use floe_crd::{CommitteeReference, NamespaceAccess};
use floe_env::{BoxFuture, Env, read_file, real_env};
use floe_gateway::{
    ApiServer, Authenticator, BlobObjects, DerivedObjects, Gateway, KubernetesObjects,
    KubernetesReviews, TokenFile,
};
use floe_model::keys::RegistrarKey;
use floe_model::{CommitteeId, Incarnation, NodeName};
use floe_plan::succession::Wanted;
use floe_sidecar::{Limits, RepairJob, Sidecar};
use floe_steward::start_files::{
    GATEWAY_FILE, GatewayFile, KubernetesGateway, NODE_FILE, NodeFile, REGISTRAR_KEY_FILE,
    REPAIR_FILE, RepairFile, TLS_DIR,
};
use floe_steward::{FileRecordLog, GenesisConfig, GenesisError, GenesisNode, Keys};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::io::AsyncReadExt as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::EndArguments;
use crate::committee_dir::{CommitteeDir, read_json, volume_dir};
use crate::exit::{Ended, Exit};

/// How long the steward waits for nodes before it says for whom.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a repair job goes on while nothing comes back.
const REPAIR_PATIENCE: Duration = Duration::from_mins(1);
/// Bytes of a registrar's key, in hexadecimal.
const LARGEST_KEY_FILE_BYTES: u64 = 256;

/// The real world, for so many servers in this process.
pub(crate) fn env(servers: usize) -> anyhow::Result<Env> {
    // Some threads wait for the disk while others compute.
    let cores = available_parallelism().map_or(1, std::num::NonZero::get);
    real_env(cores + 1 + servers).context("the threads for CPU work cannot be started")
}

/// Starts the storage node whose directory this is.
pub(crate) async fn start_sidecar(env: &Env, dir: &Path) -> anyhow::Result<Sidecar> {
    let disk = env.disk.as_ref();
    let file: NodeFile = read_json(disk, &dir.join(NODE_FILE))
        .context("make the directory with floe committee init first")?;
    let config = floe_sidecar::Config {
        committee: file.committee,
        operator: file.operator,
        node: file.node.clone(),
        incarnation: file.incarnation,
        tls: TlsSource::Directory(dir.join(TLS_DIR)),
        listen: file.listen,
        metrics_listen: file.metrics_listen,
        volume_dir: match file.volume_dir {
            Some(path) => dir.join(path),
            None => volume_dir(dir, file.incarnation),
        },
        limits: Limits::default(),
    };
    let started = Sidecar::start(env.clone(), config).await;
    let sidecar = started.with_context(|| format!("{} cannot start", file.node))?;
    tracing::info!(node = %file.node, listen = %file.listen, metrics = %file.metrics_listen, "storage node started");
    Ok(sidecar)
}

/// Starts the gateway whose directory this is.
pub(crate) async fn start_gateway(env: &Env, dir: &Path) -> anyhow::Result<Gateway> {
    let disk = env.disk.as_ref();
    let file: GatewayFile = read_json(disk, &dir.join(GATEWAY_FILE))
        .context("make the directory with floe committee init first")?;
    let (authenticator, objects) = match file.kubernetes {
        Some(kubernetes) => reviewed(env, kubernetes).await?,
        None => standalone(env, dir, file.committee),
    };
    let config = floe_gateway::Config {
        committee: file.committee,
        operator: file.operator,
        registrar: registrar_key(env, &dir.join(REGISTRAR_KEY_FILE))?,
        tls: TlsSource::Directory(dir.join(TLS_DIR)),
        listen: file.listen,
        metrics_listen: file.metrics_listen,
        nodes: file.nodes.into_iter().map(Target::from).collect(),
        authenticator,
        objects,
        budget: Budget::default(),
    };
    let gateway = Gateway::start(env.clone(), config).await?;
    tracing::info!(listen = %file.listen, metrics = %file.metrics_listen, "gateway started");
    Ok(gateway)
}

/// Who may, and which claims names have.
type Access = (Arc<dyn Authenticator>, Arc<dyn BlobObjects>);

/// As the API server says.
async fn reviewed(env: &Env, settings: KubernetesGateway) -> anyhow::Result<Access> {
    let KubernetesGateway { audiences, namespaces, committee } = settings;
    let api_server = ApiServer::connect(env.clone()).await?;
    // The file has the fields of the Committee's own.
    let namespaces: NamespaceAccess = serde_json::from_value(serde_json::to_value(namespaces)?)?;
    let committee = CommitteeReference { name: committee.name, namespace: committee.namespace };
    let objects = KubernetesObjects::new(&api_server, committee, namespaces)
        .context("the selector of namespaces cannot be used")?;
    Ok((Arc::new(KubernetesReviews::new(&api_server, audiences)), Arc::new(objects)))
}

/// As a file of tokens says, and what the nodes hold.
fn standalone(env: &Env, dir: &Path, committee: CommitteeId) -> Access {
    let tokens = TokenFile::new(env.clone(), dir.join("tokens"));
    (Arc::new(tokens), Arc::new(DerivedObjects::new(committee)))
}

/// A repair job for a node, from the directory `repair/` of its committee; without a limit.
pub(crate) fn repair_job(env: &Env, dir: &Path, node: NodeName) -> anyhow::Result<RepairJob> {
    let disk = env.disk.as_ref();
    let file: RepairFile = read_json(disk, &dir.join(REPAIR_FILE))
        .context("floe committee init makes the directory, as repair/ in the committee's")?;
    Ok(RepairJob {
        operator: file.operator,
        tls: TlsIdentity::read(disk, &dir.join(TLS_DIR))?,
        node,
        nodes: file.nodes.into_iter().map(Target::from).collect(),
        bytes_per_second: None,
        patience: REPAIR_PATIENCE,
    })
}

fn registrar_key(env: &Env, path: &Path) -> anyhow::Result<RegistrarKey> {
    let bytes = read_file(env.disk.as_ref(), path, LARGEST_KEY_FILE_BYTES)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    let mut seed = [0; 32];
    hex::decode_to_slice(bytes.trim_ascii(), &mut seed)
        .with_context(|| format!("{} holds no key", path.display()))?;
    Ok(RegistrarKey::from_seed(&seed))
}

/// The steward's way to the nodes.
pub(crate) fn steward_client(env: &Env, dir: &CommitteeDir) -> anyhow::Result<NodeClient> {
    let clock = env.clock.as_ref();
    let identity = dir.trust.leaf(clock, Role::Operator, "steward", Incarnation(0), &[])?;
    Ok(NodeClient::new(env, &identity, TransportLimits::default())?)
}

/// Brings the committee to its committed record 0, or finds it there. Says on standard error for
/// whom it waits.
pub(crate) async fn form(env: &Env, dir: &CommitteeDir, wait: Duration) -> anyhow::Result<()> {
    let client = steward_client(env, dir)?;
    let log = FileRecordLog::new(env.clone(), dir.records());
    let keys = Keys::from(&dir.trust);
    let node = |wanted: Wanted| GenesisNode {
        node: wanted.node,
        incarnation: wanted.incarnation,
        address: wanted.address,
        zone: wanted.zone,
        host: wanted.host,
    };
    let config = GenesisConfig {
        geometry: dir.geometry()?,
        policy: dir.policy(),
        nodes: dir.wanted().into_iter().map(node).collect(),
        patience: PATIENCE.min(wait),
    };
    let begin = Instant::now();
    let mut said = String::new();
    loop {
        match floe_steward::genesis(env, &client, &log, &keys, &config).await {
            Ok(genesis) => {
                for (node, reason) in &genesis.untold {
                    eprintln!("{node} was not told ({reason}); it learns it from the others");
                }
                return Ok(());
            }
            Err(error @ (GenesisError::Waiting(_) | GenesisError::TooFew { .. })) => {
                if begin.elapsed() > wait {
                    let seconds = wait.as_secs();
                    let message = format!("the committee did not form within {seconds} s: {error}");
                    return Err(Ended::new(Exit::NotEnoughNodes, message).into());
                }
                let text = match &error {
                    GenesisError::Waiting(nodes) => {
                        let names: Vec<_> = nodes.keys().map(NodeName::as_str).collect();
                        names.join(", ")
                    }
                    error => format!("more acceptances: {error}"),
                };
                if text != said {
                    eprintln!("waiting for {text}");
                    said = text;
                }
            }
            Err(error) => return Err(error).context("the committee cannot form"),
        }
    }
}

/// Returns when the process is to end: SIGTERM, Ctrl-C, the end of standard input if that was asked
/// for; or, with an error, when a volume failed. A second signal ends it at once.
pub(crate) async fn until_end(
    arguments: EndArguments,
    failures: Vec<BoxFuture<'static, String>>,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut failures = FuturesUnordered::from_iter(failures);
    let ended = tokio::select! {
        biased;
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
        () = stdin_ends(arguments.until_stdin_ends) => Ok(()),
        Some(reason) = failures.next() => Err(anyhow!("a volume failed: {reason}")),
    };
    tracing::info!("ending");
    tokio::spawn(async move {
        tokio::select! {
            biased;
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        std::process::exit(Exit::Failed as i32);
    });
    ended
}

async fn stdin_ends(asked: bool) {
    if !asked {
        std::future::pending::<()>().await;
    }
    let mut stdin = tokio::io::stdin();
    let mut buffer = [0; 256];
    while matches!(stdin.read(&mut buffer).await, Ok(count) if count > 0) {}
}
