use floe_model::VolumeId;

use super::*;

fn every_call() -> Vec<Call> {
    let (upload, claim) = (UploadId([1; 16]), ClaimId([2; 16]));
    let (namespace_uid, blob) = (NamespaceUid([3; 16]), BlobId([0xfb; 32]));
    let (lease, boot) = (LeaseId([5; 16]), BootId([6; 16]));
    let extent = ExtentIndex(7);
    let name: BlobName = "weights.v2-a".parse().unwrap();
    let span = Span { first: 3, count: 2 };
    let after = FeedPosition { volume: VolumeId([4; 16]), sequence: 12 };
    vec![
        Call::Identity,
        Call::Report,
        Call::Epoch { after: None },
        Call::Epoch { after: Some(EpochNumber(8)) },
        Call::PushEpoch,
        Call::OpenUpload { upload },
        Call::PutExtent { upload, extent },
        Call::Finish { upload },
        Call::PutCertificate { claim },
        Call::PutRelease { claim },
        Call::Close { claim },
        Call::Resolve { namespace_uid, name: name.clone(), released: false },
        Call::Resolve { namespace_uid, name: name.clone(), released: true },
        Call::List { namespace_uid, after: None, limit: 5 },
        Call::List { namespace_uid, after: Some(name), limit: 1000 },
        Call::Manifest { blob },
        Call::Metadata { blob, extent },
        Call::Sliver { blob, extent, axis: Axis::Primary, pair: PairIndex(9), stripes: None },
        Call::Sliver {
            blob,
            extent,
            axis: Axis::Secondary,
            pair: PairIndex(0),
            stripes: Some(span),
        },
        Call::Symbols { blob, extent },
        Call::Holdings { blob, extents: span },
        Call::Changes { after: None, wait_millis: 0 },
        Call::Changes { after: Some(after), wait_millis: 30_000 },
        Call::Cursor { node: "node-1".parse().unwrap() },
        Call::Digests,
        Call::Bucket { bucket: Bucket(1023), after: None },
        Call::Bucket { bucket: Bucket(0), after: Some(ClaimId([9; 16])) },
        Call::Batch,
        Call::Lease,
        Call::RenewLease { lease, boot },
        Call::EndLease { lease, boot },
        Call::PutRepaired { lease, boot, blob, extent },
    ]
}

fn parse(method: &Method, text: &str) -> Result<Call, ApiError> {
    let uri: http::Uri = text.parse().unwrap();
    Call::parse(method, uri.path(), uri.query())
}

#[test]
fn every_call_comes_back_from_its_path() {
    let calls = every_call();
    for route in Route::ALL {
        assert!(calls.iter().any(|call| call.route() == route), "{route} has no case");
    }
    for call in calls {
        let text = call.path_and_query();
        assert!(!text.contains('{') && !text.contains("//"), "{text}");
        assert_eq!(parse(&call.spec().method, &text), Ok(call), "{text}");
    }
}

#[test]
fn other_paths_are_refused() {
    let blob = BlobId([0; 32]);
    let uid = NamespaceUid([0; 16]);
    for (method, path, code) in [
        (Method::GET, "/".to_owned(), ErrorCode::NotFound),
        (Method::GET, "/v1".to_owned(), ErrorCode::NotFound),
        (Method::GET, "/v1/identity/".to_owned(), ErrorCode::NotFound),
        (Method::GET, "/v2/identity".to_owned(), ErrorCode::NotFound),
        (Method::GET, "/v1/blobs/../identity".to_owned(), ErrorCode::NotFound),
        (Method::DELETE, "/v1/epoch".to_owned(), ErrorCode::MethodNotAllowed),
        (Method::GET, "/v1/blobs/short/manifest".to_owned(), ErrorCode::Malformed),
        (Method::GET, "/v1/blobs//manifest".to_owned(), ErrorCode::Malformed),
        (Method::GET, format!("/v1/blobs/{blob}/extents/-1/metadata"), ErrorCode::Malformed),
        (
            Method::GET,
            format!("/v1/blobs/{blob}/extents/4294967296/metadata"),
            ErrorCode::Malformed,
        ),
        (Method::GET, format!("/v1/blobs/{blob}/extents/0/slivers/up/0"), ErrorCode::Malformed),
        (
            Method::GET,
            format!("/v1/blobs/{blob}/extents/0/slivers/primary/0?first=1"),
            ErrorCode::Malformed,
        ),
        (
            Method::GET,
            format!("/v1/blobs/{blob}/extents/0/slivers/primary/0?first=1&count=0"),
            ErrorCode::Malformed,
        ),
        (Method::GET, format!("/v1/namespaces/{uid}/blobs/a%2Fb"), ErrorCode::Malformed),
        (Method::GET, format!("/v1/namespaces/{uid}/blobs?after=.."), ErrorCode::Malformed),
        (Method::GET, "/v1/catalog/changes?after=7".to_owned(), ErrorCode::Malformed),
        (Method::GET, "/v1/catalog/cursors/A".to_owned(), ErrorCode::Malformed),
        (Method::GET, "/v1/catalog/buckets/1024".to_owned(), ErrorCode::Malformed),
        (Method::GET, "/v1/catalog/buckets/-1".to_owned(), ErrorCode::Malformed),
    ] {
        let error = parse(&method, &path).unwrap_err();
        assert_eq!(error.code, code, "{method} {path}: {error}");
    }
}

#[test]
fn what_is_asked_for_is_bounded() {
    let uid = NamespaceUid([0; 16]);
    let blob = BlobId([0; 32]);
    let get = |path: String| parse(&Method::GET, &path).unwrap();
    let list = |limit| Call::List { namespace_uid: uid, after: None, limit };
    assert_eq!(get(format!("/v1/namespaces/{uid}/blobs")), list(MOST_LISTED_NAMES));
    assert_eq!(
        get(format!("/v1/namespaces/{uid}/blobs?limit=4000000000")),
        list(MOST_LISTED_NAMES)
    );
    assert_eq!(get(format!("/v1/namespaces/{uid}/blobs?limit=0")), list(1));
    let extents = Span { first: 0, count: MOST_HOLDINGS_EXTENTS };
    assert_eq!(get(format!("/v1/blobs/{blob}/holdings")), Call::Holdings { blob, extents });
    assert_eq!(
        get(format!("/v1/blobs/{blob}/holdings?first=0&count=99999")),
        Call::Holdings { blob, extents }
    );
    assert_eq!(
        get("/v1/catalog/changes?wait_millis=99999999".to_owned()),
        Call::Changes { after: None, wait_millis: LONGEST_WAIT_MILLIS }
    );
    assert_eq!(Span { first: u32::MAX, count: u32::MAX }.range().len(), u32::MAX as usize);
}
