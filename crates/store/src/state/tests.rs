use floe_model::catalog::{BUCKETS, Bucket, BucketDigest};
use floe_model::keys::{RegistrarPublicKey, RegistrarSignature};
use floe_model::record::{NO_PARENT, Policy};
use floe_model::{
    Axis, BlobId, CatalogEntry, ClaimId, CommitProof, CommitteeId, EpochNumber, EpochRecord,
    ExtentIndex, PairIndex, RecordHash, SealedHead, ShardIndex, SignedRecord, Timestamp, UploadId,
    VolumeId,
};

use super::*;
use crate::BlobKey;
use crate::slivers::SliverAddress;
use crate::tests::fixture::{
    NAMESPACE, certified, claim, extent, extent_entry, geometry, name, permit, released, upload,
};

const AT: LogSpan = LogSpan { offset_bytes: 10, bytes: 5 };

fn state(entries: impl IntoIterator<Item = Entry>) -> State {
    let mut state = State::default();
    entries.into_iter().for_each(|entry| state.apply(&entry, AT));
    state
}

fn catalog(entries: impl IntoIterator<Item = CatalogEntry>) -> State {
    state(entries.into_iter().map(Entry::Catalog))
}

/// Everything released is still kept.
const FOR_EVER: Window = Window { now: Timestamp(0), ran_millis: 0, undelete_millis: u64::MAX };

fn window(ran_millis: u64, undelete_millis: u64) -> Window {
    Window { now: Timestamp(0), ran_millis, undelete_millis }
}

fn manifest(key: u64, blob: u8, length: u64) -> Entry {
    Entry::Manifest { key: BlobKey(key), blob: BlobId([blob; 32]), length, manifest: Vec::new() }
}

fn digests(state: &State) -> Vec<BucketDigest> {
    (0..BUCKETS).map(|bucket| state.digest(Bucket(bucket))).collect()
}

fn id(claim: u8) -> ClaimId {
    ClaimId([claim; 16])
}

fn record(number: u64) -> SignedRecord {
    SignedRecord {
        record: EpochRecord {
            committee: CommitteeId([1; 16]),
            number: EpochNumber(number),
            parent: NO_PARENT,
            forced: false,
            geometry: geometry(),
            policy: Policy::default(),
            registrars: Vec::new(),
            members: Vec::new(),
            unfilled: Vec::new(),
            wholes: Vec::new(),
        },
        key: RegistrarPublicKey([0; 32]),
        signature: RegistrarSignature([0; 64]),
    }
}

fn proof(record: RecordHash) -> Entry {
    let signature = floe_model::keys::NodeSignature([0; 96]);
    let proof = CommitProof { record, signers: Vec::new(), signature };
    Entry::Committed { proof: Box::new(proof), learnt: Timestamp(7) }
}

#[test]
fn records_are_known_accepted_and_committed() {
    let [zero, one, two] = [0, 1, 2].map(record);
    let hash = |record: &SignedRecord| record.record.hash();
    let known = |record: &SignedRecord| Entry::Record(Box::new(record.clone()));
    let mut state = state([Entry::Accepted(hash(&zero))]);
    assert_eq!((state.accepted(), state.genesis(), state.geometry()), (None, None, None));
    for entry in [known(&zero), known(&zero), known(&one), known(&two), proof(hash(&two))] {
        state.apply(&entry, AT);
    }
    assert_eq!(state.epochs().records().count(), 3);
    assert_eq!((state.genesis(), state.geometry()), (Some(hash(&zero)), Some(geometry())));
    assert_eq!(state.accepted(), None);
    state.apply(&Entry::Accepted(hash(&zero)), AT);
    state.apply(&Entry::Accepted(RecordHash([3; 32])), AT);
    assert_eq!(state.accepted().map(|(hash, _)| hash), Some(hash(&zero)));
    state.apply(&proof(hash(&one)), AT);
    assert_eq!(state.epochs().committed().map(|(hash, ..)| hash), Some(hash(&two)));
    assert!(state.epochs().proof(&hash(&zero)).is_none());
    let learnt = [zero, one, two].map(|record| state.committed_at(&hash(&record)));
    assert_eq!(learnt, [None, Some(Timestamp(7)), Some(Timestamp(7))]);
}

