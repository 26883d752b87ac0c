//! Reading a control log at the start: what counts, where it ends, whether it is damaged.

use std::io;
use std::path::Path;

use floe_env::{Disk, DiskFile};
use floe_model::VolumeId;
use floe_model::codec::Decoder;
use floe_model::frame::{FORMAT_VERSION, FrameError, FrameHead};

use super::window::Window;
use super::{ControlLog, LOG_VERSION, LogSpan, MOST_PAYLOAD_BYTES, Preamble, Tail};
use crate::entry::{Entry, KIND_LOG, KIND_MARK, LAST_KIND};

/// Bytes in which most heads fit.
const USUAL_HEAD_BYTES: usize = 1024;
/// Bytes searched at once for a frame behind a bad one.
const SEARCH_BYTES: usize = 64 * 1024;
/// Bytes written at once.
const REWRITE_BYTES: usize = 64 * 1024;
const MAGIC: &[u8; 4] = b"FLOE";

/// A log that cannot be taken for what was written.
#[derive(Debug)]
pub(crate) enum LogError {
    /// Something that was durable is not readable.
    Damaged { offset: u64 },
    /// Another volume's.
    OtherVolume { found: VolumeId },
    /// Written by a newer program.
    Version { what: &'static str, found: u16, known: u16 },
    /// The disk failed.
    Io(io::Error),
}

impl From<io::Error> for LogError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A log that was read, its torn tail cut off, all of it durable.
pub(crate) struct Replayed {
    pub(crate) log: ControlLog,
    pub(crate) tail: Tail,
    /// Bytes that were cut off.
    pub(crate) dropped_bytes: u64,
}

/// Why reading stopped at an offset.
enum Bad {
    /// No whole frame of this log.
    Frame,
    Log(LogError),
}

impl From<io::Error> for Bad {
    fn from(error: io::Error) -> Self {
        Self::Log(LogError::Io(error))
    }
}

struct Read {
    kind: u16,
    head: Vec<u8>,
    payload: Vec<u8>,
    bytes: usize,
}

impl ControlLog {
    /// Opens a log and hands its entries to `apply`, in order.
    pub(crate) fn replay(
        disk: &dyn Disk,
        path: &Path,
        volume: &VolumeId,
        apply: impl FnMut(&Entry, LogSpan),
    ) -> Result<Replayed, LogError> {
        let file = disk.open(path)?;
        let mut window = Window::new(file.as_ref())?;
        let (id, first) = read_log_head(&mut window, volume)?;
        let mut replay = Replay { window, id, durable: first, apply };
        let end = replay.run(first)?;
        let durable = replay.durable.min(end);
        let length = file.length_bytes()?;
        if length > end {
            file.truncate(end)?;
        }
        make_durable(file.as_ref(), durable, end)?;
        let mut tail = Tail { end, entries_end: end, durable: end };
        let log = Self { file, id };
        // Without the mark a later damage at the end would pass for a torn tail: no more than that.
        let _ = log.mark(&mut tail);
        Ok(Replayed { log, tail, dropped_bytes: length - end })
    }
}

/// Makes durable what may be in the page cache only. It is written once more: after a sync that
/// failed, in an earlier process, the kernel takes what it holds for clean.
fn make_durable(file: &dyn DiskFile, start: u64, end: u64) -> io::Result<()> {
    let mut window = Window::new(file)?;
    let mut at = start;
    while at < end {
        let left = usize::try_from(end - at).unwrap_or(usize::MAX);
        let bytes = window.bytes(at, left.min(REWRITE_BYTES))?;
        file.write_at(at, bytes)?;
        at += (bytes.len() as u64).max(1);
    }
    file.sync()
}

fn read_log_head(window: &mut Window<'_>, volume: &VolumeId) -> Result<(u64, u64), LogError> {
    let damaged = || LogError::Damaged { offset: 0 };
    let frame = read_frame(window, 0).map_err(|bad| match bad {
        Bad::Frame => damaged(),
        Bad::Log(error) => error,
    })?;
    if frame.kind != KIND_LOG {
        return Err(damaged());
    }
    let mut fields = Decoder::new(&frame.head);
    let found = fields.u16("version").map_err(|_| damaged())?;
    if found != LOG_VERSION {
        return Err(LogError::Version { what: "the control log", found, known: LOG_VERSION });
    }
    let found = VolumeId(fields.fixed("volume").map_err(|_| damaged())?);
    if found != *volume {
        return Err(LogError::OtherVolume { found });
    }
    Ok((fields.u64("log id").map_err(|_| damaged())?, frame.bytes as u64))
}

struct Replay<'a, F> {
    window: Window<'a>,
    id: u64,
    /// How far the frames read say that the log was durable.
    durable: u64,
    apply: F,
}

