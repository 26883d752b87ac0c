//! A running gateway: finds its committee, then serves applications.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use floe_api::messages::Chain;
use floe_api::server::{Limits, Security, serve};
use floe_api::{Credentials, NodeClient, Target, TlsError, TlsSource, TransportLimits};
use floe_client::{Budget, Client, Committee, Observer};
use floe_env::{Env, Listener, Task};
use floe_model::keys::{RegistrarKey, RegistrarPublicKey};
use floe_model::{CommitteeId, NodeName, RecordHash};
use tokio::sync::{Semaphore, watch};

use crate::app::{App, MOST_REQUESTS, MOST_WRITES, router};
use crate::auth::Authenticator;
use crate::metrics::Metrics;
use crate::objects::BlobObjects;
use crate::probes;
use crate::resolved::Resolved;

/// How long to wait before nodes are asked for the committee again.
const RETRY: Duration = Duration::from_millis(500);
/// How often a gateway that nobody uses looks for a newer epoch record.
const FOLLOW: Duration = Duration::from_secs(5);

/// What a gateway needs.
pub struct Config {
    /// The committee it serves.
    pub committee: CommitteeId,
    /// The operator's key: record 0 is believed that it signed, or that a committed record follows
    /// which it signed by force.
    pub operator: RegistrarPublicKey,
    /// The gateways' key: signs permits, claims and releases.
    pub registrar: RegistrarKey,
    /// Its certificate, for nodes and for applications.
    pub tls: TlsSource,
    /// Where applications connect.
    pub listen: SocketAddr,
    /// Where probes and Prometheus connect.
    pub metrics_listen: SocketAddr,
    /// Storage nodes to ask who the committee is.
    pub nodes: Vec<Target>,
    /// Who may.
    pub authenticator: Arc<dyn Authenticator>,
    /// Which claims names have.
    pub objects: Arc<dyn BlobObjects>,
    /// Bounds of the pipelines.
    pub budget: Budget,
}

/// A gateway that does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("the gateway cannot listen on {address}; is another one running?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The certificate, its key or its authority is unusable.
    #[error("the gateway's certificate cannot be used")]
    Tls(#[from] TlsError),
    /// The metrics clash: a bug.
    #[error("the gateway's metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// A running gateway; dropping it ends it at once.
pub struct Gateway {
    address: SocketAddr,
    metrics_address: SocketAddr,
    stop: watch::Sender<bool>,
    tasks: Vec<Task>,
}

impl Gateway {
    /// Listens, finds the committee in the background, then serves applications.
    pub async fn start(env: Env, config: Config) -> Result<Self, StartError> {
        let applications = listen(&env, config.listen).await?;
        let probed = listen(&env, config.metrics_listen).await?;
        let bound = |listener: &dyn Listener, wanted| listener.local_address().unwrap_or(wanted);
        let address = bound(applications.as_ref(), config.listen);
        let metrics_address = bound(probed.as_ref(), config.metrics_listen);
        let credentials = Credentials::open(&env, &config.tls).await?;
        let nodes = NodeClient::with(&env, credentials.clone(), TransportLimits::default());
        let metrics = Metrics::new()?;
        let (stop, stopped) = watch::channel(false);

        let ready = Arc::new(AtomicBool::new(false));
        let probes = probes::router(metrics.clone(), Arc::clone(&ready));
        let serve_probes = serve(
            env.clone(),
            probed,
            Security::Plain,
            probes,
            Limits::default(),
            until(stopped.clone()),
        );
        let serve_applications = {
            let env = env.clone();
            async move {
                let Some(committee) = find_committee(&env, &nodes, &config, &stopped).await else {
                    return;
                };
                let known = config.nodes.clone();
                let app = Arc::new(application(&env, nodes, committee, config, metrics));
                ready.store(true, Ordering::Release);
                let _following = {
                    let follow = follow(Arc::clone(&app), known);
                    env.spawn.spawn("gateway-epochs", Box::pin(follow))
                };
                let service = router(app);
                let security = Security::Applications(credentials);
                serve(env, applications, security, service, Limits::default(), until(stopped))
                    .await;
            }
        };
        let tasks = vec![
            env.spawn.spawn("gateway-probes", Box::pin(serve_probes)),
            env.spawn.spawn("gateway-applications", Box::pin(serve_applications)),
        ];
        Ok(Self { address, metrics_address, stop, tasks })
    }

    /// Where applications connect.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where probes and Prometheus connect.
    pub const fn metrics_address(&self) -> SocketAddr {
        self.metrics_address
    }

    /// Takes no more requests, lets running ones end, and returns.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for task in &mut self.tasks {
            if let Err(error) = task.join().await {
                tracing::error!(%error, "a task of the gateway failed");
            }
        }
    }
}

