//! `floe sidecar` and `floe gateway`.

use crate::args::ServerArguments;
use crate::serving;

/// Runs one storage node until it is told to end.
pub(crate) async fn sidecar(arguments: ServerArguments) -> anyhow::Result<()> {
    let env = serving::env(1)?;
    let sidecar = serving::start_sidecar(&env, &arguments.dir).await?;
    let ended = serving::until_end(arguments.end, vec![sidecar.failed()]).await;
    sidecar.shutdown().await;
    ended
}

/// Runs a gateway until it is told to end.
pub(crate) async fn gateway(arguments: ServerArguments) -> anyhow::Result<()> {
    let env = serving::env(1)?;
    let gateway = serving::start_gateway(&env, &arguments.dir).await?;
    let ended = serving::until_end(arguments.end, Vec::new()).await;
    gateway.shutdown().await;
    ended
}
