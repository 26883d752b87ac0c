//! Saying that a shard is whole: when the catalogs of enough others were read, and all that is owed on
//! it is held.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use floe_api::Target;
use floe_api::report::WholeReport;
use floe_env::{BoxFuture, Work};
use floe_model::{EpochRecord, RecordHash, ShardIndex, Timestamp, Whole};
use floe_plan::handover::{Unfinished, Volume, WholeFacts, catalogs_read, owner_since, whole};
use floe_store::{State, Window};

use crate::node::{Epoch, Node};
use crate::repair::deficit_of;
use crate::worker::{Step, Worker};

/// How often it is looked whether a shard is whole.
const LOOK: Duration = Duration::from_secs(1);
/// Records that are remembered for each peer whose catalog was read.
const MOST_RECORDS: usize = 64;

/// What is known of others' catalogs, and what was said because of it. Forgotten with the process:
/// the catalogs are read again.
#[derive(Debug, Default)]
pub(crate) struct Wholes {
    /// The records that a peer had accepted before its change feed was read to its end.
    read: Mutex<BTreeMap<Volume, Vec<RecordHash>>>,
    said: Mutex<Vec<Whole>>,
}

impl Wholes {
    /// A peer's feed was read to the end that it had after it accepted a record.
    pub(crate) fn catalog_read(&self, peer: &Target, accepted: RecordHash) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let records = read.entry((peer.node.clone(), peer.incarnation)).or_default();
        if !records.contains(&accepted) {
            if records.len() >= MOST_RECORDS {
                records.remove(0);
            }
            records.push(accepted);
        }
    }

    /// The peers that had by then accepted a record of which `gives` is true.
    fn readers_of(&self, gives: impl Fn(&RecordHash) -> bool) -> BTreeSet<Volume> {
        let read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        let fenced = read.iter().filter(|(_, records)| records.iter().any(&gives));
        fenced.map(|(volume, _)| volume.clone()).collect()
    }

    /// What was said under a record.
    pub(crate) fn report(&self, record: &RecordHash) -> Vec<WholeReport> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let under = said.iter().filter(|whole| whole.record == *record);
        let word = |whole: &Whole| WholeReport {
            shard: whole.shard,
            record: whole.record,
            signature: whole.signature,
        };
        under.map(word).collect()
    }

    /// Adds words under one record; those under others are of no use any more.
    fn say(&self, record: &RecordHash, words: Vec<Whole>) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|whole| whole.record == *record);
        said.extend(words);
    }
}

/// Looks whether unfilled shards are whole.
pub(crate) struct WholeWorker(pub(crate) Arc<Node>);

impl Worker for WholeWorker {
    fn name(&self) -> &'static str {
        "whole"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(step(&self.0))
    }
}

async fn step(node: &Arc<Node>) -> Result<Step, String> {
    let Some(epoch) = node.signals.epoch.borrow().clone() else { return Ok(Step::Idle(LOOK)) };
    let said = node.wholes.report(&epoch.hash);
    let unsaid = |shard: &ShardIndex| said.iter().all(|word| word.shard != *shard);
    let shards: Vec<ShardIndex> = epoch.unfilled().filter(unsaid).collect();
    if shards.is_empty() {
        return Ok(Step::Idle(LOOK));
    }
    let (looking, looked_at) = (Arc::clone(node), Arc::clone(&epoch));
    let (now, window) = (node.now(), node.window(&epoch));
    let look = move |state: &State| {
        let decide = |&shard: &ShardIndex| {
            let outcome = decide(state, &looking, &looked_at, (shard, now, window));
            match outcome {
                Ok(()) => Some(shard),
                Err(reason) => {
                    tracing::debug!(%shard, %reason, "the shard is not whole yet");
                    None
                }
            }
        };
        shards.iter().filter_map(decide).collect::<Vec<_>>()
    };
    let failed = |error: floe_api::ApiError| error.to_string();
    let whole = node.with_store(Work::Repair, move |store| Ok(store.read(look))).await;
    let whole = whole.map_err(failed)?;
    if whole.is_empty() {
        return Ok(Step::Idle(LOOK));
    }
    // What was held when it was looked at is durable behind this.
    node.sync().await.map_err(failed)?;
    let (signing, under) = (Arc::clone(node), Arc::clone(&epoch));
    let sign = move || {
        let me = || (signing.me.node.clone(), signing.me.incarnation);
        let word =
            |&shard: &ShardIndex| Whole::sign(&under.record, shard, me(), signing.store.key());
        whole.iter().map(word).collect::<Vec<_>>()
    };
    let words = node.run(Work::Repair, sign).await.map_err(failed)?;
    for word in &words {
        tracing::info!(shard = %word.shard, epoch = %epoch.record.number, "the shard is whole");
    }
    node.wholes.say(&epoch.hash, words);
    Ok(Step::Idle(LOOK))
}

