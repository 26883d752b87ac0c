use floe_model::catalog::{BUCKETS, BucketDigest};
use floe_model::frame::write_frame;
use floe_model::keys::{NodePublicKey, NodeSignature, RegistrarKey};
use floe_model::record::{Member, NO_PARENT, Policy};
use floe_model::{
    Axis, BlobId, CatalogEntry, Certificate, Claim, ClaimId, CommitProof, CommitteeId,
    Confirmation, ContentPolicy, EpochNumber, EpochRecord, ExtentIndex, FeedPosition, Geometry,
    Incarnation, Layout, NamespaceUid, PairIndex, Permit, RecordHash, Release, SealedHead,
    ShardIndex, SignedRecord, Signers, Timestamp, UploadId, VolumeId,
};
use proptest::prelude::*;

use super::*;

const COMMITTEE: CommitteeId = CommitteeId([9; 16]);
const RECORD: RecordHash = RecordHash([8; 32]);
const SIGNATURE: NodeSignature = NodeSignature([7; 96]);

fn key() -> RegistrarKey {
    RegistrarKey::from_seed(&[1; 32])
}

fn claim(length: u64) -> floe_model::SignedClaim {
    let body = Claim {
        claim: ClaimId([1; 16]),
        namespace: "team-a".parse().unwrap(),
        namespace_uid: NamespaceUid([2; 16]),
        name: "weights".parse().unwrap(),
        blob: BlobId([3; 32]),
        length,
        policy: ContentPolicy { content_type: "text/plain".to_owned(), sha256: [4; 32] },
        created: Timestamp(5),
        signed: Timestamp(6),
    };
    floe_model::SignedClaim::sign(body, &COMMITTEE, RECORD, &key())
}

fn certified() -> CertifiedClaim {
    let claim = claim(77);
    let geometry = Geometry::of_shards(10).unwrap();
    let certificate = Certificate {
        confirmation: Confirmation::of(&claim.body, geometry),
        record: RECORD,
        signers: signers(),
        signature: SIGNATURE,
    };
    CertifiedClaim { claim, certificate }
}

fn signers() -> Signers {
    Signers::from_bytes(&[1, 0, 0, 0, 0b111]).unwrap()
}

fn release() -> floe_model::SignedRelease {
    let body = Release {
        claim: ClaimId([1; 16]),
        namespace_uid: NamespaceUid([2; 16]),
        name: "weights".parse().unwrap(),
        created: Timestamp(5),
        signed: Timestamp(6),
    };
    floe_model::SignedRelease::sign(body, &COMMITTEE, RECORD, &key())
}

fn permit() -> floe_model::SignedPermit {
    let body = Permit {
        upload: UploadId([1; 16]),
        claim: ClaimId([1; 16]),
        namespace_uid: NamespaceUid([2; 16]),
        name: "weights".parse().unwrap(),
        signed: Timestamp(6),
    };
    floe_model::SignedPermit::sign(body, &COMMITTEE, RECORD, &key())
}

/// As many members as a committee can have, so that the record outgrows a frame's head.
fn record() -> SignedRecord {
    let member = |position: u16| Member {
        node: format!("node-{position:03}").parse().unwrap(),
        incarnation: Incarnation(0),
        volume: VolumeId([5; 16]),
        address: "a".repeat(200),
        zone: "z".repeat(200),
        host: String::new(),
        key: NodePublicKey([6; 48]),
        possession: SIGNATURE,
        shards: vec![ShardIndex(position)],
    };
    let record = EpochRecord {
        committee: COMMITTEE,
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(256).unwrap(),
        policy: Policy::default(),
        registrars: Vec::new(),
        members: (0..256).map(member).collect(),
        unfilled: Vec::new(),
        wholes: Vec::new(),
    };
    let signature = key().sign(&SignedRecord::statement(&record));
    SignedRecord { record, key: key().public(), signature }
}

fn bytes(length: usize) -> Vec<u8> {
    (0..=252).cycle().take(length).collect()
}

