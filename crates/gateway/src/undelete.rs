//! Bringing back what was deleted, as long as nodes keep it.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use floe_client::{Deleted, UndeleteError};
use floe_model::{BlobName, Claim, Namespace, Timestamp};
use http::{HeaderMap, StatusCode};

use crate::app::{App, InPath, json, parameter};
use crate::auth::Verb;
use crate::blobs::{BlobStatus, read_problem, resolve_problem};
use crate::objects::{BlobObject, FullName};
use crate::opening::{Opening, wish};
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
    let user = app.allow(&headers, Verb::Update, &namespace, Some(&name)).await?;
    let name = app.full_name(namespace, name).await?;
    let _change = app.resolved.changing((name.namespace_uid, name.name.clone()));
    let deleted = app.client.deleted(name.namespace_uid, &name.name).await;
    match deleted.map_err(|error| resolve_problem(&error))? {
        Deleted::Live(found) => {
            let blob = found.0.body.blob;
            let detail = format!("{name} was not deleted: it holds {blob}");
            Err(Problem::new(Kind::NotDeleted, detail))
        }
        Deleted::Nothing => {
            let detail = format!("there is no blob {name}, and none that was deleted");
            Err(Problem::new(Kind::NotFound, detail))
        }
        Deleted::Released { content, last_release } => {
            let content = &content.0.body;
            let content_type = &content.policy.content_type;
            let opening = Opening { user: &user, name: &name, content_type };
            let object = opening.open(&app, Some(&last_release)).await?;
            bring_back(&app, name, object, content).await
        }
    }
}

async fn bring_back(
    app: &App,
    name: FullName,
    object: BlobObject,
    content: &Claim,
) -> Result<Response, Problem> {
    if object.sha256.is_some_and(|promised| promised != content.policy.sha256) {
        let detail = format!("what {name} held last has not the digest that spec.digest names");
        return Err(Problem::new(Kind::DigestMismatch, detail));
    }
    let ended = format!("{name} is not kept any more: write it again");
    let wish = wish(name, object, &content.policy.content_type);
    let written = app.client.undelete(wish, content).await.map_err(|error| match error {
        UndeleteError::Ended { .. } => Problem::new(Kind::Deleted, ended),
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
