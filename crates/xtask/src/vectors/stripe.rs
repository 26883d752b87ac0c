//! Single stripes: those of the reference codec, with the largest f, and ours with fewer.

use floe_model::{Axis, Geometry, Hash, StripeId};
use floe_redstuff::{EncodedStripe, StripeShape, prove_stripe_symbol};
use serde_json::{Value, json};

use super::input::{Input, sha256, siblings};
use super::plain::{Matrix, Tree, stripe_id, stripe_root};

/// Up to so many shards every pair's roots are listed.
const LISTED_SHARDS: u16 = 13;

/// Stripes of fewer than the most faulty shards: no other codec has them.
pub(super) const OWN: [Input; 8] = [
    Input { shards: 10, faulty: 1, length: 0, seed: 1 },
    Input { shards: 10, faulty: 2, length: 1, seed: 2 },
    Input { shards: 7, faulty: 1, length: 5_000, seed: 3 },
    Input { shards: 10, faulty: 2, length: 1_572_864, seed: 4 },
    Input { shards: 31, faulty: 4, length: 70_001, seed: 5 },
    Input { shards: 64, faulty: 8, length: 250_000, seed: 6 },
    Input { shards: 100, faulty: 10, length: 123_456, seed: 7 },
    Input { shards: 256, faulty: 84, length: 20_000, seed: 8 },
];

/// What is known of an encoded stripe.
struct Facts {
    rows: usize,
    columns: usize,
    symbol_bytes: usize,
    id: StripeId,
    root: Hash,
    pair_roots: Vec<[Hash; 2]>,
    primary: Vec<Vec<u8>>,
    secondary: Vec<Vec<u8>>,
    crossing: Vec<u8>,
    siblings: Vec<Hash>,
}

/// By the definition alone.
pub(super) fn plainly(input: Input) -> Value {
    let Input { shards, faulty, .. } = input;
    let content = input.content();
    let (rows, columns) = (usize::from(shards - 2 * faulty), usize::from(shards - faulty));
    let matrix = Matrix::new(shards, faulty, &content);
    let pair_roots = matrix.pair_roots();
    let slivers = |axis| (0..shards).map(|index| matrix.sliver(axis, index)).collect::<Vec<_>>();
    let source = matrix.expansion(Axis::Secondary, shards - 1);
    let target = usize::from(shards - 1);
    let facts = Facts {
        rows,
        columns,
        symbol_bytes: source[target].len(),
        id: stripe_id(&pair_roots, content.len()),
        root: stripe_root(&pair_roots),
        primary: slivers(Axis::Primary),
        secondary: slivers(Axis::Secondary),
        crossing: source[target].clone(),
        siblings: Tree::new(&source).siblings(target),
        pair_roots,
    };
    ours(input, &facts)
}

/// By the codec, a stripe of a committee.
pub(super) fn by_the_codec(input: Input) -> anyhow::Result<Value> {
    let shape = StripeShape::new(input.geometry()?, input.length_bytes()?)?;
    Ok(ours(input, &facts(input, shape)?))
}

/// By the codec, as plain RS2 has it: any number of shards.
pub(super) fn of_the_reference(input: Input) -> anyhow::Result<Value> {
    let shape = StripeShape::rs2(input.shards, input.length_bytes()?)?;
    Ok(case(input, &facts(input, shape)?))
}

fn facts(input: Input, shape: StripeShape) -> anyhow::Result<Facts> {
    let encoded = EncodedStripe::encode(shape, &input.content())?;
    let slivers = |axis| {
        (0..input.shards).map(|index| encoded.sliver(axis, index)).collect::<Result<Vec<_>, _>>()
    };
    let last = input.shards - 1;
    let source = encoded.sliver(Axis::Secondary, last)?;
    let (crossing, proof) = prove_stripe_symbol(shape, Axis::Secondary, &source, last)?;
    let pairs = encoded.metadata().pairs().iter();
    Ok(Facts {
        rows: shape.rows(),
        columns: shape.columns(),
        symbol_bytes: shape.symbol_bytes(),
        id: encoded.id(),
        root: encoded.metadata().root(),
        pair_roots: pairs.map(|pair| [pair.primary, pair.secondary]).collect(),
        primary: slivers(Axis::Primary)?,
        secondary: slivers(Axis::Secondary)?,
        crossing,
        siblings: proof.siblings().to_vec(),
    })
}

fn ours(input: Input, facts: &Facts) -> Value {
    let mut case = case(input, facts);
    case["kind"] = "stripe".into();
    case["f"] = input.faulty.into();
    case
}

/// The fields as the reference names them.
fn case(input: Input, facts: &Facts) -> Value {
    let pairs = facts.pair_roots.iter();
    let last = input.shards - 1;
    let mut case = json!({
        "n": input.shards,
        "length": input.length,
        "seed": input.seed,
        "input_sha256": sha256([input.content()]),
        "primary_source_symbols": facts.rows,
        "secondary_source_symbols": facts.columns,
        "symbol_size": facts.symbol_bytes,
        "blob_id": facts.id,
        "merkle_root": facts.root.to_string(),
        "pair_hashes_sha256": sha256(pairs.clone().flatten().map(|root| root.0)),
        "primary_slivers_sha256": sha256(&facts.primary),
        "secondary_slivers_sha256_in_pair_order": sha256(facts.secondary.iter().rev()),
        "shard_of_pair_0": Geometry::rotation(&facts.id, input.shards),
        "recovery_symbol": {
            "source": "secondary sliver of pair 0",
            "source_sliver_index": last,
            "target": "primary sliver of pair n-1",
            "target_sliver_index": last,
            "symbol_sha256": sha256([&facts.crossing]),
            "proof_siblings_leaf_to_root": siblings(&facts.siblings),
        },
    });
    if input.shards <= LISTED_SHARDS {
        let listed = pairs.map(|[primary, secondary]| {
            json!({ "primary": primary.to_string(), "secondary": secondary.to_string() })
        });
        case["pair_hashes"] = listed.collect();
    }
    case
}
