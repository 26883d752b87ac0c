//! Making the children what they should be.

use std::collections::BTreeMap;
use std::time::Duration;

use floe_api::Role;
use floe_crd::labels;
use floe_crd::{Committee, CommitteeSpec, LocalCommittee, StorageNode, StorageNodeSpec, names};
use floe_model::{Incarnation, NodeName, Timestamp};
use floe_plan::succession::Wanted;
use floe_steward::Trust;
use floe_steward::start_files::NodeAddress;
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt as _};
use serde::Serialize;

use super::observed::Observed;
use super::places::storage_node;
use super::plan::Plan;
use super::put_away::delete_named;
use crate::Context;
use crate::apply::{Applied, apply};
use crate::children::leaf::{self, Leaf};
use crate::children::{CommitteeScope, Volume, budget, gateway, network, repair, volume};
use crate::error::{Error, Result};

/// What was applied is looked at again after this time, unless something changed.
const AGAIN: Duration = Duration::from_secs(30);

/// What all children need.
pub(super) fn scope(
    context: &Context,
    committee: &Committee,
    spec: &CommitteeSpec,
    trust: &Trust,
) -> CommitteeScope {
    CommitteeScope {
        namespace: committee.namespace().unwrap_or_default(),
        name: committee.name_any(),
        uid: committee.uid().unwrap_or_default(),
        spec: spec.clone(),
        committee: trust.committee(),
        operator: trust.operator_key().public(),
        image: spec.image.clone().unwrap_or_else(|| context.config.image.clone()),
        operator_namespace: context.config.namespace.clone(),
    }
}

/// Makes the StorageNodes that there are to be; whether any was new.
pub(super) async fn storage_nodes(
    context: &Context,
    committee: &Committee,
    plan: &Plan,
    observed: &Observed,
) -> Result<bool> {
    let missing = plan.current.keys().filter(|node| storage_node(observed, node).is_none());
    let mut any = false;
    for node in missing {
        any |= put(context, &node_object(committee, node)).await? == Applied::Created;
    }
    Ok(any)
}

fn node_object(committee: &Committee, node: &NodeName) -> StorageNode {
    let name = committee.name_any();
    let mut labels = labels::of_committee(&name);
    labels.insert(labels::STORAGE_NODE.to_owned(), node.to_string());
    StorageNode {
        metadata: ObjectMeta {
            name: Some(node.to_string()),
            namespace: committee.namespace(),
            labels: Some(labels),
            owner_references: Some(vec![OwnerReference {
                api_version: Committee::api_version(&()).into_owned(),
                kind: Committee::kind(&()).into_owned(),
                name: name.clone(),
                uid: committee.uid().unwrap_or_default(),
                controller: Some(true),
                block_owner_deletion: None,
            }]),
            ..ObjectMeta::default()
        },
        spec: StorageNodeSpec { committee_ref: LocalCommittee { name }, zone: None, weight: None },
        status: None,
    }
}

/// All volumes that there are to be.
pub(super) fn volumes(spec: &CommitteeSpec, plan: &Plan, observed: &Observed) -> Vec<Volume> {
    let nodes = plan.current.iter();
    let volume = |(node, incarnation): (&NodeName, &Incarnation)| {
        let name = (node.clone(), *incarnation);
        let object = storage_node(observed, node)?;
        let claim = observed.claims.get(&name).and_then(|claim| claim.status.as_ref());
        let (size, storage_class) = observed.sets.get(&name).and_then(asked).unwrap_or_else(|| {
            (spec.storage.size.0.clone(), spec.storage.storage_class_name.clone())
        });
        Some(Volume {
            node: node.clone(),
            incarnation: *incarnation,
            node_uid: object.uid()?,
            zone: object.spec.zone.clone(),
            placed: claim.is_some_and(|claim| claim.phase.as_deref() == Some("Bound")),
            size,
            storage_class,
        })
    };
    nodes.filter_map(volume).collect()
}

/// The size and the class that a StatefulSet asks for.
fn asked(set: &StatefulSet) -> Option<(String, Option<String>)> {
    let template = set.spec.volume_claim_templates.as_ref()?.first()?.spec.as_ref()?;
    let size = template.resources.as_ref()?.requests.as_ref()?.get("storage")?.0.clone();
    Some((size, template.storage_class_name.clone()))
}

/// What was applied last, and when.
#[derive(Debug, Default)]
pub(super) struct Applications(BTreeMap<&'static str, (String, Duration)>);

const CHILDREN: &str = "children";
const BUDGET: &str = "budget";

impl Applications {
    /// Whether the same was applied less than `within` ago.
    pub(super) fn is_recent(
        &self,
        what: &str,
        print: &str,
        within: Duration,
        now: Duration,
    ) -> bool {
        let last = self.0.get(what);
        last.is_some_and(|(last, at)| last == print && now.saturating_sub(*at) < within)
    }

    /// Remembers it.
    pub(super) fn note(&mut self, what: &'static str, print: String, now: Duration) {
        self.0.insert(what, (print, now));
    }
}

/// Makes the budget of storage nodes what it should be; `None`: nobody keeps one.
pub(super) async fn disruption_budget(
    context: &Context,
    scope: &CommitteeScope,
    min_available: Option<u16>,
    applied: &mut Applications,
) -> Result<()> {
    let now = context.env.clock.monotonic();
    let print = format!("{min_available:?}");
    if applied.is_recent(BUDGET, &print, AGAIN, now) {
        return Ok(());
    }
    if let Some(min_available) = min_available {
        put(context, &budget::disruption_budget(scope, min_available)).await?;
    } else {
        let (name, namespace) = (names::disruption_budget(&scope.name), &scope.namespace);
        delete_named::<PodDisruptionBudget>(&context.client, namespace, &name).await?;
    }
    applied.note(BUDGET, print, now);
    Ok(())
}

/// What children are made from.
pub(super) struct Children<'a> {
    pub(super) scope: &'a CommitteeScope,
    pub(super) volumes: &'a [Volume],
    /// Where nodes are asked.
    pub(super) nodes: Vec<NodeAddress>,
    pub(super) ca_pem: &'a str,
    /// The committee has begun.
    pub(super) has_begun: bool,
}

