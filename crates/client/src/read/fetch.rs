//! What any node can give: manifest and metadata. One is asked; if it fails or takes long, the next.

use std::sync::Arc;
use std::time::Duration;

use floe_env::{BoxFuture, Work, compute};
use floe_model::{BlobId, BlobLayout, EpochRecord, ExtentIndex, Member, StripeId};
use floe_redstuff::{ExtentMetadata, Manifest, Verified};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::failure::{Failure, NodeFailure};
use crate::peers::Peers;
use crate::read::ReadError;

/// How long a request may take before another node is asked too.
pub(crate) const HEDGE: Duration = Duration::from_millis(300);

/// Asks members, silent ones last, until one gives an answer.
async fn any<T>(
    peers: &Peers,
    record: &EpochRecord,
    ask: impl Fn(Member) -> BoxFuture<'static, Result<T, Failure>>,
) -> Result<T, Vec<NodeFailure>> {
    let mut members = in_order(peers, record).into_iter();
    let mut failures = Vec::new();
    let mut asked = FuturesUnordered::new();
    loop {
        if let Some(member) = members.next() {
            let node = member.node.clone();
            let answer = ask(member);
            asked.push(async move { (node, answer.await) });
        }
        let wait = if members.len() == 0 { Duration::MAX } else { HEDGE };
        let said = match wait {
            Duration::MAX => asked.next().await,
            wait => match floe_env::timeout(&*peers.env.clock, wait, asked.next()).await {
                Ok(said) => said,
                Err(_) => continue,
            },
        };
        match said {
            Some((_, Ok(answer))) => return Ok(answer),
            Some((node, Err(failure))) => failures.push(NodeFailure { node, failure }),
            None => return Err(failures),
        }
    }
}

/// Members to read from, beginning at a random one; those that were silent last.
pub(crate) fn in_order(peers: &Peers, record: &EpochRecord) -> Vec<Member> {
    let mut members = record.members.clone();
    let start = usize::try_from(peers.env.random.below(members.len() as u64)).unwrap_or(0);
    members.rotate_left(start);
    members.sort_by_key(|member| peers.is_avoided(member));
    members
}

/// The blob's manifest. One of a single stripe is its own.
pub(crate) async fn manifest(
    peers: &Arc<Peers>,
    record: &EpochRecord,
    (blob, layout): (BlobId, BlobLayout),
) -> Result<Verified<Manifest>, ReadError> {
    if layout.is_single_stripe()
        && let Ok(manifest) = Manifest::verify(blob.as_bytes(), blob, layout)
    {
        return Ok(manifest);
    }
    let ask = |member: Member| -> BoxFuture<'static, Result<Verified<Manifest>, Failure>> {
        let peers = Arc::clone(peers);
        Box::pin(async move {
            let bytes = peers.call(&member, |nodes, to| nodes.manifest(to, blob)).await?;
            let job = move || Manifest::verify(bytes.as_unverified(), blob, layout);
            let verified = compute(&*peers.env.compute, Work::Foreground, job).await;
            verified
                .map_err(|stopped| Failure::Protocol(stopped.to_string()))?
                .map_err(|error| peers.unverifiable(&member, error.to_string()))
        })
    };
    any(peers, record, ask).await.map_err(|failures| ReadError::NoManifest { blob, failures })
}

/// An extent's metadata.
pub(crate) async fn metadata(
    peers: &Arc<Peers>,
    record: &EpochRecord,
    manifest: &Arc<Verified<Manifest>>,
    extent: ExtentIndex,
) -> Result<Verified<ExtentMetadata>, ReadError> {
    let ask = |member: Member| -> BoxFuture<'static, Result<Verified<ExtentMetadata>, Failure>> {
        let (peers, manifest) = (Arc::clone(peers), Arc::clone(manifest));
        Box::pin(async move {
            let at = (manifest.id(), extent);
            let bytes = peers.call(&member, |nodes, to| nodes.metadata(to, at)).await?;
            let job = move || {
                let shape = manifest.layout().extent_shape(extent);
                let expected: &[StripeId] = manifest.stripe_ids(extent);
                ExtentMetadata::parse_for(shape, expected, bytes.as_unverified())
            };
            let verified = compute(&*peers.env.compute, Work::Foreground, job).await;
            verified
                .map_err(|stopped| Failure::Protocol(stopped.to_string()))?
                .map_err(|error| peers.unverifiable(&member, error.to_string()))
        })
    };
    let found = any(peers, record, ask).await;
    found.map_err(|failures| ReadError::NoMetadata { extent, failures })
}
