//! One turn of a node's own repair for one blob.

use std::sync::Arc;

use floe_api::ApiError;
use floe_model::{BlobId, ExtentIndex, ShardIndex};
use floe_store::{BlobKey, Entry, State};

use super::heal::{self, EXTENTS_PER_SURVEY, EXTENTS_PER_TURN};
use super::holders::Holders;
use super::queue::Wanted;
use super::volume::{self, is_wanted};
use crate::node::{Epoch, Node};

/// What a turn came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Nothing is missing that this node is to heal by itself now.
    Whole,
    /// Nobody wants the blob here any more, or it is frozen.
    Unwanted,
    /// Something was restored.
    Progress {
        /// The lowest read margin seen.
        margin: Option<i32>,
    },
    /// Nothing could be restored now.
    Waiting {
        /// The lowest read margin seen, if any was.
        margin: Option<i32>,
    },
}

/// One turn for one blob, to restore what is missing of it on `shards`.
pub(super) async fn blob(
    node: &Arc<Node>,
    (epoch, holders): (&Arc<Epoch>, &Arc<Holders>),
    (blob, wanted): (BlobId, &Wanted),
    shards: &[ShardIndex],
) -> Result<Outcome, ApiError> {
    let window = node.window(epoch);
    let still =
        node.read(move |state| state.frozen(&blob).is_none() && is_wanted(state, &blob, &window));
    if !still.await? {
        return Ok(Outcome::Unwanted);
    }
    let Some((context, key)) = volume::open(node, holders, (blob, wanted.length), shards).await?
    else {
        return Ok(Outcome::Waiting { margin: None });
    };
    let lacking = lacking(node, holders, key, shards).await?;
    if lacking.is_empty() {
        settle(node, epoch, &[blob]).await?;
        return Ok(Outcome::Whole);
    }
    let waited = node.monotonic().saturating_sub(wanted.since.unwrap_or_default());
    let waited_millis = if wanted.waited_for {
        u64::MAX
    } else {
        u64::try_from(waited.as_millis()).unwrap_or(u64::MAX)
    };
    let tally = heal::extents(&context, &lacking, waited_millis).await?;
    let margin = tally.margin;
    Ok(if tally.restored > 0 || tally.frozen {
        Outcome::Progress { margin }
    } else {
        Outcome::Waiting { margin }
    })
}

/// The next extents of which something is missing.
async fn lacking(
    node: &Arc<Node>,
    holders: &Holders,
    key: BlobKey,
    shards: &[ShardIndex],
) -> Result<Vec<ExtentIndex>, ApiError> {
    let (geometry, shards) = (holders.geometry, shards.to_vec());
    let look = move |state: &State| {
        let under = state.key(key);
        let missing = under.into_iter().flat_map(|it| it.missing(geometry, &shards));
        let extents = missing.map(|missing| missing.extent).take(EXTENTS_PER_TURN);
        let extents: Vec<ExtentIndex> = extents.collect();
        let first = extents.first().map_or(0, |first| first.0);
        let is_near = |extent: &ExtentIndex| extent.0 - first < EXTENTS_PER_SURVEY;
        extents.into_iter().filter(is_near).collect()
    };
    node.read(look).await
}

/// What is here of these blobs is made durable; of those that are whole the next start need not
/// check anything.
pub(crate) async fn settle(
    node: &Arc<Node>,
    epoch: &Arc<Epoch>,
    blobs: &[BlobId],
) -> Result<(), ApiError> {
    node.sync().await?;
    let (epoch, blobs) = (Arc::clone(epoch), blobs.to_vec());
    let mark = move |state: &State| {
        let whole = blobs.iter().filter(|blob| {
            // Put after the sync, it would not be durable: it is looked at again.
            state.holds_all(blob, epoch.geometry(), &epoch.shards)
        });
        let keys = whole.filter_map(|blob| state.blob_key(blob));
        let unmarked = keys.filter(|(_, under)| !under.is_stable());
        Ok((unmarked.map(|(key, _)| Entry::Stable { key }).collect(), ()))
    };
    node.transact(mark).await
}
