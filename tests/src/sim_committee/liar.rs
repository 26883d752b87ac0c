//! A node that lies: the payloads of its slivers are altered, with checksums that fit.

use std::path::{Path, PathBuf};

use floe_env::{Disk, Random, read_file};
use floe_model::frame::Frame;

use super::World;
use super::world::DIR;

/// Bytes of the largest sliver file.
const LARGEST_FILE_BYTES: u64 = 1 << 26;

/// The altered files of one node, and what they held.
pub struct Lie {
    node: String,
    /// {path, before, after}
    files: Vec<(PathBuf, Vec<u8>, Vec<u8>)>,
}

impl Lie {
    /// Alters some bytes in each of about half of a node's slivers, or in all. The node may run.
    pub fn tell(world: &World, node: &str, all: bool) -> Self {
        let disk = world.disk(node);
        let slivers = Path::new(DIR).join("slivers");
        let mut files = Vec::new();
        for (path, _) in disk.files() {
            let is_sliver = path.starts_with(&slivers)
                && path.file_name().is_some_and(|name| !name.to_string_lossy().starts_with('.'));
            if !is_sliver || (!all && world.random().below(2) == 0) {
                continue;
            }
            let before = read_file(disk, &path, LARGEST_FILE_BYTES).unwrap();
            let Some(after) = altered(&before, world.random()) else { continue };
            write(disk, &path, &after);
            files.push((path, before, after));
        }
        world.log().note("world", format!("{node} lies in {} slivers", files.len()));
        Self { node: node.to_owned(), files }
    }

    /// Slivers that are altered.
    pub fn slivers(&self) -> usize {
        self.files.len()
    }

    /// Puts the true bytes back, where the altered ones still are.
    pub fn take_back(self, world: &World) {
        let disk = world.disk(&self.node);
        for (path, before, after) in self.files {
            if read_file(disk, &path, LARGEST_FILE_BYTES).is_ok_and(|found| found == after) {
                write(disk, &path, &before);
            }
        }
        world.log().note("world", format!("{} lies no more", self.node));
    }
}

/// The same frame with a few other payload bytes; `None` if the file is no whole frame.
fn altered(file: &[u8], random: &dyn Random) -> Option<Vec<u8>> {
    let (mut frame, _) = Frame::read(file, file.len()).ok()?;
    let length = frame.payload.len() as u64;
    if length == 0 {
        return None;
    }
    for _ in 0..3 {
        let at = usize::try_from(random.below(length)).ok()?;
        frame.payload[at] ^= 1 << random.below(8);
    }
    let mut bytes = Vec::new();
    frame.write(&mut bytes);
    Some(bytes)
}

fn write(disk: &dyn Disk, path: &Path, bytes: &[u8]) {
    let file = disk.open(path).unwrap();
    file.write_at(0, bytes).unwrap();
    file.sync().unwrap();
}
