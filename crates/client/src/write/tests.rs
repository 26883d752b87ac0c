mod epochs;

use bytes::Bytes;
use floe_api::ErrorCode;
use floe_model::{ClaimId, NamespaceUid, Timestamp};
use futures::stream;

use super::*;
use crate::blob_id;
use crate::budget::Budget;
use crate::tests::fixture::{Fleet, Mode, Told, env};

pub(crate) fn wish(name: &str, claim: u8) -> Wish {
    Wish {
        namespace: "ns".parse().unwrap(),
        namespace_uid: NamespaceUid([4; 16]),
        name: name.parse().unwrap(),
        claim: ClaimId([claim; 16]),
        created: Timestamp(1_000),
        content_type: "text/plain".to_owned(),
    }
}

pub(crate) fn content(length: usize) -> Bytes {
    let byte = |at: usize| u8::try_from((at * 31 + at / 251 + at / 65_536) % 256).unwrap();
    (0..length).map(byte).collect()
}

pub(crate) fn body(
    bytes: &Bytes,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send + 'static + use<> {
    let mut bytes = bytes.clone();
    let mut pieces = Vec::new();
    while !bytes.is_empty() {
        pieces.push(Ok(bytes.split_to(bytes.len().min(100_000))));
    }
    stream::iter(pieces)
}

/// n = 4, f = 1, a shard each.
pub(crate) fn four() -> Arc<Fleet> {
    Fleet::new(4, &[1, 1, 1, 1])
}

#[tokio::test]
async fn a_small_blob_is_one_request_and_a_certificate() {
    let (fleet, bytes) = (four(), content(100_000));
    let client = fleet.client(Budget::default());
    let written = client.write(wish("a", 1), body(&bytes)).await.unwrap();
    assert_eq!((written.length, written.acknowledged_shards >= 3), (100_000, true));
    let record = client.committee().newest();
    assert_eq!(written.claim.verify(&record), Ok(()));
    assert_eq!(written.certificate.verify(&record, &written.claim.body), Ok(()));
    let digest: [u8; 32] = Sha256::digest(&bytes).into();
    assert_eq!(written.claim.body.policy.sha256, digest);
    assert_eq!((0..4).map(|node| fleet.with(node, |holder| holder.opened)).sum::<usize>(), 0);
}

#[tokio::test]
async fn the_id_does_not_depend_on_who_computes_it() {
    for shards in [4, 7] {
        let fleet = Fleet::new(shards, &vec![1; usize::from(shards)]);
        let client = fleet.client(Budget::default());
        let full = fleet.cast.record.geometry.full_stripe_bytes();
        for (number, length) in (0..).zip([0, 1, full - 1, full, full + 1, 3 * full]) {
            let bytes = content(length);
            let written = client.write(wish("a", number), body(&bytes)).await.unwrap();
            let id = blob_id(&env(), fleet.cast.record.geometry, body(&bytes)).await.unwrap();
            assert_eq!((written.blob, written.length), id);
        }
    }
}

#[tokio::test]
async fn one_silent_node_of_four_is_no_obstacle_two_are() {
    for mode in [Mode::Down, Mode::Hung, Mode::Refusing(ErrorCode::StorageFull)] {
        let (fleet, bytes) = (four(), content(300_000));
        let client = fleet.client(Budget::default());
        fleet.set(2, mode);
        let written = client.write(wish("a", 1), body(&bytes)).await.unwrap();
        assert_eq!(written.acknowledged_shards, 3, "{mode:?}");
    }
    for length in [1000, 300_000] {
        let fleet = four();
        let client = fleet.client(Budget::default());
        fleet.set(2, Mode::Down);
        fleet.set(0, Mode::Down);
        let error = client.write(wish("a", 1), body(&content(length))).await.unwrap_err();
        let WriteError::NotEnoughNodes(error) = error else { panic!("{error}") };
        assert_eq!((error.answered_shards, error.needed_shards), (2, 3));
        let named: Vec<_> = error.failures.iter().map(|failed| failed.node.as_str()).collect();
        assert_eq!(named, ["node-0", "node-2"]);
    }
}

#[tokio::test]
async fn a_certificate_that_one_node_knows_is_handed_on_before_anyone_is_told() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let written = client.write(wish("a", 1), body(&content(1000))).await.unwrap();
    for node in 0..4 {
        fleet.with(node, |holder| holder.claims.retain(|_| node == 0));
    }
    let acknowledged = client.acknowledge(&written.claim, &written.certificate).await.unwrap();
    let holders = (0..4).filter(|&node| fleet.with(node, |holder| !holder.claims.is_empty()));
    assert!(acknowledged >= 3 && holders.count() >= 3);
    fleet.set(1, Mode::Down);
    fleet.set(2, Mode::Down);
    let few = client.acknowledge(&written.claim, &written.certificate).await;
    assert!(matches!(few, Err(WriteError::NotEnoughNodes(_))), "{few:?}");
}

