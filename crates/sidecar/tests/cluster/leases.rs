//! Lost volumes are filled by repair jobs, under leases.

use std::time::Duration;

use floe_api::messages::{Extent, LeaseProgress, Sliver};
use floe_api::{CallError, ErrorCode};
use floe_model::{Axis, BlobId, BootId, ExtentIndex, LeaseId, PairIndex};
use floe_sidecar::Limits;

use super::committee::Cluster;
use super::content;

fn code<T: std::fmt::Debug>(outcome: Result<T, CallError>) -> ErrorCode {
    outcome.unwrap_err().refusal().unwrap().code
}

/// Seven nodes, a few blobs, and node 1 with an empty volume that knows what it owes.
async fn with_a_lost_volume(shards: u16, lengths: &[usize]) -> Cluster {
    with_limits(shards, lengths, Limits::default()).await
}

async fn with_limits(shards: u16, lengths: &[usize], limits: Limits) -> Cluster {
    let mut cluster = Cluster::start(7, shards).await;
    for (at, length) in lengths.iter().enumerate() {
        cluster.write(&format!("blob-{at}"), content(at as u64, *length)).await;
    }
    for at in 0..7 {
        cluster.healed(at, lengths.len() as u64).await;
    }
    cluster.replace(1, limits).await;
    cluster.owes(1, lengths.len() as u64).await;
    cluster
}

