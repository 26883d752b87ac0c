//! What is watched, and which object is looked at again because of it.
//!
//! Of children only metadata is watched. What only a status says, the operator's own words included,
//! wakes nobody: a reconcile asks to be called again, soon while something is under way.

use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use floe_crd::{Blob, Committee, StorageNode, condition, labels};
use futures::{Stream, StreamExt as _};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod};
use kube::core::PartialObjectMeta;
use kube::runtime::controller::{self, Action, Controller};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate as _, PredicateConfig, WatchStreamExt as _, predicates, watcher};
use kube::{Api, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::context::Context;
use crate::error::Error;
use crate::retry::Failures;

/// Committees that are looked at side by side.
const COMMITTEES_AT_A_TIME: u16 = 4;
/// Blobs that are looked at side by side.
const BLOBS_AT_A_TIME: u16 = 16;

/// What lives in namespaces and can be watched.
pub(crate) trait Watched:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + DeserializeOwned
    + Debug
    + Send
    + Sync
    + 'static
{
}

impl<K> Watched for K where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Debug
        + Send
        + Sync
        + 'static
{
}

/// Where one set of controllers looks.
#[derive(Clone)]
pub(crate) struct Scope {
    pub(crate) context: Arc<Context>,
    /// Nothing means everywhere.
    pub(crate) namespace: Option<String>,
    /// Whether the operator is to end.
    pub(crate) stopped: watch::Receiver<bool>,
}

/// A controller that can be run, and what it has read.
pub(crate) struct Prepared<K: Watched> {
    controller: Controller<K>,
    objects: Store<K>,
    scope: Scope,
}

impl Scope {
    /// Committees, and all that is made for them.
    pub(crate) fn committees(&self) -> Prepared<Committee> {
        let mut prepared = self.prepare::<Committee>(COMMITTEES_AT_A_TIME);
        let intent =
            predicates::generation.combine(predicates::annotations).combine(predicates::finalizers);
        let nodes = self.marked::<StorageNode>(labels::COMMITTEE);
        prepared.controller = prepared
            .controller
            .watches_stream(nodes.predicate_filter(intent, PredicateConfig::default()), owner)
            .watches_stream(self.marked::<StatefulSet>(labels::COMMITTEE), owner)
            .watches_stream(self.marked::<Deployment>(labels::COMMITTEE), owner)
            .watches_stream(self.marked::<Job>(labels::COMMITTEE), owner)
            .watches_stream(self.marked::<PersistentVolumeClaim>(labels::COMMITTEE), owner)
            .watches_stream(self.marked::<Pod>(labels::COMMITTEE), owner);
        prepared
    }

    /// Blobs, their importer Jobs, and the Committees that keep them.
    pub(crate) fn blobs(&self) -> Prepared<Blob> {
        let mut prepared = self.prepare::<Blob>(BLOBS_AT_A_TIME);
        let importers = format!("{}={}", labels::COMPONENT, labels::Component::Import.as_str());
        prepared.controller = prepared.controller.owns_stream(self.marked::<Job>(&importers));
        for namespace in namespaces(&self.context) {
            let blobs = prepared.objects.clone();
            let turns = predicates::generation.combine(predicates::annotations).combine(readiness);
            let api = self.api::<Committee>(namespace.as_deref());
            let committees = watcher(api, watcher::Config::default())
                .default_backoff()
                .touched_objects()
                .predicate_filter(turns, PredicateConfig::default());
            prepared.controller = prepared
                .controller
                .watches_stream(committees, move |committee| kept_by(&committee, &blobs));
        }
        prepared
    }

    fn prepare<K: Watched>(&self, at_a_time: u16) -> Prepared<K> {
        let (objects, writer) = reflector::store();
        let intent = predicates::generation
            .combine(predicates::annotations)
            .combine(predicates::labels)
            .combine(predicates::finalizers);
        let api = self.api::<K>(self.namespace.as_deref());
        let trigger = watcher(api, watcher::Config::default())
            .default_backoff()
            .reflect(writer)
            .applied_objects()
            .predicate_filter(intent, PredicateConfig::default());
        let mut stopped = self.stopped.clone();
        let controller = Controller::for_stream(trigger, objects.clone())
            .with_config(controller::Config::default().concurrency(at_a_time))
            .graceful_shutdown_on(async move {
                // If the sender is gone, so is the operator.
                let _ = stopped.wait_for(|stopped| *stopped).await;
            });
        Prepared { controller, objects, scope: self.clone() }
    }

    fn api<K: Watched>(&self, namespace: Option<&str>) -> Api<K> {
        let client = self.context.client.clone();
        match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        }
    }

    /// The metadata of all objects that this selector picks.
    fn marked<K: Watched>(
        &self,
        selector: &str,
    ) -> impl Stream<Item = Result<PartialObjectMeta<K>, watcher::Error>> + Send + use<K> {
        let config = watcher::Config::default().labels(selector);
        watcher(self.api::<PartialObjectMeta<K>>(self.namespace.as_deref()), config)
            .default_backoff()
            .touched_objects()
    }
}

