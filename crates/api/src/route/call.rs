//! A route with its parameters: written by clients, read by servers, both from the table.

use std::fmt;
use std::str::FromStr;

use floe_model::catalog::{BUCKETS, Bucket};
use floe_model::{
    Axis, BlobId, BlobName, BootId, ClaimId, EpochNumber, ExtentIndex, FeedPosition, LeaseId,
    NamespaceUid, NodeName, PairIndex, UploadId,
};
use http::Method;

use super::{ROUTES, Route, RouteSpec};
use crate::error::{ApiError, ErrorCode};

/// Names that one page of a list has at most.
pub const MOST_LISTED_NAMES: u32 = 1000;
/// Extents that one page of holdings has at most.
pub const MOST_HOLDINGS_EXTENTS: u32 = 1024;
/// How long a long poll waits at most, in milliseconds.
pub const LONGEST_WAIT_MILLIS: u64 = 30_000;

/// Consecutive things of a numbered row: stripes of an extent, extents of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub first: u32,
    /// How many, at least 1.
    pub count: u32,
}

impl Span {
    /// As a range of numbers; may reach beyond the end of the row.
    pub fn range(self) -> std::ops::Range<usize> {
        let first = usize::try_from(self.first).unwrap_or(usize::MAX);
        first..first.saturating_add(usize::try_from(self.count).unwrap_or(usize::MAX))
    }
}

/// A route with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// [`Route::Identity`].
    Identity,
    /// [`Route::Report`].
    Report,
    /// [`Route::Epoch`].
    Epoch {
        /// Only records with a higher number; `None` for all.
        after: Option<EpochNumber>,
    },
    /// [`Route::PushEpoch`].
    PushEpoch,
    /// [`Route::OpenUpload`].
    OpenUpload {
        /// The upload.
        upload: UploadId,
    },
    /// [`Route::PutExtent`].
    PutExtent {
        /// The upload.
        upload: UploadId,
        /// The extent of its blob.
        extent: ExtentIndex,
    },
    /// [`Route::Finish`].
    Finish {
        /// The upload.
        upload: UploadId,
    },
    /// [`Route::PutCertificate`].
    PutCertificate {
        /// The claim.
        claim: ClaimId,
    },
    /// [`Route::PutRelease`].
    PutRelease {
        /// The claim.
        claim: ClaimId,
    },
    /// [`Route::Close`].
    Close {
        /// The claim.
        claim: ClaimId,
    },
    /// [`Route::Resolve`].
    Resolve {
        /// The namespace.
        namespace_uid: NamespaceUid,
        /// The name in it.
        name: BlobName,
        /// Claims that a release covers are to be shown too, to be undeleted.
        released: bool,
    },
    /// [`Route::List`].
    List {
        /// The namespace.
        namespace_uid: NamespaceUid,
        /// Only names behind this one.
        after: Option<BlobName>,
        /// Names at most, 1 to [`MOST_LISTED_NAMES`] (the default).
        limit: u32,
    },
    /// [`Route::Manifest`].
    Manifest {
        /// The blob.
        blob: BlobId,
    },
    /// [`Route::Metadata`].
    Metadata {
        /// The blob.
        blob: BlobId,
        /// The extent.
        extent: ExtentIndex,
    },
    /// [`Route::Sliver`].
    Sliver {
        /// The blob.
        blob: BlobId,
        /// The extent.
        extent: ExtentIndex,
        /// Which sliver of the pair.
        axis: Axis,
        /// The pair.
        pair: PairIndex,
        /// Only these stripes of the extent; `None` for all.
        stripes: Option<Span>,
    },
    /// [`Route::Symbols`].
    Symbols {
        /// The blob.
        blob: BlobId,
        /// The extent.
        extent: ExtentIndex,
    },
    /// [`Route::Holdings`].
    Holdings {
        /// The blob.
        blob: BlobId,
        /// These extents, at most [`MOST_HOLDINGS_EXTENTS`] (the default, from 0).
        extents: Span,
    },
    /// [`Route::Changes`].
    Changes {
        /// Only entries behind this one; `None` for all of the volume that there is now.
        after: Option<FeedPosition>,
        /// How long to wait for an entry, at most [`LONGEST_WAIT_MILLIS`].
        wait_millis: u64,
    },
    /// [`Route::Cursor`].
    Cursor {
        /// Whose feed it is.
        node: NodeName,
    },
    /// [`Route::Digests`].
    Digests,
    /// [`Route::Bucket`].
    Bucket {
        /// Which bucket.
        bucket: Bucket,
        /// Only claim ids behind this one.
        after: Option<ClaimId>,
    },
    /// [`Route::Batch`].
    Batch,
    /// [`Route::Lease`].
    Lease,
    /// [`Route::RenewLease`].
    RenewLease {
        /// The lease.
        lease: LeaseId,
        /// The start of the node under which it was given.
        boot: BootId,
    },
    /// [`Route::EndLease`].
    EndLease {
        /// The lease.
        lease: LeaseId,
        /// The start of the node under which it was given.
        boot: BootId,
    },
    /// [`Route::PutRepaired`].
    PutRepaired {
        /// The lease.
        lease: LeaseId,
        /// The start of the node under which it was given.
        boot: BootId,
        /// The blob.
        blob: BlobId,
        /// The extent of it.
        extent: ExtentIndex,
    },
}

