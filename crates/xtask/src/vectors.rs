//! `cargo xtask vectors FILE…`: holds the codec against cases computed by the reference codec.
//!
//! One JSON object per line; `input` of a case is drawn from its seed. Every field is compared.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use floe_model::{Axis, Geometry, Hash, StripeId};
use floe_redstuff::{EncodedStripe, StripeShape, prove_stripe_symbol};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// How files name the zero node that pads an odd level of a Merkle tree.
const EMPTY_NODE: &str = "empty";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    n: u16,
    length: usize,
    seed: u64,
    input_sha256: String,
    primary_source_symbols: usize,
    secondary_source_symbols: usize,
    symbol_size: usize,
    blob_id: StripeId,
    merkle_root: String,
    pair_hashes: Option<Vec<PairHashes>>,
    pair_hashes_sha256: String,
    primary_slivers_sha256: String,
    secondary_slivers_sha256_in_pair_order: String,
    shard_of_pair_0: u16,
    recovery_symbol: RecoverySymbol,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct PairHashes {
    primary: String,
    secondary: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecoverySymbol {
    source: String,
    source_sliver_index: u16,
    target: String,
    target_sliver_index: u16,
    symbol_sha256: String,
    proof_siblings_leaf_to_root: Vec<String>,
}

/// Checks every case of every file; fails at the first field that differs.
pub(crate) fn run(files: &[PathBuf]) -> anyhow::Result<()> {
    for file in files {
        let cases = check_file(file).with_context(|| format!("vectors {}", file.display()))?;
        println!("{}: {cases} cases agree", file.display());
    }
    Ok(())
}

fn check_file(file: &Path) -> anyhow::Result<usize> {
    let mut cases = 0;
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let number = cases + 1;
        let case: Case =
            serde_json::from_str(&line?).with_context(|| format!("case {number} is no case"))?;
        let (n, length) = (case.n, case.length);
        check(&case).with_context(|| format!("case {number} (n={n}, {length} bytes) differs"))?;
        cases = number;
    }
    ensure!(cases > 0, "the file has no cases");
    Ok(cases)
}

fn check(case: &Case) -> anyhow::Result<()> {
    let data = input(case.seed, case.length);
    same("input_sha256", &sha256([data.as_slice()]), &case.input_sha256)?;
    let shape = StripeShape::rs2(case.n, case.length)?;
    same("primary_source_symbols", &shape.rows(), &case.primary_source_symbols)?;
    same("secondary_source_symbols", &shape.columns(), &case.secondary_source_symbols)?;
    same("symbol_size", &shape.symbol_bytes(), &case.symbol_size)?;
    let encoded = EncodedStripe::encode(shape, &data)?;
    check_commitments(case, &encoded)?;
    check_slivers(case, &encoded)?;
    check_recovery_symbol(case, &encoded)
}

fn check_commitments(case: &Case, encoded: &EncodedStripe) -> anyhow::Result<()> {
    let metadata = encoded.metadata();
    let roots = metadata.pairs().iter().flat_map(|pair| [&pair.primary.0[..], &pair.secondary.0]);
    same("pair_hashes_sha256", &sha256(roots), &case.pair_hashes_sha256)?;
    if let Some(expected) = &case.pair_hashes {
        let pairs = metadata.pairs().iter().map(|pair| PairHashes {
            primary: pair.primary.to_string(),
            secondary: pair.secondary.to_string(),
        });
        same("pair_hashes", &pairs.collect(), expected)?;
    }
    same("merkle_root", &metadata.root().to_string(), &case.merkle_root)?;
    same("blob_id", &encoded.id(), &case.blob_id)?;
    let rotation = Geometry::rotation(&encoded.id(), case.n);
    same("shard_of_pair_0", &rotation, &case.shard_of_pair_0)
}

fn check_slivers(case: &Case, encoded: &EncodedStripe) -> anyhow::Result<()> {
    let slivers = |axis, indices: &mut dyn Iterator<Item = u16>| {
        indices.map(|index| encoded.sliver(axis, index)).collect::<Result<Vec<_>, _>>()
    };
    let primary = slivers(Axis::Primary, &mut (0..case.n))?;
    same("primary_slivers_sha256", &sha256(&primary), &case.primary_slivers_sha256)?;
    let secondary = slivers(Axis::Secondary, &mut (0..case.n).rev())?;
    let expected = &case.secondary_slivers_sha256_in_pair_order;
    same("secondary_slivers_sha256_in_pair_order", &sha256(&secondary), expected)
}

fn check_recovery_symbol(case: &Case, encoded: &EncodedStripe) -> anyhow::Result<()> {
    let expected = &case.recovery_symbol;
    same("source", &"secondary sliver of pair 0", &expected.source.as_str())?;
    same("target", &"primary sliver of pair n-1", &expected.target.as_str())?;
    let (source, target) = (case.n - 1, case.n - 1);
    same("source_sliver_index", &source, &expected.source_sliver_index)?;
    same("target_sliver_index", &target, &expected.target_sliver_index)?;
    let sliver = encoded.sliver(Axis::Secondary, source)?;
    let (symbol, proof) = prove_stripe_symbol(encoded.shape(), Axis::Secondary, &sliver, target)?;
    same("symbol_sha256", &sha256([&symbol]), &expected.symbol_sha256)?;
    let siblings: Vec<String> = proof.siblings().iter().map(sibling_text).collect();
    same("proof_siblings_leaf_to_root", &siblings, &expected.proof_siblings_leaf_to_root)
}

fn sibling_text(sibling: &Hash) -> String {
    if sibling.0 == [0; 32] { EMPTY_NODE.to_owned() } else { sibling.to_string() }
}

fn same<T: PartialEq + std::fmt::Debug>(
    field: &str,
    actual: &T,
    expected: &T,
) -> anyhow::Result<()> {
    ensure!(actual == expected, "{field} is {actual:?}, expected {expected:?}");
    Ok(())
}

/// The bytes that a seed stands for.
fn input(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed;
    let bytes = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    });
    bytes.take(length).collect()
}

fn sha256<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    hex::encode(state.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RS2: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../redstuff/tests/vectors/rs2.jsonl");

    #[test]
    fn the_reference_cases_agree() {
        assert_eq!(check_file(Path::new(RS2)).unwrap(), 26);
    }

    #[test]
    fn a_difference_is_named() {
        let text = std::fs::read_to_string(RS2).unwrap();
        let line = text.lines().next().unwrap();
        for (field, from, to) in [
            ("symbol_size", "\"symbol_size\": 2", "\"symbol_size\": 4"),
            ("merkle_root", "\"merkle_root\": \"669f", "\"merkle_root\": \"669e"),
            ("shard_of_pair_0", "\"shard_of_pair_0\": 2", "\"shard_of_pair_0\": 3"),
            ("proof_siblings_leaf_to_root", "[\"ab29", "[\"ab28"),
        ] {
            let altered = line.replacen(from, to, 1);
            assert_ne!(altered, line, "{field}");
            let case: Case = serde_json::from_str(&altered).unwrap();
            let error = check(&case).unwrap_err().to_string();
            assert!(error.starts_with(field), "{field}: {error}");
        }
    }
}
