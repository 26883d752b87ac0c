//! The one table of routes: who may call what, how large, how long.

pub mod call;
mod table;

use std::fmt;
use std::time::Duration;

use floe_model::CommitteeId;
use http::Method;

use crate::error::{ApiError, ErrorCode};
use crate::role::{Peer, Role};
pub use table::ROUTES;

/// Bytes of the largest body of any route.
pub const LARGEST_BODY_BYTES: usize = 32 * 1024 * 1024;

/// A route of a storage node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Route {
    /// Who the node is.
    Identity,
    /// How the node is.
    Report,
    /// The chain of epoch records.
    Epoch,
    /// Offers a chain of epoch records.
    PushEpoch,
    /// Opens an upload.
    OpenUpload,
    /// Brings one extent's metadata and slivers.
    PutExtent,
    /// Asks for the confirmation of a whole blob.
    Finish,
    /// Brings a certificate, asks for the acknowledgement.
    PutCertificate,
    /// Brings a release.
    PutRelease,
    /// Closes a claim, or gets its certificate.
    Close,
    /// All claims and releases of one name.
    Resolve,
    /// Claims and releases of a namespace, by rising name.
    List,
    /// A blob's manifest.
    Manifest,
    /// An extent's metadata.
    Metadata,
    /// A sliver of an extent.
    Sliver,
    /// Crossing symbols to rebuild a sliver from.
    Symbols,
    /// Which slivers of a blob the node holds.
    Holdings,
    /// The node's change feed.
    Changes,
    /// How far the node has read another node's feed.
    Cursor,
    /// Digests of the node's catalog, bucket by bucket.
    Digests,
    /// Live claims and releases of one bucket of the catalog, by rising claim id.
    Bucket,
    /// Several small calls in one request.
    Batch,
    /// Takes a lease of repair work.
    Lease,
    /// Renews a lease, with what was done since.
    RenewLease,
    /// Ends a lease.
    EndLease,
    /// Brings slivers that were rebuilt under a lease.
    PutRepaired,
}

impl Route {
    /// All routes, in the table's order.
    pub const ALL: [Self; 26] = [
        Self::Identity,
        Self::Report,
        Self::Epoch,
        Self::PushEpoch,
        Self::OpenUpload,
        Self::PutExtent,
        Self::Finish,
        Self::PutCertificate,
        Self::PutRelease,
        Self::Close,
        Self::Resolve,
        Self::List,
        Self::Manifest,
        Self::Metadata,
        Self::Sliver,
        Self::Symbols,
        Self::Holdings,
        Self::Changes,
        Self::Cursor,
        Self::Digests,
        Self::Bucket,
        Self::Batch,
        Self::Lease,
        Self::RenewLease,
        Self::EndLease,
        Self::PutRepaired,
    ];

    /// The route's line of the table.
    pub const fn spec(self) -> &'static RouteSpec {
        // The table has the routes in the order of the enum; a test holds it to that.
        &ROUTES[self as usize]
    }

    /// The route as metrics name it: "put-extent".
    pub const fn as_str(self) -> &'static str {
        self.spec().name
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct RouteSpec {
    /// The route.
    pub route: Route,
    /// The route as metrics name it.
    pub name: &'static str,
    /// The HTTP method.
    pub method: Method,
    /// The path with its parameters in braces, as axum writes it.
    pub path: &'static str,
    /// Who may call it.
    pub roles: &'static [Role],
    /// Bytes the request's body may have.
    pub request_cap_bytes: usize,
    /// Bytes the answer's body may have.
    pub response_cap_bytes: usize,
    /// How long the whole call may take, at either end.
    pub timeout: Duration,
}

/// Whether `peer` may use the route of a server of `committee`. `None` is a connection without a
/// certificate.
pub fn authorize(
    spec: &RouteSpec,
    peer: Option<&Peer>,
    committee: &CommitteeId,
) -> Result<(), ApiError> {
    let Some(peer) = peer else {
        return Err(ApiError::new(
            ErrorCode::Unauthenticated,
            format_args!("route {} wants a client certificate of committee {committee}", spec.name),
        ));
    };
    if peer.committee != *committee {
        return Err(ApiError::new(
            ErrorCode::Unauthenticated,
            format_args!(
                "the certificate is of committee {}, this server of {committee}: check the address",
                peer.committee
            ),
        ));
    }
    if spec.roles.contains(&peer.role) {
        return Ok(());
    }
    let roles: Vec<&str> = spec.roles.iter().map(|role| role.as_str()).collect();
    Err(ApiError::new(
        ErrorCode::ForbiddenRole,
        format_args!("{peer} may not use route {}: it is for {}", spec.name, roles.join(", ")),
    ))
}

#[cfg(test)]
mod tests;