async fn a_job_fills_a_lost_volume(shards: u16) {
    let lengths = [0, 1, 5_000, 900_000, 9_000_000];
    let cluster = with_a_lost_volume(shards, &lengths).await;
    let before = cluster.report(1).await;
    let own = cluster.record.members[1].shards.len();
    assert_eq!(before.unfilled.len(), own);
    assert!(before.unfilled.iter().all(|it| it.owed_bytes > 0 && it.held_bytes == 0), "{before:?}");
    let summary = cluster.repair(1).await.unwrap();
    let report = cluster.report(1).await;
    assert_eq!(report.slivers.held, report.slivers.owed, "{report:#?}");
    assert_eq!((summary.slivers, report.repair.leases), (report.slivers.owed, 0));
    assert!(report.unfilled.iter().all(|it| it.owed_bytes == it.held_bytes));
    // The node itself did nothing, and everything came once.
    let by_lease = cluster.metric(1, "floe_node_repair_slivers_total", "path=\"lease\"").await;
    assert_eq!(by_lease, report.slivers.owed);
    assert_eq!(report.repair.restored_slivers, by_lease);
    assert_eq!(summary.restored_bytes, report.held_bytes);
    assert_eq!(report.repair.read_bytes, summary.read_bytes);
    assert!(
        summary.read_bytes * 100 <= summary.restored_bytes * 105,
        "{} read, {} restored",
        summary.read_bytes,
        summary.restored_bytes
    );
    // No work is no failure.
    assert_eq!(cluster.repair(1).await.unwrap().leases, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_fills_a_lost_volume_of_one_shard() {
    Box::pin(a_job_fills_a_lost_volume(7)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_fills_a_lost_volume_of_two_shards() {
    Box::pin(a_job_fills_a_lost_volume(10)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_jobs_share_the_work() {
    let lengths: Vec<usize> = (0..40).map(|at| 1000 + 9000 * at).collect();
    let cluster = with_a_lost_volume(7, &lengths).await;
    let jobs = futures::future::join_all((0..3).map(|_| cluster.repair(1))).await;
    let brought: u64 = jobs.into_iter().map(|job| job.unwrap().slivers).sum();
    let report = cluster.report(1).await;
    assert_eq!((report.slivers.held, brought), (report.slivers.owed, report.slivers.owed));
    assert_eq!(report.repair.restored_slivers, report.slivers.owed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_is_killed_is_missed_by_nobody() {
    let lengths: Vec<usize> = (0..12).map(|at| 700_000 + 1000 * at).collect();
    let limits = Limits { lease_ttl: Duration::from_secs(1), ..Limits::default() };
    let cluster = with_limits(7, &lengths, limits).await;
    for killed_after in [20, 60, 120, 200] {
        let within = Duration::from_millis(killed_after);
        let killed =
            floe_env::timeout(&*cluster.env.clock, within, Box::pin(cluster.repair(1))).await;
        println!("killed after {killed_after} ms: {}", killed.is_err());
    }
    cluster.repair(1).await.unwrap();
    let report = cluster.report(1).await;
    assert_eq!(report.slivers.held, report.slivers.owed);
    assert_eq!(report.repair.restored_slivers, report.slivers.owed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_brought_wrongly_is_refused() {
    let cluster = with_a_lost_volume(7, &[5_000, 60_000]).await;
    let (target, calls) = (cluster.target(1), cluster.repairer());
    for other in [&cluster.calls, &cluster.operator] {
        assert_eq!(code(other.lease(&target).await), ErrorCode::ForbiddenRole);
    }
    let lease = calls.lease(&target).await.unwrap().value;
    assert_eq!((lease.blobs.len(), lease.others), (2, false));
    // All is leased: nothing is left for others.
    let none = calls.lease(&target).await.unwrap().value;
    assert_eq!((none.blobs.len(), none.others), (0, true));

    let held = (lease.lease, lease.boot);
    let (blob, extent) = (lease.blobs[0].blob, ExtentIndex(0));
    let source = cluster.target(2);
    let metadata = calls.metadata(&source, blob, extent).await.unwrap().value.0.into_unverified();
    let holdings = cluster.calls.holdings(&source, blob, floe_api::Span { first: 0, count: 1 });
    let pair = holdings.await.unwrap().value.extents[0].primary[0];
    let sliver = calls.sliver(&source, (blob, extent), (Axis::Primary, pair), None).await.unwrap();
    let length_bytes = u32::try_from(lease.blobs[0].length).unwrap();
    let content = |pair: PairIndex, bytes: Vec<u8>| Extent {
        length_bytes,
        metadata: metadata.clone(),
        slivers: vec![Sliver { axis: Axis::Primary, pair, bytes }],
    };
    let foreign = content(pair, sliver.value.bytes.as_unverified().clone());
    let put = |held, place, content| {
        let (calls, target) = (&calls, &target);
        async move { calls.put_repaired(target, held, place, &content).await }
    };
    assert_eq!(code(put(held, (blob, extent), foreign.clone()).await), ErrorCode::NotLeased);
    let outside = (BlobId([7; 32]), extent);
    assert_eq!(code(put(held, outside, foreign.clone()).await), ErrorCode::NotLeased);
    let outside = (blob, ExtentIndex(1));
    assert_eq!(code(put(held, outside, foreign.clone()).await), ErrorCode::NotLeased);
    let other_boot = (lease.lease, BootId([1; 16]));
    assert_eq!(code(put(other_boot, (blob, extent), foreign.clone()).await), ErrorCode::LeaseStale);
    let unknown = (LeaseId([1; 16]), lease.boot);
    assert_eq!(code(put(unknown, (blob, extent), foreign.clone()).await), ErrorCode::LeaseExpired);

    // The right place and the wrong bytes.
    let shard = lease.shards[0];
    let first = first_stripe(&cluster, &metadata, length_bytes);
    let own = cluster.record.geometry.pair_of_shard(&first, shard);
    let wrong = content(own, sliver.value.bytes.into_unverified());
    assert_eq!(code(put(held, (blob, extent), wrong.clone()).await), ErrorCode::SliverInvalid);
    let mut bad = wrong;
    bad.metadata[3] ^= 1;
    assert_eq!(code(put(held, (blob, extent), bad).await), ErrorCode::MetadataInvalid);
    assert_eq!(cluster.report(1).await.slivers.held, 0);

    // What is given back the node itself looks at.
    let returned = vec![(blob, extent)];
    let progress = LeaseProgress { read_bytes: 7, returned };
    let left = calls.renew_lease(&target, held, &progress).await.unwrap().value.extents_left;
    assert_eq!(left, 1);
    let look = async || (cluster.report(1).await.slivers.held >= 2).then_some(());
    cluster.until("the node heals what was given back", look).await;
    calls.end_lease(&target, held).await.unwrap();
    assert_eq!(code(calls.end_lease(&target, held).await), ErrorCode::LeaseExpired);
    assert_eq!(cluster.repair(1).await.unwrap().slivers, 2);
}

fn first_stripe(cluster: &Cluster, metadata: &[u8], length_bytes: u32) -> floe_model::StripeId {
    let length = usize::try_from(length_bytes).unwrap();
    let shape = floe_model::ExtentShape::new(cluster.record.geometry, length).unwrap();
    *floe_redstuff::ExtentMetadata::parse(shape, metadata).unwrap().first_stripe()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_with_the_process_that_gave_them() {
    let mut cluster = with_a_lost_volume(7, &[5_000]).await;
    let (target, calls) = (cluster.target(1), cluster.repairer());
    let lease = calls.lease(&target).await.unwrap().value;
    assert_eq!(lease.blobs.len(), 1);
    cluster.crash(1).await;
    cluster.restart(1).await;
    cluster.ready(1).await;
    let nothing = LeaseProgress::default();
    let renewed = calls.renew_lease(&target, (lease.lease, lease.boot), &nothing).await;
    assert_eq!(code(renewed), ErrorCode::LeaseStale);
    assert_eq!(cluster.repair(1).await.unwrap().slivers, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_nobody_helps_fills_itself() {
    let mut cluster = Cluster::start(7, 7).await;
    cluster.write("blob", content(1, 2_000_000)).await;
    cluster.healed(1, 1).await;
    let lease_patience = Duration::from_millis(300);
    cluster.replace(1, Limits { lease_patience, ..Limits::default() }).await;
    let report = cluster.healed(1, 1).await;
    assert_eq!(report.repair.restored_slivers, report.slivers.owed);
    let by_lease = cluster.metric(1, "floe_node_repair_slivers_total", "path=\"lease\"").await;
    assert_eq!(by_lease, 0);
}
