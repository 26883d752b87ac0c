//! Shards that are handed over: to the next volume of their node, and to another node.

use std::time::Duration;

use floe_model::{EpochNumber, EpochRecord, ShardIndex, Whole};
use floe_plan::epoch::unfilled_after;
use floe_sidecar::Limits;

use crate::committee::Cluster;
use crate::content;

impl Cluster {
    /// Waits until a node says that so many shards are whole; checks its words.
    pub(crate) async fn wholes(&self, node: usize, count: usize) -> Vec<Whole> {
        let look = async || Some(self.report(node).await.wholes).filter(|it| it.len() >= count);
        let told = self.until("the shards are whole", look).await;
        let member = &self.record.members[node];
        let words = told.into_iter().map(|word| Whole {
            shard: word.shard,
            node: member.node.clone(),
            incarnation: member.incarnation,
            record: word.record,
            signature: word.signature,
        });
        let words: Vec<Whole> = words.collect();
        for word in &words {
            assert_eq!(word.verify(&self.record), Ok(()));
        }
        words
    }

    /// The next record, with these words in it.
    fn filled(&self, wholes: Vec<Whole>) -> EpochRecord {
        let mut record = self.record.clone();
        (record.number, record.parent) =
            (EpochNumber(self.record.number.0 + 1), self.record.hash());
        record.unfilled = unfilled_after(&self.record, &record, &wholes);
        record.wholes = wholes;
        record
    }

    /// The next record, in which a shard goes to another node.
    fn moved(&self, shard: ShardIndex, to: usize) -> EpochRecord {
        let mut record = self.record.clone();
        (record.number, record.parent) =
            (EpochNumber(self.record.number.0 + 1), self.record.hash());
        record.members.iter_mut().for_each(|member| member.shards.retain(|it| *it != shard));
        record.members[to].shards.push(shard);
        record.members[to].shards.sort();
        record.unfilled = unfilled_after(&self.record, &record, &[]);
        record
    }

    /// Issues and commits.
    async fn pass(&mut self, record: EpochRecord) {
        let accepted = self.issue(record).await;
        self.commit(&accepted).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_volume_says_that_its_shards_are_whole_when_it_holds_all() {
    let mut cluster = Cluster::start(5, 10).await;
    let bytes = content(21, 3_000_000);
    let written = cluster.write("blob", bytes.clone()).await;
    for node in 0..5 {
        cluster.healed(node, 1).await;
    }
    // Nobody helps it yet: it reads the catalogs and lacks all.
    cluster.replace(0, Limits { lease_patience: Duration::MAX, ..Limits::default() }).await;
    let lost = cluster.record.members[0].shards.clone();
    assert_eq!(cluster.record.unfilled, lost);
    cluster.owes(0, 1).await;
    let report = cluster.report(0).await;
    assert_eq!((report.wholes, report.unfilled.len()), (Vec::new(), 2));
    cluster.repair(0).await.unwrap();
    let words = cluster.wholes(0, 2).await;
    assert_eq!(words.iter().map(|word| word.shard).collect::<Vec<_>>(), lost);
    let record = cluster.filled(words);
    assert_eq!(record.unfilled, []);
    cluster.pass(record).await;
    let report = cluster.report(0).await;
    assert_eq!((report.wholes, report.unfilled), (Vec::new(), Vec::new()));
    cluster.stop(1).await;
    assert_eq!(cluster.read(&written).await, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shard_moves_and_its_former_owner_lets_go_when_it_is_whole() {
    let mut cluster = Cluster::start(5, 10).await;
    let bytes = content(22, 3_000_000);
    let written = cluster.write("blob", bytes.clone()).await;
    for node in 0..5 {
        cluster.healed(node, 1).await;
    }
    let shard = cluster.record.members[4].shards[0];
    let before = cluster.slivers(4).len();
    let moved = cluster.moved(shard, 0);
    assert_eq!(moved.unfilled, [shard]);
    cluster.pass(moved).await;
    // Meanwhile it is read where it was, and written where it will be.
    cluster.stop(1).await;
    assert_eq!(cluster.read(&written).await, bytes);
    cluster.restart(1).await;
    cluster.ready(1).await;
    cluster.repair(0).await.unwrap();
    let words = cluster.wholes(0, 1).await;
    assert_eq!(cluster.report(0).await.slivers.held, 6);
    assert_eq!(cluster.slivers(4).len(), before, "it is kept until a record says that it is whole");
    let record = cluster.filled(words);
    cluster.pass(record).await;
    let look = async || (cluster.slivers(4).len() <= before / 2).then_some(());
    cluster.until("the former owner lets go", look).await;
    assert_eq!(cluster.slivers(4).len(), before / 2, "its other shard stays");
    let report = cluster.report(4).await;
    assert_eq!((report.slivers.owed, report.slivers.held), (2, 2));
    assert_eq!(cluster.read(&written).await, bytes);
    let after = cluster.write("after", content(23, 100_000)).await;
    assert_eq!(after.certificate.record, cluster.record.hash());
}