#[test]
fn a_key_lives_from_its_upload_to_its_expiry() {
    let encoded = extent(100, 0);
    let mut state = state([upload(0, 1)]);
    assert_eq!(state.next_key(), BlobKey(1));
    let opened = state.upload(&UploadId([1; 16])).unwrap();
    assert_eq!((opened.key, opened.opened), (BlobKey(0), Timestamp(5)));
    assert_eq!(opened.permit, permit(1));
    // The same upload again, under another key: the first one stands.
    state.apply(&upload(1, 1), AT);
    assert_eq!(state.upload(&UploadId([1; 16])).unwrap().key, BlobKey(0));

    state.apply(&extent_entry(0, 0, &encoded), AT);
    assert_eq!(state.blob(&BlobId([7; 32])), None);
    state.apply(&manifest(0, 7, 100), AT);
    let blob = BlobState { key: BlobKey(0), length: 100 };
    assert_eq!(state.blob(&BlobId([7; 32])), Some(blob));
    // Neither another manifest of the key nor another key of the blob changes that.
    state.apply(&manifest(0, 8, 200), AT);
    state.apply(&manifest(5, 7, 100), AT);
    assert_eq!(state.blob(&BlobId([7; 32])), Some(blob));
    assert_eq!(state.blob(&BlobId([8; 32])), None);
    assert_eq!(state.next_key(), BlobKey(6));

    state.apply(&Entry::Stable { key: BlobKey(0) }, AT);
    assert!(state.key(BlobKey(0)).unwrap().is_stable());
    state.apply(&Entry::Expired { key: BlobKey(5) }, AT);
    assert_eq!(state.blob(&BlobId([7; 32])), Some(blob));
    state.apply(&Entry::Expired { key: BlobKey(0) }, AT);
    assert_eq!(state.blob(&BlobId([7; 32])), None);
    assert!(state.upload(&UploadId([1; 16])).is_none());
    // What is gone never comes back.
    for entry in [
        upload(0, 2),
        extent_entry(0, 0, &encoded),
        manifest(0, 7, 100),
        Entry::Stable { key: BlobKey(0) },
        Entry::Expired { key: BlobKey(0) },
    ] {
        state.apply(&entry, AT);
        assert_eq!(state.keys().count(), 0, "{entry:?}");
        assert_eq!(state.uploads().count(), 0, "{entry:?}");
    }
}

fn sliver(extent: u32, pair: u16, axis: Axis) -> SliverAddress {
    SliverAddress { key: BlobKey(0), extent: ExtentIndex(extent), pair: PairIndex(pair), axis }
}

#[test]
fn holdings_follow_the_slivers() {
    let encoded = extent(100, 0);
    let mut state = state([upload(0, 1)]);
    assert!(!state.hold(&sliver(0, 0, Axis::Primary)), "no metadata");
    state.apply(&extent_entry(0, 0, &encoded), AT);
    let shape = encoded.metadata().shape();
    assert!(state.hold(&sliver(0, 3, Axis::Primary)));
    assert!(state.hold(&sliver(0, 3, Axis::Primary)));
    assert!(state.hold(&sliver(0, 1, Axis::Secondary)));
    assert!(state.hold(&sliver(0, 3, Axis::Secondary)));
    let both = shape.sliver_bytes(Axis::Primary) + 2 * shape.sliver_bytes(Axis::Secondary);
    assert_eq!((state.slivers_held(), state.bytes_held()), (3, both as u64));
    // The extent again: what is held stays.
    state.apply(&extent_entry(0, 0, &encoded), LogSpan::default());
    let known = state.key(BlobKey(0)).unwrap().extent(ExtentIndex(0)).unwrap();
    assert_eq!(known.metadata(), AT);
    let held: Vec<_> = known.held().collect();
    let (one, three) = (PairIndex(1), PairIndex(3));
    assert_eq!(held, [(one, Axis::Secondary), (three, Axis::Secondary), (three, Axis::Primary)]);
    state.unhold(&sliver(0, 1, Axis::Secondary));
    state.unhold(&sliver(0, 1, Axis::Secondary));
    assert_eq!(state.slivers_held(), 2);
    state.apply(&Entry::Expired { key: BlobKey(0) }, AT);
    assert_eq!((state.slivers_held(), state.bytes_held()), (0, 0));
    assert!(!state.hold(&sliver(0, 3, Axis::Primary)));
}