/// What the receiver sees of what the sender wrote.
fn sliver(axis: Axis, pair: u16, length: usize) -> (Sliver<Vec<u8>>, Sliver<Received>) {
    let (pair, content) = (PairIndex(pair), bytes(length));
    let received = Sliver { axis, pair, bytes: Received::new(content.clone()) };
    (Sliver { axis, pair, bytes: content }, received)
}

fn extent(lengths: &[usize]) -> (Extent<Vec<u8>>, Extent<Received>) {
    let axis =
        |position: usize| if position.is_multiple_of(2) { Axis::Primary } else { Axis::Secondary };
    let slivers = lengths.iter().enumerate();
    let (sent, received) =
        slivers.map(|(position, &length)| sliver(axis(position), 250, length)).unzip();
    let metadata = bytes(640);
    (
        Extent { length_bytes: 5, metadata: metadata.clone(), slivers: sent },
        Extent { length_bytes: 5, metadata: Received::new(metadata), slivers: received },
    )
}

/// One body of every route, with a reader that says whether a body is one of them.
type Reads = fn(&[u8]) -> bool;

fn reads<T: Decode>(body: &[u8]) -> bool {
    T::decode(body).is_ok()
}

fn every_body() -> Vec<(&'static str, Bytes, Reads)> {
    let (sent, _) = extent(&[10, 70_000]);
    let inline = InlineExtent { permit: permit(), extent: sent.clone() };
    let finish =
        Finish { claim: claim(77), manifest: bytes(32), adopts: None, inline: Some(inline) };
    let digests = || Digests(vec![BucketDigest([7; 16]); usize::from(BUCKETS)]);
    let symbols = Symbols {
        sources: vec![SymbolsOf {
            axis: Axis::Primary,
            index: 4,
            symbols: bytes(64),
            proofs: Some(bytes(9)),
        }],
    };
    vec![
        ("chain", chain().encode(), reads::<Chain>),
        ("acceptance", Encode::encode(&acceptance()), reads::<floe_model::Acceptance>),
        ("permit", Encode::encode(&permit()), reads::<floe_model::SignedPermit>),
        ("extent", sent.encode(), reads::<Extent<Received>>),
        ("finish", finish.encode(), reads::<Finish<Received>>),
        ("digests", digests().encode(), reads::<Digests>),
        ("finished", confirmed().encode(), reads::<FinishAnswer>),
        ("certified", certified().encode(), reads::<CertifiedClaim>),
        ("release", Encode::encode(&release()), reads::<floe_model::SignedRelease>),
        ("closing", Closing::Closed.encode(), reads::<Closing>),
        ("statements", statements().encode(), reads::<Statements>),
        ("manifest", Manifest { length: 1, bytes: bytes(9) }.encode(), reads::<Manifest<Received>>),
        ("metadata", Metadata(bytes(9)).encode(), reads::<Metadata<Received>>),
        ("sliver", sliver(Axis::Primary, 1, 99).0.encode(), reads::<Sliver<Received>>),
        ("symbols", symbols.encode(), reads::<Symbols<Received>>),
        ("changes", changes().encode(), reads::<Changes>),
        ("batch", batch().encode(), reads::<Batch>),
        ("batch answer", batch_answer().encode(), reads::<BatchAnswer>),
    ]
}

fn batch() -> Batch {
    let wanted = SymbolsWanted { axis: Axis::Primary, index: 3, proofs: true, sources: None };
    let blob = BlobId([3; 32]);
    let symbols = crate::Call::Symbols { blob, extent: ExtentIndex(2) };
    let metadata = crate::Call::Metadata { blob, extent: ExtentIndex(0) };
    let parts = [(symbols, wanted.encode()), (metadata, Bytes::new())];
    Batch { parts: parts.map(|(call, body)| Part { call, body }).to_vec() }
}