impl<K: Watched> Prepared<K> {
    /// Ends when all objects have been read once.
    pub(crate) fn read(&self) -> impl Future<Output = ()> + Send + use<K> {
        let objects = self.objects.clone();
        async move {
            // If the writer is gone, so is the controller.
            let _ = objects.wait_until_ready().await;
        }
    }

    /// Reconciles until the operator is stopped, then lets what runs come to its end.
    pub(crate) async fn run<F>(
        self,
        controller: &'static str,
        reconcile: impl Fn(Arc<K>, Arc<Context>) -> F + Clone + Send + 'static,
    ) where
        F: Future<Output = Result<Action, Error>> + Send + 'static,
    {
        let failures = Arc::new(Failures::default());
        let forgetting = Arc::clone(&failures);
        let reconcile = move |object: Arc<K>, context: Arc<Context>| {
            let (reconcile, failures) = (reconcile.clone(), Arc::clone(&forgetting));
            async move {
                let begun = context.env.clock.monotonic();
                let outcome = reconcile(Arc::clone(&object), Arc::clone(&context)).await;
                let took = context.env.clock.monotonic().saturating_sub(begun);
                let failed = outcome.as_ref().err().map(Error::is_terminal);
                context.metrics.reconciled(controller, took, failed);
                if failed.is_none() {
                    failures.forget(&key(object.as_ref()));
                }
                outcome
            }
        };
        let retry = move |object: Arc<K>, error: &Error, context: Arc<Context>| {
            let (terminal, random) = (error.is_terminal(), context.env.random.as_ref());
            let key = key(object.as_ref());
            let pause = failures.count(&key, context.config.pace, terminal, random);
            let pause_seconds = pause.as_secs_f64();
            tracing::warn!(controller, object = key, error = error.text(), pause_seconds, "failed");
            Action::requeue(pause)
        };
        self.controller
            .run(reconcile, retry, self.scope.context)
            .for_each(|outcome| {
                if let Err(error @ controller::Error::QueueError(_)) = outcome {
                    tracing::warn!(controller, %error, "a watch broke");
                }
                std::future::ready(())
            })
            .await;
    }
}

/// The scopes of the watched namespaces: one of all, or one each.
pub(crate) fn namespaces(context: &Context) -> Vec<Option<String>> {
    let namespaces = &context.config.watch_namespaces;
    if namespaces.is_empty() {
        return vec![None];
    }
    namespaces.iter().cloned().map(Some).collect()
}

fn key<K: Watched>(object: &K) -> String {
    format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any())
}

/// The Committee that a child is made for.
#[expect(clippy::needless_pass_by_value, reason = "the mapper of a watch is given its objects")]
fn owner<K: Watched>(child: PartialObjectMeta<K>) -> Option<ObjectRef<Committee>> {
    let name = child.labels().get(labels::COMMITTEE)?;
    Some(ObjectRef::new(name).within(&child.namespace()?))
}

/// Blobs that a Committee keeps, or may come to keep.
fn kept_by(committee: &Committee, blobs: &Store<Blob>) -> Vec<ObjectRef<Blob>> {
    let blobs = blobs.state().into_iter().filter(|blob| may_be_kept_by(blob, committee));
    blobs.map(|blob| ObjectRef::from_obj(blob.as_ref())).collect()
}

fn may_be_kept_by(blob: &Blob, committee: &Committee) -> bool {
    let resolved = blob.status.as_ref().and_then(|status| status.committee_ref.as_ref());
    let Some(named) = resolved.or(blob.spec.committee_ref.as_ref()) else { return true };
    Some(&named.name) == committee.metadata.name.as_ref()
        && Some(&named.namespace) == committee.metadata.namespace.as_ref()
}

/// What of a Committee's status matters to its blobs: whether it serves.
fn readiness(committee: &Committee) -> Option<u64> {
    let conditions = &committee.status.as_ref()?.conditions;
    let ready = conditions.iter().find(|condition| condition.type_ == condition::READY)?;
    let mut hasher = DefaultHasher::new();
    ready.status.hash(&mut hasher);
    Some(hasher.finish())
}
