//! Writing objects to the API server: server-side apply for all that follows a spec, plain creation
//! for what is made once, deletion of exactly the object that was read.
//!
//! What was applied leaves a short hash in [`labels::APPLIED`]. As long as the live object shows the same
//! hash, and no other writer took a field, nothing is written; the look costs its metadata only.

mod ownership;

use floe_crd::labels;
use kube::api::{
    Api, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions,
    PropagationPolicy,
};
use kube::core::{ApiResource, Status};
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use ownership::owns_all;

/// What an apply did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// The live object is what is wanted, or is on its way out: nothing was written.
    Unchanged,
    /// There was none.
    Created,
    /// It was another.
    Changed,
}

/// A write that the API server did not take.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// It breaks a rule of the API server: the same write fails again.
    #[error("{object} is refused: {}; change the Committee's spec", .status.message)]
    Invalid {
        /// Kind, namespace and name.
        object: String,
        /// What the API server says.
        status: Box<Status>,
    },
    /// The operator may not, or a quota or policy is in the way.
    #[error("{object} is forbidden: {}; check the operator's role, quotas and admission policies", .status.message)]
    Forbidden {
        /// Kind, namespace and name.
        object: String,
        /// What the API server says.
        status: Box<Status>,
    },
    /// The name is taken by something that the operator did not make for this Committee.
    #[error("{object} exists and is not this Committee's; rename or delete it")]
    Foreign {
        /// Kind, namespace and name.
        object: String,
    },
    /// Another object, or another version of it, is in its place by now.
    #[error("{object} changed meanwhile; it is looked at again")]
    Conflict {
        /// Kind, namespace and name.
        object: String,
    },
    /// The object has no name, or cannot be written down.
    #[error("{object} cannot be written down: {reason}")]
    Malformed {
        /// Kind, namespace and name.
        object: String,
        /// Why.
        reason: String,
    },
    /// The API server did not do it, for a reason that may pass.
    #[error("{object} could not be written")]
    Api {
        /// Kind, namespace and name.
        object: String,
        /// Why.
        #[source]
        source: kube::Error,
    },
}

impl ApplyError {
    /// Whether the same write is bound to fail until a human changes something.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Invalid { .. } | Self::Foreign { .. } | Self::Malformed { .. } => true,
            Self::Forbidden { .. } | Self::Conflict { .. } | Self::Api { .. } => false,
        }
    }
}

/// Makes the live object what `wanted` says, for all fields that it names; fields that it no longer
/// names go. Other writers lose a field that both want. `manager` is the field manager.
pub async fn apply<K>(client: &Client, wanted: &K, manager: &str) -> Result<Applied, ApplyError>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let place = Place::of(client, wanted)?;
    let (patch, hash) = marked(wanted).map_err(|error| place.malformed(&error))?;
    let live = place.api.get_metadata_opt(&place.name).await.map_err(|error| place.error(error))?;
    let outcome = match &live {
        None => Applied::Created,
        Some(live) if live.metadata.deletion_timestamp.is_some() => return Ok(Applied::Unchanged),
        Some(live) if !same_committee(wanted, live) => {
            return Err(ApplyError::Foreign { object: place.object });
        }
        Some(live)
            if live.annotations().get(labels::APPLIED) == Some(&hash)
                && owns_all(&patch, live.metadata.managed_fields.as_ref(), manager) =>
        {
            return Ok(Applied::Unchanged);
        }
        Some(_) => Applied::Changed,
    };
    let params = PatchParams::apply(manager).force();
    place
        .api
        .patch(&place.name, &params, &Patch::Apply(&patch))
        .await
        .map_err(|error| place.error(error))?;
    Ok(outcome)
}

