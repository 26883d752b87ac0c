//! Volumes opened from outside, on a copy: what the node would find if it started now.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use floe_env::{OsRandom, RealDisk};
use floe_model::{CommitteeId, Incarnation, NodeName};
use floe_store::{Expected, State, Store};

use crate::held_slivers::check_slivers;

/// What was found on a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inspected {
    /// Slivers that it holds; each of them verified.
    pub slivers: usize,
    /// Slivers that were there and damaged; the opening removed them.
    pub removed: u64,
}

/// Copies a directory with all that is in it.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Opens a copy of the volume of a node that does not run, as the node's start would, and checks
/// that every sliver it holds verifies against its metadata, and that what it confirmed is there.
/// The copy is made at `copy`, and removed.
pub fn inspect(
    volume: &Path,
    copy: &Path,
    committee: CommitteeId,
    (node, incarnation): (&NodeName, Incarnation),
) -> Inspected {
    copy_dir(volume, copy);
    let expected = Expected { committee, node: node.clone(), incarnation };
    let store = Store::open(Arc::new(RealDisk), &OsRandom, copy, &expected)
        .unwrap_or_else(|error| panic!("{node}: {error}"));
    store.read(|state| check_confirmed(state, node));
    let inspected =
        Inspected { slivers: check_slivers(&store, node, false), removed: store.corrupt_slivers() };
    drop(store);
    fs::remove_dir_all(copy).unwrap();
    inspected
}

fn check_confirmed(state: &State, node: &NodeName) {
    let Some((_, accepted)) = state.accepted() else { return };
    let record = &accepted.record;
    let shards = &record.member(node).expect("the record names the node").shards;
    for (id, claim) in state.claims().filter(|(_, claim)| claim.confirmed.is_some()) {
        // A node that knows the certificate first is bound by it.
        let certified = claim.certified.as_ref().map(|(signed, _)| signed.body.blob);
        let mut bound = claim.bindings.iter().copied().chain(certified);
        assert!(
            bound.any(|blob| state.holds_all(&blob, record.geometry, shards)),
            "{node} confirmed claim {id} and does not hold any of {:?}, {certified:?}",
            claim.bindings
        );
    }
}
