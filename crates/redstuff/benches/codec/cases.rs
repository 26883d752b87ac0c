//! What is measured.

mod decode;
mod encode;
mod heal;

use floe_model::{Axis, Geometry};

use crate::Case;
use crate::subject::Subject;

/// Blobs of a few KiB, and of some more.
const SMALL_BYTES: [usize; 2] = [4096, 65536];

/// Encoding stripes: full ones, and small blobs.
pub(crate) fn of_stripes(shards: u16) -> Vec<Case> {
    let geometry = Geometry::of_shards(shards).unwrap();
    let full = Subject::new(geometry, geometry.full_stripe_bytes(), 1);
    let mut cases = encode::parts(&full);
    cases.extend(encode::of_stripe(&full));
    cases.extend(encode::by_threads(&full));
    for length in SMALL_BYTES {
        cases.extend(encode::of_small(&Subject::new(geometry, length, 1)));
    }
    cases
}

/// Reading and healing full extents.
pub(crate) fn of_extents(shards: u16) -> Vec<Case> {
    let geometry = Geometry::of_shards(shards).unwrap();
    let extent = Subject::new(geometry, geometry.full_extent_bytes(), 1);
    let mut cases = encode::of_extent(&extent);
    cases.extend(decode::of_extent(&extent));
    for axis in Axis::BOTH {
        cases.extend(heal::of_extent(&extent, axis));
    }
    cases
}

/// Reading 64 MiB, and a lost shard of 1 GiB.
pub(crate) fn of_large_blobs(shards: u16) -> Vec<Case> {
    let geometry = Geometry::of_shards(shards).unwrap();
    let mut cases = decode::of_large_blob(geometry);
    cases.push(heal::of_lost_shard(geometry));
    cases
}

/// Slivers of 2 KiB, lost in thousands.
pub(crate) fn of_many_small_slivers(shards: u16) -> Vec<Case> {
    let geometry = Geometry::of_shards(shards).unwrap();
    Axis::BOTH.into_iter().map(|axis| heal::of_many_small(geometry, axis)).collect()
}
