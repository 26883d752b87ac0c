//! Nodes across epochs: a volume is replaced, the old one comes back; uploads go on meanwhile.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use floe_api::messages::{CertifiedClaim, ChainLink};
use floe_api::report::ServingState;
use floe_api::{ErrorCode, Target};
use floe_model::{
    Acceptance, Certificate, CommitProof, Confirmation, EpochNumber, EpochRecord, EpochTree,
    Permit, SignedPermit, SignedRecord, Timestamp, UploadId,
};
use floe_plan::epoch::unfilled_after;
use floe_sidecar::{Config, Limits, Sidecar};
use futures::SinkExt as _;

use crate::committee::{Cluster, any_port, copy, operator_key};
use crate::content;

impl Cluster {
    /// The next record, in which this node has the volume that it runs on now.
    pub(crate) async fn draft(&self, node: usize) -> EpochRecord {
        let before = &self.record;
        let config = &self.nodes[node].config;
        let target = Target {
            node: config.node.clone(),
            incarnation: config.incarnation,
            address: config.listen.to_string(),
        };
        let identity = self.operator.identity(&target).await.unwrap().value;
        let mut record = before.clone();
        (record.number, record.parent) = (EpochNumber(before.number.0 + 1), before.hash());
        let member = &mut record.members[node];
        (member.incarnation, member.address) = (identity.incarnation, target.address);
        (member.volume, member.key) = (identity.volume, identity.key);
        member.possession = identity.possession;
        record.unfilled = unfilled_after(before, &record, &[]);
        record
    }

    /// Issues the record: its members' acceptances.
    pub(crate) async fn issue(&mut self, record: EpochRecord) -> Vec<Acceptance> {
        let operator = operator_key();
        let signature = operator.sign(&SignedRecord::statement(&record));
        let signed = SignedRecord { record: record.clone(), key: operator.public(), signature };
        self.chain.links.push(ChainLink { record: signed, proof: None });
        let mut accepted = Vec::new();
        for member in &record.members {
            let pushed = self.operator.push_epoch(&Target::from(member), &self.chain).await;
            accepted.push(pushed.unwrap().value);
        }
        accepted
    }

    /// Proves that the newest record is committed, and tells its members.
    pub(crate) async fn commit(&mut self, accepted: &[Acceptance]) {
        let mut tree = EpochTree::default();
        for link in &self.chain.links {
            tree.insert(Arc::new(link.record.clone()));
            if let Some(proof) = &link.proof {
                tree.insert_proof(Arc::new(proof.clone()));
            }
        }
        let newest = self.chain.links.last_mut().unwrap();
        let record = newest.record.record.clone();
        let lineage = tree.lineage(&record).unwrap();
        newest.proof = Some(CommitProof::gather(&record, &lineage, accepted).unwrap());
        for member in &record.members {
            self.operator.push_epoch(&Target::from(member), &self.chain).await.unwrap();
        }
        self.record = record;
    }

    /// Waits until somebody at the target refuses to be a storage node, and says why.
    async fn refusing(&self, target: &Target) -> String {
        let look = async || {
            let serving = self.calls.identity(target).await.unwrap().value.serving;
            (serving.state == ServingState::Refusing).then_some(serving.reason)
        };
        self.until("the volume is refused", look).await
    }
}

