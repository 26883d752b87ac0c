//! The table itself.

use std::time::Duration;

use http::Method;

use super::{LARGEST_BODY_BYTES, Route, RouteSpec};
use crate::role::Role::{self, Gateway, Node, Operator, Repair};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;
/// Nothing is sent, or nothing but an error.
const NONE: usize = 0;
/// One statement, or a short report.
const SMALL: usize = 64 * KIB;
/// A node's report: buckets, not blobs.
const REPORT: usize = 256 * KIB;
/// Metadata of one extent.
const METADATA: usize = MIB;
/// A chain of records, a page of a catalog.
const PAGE: usize = 4 * MIB;
const BULK: usize = LARGEST_BODY_BYTES;

const QUICK: u64 = 10;
const LONG: u64 = 30;
/// Syncs the disk or waits for others' entries.
const WAITING: u64 = 60;

const ALL: &[Role] = &Role::ALL;
const READERS: &[Role] = &[Gateway, Node, Repair];

#[derive(Clone, Copy)]
struct Bounds {
    request_bytes: usize,
    response_bytes: usize,
    seconds: u64,
}

const fn spec(
    (route, name): (Route, &'static str),
    method: Method,
    path: &'static str,
    roles: &'static [Role],
    bounds: Bounds,
) -> RouteSpec {
    RouteSpec {
        route,
        name,
        method,
        path,
        roles,
        request_cap_bytes: bounds.request_bytes,
        response_cap_bytes: bounds.response_bytes,
        timeout: Duration::from_secs(bounds.seconds),
    }
}

const fn bounds(request_bytes: usize, response_bytes: usize, seconds: u64) -> Bounds {
    Bounds { request_bytes, response_bytes, seconds }
}

/// All routes of a storage node's port 7443, in the order of [`Route`].
pub static ROUTES: [RouteSpec; Route::ALL.len()] = [
    spec(
        (Route::Identity, "identity"),
        Method::GET,
        "/v1/identity",
        ALL,
        bounds(NONE, SMALL, QUICK),
    ),
    spec((Route::Report, "report"), Method::GET, "/v1/report", ALL, bounds(NONE, REPORT, QUICK)),
    spec((Route::Epoch, "epoch"), Method::GET, "/v1/epoch", ALL, bounds(NONE, PAGE, QUICK)),
    spec(
        (Route::PushEpoch, "push-epoch"),
        Method::PUT,
        "/v1/epoch",
        &[Operator, Gateway, Node],
        bounds(PAGE, SMALL, LONG),
    ),
    spec(
        (Route::OpenUpload, "open-upload"),
        Method::PUT,
        "/v1/uploads/{upload}",
        &[Gateway],
        bounds(SMALL, NONE, QUICK),
    ),
    spec(
        (Route::PutExtent, "put-extent"),
        Method::PUT,
        "/v1/uploads/{upload}/extents/{extent}",
        &[Gateway],
        bounds(BULK, NONE, LONG),
    ),
    spec(
        (Route::Finish, "finish"),
        Method::POST,
        "/v1/uploads/{upload}/finish",
        &[Gateway],
        bounds(BULK, SMALL, WAITING),
    ),
    spec(
        (Route::PutCertificate, "put-certificate"),
        Method::PUT,
        "/v1/claims/{claim}/certificate",
        &[Gateway, Operator, Node],
        bounds(SMALL, SMALL, LONG),
    ),
    spec(
        (Route::PutRelease, "put-release"),
        Method::PUT,
        "/v1/releases/{claim}",
        &[Gateway, Operator],
        bounds(SMALL, SMALL, LONG),
    ),
    spec(
        (Route::Close, "close"),
        Method::POST,
        "/v1/claims/{claim}/close",
        &[Gateway, Operator],
        bounds(NONE, SMALL, LONG),
    ),
    spec(
        (Route::Resolve, "resolve"),
        Method::GET,
        "/v1/namespaces/{namespace_uid}/blobs/{name}",
        &[Gateway, Node, Operator],
        bounds(NONE, PAGE, QUICK),
    ),
    spec(
        (Route::List, "list"),
        Method::GET,
        "/v1/namespaces/{namespace_uid}/blobs",
        &[Gateway],
        bounds(NONE, PAGE, QUICK),
    ),
    spec(
        (Route::Manifest, "manifest"),
        Method::GET,
        "/v1/blobs/{blob}/manifest",
        READERS,
        bounds(NONE, BULK, LONG),
    ),
    spec(
        (Route::Metadata, "metadata"),
        Method::GET,
        "/v1/blobs/{blob}/extents/{extent}/metadata",
        READERS,
        bounds(NONE, METADATA, QUICK),
    ),
    spec(
        (Route::Sliver, "sliver"),
        Method::GET,
        "/v1/blobs/{blob}/extents/{extent}/slivers/{axis}/{pair}",
        READERS,
        bounds(NONE, BULK, LONG),
    ),
    spec(
        (Route::Symbols, "symbols"),
        Method::POST,
        "/v1/blobs/{blob}/extents/{extent}/symbols",
        READERS,
        bounds(SMALL, BULK, LONG),
    ),
    spec(
        (Route::Holdings, "holdings"),
        Method::GET,
        "/v1/blobs/{blob}/holdings",
        READERS,
        bounds(NONE, METADATA, QUICK),
    ),
    spec(
        (Route::Changes, "changes"),
        Method::GET,
        "/v1/catalog/changes",
        &[Node, Gateway, Operator],
        bounds(NONE, PAGE, WAITING),
    ),
    spec(
        (Route::Cursor, "cursor"),
        Method::GET,
        "/v1/catalog/cursors/{node}",
        &[Node],
        bounds(NONE, SMALL, QUICK),
    ),
    spec(
        (Route::Digests, "digests"),
        Method::GET,
        "/v1/catalog/digests",
        &[Node, Operator],
        bounds(NONE, SMALL, QUICK),
    ),
    spec(
        (Route::Bucket, "bucket"),
        Method::GET,
        "/v1/catalog/buckets/{bucket}",
        &[Node, Operator],
        bounds(NONE, PAGE, QUICK),
    ),
    spec(
        (Route::Batch, "batch"),
        Method::POST,
        "/v1/batch",
        &[Node, Repair],
        bounds(MIB, BULK, LONG),
    ),
    spec(
        (Route::Lease, "lease"),
        Method::POST,
        "/v1/repair/leases",
        &[Repair],
        bounds(NONE, MIB, LONG),
    ),
    spec(
        (Route::RenewLease, "renew-lease"),
        Method::PUT,
        "/v1/repair/leases/{lease}",
        &[Repair],
        bounds(SMALL, SMALL, QUICK),
    ),
    spec(
        (Route::EndLease, "end-lease"),
        Method::DELETE,
        "/v1/repair/leases/{lease}",
        &[Repair],
        bounds(NONE, NONE, LONG),
    ),
    spec(
        (Route::PutRepaired, "put-repaired"),
        Method::PUT,
        "/v1/repair/leases/{lease}/blobs/{blob}/extents/{extent}",
        &[Repair],
        bounds(BULK, NONE, LONG),
    ),
];
