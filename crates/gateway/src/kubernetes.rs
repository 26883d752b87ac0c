//! A gateway inside Kubernetes: the API server says who may, and keeps the Blob objects.

mod answers;
mod namespaces;
mod objects;
mod reviews;
mod server;

pub use objects::KubernetesObjects;
pub(crate) use reviews::Identity;
pub use reviews::KubernetesReviews;
pub use server::{ApiServer, ConnectError};
