//! Who asks, and whether they may. Kubernetes' reviews stand behind the same trait as a file of
//! tokens.

mod token_file;

use std::sync::Arc;

use floe_model::{BlobName, Namespace};
use futures::future::BoxFuture;

use crate::kubernetes::Identity;
pub use token_file::TokenFile;

/// Somebody whose token was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their name, for errors and logs.
    pub name: String,
    /// What decides what they may do.
    pub(crate) rights: Rights,
}

/// What decides what somebody may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rights {
    /// The namespaces they may use; `None` for all.
    Listed(Option<Vec<Namespace>>),
    /// The API server, asked about this identity.
    Reviewed(Arc<Identity>),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
    /// Read content.
    Get,
    /// Read what is known of a blob.
    Status,
    /// Write content.
    Update,
    /// Make a Blob object.
    Create,
    /// Release.
    Delete,
    /// List names.
    List,
}

impl Verb {
    /// As Kubernetes calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Get | Self::Status => "get",
            Self::Update => "update",
            Self::Create => "create",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// Why somebody is turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// There is no acceptable token.
    #[error("{0}")]
    Unauthenticated(String),
    /// The token is fine, the wish is not.
    #[error("{0}")]
    Forbidden(String),
    /// Nobody could be asked.
    #[error("tokens cannot be checked now: {0}")]
    Unavailable(String),
}

/// Decides over requests of applications.
pub trait Authenticator: Send + Sync {
    /// Who has this bearer token.
    fn authenticate<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<User, AuthError>>;

    /// Whether the user may do this.
    fn authorize<'a>(
        &'a self,
        user: &'a User,
        verb: Verb,
        namespace: &'a Namespace,
        name: Option<&'a BlobName>,
    ) -> BoxFuture<'a, Result<(), AuthError>>;
}
