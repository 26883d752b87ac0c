//! What a node holds, seen from outside and on its disk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use floe_api::report::{NodeReport, SliverCounts};
use floe_model::FeedPosition;

/// Everything that a request could have stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    feed_head: Option<FeedPosition>,
    slivers: SliverCounts,
    held_bytes: u64,
    owed_blobs: u64,
    /// Every file of the volume with its length: the control log grows with whatever is recorded.
    files: BTreeMap<PathBuf, u64>,
}

impl Holding {
    pub(super) fn of(report: &NodeReport, volume: &Path) -> Self {
        let mut files = BTreeMap::new();
        list(volume, &mut files);
        Self {
            feed_head: report.feed_head,
            slivers: report.slivers,
            held_bytes: report.held_bytes,
            owed_blobs: report.owed_blobs,
            files,
        }
    }

    /// Sliver files.
    pub fn sliver_files(&self) -> usize {
        self.files
            .keys()
            .filter(|path| path.components().any(|it| it.as_os_str() == "slivers"))
            .count()
    }
}

fn list(dir: &Path, files: &mut BTreeMap<PathBuf, u64>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            list(&path, files);
        } else {
            files.insert(path, entry.metadata().unwrap().len());
        }
    }
}
