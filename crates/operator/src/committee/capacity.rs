//! Bytes on the volumes, and what they are of blobs.

use floe_crd::{Capacity, CommitteeStatus};
use floe_model::Geometry;

use super::view::View;

/// Of a node that counts them, the most: whoever is behind knows of fewer. While none does, as before.
pub(super) fn certified(views: &[View<'_>], old: &CommitteeStatus) -> u64 {
    let counted = views.iter().filter_map(|view| view.report).map(|report| report.owed_blobs).max();
    counted.unwrap_or_else(|| old.blobs.map_or(0, |blobs| blobs.certified))
}

/// Bytes on the volumes of nodes that answer.
pub(super) fn capacity(views: &[View<'_>], geometry: Geometry) -> Capacity {
    let reports = || views.iter().filter_map(|view| view.report);
    let raw_bytes = reports().map(|report| report.capacity.total_bytes).sum();
    let held_bytes = reports().map(|report| report.held_bytes).sum();
    Capacity {
        raw_bytes,
        usable_bytes: of_blobs(raw_bytes, geometry),
        used_bytes: of_blobs(held_bytes, geometry),
    }
}

/// Bytes of blobs that so many bytes of slivers are.
fn of_blobs(sliver_bytes: u64, geometry: Geometry) -> u64 {
    let source = (geometry.rows() * geometry.columns()) as u128;
    let coded = usize::from(geometry.shards()) * (geometry.rows() + geometry.columns());
    u64::try_from(u128::from(sliver_bytes) * source / coded as u128).unwrap_or(u64::MAX)
}

/// Such as `412Gi/1.8Ti`.
pub(super) fn used(capacity: Capacity) -> String {
    format!("{}/{}", short_bytes(capacity.used_bytes), short_bytes(capacity.usable_bytes))
}

/// Such as `412Gi` or `1.8Ti`.
fn short_bytes(bytes: u64) -> String {
    let mut unit = "";
    let mut tenths = u128::from(bytes) * 10;
    for next in ["Ki", "Mi", "Gi", "Ti", "Pi"] {
        if tenths < 10_240 {
            break;
        }
        (tenths, unit) = (tenths / 1024, next);
    }
    match tenths {
        tenths if tenths >= 100 || tenths % 10 == 0 => format!("{}{unit}", tenths / 10),
        tenths => format!("{}.{}{unit}", tenths / 10, tenths % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_short() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1024, "1Ki"),
            (1_500_000, "1.4Mi"),
            (412 << 30, "412Gi"),
            (1843 << 30, "1.7Ti"),
        ] {
            assert_eq!(short_bytes(bytes), text);
        }
    }
}
