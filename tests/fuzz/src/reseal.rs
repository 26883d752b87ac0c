//! Frames with their checksums put right, so that what is behind a checksum is reached.

use floe_model::frame::{CHUNK_BYTES, LARGEST_HEAD_BYTES, write_frame};

const PREFIX_BYTES: usize = 20;
const CHECKSUM_BYTES: usize = 4;

/// Reads the bytes as frames, whatever their magic, version and checksums say, and writes them anew.
/// Lengths are cut to what is there. `head` may alter each frame's head; it is given the frame's
/// place in the result, from which it may also tell which frame it is.
pub(crate) fn reseal(mut bytes: &[u8], mut head: impl FnMut(usize, &mut Vec<u8>)) -> Vec<u8> {
    let mut sealed = Vec::new();
    while let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX_BYTES>() {
        let kind = u16::from_le_bytes([prefix[6], prefix[7]]);
        let head_bytes = u32::from_le_bytes([prefix[8], prefix[9], prefix[10], prefix[11]]);
        let payload_bytes = u32::from_le_bytes([prefix[12], prefix[13], prefix[14], prefix[15]]);
        let head_bytes = (head_bytes as usize).min(LARGEST_HEAD_BYTES).min(rest.len());
        let (given, rest) = rest.split_at(head_bytes);
        let mut rest = rest.get(CHECKSUM_BYTES..).unwrap_or_default();
        let mut payload = Vec::new();
        while payload.len() < payload_bytes as usize && !rest.is_empty() {
            let wanted = (payload_bytes as usize - payload.len()).min(CHUNK_BYTES);
            let (chunk, after) = rest.split_at(wanted.min(rest.len()));
            payload.extend_from_slice(chunk);
            rest = after.get(CHECKSUM_BYTES..).unwrap_or_default();
        }
        let mut altered = given.to_vec();
        head(sealed.len(), &mut altered);
        write_frame(&mut sealed, kind, &altered, &payload);
        bytes = rest;
    }
    sealed
}

/// The same with the heads as they are.
pub(crate) fn reseal_only(bytes: &[u8]) -> Vec<u8> {
    reseal(bytes, |_, _| ())
}
