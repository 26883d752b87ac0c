//! What the node answers, route by route. Each handler gets a parsed call and a whole body; role,
//! cap and the gate were checked before.

mod batch;
mod blobs;
mod catalog;
mod claims;
mod epoch;
mod extent;
mod finish;
mod identity;
mod leases;
mod report;
mod symbols;
mod uploads;

use std::sync::Arc;

use bytes::Bytes;
use floe_api::messages::{Decode, Encode};
use floe_api::{ApiError, Call, Peer};
use http::{Response, StatusCode};

use crate::node::Node;

pub(crate) use claims::{
    Checked as CheckedClaim, check as check_claim, check_release, keep as keep_claim, keep_release,
};
pub(crate) use epoch::{
    announce, fetch as fetch_chain, heard as epoch_heard, identity_of, known as known_chain,
};
pub(crate) use extent::record as record_extent;
pub(crate) use finish::{CheckedKey, check_extents};
pub(crate) use identity::serving;
pub(crate) use report::levels;

/// An answer, or why there is none.
pub(crate) type Answer = Result<Response<Bytes>, ApiError>;

#[expect(clippy::unnecessary_wraps, reason = "it ends handlers")]
fn ok(message: &impl Encode) -> Answer {
    Ok(message.to_response(StatusCode::OK))
}

#[expect(clippy::unnecessary_wraps, reason = "it ends handlers")]
fn empty(status: StatusCode) -> Answer {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status;
    Ok(response)
}

/// Reads a body, which is not kept beside what was read from it.
#[expect(clippy::needless_pass_by_value, reason = "the body ends here")]
fn parse<T: Decode>(body: Bytes) -> Result<T, ApiError> {
    Ok(T::decode(&body)?)
}

/// Answers a call.
pub(crate) async fn answer(node: &Arc<Node>, peer: &Peer, call: Call, body: Bytes) -> Answer {
    match call {
        Call::Identity => identity::identity(node).await,
        Call::Report => report::report(node).await,
        Call::Epoch { after } => epoch::chain(node, after).await,
        Call::PushEpoch => epoch::push(node, parse(body)?).await,
        Call::OpenUpload { upload } => uploads::open(node, upload, parse(body)?).await,
        Call::PutExtent { upload, extent } => {
            uploads::put_extent(node, upload, extent, parse(body)?).await
        }
        Call::Finish { upload } => finish::finish(node, upload, parse(body)?).await,
        Call::PutCertificate { claim } => {
            claims::put_certificate(node, peer, claim, parse(body)?).await
        }
        Call::PutRelease { claim } => claims::put_release(node, claim, parse(body)?).await,
        Call::Close { claim } => claims::close(node, claim).await,
        Call::Resolve { namespace_uid, name, released } => {
            catalog::resolve(node, namespace_uid, name, released).await
        }
        Call::List { namespace_uid, after, limit } => {
            catalog::list(node, namespace_uid, after, limit).await
        }
        Call::Changes { after, wait_millis } => catalog::changes(node, after, wait_millis).await,
        Call::Digests => catalog::digests(node).await,
        Call::Bucket { bucket, after } => catalog::bucket(node, bucket, after).await,
        Call::Cursor { node: of } => catalog::cursor(node, of).await,
        Call::Manifest { blob } => blobs::manifest(node, blob).await,
        Call::Metadata { blob, extent } => blobs::metadata(node, blob, extent).await,
        Call::Sliver { blob, extent, axis, pair, stripes } => {
            blobs::sliver(node, peer.role, (blob, extent), (axis, pair), stripes).await
        }
        Call::Holdings { blob, extents } => blobs::holdings(node, blob, extents).await,
        Call::Symbols { blob, extent } => {
            symbols::symbols(node, peer.role, (blob, extent), parse(body)?).await
        }
        Call::Batch => Box::pin(batch::batch(node, peer.role, parse(body)?)).await,
        Call::Lease => leases::lease(node).await,
        Call::RenewLease { lease, boot } => leases::renew(node, (lease, boot), parse(body)?).await,
        Call::EndLease { lease, boot } => leases::end(node, (lease, boot)).await,
        Call::PutRepaired { lease, boot, blob, extent } => {
            Box::pin(leases::put(node, (lease, boot), (blob, extent), parse(body)?)).await
        }
    }
}
