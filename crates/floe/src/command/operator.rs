//! `floe operator`.

use anyhow::Context as _;
use floe_operator::Config;
use floe_operator::config::{LeaseTimes, Pace};
use futures::FutureExt as _;
use futures::future::Shared;

use crate::args::OperatorArguments;
use crate::serving;

/// Reconciles the objects of a cluster until it is told to end, or leads no longer.
pub(crate) async fn run(arguments: OperatorArguments) -> anyhow::Result<()> {
    let env = serving::env(1)?;
    let client = kube::Client::try_default()
        .await
        .context("no API server is known; run in a pod, or set KUBECONFIG")?;
    let config = Config {
        image: arguments.image,
        namespace: arguments.namespace,
        watch_namespaces: arguments.watch_namespace.into_iter().collect(),
        identity: arguments.identity,
        lease: arguments.lease_name,
        lease_times: LeaseTimes::default(),
        metrics_listen: arguments.metrics_listen,
        pace: Pace::default(),
    };
    tracing::info!(identity = config.identity, namespace = config.namespace, "operator started");
    let ended: Shared<_> = serving::until_end(arguments.end, Vec::new())
        .map(|ended| ended.map_err(|error| format!("{error:#}")))
        .boxed()
        .shared();
    floe_operator::run(client, env, config, ended.clone().map(drop)).await?;
    // It ended because it was told to.
    ended.await.map_err(anyhow::Error::msg)
}