/// Creates what never changes afterwards. `false`: it is there already, as it was made then.
pub async fn create_once<K>(client: &Client, wanted: &K, manager: &str) -> Result<bool, ApplyError>
where
    K: Resource<DynamicType = ()> + Serialize,
{
    let place = Place::of(client, wanted)?;
    let object: DynamicObject = serde_json::to_value(wanted)
        .and_then(serde_json::from_value)
        .map_err(|error| place.malformed(&error))?;
    let params = PostParams { field_manager: Some(manager.to_owned()), ..PostParams::default() };
    match place.api.create(&params, &object).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(false),
        Err(error) => Err(place.error(error)),
    }
}

/// What happens to the objects that a deleted one owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dependents {
    /// They go too.
    Go,
    /// They stay.
    Stay,
}

/// Deletes the object that was read, and no other of the same name: its UID counts. `false`: it is
/// gone already.
pub async fn delete<K>(
    client: &Client,
    read: &K,
    dependents: Dependents,
) -> Result<bool, ApplyError>
where
    K: Resource<DynamicType = ()>,
{
    let place = Place::of(client, read)?;
    let Some(uid) = read.uid() else {
        let reason = "it has no UID: it was never read".to_owned();
        return Err(ApplyError::Malformed { object: place.object, reason });
    };
    let params = DeleteParams {
        propagation_policy: Some(match dependents {
            Dependents::Go => PropagationPolicy::Background,
            Dependents::Stay => PropagationPolicy::Orphan,
        }),
        preconditions: Some(Preconditions { uid: Some(uid), resource_version: None }),
        ..DeleteParams::default()
    };
    match place.api.delete(&place.name, &params).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(false),
        Err(error) => Err(place.error(error)),
    }
}

/// Where an object lives.
struct Place {
    api: Api<DynamicObject>,
    name: String,
    /// For errors.
    object: String,
}

impl Place {
    fn of<K: Resource<DynamicType = ()>>(client: &Client, of: &K) -> Result<Self, ApplyError> {
        let resource = ApiResource::erase::<K>(&());
        let (name, namespace) = (of.name_any(), of.namespace());
        let object = match &namespace {
            Some(namespace) => format!("{} {namespace}/{name}", resource.kind),
            None => format!("{} {name}", resource.kind),
        };
        if name.is_empty() {
            return Err(ApplyError::Malformed { object, reason: "it has no name".to_owned() });
        }
        let api = match &namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        Ok(Self { api, name, object })
    }

    fn malformed(&self, error: &serde_json::Error) -> ApplyError {
        ApplyError::Malformed { object: self.object.clone(), reason: error.to_string() }
    }

    fn error(&self, error: kube::Error) -> ApplyError {
        let object = self.object.clone();
        match error {
            kube::Error::Api(status) if status.is_invalid() => {
                ApplyError::Invalid { object, status }
            }
            kube::Error::Api(status) if status.is_forbidden() => {
                ApplyError::Forbidden { object, status }
            }
            kube::Error::Api(status) if status.is_conflict() => ApplyError::Conflict { object },
            source => ApplyError::Api { object, source },
        }
    }
}

/// The object with the hash of what it is, and the hash.
fn marked(wanted: &impl Serialize) -> Result<(Value, String), serde_json::Error> {
    let mut value = serde_json::to_value(wanted)?;
    let digest = Sha256::digest(serde_json::to_vec(&value)?);
    let hash = hex::encode(digest.iter().take(8).copied().collect::<Vec<u8>>());
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations =
            metadata.entry("annotations").or_insert_with(|| Value::Object(serde_json::Map::new()));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(labels::APPLIED.to_owned(), Value::String(hash.clone()));
        }
    }
    Ok((value, hash))
}

/// Whether the live object was made for the same Committee.
fn same_committee(wanted: &impl ResourceLabels, live: &impl ResourceLabels) -> bool {
    wanted.label(labels::COMMITTEE) == live.label(labels::COMMITTEE)
}

trait ResourceLabels {
    fn label(&self, name: &str) -> Option<&str>;
}

impl<K: Resource> ResourceLabels for K {
    fn label(&self, name: &str) -> Option<&str> {
        self.meta().labels.as_ref()?.get(name).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
