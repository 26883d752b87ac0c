//! Nodes and writers that lie: what they send is found out and named, and nothing wrong is handed on.
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

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use floe_api::{ErrorCode, NodeClient, Role};
use floe_client::{Observer, ReadCheck, ReadError};
use floe_model::{
    Axis, BlobId, Certificate, ClaimId, ExtentIndex, ExtentShape, NodeName, PairIndex,
};
use floe_tests::local::{Committee, Draft, DraftExtent, content, lie, read, resolve, until, write};

/// A blob of two extents in a committee of ten shards.
const TWO_EXTENTS_BYTES: usize = 9_000_001;

/// Remembers who was named, and for what.
#[derive(Default)]
struct Named(Mutex<BTreeMap<NodeName, Vec<String>>>);

impl Observer for Named {
    fn verification_failed(&self, node: &NodeName, what: &str) {
        self.0.lock().unwrap().entry(node.clone()).or_default().push(what.to_owned());
    }
}

impl Named {
    fn nodes(&self) -> BTreeSet<NodeName> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    /// Whether this was said of some node.
    fn said(&self, what: &str) -> bool {
        self.0.lock().unwrap().values().flatten().any(|said| said.contains(what))
    }
}

/// Nodes with this many shards.
fn owners_of(committee: &Committee, shards: usize) -> Vec<usize> {
    (0..committee.size()).filter(|&at| committee.shards(at) == shards).collect()
}

/// The pairs of a node, in the only extent of a draft.
fn pairs(committee: &Committee, draft: &Draft, at: usize) -> Vec<PairIndex> {
    let share = committee.share(&draft.extents[0], at);
    share.slivers.iter().map(|sliver| sliver.pair).collect::<BTreeSet<_>>().into_iter().collect()
}

