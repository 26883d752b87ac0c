//! What the API server has of a Committee: read live in every reconcile, so that what was written
//! before is seen, whoever wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;

use floe_crd::labels::{self, Component};
use floe_crd::{Committee, StorageNode};
use floe_model::{Incarnation, NodeName};
use floe_plan::succession::VolumeName;
use futures::future::try_join_all;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod, Secret};
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, ListParams};
use kube::{Client, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;

use crate::error::{Doing as _, Result};

/// Objects asked for at once.
const PAGE: u32 = 500;

/// What the API server has of a Committee.
#[derive(Debug, Clone, Default)]
pub(super) struct Observed {
    /// Its StorageNodes.
    pub(super) nodes: Vec<StorageNode>,
    /// `StatefulSets` of volumes, retired ones included.
    pub(super) sets: BTreeMap<VolumeName, StatefulSet>,
    /// Pods of volumes.
    pub(super) pods: BTreeMap<VolumeName, Pod>,
    /// Claims of volumes.
    pub(super) claims: BTreeMap<VolumeName, PersistentVolumeClaim>,
    /// Repair Jobs.
    pub(super) jobs: Vec<Job>,
    /// Secrets of leaves, by name: metadata only.
    pub(super) leaves: BTreeMap<String, ObjectMeta>,
    /// The gateway's workload.
    pub(super) gateway: Option<Deployment>,
    /// The Kubernetes nodes that are named by pods or by `hosts`; none where there is none.
    pub(super) hosts: BTreeMap<String, Option<Node>>,
    /// Names of all storage classes and whether each is the default one; read only while a claim has
    /// no volume.
    pub(super) classes: Option<BTreeMap<String, bool>>,
}

/// Reads everything. `hosts` are Kubernetes nodes that somebody wants to know about besides.
pub(super) async fn observe(
    client: &Client,
    committee: &Committee,
    hosts: BTreeSet<String>,
) -> Result<Observed> {
    let look = Look { client, namespace: committee.namespace().unwrap_or_default(), committee };
    let volumes = look.selector(Some(Component::StorageNode));
    let repair = look.selector(Some(Component::Repair));
    let gateway = look.selector(Some(Component::Gateway));
    let (nodes, sets, pods, claims, jobs, gateways, leaves) = futures::try_join!(
        storage_nodes(client, committee),
        look.list::<StatefulSet>(volumes.clone()),
        look.list::<Pod>(volumes.clone()),
        look.list::<PersistentVolumeClaim>(volumes),
        look.list::<Job>(repair),
        look.list::<Deployment>(gateway),
        look.leaves(),
    )?;
    let named = pods.iter().filter_map(|pod| pod.spec.as_ref()?.node_name.clone());
    let hosts = look.hosts(hosts.into_iter().chain(named).collect()).await?;
    let claims = by_volume(claims);
    let classes = if claims.values().any(is_unbound) { Some(look.classes().await?) } else { None };
    Ok(Observed {
        nodes,
        sets: by_volume(sets),
        pods: by_volume(pods),
        claims,
        jobs,
        leaves,
        gateway: gateways.into_iter().next(),
        hosts,
        classes,
    })
}

/// The Committee's StorageNodes, read again.
pub(super) async fn storage_nodes(
    client: &Client,
    committee: &Committee,
) -> Result<Vec<StorageNode>> {
    let look = Look { client, namespace: committee.namespace().unwrap_or_default(), committee };
    let nodes = look.list::<StorageNode>(look.selector(None)).await?;
    Ok(nodes.into_iter().filter(|node| is_of(node, committee)).collect())
}

/// The Committee's repair Jobs, read again.
pub(super) async fn repair_jobs(client: &Client, committee: &Committee) -> Result<Vec<Job>> {
    let look = Look { client, namespace: committee.namespace().unwrap_or_default(), committee };
    look.list::<Job>(look.selector(Some(Component::Repair))).await
}

/// Which volume an object is of, by its labels.
pub(super) fn volume_of(meta: &ObjectMeta) -> Option<VolumeName> {
    let labels = meta.labels.as_ref()?;
    let node: NodeName = labels.get(labels::STORAGE_NODE)?.parse().ok()?;
    let incarnation = labels.get(labels::INCARNATION)?.parse().ok()?;
    Some((node, Incarnation(incarnation)))
}

/// Whether it is labelled as one of a volume that was replaced.
pub(super) fn is_retired(meta: &ObjectMeta) -> bool {
    meta.labels.as_ref().is_some_and(|it| it.get(labels::RETIRED).is_some())
}

fn is_unbound(claim: &PersistentVolumeClaim) -> bool {
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    !matches!(phase, Some("Bound" | "Lost"))
}

fn is_of(node: &StorageNode, committee: &Committee) -> bool {
    let owners = node.owner_references();
    let owned = owners.iter().any(|owner| Some(&owner.uid) == committee.metadata.uid.as_ref());
    owned && node.spec.committee_ref.name == committee.name_any()
}

fn by_volume<K: Resource>(objects: Vec<K>) -> BTreeMap<VolumeName, K> {
    let named = objects.into_iter().filter_map(|it| Some((volume_of(it.meta())?, it)));
    named.collect()
}

struct Look<'a> {
    client: &'a Client,
    namespace: String,
    committee: &'a Committee,
}

impl Look<'_> {
    fn selector(&self, component: Option<Component>) -> String {
        let of = format!("{}={}", labels::COMMITTEE, self.committee.name_any());
        match component {
            Some(component) => format!("{of},{}={}", labels::COMPONENT, component.as_str()),
            None => of,
        }
    }

    async fn list<K>(&self, selector: String) -> Result<Vec<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + Debug,
    {
        let api = Api::<K>::namespaced(self.client.clone(), &self.namespace);
        let mut params = ListParams::default().labels(&selector).limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = api.list(&params).await;
            let page = page.doing(|| format!("listing {}", K::plural(&())))?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    async fn leaves(&self) -> Result<BTreeMap<String, ObjectMeta>> {
        let api = Api::<Secret>::namespaced(self.client.clone(), &self.namespace);
        let params = ListParams::default().labels(&self.selector(None));
        let secrets = api.list_metadata(&params).await.doing(|| "listing secrets".to_owned())?;
        Ok(secrets.items.into_iter().map(|it| (it.name_any(), it.metadata)).collect())
    }

    async fn hosts(&self, names: BTreeSet<String>) -> Result<BTreeMap<String, Option<Node>>> {
        let api = Api::<Node>::all(self.client.clone());
        let asked = names.into_iter().filter(|name| !name.is_empty()).map(|name| {
            let api = api.clone();
            async move {
                let node = api.get_opt(&name).await;
                node.doing(|| format!("reading node {name}")).map(|node| (name, node))
            }
        });
        Ok(try_join_all(asked).await?.into_iter().collect())
    }

    async fn classes(&self) -> Result<BTreeMap<String, bool>> {
        const DEFAULT: &str = "storageclass.kubernetes.io/is-default-class";
        let api = Api::<StorageClass>::all(self.client.clone());
        let classes = api.list_metadata(&ListParams::default()).await;
        let classes = classes.doing(|| "listing storageclasses".to_owned())?;
        let class = |it: kube::core::PartialObjectMeta<StorageClass>| {
            let default = it.annotations().get(DEFAULT).is_some_and(|value| value == labels::TRUE);
            (it.name_any(), default)
        };
        Ok(classes.items.into_iter().map(class).collect())
    }
}
