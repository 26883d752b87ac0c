//! Blob objects as the API server keeps them. A claim's id is the UID of its object.

use std::collections::BTreeMap;

use floe_crd::{
    Blob, BlobSpec, CommitteeReference, DeletionPolicy, NamespaceAccess, Source, Upload, labels,
};
use floe_model::{ClaimId, Namespace, NamespaceUid, SignedRelease, Timestamp};
use futures::future::BoxFuture;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::core::ParseExpressionError;
use kube::core::response::Status;

use super::namespaces::{Gate, Namespaces};
use super::server::{ApiServer, CallError};
use crate::objects::{BlobObject, BlobObjects, FullName, ObjectError, ObjectState, Recency};

/// The Blob objects of one Committee.
pub struct KubernetesObjects {
    api_server: ApiServer,
    namespaces: Namespaces,
    committee: CommitteeReference,
}

impl KubernetesObjects {
    /// Those of `committee`, in the namespaces that it admits.
    pub fn new(
        api_server: &ApiServer,
        committee: CommitteeReference,
        access: NamespaceAccess,
    ) -> Result<Self, ParseExpressionError> {
        let gate = Gate::new(committee.clone(), access)?;
        let namespaces = Namespaces::new(api_server, gate);
        Ok(Self { api_server: api_server.clone(), namespaces, committee })
    }

    fn blobs(&self, name: &FullName) -> Api<Blob> {
        Api::namespaced(self.api_server.client.clone(), name.namespace.as_str())
    }

    async fn get(&self, name: &FullName) -> Result<Option<BlobObject>, ObjectError> {
        let blobs = self.blobs(name);
        let found = self.api_server.call(blobs.get_opt(name.name.as_str())).await;
        let found = found.map_err(|error| refused(name, error))?;
        found.map(|blob| view(&blob, name, &self.committee)).transpose()
    }

    async fn make(
        &self,
        name: &FullName,
        content_type: &str,
    ) -> Result<Option<BlobObject>, ObjectError> {
        let blob = new_blob(name, content_type, &self.committee);
        let manager = Some(labels::GATEWAY_MANAGER.to_owned());
        let parameters = PostParams { field_manager: manager, ..PostParams::default() };
        let blobs = self.blobs(name);
        match self.api_server.call(blobs.create(&parameters, &blob)).await {
            Ok(made) => view(&made, name, &self.committee).map(Some),
            Err(CallError::Refused(status)) if status.is_already_exists() => Ok(None),
            Err(error) => Err(refused(name, error)),
        }
    }

    async fn remove(&self, name: &FullName, claim: ClaimId) -> Result<(), ObjectError> {
        let only = Preconditions { uid: Some(claim.to_string()), resource_version: None };
        let parameters = DeleteParams::default().preconditions(only);
        let blobs = self.blobs(name);
        match self.api_server.call(blobs.delete(name.name.as_str(), &parameters)).await {
            Ok(_) => Ok(()),
            Err(CallError::Refused(status)) if is_gone(&status) => Ok(()),
            Err(error) => Err(refused(name, error)),
        }
    }
}

/// There is no such object, or another one has its name.
fn is_gone(status: &Status) -> bool {
    status.is_not_found() || status.is_conflict()
}

fn refused(name: &FullName, error: CallError) -> ObjectError {
    let status = match error {
        CallError::Unreachable(error) => return ObjectError::Unavailable(error.0),
        CallError::Refused(status) => status,
    };
    let words = format!("the API server refuses Blob {name}: {}", status.message);
    match status.code {
        403 => ObjectError::Forbidden(words),
        404 => ObjectError::NoNamespace(name.namespace.clone()),
        _ => ObjectError::Invalid(words),
    }
}

/// The object to be made for what somebody PUTs. Its finalizer is on from the start: without it a
/// deletion that the operator does not see would leave content that nobody releases.
fn new_blob(name: &FullName, content_type: &str, committee: &CommitteeReference) -> Blob {
    let managed_by = (labels::MANAGED_BY.to_owned(), labels::GATEWAY_MANAGER.to_owned());
    Blob {
        metadata: ObjectMeta {
            namespace: Some(name.namespace.to_string()),
            name: Some(name.name.to_string()),
            labels: Some(BTreeMap::from([managed_by])),
            finalizers: Some(vec![labels::FINALIZER.to_owned()]),
            ..ObjectMeta::default()
        },
        spec: BlobSpec {
            committee_ref: Some(committee.clone()),
            source: Source { upload: Some(Upload::default()), ..Source::default() },
            digest: None,
            content_type: content_type.to_owned(),
            deletion_policy: DeletionPolicy::Delete,
        },
        status: None,
    }
}

