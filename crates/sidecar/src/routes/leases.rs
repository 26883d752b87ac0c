//! Leases of repair work: what unfilled shards lack is given out, and taken in verified.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};

use floe_api::messages::{Extent, Lease, LeaseProgress, LeaseState};
use floe_api::{ApiError, ErrorCode};
use floe_env::Work;
use floe_model::{Axis, BlobId, BootId, ExtentIndex, LeaseId, PairIndex, ShardIndex};
use floe_redstuff::{ExtentMetadata, ExtentSliver, Verified, verify_sliver};
use futures::future::try_join_all;
use http::StatusCode;

use super::{Answer, blobs, empty, ok};
use crate::metrics::RepairPath;
use crate::node::{Epoch, Node, Received};
use crate::repair::{self, Context, Grant, Rebuilt};

/// This node's shards that are unfilled.
fn unfilled(epoch: &Epoch) -> Vec<ShardIndex> {
    let unfilled = |shard: &&ShardIndex| epoch.record.unfilled.contains(shard);
    epoch.shards.iter().filter(unfilled).copied().collect()
}

/// Answers [`floe_api::Route::Lease`].
pub(super) async fn lease(node: &Arc<Node>) -> Answer {
    let epoch = node.epoch()?;
    let (shards, leases) = (unfilled(&epoch), &node.repairs.leases);
    let Grant { blobs, others } = if shards.is_empty() {
        Grant::default()
    } else {
        let (taken, after) = leases.taken(node.monotonic());
        let (geometry, of, window) = (epoch.geometry(), shards.clone(), node.window(&epoch));
        let work = move |state: &floe_store::State| {
            repair::work(state, (geometry, &of), window, &taken, after)
        };
        node.with_store(Work::Repair, move |store| Ok(store.read(work))).await?
    };
    let (lease, wanted) = (LeaseId(node.env.random.bytes()), blobs.len());
    let blobs = leases.grant(lease, node.monotonic(), &shards, blobs)?;
    if !blobs.is_empty() {
        node.metrics.lease_given();
    }
    // What it has not read yet it does not know to lack.
    let reading = !shards.is_empty() && !node.gate.standing().caught_up;
    ok(&Lease {
        lease,
        boot: leases.boot(),
        ttl_millis: leases.ttl_millis(),
        record: epoch.hash,
        shards,
        others: others || reading || blobs.len() < wanted,
        blobs,
    })
}

/// Answers [`floe_api::Route::RenewLease`].
pub(super) async fn renew(
    node: &Arc<Node>,
    lease: (LeaseId, BootId),
    progress: LeaseProgress,
) -> Answer {
    let (leases, now) = (&node.repairs.leases, node.monotonic());
    leases.renew(lease, now)?;
    node.metrics.lease_read(progress.read_bytes);
    let read = usize::try_from(progress.read_bytes).unwrap_or(usize::MAX);
    node.repairs.tools.note(0, read);
    let window = node.window(&*node.epoch()?);
    for (blob, extent) in progress.returned {
        leases.leave(lease.0, (blob, extent), false, now);
        let length = node.read(move |state| state.owes(&blob, &window)).await?;
        if let Some(length) = length {
            node.repairs.want(blob, length, true);
        }
    }
    let left = leases.renew(lease, now)?;
    ok(&LeaseState { ttl_millis: leases.ttl_millis(), extents_left: left as u64 })
}

/// Answers [`floe_api::Route::EndLease`]: what came under the lease is on stable storage then.
pub(super) async fn end(node: &Arc<Node>, lease: (LeaseId, BootId)) -> Answer {
    let epoch = node.epoch()?;
    node.repairs.leases.end(lease, node.monotonic())?;
    let brought = node.repairs.leases.take_brought(node.monotonic());
    repair::settle(node, &epoch, &brought).await?;
    empty(StatusCode::OK)
}

