//! The operator's life: wait for the Lease, lead, end.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use floe_env::Env;
use futures::future::{join, join_all};
use tokio::sync::watch;

use crate::committee::{self, Actors};
use crate::controllers::{Scope, namespaces};
use crate::counted::counted;
use crate::lease::Election;
use crate::probes::{Readiness, answer};
use crate::{Config, Context, Events, Links, Metrics, blob};

/// How long reconciles that run may go on when the operator is stopped.
const DRAIN: Duration = Duration::from_secs(10);

/// Why an operator ended that nobody stopped. The process must end too: it may have begun what
/// another replica now does.
#[derive(Debug, thiserror::Error)]
pub enum OperatorError {
    /// Another replica leads, or may do so by now.
    #[error("this replica leads no longer: {reason}; the process ends")]
    Deposed {
        /// What happened to the Lease.
        reason: String,
    },
    /// The address of probes and metrics cannot be had.
    #[error("the operator cannot listen on {address}; is another one running?")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The metrics clash: a bug.
    #[error("the operator's metrics cannot be registered")]
    Metrics(#[from] prometheus::Error),
}

/// Waits until this replica leads, then reconciles until `stop` ends; an error if it is deposed.
/// If the future is dropped, everything ends at once, and the Lease runs out by itself.
pub async fn run(
    client: kube::Client,
    env: Env,
    config: Config,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), OperatorError> {
    let metrics = Metrics::new()?;
    let client = counted(&client, &metrics);
    let address = config.metrics_listen;
    let listener = env.net.listen(address).await;
    let listener = listener.map_err(|source| OperatorError::Listen { address, source })?;
    let ready = Readiness::default();
    let probes = answer(env.clone(), listener, metrics.clone(), ready.clone());
    let _probes = env.spawn.spawn("operator-probes", Box::pin(probes));

    let mut election = Election::new(client.clone(), env.clone(), &config);
    let mut stop = pin!(stop);
    ready.set(true);
    tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        () = election.acquire() => {}
    }
    tracing::info!(lease = config.lease, identity = config.identity, "this replica leads");
    ready.set(false);
    metrics.leads(true);
    let events = Events::new(client.clone(), Arc::clone(&env.clock), config.identity.clone());
    let links = Links::default();
    let clock = Arc::clone(&env.clock);
    let (metrics_too, actors) = (metrics.clone(), Actors::default());
    let context =
        Arc::new(Context { client, env, config, events, metrics: metrics_too, links, actors });

    let (stopping, stopped) = watch::channel(false);
    let stopped_in_time = async {
        stop.await;
        stopping.send_replace(true);
        clock.sleep(DRAIN).await;
    };
    let ended = tokio::select! {
        biased;
        reason = election.hold() => Err(OperatorError::Deposed { reason }),
        () = lead(context, stopped, ready) => Ok(()),
        () = stopped_in_time => Ok(()),
    };
    metrics.leads(false);
    if ended.is_ok() {
        election.release().await;
    }
    ended
}

/// Runs all controllers until the operator is stopped.
async fn lead(context: Arc<Context>, stopped: watch::Receiver<bool>, ready: Readiness) {
    let scopes = namespaces(&context).into_iter().map(|namespace| Scope {
        context: Arc::clone(&context),
        namespace,
        stopped: stopped.clone(),
    });
    let (mut running, mut reading) = (Vec::new(), Vec::new());
    for scope in scopes {
        let (committees, blobs) = (scope.committees(), scope.blobs());
        reading.push(join(committees.read(), blobs.read()));
        running.push(join(
            committees.run("committee", committee::reconcile),
            blobs.run("blob", blob::reconcile),
        ));
    }
    let all_read = async {
        join_all(reading).await;
        ready.set(true);
    };
    join(all_read, join_all(running)).await;
}
