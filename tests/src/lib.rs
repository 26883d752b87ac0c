//! What the tests of running systems share. `sim` is the simulated environment, `sim_committee` a
//! committee in it, `local` a committee in this process, `process` one of real processes,
//! `kubernetes` the real thing, `kubelet` what an API server alone lacks; the families `sim_*`, `node_*` and `k8s_*` stand in `tests/`.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it stands outside the simulation, and a broken assumption fails the test"
)]

mod held_slivers;
pub mod kubelet;
pub mod kubernetes;
pub mod local;
pub mod process;
pub mod sim;
pub mod sim_committee;
