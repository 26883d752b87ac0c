//! What applications talk to: blobs by namespace and name over HTTPS, with a bearer token.
//!
//! | method, path | does |
//! |---|---|
//! | `PUT /v1/namespaces/{ns}/blobs/{name}` | writes: 201 when certified, 200 if the name has these bytes |
//! | `GET`, `HEAD` the same | reads, whole or one range |
//! | `DELETE` the same | releases; `?unfinished=true` frees a name from a write that never ended |
//! | `POST …/blobs/{name}/undelete` | brings back what was released |
//! | `GET …/blobs/{name}/status` | what is known of a blob |
//! | `GET /v1/namespaces/{ns}/blobs` | lists, paged |
//! | `GET /v1/status` | the committee as its nodes report it |
//!
//! Access is by namespace and name: a sender who may not use a namespace learns nothing of what is
//! in it. The gateway keeps no state; any number of them may run.
//!
//! Who may, and which claim a name has, is told by an [`Authenticator`] and by [`BlobObjects`]: on
//! Kubernetes the API server's reviews and its Blob objects ([`KubernetesReviews`],
//! [`KubernetesObjects`]), elsewhere a file and what the nodes hold ([`TokenFile`],
//! [`DerivedObjects`]). A PUT may show one of the operator's tickets instead of a token: it says which
//! claim the bytes are for.

mod app;
mod auth;
mod blobs;
mod delete;
mod gateway;
mod kubernetes;
mod metrics;
mod objects;
mod opening;
mod pace;
mod probes;
mod problem;
mod put;
mod range;
mod resolved;
mod status;
mod ticket;
mod undelete;

pub use auth::{AuthError, Authenticator, TokenFile, User, Verb};
pub use gateway::{Config, Gateway, StartError};
pub use kubernetes::{ApiServer, ConnectError, KubernetesObjects, KubernetesReviews};
pub use objects::{
    BlobObject, BlobObjects, DerivedObjects, FullName, ObjectError, ObjectState, Recency,
};