async fn failures_by(committee: &Committee, at: usize, peer: usize) -> u64 {
    let label = format!("peer=\"{}\"", committee.node(peer));
    let metrics = committee.metrics(at).await;
    metrics.sum("floe_node_verification_failures_total", &[&label])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_lies_in_repair_is_named_and_repair_goes_on_with_others() {
    let mut committee = Committee::start("repair-liar", 7, 10).await;
    let client = committee.client();
    // With two shards the liar is asked for every primary: seven of the eight others are needed.
    let [away, liar] = owners_of(&committee, 2)[..2] else { panic!() };
    committee.stop(away).await;
    let bytes = content(1, TWO_EXTENTS_BYTES);
    let written = write(&client, committee.wish("a"), &bytes).await.unwrap();
    committee.settle().await;
    let slivers = 2 * 2 * committee.shards(liar);
    assert_eq!(lie(committee.volume(liar), &Axis::BOTH), slivers, "two extents");
    committee.restart(away).await;
    committee.holds_all(away, 1).await;

    for peer in (0..committee.size()).filter(|&peer| peer != away) {
        let failures = failures_by(&committee, away, peer).await;
        assert_eq!(failures > 0, peer == liar, "{failures} of {}", committee.node(peer));
    }
    let report = committee.report(away).await;
    let accused = format!("node {} sent what does not verify", committee.node(liar));
    assert!(
        report.last_errors.iter().any(|error| error.text.contains(&accused)),
        "{:?}",
        report.last_errors
    );
    // What was rebuilt is right: with f other shards away, the liar's not counted, it is needed.
    let named = Arc::new(Named::default());
    let client = committee.observed_client(Arc::clone(&named) as Arc<dyn Observer>);
    let one = owners_of(&committee, 1)[0];
    committee.stop(one).await;
    let (claim, _) = resolve(&client, "a").await.unwrap();
    assert_eq!(claim, written.claim);
    assert!(read(&client, &claim.body, ReadCheck::Strict).await.unwrap() == bytes);
    assert!(named.nodes().is_subset(&BTreeSet::from([committee.node(liar).clone()])));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_names_who_lies_about_primaries_and_about_secondaries() {
    let committee = Committee::start("read-liars", 7, 10).await;
    let named = Arc::new(Named::default());
    let client = committee.observed_client(Arc::clone(&named) as Arc<dyn Observer>);
    let draft_bytes = content(2, 700_000);
    let draft = committee.draft("a", &draft_bytes);
    let written = write(&client, committee.wish("a"), &draft_bytes).await.unwrap();
    assert_eq!(written.blob, draft.claim.body.blob);
    committee.settle().await;
    assert!(read(&client, &written.claim.body, ReadCheck::Default).await.unwrap() == draft_bytes);
    assert_eq!(named.nodes(), BTreeSet::new());

    // The owner of primary 0, which holds plain content, is asked first.
    let owns_first = |at: &usize| pairs(&committee, &draft, *at).contains(&PairIndex(0));
    let first = (0..committee.size()).find(owns_first).unwrap();
    lie(committee.volume(first), &[Axis::Primary]);
    for check in [ReadCheck::Default, ReadCheck::Strict] {
        assert!(read(&client, &written.claim.body, check).await.unwrap() == draft_bytes);
    }
    assert_eq!(named.nodes(), BTreeSet::from([committee.node(first).clone()]));
    assert!(named.said("primary sliver 0") && !named.said("secondary"));

    // Good primaries become too few to decode; of the secondaries up to f shards lie as well.
    let mut good = 10 - committee.shards(first);
    for at in (0..committee.size()).filter(|&at| at != first) {
        if good > 3 {
            lie(committee.volume(at), &[Axis::Primary]);
            good -= committee.shards(at);
        }
    }
    assert!(good < 4, "{good} good primaries");
    lie(committee.volume(first), &[Axis::Secondary]);
    for check in [ReadCheck::Default, ReadCheck::Strict] {
        assert!(read(&client, &written.claim.body, check).await.unwrap() == draft_bytes);
    }
    assert!(named.said("secondary sliver"));

    // Nothing is left that decodes: an error, not wrong bytes.
    for at in (0..committee.size()).filter(|&at| at != first) {
        lie(committee.volume(at), &[Axis::Secondary]);
    }
    let error = read(&client, &written.claim.body, ReadCheck::Default).await.unwrap_err();
    let ReadError::NotEnoughSlivers { primaries, secondaries, .. } = error else {
        panic!("{error}");
    };
    assert!(primaries < 4 && secondaries < 7);
}

/// The row that a lying writer commits to: systematic, so that readers hit on it.
const ROW: u16 = 1;

/// Content, and the same with one symbol of one row altered; an encoding in which primary `ROW` is
/// the altered one's and everything else the honest one's. Each sliver agrees with its root.
fn inconsistent(committee: &Committee, length: usize) -> (Draft, Vec<u8>, Vec<u8>) {
    let geometry = committee.geometry();
    let shape = ExtentShape::new(geometry, length).unwrap();
    assert_eq!(shape.stripes(), 1);
    let symbol = geometry.symbol_bytes(length);
    let honest = content(3, length);
    let mut altered = honest.clone();
    altered[usize::from(ROW) * geometry.columns() * symbol] ^= 1;
    let (mut extent, other) =
        (DraftExtent::encode(shape, &honest), DraftExtent::encode(shape, &altered));
    let key = (Axis::Primary, ROW);
    extent.slivers.insert(key, other.slivers[&key].clone());
    // Of each pair 64 bytes: the primary's root, then the secondary's.
    let root = usize::from(ROW) * 64..usize::from(ROW) * 64 + 32;
    extent.metadata[root.clone()].copy_from_slice(&other.metadata[root]);
    let claim = ClaimId(committee.draw_id());
    let draft = committee.draft_of(claim, "a", (honest.clone(), vec![extent]));
    (draft, honest, altered)
}

/// Hands the certificate to all running nodes.
async fn put_certificate(
    committee: &Committee,
    gateway: &NodeClient,
    (draft, certificate): (&Draft, &Certificate),
) {
    for at in committee.running() {
        let certified = draft.certified(certificate);
        gateway.put_certificate(&committee.target(at), &certified).await.unwrap();
    }
}

/// What a node says when it is asked for the blob's manifest.
async fn manifest_code(
    committee: &Committee,
    gateway: &NodeClient,
    (at, blob): (usize, BlobId),
) -> Option<ErrorCode> {
    let answer = gateway.manifest(&committee.target(at), blob).await;
    answer.err().map(|error| error.refusal().unwrap().code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_its_writer_encoded_wrongly_is_proven_and_never_read_as_other_bytes() {
    let mut committee = Committee::start("wrong-writer", 7, 10).await;
    let gateway = committee.caller(Role::Gateway);
    let (draft, _, _) = inconsistent(&committee, 500_000);
    let (blob, claim) = (draft.claim.body.blob, draft.claim.body.clone());
    // The owner of the wrong row confirms like all: what it got agrees with its roots. A node without
    // it misses the write, and needs that row's symbols or not, as the draw has it.
    let owns_row = |at: &usize| pairs(&committee, &draft, *at).contains(&PairIndex(ROW));
    let liar_row = (0..committee.size()).find(owns_row).unwrap();
    committee.stop(liar_row).await;
    let writers = committee.running();
    let certificate = committee.certify(&gateway, &draft, &writers).await;
    put_certificate(&committee, &gateway, (&draft, &certificate)).await;
    committee.settle().await;

    // Without the wrong row all primaries are the honest content's, which the id does not stand for.
    let client = committee.client();
    for check in [ReadCheck::Default, ReadCheck::Strict] {
        let error = read(&client, &claim, check).await.unwrap_err();
        assert!(matches!(error, ReadError::Inconsistent { .. }), "{error}");
    }

    // The owner of the row comes back and rebuilds it: all symbols are proven, the root is another.
    committee.restart(liar_row).await;
    let at = (liar_row, blob);
    until("the wrong blob to be frozen", || async {
        match manifest_code(&committee, &gateway, at).await {
            Some(ErrorCode::BlobInconsistent) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let sliver = (Axis::Secondary, pairs(&committee, &draft, liar_row)[0]);
    let (target, at) = (committee.target(liar_row), (blob, ExtentIndex(0)));
    let refused = gateway.sliver(&target, at, sliver, None).await.unwrap_err();
    assert_eq!(refused.refusal().unwrap().code, ErrorCode::BlobInconsistent);
    assert!(refused.to_string().contains("encoded wrongly by its writer"), "{refused}");
    // No peer is blamed for what the writer did.
    for peer in committee.running().into_iter().filter(|&peer| peer != liar_row) {
        assert_eq!(failures_by(&committee, liar_row, peer).await, 0);
    }
    // It stays frozen after a restart.
    committee.stop(liar_row).await;
    committee.restart(liar_row).await;
    committee.serves(liar_row).await;
    let frozen = manifest_code(&committee, &gateway, (liar_row, blob)).await;
    assert_eq!(frozen, Some(ErrorCode::BlobInconsistent));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_of_a_wrongly_encoded_blob_get_one_content_or_an_error() {
    let mut committee = Committee::start("one-content", 7, 10).await;
    let gateway = committee.caller(Role::Gateway);
    let (draft, honest, altered) = inconsistent(&committee, 500_000);
    let claim = draft.claim.body.clone();
    let all = committee.running();
    let certificate = committee.certify(&gateway, &draft, &all).await;
    put_certificate(&committee, &gateway, (&draft, &certificate)).await;
    let mut read_altered = 0;
    for without in all.iter().map(|&at| Some(at)).chain([None]) {
        if let Some(at) = without {
            committee.stop(at).await;
        }
        let client = committee.client();
        match read(&client, &claim, ReadCheck::Default).await {
            Ok(bytes) => {
                assert!(bytes != honest, "the id stands for the systematic slivers' content");
                assert!(bytes == altered);
                read_altered += 1;
            }
            Err(error) => assert!(matches!(error, ReadError::Inconsistent { .. }), "{error}"),
        }
        let strict = read(&client, &claim, ReadCheck::Strict).await.unwrap_err();
        assert!(matches!(strict, ReadError::Inconsistent { .. }), "{strict}");
        if let Some(at) = without {
            committee.restart(at).await;
        }
    }
    assert!(read_altered > 0, "with everybody there the systematic slivers are read");
}