#[test]
fn what_is_missing_is_told_extent_by_extent() {
    let full = extent(geometry().full_extent_bytes(), 0);
    let length = geometry().full_extent_bytes() as u64 + 1;
    let mut state = state([upload(0, 1), extent_entry(0, 0, &full)]);
    let shards = [ShardIndex(2), ShardIndex(3)];
    let missing = |state: &State| -> Vec<MissingExtent> {
        state.key(BlobKey(0)).unwrap().missing(geometry(), &shards).collect()
    };
    let pairs = shards.map(|shard| geometry().pair_of_shard(full.metadata().first_stripe(), shard));
    let lacking = |axes: &[Axis]| {
        let of_axis = |&axis| pairs.map(|pair| (pair, axis));
        axes.iter().flat_map(of_axis).collect::<Vec<_>>()
    };
    let first =
        |axes: &[Axis]| MissingExtent { extent: ExtentIndex(0), slivers: Some(lacking(axes)) };
    assert_eq!(missing(&state), [first(&Axis::BOTH)]);
    // With the manifest it is known how many extents there should be.
    state.apply(&manifest(0, 7, length), AT);
    let second = MissingExtent { extent: ExtentIndex(1), slivers: None };
    assert_eq!(missing(&state), [first(&Axis::BOTH), second.clone()]);
    for pair in pairs {
        state.hold(&sliver(0, pair.0, Axis::Secondary));
    }
    assert_eq!(missing(&state), [first(&[Axis::Primary]), second.clone()]);
    for pair in pairs {
        state.hold(&sliver(0, pair.0, Axis::Primary));
    }
    assert_eq!(missing(&state), [second]);
    assert!(!state.holds_all(&BlobId([7; 32]), geometry(), &shards));
    let last = extent(1, 0);
    state.apply(&extent_entry(0, 1, &last), AT);
    for shard in shards {
        let pair = geometry().pair_of_shard(last.metadata().first_stripe(), shard);
        for axis in Axis::BOTH {
            assert!(!state.holds_all(&BlobId([7; 32]), geometry(), &shards));
            state.hold(&sliver(1, pair.0, axis));
        }
    }
    assert!(state.holds_all(&BlobId([7; 32]), geometry(), &shards));
    assert_eq!(missing(&state), []);
    assert!(!state.holds_all(&BlobId([7; 32]), geometry(), &[ShardIndex(0)]));
    assert!(!state.holds_all(&BlobId([8; 32]), geometry(), &[]), "no such blob");
}

#[test]
fn closings_go_one_way() {
    use Closing::{Closed, Open, Void};
    let closed = CatalogEntry::Closed { claim: id(1) };
    let void = CatalogEntry::ClosingVoid { claim: id(1) };
    for (entries, expected) in [
        (vec![], None),
        (vec![CatalogEntry::Binding { claim: id(1), blob: BlobId([1; 32]) }], Some(Open)),
        (vec![&closed].into_iter().cloned().collect(), Some(Closed)),
        (vec![closed.clone(), void.clone()], Some(Void)),
        (vec![void.clone(), closed.clone()], Some(Void)),
        (vec![void.clone(), void.clone()], Some(Void)),
    ] {
        let state = catalog(entries.clone());
        assert_eq!(state.claim(&id(1)).map(|claim| claim.closing), expected, "{entries:?}");
    }
    let state = catalog([void.clone()]);
    assert!(state.knows(&closed) && state.knows(&void));
    let state = catalog([closed.clone()]);
    assert!(state.knows(&closed) && !state.knows(&void));
}

