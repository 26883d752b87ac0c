//! Extents: consecutive stripes, packed one behind the other.

use floe_model::{Axis, ExtentShape, Geometry, Hash, StripeId};
use floe_redstuff::{crossing_symbols, encode_extent, prove_symbols};
use serde_json::{Value, json};

use super::input::{Input, sha256, siblings};
use super::plain::{Matrix, Tree, stripe_id};

/// One and several stripes, with the largest f and with fewer; the last two end on a full stripe and
/// one byte behind it.
pub(super) const OWN: [Input; 7] = [
    Input { shards: 10, faulty: 3, length: 4_096, seed: 1 },
    Input { shards: 7, faulty: 1, length: 5_000, seed: 2 },
    Input { shards: 10, faulty: 3, length: 917_504 + 12_345, seed: 3 },
    Input { shards: 10, faulty: 2, length: 1_572_864 + 99, seed: 4 },
    Input { shards: 7, faulty: 2, length: 3 * 491_520 + 31, seed: 5 },
    Input { shards: 4, faulty: 1, length: 2 * 196_608, seed: 6 },
    Input { shards: 4, faulty: 1, length: 2 * 196_608 + 1, seed: 7 },
];

const LARGEST_STRIPE_BYTES: usize = 16 << 20;

/// What is known of an encoded extent; slivers are packed over its stripes.
struct Facts {
    full_symbol_bytes: usize,
    last_symbol_bytes: usize,
    stripe_ids: Vec<StripeId>,
    metadata: Vec<u8>,
    primary: Vec<Vec<u8>>,
    secondary: Vec<Vec<u8>>,
    crossing: Vec<u8>,
    siblings: Vec<Vec<Hash>>,
}

/// By the definition alone.
pub(super) fn plainly(input: Input) -> Value {
    let Input { shards, faulty, .. } = input;
    let symbols = usize::from(shards - 2 * faulty) * usize::from(shards - faulty);
    let full_symbol_bytes = (LARGEST_STRIPE_BYTES / symbols / 64 * 64).clamp(1024, 32 * 1024);
    let content = input.content();
    let stripes: Vec<&[u8]> = content.chunks(full_symbol_bytes * symbols).collect();
    let matrices: Vec<Matrix> =
        stripes.iter().map(|content| Matrix::new(shards, faulty, content)).collect();
    let roots: Vec<Vec<[Hash; 2]>> = matrices.iter().map(Matrix::pair_roots).collect();
    let ids = roots.iter().zip(&stripes).map(|(roots, content)| stripe_id(roots, content.len()));
    let packed = |axis| {
        let sliver = |index| matrices.iter().flat_map(move |matrix| matrix.sliver(axis, index));
        (0..shards).map(|index| sliver(index).collect()).collect()
    };
    let last = usize::from(shards - 1);
    let sources: Vec<Vec<Vec<u8>>> =
        matrices.iter().map(|matrix| matrix.expansion(Axis::Secondary, shards - 1)).collect();
    let facts = Facts {
        full_symbol_bytes,
        last_symbol_bytes: sources.last().map_or(0, |source| source[last].len()),
        stripe_ids: ids.collect(),
        metadata: roots.iter().flatten().flatten().flat_map(|root| root.0).collect(),
        primary: packed(Axis::Primary),
        secondary: packed(Axis::Secondary),
        crossing: sources.iter().flat_map(|source| source[last].clone()).collect(),
        siblings: sources.iter().map(|source| Tree::new(source).siblings(last)).collect(),
    };
    case(input, &facts)
}

/// By the codec.
pub(super) fn by_the_codec(input: Input) -> anyhow::Result<Value> {
    let shape = ExtentShape::new(input.geometry()?, input.length_bytes()?)?;
    let extent = encode_extent(shape, &input.content())?;
    let slivers = |axis| {
        (0..input.shards).map(|index| extent.sliver(axis, index)).collect::<Result<Vec<_>, _>>()
    };
    let last = input.shards - 1;
    let source = extent.sliver(Axis::Secondary, last)?;
    let proofs = prove_symbols(shape, Axis::Secondary, &source, last)?;
    let facts = Facts {
        full_symbol_bytes: shape.geometry().full_symbol_bytes(),
        last_symbol_bytes: shape.symbol_bytes(shape.stripes() - 1),
        stripe_ids: extent.metadata().stripe_ids().to_vec(),
        metadata: extent.metadata().encode(),
        primary: slivers(Axis::Primary)?,
        secondary: slivers(Axis::Secondary)?,
        crossing: crossing_symbols(shape, Axis::Secondary, &source, &[last])?.concat(),
        siblings: proofs.iter().map(|proof| proof.siblings().to_vec()).collect(),
    };
    Ok(case(input, &facts))
}

fn case(input: Input, facts: &Facts) -> Value {
    let last = input.shards - 1;
    let rotation = facts.stripe_ids.first().map(|first| Geometry::rotation(first, input.shards));
    json!({
        "kind": "extent",
        "n": input.shards,
        "f": input.faulty,
        "length": input.length,
        "seed": input.seed,
        "input_sha256": sha256([input.content()]),
        "full_symbol_bytes": facts.full_symbol_bytes,
        "last_symbol_bytes": facts.last_symbol_bytes,
        "stripe_ids": facts.stripe_ids,
        "shard_of_pair_0": rotation,
        "metadata_bytes": facts.metadata.len(),
        "metadata_sha256": sha256([&facts.metadata]),
        "primary_sliver_bytes": facts.primary.first().map(Vec::len),
        "primary_slivers_sha256": hashes(&facts.primary),
        "secondary_sliver_bytes": facts.secondary.first().map(Vec::len),
        "secondary_slivers_sha256": hashes(&facts.secondary),
        "recovery_symbol": {
            "source": "secondary sliver of pair 0",
            "source_sliver_index": last,
            "target": "primary sliver of pair n-1",
            "target_sliver_index": last,
            "symbols_sha256": sha256([&facts.crossing]),
            "proof_siblings_leaf_to_root_by_stripe":
                facts.siblings.iter().map(|stripe| siblings(stripe)).collect::<Vec<_>>(),
        },
    })
}

/// Of each sliver, by its index on its axis.
fn hashes(slivers: &[Vec<u8>]) -> Vec<String> {
    slivers.iter().map(|sliver| sha256([sliver])).collect()
}
