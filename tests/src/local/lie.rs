//! Making a node lie: its slivers are altered, and every checksum over them is right again.

use std::path::Path;

use floe_model::Axis;
use floe_model::frame::Frame;

const LARGEST_PAYLOAD_BYTES: usize = 64 << 20;

/// Alters one byte of every symbol-sized piece of every sliver of these axes in a volume; returns how
/// many slivers there were.
pub fn lie(volume: &Path, axes: &[Axis]) -> usize {
    let suffixes: Vec<&str> = axes
        .iter()
        .map(|axis| match axis {
            Axis::Primary => "-p",
            Axis::Secondary => "-s",
        })
        .collect();
    let mut altered = 0;
    for blob in std::fs::read_dir(volume.join("slivers")).unwrap() {
        for sliver in std::fs::read_dir(blob.unwrap().path()).unwrap() {
            let path = sliver.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if suffixes.iter().any(|suffix| name.ends_with(suffix)) {
                alter(&path);
                altered += 1;
            }
        }
    }
    altered
}

/// Every 61st byte of the payload is another one; head, length and checksums are as they must be.
fn alter(path: &Path) {
    let bytes = std::fs::read(path).unwrap();
    let mut altered = Vec::with_capacity(bytes.len());
    for mut frame in Frame::read_all(&bytes, LARGEST_PAYLOAD_BYTES).unwrap() {
        for byte in frame.payload.iter_mut().step_by(61) {
            *byte ^= 0x5a;
        }
        frame.write(&mut altered);
    }
    std::fs::write(path, altered).unwrap();
}
