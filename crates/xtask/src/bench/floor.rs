//! What the machine can do: copying the same bytes to files that are synced.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Copies `source` again and again until `total_bytes` are written and synced, files and names.
pub(super) fn copy_and_sync(
    source: &Path,
    directory: &Path,
    total_bytes: u64,
) -> anyhow::Result<Duration> {
    fs::create_dir(directory).with_context(|| format!("make {}", directory.display()))?;
    let begin = Instant::now();
    let mut left = total_bytes;
    let mut file = 0;
    while left > 0 {
        let path = directory.join(file.to_string());
        let mut from = File::open(source)?.take(left);
        let mut to = File::create(&path)?;
        let copied = io::copy(&mut from, &mut to).and_then(|bytes| to.sync_all().map(|()| bytes));
        let copied = copied.with_context(|| format!("write {}", path.display()))?;
        if copied == 0 {
            break;
        }
        left -= copied;
        file += 1;
    }
    File::open(directory)?.sync_all()?;
    let took = begin.elapsed();
    fs::remove_dir_all(directory)?;
    Ok(took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_bytes_are_written_and_nothing_stays() {
        let directory = std::env::temp_dir().join(format!("floe-floor-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let source = directory.join("source");
        fs::write(&source, vec![7; 1000]).unwrap();
        let took = copy_and_sync(&source, &directory.join("copies"), 3930).unwrap();
        assert!(took > Duration::ZERO);
        assert!(!directory.join("copies").exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}
