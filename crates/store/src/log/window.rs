//! Reading a file from front to back through a buffer.

use std::io;

use floe_env::DiskFile;

/// Bytes read at once.
const WINDOW_BYTES: usize = 256 * 1024;

/// A part of a file.
pub(super) struct Window<'a> {
    file: &'a dyn DiskFile,
    length: u64,
    start: u64,
    buffer: Vec<u8>,
}

impl<'a> Window<'a> {
    pub(super) fn new(file: &'a dyn DiskFile) -> io::Result<Self> {
        Ok(Self { file, length: file.length_bytes()?, start: 0, buffer: Vec::new() })
    }

    /// Bytes of the file.
    pub(super) const fn length(&self) -> u64 {
        self.length
    }

    /// `count` bytes from `offset` on, fewer at the end of the file.
    pub(super) fn bytes(&mut self, offset: u64, count: usize) -> io::Result<&[u8]> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = count.min(left);
        if !self.covers(offset, count) {
            self.buffer.resize(count.max(WINDOW_BYTES).min(left), 0);
            self.start = offset;
            self.file.read_exact_at(offset, &mut self.buffer)?;
        }
        let first = usize::try_from(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.buffer.get(first..first.saturating_add(count)).unwrap_or_default())
    }

    const fn covers(&self, offset: u64, count: usize) -> bool {
        offset >= self.start
            && offset.saturating_add(count as u64)
                <= self.start.saturating_add(self.buffer.len() as u64)
    }
}
