//! What a case is computed from, and how its fields are written.

use anyhow::{Context, anyhow};
use floe_model::{Geometry, Hash};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// How files name the zero node that pads an odd level of a Merkle tree.
const EMPTY_NODE: &str = "empty";

/// The inputs of a case: everything else follows from them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Input {
    /// n.
    pub(super) shards: u16,
    /// f.
    pub(super) faulty: u16,
    /// Bytes of content.
    pub(super) length: u64,
    /// What the content is drawn from.
    pub(super) seed: u64,
}

impl Input {
    /// Reads n, f (the largest where the case has none), length and seed.
    pub(super) fn of(case: &Map<String, Value>) -> anyhow::Result<Self> {
        let number = |field: &str| {
            case.get(field).and_then(Value::as_u64).with_context(|| format!("{field} is no number"))
        };
        let shards = u16::try_from(number("n")?)?;
        let faulty = if case.contains_key("f") {
            u16::try_from(number("f")?)?
        } else {
            Geometry::most_faulty(shards)
        };
        Ok(Self { shards, faulty, length: number("length")?, seed: number("seed")? })
    }

    pub(super) fn geometry(self) -> anyhow::Result<Geometry> {
        Ok(Geometry::new(self.shards, self.faulty)?)
    }

    pub(super) fn length_bytes(self) -> anyhow::Result<usize> {
        usize::try_from(self.length).map_err(|_| anyhow!("{} bytes do not fit", self.length))
    }

    /// The content that the seed stands for.
    pub(super) fn content(self) -> Vec<u8> {
        bytes(self.seed).take(usize::try_from(self.length).unwrap_or(usize::MAX)).collect()
    }
}

/// The bytes that a seed stands for, without end.
pub(super) fn bytes(seed: u64) -> impl Iterator<Item = u8> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    })
}

pub(super) fn sha256<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> String {
    let mut state = Sha256::new();
    for part in parts {
        state.update(part);
    }
    hex::encode(state.finalize())
}

/// The siblings of a Merkle proof, from the leaf to the root.
pub(super) fn siblings(siblings: &[Hash]) -> Vec<String> {
    let text = |sibling: &Hash| match sibling.0 {
        [0, ..] if sibling.0 == [0; 32] => EMPTY_NODE.to_owned(),
        _ => sibling.to_string(),
    };
    siblings.iter().map(text).collect()
}