impl Call {
    /// The route.
    pub const fn route(&self) -> Route {
        match self {
            Self::Identity => Route::Identity,
            Self::Report => Route::Report,
            Self::Epoch { .. } => Route::Epoch,
            Self::PushEpoch => Route::PushEpoch,
            Self::OpenUpload { .. } => Route::OpenUpload,
            Self::PutExtent { .. } => Route::PutExtent,
            Self::Finish { .. } => Route::Finish,
            Self::PutCertificate { .. } => Route::PutCertificate,
            Self::PutRelease { .. } => Route::PutRelease,
            Self::Close { .. } => Route::Close,
            Self::Resolve { .. } => Route::Resolve,
            Self::List { .. } => Route::List,
            Self::Manifest { .. } => Route::Manifest,
            Self::Metadata { .. } => Route::Metadata,
            Self::Sliver { .. } => Route::Sliver,
            Self::Symbols { .. } => Route::Symbols,
            Self::Holdings { .. } => Route::Holdings,
            Self::Changes { .. } => Route::Changes,
            Self::Cursor { .. } => Route::Cursor,
            Self::Digests => Route::Digests,
            Self::Bucket { .. } => Route::Bucket,
            Self::Batch => Route::Batch,
            Self::Lease => Route::Lease,
            Self::RenewLease { .. } => Route::RenewLease,
            Self::EndLease { .. } => Route::EndLease,
            Self::PutRepaired { .. } => Route::PutRepaired,
        }
    }

