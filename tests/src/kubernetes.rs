//! Real Kubernetes for the family `k8s_*`: the API server alone, for which no root is needed,
//! and whole clusters.
//!
//! The programs come from the directory that `FLOE_KUBERNETES_BIN` names; `cargo xtask test k8s` builds
//! them and sets it.

mod api_server;
mod attended;
mod authority;
mod cluster;
mod kubectl;
mod pod_logs;

pub use api_server::ApiServer;
pub use cluster::{Cluster, xtask};
pub use kubectl::{Failed, Kubectl};

use std::path::PathBuf;

/// One of the programs: `etcd`, `kube-apiserver`, `kubectl`, `helm`, …
fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("FLOE_KUBERNETES_BIN").unwrap_or_else(|| {
        panic!("FLOE_KUBERNETES_BIN names no directory of programs: run `cargo xtask test k8s`")
    });
    let path = PathBuf::from(folder).join(name);
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // Not the canonical path: one binary holds several programs and goes by the name it is called.
    path
}
