//! What people ask a committee on Kubernetes: `kubectl floe`, with the caller's rights only.
//!
//! | module | what |
//! |---|---|
//! | [`args`] | the command line |
//! | [`cluster`] | the API server that the kubeconfig names |
//! | [`status`] | is data at risk, until when, what blocks it, what to do |
//! | [`node`] | giving up a volume |
//! | [`adopt`] | whether a committee that came back has everything |
//! | [`gateway`] | the way to a committee's gateway, from inside the cluster or by a port-forward |
//! | [`exit`], [`text`] | exit codes; sizes, times and tables as people read them |
//!
//! What goes through the gateway itself (`put`, `get`, `undelete`) is with `floe put` and its like.

#![expect(clippy::disallowed_methods, reason = "the command line runs on the real machine only")]

pub mod adopt;
pub mod args;
pub mod cluster;
pub mod exit;
pub mod gateway;
pub mod node;
pub mod status;
pub mod text;