fn batch_answer() -> BatchAnswer {
    BatchAnswer { answers: vec![Ok(bytes(7).into()), Err(ApiError::not_found("nothing"))] }
}

#[test]
fn batches_come_back_and_take_few_routes() {
    assert_eq!(Batch::decode(&batch().encode()), Ok(batch()));
    assert_eq!(BatchAnswer::decode(&batch_answer().encode()), Ok(batch_answer()));
    let part = Part { call: crate::Call::Epoch { after: None }, body: Bytes::new() };
    let error = Batch::decode(&Batch { parts: vec![part] }.encode()).unwrap_err().to_string();
    assert!(error.contains("route epoch does not come in batches"), "{error}");
    let many = Batch { parts: vec![batch().parts[1].clone(); Batch::MOST_PARTS + 1] };
    assert!(Batch::decode(&many.encode()).is_err());
}

fn chain() -> Chain {
    let record = record();
    let proof =
        CommitProof { record: record.record.hash(), signers: Vec::new(), signature: SIGNATURE };
    Chain {
        links: vec![
            ChainLink { record: record.clone(), proof: Some(proof) },
            ChainLink { record, proof: None },
        ],
    }
}

fn acceptance() -> floe_model::Acceptance {
    floe_model::Acceptance {
        record: RECORD,
        node: "node-1".parse().unwrap(),
        incarnation: Incarnation(2),
        signature: SIGNATURE,
    }
}

fn confirmed() -> FinishAnswer {
    FinishAnswer::Confirmed(Confirmed {
        node: "node-1".parse().unwrap(),
        incarnation: Incarnation(2),
        record: RECORD,
        signature: SIGNATURE,
    })
}

fn statements() -> Statements {
    let items = vec![
        NameStatement::Certified(Box::new(certified())),
        NameStatement::Release(Box::new(release())),
    ];
    Statements { items, complete: false }
}

fn changes() -> Changes {
    let (claim, blob) = (ClaimId([1; 16]), BlobId([2; 32]));
    let CertifiedClaim { claim: signed, certificate } = certified();
    let entries = [
        CatalogEntry::Claim(Box::new(signed), Box::new(certificate)),
        CatalogEntry::Release(Box::new(release())),
        CatalogEntry::Binding { claim, blob },
        CatalogEntry::Closed { claim },
        CatalogEntry::ClosingVoid { claim },
    ];
    let change = |(entry, sequence)| Change { sequence, entry };
    Changes {
        head: FeedPosition { volume: VolumeId([3; 16]), sequence: 11 },
        accepted: EpochHint { number: EpochNumber(6), hash: RecordHash([7; 32]) },
        seal: [5; 32],
        entries: entries.into_iter().zip(7..).map(change).collect(),
    }
}

#[track_caller]
fn comes_back<T: Encode + Decode + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(T::decode(&value.encode()).as_ref(), Ok(value));
}

#[test]
fn a_long_chain_comes_in_pages() {
    let link = chain().links.remove(0);
    let mut long = link.clone();
    let member = long.record.record.members[0].clone();
    long.record.record.members = vec![member; 250];
    assert!(long.bytes() * 60 > CHAIN_PAGE_BYTES);
    let whole = Chain { links: vec![long; 120] };
    let pages: Vec<Chain> = whole.pages().collect();
    assert!(pages.len() > 1 && pages.len() < 10, "{}", pages.len());
    for page in &pages {
        let cap = crate::Route::PushEpoch.spec().request_cap_bytes;
        assert!(!page.links.is_empty() && page.encode().len() < cap);
    }
    let back: Vec<ChainLink> = pages.into_iter().flat_map(|page| page.links).collect();
    assert_eq!(back, whole.links);
    assert_eq!(Chain::default().pages().count(), 0);
    assert_eq!(Chain { links: vec![link] }.pages().count(), 1);
}

