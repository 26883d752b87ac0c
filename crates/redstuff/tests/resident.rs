//! What the process holds while it encodes a blob of any size. Alone in its file: other tests would
//! count too.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use floe_model::{Axis, Geometry};
use floe_redstuff::{Encoder, StripeShape};

const MIB: u64 = 1 << 20;

/// A figure of this process, from `/proc`.
#[expect(clippy::disallowed_methods, reason = "asks the machine what it has given")]
fn status_bytes(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    number.parse::<u64>().unwrap() * 1024
}

/// 4 GiB in the slow runs; the blob is made stripe by stripe, as it would be read.
#[test]
fn a_blob_of_any_size_takes_two_expansions() {
    let geometry = Geometry::of_shards(10).unwrap();
    let full = geometry.full_stripe_bytes();
    let expansion = u64::from(geometry.shards()).pow(2) * geometry.full_symbol_bytes() as u64;
    let slow = std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0");
    let blob_bytes: u64 = if slow { 4 << 30 } else { 64 << 20 };
    let before = status_bytes("VmRSS");
    let mut encoder = Encoder::new();
    let (mut data, mut sliver) = (vec![0; full], Vec::new());
    let mut left = blob_bytes;
    let mut id = None;
    while left > 0 {
        let length = usize::try_from(left).unwrap_or(full).min(full);
        let word = left.to_le_bytes();
        data.chunks_mut(8).for_each(|chunk| chunk.copy_from_slice(&word[..chunk.len()]));
        let shape = StripeShape::new(geometry, length).unwrap();
        let stripe = encoder.encode(shape, &data[..length]).unwrap();
        for axis in Axis::BOTH {
            for index in 0..geometry.shards() {
                sliver.clear();
                stripe.append_sliver(axis, index, &mut sliver).unwrap();
            }
        }
        assert_ne!(id.replace(stripe.id()), Some(stripe.id()), "the stripes do not differ");
        left -= length as u64;
    }
    let taken = status_bytes("VmHWM") - before;
    println!(
        "{blob_bytes} bytes of blob: {taken} bytes more resident, an expansion is {expansion}"
    );
    assert!(taken <= 2 * expansion + 16 * MIB, "{taken} of {expansion} bytes");
    assert!(taken > expansion / 2, "nothing was measured");
}
