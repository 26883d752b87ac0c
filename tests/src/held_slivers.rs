//! I3 of every volume: a sliver is whole or absent.

use floe_model::{NodeName, Unverified};
use floe_redstuff::{ExtentMetadata, verify_sliver};
use floe_store::{KeyState, Store};

/// Reads and verifies every sliver that the volume says it holds; returns how many verify. On the
/// volume of a node that is lying they may fail.
pub(crate) fn check_slivers(store: &Store, node: &NodeName, is_lying: bool) -> usize {
    let held = store.read(|state| {
        let of_key = |(key, under): (_, &KeyState)| {
            let each = under.extents().map(|(extent, known)| {
                (key, extent, known.shape(), known.held().collect::<Vec<_>>())
            });
            each.collect::<Vec<_>>()
        };
        state.keys().flat_map(of_key).collect::<Vec<_>>()
    });
    let mut checked = 0;
    for (key, extent, shape, slivers) in held {
        let bytes = store.metadata(key, extent).unwrap().expect("metadata is in the log");
        let metadata = ExtentMetadata::parse(shape, &bytes).unwrap();
        for (pair, axis) in slivers {
            let index = shape.geometry().sliver_of_pair(axis, pair);
            let read = store.read_sliver(key, extent, pair, axis, 0..shape.sliver_bytes(axis));
            let Some(bytes) = read.unwrap() else {
                panic!("{node}: {axis} {pair} of extent {extent} under {key} is corrupt");
            };
            let verified = verify_sliver(&metadata, axis, index, Unverified::new(bytes));
            assert!(is_lying || verified.is_ok(), "{node}: {extent} under {key}: {verified:?}");
            checked += usize::from(verified.is_ok());
        }
    }
    checked
}