impl<F: FnMut(&Entry, LogSpan)> Replay<'_, F> {
    /// Returns where the last whole transaction ends.
    fn run(&mut self, first: u64) -> Result<u64, LogError> {
        let mut end = first;
        let mut at = first;
        let mut transaction: Vec<(Entry, LogSpan)> = Vec::new();
        while at < self.window.length() {
            let (entry, following, bytes) = match self.read_entry(at) {
                Ok(read) => read,
                Err(Bad::Log(error)) => return Err(error),
                Err(Bad::Frame) if self.was_durable(at, end)? => {
                    return Err(LogError::Damaged { offset: at });
                }
                Err(Bad::Frame) => break,
            };
            if let Some(entry) = entry {
                let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
                transaction.push((entry, LogSpan { offset_bytes: at, bytes }));
            }
            at += bytes as u64;
            if following == 0 {
                for (entry, span) in transaction.drain(..) {
                    (self.apply)(&entry, span);
                }
                end = at;
            }
        }
        Ok(end)
    }

    /// Reads the frame at `at`: its entry (a mark has none), how many follow, its bytes.
    fn read_entry(&mut self, at: u64) -> Result<(Option<Entry>, u32, usize), Bad> {
        let Read { kind, head, payload, bytes } = read_frame(&mut self.window, at)?;
        let mut fields = Decoder::new(&head);
        let preamble = Preamble::decode(&mut fields).map_err(|_| Bad::Frame)?;
        if preamble.log != self.id || preamble.offset != at {
            return Err(Bad::Frame);
        }
        self.durable = self.durable.max(preamble.durable);
        if kind == KIND_MARK {
            return Ok((None, preamble.following, bytes));
        }
        if kind > LAST_KIND {
            let what = "an entry of the control log";
            return Err(Bad::Log(LogError::Version { what, found: kind, known: LAST_KIND }));
        }
        // Its checksum is right: not torn, but never written like this.
        let entry = Entry::decode(kind, fields, payload)
            .map_err(|_| Bad::Log(LogError::Damaged { offset: at }))?;
        Ok((Some(entry), preamble.following, bytes))
    }

    /// Whether a good frame behind `bad` says that the log had been durable beyond `end`.
    fn was_durable(&mut self, bad: u64, end: u64) -> Result<bool, LogError> {
        let mut at = bad + 1;
        while at < self.window.length() {
            let bytes = self.window.bytes(at, SEARCH_BYTES)?;
            let searched = bytes.len();
            let candidates: Vec<u64> = bytes
                .windows(MAGIC.len())
                .enumerate()
                .filter(|(_, four)| four == MAGIC)
                .map(|(position, _)| at + position as u64)
                .collect();
            for candidate in candidates {
                if self.durable_at(candidate)?.is_some_and(|durable| durable > end) {
                    return Ok(true);
                }
            }
            // A magic number may lie across the border.
            at += (searched.saturating_sub(MAGIC.len() - 1)).max(1) as u64;
        }
        Ok(false)
    }

    /// What a frame's head at `at` says, if one of this log begins there.
    fn durable_at(&mut self, at: u64) -> Result<Option<u64>, LogError> {
        let head = match read_head(&mut self.window, at) {
            Ok(head) => head,
            Err(Bad::Log(LogError::Io(error))) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        let preamble = Preamble::decode(&mut Decoder::new(&head.head)).ok();
        let own = preamble.filter(|preamble| preamble.log == self.id && preamble.offset == at);
        Ok(own.map(|preamble| preamble.durable))
    }
}

fn read_head(window: &mut Window<'_>, at: u64) -> Result<FrameHead, Bad> {
    let mut want = USUAL_HEAD_BYTES;
    loop {
        let bytes = window.bytes(at, want)?;
        match FrameHead::read(bytes, MOST_PAYLOAD_BYTES) {
            Ok(head) => return Ok(head),
            Err(FrameError::Truncated { need, .. }) if need > want => want = need,
            // Zeros come from what a torn write left out.
            Err(FrameError::Version { found }) if found != 0 => {
                let what = "the control log";
                let known = FORMAT_VERSION;
                return Err(Bad::Log(LogError::Version { what, found, known }));
            }
            Err(_) => return Err(Bad::Frame),
        }
    }
}

/// Reads a frame; what stays in the log is checked and not kept.
fn read_frame(window: &mut Window<'_>, at: u64) -> Result<Read, Bad> {
    let head = read_head(window, at)?;
    let bytes = head.frame_bytes();
    if at.saturating_add(bytes as u64) > window.length() {
        return Err(Bad::Frame);
    }
    let keep = !Entry::stays_in_log(head.kind);
    let mut payload = Vec::new();
    let mut checked = 0;
    let mut chunk = 0;
    while checked < head.payload_bytes {
        let range = head.chunk_range(chunk);
        let stored = window.bytes(at + range.start as u64, range.len())?;
        let good = FrameHead::check_chunk(chunk, stored).map_err(|_| Bad::Frame)?;
        checked += good.len();
        if keep {
            payload.extend_from_slice(good);
        }
        chunk += 1;
    }
    Ok(Read { kind: head.kind, head: head.head, payload, bytes })
}