/// Answers [`floe_api::Route::PutRepaired`].
pub(super) async fn put(
    node: &Arc<Node>,
    lease: (LeaseId, BootId),
    (blob, extent): (BlobId, ExtentIndex),
    content: Extent<Received>,
) -> Answer {
    let epoch = node.epoch()?;
    let leases = &node.repairs.leases;
    let shards = leases.covers(lease, (blob, extent), node.monotonic())?;
    let shards: Vec<ShardIndex> =
        shards.into_iter().filter(|shard| epoch.shards.contains(shard)).collect();
    let context = home(node, &epoch, blob, &shards).await?;
    let metadata = metadata(node, &context, extent, content.metadata).await?;
    let missing = context.home.look(extent).await?;
    let missing = missing.map(|look| look.missing.into_iter().collect::<BTreeSet<_>>());
    let mut new = Vec::new();
    for sliver in content.slivers {
        check_place(&epoch, &shards, &metadata, (sliver.pair, sliver.axis))?;
        // What came twice is not stored twice.
        if missing.as_ref().is_none_or(|missing| missing.contains(&(sliver.pair, sliver.axis))) {
            new.push(sliver);
        }
    }
    let slivers = try_join_all(new.into_iter().map(|sliver| {
        let metadata = Arc::clone(&metadata);
        async move {
            let index = metadata.shape().geometry().sliver_of_pair(sliver.axis, sliver.pair);
            let job = move || verify_sliver(&metadata, sliver.axis, index, sliver.bytes);
            let verified: Result<Verified<ExtentSliver>, _> = node.run(Work::Repair, job).await?;
            let verified =
                verified.map_err(|error| ApiError::new(ErrorCode::SliverInvalid, error))?;
            let (pair, way) = (sliver.pair, RepairPath::Lease);
            Ok::<_, ApiError>(Rebuilt { pair, sliver: verified, way })
        }
    }));
    let slivers = slivers.await?;
    if missing.is_none() {
        context.home.found(extent, Arc::clone(&metadata)).await?;
    }
    context.home.keep(extent, metadata, slivers).await?;
    if context.home.look(extent).await?.is_some_and(|look| look.missing.is_empty()) {
        leases.leave(lease.0, (blob, extent), true, node.monotonic());
    }
    empty(StatusCode::OK)
}

/// The blob's home here; the one used last is kept, for the next extent is likely of the same blob.
async fn home(
    node: &Arc<Node>,
    epoch: &Arc<Epoch>,
    blob: BlobId,
    shards: &[ShardIndex],
) -> Result<Arc<Context>, ApiError> {
    let window = node.window(epoch);
    let (length, key) = node
        .read(move |state| {
            if state.frozen(&blob).is_some() {
                return Err(blobs::inconsistent(&blob));
            }
            let length = state.owes(&blob, &window).ok_or_else(|| {
                ApiError::not_found(format_args!("blob {blob} is not owed here any more"))
            })?;
            Ok((length, state.blob(&blob).map(|known| known.key)))
        })
        .await??;
    let kept = &node.repairs.brought_last;
    let last = kept.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some((known, last)) = last
        && last.blob == blob
        && Some(known) == key
        && last.home.shards() == shards
    {
        return Ok(last);
    }
    let holders = repair::holders_of(epoch);
    let opened = repair::open_home(node, &holders, (blob, length), shards).await?;
    let (context, key) = opened.ok_or_else(|| {
        ApiError::overloaded(format_args!("no peer has the manifest of blob {blob} now"), 5)
    })?;
    let context = Arc::new(context);
    *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((key, Arc::clone(&context)));
    Ok(context)
}

async fn metadata(
    node: &Arc<Node>,
    context: &Arc<Context>,
    extent: ExtentIndex,
    bytes: Received,
) -> Result<Arc<Verified<ExtentMetadata>>, ApiError> {
    let manifest = Arc::clone(&context.manifest);
    if extent.0 >= manifest.layout().extents() {
        let detail = format!("blob {} has no extent {extent}", context.blob);
        return Err(ApiError::new(ErrorCode::NotLeased, detail));
    }
    let job = move || repair::parse_metadata(&manifest, extent, bytes.as_unverified());
    let parsed = node.run(Work::Repair, job).await?;
    parsed.map_err(|error| ApiError::new(ErrorCode::MetadataInvalid, error))
}

/// The pair lies on a shard that is leased and this node's.
fn check_place(
    epoch: &Epoch,
    shards: &[ShardIndex],
    metadata: &ExtentMetadata,
    (pair, axis): (PairIndex, Axis),
) -> Result<(), ApiError> {
    let geometry = epoch.geometry();
    let leased = pair.0 < geometry.shards()
        && shards.contains(&geometry.shard_of_pair(metadata.first_stripe(), pair));
    if leased {
        return Ok(());
    }
    let detail = format!("the {axis} sliver of pair {pair} does not lie on a shard of the lease");
    Err(ApiError::new(ErrorCode::NotLeased, detail))
}
