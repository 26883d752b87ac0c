//! Blob objects: which claim id a name has, and since when. With an API server it keeps them;
//! without one they are derived from what the nodes hold.

mod derived;

use std::fmt;

use floe_model::{BlobName, ClaimId, Namespace, NamespaceUid, SignedRelease, Timestamp};
use futures::future::BoxFuture;

pub use derived::DerivedObjects;

/// A name with its namespace, as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullName {
    /// The namespace.
    pub namespace: Namespace,
    /// Its UID: a namespace made anew under the same name is another one.
    pub namespace_uid: NamespaceUid,
    /// The blob's name.
    pub name: BlobName,
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The Blob object behind a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlobObject {
    /// Its UID.
    pub claim: ClaimId,
    /// When it was created.
    pub created: Timestamp,
    /// What may be done with it.
    pub state: ObjectState,
    /// Whether its content stays when it goes.
    pub keeps_content: bool,
    /// The media type that it promises.
    pub content_type: Option<String>,
    /// The SHA-256 that it promises.
    pub sha256: Option<[u8; 32]>,
}

/// What may be done with a Blob object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectState {
    /// There is none: it is what any sender would make.
    Implied,
    /// It takes the bytes that somebody PUTs.
    Uploaded,
    /// It gets its bytes from elsewhere, as this field says.
    Imported(&'static str),
    /// It is being deleted.
    Leaving,
}

/// How old an answer may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recency {
    /// As old as what is kept of namespaces: to read.
    Kept,
    /// Asked for now: to change something.
    Now,
}

/// Why there is no object, or none that may be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ObjectError {
    /// The namespace is missing.
    #[error("there is no namespace {0}")]
    NoNamespace(Namespace),
    /// The committee does not take this namespace's blobs, or the API server refuses the object.
    #[error("{0}")]
    Forbidden(String),
    /// It is kept by another committee.
    #[error("{0}")]
    OtherCommittee(String),
    /// The API server calls the object invalid.
    #[error("{0}")]
    Invalid(String),
    /// The API server cannot be asked.
    #[error("Blob objects cannot be reached now: {0}")]
    Unavailable(String),
}

/// Where Blob objects come from.
pub trait BlobObjects: Send + Sync {
    /// The UID of a namespace whose blobs the committee takes.
    fn namespace_uid<'a>(
        &'a self,
        namespace: &'a Namespace,
        recency: Recency,
    ) -> BoxFuture<'a, Result<NamespaceUid, ObjectError>>;

    /// The object of a name. `last_release` is the newest release of the name that nodes hold.
    fn find<'a>(
        &'a self,
        name: &'a FullName,
        last_release: Option<&'a SignedRelease>,
        now: Timestamp,
    ) -> BoxFuture<'a, Result<Option<BlobObject>, ObjectError>>;

    /// Makes the object of a name; `None` if there is one by now.
    fn create<'a>(
        &'a self,
        name: &'a FullName,
        content_type: &'a str,
    ) -> BoxFuture<'a, Result<Option<BlobObject>, ObjectError>>;

    /// Deletes the object with this UID, should the name still have it.
    fn delete<'a>(
        &'a self,
        name: &'a FullName,
        claim: ClaimId,
    ) -> BoxFuture<'a, Result<(), ObjectError>>;
}
