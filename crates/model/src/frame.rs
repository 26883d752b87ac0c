//! Frames: self-describing, checksummed records, the same on disk and on the wire.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `FLOE` |
//! | 2 | format version, 1 |
//! | 2 | kind |
//! | 4 | length of the head, h |
//! | 8 | length of the payload, p |
//! | h | head: the fields that say what this is, in the layout of its kind |
//! | 4 | CRC32C of everything above |
//! | p + 4 per chunk | payload in chunks of 64 KiB (the last is shorter), each followed by its CRC32C |

use crate::codec::{Decoder, Encoder};

const MAGIC: [u8; 4] = *b"FLOE";
/// The version of the frame format that this program writes and reads.
pub const FORMAT_VERSION: u16 = 1;
/// Bytes in front of the head.
const PREFIX_BYTES: usize = 20;
/// Bytes of a checksum.
const CHECKSUM_BYTES: usize = 4;
/// Bytes of payload under one checksum.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Bytes the head may have.
pub const LARGEST_HEAD_BYTES: usize = 64 * 1024;

/// Bytes that are not a whole, unharmed frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end inside the frame.
    #[error("the frame ends after {have} of {need} bytes")]
    Truncated {
        /// Bytes there are.
        have: usize,
        /// Bytes needed, as far as known.
        need: usize,
    },
    /// The bytes are something else.
    #[error("no frame starts here")]
    Magic,
    /// Made by a newer version.
    #[error(
        "the frame has format version {found}, this program knows {FORMAT_VERSION}: upgrade it"
    )]
    Version {
        /// The version it carries.
        found: u16,
    },
    /// Longer than the reader allows.
    #[error("the frame says {length} bytes, at most {most} are allowed here")]
    TooLong {
        /// What it says.
        length: u64,
        /// What is allowed.
        most: usize,
    },
    /// The head was altered.
    #[error("the head of the frame does not match its checksum")]
    HeadChecksum,
    /// The payload was altered.
    #[error("chunk {chunk} of the payload does not match its checksum")]
    PayloadChecksum {
        /// The chunk, counted from 0.
        chunk: usize,
    },
}

/// What stands in front of a frame's payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FrameHead {
    /// What the frame is; numbers are given by its users.
    pub kind: u16,
    /// The fields that say what this is.
    pub head: Vec<u8>,
    /// Bytes of payload.
    pub payload_bytes: usize,
}

impl FrameHead {
    /// Bytes in front of the payload.
    pub const fn encoded_bytes(&self) -> usize {
        PREFIX_BYTES + self.head.len() + CHECKSUM_BYTES
    }

    /// Bytes of the whole frame.
    pub const fn frame_bytes(&self) -> usize {
        frame_bytes(self.head.len(), self.payload_bytes)
    }

    /// Where chunk `chunk`, with its checksum, lies in the frame.
    pub fn chunk_range(&self, chunk: usize) -> std::ops::Range<usize> {
        let first = chunk * CHUNK_BYTES;
        let bytes = self.payload_bytes.saturating_sub(first).min(CHUNK_BYTES);
        let start = self.encoded_bytes() + chunk * (CHUNK_BYTES + CHECKSUM_BYTES);
        start..start + bytes + CHECKSUM_BYTES
    }

    /// Reads what stands in front of the payload; `most_payload_bytes` guards what it may announce.
    pub fn read(bytes: &[u8], most_payload_bytes: usize) -> Result<Self, FrameError> {
        let truncated = |need| FrameError::Truncated { have: bytes.len(), need };
        let prefix = bytes.get(..PREFIX_BYTES).ok_or(truncated(PREFIX_BYTES))?;
        let (kind, head_bytes, payload_bytes) = Self::read_prefix(prefix, most_payload_bytes)?;
        let end = PREFIX_BYTES + head_bytes;
        let whole = bytes.get(..end + CHECKSUM_BYTES).ok_or(truncated(end + CHECKSUM_BYTES))?;
        let (covered, checksum) = whole.split_at(end);
        if checksum != crc32c(covered) {
            return Err(FrameError::HeadChecksum);
        }
        Ok(Self { kind, head: covered[PREFIX_BYTES..].to_vec(), payload_bytes })
    }

