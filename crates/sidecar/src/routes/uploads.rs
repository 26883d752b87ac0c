//! Uploads: permits and extents.

use std::sync::Arc;

use floe_api::messages::Extent;
use floe_api::{ApiError, ErrorCode};
use floe_env::Work;
use floe_model::{ExtentIndex, SignedPermit, UploadId};
use floe_plan::custody::{self, Open, OpenFacts, Refusal};
use floe_store::{BlobKey, Closing, Entry, UploadState};
use http::StatusCode;

use super::{Answer, empty, extent};
use crate::node::{Node, Received};
use crate::refusal::refused;

/// Answers [`floe_api::Route::OpenUpload`].
pub(super) async fn open(node: &Arc<Node>, upload: UploadId, permit: SignedPermit) -> Answer {
    if permit.body.upload != upload {
        return Err(ApiError::malformed(format_args!(
            "the permit is for upload {}, the path names {upload}",
            permit.body.upload
        )));
    }
    admit(node, permit).await?;
    empty(StatusCode::CREATED)
}

/// Opens the upload that the permit allows, or finds it open; gives its key.
pub(super) async fn admit(node: &Arc<Node>, permit: SignedPermit) -> Result<BlobKey, ApiError> {
    let record = node.record_named(permit.record).await?;
    let checked =
        node.run(Work::Foreground, move || permit.verify(&record).map(|()| permit)).await?;
    let permit = checked.map_err(|error| ApiError::new(ErrorCode::StatementInvalid, error))?;
    let (now, epoch) = (node.now(), node.epoch()?.under(&permit.record));
    let touching = Arc::clone(node);
    let served = epoch.served();
    node.transact_in(&epoch, move |state| {
        let body = &permit.body;
        let known = state.upload(&body.upload);
        let mut releases = state.releases_of_name(&body.namespace_uid, &body.name);
        let release = releases.find(|release| release.body.claim == body.claim);
        let claim = state.claim(&body.claim);
        let facts = OpenFacts {
            now,
            served,
            permit: body,
            named: permit.record,
            opened: known.map(|upload| &upload.permit.body),
            release: release.map(|release| &release.body),
            closed: claim.is_some_and(|claim| claim.closing == Closing::Closed),
        };
        if let (Open::Already, Some(known)) = (custody::open(&facts).map_err(refused)?, known) {
            touching.signals.touch(known.key, body.claim, now);
            return Ok((Vec::new(), known.key));
        }
        let key = state.next_key();
        // In the same step, or it might expire in between.
        touching.signals.touch(key, body.claim, now);
        let permit = Box::new(permit.clone());
        Ok((vec![Entry::Upload { key, permit, opened: now }], key))
    })
    .await
}

/// Answers [`floe_api::Route::PutExtent`]. Not durable by itself.
pub(super) async fn put_extent(
    node: &Arc<Node>,
    upload: UploadId,
    index: ExtentIndex,
    content: Extent<Received>,
) -> Answer {
    let known = node.read(move |state| {
        let permit = |upload: &UploadState| (upload.permit.body.claim, upload.permit.record);
        state.upload(&upload).map(|upload| (upload.key, permit(upload)))
    });
    let (key, (claim, record)) = known.await?.ok_or_else(|| {
        ApiError::new(
            ErrorCode::UnknownUpload,
            format_args!("upload {upload} is not open here, or has expired: open it first"),
        )
    })?;
    let epoch = node.epoch()?.under(&record);
    if epoch.hash != record {
        let (accepted, named) = (epoch.accepted.number, record);
        return Err(refused(Refusal::NeedEpoch { accepted, named }));
    }
    let verified = extent::verify(node, &epoch, content).await?;
    extent::store(node, key, index, verified).await?;
    node.signals.touch(key, claim, node.now());
    empty(StatusCode::NO_CONTENT)
}