#[test]
fn bindings_are_kept_all_and_once() {
    let bind = |blob| CatalogEntry::Binding { claim: id(1), blob: BlobId([blob; 32]) };
    let state = catalog([bind(1), bind(2), bind(1)]);
    let bindings = &state.claim(&id(1)).unwrap().bindings;
    assert_eq!(*bindings, [BlobId([1; 32]), BlobId([2; 32])]);
    assert!(state.knows(&bind(2)) && !state.knows(&bind(3)));
    assert_eq!(state.claims_of_blob(&BlobId([2; 32])).count(), 1);
    assert_eq!(state.claims_of_blob(&BlobId([3; 32])).count(), 0);
    assert_eq!(state.owed(FOR_EVER).count(), 0, "nothing is certified");
}

#[test]
fn releases_cover_claims_in_either_order() {
    // (released claim, its name, created), whether it covers claim 1 of "a", created at 10.
    for (release, covers) in [
        (released(1, "a", 10, 50), true),
        (released(2, "a", 11, 50), true),
        (released(2, "a", 10, 50), false),
        (released(2, "a", 9, 50), false),
        (released(2, "b", 99, 50), false),
        (released(1, "b", 10, 50), false),
    ] {
        let wanted = certified(claim(1, "a", 7, 10), 1);
        for entries in [[wanted.clone(), release.clone()], [release.clone(), wanted]] {
            let entries = entries.map(Entry::Catalog);
            let state = state([Entry::Ran { millis: 7 }].into_iter().chain(entries));
            let released = state.claim(&id(1)).unwrap().released;
            let expected = Released { signed: Timestamp(50), ran_millis: 7 };
            assert_eq!(released, covers.then_some(expected), "{release:?}");
            let covering = state.covering_release(&claim(1, "a", 7, 10));
            assert_eq!(covering.is_some(), covers, "{release:?}");
            assert_eq!(state.owed(window(18, 10)).count(), usize::from(!covers));
            assert_eq!(state.owed(window(17, 10)).count(), 1);
        }
    }
}

#[test]
fn the_release_stored_first_begins_the_window() {
    let mut state = State::default();
    for (millis, entry) in [
        (1, certified(claim(1, "a", 7, 10), 1)),
        (2, released(3, "a", 30, 80)),
        (3, released(2, "a", 20, 50)),
        (4, released(1, "a", 10, 90)),
        (5, released(3, "a", 31, 81)),
    ] {
        state.apply(&Entry::Ran { millis }, AT);
        state.apply(&Entry::Catalog(entry), AT);
    }
    let expected = Released { signed: Timestamp(50), ran_millis: 2 };
    assert_eq!(state.claim(&id(1)).unwrap().released, Some(expected));
    state.apply(&Entry::Ran { millis: 4 }, AT);
    assert_eq!(state.ran_millis(), 5, "time does not go back");
    assert_eq!(state.releases_of_name(&NAMESPACE, &name("a")).count(), 3);
}

#[test]
fn a_release_is_replaced_only_by_one_that_says_more() {
    let first = released(1, "a", 10, 50);
    for (other, replaces) in [
        (released(1, "a", 10, 50), false),
        (released(1, "a", 9, 99), false),
        (released(1, "a", 10, 51), true),
        (released(1, "a", 11, 1), true),
    ] {
        let mut state = catalog([first.clone()]);
        assert_eq!(state.knows(&other), !replaces, "{other:?}");
        state.apply(&Entry::Catalog(other.clone()), AT);
        let kept = state.releases_of_name(&NAMESPACE, &name("a")).next().unwrap();
        let CatalogEntry::Release(expected) = (if replaces { &other } else { &first }) else {
            panic!("a release")
        };
        assert_eq!(kept.body, expected.body);
    }
}

