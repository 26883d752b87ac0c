//! How many nodes each thing needs, what is said when there are too few, and how a node that was
//! away heals by itself.
//!
//! The nodes run in this process (see `floe_tests::local`): the servers, TLS, files and workers are
//! those of real processes.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

use floe_api::{ErrorCode, Role};
use floe_client::{
    Closing, NotEnoughNodes, Phase, ReadCheck, ReadError, ReleaseError, ResolveError, WriteError,
    Written,
};
use floe_model::{Axis, BlobLayout, ClaimId, ExtentIndex, Release, Threshold, Timestamp};
use floe_redstuff::ExtentMetadata;
use floe_tests::local::{Committee, DraftExtent, NAMESPACE_UID, content, read, resolve, write};

/// A blob of two extents in a committee of ten shards.
const TWO_EXTENTS_BYTES: usize = 9_000_001;

fn release_of(written: &Written, now: Timestamp) -> Release {
    let claim = &written.claim.body;
    Release {
        claim: claim.claim,
        namespace_uid: claim.namespace_uid,
        name: claim.name.clone(),
        created: claim.created,
        signed: now,
    }
}

/// The first nodes, `without` left out, that own exactly `shards` shards together.
fn worth(committee: &Committee, shards: usize, without: &[usize]) -> Vec<usize> {
    let nodes: Vec<usize> = (0..committee.size()).filter(|at| !without.contains(at)).collect();
    let sets = 0_u32..1 << nodes.len();
    let chosen = |set: u32| -> Vec<usize> {
        let bits = nodes.iter().enumerate().filter(|(bit, _)| set & (1 << bit) != 0);
        bits.map(|(_, at)| *at).collect()
    };
    let weight = |set: &[usize]| set.iter().map(|at| committee.shards(*at)).sum::<usize>();
    sets.map(chosen).find(|set| weight(set) == shards).unwrap()
}

