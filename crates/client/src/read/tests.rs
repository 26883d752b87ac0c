use floe_model::{Axis, SignedClaim};
use futures::TryStreamExt as _;

use super::*;
use crate::budget::Budget;
use crate::tests::fixture::{Fleet, Mode, Told};
use crate::write::tests::{body, content, four, wish};

async fn put(client: &Client, bytes: &Bytes) -> SignedClaim {
    client.write(wish("a", 1), body(bytes)).await.unwrap().claim
}

async fn get(
    client: &Client,
    claim: &SignedClaim,
    range: Range<u64>,
    check: ReadCheck,
) -> Result<Vec<u8>, ReadError> {
    let pieces: Vec<Bytes> = client.read(&claim.body, range, check).await?.try_collect().await?;
    Ok(pieces.concat())
}

/// Reads these ranges and compares them with what was written.
async fn compare(client: &Client, claim: &SignedClaim, bytes: &Bytes, ranges: &[Range<usize>]) {
    for range in ranges {
        let wanted = range.start as u64..range.end as u64;
        let read = get(client, claim, wanted, ReadCheck::Default).await.unwrap();
        assert!(read == bytes[range.clone()], "{range:?}: {} bytes", read.len());
    }
}

#[tokio::test]
async fn every_range_reads_as_written() {
    for fleet in [four(), Fleet::new(7, &[2, 2, 2, 1])] {
        let client = fleet.client(Budget::default());
        let stripe = fleet.cast.record.geometry.full_stripe_bytes();
        let extent = fleet.cast.record.geometry.full_extent_bytes();
        let length = 2 * extent + 3 * stripe + 77;
        let bytes = content(length);
        let claim = put(&client, &bytes).await;
        let ranges = [
            0..length,
            0..1,
            0..0,
            length..length,
            stripe - 1..stripe + 1,
            stripe..2 * stripe,
            extent - 1..extent + 1,
            extent..extent + 1,
            2 * extent + stripe..length,
            length - 1..length,
        ];
        compare(&client, &claim, &bytes, &ranges).await;
        let beyond = get(&client, &claim, 0..length as u64 + 1, ReadCheck::Default).await;
        assert!(matches!(beyond, Err(ReadError::OutOfRange { .. })));
    }
}

#[tokio::test]
async fn small_and_empty_blobs_read_as_written() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let stripe = fleet.cast.record.geometry.full_stripe_bytes();
    for length in [0, 1, 2, 1000, stripe - 1, stripe] {
        let bytes = content(length);
        let claim = put(&client, &bytes).await;
        for check in [ReadCheck::Default, ReadCheck::Strict] {
            let read = get(&client, &claim, 0..length as u64, check).await.unwrap();
            assert!(read == bytes, "{length} bytes, {check:?}");
        }
    }
}

#[tokio::test]
async fn a_node_that_is_down_or_hangs_does_not_stop_a_read() {
    for mode in [Mode::Down, Mode::Hung] {
        let fleet = four();
        let client = fleet.client(Budget::default());
        let bytes = content(fleet.cast.record.geometry.full_extent_bytes() + 10);
        let claim = put(&client, &bytes).await;
        for node in 0..4 {
            fleet.set(node, mode);
            let read = get(&client, &claim, 0..bytes.len() as u64, ReadCheck::Default).await;
            assert!(read.unwrap() == bytes, "{mode:?} node {node}");
            fleet.set(node, Mode::Up);
        }
    }
}

#[tokio::test]
async fn a_liar_is_named_and_its_bytes_are_not_used() {
    let fleet = four();
    let told = Arc::new(Told::default());
    let client = fleet.client(Budget::default()).observed_by(told.clone());
    let bytes = content(500_000);
    let claim = put(&client, &bytes).await;
    for node in 0..4 {
        fleet.set(node, Mode::Lying);
        let read = get(&client, &claim, 0..500_000, ReadCheck::Strict).await.unwrap();
        assert!(read == bytes);
        fleet.set(node, Mode::Up);
    }
    let told = told.0.lock().unwrap();
    assert!(told.iter().any(|text| text.contains("sliver")), "{told:?}");
}

#[tokio::test]
async fn secondaries_are_enough_where_primaries_are_missing() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let bytes = content(700_001);
    let claim = put(&client, &bytes).await;
    for node in 0..3 {
        fleet.with(node, |holder| {
            let held = holder.blobs.values_mut().flat_map(|(_, extents)| extents.values_mut());
            held.for_each(|extent| extent.slivers.retain(|sliver| sliver.axis == Axis::Secondary));
        });
    }
    fleet.set(3, Mode::Down);
    compare(&client, &claim, &bytes, &[0..700_001, 200_000..200_001]).await;
}

#[tokio::test]
async fn too_few_slivers_are_an_error_that_says_how_many() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let claim = put(&client, &content(10)).await;
    for node in 0..3 {
        fleet.set(node, Mode::Lying);
    }
    let error = get(&client, &claim, 0..10, ReadCheck::Default).await.unwrap_err();
    let ReadError::NotEnoughSlivers { primaries, needed_primaries, failures, .. } = error else {
        panic!("{error}")
    };
    assert_eq!((primaries, needed_primaries), (1, 2));
    assert!(failures.iter().all(|failed| failed.node.as_str() != "node-3"), "{failures:?}");
    for node in 0..4 {
        fleet.set(node, Mode::Down);
    }
    let error = get(&client, &claim, 0..10, ReadCheck::Default).await.unwrap_err();
    assert!(matches!(error, ReadError::NoMetadata { .. }), "{error}");
}