async fn listen(env: &Env, address: SocketAddr) -> Result<Box<dyn Listener>, StartError> {
    env.net.listen(address).await.map_err(|source| StartError::Listen { address, source })
}

async fn until(mut stopped: watch::Receiver<bool>) {
    // An error means that the gateway was dropped: stop as well.
    let _ = stopped.wait_for(|stop| *stop).await;
}

fn application(
    env: &Env,
    nodes: NodeClient,
    committee: Committee,
    config: Config,
    metrics: Metrics,
) -> App {
    let liars: Arc<dyn Observer> = Arc::new(CountLiars(metrics.clone()));
    let client = Client::new(
        env.clone(),
        nodes.clone(),
        Arc::new(committee),
        Some(config.registrar),
        config.budget,
    )
    .observed_by(liars);
    App {
        env: env.clone(),
        nodes,
        client,
        authenticator: config.authenticator,
        objects: config.objects,
        resolved: Resolved::default(),
        metrics,
        places: Semaphore::new(MOST_REQUESTS),
        write_places: Semaphore::new(MOST_WRITES),
    }
}

struct CountLiars(Metrics);

impl Observer for CountLiars {
    fn verification_failed(&self, node: &NodeName, _what: &str) {
        self.0.verification_failures.with_label_values(&[node.as_str()]).inc();
    }
}

/// Asks nodes until one shows a committed chain that starts with the operator's record 0.
async fn find_committee(
    env: &Env,
    nodes: &NodeClient,
    config: &Config,
    stopped: &watch::Receiver<bool>,
) -> Option<Committee> {
    loop {
        for target in &config.nodes {
            let chain = match nodes.epoch(target).await {
                Ok(answer) => answer.value,
                Err(error) => {
                    tracing::debug!(node = %target.node, %error, "no chain from this node");
                    continue;
                }
            };
            match trusted(config, chain) {
                Ok(committee) => return Some(committee),
                Err(why) => tracing::debug!(node = %target.node, why, "no usable chain"),
            }
        }
        if *stopped.borrow() {
            return None;
        }
        env.clock.sleep(RETRY).await;
    }
}

fn trusted(config: &Config, chain: Chain) -> Result<Committee, String> {
    let first = chain.links.first().ok_or("it has accepted no epoch record")?;
    let begins = first.record.key == config.operator;
    let is_own = first.record.record.committee == config.committee;
    let forced: Vec<RecordHash> = chain
        .links
        .iter()
        .filter(|link| link.record.record.forced && link.record.key == config.operator)
        .map(|link| link.record.record.hash())
        .collect();
    let committee = Committee::trusting(chain, Some(config.operator));
    let committee = committee.map_err(|error| error.to_string())?;
    let follows = || forced.iter().any(|hash| committee.is_in_force(hash));
    if !is_own || !(begins || follows()) {
        return Err("its record 0 is not the one of this committee's operator".to_owned());
    }
    Ok(committee)
}

/// Keeps up with the committee's epoch records also while nobody asks for anything, until dropped.
/// `known` is asked when no member of the record in force can be reached.
async fn follow(app: Arc<App>, known: Vec<Target>) {
    loop {
        app.env.clock.sleep(FOLLOW).await;
        if app.client.refresh().await {
            continue;
        }
        for target in &known {
            let Ok(answer) = app.nodes.epoch(target).await else { continue };
            match app.client.committee().extend(answer.value) {
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(node = %target.node, %error, "a node's chain of epoch records is not followed");
                }
            }
        }
    }
}
