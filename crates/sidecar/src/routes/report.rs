//! How the node is: counts, never blobs.

use std::sync::Arc;

use floe_api::ApiError;
use floe_api::report::{
    CapacityReport, EpochReport, NodeReport, RepairReport, ServingState, SliverCounts,
    UnfilledReport,
};
use floe_env::Work;
use floe_model::{BlobLayout, ShardIndex};
use floe_store::{State, Window};

use super::{Answer, identity, ok};
use crate::metrics::Levels;
use crate::node::{Epoch, Node};
use crate::repair::deficit_of;

/// Blobs and slivers owed, and slivers of them held.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Owed {
    blobs: u64,
    slivers: SliverCounts,
    /// What the node's unfilled shards owe and hold.
    unfilled: Vec<UnfilledReport>,
}

impl Owed {
    /// Bytes that unfilled shards {owe, hold}.
    fn unfilled_bytes(&self) -> (u64, u64) {
        let sum = |of: fn(&UnfilledReport) -> u64| self.unfilled.iter().map(of).sum();
        (sum(|shard| shard.owed_bytes), sum(|shard| shard.held_bytes))
    }
}

fn owed(state: &State, epoch: &Epoch, window: Window) -> Owed {
    let mut sum = Owed::default();
    let whole_extent = 2 * epoch.shards.len() as u64;
    for blob in state.owed(window) {
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
    let unfilled = epoch.shards.iter().filter(|shard| epoch.record.unfilled.contains(shard));
    let deficit = |shard: &ShardIndex| deficit_of(state, epoch.geometry(), *shard, window);
    sum.unfilled = unfilled.map(deficit).collect();
    sum
}

async fn owed_now(node: &Arc<Node>) -> Result<Owed, ApiError> {
    let Some(epoch) = node.signals.epoch.borrow().clone() else { return Ok(Owed::default()) };
    let window = node.window(&epoch);
    node.with_store(Work::Repair, move |store| Ok(store.read(|state| owed(state, &epoch, window))))
        .await
}

/// What metrics show of the store.
pub(crate) async fn levels(node: &Arc<Node>) -> Result<Levels, ApiError> {
    let owed = owed_now(node).await?;
    levels_of(node, &owed).await
}

async fn levels_of(node: &Arc<Node>, owed: &Owed) -> Result<Levels, ApiError> {
    let (slivers, blobs_owed) = (owed.slivers, owed.blobs);
    let (unfilled_owed_bytes, unfilled_held_bytes) = owed.unfilled_bytes();
    let leases = node.repairs.leases.counts(node.monotonic()).0 as u64;
    let serving = identity::serving(node).state == ServingState::Serving;
    node.with_store(Work::Repair, move |store| {
        let space = store.space()?;
        Ok(Levels {
            slivers_owed: slivers.owed,
            slivers_held: slivers.held,
            blobs_owed,
            leases,
            unfilled_owed_bytes,
            unfilled_held_bytes,
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
    let owed = owed_now(node).await?;
    let levels = levels_of(node, &owed).await?;
    let cursors = node.read(|state| state.cursors().clone()).await?;
    let epoch = node.signals.epoch.borrow().clone();
    let slivers = owed.slivers;
    let wholes = epoch.as_ref().map(|epoch| node.wholes.report(&epoch.hash)).unwrap_or_default();
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
        repair: repair_report(node, &levels),
        unfilled: owed.unfilled,
        wholes,
        capacity: CapacityReport {
            total_bytes: levels.disk_total_bytes,
            free_bytes: levels.disk_free_bytes,
        },
        feed_head: Some(node.feed_position()),
        cursors,
        last_errors: node.metrics.last_errors(),
    })
}

fn repair_report(node: &Node, levels: &Levels) -> RepairReport {
    let totals = node.metrics.repair_totals();
    let (restored, read) = node.repairs.tools.rates();
    let queued_bytes = node.repairs.queued_bytes();
    let deficit = levels.unfilled_owed_bytes.saturating_sub(levels.unfilled_held_bytes);
    RepairReport {
        queued_slivers: levels.slivers_owed.saturating_sub(levels.slivers_held),
        queued_bytes,
        restored_slivers: totals.restored_slivers,
        restored_bytes: totals.restored_bytes,
        read_bytes: totals.read_bytes,
        restored_bytes_per_second: restored,
        read_bytes_per_second: read,
        leases: levels.leases,
        eta_seconds: deficit.max(queued_bytes).checked_div(restored),
    }
}
