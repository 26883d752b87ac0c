//! Giving up a storage node's volume.

use std::io::Write as _;

use anyhow::Context as _;
use floe_crd::{Committee, StorageNode, VolumeState, condition, labels, names};
use floe_model::Incarnation;
use kube::api::{Api, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::args::ReplaceArguments;
use crate::cluster::{Cluster, print};
use crate::exit::{Ended, Exit};
use crate::text::{plural, size};

/// Who annotates.
const FIELD_MANAGER: &str = "kubectl-floe";

/// Asks whether to, then says to the operator that the volume is to be replaced.
pub async fn replace(cluster: &Cluster, arguments: &ReplaceArguments) -> anyhow::Result<()> {
    let nodes = Api::<StorageNode>::namespaced(cluster.client.clone(), &cluster.namespace);
    let node = nodes.get(&arguments.node).await.context("the StorageNode cannot be read")?;
    let committee = committee_of(&cluster.client, &node).await?;
    let replacement = plan(&node, &committee)?;
    print(&replacement.text)?;
    if !arguments.yes && !confirmed(&arguments.node).await? {
        return Err(Ended::new(Exit::Failed, "nothing was changed").into());
    }
    // Another volume than the one shown is in nobody's way: the operator compares the id.
    let patch = json!({"metadata": {"annotations": {labels::REPLACE_VOLUME: replacement.volume}}});
    let params =
        PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
    nodes.patch(&arguments.node, &params, &Patch::Merge(&patch)).await?;
    print(&format!(
        "volume {} is given up; watch: kubectl floe status -n {} {}",
        replacement.volume, cluster.namespace, node.spec.committee_ref.name
    ))
}

async fn committee_of(client: &Client, node: &StorageNode) -> anyhow::Result<Committee> {
    let namespace = node.namespace().unwrap_or_default();
    let committees = Api::<Committee>::namespaced(client.clone(), &namespace);
    let committee = committees.get(&node.spec.committee_ref.name).await;
    committee.context("the Committee cannot be read")
}

async fn confirmed(node: &str) -> anyhow::Result<bool> {
    {
        let mut out = std::io::stdout().lock();
        write!(out, "Type {node} to go on: ")?;
        out.flush()?;
    }
    let mut line = String::new();
    BufReader::new(tokio::io::stdin()).read_line(&mut line).await?;
    Ok(line.trim() == node)
}

/// A volume to be given up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Replacement {
    /// Its id.
    pub(crate) volume: String,
    /// What it comes to, for people.
    pub(crate) text: String,
}

/// What replacing a node's volume comes to; an error if there is nothing to replace, or nothing to
/// rebuild it from.
pub(crate) fn plan(node: &StorageNode, committee: &Committee) -> Result<Replacement, Ended> {
    let name = node.name_any();
    let status = node.status.clone().unwrap_or_default();
    let volume = status.volume.filter(|volume| volume.id.is_some());
    let Some((volume, id)) = volume.and_then(|volume| Some((volume.clone(), volume.id?))) else {
        let message = format!(
            "{name} has no volume that the committee knows: it gets one, there is nothing to replace"
        );
        return Err(Ended::new(Exit::Failed, message));
    };
    let shards = status.shards.map_or(0, |shards| shards.count);
    let overall = committee.status.clone().unwrap_or_default();
    // A lost one is not counted on any more.
    let is_lost = condition::is_true(&status.conditions, condition::VOLUME_LOST);
    let taken = if is_lost { 0 } else { shards };
    if overall.margin.is_none_or(|margin| margin < taken) {
        let margin = overall.margin.map_or_else(|| "no".to_owned(), |it| it.to_string());
        let message = format!(
            "{name} has {shards} shards and blobs survive {margin} more: without its volume some \
             could not be read; bring back or rebuild other nodes first"
        );
        return Err(Ended::new(Exit::Failed, message));
    }
    let place: Vec<String> = [status.node_name, status.zone].into_iter().flatten().collect();
    let place = if place.is_empty() { "no host".to_owned() } else { place.join(", ") };
    let held = status.slivers.map_or(0, |slivers| slivers.owed);
    let survives = overall.survives.unwrap_or_default();
    let incarnation = status.incarnation.unwrap_or_default();
    let next = names::volume(&name, Incarnation(incarnation.saturating_add(1)));
    let lacking = match status.repair.map_or(0, |repair| repair.remaining_bytes) {
        0 => String::new(),
        bytes => format!(" ({} are missing there already)", size(bytes)),
    };
    let text = format!(
        "{name} ({place}): volume {id} is {}. All it owes, {} of {}, will be rebuilt from the \
         other nodes{lacking}.\nNow data survives {}, writes survive {}; until it is rebuilt, one \
         node less. Claim {} is kept, labelled {}; the next volume is {next}.",
        state(volume.state),
        plural(held, "sliver"),
        plural(shards.into(), "shard"),
        plural(survives.data.nodes.into(), "node"),
        plural(survives.writes.nodes.into(), "node"),
        volume.claim_name,
        labels::RETIRED,
    );
    Ok(Replacement { volume: id, text })
}

const fn state(state: VolumeState) -> &'static str {
    match state {
        VolumeState::Pending => "waited for",
        VolumeState::Bound => "in use",
        VolumeState::Missing => "missing",
    }
}

#[cfg(test)]
mod tests;
