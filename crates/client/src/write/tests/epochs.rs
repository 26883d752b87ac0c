//! Writes, releases and reads while epoch records change.

use std::sync::Arc;

use bytes::Bytes;
use floe_model::{BlobName, EpochNumber, ShardIndex, SignedClaim};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::{body, content, four, wish};
use crate::budget::Budget;
use crate::tests::fixture::{Cast, Fleet, Mode, release_of};
use crate::write::WriteError;
use crate::{Client, ReadCheck, Resolution};

async fn read(client: &Client, claim: &SignedClaim) -> Vec<u8> {
    let range = 0..claim.body.length;
    let pieces = client.read(&claim.body, range, ReadCheck::Strict).await.unwrap();
    let pieces: Vec<Bytes> = pieces.try_collect().await.unwrap();
    pieces.concat()
}

#[tokio::test]
async fn an_upload_goes_on_under_the_record_that_it_was_opened_under() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let full = fleet.cast.record.geometry.full_extent_bytes();
    let bytes = content(full + 1000);
    let (changing, mut left) = (Arc::clone(&fleet), bytes.clone());
    let first = left.split_to(full);
    let sent = stream::iter([Ok(first)]).chain(stream::once(async move {
        let (_, place) = changing.replace(1, true);
        changing.set(1, Mode::Down);
        changing.accept([0, 2, 3], place);
        Ok(left)
    }));
    let written = client.write(wish("a", 1), sent).await.unwrap();
    assert_eq!(written.certificate.record, fleet.cast.record.hash());
    assert_eq!(written.certificate.signers.positions().collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(client.committee().newest().number, EpochNumber(1));
    assert!(read(&client, &written.claim).await == bytes);
}

#[tokio::test]
async fn a_certificate_of_replaced_volumes_is_made_anew_under_the_newest_record() {
    // V4: node 1 is alive and counts for lost; what its old volume confirms does not count.
    for length in [10, 300_000] {
        let fleet = four();
        let client = fleet.client(Budget::default());
        fleet.set(3, Mode::Down);
        let (renewed, place) = fleet.replace(1, true);
        fleet.accept([0, 2], place);
        let bytes = content(length);
        let written = client.write(wish("a", 1), body(&bytes)).await.unwrap();
        let newest = fleet.newest();
        assert_eq!(written.certificate.record, newest.hash());
        assert_eq!(written.certificate.verify(&newest, &written.claim.body), Ok(()));
        assert_eq!(written.claim.verify(&newest), Ok(()));
        assert_eq!(written.acknowledged_shards, 3);
        assert_eq!(fleet.with(renewed, |holder| holder.claims.len()), 1);
    }
}

#[tokio::test]
async fn nodes_that_know_the_newest_record_only_get_the_write_under_it() {
    for length in [10, 300_000] {
        let fleet = four();
        let client = fleet.client(Budget::default());
        let (_, place) = fleet.replace(1, true);
        fleet.set(1, Mode::Down);
        fleet.accept([0, 2, 3], place);
        (0..4).for_each(|node| fleet.with(node, |holder| holder.forgets = true));
        let bytes = content(length);
        let written = client.write(wish("a", 1), body(&bytes)).await.unwrap();
        assert_eq!(written.certificate.record, fleet.newest().hash());
        assert!(read(&client, &written.claim).await == bytes);
    }
}

#[tokio::test]
async fn a_record_that_is_not_committed_yet_is_waited_for() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let (_, place) = fleet.replace(1, false);
    fleet.set(1, Mode::Down);
    fleet.accept([0, 2, 3], place);
    (0..4).for_each(|node| fleet.with(node, |holder| holder.forgets = true));
    let bytes = content(10);
    let commit = async {
        fleet.until_refused(3).await;
        fleet.prove();
    };
    let (written, ()) = futures::join!(client.write(wish("a", 1), body(&bytes)), commit);
    assert_eq!(written.unwrap().certificate.record, fleet.newest().hash());
}

#[tokio::test]
async fn too_few_of_the_newest_record_are_an_error() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let (renewed, place) = fleet.replace(1, true);
    fleet.set(3, Mode::Down);
    fleet.set(renewed, Mode::Down);
    fleet.accept([0, 2], place);
    let error = client.write(wish("a", 1), body(&content(10))).await.unwrap_err();
    let WriteError::NotEnoughNodes(error) = error else { panic!("{error}") };
    assert_eq!((error.answered_shards, error.needed_shards), (2, 3));
}

#[tokio::test]
async fn what_a_replaced_volume_stored_is_asked_of_its_successor() {
    // V7: one node names a record that replaces another one of those who answered.
    let fleet = four();
    let client = fleet.client(Budget::default());
    fleet.set(1, Mode::Down);
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    fleet.set(1, Mode::Up);
    fleet.set(3, Mode::Down);
    let (renewed, place) = fleet.replace(1, false);
    fleet.accept([0], place);
    client.release(&release_of(&written.claim)).await.unwrap();
    assert_eq!(client.committee().newest().number, EpochNumber(0));
    assert_eq!(client.committee().named().number, EpochNumber(1));
    assert_eq!(fleet.with(renewed, |holder| holder.releases.len()), 1);
    fleet.set(renewed, Mode::Down);
    client.acknowledge(&written.claim, &written.certificate).await.unwrap_err();
    fleet.set(renewed, Mode::Up);
    client.acknowledge(&written.claim, &written.certificate).await.unwrap();
    assert_eq!(fleet.with(renewed, |holder| holder.claims.len()), 1);
}

#[tokio::test]
async fn a_record_counts_however_lately_its_node_was_asked_for_an_older_one() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    fleet.set(3, Mode::Down);
    for (number, node) in [(1, 1), (2, 2)] {
        let (_, place) = fleet.replace(node, false);
        fleet.accept([0], place);
        client.release(&release_of(&written.claim)).await.unwrap();
        assert_eq!(client.committee().named().number, EpochNumber(number));
    }
}

#[tokio::test]
async fn names_are_resolved_by_the_owners_of_the_newest_record() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    fleet.set(3, Mode::Down);
    let (renewed, place) = fleet.replace(1, true);
    fleet.accept([0, 2], place);
    // The old volume does not know of the release, and is not asked again.
    let operator = fleet.cast.operator.clone();
    let record = &fleet.cast.record;
    let release = release_of(&written.claim);
    let release = floe_model::Signed::sign(release, &record.committee, record.hash(), &operator);
    fleet.with(renewed, |holder| holder.releases.push(release));
    let name: BlobName = "a".parse().unwrap();
    let found = client.resolve(written.claim.body.namespace_uid, &name).await.unwrap();
    assert!(matches!(found, Resolution::Absent { last_release: Some(_) }), "{found:?}");
}

#[tokio::test]
async fn a_shard_that_moves_is_read_where_it_was() {
    for length in [1000, 300_000] {
        let fleet = four();
        let client = fleet.client(Budget::default());
        let bytes = content(length);
        let written = client.write(wish("a", 1), body(&bytes)).await.unwrap();
        let moved = Cast::moving(&fleet.cast.record, ShardIndex(3), 0);
        let place = fleet.propose(&moved, true);
        fleet.accept(0..4, place);
        assert!(client.refresh().await);
        assert_eq!(client.committee().newest().number, EpochNumber(1));
        fleet.set(1, Mode::Down);
        fleet.set(2, Mode::Down);
        assert!(read(&client, &written.claim).await == bytes);
        let other = Fleet::client(&fleet, Budget::default());
        assert!(read(&other, &written.claim).await == bytes, "a client that has not heard of it");
    }
}
