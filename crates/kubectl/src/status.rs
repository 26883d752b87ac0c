//! Is data at risk? Until when? What blocks repair, and what is there to do?

mod page;
mod verdict;

use anyhow::Context as _;
use floe_crd::{Committee, StorageNode};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, ListParams};
use serde_json::json;

use crate::args::{Output, StatusArguments};
use crate::cluster::{Cluster, print};
use crate::exit::{Ended, Exit};

pub use verdict::Verdict;

/// Shows a Committee. The verdict decides the exit code.
pub async fn status(
    cluster: &Cluster,
    arguments: &StatusArguments,
    output: Output,
) -> anyhow::Result<Verdict> {
    let committee = find(cluster, arguments.committee.as_deref()).await?;
    let nodes = nodes_of(cluster, &committee).await?;
    let verdict = verdict::judge(&committee, &nodes);
    match output {
        Output::Table => {
            let now = Timestamp::now();
            print(&page::page(&committee, &nodes, verdict, (now, arguments.verbose)))?;
        }
        Output::Json => {
            let named = |node: &StorageNode| json!({"name": node.name_any(), "spec": node.spec, "status": node.status});
            let page = json!({
                "verdict": verdict.word(),
                "exitCode": verdict as u8,
                "namespace": committee.namespace(),
                "name": committee.name_any(),
                "spec": committee.spec,
                "status": committee.status,
                "nodes": nodes.iter().map(named).collect::<Vec<_>>(),
            });
            print(&serde_json::to_string_pretty(&page)?)?;
        }
    }
    Ok(verdict)
}

/// The Committee of that name, or the only one.
async fn find(cluster: &Cluster, name: Option<&str>) -> anyhow::Result<Committee> {
    let namespace = &cluster.namespace;
    let committees = Api::<Committee>::namespaced(cluster.client.clone(), namespace);
    if let Some(name) = name {
        return committees.get(name).await.context("the Committee cannot be read");
    }
    let found = committees.list(&ListParams::default()).await;
    let mut found = found.context("Committees cannot be listed")?.items;
    match (found.pop(), found.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            let message = format!("there is no Committee in namespace {namespace}; see -n");
            Err(Ended::new(Exit::NotFound, message).into())
        }
        (Some(last), false) => {
            found.push(last);
            let names: Vec<String> = found.iter().map(ResourceExt::name_any).collect();
            let message = format!("name one of the Committees: {}", names.join(", "));
            Err(Ended::new(Exit::Usage, message).into())
        }
    }
}

/// A Committee's StorageNodes, in the order of their numbers.
pub(crate) async fn nodes_of(
    cluster: &Cluster,
    committee: &Committee,
) -> anyhow::Result<Vec<StorageNode>> {
    let namespace = committee.namespace().unwrap_or_default();
    let nodes = Api::<StorageNode>::namespaced(cluster.client.clone(), &namespace);
    let of_committee = format!("spec.committeeRef.name={}", committee.name_any());
    let found = nodes.list(&ListParams::default().fields(&of_committee)).await;
    let mut found = found.context("StorageNodes cannot be listed")?.items;
    found.sort_by_key(|node| (node.name_any().len(), node.name_any()));
    Ok(found)
}

#[cfg(test)]
mod tests;
