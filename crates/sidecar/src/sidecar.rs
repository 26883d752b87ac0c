//! Starting and stopping a storage node.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use floe_api::server::{self, Security};
use floe_api::{ApiError, Credentials, NodeClient, TlsError, TransportLimits};
use floe_env::{BoxFuture, Env, Listener, Task, Work, compute};
use floe_store::{Expected, OpenError, State, Store};
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::sync::{Notify, watch};

use crate::config::Config;
use crate::cursors::Cursors;
use crate::digests::DigestWorker;
use crate::expiry::ExpiryWorker;
use crate::gate::Gate;
use crate::handover::Handover;
use crate::metrics::Metrics;
use crate::node::{Node, Signals};
use crate::repair::{Repair, Repairs};
use crate::running::Running;
use crate::throttle::Foreground;
use crate::whole::{WholeWorker, Wholes};
use crate::worker::{Runner, stopped};
use crate::{probes, pull, router, routes};

/// How long jobs that still run may keep the volume open at the end.
const VOLUME_PATIENCE: Duration = Duration::from_secs(10);
/// How often that is looked at.
const VOLUME_LOOK: Duration = Duration::from_millis(5);

/// A storage node that does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The volume cannot be used by anyone now.
    #[error(transparent)]
    Volume(#[from] OpenError),
    /// The certificate, its key or the CA is no use.
    #[error("the node's certificate cannot be used")]
    Tls(#[from] TlsError),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else.
    #[error("the node cannot start: {0}")]
    Other(String),
}

impl From<ApiError> for StartError {
    fn from(error: ApiError) -> Self {
        Self::Other(error.to_string())
    }
}

/// Where a storage node listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The internal API, with mutual TLS.
    pub api: SocketAddr,
    /// `/livez`, `/readyz` and `/metrics`.
    pub metrics: SocketAddr,
}

/// A running storage node. Dropped, it ends at once, as by a crash.
#[must_use = "dropping a storage node ends it"]
pub struct Sidecar {
    addresses: Addresses,
    stop: watch::Sender<bool>,
    failed: watch::Receiver<Option<String>>,
    tasks: Vec<Task>,
    env: Env,
    store: Weak<Store>,
}

impl Sidecar {
    /// Opens the volume, listens, and starts all workers. A volume of another committee, node or
    /// incarnation is not touched: the node runs, answers every request with the reason, and is
    /// never ready.
    pub async fn start(env: Env, config: Config) -> Result<Self, StartError> {
        let api = listen(&env, config.listen).await?;
        let probe = listen(&env, config.metrics_listen).await?;
        let addresses = Addresses { api: local(&*api)?, metrics: local(&*probe)? };
        let (stop, stopping) = watch::channel(false);
        let credentials = Credentials::open(&env, &config.tls).await?;
        let serving = Serving {
            env: env.clone(),
            security: Security::Members(credentials.clone()),
            connections: config.limits.connections,
            stopping: stopping.clone(),
        };
        let store = match open(&env, &config).await {
            Ok(store) => store,
            Err(
                error @ (OpenError::OtherCommittee { .. }
                | OpenError::OtherNode { .. }
                | OpenError::OtherIncarnation { .. }),
            ) => {
                let reason = error.to_string();
                tracing::error!(reason, "the volume is not this node's");
                let routers = (router::refusing(&reason), probes::refusing(&reason));
                let tasks = serving.serve((api, probe), routers);
                let (_, failed) = watch::channel(None);
                let store = Weak::new();
                return Ok(Self { addresses, stop, failed, tasks, env, store });
            }
            Err(error) => return Err(error.into()),
        };
        let peers = NodeClient::with(&env, credentials, TransportLimits::default());
        let node = Arc::new(node(&env, &config, peers, store, stopping.clone())?);
        // What the last process wrote and did not sync counts from here on.
        node.sync().await?;
        if let Err(error) = routes::announce(&node).await {
            tracing::error!(%error, "the accepted epoch record does not name this volume");
        }
        let failed = node.signals.failed.subscribe();
        let routers = (router::router(&node), probes::router(&node));
        let mut tasks = serving.serve((api, probe), routers);
        tasks.extend(workers(&node, stopping));
        let store = Arc::downgrade(&node.store);
        Ok(Self { addresses, stop, failed, tasks, env, store })
    }

    /// Where it listens, with the ports drawn.
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Ends when the node must end because its volume failed; says why.
    pub fn failed(&self) -> BoxFuture<'static, String> {
        let mut failed = self.failed.clone();
        Box::pin(async move {
            let reason = failed.wait_for(Option::is_some).await.ok().and_then(|it| it.clone());
            match reason {
                Some(reason) => reason,
                None => std::future::pending().await,
            }
        })
    }

    /// Takes no more requests, lets those that run end, stops all workers, closes the volume.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        for mut task in self.tasks {
            if let Err(error) = task.join().await {
                tracing::warn!(%error, "a task of the node did not end well");
            }
        }
        // A job of the pool that nobody waits for any more may still hold the volume.
        let deadline = self.env.clock.monotonic() + VOLUME_PATIENCE;
        while self.store.strong_count() > 0 && self.env.clock.monotonic() < deadline {
            self.env.clock.sleep(VOLUME_LOOK).await;
        }
    }
}

