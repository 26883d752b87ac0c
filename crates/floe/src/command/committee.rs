//! `floe committee`.

use std::path::Path;
use std::time::Duration;

use floe_env::Env;
use floe_model::{EpochRecord, Incarnation, NodeName};
use floe_steward::Outcome;

use crate::args::{
    AddArguments, CommitteeArguments, CommitteeCommand, ForceArguments, ReplaceArguments,
    SizeArguments, StewardArguments,
};
use crate::committee_dir::{self, CommitteeDir, init};
use crate::exit::{Ended, Exit};
use crate::stewarding::{Stewarding, describe};
use crate::{chain, report, serving};

/// A command that is done in a moment calls nobody lost.
const NEVER: Duration = Duration::MAX;

/// Makes a committee's directory, forms the committee, changes it.
pub(crate) async fn run(arguments: CommitteeArguments) -> anyhow::Result<()> {
    let env = serving::env(0)?;
    match arguments.command {
        CommitteeCommand::Init(size) => make(&env, &size),
        CommitteeCommand::Form(form) => {
            let dir = CommitteeDir::open(&env, &form.dir)?;
            serving::form(&env, &dir, Duration::from_secs(form.wait)).await?;
            report::line(&format!("committee {} is formed", dir.trust.committee()))
        }
        CommitteeCommand::Status(status) => {
            let mut stewarding = Stewarding::new(&env, &status.dir, NEVER)?;
            let pass = stewarding.glance().await?;
            if status.json { report::json(&chain::json(&pass)) } else { chain::show(&pass) }
        }
        CommitteeCommand::Replace(arguments) => replace(&env, &arguments).await,
        CommitteeCommand::Add(arguments) => add(&env, &arguments).await,
        CommitteeCommand::Remove(arguments) => remove(&env, &arguments).await,
        CommitteeCommand::Force(arguments) => force(&env, &arguments).await,
        CommitteeCommand::Steward(arguments) => steward(&env, arguments).await,
    }
}

fn make(env: &Env, size: &SizeArguments) -> anyhow::Result<()> {
    let dir = init(env, size)?;
    report::line(&format!("committee {} in {}", dir.trust.committee(), dir.path.display()))?;
    for node in dir.nodes() {
        say_start(&dir, &node.node)?;
    }
    report::line(&format!("  floe committee form --dir {}", dir.path.display()))?;
    report::line(&format!("  floe gateway --dir {}", dir.gateway_dir().display()))?;
    report::line(&format!("  floe committee steward --dir {}", dir.path.display()))?;
    report::line(&format!("then, for clients: . {}", dir.client_env().display()))
}

fn say_start(dir: &CommitteeDir, node: &NodeName) -> anyhow::Result<()> {
    report::line(&format!("  floe sidecar --dir {}", dir.node_dir(node).display()))
}

async fn replace(env: &Env, arguments: &ReplaceArguments) -> anyhow::Result<()> {
    let node = &arguments.node;
    let dir = committee_dir::replace(env, &arguments.dir, node, None)?;
    let entry = dir.wanted().into_iter().find(|wanted| wanted.node == *node);
    let incarnation = entry.map_or(Incarnation(0), |wanted| wanted.incarnation);
    report::line(&format!("{node} gets incarnation {incarnation}; (re)start it:"))?;
    say_start(&dir, node)?;
    let done = |record: &EpochRecord| {
        record.member(node).is_some_and(|member| member.incarnation >= incarnation)
    };
    let Some(record) = see_through(env, &arguments.dir, arguments.wait, done).await? else {
        return Ok(());
    };
    let shards = record.member(node).map_or(0, |member| member.shards.len());
    report::line(&format!(
        "epoch record {} is committed; {node} fills {shards} shards: floe repair --dir {} --node {node}",
        record.number,
        dir.repair_dir().display()
    ))
}

async fn add(env: &Env, arguments: &AddArguments) -> anyhow::Result<()> {
    let (dir, node) = committee_dir::add(env, &arguments.dir, arguments)?;
    report::line(&format!("{node} joins; start it:"))?;
    say_start(&dir, &node)?;
    let done =
        |record: &EpochRecord| record.member(&node).is_some_and(|member| !member.shards.is_empty());
    match see_through(env, &arguments.dir, arguments.wait, done).await? {
        Some(record) => report::line(&format!(
            "epoch record {} is committed; shards move to {node} until shares are even",
            record.number
        )),
        None => Ok(()),
    }
}

async fn remove(env: &Env, arguments: &ReplaceArguments) -> anyhow::Result<()> {
    let node = &arguments.node;
    committee_dir::remove(env, &arguments.dir, node)?;
    report::line(&format!("{node} leaves: its shards move to the others, a few at a time"))?;
    let gone = |record: &EpochRecord| record.member(node).is_none();
    match see_through(env, &arguments.dir, arguments.wait, gone).await? {
        Some(record) => {
            report::line(&format!("epoch record {} is committed without {node}", record.number))
        }
        None => Ok(()),
    }
}

/// Does what a steward would, for a while; nothing at all within no time.
async fn see_through(
    env: &Env,
    dir: &Path,
    wait: Duration,
    is_done: impl Fn(&EpochRecord) -> bool,
) -> anyhow::Result<Option<EpochRecord>> {
    if wait.is_zero() {
        return Ok(None);
    }
    Stewarding::new(env, dir, NEVER)?.see_through(wait, is_done).await.map(Some)
}

async fn force(env: &Env, arguments: &ForceArguments) -> anyhow::Result<()> {
    let mut stewarding = Stewarding::new(env, &arguments.dir, NEVER)?;
    if !arguments.accept_loss {
        let pass = stewarding.glance().await?;
        let found = describe(&pass.outcome);
        let message = format!(
            "nothing was done. Found: {}. A forced record goes on all the same, and is flagged for \
             ever: what only the lost volumes hold is lost. Do it with --accept-loss",
            if found.is_empty() { "nothing that would need force" } else { &found }
        );
        return Err(Ended::new(Exit::Usage, message).into());
    }
    let pass = stewarding.force(arguments.on).await?;
    match pass.outcome {
        Outcome::Committed(number, _) => {
            report::line(&format!("epoch record {number} is committed, by force"))
        }
        other => Err(Ended::new(Exit::NotEnoughNodes, describe(&other)).into()),
    }
}

async fn steward(env: &Env, arguments: StewardArguments) -> anyhow::Result<()> {
    let mut stewarding = Stewarding::new(env, &arguments.dir, arguments.loss.loss_grace)?;
    tokio::select! {
        biased;
        ended = serving::until_end(arguments.end, Vec::new()) => ended,
        () = stewarding.keep() => Ok(()),
    }
}