/// Starts an old volume again, elsewhere.
async fn come_back(cluster: &Cluster, old: &Config) -> (Sidecar, Target) {
    let config = Config { listen: any_port(), metrics_listen: any_port(), ..old.clone() };
    let running = Sidecar::start(cluster.env.clone(), config).await.unwrap();
    let target = Target {
        node: old.node.clone(),
        incarnation: old.incarnation,
        address: running.addresses().api.to_string(),
    };
    (running, target)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replaced_volume_that_comes_back_is_refused_and_does_no_harm() {
    let mut cluster = Cluster::start(5, 10).await;
    let bytes = content(11, 2_000_000);
    let written = cluster.write("before", bytes.clone()).await;
    for node in 0..5 {
        cluster.healed(node, 1).await;
    }
    let limits = Limits { lease_patience: Duration::ZERO, ..Limits::default() };
    let old = cluster.start_next_volume(0, limits).await;
    let r1 = cluster.draft(0).await;
    assert_eq!(r1.unfilled.len(), 2);
    let accepted = cluster.issue(r1).await;
    cluster.commit(&accepted).await;
    // Nobody told the old volume: it learns from those who refuse it.
    let (running, target) = come_back(&cluster, &old).await;
    let reason = cluster.refusing(&target).await;
    assert!(reason.contains("next incarnation"), "{reason}");
    let name = "before".parse().unwrap();
    let namespace = written.claim.body.namespace_uid;
    let refused = cluster.calls.resolve(&target, namespace, name).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, ErrorCode::NotServing);
    // It has not forgotten that after another start, with nobody to tell.
    running.shutdown().await;
    let (running, target) = come_back(&cluster, &old).await;
    let identity = cluster.calls.identity(&target).await.unwrap().value;
    assert_eq!(identity.serving.state, ServingState::Refusing);
    running.shutdown().await;
    // The new volume reads the others' catalogs and restores what it owes; all is as it was.
    cluster.ready(0).await;
    assert_eq!(cluster.healed(0, 1).await.slivers.held, 4);
    assert_eq!(cluster.read(&written).await, bytes);
    let after = cluster.write("after", content(12, 100_000)).await;
    assert_eq!(after.certificate.record, cluster.record.hash());
    cluster.stop(0).await;
    cluster.restart(0).await;
    cluster.ready(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_goes_on_across_an_epoch() {
    let mut cluster = Cluster::start(5, 10).await;
    let r0 = cluster.record.hash();
    let bytes = content(13, 20_000_000);
    let (mut sender, parts) = futures::channel::mpsc::channel(1);
    let client = cluster.client.clone();
    let wish = cluster.wish("long");
    let upload = async move { client.write(wish, parts).await };
    let (early, late) = bytes.split_at(12_000_000);
    let part = |part: &[u8]| Ok(Bytes::copy_from_slice(part));
    let across = async {
        for bytes in early.chunks(1_000_000) {
            sender.send(part(bytes)).await.unwrap();
        }
        // The first extent is on its way under record 0; meanwhile one volume is replaced.
        cluster.start_next_volume(4, Limits::default()).await;
        let r1 = cluster.draft(4).await;
        let accepted = cluster.issue(r1).await;
        for bytes in late.chunks(1_000_000) {
            sender.send(part(bytes)).await.unwrap();
        }
        cluster.commit(&accepted).await;
        drop(sender);
    };
    let (written, ()) = futures::future::join(upload, Box::pin(across)).await;
    let written = written.unwrap();
    assert_eq!(written.certificate.record, r0);
    assert_eq!(cluster.read(&written).await, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uploads_begin_under_the_newest_committed_record() {
    let mut cluster = Cluster::start(5, 10).await;
    let r0 = cluster.record.hash();
    let target = Target::from(&cluster.record.members[1]);
    let permit = |cluster: &Cluster, record, signed| {
        let body = Permit {
            upload: UploadId(cluster.env.random.bytes()),
            claim: floe_model::ClaimId(cluster.env.random.bytes()),
            namespace_uid: floe_model::NamespaceUid([5; 16]),
            name: "blob".parse().unwrap(),
            signed,
        };
        SignedPermit::sign(body, &cluster.record.committee, record, &cluster.gateway)
    };
    let now = |cluster: &Cluster| Timestamp(cluster.env.clock.unix_millis());
    let early = permit(&cluster, r0, now(&cluster));
    let begun = permit(&cluster, r0, now(&cluster));
    cluster.calls.open_upload(&target, &begun).await.unwrap();
    cluster.start_next_volume(0, Limits::default()).await;
    let r1 = cluster.draft(0).await;
    let hash = r1.hash();
    let accepted = cluster.issue(r1).await;
    // Accepted, and perhaps never committed: writes go on under record 0, and none begins under it.
    let waiting = permit(&cluster, r0, now(&cluster));
    cluster.calls.open_upload(&target, &waiting).await.unwrap();
    let code = |outcome: Result<_, floe_api::CallError>| match outcome {
        Ok(floe_api::Answer { value: (), .. }) => None,
        Err(error) => Some(error.refusal().unwrap().code),
    };
    let ahead = permit(&cluster, hash, now(&cluster));
    let refused = code(cluster.calls.open_upload(&target, &ahead).await);
    assert_eq!(refused, Some(ErrorCode::NeedEpoch));
    cluster.commit(&accepted).await;
    cluster.calls.open_upload(&target, &ahead).await.unwrap();
    for known in [&begun, &early] {
        cluster.calls.open_upload(&target, known).await.unwrap();
    }
    let behind = permit(&cluster, r0, Timestamp(now(&cluster).0 + 1));
    let refused = code(cluster.calls.open_upload(&target, &behind).await);
    assert_eq!(refused, Some(ErrorCode::NeedEpoch));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_missed_an_epoch_learns_it_from_its_peers() {
    let mut cluster = Cluster::start(5, 10).await;
    let r1 = {
        cluster.start_next_volume(0, Limits::default()).await;
        cluster.draft(0).await
    };
    cluster.stop(4).await;
    let away = cluster.record.members[4].clone();
    let mut named = r1.clone();
    named.members.truncate(4);
    let operator = operator_key();
    let signature = operator.sign(&SignedRecord::statement(&r1));
    let record = SignedRecord { record: r1.clone(), key: operator.public(), signature };
    cluster.chain.links.push(ChainLink { record, proof: None });
    let mut accepted = Vec::new();
    for member in &named.members {
        let pushed = cluster.operator.push_epoch(&Target::from(member), &cluster.chain).await;
        accepted.push(pushed.unwrap().value);
    }
    assert!(r1.members.contains(&away));
    // Three old volumes are worth six shards of record 0: it is not committed before node 4 accepts.
    cluster.restart(4).await;
    let target = Target::from(&away);
    let look = async || {
        let told = cluster.calls.report(&target).await.unwrap().value.epoch;
        told.filter(|epoch| epoch.number == EpochNumber(1))
    };
    cluster.until("it learns of the record from its peers", look).await;
    let pushed = cluster.operator.push_epoch(&target, &cluster.chain).await.unwrap().value;
    accepted.push(pushed);
    cluster.commit(&accepted).await;
    let page = cluster.calls.epoch_page(&target, Some(EpochNumber(0))).await.unwrap();
    assert_eq!(page.value.links, cluster.chain.links[1..]);
    assert_eq!(cluster.calls.epoch(&target).await.unwrap().value, cluster.chain);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_copy_of_a_volume_is_shown_its_own_seal() {
    let mut cluster = Cluster::start(4, 4).await;
    cluster.write("early", content(21, 1000)).await;
    for node in 0..4 {
        cluster.healed(node, 1).await;
    }
    cluster.stop(0).await;
    let dir = cluster.nodes[0].config.volume_dir.clone();
    let old = dir.with_extension("old");
    copy(&dir, &old);
    cluster.restart(0).await;
    cluster.ready(0).await;
    cluster.write("late", content(22, 1000)).await;
    // Somebody has read what the copy does not have.
    let head = cluster.report(0).await.feed_head.unwrap();
    let me = cluster.nodes[0].name.clone();
    let read = async || (cluster.report(1).await.cursors.get(&me) >= Some(&head)).then_some(());
    cluster.until("a peer has read its feed", read).await;
    cluster.stop(0).await;
    cluster.nodes[0].config.volume_dir = old;
    cluster.restart(0).await;
    let target = Target::from(&cluster.record.members[0]);
    let reason = cluster.refusing(&target).await;
    assert!(reason.contains("old copy"), "{reason}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_left_serves_nothing_until_it_is_named_again() {
    let mut cluster = Cluster::start(5, 10).await;
    let first = cluster.record.clone();
    let gone = Target::from(&first.members[4]);
    let child = |parent: &EpochRecord, change: &dyn Fn(&mut EpochRecord)| {
        let mut record = parent.clone();
        (record.number, record.parent) = (EpochNumber(parent.number.0 + 1), parent.hash());
        change(&mut record);
        record.unfilled = unfilled_after(parent, &record, &[]);
        record
    };
    let leave = |record: &mut EpochRecord| {
        let left = record.members.pop().unwrap();
        for (member, shard) in record.members.iter_mut().zip(left.shards) {
            member.shards.push(shard);
            member.shards.sort();
        }
    };
    let accepted = cluster.issue(child(&first, &leave)).await;
    cluster.commit(&accepted).await;
    assert_eq!(cluster.record.members.len(), 4);
    let reason = cluster.refusing(&gone).await;
    assert!(reason.contains("does not name node node-4"), "{reason}");
    cluster.stop(4).await;
    cluster.restart(4).await;
    assert_eq!(cluster.refusing(&gone).await, reason);
    let refused = cluster.calls.report(&gone).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, ErrorCode::NotServing);
    let back = |record: &mut EpochRecord| record.members.clone_from(&first.members);
    let accepted = cluster.issue(child(&cluster.record, &back)).await;
    cluster.commit(&accepted).await;
    cluster.ready(4).await;
    assert_eq!(cluster.report(4).await.epoch.unwrap().number, EpochNumber(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_counts_no_more_does_not_enter_the_catalogs() {
    let mut cluster = Cluster::start(4, 4).await;
    let written = cluster.write("first", content(23, 1000)).await;
    let claim = cluster.claim_like(&written, "second");
    let mut votes = Vec::new();
    for (at, member) in cluster.record.members[..3].iter().enumerate() {
        let said = cluster.confirmed_by(&Target::from(member), &written, &claim).await;
        votes.push((at, said.signature));
    }
    let confirmation = Confirmation::of(&claim.body, cluster.record.geometry);
    let certificate = Certificate::gather(confirmation, &cluster.record, votes).unwrap();
    // One of its three signers is replaced before anyone has heard of it.
    cluster.replace(0, Limits::default()).await;
    let (uid, name) = (claim.body.namespace_uid, claim.body.name.clone());
    let certified = CertifiedClaim { claim, certificate };
    for member in 1..4 {
        let target = Target::from(&cluster.record.members[member]);
        let refused = cluster.calls.put_certificate(&target, &certified).await.unwrap_err();
        assert_eq!(refused.refusal().unwrap().code, ErrorCode::NeedEpoch);
        let known = cluster.calls.resolve_released(&target, uid, name.clone()).await.unwrap();
        assert_eq!(known.value.items, [], "node {member}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_volume_takes_a_chain_of_which_only_the_second_page_names_it() {
    let mut cluster = Cluster::start(4, 4).await;
    let operator = operator_key();
    let child = |parent: &EpochRecord| {
        let mut record = parent.clone();
        (record.number, record.parent) = (EpochNumber(parent.number.0 + 1), parent.hash());
        let members = record.members.iter_mut();
        members.for_each(|it| it.zone = format!("{:0250}", parent.number.0));
        record
    };
    let mut last = cluster.record.clone();
    while cluster.chain.pages().count() < 2 {
        for _ in 0..100 {
            last = child(&last);
            let signature = operator.sign(&SignedRecord::statement(&last));
            let record = SignedRecord { record: last.clone(), key: operator.public(), signature };
            cluster.chain.links.push(ChainLink { record, proof: None });
        }
    }
    let fits = cluster.chain.pages().next().unwrap().links.len();
    cluster.chain.links.truncate(fits - 1);
    for _ in 0..3 {
        let record = child(&cluster.chain.links.last().unwrap().record.record);
        let accepted = cluster.issue(record).await;
        cluster.commit(&accepted).await;
    }
    assert_eq!(cluster.chain.pages().count(), 2);
    cluster.replace(0, Limits::default()).await;
    assert_eq!(cluster.report(0).await.epoch.unwrap().hash, cluster.record.hash());
}