    fn read_prefix(prefix: &[u8], most: usize) -> Result<(u16, usize, usize), FrameError> {
        let mut fields = Decoder::new(prefix);
        let need = |_| FrameError::Truncated { have: prefix.len(), need: PREFIX_BYTES };
        if fields.fixed("magic").map_err(need)? != MAGIC {
            return Err(FrameError::Magic);
        }
        let found = fields.u16("version").map_err(need)?;
        if found != FORMAT_VERSION {
            return Err(FrameError::Version { found });
        }
        let kind = fields.u16("kind").map_err(need)?;
        let head = u64::from(fields.u32("head").map_err(need)?);
        let payload = fields.u64("payload").map_err(need)?;
        let bounded = |length: u64, most: usize| {
            usize::try_from(length)
                .ok()
                .filter(|&length| length <= most)
                .ok_or(FrameError::TooLong { length, most })
        };
        Ok((kind, bounded(head, LARGEST_HEAD_BYTES)?, bounded(payload, most)?))
    }

    /// Checks one chunk and its checksum, as they stand at `chunk_range`.
    pub fn check_chunk(chunk: usize, bytes: &[u8]) -> Result<&[u8], FrameError> {
        let end = bytes.len().saturating_sub(CHECKSUM_BYTES);
        let (payload, checksum) = bytes.split_at(end);
        if checksum == crc32c(payload) {
            Ok(payload)
        } else {
            Err(FrameError::PayloadChecksum { chunk })
        }
    }
}

/// A whole frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is.
    pub kind: u16,
    /// The fields that say what this is.
    pub head: Vec<u8>,
    /// The content.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads one frame from the start of `bytes`; returns it and the bytes it took.
    pub fn read(bytes: &[u8], most_payload_bytes: usize) -> Result<(Self, usize), FrameError> {
        let head = FrameHead::read(bytes, most_payload_bytes)?;
        let need = head.frame_bytes();
        if bytes.len() < need {
            return Err(FrameError::Truncated { have: bytes.len(), need });
        }
        let mut payload = Vec::with_capacity(head.payload_bytes);
        for chunk in 0..head.payload_bytes.div_ceil(CHUNK_BYTES) {
            let stored = &bytes[head.chunk_range(chunk)];
            payload.extend_from_slice(FrameHead::check_chunk(chunk, stored)?);
        }
        Ok((Self { kind: head.kind, head: head.head, payload }, need))
    }

    /// Reads a sequence of frames; nothing may be left.
    pub fn read_all(mut bytes: &[u8], most_payload_bytes: usize) -> Result<Vec<Self>, FrameError> {
        let mut frames = Vec::new();
        while !bytes.is_empty() {
            let (frame, taken) = Self::read(bytes, most_payload_bytes)?;
            frames.push(frame);
            bytes = &bytes[taken..];
        }
        Ok(frames)
    }

    /// Appends the frame to `to`.
    pub fn write(&self, to: &mut Vec<u8>) {
        write_frame(to, self.kind, &self.head, &self.payload);
    }
}

/// Bytes of a frame with a head and a payload of these lengths.
pub const fn frame_bytes(head_bytes: usize, payload_bytes: usize) -> usize {
    let checksums = payload_bytes.div_ceil(CHUNK_BYTES) * CHECKSUM_BYTES;
    PREFIX_BYTES + head_bytes + CHECKSUM_BYTES + payload_bytes + checksums
}

/// Appends a frame to `to`.
pub fn write_frame(to: &mut Vec<u8>, kind: u16, head: &[u8], payload: &[u8]) {
    OpenFrame::begin(to, kind, head, payload.len()).append(to, payload);
}

/// A frame whose payload comes in parts. All of it goes to one buffer, to which nothing else is
/// appended meanwhile.
#[derive(Debug)]
pub struct OpenFrame {
    /// Bytes of payload to come.
    left_bytes: usize,
    /// Where the chunk that is not full begins.
    chunk: usize,
}

impl OpenFrame {
    /// Appends what stands in front of `payload_bytes` of payload.
    pub fn begin(to: &mut Vec<u8>, kind: u16, head: &[u8], payload_bytes: usize) -> Self {
        to.reserve(frame_bytes(head.len(), payload_bytes));
        let mut prefix = Encoder::default();
        prefix.fixed(&MAGIC);
        prefix.u16(FORMAT_VERSION);
        prefix.u16(kind);
        prefix.u32(u32::try_from(head.len()).unwrap_or(u32::MAX));
        prefix.u64(payload_bytes as u64);
        prefix.fixed(head);
        let covered = prefix.finish();
        to.extend_from_slice(&covered);
        to.extend_from_slice(&crc32c(&covered));
        Self { left_bytes: payload_bytes, chunk: to.len() }
    }