async fn listen(env: &Env, address: SocketAddr) -> Result<Box<dyn Listener>, StartError> {
    env.net.listen(address).await.map_err(|source| StartError::Listen { address, source })
}

fn local(listener: &dyn Listener) -> Result<SocketAddr, StartError> {
    listener.local_address().map_err(|error| StartError::Other(error.to_string()))
}

async fn open(env: &Env, config: &Config) -> Result<Store, OpenError> {
    let expected = Expected {
        committee: config.committee,
        node: config.node.clone(),
        incarnation: config.incarnation,
    };
    let (disk, random) = (Arc::clone(&env.disk), Arc::clone(&env.random));
    let dir = config.volume_dir.clone();
    let job = move || Store::open(disk, &*random, &dir, &expected);
    match compute(&*env.compute, Work::Foreground, job).await {
        Ok(opened) => opened,
        Err(stopped) => Err(OpenError::Io {
            dir: config.volume_dir.clone(),
            source: std::io::Error::other(stopped),
        }),
    }
}

fn node(
    env: &Env,
    config: &Config,
    peers: NodeClient,
    store: Store,
    stop: watch::Receiver<bool>,
) -> Result<Node, StartError> {
    let metrics = Metrics::new().map_err(|error| StartError::Other(error.to_string()))?;
    let metrics = Arc::new(metrics);
    let limits = config.limits;
    let started = floe_model::Timestamp(env.clock.unix_millis());
    let running = Running::new(store.read(State::ran_millis), env.clock.monotonic());
    Ok(Node {
        me: routes::identity_of(&store, config.operator),
        limits,
        store: Arc::new(store),
        repairs: Repairs::new(env, &limits, peers.clone(), Arc::clone(&metrics)),
        peers,
        foreground: Foreground::new(limits.foreground_bytes, Arc::clone(&metrics)),
        background: Foreground::new(limits.foreground_bytes / 2, Arc::clone(&metrics)),
        metrics,
        gate: Gate::default(),
        wholes: Wholes::default(),
        signals: Signals::new(started, running, stop),
        env: env.clone(),
    })
}

fn workers(node: &Arc<Node>, stop: watch::Receiver<bool>) -> Vec<Task> {
    let runner = Runner { env: node.env.clone(), metrics: Arc::clone(&node.metrics), stop };
    let spawn = |name, work: BoxFuture<'static, ()>| node.env.spawn.spawn(name, work);
    let wake = Arc::clone(&node.repairs.wake);
    let unwoken = || Arc::new(Notify::new());
    vec![
        spawn("cursors", Box::pin(runner.clone().run(Cursors(Arc::clone(node)), unwoken()))),
        spawn("repair", Box::pin(runner.clone().run(Repair::new(Arc::clone(node)), wake))),
        spawn("expiry", Box::pin(runner.clone().run(ExpiryWorker(Arc::clone(node)), unwoken()))),
        spawn(
            "digests",
            Box::pin(runner.clone().run(DigestWorker::new(Arc::clone(node)), unwoken())),
        ),
        spawn("whole", Box::pin(runner.clone().run(WholeWorker(Arc::clone(node)), unwoken()))),
        spawn("handover", Box::pin(runner.clone().run(Handover::new(Arc::clone(node)), unwoken()))),
        spawn("pull-supervisor", Box::pin(pull::supervise(Arc::clone(node), runner))),
    ]
}

struct Serving {
    env: Env,
    security: Security,
    connections: usize,
    stopping: watch::Receiver<bool>,
}

impl Serving {
    fn serve(
        self,
        (api, probe): (Box<dyn Listener>, Box<dyn Listener>),
        (routes, probes): (Router, Router),
    ) -> Vec<Task> {
        let limits =
            server::Limits { most_connections: self.connections, ..server::Limits::default() };
        let start = |name, listener, security, router: Router| {
            let mut stopping = self.stopping.clone();
            let (env, spawn) = (self.env.clone(), Arc::clone(&self.env.spawn));
            let serve = async move {
                let shutdown = stopped(&mut stopping);
                server::serve(env, listener, security, Routed(router), limits, shutdown).await;
            };
            spawn.spawn(name, Box::pin(serve))
        };
        vec![
            start("api", api, self.security.clone(), routes),
            start("probes", probe, Security::Plain, probes),
        ]
    }
}

/// An axum router as the service of one connection.
#[derive(Clone)]
struct Routed(Router);

impl tower::Service<Request<Incoming>> for Routed {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(
        &mut self,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        tower::Service::<Request<Incoming>>::poll_ready(&mut self.0, context)
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        Box::pin(tower::Service::call(&mut self.0, request))
    }
}