#[test]
fn a_claim_keeps_its_first_wish_and_its_newest_certificate() {
    let [zero, one] = [0, 1].map(record);
    let known = |record: &SignedRecord| Entry::Record(Box::new(record.clone()));
    let under = |claim, record: &SignedRecord| {
        let CatalogEntry::Claim(claim, mut certificate) = certified(claim, 0) else {
            panic!("a claim")
        };
        certificate.record = record.record.hash();
        CatalogEntry::Claim(claim, certificate)
    };
    let wish = claim(1, "a", 7, 10);
    let mut state = state([known(&zero), known(&one)]);
    let mut steps = vec![
        (under(wish.clone(), &zero), Some(&zero)),
        (under(wish.clone(), &zero), None),
        (certified(wish.clone(), 77), None),
        (under(claim(1, "a", 8, 10), &one), None),
        (under(claim(1, "b", 7, 10), &one), None),
        (under(wish.clone(), &one), Some(&one)),
        (under(wish, &zero), None),
    ];
    let mut held = None;
    for (entry, changes) in steps.drain(..) {
        assert_eq!(state.knows(&entry), changes.is_none(), "{entry:?}");
        state.apply(&Entry::Catalog(entry), AT);
        held = changes.or(held);
        let (claim, certificate) = state.claim(&id(1)).unwrap().certified.clone().unwrap();
        assert_eq!((claim.body.blob, claim.body.name.as_str()), (BlobId([7; 32]), "a"));
        assert_eq!(certificate.record, held.unwrap().record.hash());
    }
    assert_eq!(state.feed_head(), 7);
}

#[test]
fn names_rise_and_stop_at_the_limit() {
    let state = catalog([
        certified(claim(1, "b", 7, 10), 1),
        certified(claim(2, "a", 7, 10), 1),
        released(3, "c", 10, 50),
        certified(claim(4, "b", 8, 11), 1),
    ]);
    let names = |after: Option<&str>, limit| -> Vec<String> {
        let after = after.map(name);
        let names = state.names(&NAMESPACE, after.as_ref(), limit);
        names.into_iter().map(ToString::to_string).collect()
    };
    assert_eq!(names(None, 9), ["a", "b", "c"]);
    assert_eq!(names(None, 2), ["a", "b"]);
    assert_eq!(names(Some("a"), 1), ["b"]);
    assert_eq!(names(Some("aa"), 9), ["b", "c"]);
    assert_eq!(names(Some("c"), 9), [""; 0]);
    assert_eq!(state.claims_of_name(&NAMESPACE, &name("b")).count(), 2);
    assert_eq!(state.claims_of_name(&NAMESPACE, &name("c")).count(), 0);
}

#[test]
fn owed_is_each_blob_with_a_live_claim_once() {
    let mut state = catalog([
        certified(claim(1, "a", 7, 10), 1),
        certified(claim(2, "b", 7, 10), 1),
        certified(claim(3, "c", 8, 10), 1),
        released(1, "a", 10, 50),
        released(3, "c", 10, 50),
    ]);
    state.apply(&manifest(4, 7, 100), AT);
    let owed: Vec<_> = state.owed(window(1, 0)).collect();
    let seven = Owed { blob: BlobId([7; 32]), length: 100, key: Some(BlobKey(4)) };
    assert_eq!(owed, [seven]);
    let owed: Vec<_> = state.owed(FOR_EVER).collect();
    assert_eq!(owed, [seven, Owed { blob: BlobId([8; 32]), length: 100, key: None }]);
}

