//! Bringing back what was deleted, as long as nodes keep it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use floe_client::{Deleted, UndeleteError, Wish};
use floe_model::{BlobName, Claim, Namespace, SignedRelease, Timestamp};
use http::{HeaderMap, StatusCode};

use crate::app::{App, InPath, json, parameter};
use crate::auth::Verb;
use crate::blobs::{BlobStatus, read_problem, resolve_problem};
use crate::problem::{Kind, Problem};
use crate::put::write_problem;

/// `POST /v1/namespaces/{namespace}/blobs/{name}/undelete`: 201 when the name has the content again
/// that it had last; 409 when it has some, 410 when that is not kept any more.
pub(crate) async fn undelete(
    State(app): State<Arc<App>>,
    InPath((namespace, name)): InPath<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (namespace, name): (Namespace, BlobName) = (parameter(&namespace)?, parameter(&name)?);
    app.allow(&headers, Verb::Update, &namespace, Some(&name)).await?;
    let uid = app.objects.namespace_uid(&namespace);
    let _change = app.resolved.changing((uid, name.clone()));
    let deleted = app.client.deleted(uid, &name).await;
    match deleted.map_err(|error| resolve_problem(&error))? {
        Deleted::Live(found) => {
            let blob = found.0.body.blob;
            let detail = format!("{namespace}/{name} was not deleted: it holds {blob}");
            Err(Problem::new(Kind::NotDeleted, detail))
        }
        Deleted::Nothing => {
            let detail = format!("there is no blob {namespace}/{name}, and none that was deleted");
            Err(Problem::new(Kind::NotFound, detail))
        }
        Deleted::Released { content, last_release } => {
            bring_back(&app, &content.0.body, &last_release).await
        }
    }
}

async fn bring_back(
    app: &App,
    content: &Claim,
    last_release: &SignedRelease,
) -> Result<Response, Problem> {
    let Claim { namespace, namespace_uid, name, .. } = content;
    let object = app.objects.open(namespace_uid, name, Some(last_release), app.now());
    let wish = Wish {
        namespace: namespace.clone(),
        namespace_uid: *namespace_uid,
        name: name.clone(),
        claim: object.claim,
        created: object.created,
        content_type: content.policy.content_type.clone(),
    };
    let written = app.client.undelete(wish, content).await.map_err(|error| match error {
        UndeleteError::Ended { .. } => {
            let detail = format!("{namespace}/{name} is not kept any more: write it again");
            Problem::new(Kind::Deleted, detail)
        }
        UndeleteError::Unreadable(error) => read_problem(&error),
        UndeleteError::Write(error) => write_problem(error),
    })?;
    Ok(json(StatusCode::CREATED, &BlobStatus::new(&written.claim, &written.certificate)))
}

/// Until when what is released now can be brought back, by this gateway's clock. Nodes count the time
/// that they run, so none of them forgets it sooner.
pub(crate) fn undeletable_until(app: &App, released: Timestamp) -> Timestamp {
    let policy = app.client.committee().newest().policy;
    Timestamp(released.0.saturating_add(policy.undelete_window_millis))
}
