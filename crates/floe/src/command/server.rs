//! `floe sidecar` and `floe gateway`.

use crate::args::ServerArguments;
use crate::serving;

/// Runs one storage node until it is told to end.
pub(crate) async fn sidecar(arguments: ServerArguments) -> anyhow::Result<()> {
    let env = serving::env(1)?;
    let sidecar = serving::start_sidecar(&env, &arguments.dir).await?;
    serving::until_end(arguments.end).await?;
    sidecar.shutdown().await;
    Ok(())
}

/// Runs a gateway until it is told to end.
pub(crate) async fn gateway(arguments: ServerArguments) -> anyhow::Result<()> {
    let env = serving::env(1)?;
    let gateway = serving::start_gateway(&env, &arguments.dir).await?;
    serving::until_end(arguments.end).await?;
    gateway.shutdown().await;
    Ok(())
}
