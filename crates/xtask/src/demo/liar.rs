//! Turning a node into a liar: its slivers are altered, and every checksum over them is right again.

use std::fs;
use std::path::Path;

use anyhow::Context;
use floe_model::frame::Frame;

/// Bytes a sliver file's payload may have.
const LARGEST_PAYLOAD_BYTES: usize = 64 << 20;

/// Alters every sliver under a volume's directory; how many there were.
pub(super) fn alter_slivers(volume: &Path) -> anyhow::Result<usize> {
    let mut altered = 0;
    for blob in fs::read_dir(volume.join("slivers")).context("list the liar's slivers")? {
        let blob = blob?;
        if !blob.file_type()?.is_dir() {
            continue;
        }
        for sliver in fs::read_dir(blob.path())? {
            let path = sliver?.path();
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let bytes = alter(&bytes).with_context(|| format!("alter {}", path.display()))?;
            fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))?;
            altered += 1;
        }
    }
    Ok(altered)
}

/// Every byte of every payload, altered; lengths, heads and checksums as they must be.
fn alter(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut altered = Vec::with_capacity(bytes.len());
    for mut frame in Frame::read_all(bytes, LARGEST_PAYLOAD_BYTES)? {
        for byte in &mut frame.payload {
            *byte ^= 0x5a;
        }
        frame.write(&mut altered);
    }
    Ok(altered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_altered_sliver_passes_its_checksums() {
        let frame = Frame { kind: 7, head: b"head".to_vec(), payload: vec![1; 200_000] };
        let mut bytes = Vec::new();
        frame.write(&mut bytes);
        let (read, taken) = Frame::read(&alter(&bytes).unwrap(), 200_000).unwrap();
        assert_eq!((read.kind, &read.head, taken), (7, &frame.head, bytes.len()));
        assert_eq!(read.payload, vec![1 ^ 0x5a; 200_000]);
    }
}
