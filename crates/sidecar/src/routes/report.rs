//! How the node is: counts, never blobs.

use std::sync::Arc;

use floe_api::ApiError;
use floe_api::report::{
    CapacityReport, EpochReport, NodeReport, RepairReport, ServingState, SliverCounts,
};
use floe_env::Work;
use floe_model::{BlobLayout, Timestamp};
use floe_store::State;

use super::{Answer, identity, ok};
use crate::metrics::Levels;
use crate::node::{Epoch, Node};

/// Blobs and slivers owed, and slivers of them held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Owed {
    blobs: u64,
    slivers: SliverCounts,
}

fn owed(state: &State, epoch: &Epoch, released_after: Timestamp) -> Owed {
    let mut sum = Owed::default();
    let whole_extent = 2 * epoch.shards.len() as u64;
    for blob in state.owed(released_after) {
        let extents = u64::from(BlobLayout::new(epoch.geometry(), blob.length).extents());
        let under = blob.key.and_then(|key| state.key(key));
        let missing = under.map_or(extents * whole_extent, |under| {
            let missing = under.missing(epoch.geometry(), &epoch.shards);
            missing.map(|it| it.slivers.map_or(whole_extent, |slivers| slivers.len() as u64)).sum()
        });
        sum.blobs += 1;
        sum.slivers.owed += extents * whole_extent;
        sum.slivers.held += (extents * whole_extent).saturating_sub(missing);
    }
    sum
}

async fn owed_now(node: &Arc<Node>) -> Result<Owed, ApiError> {
    let Some(epoch) = node.signals.epoch.borrow().clone() else { return Ok(Owed::default()) };
    let released_after = epoch.released_after(node.now());
    node.with_store(Work::Repair, move |store| {
        Ok(store.read(|state| owed(state, &epoch, released_after)))
    })
    .await
}

/// What metrics show of the store.
pub(crate) async fn levels(node: &Arc<Node>) -> Result<Levels, ApiError> {
    let owed = owed_now(node).await?;
    let serving = identity::serving(node).state == ServingState::Serving;
    node.with_store(Work::Repair, move |store| {
        let space = store.space()?;
        Ok(Levels {
            slivers_owed: owed.slivers.owed,
            slivers_held: owed.slivers.held,
            blobs_owed: owed.blobs,
            stored_bytes: store.read(State::bytes_held),
            disk_total_bytes: space.total_bytes,
            disk_free_bytes: space.free_bytes,
            feed_head: store.feed_head(),
            serving,
            corrupt_slivers: store.corrupt_slivers(),
        })
    })
    .await
}

/// Answers [`floe_api::Route::Report`].
pub(super) async fn report(node: &Arc<Node>) -> Answer {
    let levels = levels(node).await?;
    let cursors = node.read(|state| state.cursors().clone()).await?;
    let epoch = node.signals.epoch.borrow().clone();
    let (restored, read) = node.repairs.rates(node.monotonic());
    let totals = node.metrics.repair_totals();
    let slivers = SliverCounts { owed: levels.slivers_owed, held: levels.slivers_held };
    let me = &node.me;
    ok(&NodeReport {
        committee: me.committee,
        node: me.node.clone(),
        incarnation: me.incarnation,
        volume: me.volume,
        epoch: epoch.as_ref().map(|epoch| EpochReport {
            number: epoch.record.number,
            hash: epoch.hash,
            committed: epoch.committed,
        }),
        serving: identity::serving(node),
        shards: epoch.map(|epoch| epoch.shards.clone()).unwrap_or_default(),
        slivers,
        held_bytes: levels.stored_bytes,
        owed_blobs: levels.blobs_owed,
        repair: RepairReport {
            queued_slivers: slivers.owed.saturating_sub(slivers.held),
            queued_bytes: node.repairs.queued_bytes(),
            restored_slivers: totals.restored_slivers,
            restored_bytes: totals.restored_bytes,
            read_bytes: totals.read_bytes,
            restored_bytes_per_second: restored,
            read_bytes_per_second: read,
        },
        unfilled: Vec::new(),
        wholes: Vec::new(),
        capacity: CapacityReport {
            total_bytes: levels.disk_total_bytes,
            free_bytes: levels.disk_free_bytes,
        },
        feed_head: Some(node.feed_position()),
        cursors,
        last_errors: node.metrics.last_errors(),
    })
}
