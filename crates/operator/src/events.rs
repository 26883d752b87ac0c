//! Kubernetes Events: one per turn of the story.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use floe_env::Clock;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use k8s_openapi::jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use sha2::{Digest as _, Sha256};

/// Who says it.
pub const CONTROLLER: &str = "floe-operator";
/// Characters that the API server takes.
const LONGEST_MESSAGE: usize = 1024;
/// Objects whose turns are remembered.
const MOST_OBJECTS: usize = 4096;

/// Whether a turn is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventType {
    /// As it should be.
    Normal,
    /// Somebody may want to look.
    Warning,
}

impl EventType {
    const fn name(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Tells people what happens. Clones share what was said.
#[derive(Clone)]
pub struct Events {
    client: kube::Client,
    clock: Arc<dyn Clock>,
    identity: String,
    said: Arc<Mutex<Said>>,
}

/// Per object: the last message of each reason.
type Said = BTreeMap<String, BTreeMap<&'static str, String>>;

impl Events {
    /// What this replica says.
    pub fn new(client: kube::Client, clock: Arc<dyn Clock>, identity: String) -> Self {
        Self { client, clock, identity, said: Arc::default() }
    }

    /// Says that something happened to `object`, unless it is what was said last for this reason: a
    /// reconcile may say the same again each time. What cannot be said is logged.
    pub async fn say(
        &self,
        object: &ObjectReference,
        event_type: EventType,
        reason: &'static str,
        message: &str,
    ) {
        if !self.is_news(object, reason, message) {
            return;
        }
        if let Err(error) = self.publish(object, event_type, reason, message).await {
            self.forget(object, reason);
            let name = object.name.as_deref().unwrap_or_default();
            tracing::warn!(%error, reason, name, "an event cannot be written");
        }
    }

    /// What was said for this reason holds no longer: said again, it is news.
    pub fn forget(&self, object: &ObjectReference, reason: &'static str) {
        if let Some(turns) = self.lock().get_mut(&key(object)) {
            turns.remove(reason);
        }
    }

    fn is_news(&self, object: &ObjectReference, reason: &'static str, message: &str) -> bool {
        let mut said = self.lock();
        if said.len() > MOST_OBJECTS {
            said.clear();
        }
        let turns = said.entry(key(object)).or_default();
        turns.insert(reason, message.to_owned()).is_none_or(|last| last != message)
    }

    async fn publish(
        &self,
        object: &ObjectReference,
        event_type: EventType,
        reason: &'static str,
        message: &str,
    ) -> Result<(), kube::Error> {
        let millis = i64::try_from(self.clock.unix_millis()).unwrap_or(i64::MAX);
        let now = MicroTime(Timestamp::from_millisecond(millis).unwrap_or_default());
        let namespace = object.namespace.clone().unwrap_or_else(|| "default".to_owned());
        let name = event_name(object, reason, message);
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            action: Some(reason.to_owned()),
            event_time: Some(now.clone()),
            note: Some(message.chars().take(LONGEST_MESSAGE).collect()),
            reason: Some(reason.to_owned()),
            regarding: Some(object.clone()),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.identity.clone()),
            type_: Some(event_type.name().to_owned()),
            ..Event::default()
        };
        let events = Api::<Event>::namespaced(self.client.clone(), &namespace);
        match events.create(&PostParams::default(), &event).await {
            // Said before, by an operator that died since or at an earlier turn.
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            created => return created.map(drop),
        }
        let count = events.get(&name).await?.series.map_or(1, |series| series.count);
        let series = EventSeries { count: count.saturating_add(1), last_observed_time: now };
        let patch = Patch::Merge(json!({ "series": series }));
        events.patch(&name, &PatchParams::default(), &patch).await.map(drop)
    }

    fn lock(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(object: &ObjectReference) -> String {
    object.uid.clone().unwrap_or_else(|| {
        let part = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{}/{}/{}", part(&object.kind), part(&object.namespace), part(&object.name))
    })
}

/// The same for the same turn, whoever says it: an operator that dies between saying it and noting
/// in a status that it was said leaves no second Event.
fn event_name(object: &ObjectReference, reason: &str, message: &str) -> String {
    let digest = Sha256::new()
        .chain_update(key(object))
        .chain_update([0])
        .chain_update(reason)
        .chain_update([0])
        .chain_update(message)
        .finalize();
    let tail = hex::encode(digest.get(..8).unwrap_or_default());
    format!("{}.{tail}", object.name.as_deref().unwrap_or(CONTROLLER))
}