#[test]
fn a_new_volume_keeps_what_it_has_and_restores_only_what_others_keep_too() {
    let entries = [certified(claim(1, "a", 7, 10), 1), released(1, "a", 10, 50)];
    let state = state([Entry::Ran { millis: 7 }].into_iter().chain(entries.map(Entry::Catalog)));
    // (time of day, how long it ran), kept, restored: released at 50, heard of at 7, for 10.
    for (now, ran_millis, kept, restored) in
        [(50, 7, true, true), (60, 7, true, true), (61, 7, true, false), (60, 18, false, false)]
    {
        let window = Window { now: Timestamp(now), ran_millis, undelete_millis: 10 };
        let blob = BlobId([7; 32]);
        assert_eq!(state.wanted(&blob, &window).is_some(), kept, "{window:?}");
        assert_eq!(state.owes(&blob, &window).is_some(), restored, "{window:?}");
        assert_eq!(state.owed(window).count(), usize::from(restored), "{window:?}");
    }
}

#[test]
fn what_is_forgotten_leaves_no_trace() {
    let told = |state: &State| state.feed_spans(0).map(|(number, _)| number).collect::<Vec<_>>();
    let bind = |claim, blob| CatalogEntry::Binding { claim: id(claim), blob: BlobId([blob; 32]) };
    let mut state = catalog([
        bind(1, 7),
        certified(claim(1, "a", 7, 10), 1),
        certified(claim(2, "a", 7, 11), 1),
        released(1, "a", 10, 50),
        released(1, "a", 10, 50),
        CatalogEntry::Closed { claim: id(1) },
    ]);
    assert_eq!(told(&state), [1, 2, 3, 4, 6]);
    let name_a = name("a");
    let release = |claim| Entry::ForgottenRelease {
        namespace_uid: NAMESPACE,
        name: name("a"),
        claim: id(claim),
    };
    state.apply(&Entry::ForgottenClaim { claim: id(1) }, AT);
    state.apply(&Entry::ForgottenClaim { claim: id(9) }, AT);
    assert!(state.claim(&id(1)).is_none());
    assert_eq!(state.claims_of_blob(&BlobId([7; 32])).count(), 1);
    assert_eq!(state.claims_of_name(&NAMESPACE, &name_a).count(), 1);
    assert_eq!((told(&state), state.ended_names().count()), (vec![3, 4], 1));
    state.apply(&release(1), AT);
    state.apply(&release(9), AT);
    assert_eq!((told(&state), state.ended_names().count()), (vec![3], 0));
    assert!(state.covering_release(&claim(1, "a", 7, 10)).is_none());
    state.apply(&Entry::ForgottenClaim { claim: id(2) }, AT);
    assert!(state.names(&NAMESPACE, None, 9).is_empty());
    assert_eq!((told(&state), state.feed_head()), (vec![], 6), "numbers stay");
    assert_eq!(digests(&state), digests(&State::default()));
}

#[test]
fn equal_catalogs_have_equal_digests() {
    use floe_model::catalog::Bucket;
    let live = certified(claim(1, "a", 7, 10), 1);
    let same = certified(claim(1, "a", 7, 10), 2);
    let other = certified(claim(1, "a", 8, 10), 1);
    let ended = released(2, "a", 11, 50);
    let nothing = digests(&State::default());
    let of = |entries: &[&CatalogEntry]| digests(&catalog(entries.iter().copied().cloned()));
    assert_eq!(nothing.len(), 1024);
    assert_eq!(of(&[&live]), of(&[&same]), "whoever signed");
    for (one, two) in [
        (vec![], vec![&live]),
        (vec![&live], vec![&other]),
        (vec![&live], vec![&live, &ended]),
        (vec![&ended], vec![]),
    ] {
        assert_ne!(of(&one), of(&two), "{one:?}, {two:?}");
    }
    assert_eq!(of(&[&live, &ended]), of(&[&ended]), "what is released is left out");
    let state = catalog([live.clone(), certified(claim(3, "b", 9, 10), 1), ended.clone()]);
    let items = |claim: u8| state.bucket(Bucket::of(&id(claim)));
    assert!(matches!(&items(2)[..], [BucketItem::Release(_)]), "{:?}", items(2));
    assert!(matches!(&items(3)[..], [BucketItem::Live(..)]));
    assert_eq!(items(1), []);
    let differing = nothing.iter().zip(digests(&state)).filter(|(one, two)| *one != two).count();
    assert_eq!(differing, 2);
}