/// Where nodes are asked.
pub(super) fn addresses(wanted: &[Wanted]) -> Vec<NodeAddress> {
    let address = |it: &Wanted| NodeAddress {
        node: it.node.clone(),
        incarnation: it.incarnation,
        address: it.address.clone(),
    };
    wanted.iter().map(address).collect()
}

impl Children<'_> {
    /// Applies everything, unless it was applied a moment ago and nothing has changed. `applied` is
    /// what was applied last, and when.
    pub(super) async fn apply(
        &self,
        context: &Context,
        observed: &Observed,
        applied: &mut Applications,
    ) -> Result<()> {
        let now = context.env.clock.monotonic();
        let print = self.fingerprint();
        let is_there = |volume: &Volume| {
            observed.sets.contains_key(&(volume.node.clone(), volume.incarnation))
        };
        if applied.is_recent(CHILDREN, &print, AGAIN, now) && self.volumes.iter().all(is_there) {
            return Ok(());
        }
        self.put_all(context).await?;
        applied.note(CHILDREN, print, now);
        Ok(())
    }

    fn fingerprint(&self) -> String {
        let Self { scope, volumes, nodes, ca_pem, has_begun } = self;
        let text = format!("{scope:?}{volumes:?}{nodes:?}{ca_pem}{has_begun}");
        names::short_hash(text.as_bytes())
    }

    /// Workloads last.
    async fn put_all(&self, context: &Context) -> Result<()> {
        let scope = self.scope;
        for policy in network::policies(scope) {
            put(context, &policy).await?;
        }
        for volume in self.volumes {
            put(context, &volume::service(scope, volume)).await?;
            put(context, &volume::node_config(scope, volume)?).await?;
            put(context, &volume::stateful_set(scope, volume)).await?;
        }
        put(context, &repair::config(scope, self.nodes.clone())?).await?;
        if self.has_begun {
            self.put_gateway(context).await?;
        }
        Ok(())
    }

    async fn put_gateway(&self, context: &Context) -> Result<()> {
        let scope = self.scope;
        let file = gateway::file(scope, self.nodes.clone());
        let file = file.map_err(|error| Error::refused("InvalidSpec", error.to_string()))?;
        put(context, &gateway::service_account(scope)).await?;
        put(context, &gateway::cluster_role_binding(scope)).await?;
        put(context, &gateway::service(scope)).await?;
        put(context, &gateway::config(scope, &file)?).await?;
        put(context, &gateway::ca(scope, self.ca_pem)).await?;
        if let Some(budget) = gateway::disruption_budget(scope) {
            put(context, &budget).await?;
        }
        put(context, &gateway::deployment(scope, &file)?).await?;
        Ok(())
    }
}

/// Draws the leaves that are missing or due.
pub(super) async fn leaves(
    context: &Context,
    scope: &CommitteeScope,
    volumes: &[Volume],
    observed: &Observed,
    trust: &Trust,
) -> Result<()> {
    let clock = context.env.clock.as_ref();
    let issued = Timestamp(clock.unix_millis());
    let is_due = |name: &str| {
        observed.leaves.get(name).is_none_or(|meta| leaf::is_due(meta, trust.ca_pem(), issued))
    };
    for volume in volumes {
        let (node, incarnation) = (volume.node.as_str(), volume.incarnation);
        if is_due(&names::volume_tls(node, incarnation)) {
            let identity = trust.leaf(clock, Role::Node, node, incarnation, &[])?;
            let leaf = Leaf { identity: &identity, issued };
            put(context, &leaf::of_storage_node(scope, volume, leaf)).await?;
        }
    }
    if is_due(&names::repair(&scope.name)) {
        let identity = trust.leaf(clock, Role::Repair, "repair", Incarnation(0), &[])?;
        put(context, &leaf::of_repair(scope, Leaf { identity: &identity, issued })).await?;
    }
    if is_due(&names::gateway(&scope.name)) {
        let extra = gateway_names(scope);
        let identity = trust.leaf(clock, Role::Gateway, "gateway", Incarnation(0), &extra)?;
        let key = hex::encode(trust.gateway_key().to_seed().as_slice());
        let leaf = Leaf { identity: &identity, issued };
        put(context, &leaf::of_gateway(scope, leaf, &key)).await?;
    }
    Ok(())
}

/// Under which names applications reach the gateway, a forwarded port included.
fn gateway_names(scope: &CommitteeScope) -> Vec<String> {
    let host = names::gateway_host(&scope.name, &scope.namespace);
    let short = names::gateway(&scope.name);
    let in_namespace = format!("{short}.{}", scope.namespace);
    let full = format!("{host}.cluster.local");
    vec![host, short, in_namespace, full, "localhost".to_owned(), "127.0.0.1".to_owned()]
}

async fn put<K>(context: &Context, object: &K) -> Result<Applied>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    Ok(apply(&context.client, object, labels::COMMITTEE_MANAGER).await?)
}
