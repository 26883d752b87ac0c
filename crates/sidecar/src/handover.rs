//! Letting go of shards: what other nodes own and hold wholly is not kept.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use floe_env::{BoxFuture, Work};
use floe_model::{ExtentIndex, NodeName, PairIndex, RecordHash, ShardIndex};
use floe_plan::handover::{given_away, lets_go};
use floe_store::{BlobKey, State};

use crate::expiry::is_open;
use crate::node::{Epoch, Node};
use crate::worker::{Step, Worker};

/// How often it is looked for what may go.
const ROUND: Duration = Duration::from_secs(10);
/// Blobs that are looked at in one unit of work.
const BLOBS_PER_STEP: usize = 1000;

/// Lets go of what was given away, blob by blob.
pub(crate) struct Handover {
    node: Arc<Node>,
    /// Blobs up to here were looked at in this round.
    after: Option<BlobKey>,
}

impl Handover {
    pub(crate) const fn new(node: Arc<Node>) -> Self {
        Self { node, after: None }
    }

    async fn look(&mut self) -> Result<Step, String> {
        let Some(epoch) = self.node.signals.epoch.borrow().clone() else {
            return Ok(Step::Idle(ROUND));
        };
        let failed = |error: floe_api::ApiError| error.to_string();
        let (me, looked_at) = (self.node.me.node.clone(), Arc::clone(&epoch));
        let shards = self.node.read(move |state| once_owned(state, &looked_at, &me)).await;
        let shards = Arc::new(shards.map_err(failed)?);
        if shards.is_empty() {
            self.after = None;
            return Ok(Step::Idle(ROUND));
        }
        let (after, given) = (self.after, Arc::clone(&shards));
        let (node, looked_at) = (Arc::clone(&self.node), Arc::clone(&epoch));
        let look = move |state: &State| {
            let keys: Box<dyn Iterator<Item = _>> = match after {
                None => Box::new(state.keys()),
                Some(after) => Box::new(state.keys_after(after)),
            };
            let keys: Vec<_> = keys.take(BLOBS_PER_STEP).collect();
            let last = keys.last().map(|(key, _)| *key).filter(|_| keys.len() == BLOBS_PER_STEP);
            let over = keys.iter().map(|(key, _)| *key);
            let over =
                over.filter(|key| !going(state, *key, (&node, &looked_at, &given)).is_empty());
            (last, over.collect::<Vec<BlobKey>>())
        };
        let (last, keys) = self
            .node
            .with_store(Work::Repair, move |store| Ok(store.read(look)))
            .await
            .map_err(failed)?;
        let mut slivers = 0;
        for key in keys {
            slivers += self.let_go(&epoch, key, &shards).await.map_err(failed)?;
        }
        if slivers > 0 {
            tracing::info!(slivers, "slivers of shards that others own and hold wholly are gone");
        }
        self.after = last;
        Ok(if last.is_some() { Step::Busy } else { Step::Idle(ROUND) })
    }

    /// Decides once more, in one step with the letting go.
    async fn let_go(
        &self,
        epoch: &Arc<Epoch>,
        key: BlobKey,
        given: &Arc<Vec<ShardIndex>>,
    ) -> Result<u64, floe_api::ApiError> {
        let (node, epoch, given) = (Arc::clone(&self.node), Arc::clone(epoch), Arc::clone(given));
        let choose = move |state: &State| {
            if state.accepted().is_some_and(|(hash, _)| hash == epoch.hash) {
                going(state, key, (&node, &epoch, &given))
            } else {
                Vec::new()
            }
        };
        self.node.with_store(Work::Repair, move |store| store.let_go(key, choose)).await
    }
}

impl Worker for Handover {
    fn name(&self) -> &'static str {
        "handover"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(self.look())
    }
}

/// The shards that were given away and that this node owned under an older record of its chain.
fn once_owned(state: &State, epoch: &Epoch, me: &NodeName) -> Vec<ShardIndex> {
    let given = given_away(&epoch.record, epoch.committed, me);
    if given.is_empty() {
        return given;
    }
    let owned: BTreeSet<ShardIndex> = path(state, &epoch.hash)
        .filter_map(|record| record.member(me))
        .flat_map(|member| member.shards.iter().copied())
        .collect();
    given.into_iter().filter(|shard| owned.contains(shard)).collect()
}

fn path<'a>(
    state: &'a State,
    tip: &RecordHash,
) -> impl Iterator<Item = &'a floe_model::EpochRecord> + use<'a> {
    state.epochs().path(tip).into_iter().map(|signed| &signed.record)
}

/// What is held of a blob that is to go.
fn going(
    state: &State,
    key: BlobKey,
    (node, epoch, given): (&Node, &Epoch, &[ShardIndex]),
) -> Vec<(ExtentIndex, PairIndex)> {
    let Some(under) = state.key(key) else { return Vec::new() };
    let open = is_open(state, key, node, (node.now(), &node.window(epoch)));
    let mut pairs = BTreeSet::new();
    for (index, extent) in under.extents() {
        let (geometry, first) = (extent.shape().geometry(), *extent.first_stripe());
        for (pair, _) in extent.held() {
            if lets_go(given, geometry.shard_of_pair(&first, pair), open) {
                pairs.insert((index, pair));
            }
        }
    }
    pairs.into_iter().collect()
}
