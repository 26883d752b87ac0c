//! The control log: an append-only file of frames.
//!
//! The head of each frame begins with {the log's secret id, the frame's own offset, how far the log
//! was durable when it was written, how many frames of its transaction follow}. So
//! - a transaction counts whole or not at all;
//! - bytes inside a payload are never taken for a frame;
//! - behind a bad frame, a good one tells whether the bad one had been durable (the log is damaged)
//!   or not (a torn tail, dropped). After each sync a mark is written, so that this also holds for
//!   what was synced last.

mod replay;
mod window;

use std::io;
use std::path::Path;

use floe_env::{Disk, DiskFile};
use floe_model::VolumeId;
use floe_model::codec::{DecodeError, Decoder, Encoder};
use floe_model::frame::{Frame, write_frame};

pub(crate) use replay::{LogError, Replayed};

use crate::entry::{Entry, KIND_LOG, KIND_MARK};
use crate::error::StoreError;

/// The version of the log's layout that this program writes and reads.
pub(crate) const LOG_VERSION: u16 = 1;
/// Bytes of payload an entry may have: the manifest of a blob of 8 TiB.
const MOST_PAYLOAD_BYTES: usize = 256 * 1024 * 1024;

/// Where a frame stands in the control log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogSpan {
    /// Its first byte.
    pub offset_bytes: u64,
    /// Its length.
    pub bytes: u32,
}

impl LogSpan {
    pub(crate) fn end(self) -> u64 {
        self.offset_bytes.saturating_add(u64::from(self.bytes))
    }
}

/// What each frame's head begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Preamble {
    log: u64,
    offset: u64,
    durable: u64,
    following: u32,
}

impl Preamble {
    fn encode(self, to: &mut Encoder) {
        to.u64(self.log);
        to.u64(self.offset);
        to.u64(self.durable);
        to.u32(self.following);
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            log: from.u64("log id")?,
            offset: from.u64("offset")?,
            durable: from.u64("durable")?,
            following: from.u32("following")?,
        })
    }
}

/// How far the log goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    /// Where the next frame goes.
    pub(crate) end: u64,
    /// Behind the last entry, marks left out.
    pub(crate) entries_end: u64,
    /// What a sync covered.
    pub(crate) durable: u64,
}

/// The open log. The caller keeps the tail, under a lock.
pub(crate) struct ControlLog {
    file: Box<dyn DiskFile>,
    id: u64,
}

impl ControlLog {
    /// Makes a log without entries; durable, but for its name, when it returns.
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        volume: &VolumeId,
        id: u64,
    ) -> io::Result<()> {
        let file = disk.create(path)?;
        let mut head = Encoder::default();
        head.u16(LOG_VERSION);
        head.fixed(volume.as_bytes());
        head.u64(id);
        let mut bytes = Vec::new();
        write_frame(&mut bytes, KIND_LOG, &head.finish(), &[]);
        file.write_at(0, &bytes)?;
        file.sync()
    }

    /// Appends a transaction: one write, not synced. On an error nothing was appended, unless
    /// `AppendError::Broken`.
    pub(crate) fn append(
        &self,
        tail: &mut Tail,
        entries: &[Entry],
    ) -> Result<Vec<LogSpan>, AppendError> {
        let mut bytes = Vec::new();
        let mut spans = Vec::with_capacity(entries.len());
        for (position, entry) in entries.iter().enumerate() {
            let payload = entry.payload();
            let (have, most) = (payload.len(), MOST_PAYLOAD_BYTES);
            if have > most {
                return Err(AppendError::Refused(StoreError::EntryTooLong { bytes: have, most }));
            }
            let first = bytes.len();
            let following = u32::try_from(entries.len() - 1 - position).unwrap_or(u32::MAX);
            let mut head = self.preamble(tail, first, following);
            entry.encode_head(&mut head);
            write_frame(&mut bytes, entry.kind(), &head.finish(), &payload);
            spans.push(LogSpan {
                offset_bytes: tail.end + first as u64,
                bytes: u32::try_from(bytes.len() - first).unwrap_or(u32::MAX),
            });
        }
        self.write(tail, &bytes)?;
        tail.entries_end = tail.end;
        Ok(spans)
    }

    /// Notes in the log how far it is durable; needs no sync of its own.
    pub(crate) fn mark(&self, tail: &mut Tail) -> Result<(), AppendError> {
        let head = self.preamble(tail, 0, 0);
        let mut bytes = Vec::new();
        write_frame(&mut bytes, KIND_MARK, &head.finish(), &[]);
        self.write(tail, &bytes)
    }

    fn preamble(&self, tail: &Tail, first: usize, following: u32) -> Encoder {
        let mut head = Encoder::default();
        let offset = tail.end + first as u64;
        Preamble { log: self.id, offset, durable: tail.durable, following }.encode(&mut head);
        head
    }

    fn write(&self, tail: &mut Tail, bytes: &[u8]) -> Result<(), AppendError> {
        if let Err(error) = self.file.write_at(tail.end, bytes) {
            // What was written of it must never be read as a part of what is appended next.
            return Err(match self.file.truncate(tail.end) {
                Ok(()) => AppendError::Refused(StoreError::Io(error)),
                Err(_) => AppendError::Broken(error),
            });
        }
        tail.end += bytes.len() as u64;
        Ok(())
    }

    /// Brings all that is appended to stable storage.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }

    /// Reads the payload of the frame at `at`.
    pub(crate) fn payload(&self, at: LogSpan) -> Result<Vec<u8>, StoreError> {
        let damaged = || StoreError::LogDamaged { offset_bytes: at.offset_bytes };
        let mut bytes = vec![0; usize::try_from(at.bytes).map_err(|_| damaged())?];
        match self.file.read_exact_at(at.offset_bytes, &mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(damaged()),
            read => read?,
        }
        let (frame, _) = Frame::read(&bytes, MOST_PAYLOAD_BYTES).map_err(|_| damaged())?;
        let preamble = Preamble::decode(&mut Decoder::new(&frame.head)).map_err(|_| damaged())?;
        if preamble.log != self.id || preamble.offset != at.offset_bytes {
            return Err(damaged());
        }
        Ok(frame.payload)
    }
}

/// An append that did not happen.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The log is as it was.
    Refused(StoreError),
    /// The log may end in a torn frame that could not be cut off: nothing may follow it.
    Broken(io::Error),
}

#[cfg(test)]
mod tests;