#[test]
fn messages_come_back() {
    comes_back(&chain());
    comes_back(&Chain::default());
    comes_back(&acceptance());
    comes_back(&permit());
    comes_back(&confirmed());
    comes_back(&FinishAnswer::Rebuilding { missing_slivers: 3, retry_after_seconds: 2 });
    comes_back(&certified());
    comes_back(&release());
    comes_back(&Closing::Closed);
    comes_back(&Closing::Certified(Box::new(certified())));
    comes_back(&statements());
    comes_back(&Statements { items: Vec::new(), complete: true });
    comes_back(&changes());
    for sources in [None, Some(vec![4, 7])] {
        comes_back(&SymbolsWanted { axis: Axis::Secondary, index: 9, proofs: true, sources });
    }
    comes_back(&CertificateAnswer { state: Acknowledgement::Incomplete, missing_slivers: 4 });
    comes_back(&ReleaseAnswer { state: ReleaseState::Stored });
    comes_back(&CursorAnswer { head: None });
    let digest = |bucket: u16| BucketDigest([bucket.to_le_bytes()[0]; 16]);
    comes_back(&Digests((0..BUCKETS).map(digest).collect()));
    let short = Digests(vec![BucketDigest::default(); 1023]).encode();
    assert!(matches!(Digests::decode(&short), Err(MessageError::Layout { .. })));
    let head = SealedHead { position: changes().head, seal: changes().seal };
    comes_back(&CursorAnswer { head: Some(head) });
    comes_back(&Holdings {
        extents: vec![ExtentHoldings {
            extent: ExtentIndex(1),
            primary: vec![PairIndex(2)],
            secondary: vec![],
        }],
    });
    comes_back(&());
    let hint = EpochHint { number: EpochNumber(3), hash: RECORD };
    assert_eq!(hint.to_string().parse(), Ok(hint));
}

#[test]
fn answers_have_their_statuses() {
    assert_eq!(confirmed().response().status(), 200);
    let rebuilding = FinishAnswer::Rebuilding { missing_slivers: 3, retry_after_seconds: 2 };
    let response = rebuilding.response();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["retry-after"]),
        (202, &"2".parse().unwrap())
    );
}

#[test]
fn a_finish_whose_manifest_is_of_another_length_is_refused() {
    let mut body = Vec::new();
    write_frame(&mut body, MessageKind::Claim as u16, &[], &claim(77).to_bytes());
    write_frame(&mut body, MessageKind::Manifest as u16, &78_u64.to_le_bytes(), b"m");
    let error = Finish::decode(&body).unwrap_err().to_string();
    assert!(error.contains("78") && error.contains("77"), "{error}");
}

#[test]
fn sequences_must_rise_up_to_the_head() {
    for sequences in [[3, 3], [4, 3], [0, 1], [3, 12]] {
        let mut changes = changes();
        changes.entries.truncate(2);
        for (change, sequence) in changes.entries.iter_mut().zip(sequences) {
            change.sequence = sequence;
        }
        assert!(Changes::decode(&changes.encode()).is_err(), "{sequences:?}");
    }
}

#[test]
fn frames_that_do_not_belong_are_named() {
    let stray = Encode::encode(&release());
    for (name, body, reads) in every_body() {
        let behind = [&body[..], &stray].concat();
        assert!(!reads(&behind), "{name} with a frame behind it");
        if name != "release" {
            assert!(!reads(&stray), "{name} of another kind");
        }
        assert!(reads(&body), "{name}");
    }
    let error = <floe_model::Acceptance as Decode>::decode(&stray).unwrap_err();
    let wanted = MessageError::Kind { position: 0, found: 0x106, wanted: "acceptance" };
    assert_eq!(error, wanted);
}

#[test]
fn announced_lengths_take_no_memory() {
    for payload_bytes in [u64::MAX, 1 << 40, 32 << 20] {
        let mut body = b"FLOE".to_vec();
        for field in [1_u16, MessageKind::Sliver as u16] {
            body.extend_from_slice(&field.to_le_bytes());
        }
        body.extend_from_slice(&0_u32.to_le_bytes());
        body.extend_from_slice(&payload_bytes.to_le_bytes());
        body.extend_from_slice(&[0; 64]);
        let error = Sliver::<Received>::decode(&body).unwrap_err();
        assert!(matches!(error, MessageError::Frame { position: 0, .. }), "{error}");
    }
}

