//! A warm encoder allocates nothing, and none takes more memory than it must.

use allocation_counter::measure;
use floe_model::{Axis, Geometry};
use floe_redstuff::{Encoder, StripeShape, stripe_id};

const MIB: u64 = 1 << 20;

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|at| (at * at / 7).to_le_bytes()[0]).collect()
}

#[test]
fn a_warm_encoder_allocates_nothing() {
    for shards in [4, 7, 10, 31] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let full = geometry.full_stripe_bytes();
        let data = bytes(full);
        let mut encoder = Encoder::new();
        let mut sliver = Vec::new();
        let mut encode = |length: usize| {
            let shape = StripeShape::new(geometry, length).unwrap();
            let stripe = encoder.encode(shape, &data[..length]).unwrap();
            for axis in Axis::BOTH {
                for index in 0..shards {
                    sliver.clear();
                    stripe.append_sliver(axis, index, &mut sliver).unwrap();
                }
            }
            encoder.id(shape, &data[..length]).unwrap();
        };
        let lengths = [full, full - 1, full / 3, 1000, 1];
        let cold = measure(|| lengths.iter().for_each(|&length| encode(length)));
        assert!(cold.bytes_max > full as u64, "nothing was counted");
        let warm = measure(|| lengths.iter().for_each(|&length| encode(length)));
        assert_eq!(warm.count_total, 0, "n={shards}");
    }
}

#[test]
fn encoding_takes_a_stripes_expansion_and_little_more() {
    let slow = std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0");
    for shards in [4, 10, 31, 100] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let full = geometry.full_stripe_bytes();
        let expansion = u64::from(shards).pow(2) * geometry.full_symbol_bytes() as u64;
        let data = bytes(full);
        let shape = StripeShape::new(geometry, full).unwrap();
        let blob_bytes = if slow && shards == 10 { 4 << 30 } else { 3 * full };
        let stripes = blob_bytes.div_ceil(full);
        let cold = measure(|| {
            let mut encoder = Encoder::new();
            for _ in 0..stripes {
                encoder.encode(shape, &data).unwrap();
            }
        });
        let peak = cold.bytes_max;
        assert!(peak <= expansion + 4 * MIB, "n={shards}: {peak} of {expansion} bytes");
    }
}

#[test]
fn an_id_keeps_no_expansion() {
    for shards in [4, 10, 31, 100] {
        let geometry = Geometry::of_shards(shards).unwrap();
        let full = geometry.full_stripe_bytes();
        let data = bytes(full);
        stripe_id(geometry, &data).unwrap();
        let cold = measure(|| {
            stripe_id(geometry, &data).unwrap();
        });
        let peak = cold.bytes_max;
        assert!(peak <= full as u64 / 2 + 6 * MIB, "n={shards}: {peak} of {full} bytes");
    }
}
