//! A whole committee in simulation: storage nodes, gateways and a steward, each one host of
//! turmoil's network with a [`SimDisk`], all on one simulated clock, with real TLS.
//!
//! A test is a *script*: an async function on a host of its own, which talks to gateways as an
//! application does ([`Application`]) or to nodes directly ([`ByHand`]), and does harm through the
//! [`World`]: power losses, kills, lost links, altered files, jumps of the clock. [`nemesis`] does
//! harm at random, within what the committee must stand; [`workload`] reads and writes at random
//! and judges every answer; [`deletion`] deletes and brings back, while [`past`] shows what was once
//! true; [`inspect`] opens volumes from outside and checks them.
//!
//! [`SimDisk`]: crate::sim::SimDisk

mod application;
mod atlas;
mod by_hand;
mod chronicle;
pub mod deletion;
mod hosts;
mod impostor;
pub mod inspect;
pub mod jobs;
mod liar;
pub mod nemesis;
pub mod past;
mod run;
pub mod scene;
mod seeds;
pub mod succession;
pub mod upheaval;
pub mod workload;
mod world;

pub use application::{Application, Reply};
pub use atlas::Atlas;
pub use by_hand::{ByHand, Draft, NAMESPACE_UID};
pub use chronicle::Chronicle;
pub use hosts::begin;
pub use impostor::Impostor;
pub use liar::Lie;
pub use run::run;
pub use seeds::for_seeds;
pub use world::{Setup, World};