/// What an object says, if it is one of this committee's.
fn view(
    blob: &Blob,
    name: &FullName,
    committee: &CommitteeReference,
) -> Result<BlobObject, ObjectError> {
    let resolved = blob.status.as_ref().and_then(|status| status.committee_ref.as_ref());
    match blob.spec.committee_ref.as_ref().or(resolved) {
        Some(keeper) if keeper == committee => {}
        Some(CommitteeReference { namespace, name: keeper }) => {
            let words =
                format!("{name} is kept by the Committee {namespace}/{keeper}: ask its gateway");
            return Err(ObjectError::OtherCommittee(words));
        }
        None => {
            let words = format!(
                "{name} names no Committee, and none was chosen for it yet: try again, or create it \
                 with spec.committeeRef"
            );
            return Err(ObjectError::OtherCommittee(words));
        }
    }
    let unreadable =
        || ObjectError::Invalid(format!("{name} has no UID, time or digest that can be read"));
    let meta = &blob.metadata;
    let claim = meta.uid.as_deref().and_then(|uid| uid.parse().ok()).ok_or_else(unreadable)?;
    let created = meta.creation_timestamp.as_ref().map(|time| time.0.as_millisecond());
    let created = created.and_then(|millis| u64::try_from(millis).ok()).ok_or_else(unreadable)?;
    let sha256 = blob.spec.digest.as_deref().map(sha256).transpose();
    Ok(BlobObject {
        claim,
        created: Timestamp(created),
        state: state(blob),
        keeps_content: blob.spec.deletion_policy == DeletionPolicy::Retain,
        content_type: Some(blob.spec.content_type.clone()),
        sha256: sha256.map_err(|()| unreadable())?,
    })
}

fn state(blob: &Blob) -> ObjectState {
    let source = &blob.spec.source;
    if blob.metadata.deletion_timestamp.is_some() {
        ObjectState::Leaving
    } else if source.upload.is_some() {
        ObjectState::Uploaded
    } else if source.inline.is_some() {
        ObjectState::Imported("spec.source.inline")
    } else if source.config_map_key_ref.is_some() {
        ObjectState::Imported("spec.source.configMapKeyRef")
    } else {
        ObjectState::Imported("spec.source")
    }
}

fn sha256(digest: &str) -> Result<[u8; 32], ()> {
    let mut bytes = [0; 32];
    let digits = digest.strip_prefix("sha256:").ok_or(())?;
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| ())?;
    Ok(bytes)
}