#[test]
fn frames_are_counted() {
    let mut body = FrameBytes::default();
    for _ in 0..=MOST_FRAMES {
        body.0.extend_from_slice(&body.1);
    }
    assert_eq!(Symbols::decode(&body.0), Err(MessageError::TooManyFrames));
}

struct FrameBytes(Vec<u8>, Vec<u8>);

impl Default for FrameBytes {
    fn default() -> Self {
        let mut frame = Vec::new();
        write_frame(&mut frame, MessageKind::Symbols as u16, &[0, 0, 0], &[]);
        Self(Vec::new(), frame)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn content_comes_back(
        lengths in prop::collection::vec(
            prop::sample::select(vec![0, 1, 65_536, 65_537, 200_000]), 0..6),
        inline in any::<bool>(),
        proofs in prop::option::of(0_usize..100_000),
        length in any::<u64>(),
    ) {
        let (sent, received) = extent(&lengths);
        prop_assert_eq!(Extent::decode(&sent.encode()), Ok(received.clone()));
        let manifest = bytes(lengths.len() * 32);
        let finish = |manifest, extent| Finish {
            claim: claim(length),
            manifest,
            adopts: (!inline).then_some(ClaimId([8; 16])),
            inline: Some(InlineExtent { permit: permit(), extent }).filter(|_| inline),
        };
        let body = finish(manifest.clone(), sent).encode();
        let wanted = Finish {
            claim: claim(length),
            manifest: Received::new(manifest),
            adopts: (!inline).then_some(ClaimId([8; 16])),
            inline: Some(InlineExtent { permit: permit(), extent: received }).filter(|_| inline),
        };
        prop_assert_eq!(Finish::decode(&body), Ok(wanted));
        let symbols = Symbols {
            sources: lengths.iter().map(|&length| SymbolsOf {
                axis: Axis::Secondary, index: 3, symbols: bytes(length), proofs: proofs.map(bytes),
            }).collect(),
        };
        let wanted = Symbols {
            sources: lengths.iter().map(|&length| SymbolsOf {
                axis: Axis::Secondary,
                index: 3,
                symbols: Received::new(bytes(length)),
                proofs: proofs.map(|length| Received::new(bytes(length))),
            }).collect(),
        };
        prop_assert_eq!(Symbols::decode(&symbols.encode()), Ok(wanted));
    }

    #[test]
    fn no_changed_bit_and_no_cut_inside_a_frame_passes(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let bodies = every_body();
        let (name, body, reads) = &bodies[which.index(bodies.len())];
        let mut body = body.to_vec();
        let at = at.index(body.len());
        body[at] ^= 1 << bit;
        prop_assert!(!reads(&body), "{} with bit {} of byte {} changed", name, bit, at);
        let is_frame_end = floe_model::frame::Frame::read_all(&body[..at], LARGEST).is_ok();
        prop_assert!(is_frame_end || !reads(&body[..at]), "{} cut at {}", name, at);
    }

    #[test]
    fn anything_is_survived(
        kinds in prop::collection::vec((0xfe_u16..0x114, 0_usize..40, 0_usize..40), 0..8),
        tail in prop::collection::vec(any::<u8>(), 0..64),
        fill in any::<u8>(),
    ) {
        let mut body = Vec::new();
        for (kind, head, payload) in kinds {
            write_frame(&mut body, kind, &vec![fill; head], &vec![fill; payload]);
        }
        body.extend_from_slice(&tail);
        for (_, _, reads) in every_body() {
            reads(&body);
        }
        let _ = SymbolsWanted::decode(&body);
    }
}

const LARGEST: usize = crate::route::LARGEST_BODY_BYTES;