/// Whether the shard is whole, by the state as it is.
fn decide(
    state: &State,
    node: &Node,
    epoch: &Epoch,
    (shard, now, window): (ShardIndex, Timestamp, Window),
) -> Result<(), Unfinished> {
    let me: Volume = (node.me.node.clone(), node.me.incarnation);
    let gives = |record: &EpochRecord| {
        let owner = record.owner(shard).and_then(|position| record.members.get(position));
        owner.is_some_and(|owner| (&owner.node, owner.incarnation) == (&me.0, me.1))
    };
    let since = state.epochs().since_filled(&epoch.hash, shard);
    let since: Vec<&EpochRecord> = since.into_iter().map(|signed| &signed.record).collect();
    let owned_from = owner_since(&me, shard, &since).ok_or(Unfinished::NotMine)?;
    let named = |hash: &RecordHash| {
        let record = state.record(hash).map(|signed| &signed.record);
        record.is_some_and(|record| record.number >= owned_from && gives(record))
    };
    let facts = WholeFacts {
        standing: node.gate.standing(),
        me: &me,
        shard,
        since_filled: &since,
        read: &node.wholes.readers_of(named),
        unsettled_claims: 0,
        missing_slivers: 0,
    };
    // Looking through all that is owed takes long: only when that alone is left.
    catalogs_read(&facts)?;
    let retention_millis = epoch.record.policy.release_retention_millis;
    let slivers = deficit_of(state, epoch.geometry(), shard, window).slivers;
    whole(&WholeFacts {
        unsettled_claims: node.signals.ageing.unsettled(state, now, retention_millis),
        missing_slivers: slivers.owed.saturating_sub(slivers.held),
        ..facts
    })
}

#[cfg(test)]
mod tests {
    use floe_model::Incarnation;

    use super::*;

    #[test]
    fn a_catalog_counts_for_every_record_that_was_accepted_before_it_was_read() {
        let (wholes, hash) = (Wholes::default(), |byte| RecordHash([byte; 32]));
        let peer = |name: &str, incarnation| Target {
            node: name.parse().unwrap(),
            incarnation: Incarnation(incarnation),
            address: String::new(),
        };
        wholes.catalog_read(&peer("a", 0), hash(1));
        wholes.catalog_read(&peer("a", 0), hash(2));
        wholes.catalog_read(&peer("b", 1), hash(1));
        let names = |byte: u8| {
            let volumes = wholes.readers_of(|record| *record == hash(byte));
            volumes.iter().map(|(node, it)| format!("{node}-{it}")).collect::<Vec<_>>()
        };
        assert_eq!(names(1), ["a-0", "b-1"]);
        assert_eq!(names(2), ["a-0"]);
        for byte in 3..=66 {
            wholes.catalog_read(&peer("a", 0), hash(byte));
        }
        assert_eq!(names(1), ["b-1"], "what is remembered is bounded");
        assert_eq!(names(66), ["a-0"]);
    }
}