    /// The route's line of the table.
    pub const fn spec(&self) -> &'static RouteSpec {
        self.route().spec()
    }

    /// Path and query, as they stand in a request. Nothing in them needs escaping.
    pub fn path_and_query(&self) -> String {
        let mut path = String::new();
        for segment in self.spec().path.split('/').skip(1) {
            path.push('/');
            match parameter(segment) {
                Some(name) => path.push_str(&self.value(name)),
                None => path.push_str(segment),
            }
        }
        let query = self.query();
        for (position, (key, value)) in query.iter().enumerate() {
            path.push(if position == 0 { '?' } else { '&' });
            path.push_str(key);
            path.push('=');
            path.push_str(value);
        }
        path
    }

    fn value(&self, name: &str) -> String {
        match (self, name) {
            (
                Self::OpenUpload { upload }
                | Self::PutExtent { upload, .. }
                | Self::Finish { upload },
                "upload",
            ) => upload.to_string(),
            (
                Self::PutExtent { extent, .. }
                | Self::Metadata { extent, .. }
                | Self::Sliver { extent, .. }
                | Self::Symbols { extent, .. }
                | Self::PutRepaired { extent, .. },
                "extent",
            ) => extent.to_string(),
            (
                Self::PutCertificate { claim } | Self::PutRelease { claim } | Self::Close { claim },
                "claim",
            ) => claim.to_string(),
            (
                Self::Resolve { namespace_uid, .. } | Self::List { namespace_uid, .. },
                "namespace_uid",
            ) => namespace_uid.to_string(),
            (Self::Resolve { name, .. }, "name") => name.to_string(),
            (
                Self::Manifest { blob }
                | Self::Metadata { blob, .. }
                | Self::Sliver { blob, .. }
                | Self::Symbols { blob, .. }
                | Self::Holdings { blob, .. }
                | Self::PutRepaired { blob, .. },
                "blob",
            ) => blob.to_string(),
            (Self::Sliver { axis, .. }, "axis") => axis.to_string(),
            (Self::Sliver { pair, .. }, "pair") => pair.to_string(),
            (Self::Cursor { node }, "node") => node.to_string(),
            (Self::Bucket { bucket, .. }, "bucket") => bucket.0.to_string(),
            (
                Self::RenewLease { lease, .. }
                | Self::EndLease { lease, .. }
                | Self::PutRepaired { lease, .. },
                "lease",
            ) => lease.to_string(),
            _ => String::new(),
        }
    }

    fn query(&self) -> Vec<(&'static str, String)> {
        let span = |span: &Span| {
            vec![("first", span.first.to_string()), ("count", span.count.to_string())]
        };
        match self {
            Self::Epoch { after: Some(after) } => vec![("after", after.to_string())],
            Self::List { after, limit, .. } => {
                let after = after.iter().map(|name| ("after", name.to_string()));
                after.chain([("limit", limit.to_string())]).collect()
            }
            Self::Resolve { released: true, .. } => vec![("released", true.to_string())],
            Self::Bucket { after: Some(after), .. } => vec![("after", after.to_string())],
            Self::Sliver { stripes: Some(stripes), .. } => span(stripes),
            Self::Holdings { extents, .. } => span(extents),
            Self::Changes { after, wait_millis } => {
                let after = after.iter().map(|after| ("after", after.to_string()));
                after.chain([("wait_millis", wait_millis.to_string())]).collect()
            }
            Self::RenewLease { boot, .. }
            | Self::EndLease { boot, .. }
            | Self::PutRepaired { boot, .. } => vec![("boot", boot.to_string())],
            _ => Vec::new(),
        }
    }

    /// Reads a request's method, path and query.
    pub fn parse(method: &Method, path: &str, query: Option<&str>) -> Result<Self, ApiError> {
        let mut found = None;
        for spec in &ROUTES {
            if let Some(values) = match_path(spec.path, path) {
                if spec.method == *method {
                    return Self::of(
                        spec.route,
                        &Values { path: values, query: query.unwrap_or("") },
                    );
                }
                found = Some(spec);
            }
        }
        Err(match found {
            Some(spec) => ApiError::new(
                ErrorCode::MethodNotAllowed,
                format_args!("{} has no method {method}", spec.path),
            ),
            None => ApiError::not_found("there is no such route"),
        })
    }

    fn of(route: Route, values: &Values<'_>) -> Result<Self, ApiError> {
        Ok(match route {
            Route::Identity => Self::Identity,
            Route::Report => Self::Report,
            Route::Epoch => Self::Epoch { after: values.query("after")?.map(EpochNumber) },
            Route::PushEpoch => Self::PushEpoch,
            Route::OpenUpload => Self::OpenUpload { upload: values.path("upload")? },
            Route::PutExtent => {
                Self::PutExtent { upload: values.path("upload")?, extent: values.extent()? }
            }
            Route::Finish => Self::Finish { upload: values.path("upload")? },
            Route::PutCertificate => Self::PutCertificate { claim: values.path("claim")? },
            Route::PutRelease => Self::PutRelease { claim: values.path("claim")? },
            Route::Close => Self::Close { claim: values.path("claim")? },
            Route::Resolve => Self::Resolve {
                namespace_uid: values.path("namespace_uid")?,
                name: values.path("name")?,
                released: values.query("released")?.unwrap_or(false),
            },
            Route::List => Self::List {
                namespace_uid: values.path("namespace_uid")?,
                after: values.query("after")?,
                limit: values
                    .query("limit")?
                    .unwrap_or(MOST_LISTED_NAMES)
                    .clamp(1, MOST_LISTED_NAMES),
            },
            Route::Manifest => Self::Manifest { blob: values.path("blob")? },
            Route::Metadata => {
                Self::Metadata { blob: values.path("blob")?, extent: values.extent()? }
            }
            Route::Sliver => Self::Sliver {
                blob: values.path("blob")?,
                extent: values.extent()?,
                axis: values.axis()?,
                pair: PairIndex(values.path("pair")?),
                stripes: values.span()?,
            },
            Route::Symbols => {
                Self::Symbols { blob: values.path("blob")?, extent: values.extent()? }
            }
            Route::Holdings => {
                let all = Span { first: 0, count: MOST_HOLDINGS_EXTENTS };
                let Span { first, count } = values.span()?.unwrap_or(all);
                let extents = Span { first, count: count.min(MOST_HOLDINGS_EXTENTS) };
                Self::Holdings { blob: values.path("blob")?, extents }
            }
            Route::Changes => Self::Changes {
                after: values.query("after")?,
                wait_millis: values.query("wait_millis")?.unwrap_or(0).min(LONGEST_WAIT_MILLIS),
            },
            Route::Cursor => Self::Cursor { node: values.path("node")? },
            Route::Digests => Self::Digests,
            Route::Bucket => {
                Self::Bucket { bucket: values.bucket()?, after: values.query("after")? }
            }
            Route::Batch => Self::Batch,
            Route::Lease => Self::Lease,
            Route::RenewLease => {
                Self::RenewLease { lease: values.path("lease")?, boot: values.boot()? }
            }
            Route::EndLease => {
                Self::EndLease { lease: values.path("lease")?, boot: values.boot()? }
            }
            Route::PutRepaired => Self::PutRepaired {
                lease: values.path("lease")?,
                boot: values.boot()?,
                blob: values.path("blob")?,
                extent: values.extent()?,
            },
        })
    }
}

