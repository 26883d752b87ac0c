//! Deleting blobs: DELETE of a name, certified or not.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use floe_client::{Closing, NotEnoughNodes, ReleaseError, Resolution, WriteError};
use floe_model::{BlobId, BlobName, Claim, Namespace, Release, SignedRelease, Timestamp};
use http::header::IF_MATCH;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

use crate::app::{App, InPath, InQuery, json, object_problem, parameter};
use crate::auth::Verb;
use crate::blobs::{resolve_problem, time};
use crate::objects::{BlobObject, FullName, ObjectState};
use crate::problem::{Kind, Problem};
use crate::put::write_problem;
use crate::range::names_tag;
use crate::undelete::undeletable_until;

/// What to delete.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct DeleteQuery {
    #[serde(default)]
    unfinished: bool,
}

/// `DELETE /v1/namespaces/{namespace}/blobs/{name}`: 202 when nodes worth n-f shards hold the
/// release; the answer says until when it can be undeleted.
pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    InPath((namespace, name)): InPath<(String, String)>,
    InQuery(query): InQuery<DeleteQuery>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if query.unfinished {
        return release_unfinished(&app, &headers, &namespace, &name).await;
    }
    let (namespace, name): (Namespace, BlobName) = (parameter(&namespace)?, parameter(&name)?);
    app.allow(&headers, Verb::Delete, &namespace, Some(&name)).await?;
    let name = app.full_name(namespace, name).await?;
    let _change = app.resolved.changing((name.namespace_uid, name.name.clone()));
    let object = app.objects.find(&name, None, app.now()).await;
    let object = object.map_err(|error| object_problem(&error))?;
    let resolution = app.client.resolve(name.namespace_uid, &name.name).await;
    let certified = match resolution.map_err(|error| resolve_problem(&error))? {
        Resolution::Found(certified) => certified,
        Resolution::Absent { last_release } => {
            hand_on(&app, last_release.as_deref()).await?;
            return delete_empty(&app, name, object).await;
        }
    };
    let claim = &certified.0;
    let tag = format!("\"{}\"", claim.body.blob);
    let condition = headers.get(IF_MATCH).and_then(|value| value.to_str().ok());
    if condition.is_some_and(|tags| !names_tag(tags, &tag, false)) {
        return Err(Problem::new(Kind::PreconditionFailed, format!("the blob is {tag}")));
    }
    let own = object.filter(|object| object.claim == claim.body.claim);
    if own.is_some_and(|object| object.keeps_content) {
        let detail = format!("Blob {name} has deletionPolicy Retain: set it to Delete first");
        return Err(Problem::new(Kind::Held, detail));
    }
    let release = release_of(&claim.body, app.now());
    app.client.release(&release).await.map_err(|error| release_problem(&error))?;
    let deleted = app.objects.delete(&name, claim.body.claim).await;
    deleted.map_err(|error| object_problem(&error))?;
    let until = time(undeletable_until(&app, release.signed));
    let (name, blob) = (claim.body.name.clone(), Some(claim.body.blob));
    let released = Released { name, blob, undelete_until: Some(until) };
    Ok(json(StatusCode::ACCEPTED, &released))
}

/// Deletes an object without certified content. It is the operator that ends its claim, before the
/// object goes.
async fn delete_empty(
    app: &App,
    name: FullName,
    object: Option<BlobObject>,
) -> Result<Response, Problem> {
    let is_there = |state| matches!(state, ObjectState::Uploaded | ObjectState::Imported(_));
    let Some(object) = object.filter(|object| is_there(object.state)) else {
        return Err(Problem::new(Kind::NotFound, format!("there is no blob {name}")));
    };
    let deleted = app.objects.delete(&name, object.claim).await;
    deleted.map_err(|error| object_problem(&error))?;
    let released = Released { name: name.name, blob: None, undelete_until: None };
    Ok(json(StatusCode::ACCEPTED, &released))
}

