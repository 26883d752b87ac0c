//! Whole nodes in one process, on loopback and real disks: what was missed heals by itself.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test stops where it goes wrong")]

mod committee;
mod epochs;
mod handover;
mod inconsistent;
mod leases;
mod refusals;
mod replacing;

use committee::Cluster;
use floe_api::messages::{Chain, ChainLink};
use floe_model::SignedRecord;
use floe_model::frame::{Frame, write_frame};
use floe_model::keys::RegistrarKey;
use floe_model::record::RegistrarRole;
use floe_sidecar::Sidecar;

/// Bytes that no two offsets share.
fn content(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..length).map(next).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_missed_a_write_heals_from_symbols() {
    let mut cluster = Cluster::start(5, 10).await;
    let (status, _) = cluster.probe(0, "/livez").await;
    assert!(status.contains("200"), "{status}");
    let small = content(1, 1000);
    let first = cluster.write("small", small.clone()).await;
    assert_eq!(cluster.read(&first).await, small);

    cluster.stop(0).await;
    let large = content(2, 20_000_000);
    let second = cluster.write("large", large.clone()).await;
    assert_eq!(cluster.read(&second).await, large);

    cluster.restart(0).await;
    let report = cluster.healed(0, 2).await;
    assert_eq!(report.slivers.held, 4 + 3 * 4, "{report:#?}");
    let restored = cluster.metric(0, "floe_node_repair_bytes_restored_total", "").await;
    let read = cluster.metric(0, "floe_node_repair_bytes_read_total", "").await;
    assert!(restored > 0 && read == restored, "{read} read, {restored} restored");
    let by_symbols = cluster.metric(0, "floe_node_repair_slivers_total", "symbols").await;
    assert_eq!(by_symbols, 12);

    // The healed node carries reads on its own shards: another one is gone now.
    cluster.stop(1).await;
    assert_eq!(cluster.read(&second).await, large);
    let (status, _) = cluster.probe(0, "/readyz").await;
    assert!(status.contains("200"), "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_nodes_of_one_shard_heal_by_symbols() {
    let mut cluster = Cluster::start(4, 4).await;
    cluster.stop(3).await;
    let bytes = content(3, 9_000_000);
    let written = cluster.write("blob", bytes.clone()).await;
    cluster.restart(3).await;
    cluster.healed(3, 1).await;
    assert_eq!(cluster.metric(3, "floe_node_repair_slivers_total", "decode").await, 0);
    let restored = cluster.metric(3, "floe_node_repair_bytes_restored_total", "").await;
    let read = cluster.metric(3, "floe_node_repair_bytes_read_total", "").await;
    assert!(restored > 0 && read == restored, "{read} read, {restored} restored");
    cluster.stop(0).await;
    assert_eq!(cluster.read(&written).await, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liar_is_named_and_repair_goes_on() {
    let mut cluster = Cluster::start(5, 10).await;
    cluster.stop(0).await;
    let bytes = content(4, 700_000);
    let written = cluster.write("blob", bytes.clone()).await;
    cluster.healed(4, 1).await;
    cluster.stop(4).await;
    for path in cluster.slivers(4) {
        falsify(&path);
    }
    cluster.restart(4).await;
    cluster.restart(0).await;
    cluster.healed(0, 1).await;
    let named = cluster.metric(0, "floe_node_verification_failures_total", "node-4").await;
    assert!(named > 0, "{}", cluster.probe(0, "/metrics").await.1);
    for honest in ["node-1", "node-2", "node-3"] {
        let failures = "floe_node_verification_failures_total";
        assert_eq!(cluster.metric(0, failures, honest).await, 0, "{honest}");
    }
    assert_eq!(cluster.read(&written).await, bytes);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn finish_needs_nothing_but_itself() {
    let mut cluster = Cluster::start(5, 10).await;
    cluster.stop(0).await;
    let bytes = content(5, 3_000_000);
    let written = cluster.write("first", bytes).await;
    cluster.restart(0).await;
    // Another wish for the same content, and node 0 has none of it: it heals, then signs.
    let claim = cluster.claim_like(&written, "second");
    let target = floe_api::Target::from(&cluster.record.members[0]);
    let confirmed = cluster.confirmed_by(&target, &written, &claim).await;
    let confirmation = floe_model::Confirmation::of(&claim.body, cluster.record.geometry);
    let record = &cluster.record;
    let statement = confirmation.statement(&record.committee, &record.hash());
    record.members[0].key.verify(&statement, &confirmed.signature).unwrap();
    assert_eq!(cluster.report(0).await.slivers.held, 4);
    // The claim id has its blob for good.
    let other = cluster.write("third", content(6, 500)).await;
    let mut stolen = claim.body.clone();
    (stolen.blob, stolen.length) = (other.claim.body.blob, other.claim.body.length);
    let stolen = cluster.sign(stolen);
    let refused = cluster.finish(&target, &other, &stolen).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, floe_api::ErrorCode::ClaimBound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_promised_survives_a_crash() {
    let mut cluster = Cluster::start(4, 4).await;
    let bytes = content(7, 400_000);
    let written = cluster.write("blob", bytes.clone()).await;
    for node in 0..4 {
        cluster.healed(node, 1).await;
        // No goodbye: everything that runs is dropped.
        cluster.crash(node).await;
        cluster.restart(node).await;
        cluster.ready(node).await;
        assert_eq!(cluster.healed(node, 1).await.slivers.held, 2);
    }
    assert_eq!(cluster.read(&written).await, bytes);
}

/// Alters the payload and makes the checksums fit again.
#[expect(clippy::disallowed_methods, reason = "the test alters real files from outside")]
fn falsify(path: &std::path::Path) {
    let stored = std::fs::read(path).unwrap();
    let (mut frame, _) = Frame::read(&stored, stored.len()).unwrap();
    for byte in &mut frame.payload {
        *byte ^= 0x5a;
    }
    let mut altered = Vec::new();
    write_frame(&mut altered, frame.kind, &frame.head, &frame.payload);
    assert_eq!(altered.len(), stored.len());
    std::fs::write(path, altered).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_nodes_volume_is_refused() {
    let mut cluster = Cluster::start(4, 4).await;
    cluster.stop(0).await;
    cluster.stop(1).await;
    let mut config = cluster.nodes[0].config.clone();
    config.volume_dir = cluster.nodes[1].config.volume_dir.clone();
    cluster.nodes[0].running = Some(Sidecar::start(cluster.env.clone(), config).await.unwrap());
    let (status, body) = cluster.probe(0, "/readyz").await;
    assert!(status.contains("503") && body.contains("node-1"), "{status} {body}");
    let target = floe_api::Target::from(&cluster.record.members[0]);
    let refused = cluster.calls.report(&target).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, floe_api::ErrorCode::NotServing);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_volume_under_a_used_incarnation_serves_its_identity_only() {
    let mut cluster = Cluster::start(4, 4).await;
    cluster.stop(0).await;
    let empty = tempfile::tempdir().unwrap();
    cluster.nodes[0].config.volume_dir = empty.path().join("volume");
    cluster.restart(0).await;
    let target = floe_api::Target::from(&cluster.record.members[0]);
    let chain = cluster.client.committee().chain();
    let refused = cluster.calls.push_epoch(&target, &chain).await.unwrap_err();
    let refusal = refused.refusal().unwrap();
    assert!(refusal.detail.contains("next incarnation"), "{refusal}");
    assert!(cluster.calls.identity(&target).await.is_ok());
    let name = "blob".parse().unwrap();
    let resolved = cluster.calls.resolve(&target, floe_model::NamespaceUid([5; 16]), name).await;
    let refusal = resolved.unwrap_err();
    let refusal = refusal.refusal().unwrap();
    assert_eq!(refusal.code, floe_api::ErrorCode::NotServing);
    assert!(refusal.detail.contains("next incarnation"), "{refusal}");
    cluster.stop(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_upload_revives_a_blob_that_nobody_can_read() {
    let mut cluster = Cluster::start(4, 4).await;
    for (at, length) in [(0, 1000), (1, 9_000_000)] {
        let bytes = content(8 + at, length);
        let first = cluster.write(&format!("first-{at}"), bytes.clone()).await;
        for node in 0..4 {
            cluster.healed(node, at + 1).await;
            cluster.crash(node).await;
            for path in cluster.slivers(node) {
                remove(&path);
            }
            cluster.restart(node).await;
            cluster.ready(node).await;
        }
        // The nodes know the blob, and hold nothing of it: only the new upload has its bytes.
        let second = cluster.write(&format!("second-{at}"), bytes.clone()).await;
        assert_eq!(second.blob, first.blob);
        assert_eq!(cluster.read(&first).await, bytes);
    }
}

#[expect(clippy::disallowed_methods, reason = "the test removes real files from outside")]
fn remove(path: &std::path::Path) {
    std::fs::remove_file(path).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_0_of_another_operator_is_refused() {
    let mut cluster = Cluster::start(4, 4).await;
    cluster.stop(0).await;
    let empty = tempfile::tempdir().unwrap();
    cluster.nodes[0].config.volume_dir = empty.path().join("volume");
    cluster.restart(0).await;
    let target = floe_api::Target::from(&cluster.record.members[0]);
    let identity = cluster.calls.identity(&target).await.unwrap().value;
    // In order in every way: only whose it is, the node cannot see from the record itself.
    let mut record = cluster.record.clone();
    let member = &mut record.members[0];
    (member.volume, member.key) = (identity.volume, identity.key);
    member.possession = identity.possession;
    let foreign = RegistrarKey::from_seed(&[77; 32]);
    for registrar in &mut record.registrars {
        if registrar.role == RegistrarRole::Operator {
            registrar.key = foreign.public();
        }
    }
    let signature = foreign.sign(&SignedRecord::statement(&record));
    let record = SignedRecord { record, key: foreign.public(), signature };
    assert_eq!(floe_plan::epoch::check_genesis(&record), Ok(()));
    let chain = Chain { links: vec![ChainLink { record, proof: None }] };
    let refused = cluster.calls.push_epoch(&target, &chain).await.unwrap_err();
    let refusal = refused.refusal().unwrap();
    assert_eq!(refusal.code, floe_api::ErrorCode::StatementInvalid);
    assert!(refusal.detail.contains("another operator"), "{refusal}");
    let identity = cluster.calls.identity(&target).await.unwrap().value;
    assert_eq!(identity.genesis, None);
    cluster.stop(0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_alone_has_the_chain_brings_it_to_all() {
    let mut cluster = Cluster::start(4, 4).await;
    for node in 0..4 {
        cluster.crash(node).await;
    }
    for node in 1..4 {
        cluster.nodes[node].config.volume_dir = committee::blank(&cluster.nodes[node].config);
    }
    // Node 0 waits for the others' cursors, and they cannot tell any before they have the chain.
    for node in 0..4 {
        cluster.restart(node).await;
    }
    for node in 0..4 {
        cluster.ready(node).await;
    }
}