    /// Appends a part of the payload, with the checksums of the chunks that it fills; bytes beyond
    /// the payload are left out.
    pub fn append(&mut self, to: &mut Vec<u8>, part: &[u8]) {
        let mut rest = &part[..part.len().min(self.left_bytes)];
        while !rest.is_empty() {
            let room = CHUNK_BYTES - (to.len() - self.chunk);
            let (now, later) = rest.split_at(rest.len().min(room));
            to.extend_from_slice(now);
            self.left_bytes -= now.len();
            if now.len() == room || self.left_bytes == 0 {
                let checksum = crc32c(&to[self.chunk..]);
                to.extend_from_slice(&checksum);
                self.chunk = to.len();
            }
            rest = later;
        }
    }

    /// Bytes of payload to come.
    pub const fn left_bytes(&self) -> usize {
        self.left_bytes
    }
}

fn crc32c(bytes: &[u8]) -> [u8; 4] {
    let sum = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes);
    u32::try_from(sum).unwrap_or(u32::MAX).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn crc32c_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283_u32.to_le_bytes());
    }

    #[test]
    fn crc32c_is_the_bit_by_bit_one_at_every_length() {
        let bytes: Vec<u8> = (0_u8..251).cycle().take(CHUNK_BYTES).collect();
        let mut slow = u32::MAX;
        for (length, &byte) in bytes.iter().enumerate() {
            if length < 300 || length.is_power_of_two() {
                assert_eq!(crc32c(&bytes[..length]), (!slow).to_le_bytes(), "{length} bytes");
            }
            slow ^= u32::from(byte);
            for _ in 0..8 {
                slow = (slow >> 1) ^ if slow & 1 == 1 { 0x82f6_3b78 } else { 0 };
            }
        }
        assert_eq!(crc32c(&bytes), (!slow).to_le_bytes());
    }

    #[test]
    fn a_frame_has_fixed_bytes() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 7, b"k", b"payload");
        assert_eq!(
            hex::encode(&bytes),
            "464c4f4501000700010000000700000000000000\
             6b8231539c7061796c6f61647069e3f4",
        );
    }

    #[test]
    fn a_newer_version_is_refused_with_both_numbers() {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, 7, b"", b"");
        bytes[4] = 9;
        let error = Frame::read(&bytes, 0).unwrap_err();
        assert_eq!(error, FrameError::Version { found: 9 });
        assert!(error.to_string().contains('9') && error.to_string().contains('1'));
    }

    #[test]
    fn parts_make_the_frame_that_the_whole_makes() {
        let payload: Vec<u8> = (0_u8..251).cycle().take(3 * CHUNK_BYTES + 5).collect();
        for length in [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1, payload.len()] {
            let payload = &payload[..length];
            let mut whole = b"before".to_vec();
            write_frame(&mut whole, 7, b"head", payload);
            assert_eq!(Frame::read(&whole[6..], length).unwrap().0.payload, payload);
            for part_bytes in [1000, CHUNK_BYTES / 2, CHUNK_BYTES, length.max(1)] {
                let mut bytes = b"before".to_vec();
                let mut open = OpenFrame::begin(&mut bytes, 7, b"head", length);
                payload.chunks(part_bytes).for_each(|part| open.append(&mut bytes, part));
                assert_eq!(open.left_bytes(), 0);
                open.append(&mut bytes, b"beyond");
                assert!(bytes == whole, "{length} bytes in parts of {part_bytes}");
            }
        }
    }

    proptest! {
        #[test]
        fn frames_come_back_and_no_changed_bit_passes(
            head in prop::collection::vec(any::<u8>(), 0..200),
            length in prop::sample::select(vec![0, 1, 65_535, 65_536, 65_537, 200_000]),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let payload: Vec<u8> = (0_u8..251).cycle().take(length).collect();
            let frame = Frame { kind: 3, head, payload };
            let mut bytes = Vec::new();
            frame.write(&mut bytes);
            prop_assert_eq!(bytes.len(), frame_bytes(frame.head.len(), length));
            prop_assert_eq!(Frame::read_all(&bytes, length).unwrap(), vec![frame.clone()]);
            let cut = at.index(bytes.len());
            prop_assert!(Frame::read(&bytes[..cut], length).is_err());
            bytes[cut] ^= 1 << bit;
            prop_assert!(Frame::read(&bytes, length).map(|(read, _)| read) != Ok(frame));
        }
    }
}
