//! `floe committee`.

use std::time::Duration;

use crate::args::{CommitteeArguments, CommitteeCommand};
use crate::committee_dir::{CommitteeDir, init};
use crate::{report, serving};

/// Makes a committee's directory, or forms the committee.
pub(crate) async fn run(arguments: CommitteeArguments) -> anyhow::Result<()> {
    let env = serving::env(0)?;
    match arguments.command {
        CommitteeCommand::Init(size) => {
            let dir = init(&env, &size)?;
            report::line(&format!(
                "committee {} in {}",
                dir.trust.committee(),
                dir.path.display()
            ))?;
            for node in &dir.nodes {
                report::line(&format!("  floe sidecar --dir {}", dir.node_dir(node).display()))?;
            }
            report::line(&format!("  floe committee form --dir {}", dir.path.display()))?;
            report::line(&format!("  floe gateway --dir {}", dir.gateway_dir().display()))?;
            report::line(&format!("then, for clients: . {}", dir.client_env().display()))
        }
        CommitteeCommand::Form(form) => {
            let dir = CommitteeDir::open(&env, &form.dir)?;
            serving::form(&env, &dir, Duration::from_secs(form.wait)).await?;
            report::line(&format!("committee {} is formed", dir.trust.committee()))
        }
    }
}