/// The name of a `{parameter}`.
fn parameter(segment: &str) -> Option<&str> {
    segment.strip_prefix('{')?.strip_suffix('}')
}

/// The parameters of `path`, if it is of the form of `template`.
fn match_path<'a>(template: &'static str, path: &'a str) -> Option<Vec<(&'static str, &'a str)>> {
    let mut values = Vec::new();
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(values),
            (Some(wanted), Some(given)) => match parameter(wanted) {
                Some(name) => values.push((name, given)),
                None if wanted == given => {}
                None => return None,
            },
            _ => return None,
        }
    }
}

struct Values<'a> {
    path: Vec<(&'static str, &'a str)>,
    query: &'a str,
}

impl Values<'_> {
    fn path<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, ApiError> {
        let value = self.path.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        parse(name, value.unwrap_or_default())
    }

    fn query<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<Option<T>, ApiError> {
        let mut pairs = self.query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).map(|(_, value)| parse(name, value)).transpose()
    }

    fn extent(&self) -> Result<ExtentIndex, ApiError> {
        self.path("extent").map(ExtentIndex)
    }

    fn boot(&self) -> Result<BootId, ApiError> {
        self.query("boot")?.ok_or_else(|| ApiError::malformed("boot: it is missing"))
    }

    fn bucket(&self) -> Result<Bucket, ApiError> {
        let bucket = Bucket(self.path("bucket")?);
        let refused = || ApiError::malformed(format_args!("bucket: there are {BUCKETS}, from 0"));
        (bucket.0 < BUCKETS).then_some(bucket).ok_or_else(refused)
    }

    fn axis(&self) -> Result<Axis, ApiError> {
        let text: String = self.path("axis")?;
        let known = Axis::BOTH.into_iter().find(|axis| axis.to_string() == text);
        known.ok_or_else(|| ApiError::malformed("axis: it is \"primary\" or \"secondary\""))
    }

    fn span(&self) -> Result<Option<Span>, ApiError> {
        match (self.query("first")?, self.query("count")?) {
            (None, None) => Ok(None),
            (_, Some(0)) => Err(ApiError::malformed("count: it is at least 1")),
            (Some(first), Some(count)) => Ok(Some(Span { first, count })),
            _ => Err(ApiError::malformed("first and count stand together or not at all")),
        }
    }
}

fn parse<T: FromStr<Err: fmt::Display>>(name: &str, value: &str) -> Result<T, ApiError> {
    value.parse().map_err(|error| ApiError::malformed(format_args!("{name}: {error}")))
}

#[cfg(test)]
mod tests;