#[test]
fn an_expired_blob_takes_its_own_confirmations_along_and_no_others() {
    let blob = |blob| BlobId([blob; 32]);
    let confirmed = |claim, of| Entry::Confirmed {
        claim: id(claim),
        blob: blob(of),
        record: RecordHash([1; 32]),
        at: Timestamp(1),
    };
    let bind =
        |claim, of| Entry::Catalog(CatalogEntry::Binding { claim: id(claim), blob: blob(of) });
    let mut state = state([
        manifest(0, 7, 100),
        manifest(1, 8, 100),
        bind(1, 7),
        bind(1, 8),
        bind(2, 7),
        confirmed(1, 8),
        confirmed(2, 7),
        Entry::Expired { key: BlobKey(0) },
    ]);
    let held = |state: &State, claim| state.claim(&id(claim)).unwrap().confirmed.map(|it| it.blob);
    assert_eq!((held(&state, 1), held(&state, 2)), (Some(blob(8)), None));
    state.apply(&Entry::Expired { key: BlobKey(1) }, AT);
    assert_eq!(held(&state, 1), None);
}

#[test]
fn cursors_and_marks() {
    let node: NodeName = "node-2".parse().unwrap();
    let at = |sequence| FeedPosition { volume: VolumeId([2; 16]), sequence };
    let cursor = |sequence| Entry::Cursor { node: node.clone(), position: at(sequence) };
    let blob = BlobId([7; 32]);
    let mut state = state([cursor(5), cursor(3)]);
    assert_eq!((state.cursor(&node), state.cursors().len()), (Some(at(3)), 1));
    let head = |volume, sequence| SealedHead {
        position: FeedPosition { volume: VolumeId([volume; 16]), sequence },
        seal: [9; 32],
    };
    for (told, kept) in [(head(2, 6), 6), (head(2, 4), 6), (head(3, 1), 1)] {
        state.apply(&Entry::Head { node: node.clone(), head: told }, AT);
        assert_eq!(state.head_of(&node).map(|head| head.position.sequence), Some(kept));
    }
    assert!(!state.caught_up() && state.frozen(&blob).is_none());
    state.apply(&Entry::CaughtUp, AT);
    state.apply(&Entry::Frozen { blob, proof: Vec::new() }, AT);
    assert!(state.caught_up());
    assert_eq!(state.frozen(&blob), Some(AT));
}

#[test]
fn a_catalog_of_a_hundred_thousand_extents_is_looked_through_at_once() {
    // Not a timing: what is asserted is that nothing here is done per pair of blobs.
    let encoded = extent(2, 0);
    let mut state = State::default();
    for key in 0..10_000_u64 {
        let mut blob = [0; 32];
        blob[..8].copy_from_slice(&key.to_be_bytes());
        let blob = BlobId(blob);
        let length = 10 * geometry().full_extent_bytes() as u64;
        state.apply(&Entry::Manifest { key: BlobKey(key), blob, length, manifest: Vec::new() }, AT);
        for number in 0..10 {
            state.apply(&extent_entry(key, number, &encoded), AT);
        }
        let mut wish = claim(0, "a", 0, 10);
        (wish.blob, wish.length) = (blob, length);
        wish.claim.0[..8].copy_from_slice(&key.to_be_bytes());
        wish.name = name(&format!("blob-{key}"));
        state.apply(&Entry::Catalog(certified(wish, 1)), AT);
    }
    let shards = [ShardIndex(0), ShardIndex(3)];
    let missing: usize = state
        .owed(FOR_EVER)
        .filter_map(|owed| state.key(owed.key?))
        .flat_map(|under| under.missing(geometry(), &shards))
        .map(|extent| extent.slivers.map_or(0, |slivers| slivers.len()))
        .sum();
    assert_eq!(missing, 100_000 * 4);
}