#[tokio::test]
async fn a_node_that_comes_back_gets_the_extents_that_follow() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let full = fleet.cast.record.geometry.full_extent_bytes();
    let bytes = content(full + 1000);
    fleet.set(3, Mode::Down);
    let (waking, mut left) = (Arc::clone(&fleet), bytes.clone());
    let first = left.split_to(full);
    let body = stream::iter([Ok(first)]).chain(stream::once(async move {
        waking.set(3, Mode::Up);
        Ok(left)
    }));
    let written = client.write(wish("a", 1), body).await.unwrap();
    let mut out = Vec::new();
    let mut read = client
        .read(&written.claim.body, 0..written.length, crate::ReadCheck::Strict)
        .await
        .unwrap();
    while let Some(piece) = read.next().await {
        out.extend_from_slice(&piece.unwrap());
    }
    assert!(out == bytes, "{} bytes of {}", out.len(), bytes.len());
}

#[tokio::test]
async fn a_refusal_counts_when_an_honest_node_must_be_among_those_who_gave_it() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    fleet.set(0, Mode::Refusing(ErrorCode::ClaimBound));
    client.write(wish("a", 1), body(&content(10))).await.unwrap();
    fleet.set(1, Mode::Refusing(ErrorCode::ClaimBound));
    let error = client.write(wish("a", 2), body(&content(10))).await.unwrap_err();
    assert!(matches!(error, WriteError::ClaimBound { claim: ClaimId([2, ..]), .. }), "{error}");
    fleet.set(0, Mode::Refusing(ErrorCode::StorageFull));
    fleet.set(1, Mode::Refusing(ErrorCode::StorageFull));
    let error = client.write(wish("a", 3), body(&content(300_000))).await.unwrap_err();
    assert!(matches!(error, WriteError::StorageFull(_)), "{error}");
}

#[tokio::test]
async fn the_chain_is_pushed_to_a_node_that_needs_it() {
    for length in [10, 300_000] {
        let fleet = four();
        let client = fleet.client(Budget::default());
        (0..3).for_each(|node| fleet.set(node, Mode::Behind));
        fleet.set(3, Mode::Down);
        let written = client.write(wish("a", 1), body(&content(length))).await.unwrap();
        assert_eq!(written.acknowledged_shards, 3);
    }
}

#[tokio::test]
async fn a_forged_confirmation_is_left_out_and_told() {
    let fleet = four();
    let told = Arc::new(Told::default());
    let client = fleet.client(Budget::default()).observed_by(told.clone());
    fleet.set(0, Mode::Lying);
    let written = client.write(wish("a", 1), body(&content(10))).await.unwrap();
    let signers: Vec<usize> = written.certificate.signers.positions().collect();
    assert_eq!(signers, [1, 2, 3]);
    fleet.set(1, Mode::Down);
    let error = client.write(wish("a", 2), body(&content(10))).await.unwrap_err();
    assert!(matches!(error, WriteError::NotEnoughNodes(_)), "{error}");
    assert!(told.0.lock().unwrap().iter().all(|text| text.starts_with("node-0: a confirmation")));
}

#[tokio::test]
async fn a_broken_body_and_a_missing_key_are_told() {
    let fleet = four();
    let client = fleet.client(Budget::default());
    let broken = stream::iter([Ok(content(10)), Err("connection lost".into())]);
    let error = client.write(wish("a", 1), broken).await.unwrap_err();
    assert_eq!(error.to_string(), "the body broke off: connection lost");
    let mut long = wish("a", 1);
    long.content_type = "x".repeat(256);
    let error = client.write(long, body(&content(10))).await.unwrap_err();
    assert!(matches!(error, WriteError::ContentType { length: 256 }), "{error}");
    let stranger = Client::over(
        env(),
        Arc::clone(&client.peers().nodes),
        Arc::clone(client.committee()),
        Some(fleet.cast.operator.clone()),
        Budget::default(),
    );
    let error = stranger.write(wish("a", 1), body(&content(10))).await.unwrap_err();
    assert!(matches!(error, WriteError::NotRegistrar), "{error}");
}

#[tokio::test]
async fn the_smallest_budget_is_enough_for_many_extents() {
    let fleet = four();
    let budget = Budget { receiving_bytes: 1, sending_bytes: 1, reading_bytes: 1 };
    let client = fleet.client(budget);
    let full = fleet.cast.record.geometry.full_extent_bytes();
    let bytes = content(2 * full + 5);
    let (one, other) = futures::join!(
        client.write(wish("a", 1), body(&bytes)),
        client.write(wish("b", 2), body(&bytes))
    );
    assert_eq!(one.unwrap().blob, other.unwrap().blob);
}