/// The deletion before this one may have reached too few nodes, and said so: to say now that there is
/// nothing is a promise like its own. What is too old to be taken is on all nodes, or nowhere.
async fn hand_on(app: &App, last_release: Option<&SignedRelease>) -> Result<(), Problem> {
    let retention_millis = app.client.committee().newest().policy.release_retention_millis;
    let taken = |it: &&SignedRelease| app.now().millis_since(it.body.signed) <= retention_millis;
    if let Some(release) = last_release.filter(taken) {
        app.client.release(&release.body).await.map_err(|error| release_problem(&error))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct Released {
    name: BlobName,
    #[serde(rename = "blobID", skip_serializing_if = "Option::is_none")]
    blob: Option<BlobId>,
    #[serde(rename = "undeleteUntil", skip_serializing_if = "Option::is_none")]
    undelete_until: Option<String>,
}

fn release_of(claim: &Claim, now: Timestamp) -> Release {
    Release {
        claim: claim.claim,
        namespace_uid: claim.namespace_uid,
        name: claim.name.clone(),
        created: claim.created,
        signed: now,
    }
}

/// Ends a write that was never certified, so that the name can be written again. The claim is
/// closed first: a certificate that turns up then is handed on, and honoured instead.
async fn release_unfinished(
    app: &App,
    headers: &HeaderMap,
    namespace: &str,
    name: &str,
) -> Result<Response, Problem> {
    let (namespace, name): (Namespace, BlobName) = (parameter(namespace)?, parameter(name)?);
    app.allow(headers, Verb::Delete, &namespace, Some(&name)).await?;
    let name = app.full_name(namespace, name).await?;
    let _change = app.resolved.changing((name.namespace_uid, name.name.clone()));
    let resolution = app.client.resolve(name.namespace_uid, &name.name).await;
    let Resolution::Absent { last_release } =
        resolution.map_err(|error| resolve_problem(&error))?
    else {
        let detail = format!("{name} is certified: delete it without ?unfinished=true");
        return Err(Problem::new(Kind::PreconditionFailed, detail));
    };
    let object = app.objects.find(&name, last_release.as_deref(), app.now()).await;
    let object = object.map_err(|error| object_problem(&error))?.ok_or_else(|| {
        let detail = format!("there is no blob {name}, and no write of it");
        Problem::new(Kind::NotFound, detail)
    })?;
    let closing = app.client.close(object.claim).await.map_err(|error| too_few_to_write(&error))?;
    if let Closing::Certified(certified) = closing {
        // Perhaps one node alone holds it: before anyone hears of it, it is handed on.
        let (claim, certificate) = *certified;
        let handed_on = app.client.acknowledge(&claim, &certificate).await;
        return Err(certified_after_all(&claim.body, handed_on.err()));
    }
    let release = Release {
        claim: object.claim,
        namespace_uid: name.namespace_uid,
        name: name.name.clone(),
        created: object.created,
        signed: app.now(),
    };
    app.client.release(&release).await.map_err(|error| release_problem(&error))?;
    let deleted = app.objects.delete(&name, object.claim).await;
    deleted.map_err(|error| object_problem(&error))?;
    let released = Released { name: name.name, blob: None, undelete_until: None };
    Ok(json(StatusCode::ACCEPTED, &released))
}

/// Why the name of this claim is not freed. `error`: nodes worth n-f shards did not take the
/// certificate.
fn certified_after_all(claim: &Claim, error: Option<WriteError>) -> Problem {
    let next = match error {
        None => "it can be read; delete it without ?unfinished=true",
        Some(WriteError::ClaimClosed { .. }) => {
            "too many nodes had closed it to promise that it lasts; delete it without \
             ?unfinished=true, then write it again"
        }
        Some(WriteError::ClaimReleased { .. }) => "and is being deleted; try again",
        Some(error) => return write_problem(error),
    };
    let Claim { namespace, name, blob, .. } = claim;
    let detail = format!("{namespace}/{name} is certified as {blob} after all: {next}");
    Problem::new(Kind::PreconditionFailed, detail)
}

fn too_few_to_write(error: &NotEnoughNodes) -> Problem {
    Problem::new(Kind::WriteQuorumMissing, format!("{error}; reads go on"))
}

fn release_problem(error: &ReleaseError) -> Problem {
    match error {
        ReleaseError::NotEnoughNodes(few) => too_few_to_write(few),
        ReleaseError::NotRegistrar => Problem::new(Kind::Internal, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use floe_model::{ClaimId, ContentPolicy, NamespaceUid};

    use super::*;

    #[test]
    fn who_ends_a_write_that_was_certified_is_told_so() {
        let claim = Claim {
            claim: ClaimId([1; 16]),
            namespace: "shop".parse().unwrap(),
            namespace_uid: NamespaceUid([2; 16]),
            name: "model".parse().unwrap(),
            blob: BlobId([3; 32]),
            length: 1,
            policy: ContentPolicy { content_type: String::new(), sha256: [0; 32] },
            created: Timestamp(1),
            signed: Timestamp(2),
        };
        let id = claim.claim;
        let table = [
            (None, Kind::PreconditionFailed, "it can be read"),
            (Some(WriteError::ClaimClosed { claim: id }), Kind::PreconditionFailed, "closed"),
            (Some(WriteError::ClaimReleased { claim: id }), Kind::PreconditionFailed, "try again"),
            (Some(WriteError::Stopped), Kind::Internal, ""),
        ];
        for (error, kind, said) in table {
            let shown = format!("{error:?}");
            let is_certified = kind == Kind::PreconditionFailed;
            let problem = certified_after_all(&claim, error);
            assert_eq!(problem.kind, kind, "{shown}");
            assert!(problem.detail.contains(said), "{shown}: {}", problem.detail);
            let blob = format!("shop/model is certified as {} after all", claim.blob);
            assert_eq!(problem.detail.contains(&blob), is_certified, "{shown}");
        }
    }
}