/// The first node with this many shards.
fn owner_of(committee: &Committee, shards: usize) -> usize {
    (0..committee.size()).find(|&at| committee.shards(at) == shards).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_f_shards_away_everything_works() {
    let mut committee = Committee::start("f-away", 7, 10).await;
    let (client, now) = (committee.client(), committee.now());
    let before = content(1, 100_000);
    let first = write(&client, committee.wish("before"), &before).await.unwrap();
    let faulty = usize::from(committee.geometry().faulty());
    let away = worth(&committee, faulty, &[]);
    committee.stop_all(&away).await;

    for (name, length) in [("empty", 0), ("small", 1000), ("large", TWO_EXTENTS_BYTES)] {
        let bytes = content(2, length);
        let written = write(&client, committee.wish(name), &bytes).await.unwrap();
        assert_eq!(written.acknowledged_shards, Threshold::Correct.shards(committee.geometry()));
        let (claim, certificate) = resolve(&client, name).await.unwrap();
        assert_eq!((&claim, &certificate), (&written.claim, &written.certificate));
        assert!(read(&client, &claim.body, ReadCheck::Strict).await.unwrap() == bytes, "{name}");
    }
    assert!(read(&client, &first.claim.body, ReadCheck::Default).await.unwrap() == before);
    let page = client.list(NAMESPACE_UID, None, 10).await.unwrap();
    let names: Vec<&str> = page.found.iter().map(|found| found.0.body.name.as_str()).collect();
    assert_eq!(names, ["before", "empty", "large", "small"]);
    client.release(&release_of(&first, now)).await.unwrap();
    assert_eq!(resolve(&client, "before").await, None);
    let never = client.close(ClaimId(committee.draw_id())).await.unwrap();
    assert_eq!(never, Closing::Closed);
}

fn assert_too_few(error: &NotEnoughNodes, phase: Phase, answered: usize) {
    assert_eq!((error.phase, error.answered_shards, error.needed_shards), (phase, answered, 3));
    let text = error.to_string();
    let numbers = format!("nodes worth {answered} shards answered, 3 are needed");
    assert!(text.contains(&numbers) && text.contains("unreachable"), "{text}");
    assert_eq!(error.failures.len(), 4 - answered, "{text}");
}

fn too_few_for_write(error: WriteError) -> NotEnoughNodes {
    match error {
        WriteError::NotEnoughNodes(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn too_few_nodes_say_how_many_answered_and_how_many_are_needed() {
    let mut committee = Committee::start("too-few", 4, 4).await;
    let (client, now) = (committee.client(), committee.now());
    let bytes = content(3, 300_000);
    let written = write(&client, committee.wish("a"), &bytes).await.unwrap();
    committee.stop_all(&[1, 2]).await;

    let name = "a".parse().unwrap();
    let (small, large) = (content(4, 1000), content(5, 300_000));
    let release = release_of(&written, now);
    let (one, other, resolved, listed, released, closed) = tokio::join!(
        write(&client, committee.wish("b"), &small),
        write(&client, committee.wish("c"), &large),
        client.resolve(NAMESPACE_UID, &name),
        client.list(NAMESPACE_UID, None, 10),
        client.release(&release),
        client.close(ClaimId(committee.draw_id())),
    );
    assert_too_few(&too_few_for_write(one.unwrap_err()), Phase::Confirm, 2);
    assert_too_few(&too_few_for_write(other.unwrap_err()), Phase::Store(ExtentIndex(0)), 2);
    let Err(ResolveError::NotEnoughNodes(error)) = resolved else { panic!("{resolved:?}") };
    assert_too_few(&error, Phase::Resolve, 2);
    let Err(ResolveError::NotEnoughNodes(error)) = listed else { panic!("{listed:?}") };
    assert_too_few(&error, Phase::List, 2);
    let Err(ReleaseError::NotEnoughNodes(error)) = released else { panic!("{released:?}") };
    assert_too_few(&error, Phase::Release, 2);
    assert_too_few(&closed.unwrap_err(), Phase::Close, 2);

    // Two shards do for reading what a claim at hand names; one does not.
    let read_back = read(&client, &written.claim.body, ReadCheck::Default).await.unwrap();
    assert!(read_back == bytes);
    committee.stop(3).await;
    let error = read(&client, &written.claim.body, ReadCheck::Default).await.unwrap_err();
    let ReadError::NotEnoughSlivers {
        primaries,
        secondaries,
        needed_primaries,
        needed_secondaries,
        ref failures,
        ..
    } = error
    else {
        panic!("{error}");
    };
    assert_eq!((primaries, secondaries, needed_primaries, needed_secondaries), (1, 1, 2, 3));
    assert!(!failures.is_empty());
    let text = error.to_string();
    assert!(secondaries <= 1 && text.contains("unreachable"), "{text}");
    let have = format!("1 primary and {secondaries} secondary slivers answered");
    assert!(text.contains(&format!("{have}, 2 primary or 3 secondary ones are needed")), "{text}");
}

/// What a node must hold of a blob, sliver by sliver, byte by byte.
async fn assert_holds(committee: &Committee, at: usize, written: &Written, content: &[u8]) {
    let (caller, target) = (committee.caller(Role::Gateway), committee.target(at));
    let (geometry, layout) =
        (committee.geometry(), BlobLayout::new(committee.geometry(), written.length));
    for extent in (0..layout.extents()).map(ExtentIndex) {
        let bytes = layout.extent_bytes(extent);
        let bytes = usize::try_from(bytes.start).unwrap()..usize::try_from(bytes.end).unwrap();
        let encoded = DraftExtent::encode(layout.extent_shape(extent), &content[bytes]);
        let metadata = ExtentMetadata::parse(encoded.shape, &encoded.metadata).unwrap();
        for &shard in &committee.record().members[at].shards {
            let pair = geometry.pair_of_shard(metadata.first_stripe(), shard);
            for axis in Axis::BOTH {
                let held = caller.sliver(&target, (written.blob, extent), (axis, pair), None).await;
                let held = held.unwrap().value.bytes.into_unverified();
                let wanted = &encoded.slivers[&(axis, geometry.sliver_of_pair(axis, pair))];
                assert!(held == *wanted, "the {axis} sliver of pair {pair}, extent {extent}");
            }
        }
    }
}

/// Bytes of a node's slivers of one axis.
fn owed_bytes(committee: &Committee, at: usize, axis: Axis, lengths: &[usize]) -> u64 {
    let each = lengths.iter().map(|&length| {
        let layout = BlobLayout::new(committee.geometry(), length as u64);
        let extents = (0..layout.extents()).map(ExtentIndex);
        extents.map(|extent| layout.extent_shape(extent).sliver_bytes(axis) as u64).sum::<u64>()
    });
    each.sum::<u64>() * committee.shards(at) as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_missed_writes_heals_by_itself_from_symbols_alone() {
    let mut committee = Committee::start("missed", 7, 10).await;
    let client = committee.client();
    let away = owner_of(&committee, 2);
    committee.stop(away).await;
    let lengths = [TWO_EXTENTS_BYTES, 1000, 0];
    let mut missed = Vec::new();
    for (number, length) in (0_u64..).zip(lengths) {
        let bytes = content(number, length);
        let name = format!("blob-{number}");
        let written = write(&client, committee.wish(&name), &bytes).await.unwrap();
        missed.push((written, bytes));
    }
    committee.restart(away).await;
    committee.holds_all(away, 3).await;

    // As many bytes of symbols as were restored, to the byte, and nothing by another path.
    let metrics = committee.metrics(away).await;
    for (axis, label) in
        [(Axis::Primary, "axis=\"primary\""), (Axis::Secondary, "axis=\"secondary\"")]
    {
        let restored = metrics.sum("floe_node_repair_bytes_restored_total", &[label]);
        let read = metrics.sum("floe_node_repair_bytes_read_total", &[label]);
        assert_eq!(restored, owed_bytes(&committee, away, axis, &lengths));
        assert_eq!(read, restored);
        let repaired = |path: &str, result: &str| {
            let labels = [label, &format!("path=\"{path}\""), &format!("result=\"{result}\"")];
            metrics.sum("floe_node_repair_slivers_total", &labels)
        };
        // Four extents, two shards.
        assert_eq!((repaired("symbols", "ok"), repaired("symbols", "failed")), (8, 0));
        assert_eq!((repaired("decode", "ok"), repaired("slivers", "ok")), (0, 0));
    }
    assert_eq!(metrics.sum("floe_node_verification_failures_total", &[]), 0);
    assert_eq!(metrics.sum("floe_node_slivers", &["state=\"owed\""]), 16);
    assert_eq!(metrics.sum("floe_node_slivers", &["state=\"held\""]), 16);
    for (written, bytes) in &missed {
        assert_holds(&committee, away, written, bytes).await;
    }

    // It counts again: with f other shards away nothing works without it.
    committee.serves(away).await;
    let others = worth(&committee, 3, &[away]);
    committee.stop_all(&others).await;
    for (written, bytes) in &missed {
        let (claim, _) = resolve(&client, written.claim.body.name.as_str()).await.unwrap();
        assert!(read(&client, &claim.body, ReadCheck::Strict).await.unwrap() == *bytes);
    }
    write(&client, committee.wish("after"), &content(9, 5000)).await.unwrap();
    committee.holds_all(away, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_symbols_would_come_too_late_the_extent_is_decoded() {
    let mut committee = Committee::start("decoded", 7, 10).await;
    let client = committee.client();
    let away = owner_of(&committee, 2);
    committee.stop(away).await;
    let bytes = content(6, TWO_EXTENTS_BYTES);
    let written = write(&client, committee.wish("a"), &bytes).await.unwrap();
    committee.settle().await;
    // Five shards are left: one more than decode. Primaries are enough for secondaries' symbols,
    // secondaries too few for primaries'.
    let others = worth(&committee, 3, &[away]);
    committee.stop_all(&others).await;
    committee.restart(away).await;
    committee.holds_all(away, 1).await;

    let metrics = committee.metrics(away).await;
    let repaired = |path: &str| {
        let labels = [format!("path=\"{path}\""), "result=\"ok\"".to_owned()];
        metrics.sum("floe_node_repair_slivers_total", &[&labels[0], &labels[1]])
    };
    assert_eq!((repaired("decode"), repaired("symbols"), repaired("slivers")), (4, 4, 0));
    assert_eq!(metrics.sum("floe_node_verification_failures_total", &[]), 0);
    assert_holds(&committee, away, &written, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_with_507_and_reads_go_on() {
    let committee = Committee::start("full", 4, 4).await;
    let (client, gateway) = (committee.client(), committee.caller(Role::Gateway));
    let bytes = content(7, 300_000);
    let written = write(&client, committee.wish("a"), &bytes).await.unwrap();
    committee.settle().await;
    committee.disk(0).fill(true);

    let draft = committee.draft("by-hand", &content(8, 300_000));
    let target = committee.target(0);
    gateway.open_upload(&target, &draft.permit).await.unwrap();
    let share = committee.share(&draft.extents[0], 0);
    let files = committee.holding(0).await.sliver_files();
    let refused = gateway.put_extent(&target, draft.upload(), ExtentIndex(0), &share).await;
    let refused = refused.unwrap_err();
    let refusal = refused.refusal().unwrap();
    assert_eq!((refusal.code, refusal.status().as_u16()), (ErrorCode::StorageFull, 507));
    assert!(refusal.detail.contains("storage full"), "{refusal}");
    assert_eq!(committee.holding(0).await.sliver_files(), files);

    // The others are enough for writes, and the full one is as good as any for reads.
    write(&client, committee.wish("b"), &content(9, 1000)).await.unwrap();
    assert_holds(&committee, 0, &written, &bytes).await;
    assert!(read(&client, &written.claim.body, ReadCheck::Strict).await.unwrap() == bytes);

    committee.disk(1).fill(true);
    for length in [1000, 300_000] {
        let error = write(&client, committee.wish("c"), &content(10, length)).await.unwrap_err();
        let WriteError::StorageFull(few) = &error else { panic!("{error}") };
        assert_eq!((few.answered_shards, few.needed_shards), (2, 3));
        assert!(error.to_string().contains("nodes are full"), "{error}");
    }
    assert!(read(&client, &written.claim.body, ReadCheck::Default).await.unwrap() == bytes);
    // What ends blobs needs no room of its own.
    client.release(&release_of(&written, committee.now())).await.unwrap();
    assert_eq!(resolve(&client, "a").await, None);

    committee.disk(0).fill(false);
    committee.disk(1).fill(false);
    write(&client, committee.wish("c"), &content(10, 300_000)).await.unwrap();
    committee.holds_all(0, 3).await;
}