impl BlobObjects for KubernetesObjects {
    fn namespace_uid<'a>(
        &'a self,
        namespace: &'a Namespace,
        recency: Recency,
    ) -> BoxFuture<'a, Result<NamespaceUid, ObjectError>> {
        Box::pin(self.namespaces.uid(namespace, recency))
    }

    fn find<'a>(
        &'a self,
        name: &'a FullName,
        _: Option<&'a SignedRelease>,
        _: Timestamp,
    ) -> BoxFuture<'a, Result<Option<BlobObject>, ObjectError>> {
        Box::pin(self.get(name))
    }

    fn create<'a>(
        &'a self,
        name: &'a FullName,
        content_type: &'a str,
    ) -> BoxFuture<'a, Result<Option<BlobObject>, ObjectError>> {
        Box::pin(self.make(name, content_type))
    }

    fn delete<'a>(
        &'a self,
        name: &'a FullName,
        claim: ClaimId,
    ) -> BoxFuture<'a, Result<(), ObjectError>> {
        Box::pin(self.remove(name, claim))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn name() -> FullName {
        let (namespace, name) = ("shop".parse().unwrap(), "model".parse().unwrap());
        FullName { namespace, namespace_uid: NamespaceUid([1; 16]), name }
    }

    fn committee(name: &str) -> CommitteeReference {
        CommitteeReference { name: name.into(), namespace: "floe".into() }
    }

    fn blob(spec: &Value, status: &Value, leaving: bool) -> Blob {
        let mut blob = json!({
            "apiVersion": "floe.dev/v1alpha1",
            "kind": "Blob",
            "metadata": {
                "namespace": "shop",
                "name": "model",
                "uid": "6f0c3c6e-0d5c-4c55-8d0c-1f2e3d4c5b6a",
                "creationTimestamp": "2026-11-22T09:14:07Z",
            },
            "spec": spec,
            "status": status,
        });
        if leaving {
            blob["metadata"]["deletionTimestamp"] = json!("2026-11-22T09:15:00Z");
        }
        serde_json::from_value(blob).unwrap()
    }

    #[test]
    fn an_object_says_who_keeps_it_and_who_may_fill_it() {
        let main = json!({"name": "main", "namespace": "floe"});
        let other = json!({"name": "other", "namespace": "floe"});
        let upload = json!({"upload": {}});
        let none = Value::Null;
        let table = [
            (json!({"committeeRef": main, "source": upload}), none.clone(), "uploaded"),
            (json!({"source": upload}), json!({"committeeRef": main}), "uploaded"),
            (json!({"source": {"inline": {"text": "x"}}}), json!({"committeeRef": main}), "inline"),
            (
                json!({"committeeRef": main, "source": {"configMapKeyRef": {"name": "a", "key": "b"}}}),
                none.clone(),
                "configMapKeyRef",
            ),
            (json!({"committeeRef": other, "source": upload}), none.clone(), "floe/other"),
            (json!({"source": upload}), json!({"committeeRef": other}), "floe/other"),
            (json!({"source": upload}), none, "none was chosen"),
        ];
        for (spec, status, expected) in table {
            let found = view(&blob(&spec, &status, false), &name(), &committee("main"));
            let shown = match &found {
                Ok(object) if object.state == ObjectState::Uploaded => "uploaded".to_owned(),
                Ok(object) => format!("{:?}", object.state),
                Err(ObjectError::OtherCommittee(words)) => words.clone(),
                Err(error) => panic!("{error}"),
            };
            assert!(shown.contains(expected), "{spec} {status}: {shown}");
            let leaving = view(&blob(&spec, &status, true), &name(), &committee("main"));
            assert_eq!(leaving.is_ok(), found.is_ok());
            assert!(leaving.is_err() || leaving.unwrap().state == ObjectState::Leaving);
        }
    }

    #[test]
    fn the_claim_is_the_objects_uid_and_time() {
        let spec = json!({
            "committeeRef": {"name": "main", "namespace": "floe"},
            "source": {"upload": {}},
            "digest": format!("sha256:{}", "ab".repeat(32)),
            "contentType": "text/x-model",
            "deletionPolicy": "Retain",
        });
        let object = view(&blob(&spec, &Value::Null, false), &name(), &committee("main")).unwrap();
        assert_eq!(object.claim.to_string(), "6f0c3c6e-0d5c-4c55-8d0c-1f2e3d4c5b6a");
        assert_eq!(object.created, Timestamp(1_795_338_847_000));
        assert_eq!(object.sha256, Some([0xab; 32]));
        assert_eq!(object.content_type.as_deref(), Some("text/x-model"));
        assert!(object.keeps_content);
    }

    #[test]
    fn what_is_made_is_of_this_committee_and_waits_for_the_operator() {
        let made = new_blob(&name(), "text/plain", &committee("main"));
        assert_eq!(made.spec.committee_ref, Some(committee("main")));
        assert_eq!(
            made.metadata.finalizers.as_deref(),
            Some(&["floe.dev/finalizer".to_owned()][..])
        );
        assert_eq!(made.spec.content_type, "text/plain");
        assert_eq!(state(&made), ObjectState::Uploaded);
    }

    #[test]
    fn refusals_say_who_refuses_what() {
        let refusal = |code| {
            let status = Status::failure("words", "Reason").with_code(code).boxed();
            refused(&name(), CallError::Refused(status))
        };
        let words = "the API server refuses Blob shop/model: words".to_owned();
        assert_eq!(refusal(403), ObjectError::Forbidden(words.clone()));
        assert_eq!(refusal(422), ObjectError::Invalid(words));
        assert_eq!(refusal(404), ObjectError::NoNamespace("shop".parse().unwrap()));
    }
}
