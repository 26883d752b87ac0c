//! Manifests: stripe ids drawn from a seed, and the blob id over them.

use floe_model::{BlobId, BlobLayout, Hash, StripeId};
use floe_redstuff::Manifest;
use serde_json::{Value, json};

use super::input::{Input, bytes, sha256};
use super::plain::Tree;

/// No manifest (a single stripe of the largest f), one for a single stripe of a smaller f, two
/// stripes, a page that is just full, one id on a second page, and many pages.
pub(super) const OWN: [Input; 7] = [
    Input { shards: 10, faulty: 3, length: 0, seed: 1 },
    Input { shards: 10, faulty: 3, length: 917_504, seed: 2 },
    Input { shards: 10, faulty: 2, length: 917_504, seed: 3 },
    Input { shards: 10, faulty: 3, length: 917_505, seed: 4 },
    Input { shards: 4, faulty: 1, length: 1024 * 196_608, seed: 5 },
    Input { shards: 4, faulty: 1, length: 1024 * 196_608 + 1, seed: 6 },
    Input { shards: 100, faulty: 33, length: 1 << 40, seed: 7 },
];

const HEAD_BYTES: usize = 22;
const IDS_PER_PAGE: usize = 1024;
const LARGEST_STRIPE_BYTES: usize = 16 << 20;

/// By the layout in the front page of the codec's manifests.
pub(super) fn plainly(input: Input) -> Value {
    let Input { shards, faulty, length, .. } = input;
    let symbols = usize::from(shards - 2 * faulty) * usize::from(shards - faulty);
    let symbol_bytes = (LARGEST_STRIPE_BYTES / symbols / 64 * 64).clamp(1024, 32 * 1024);
    let full_stripe_bytes = (symbols * symbol_bytes) as u64;
    let ids = ids(input, length.div_ceil(full_stripe_bytes).max(1));
    let head = [
        &1_u16.to_le_bytes()[..],
        &shards.to_le_bytes(),
        &faulty.to_le_bytes(),
        &length.to_le_bytes(),
        &full_stripe_bytes.to_le_bytes(),
    ]
    .concat();
    let (id, head) = match ids.as_slice() {
        [only] if faulty == (shards - 1) / 3 => (BlobId(only.0), Vec::new()),
        _ => {
            let pages = ids.chunks(IDS_PER_PAGE).map(|page| root(page.iter().map(|id| id.0)));
            let root = root(pages.map(|page| page.0));
            (BlobId(floe_model::hash(&[b"floe/v1/manifest", &head, &root.0]).0), head)
        }
    };
    let manifest = [head, ids.iter().flat_map(|id| id.0).collect()].concat();
    case(input, full_stripe_bytes, &ids, &manifest, id)
}

/// By the codec.
pub(super) fn by_the_codec(input: Input) -> anyhow::Result<Value> {
    let layout = BlobLayout::new(input.geometry()?, input.length);
    let manifest = Manifest::new(layout, ids(input, layout.stripes()))?;
    let full_stripe_bytes = layout.geometry().full_stripe_bytes() as u64;
    let ids = manifest.all_stripe_ids();
    Ok(case(input, full_stripe_bytes, ids, &manifest.encode(), manifest.id()))
}

fn ids(input: Input, stripes: u64) -> Vec<StripeId> {
    let mut bytes = bytes(input.seed);
    let mut id = || StripeId([0; 32].map(|_: u8| bytes.next().unwrap_or_default()));
    (0..stripes).map(|_| id()).collect()
}

fn root(leaves: impl Iterator<Item = [u8; 32]>) -> Hash {
    Tree::new(&leaves.map(|leaf| leaf.to_vec()).collect::<Vec<_>>()).root()
}

fn case(
    input: Input,
    full_stripe_bytes: u64,
    ids: &[StripeId],
    manifest: &[u8],
    id: BlobId,
) -> Value {
    let has_head = manifest.len() > ids.len() * 32;
    json!({
        "kind": "manifest",
        "n": input.shards,
        "f": input.faulty,
        "length": input.length,
        "seed": input.seed,
        "full_stripe_bytes": full_stripe_bytes,
        "stripes": ids.len(),
        "first_stripe_id": ids.first(),
        "last_stripe_id": ids.last(),
        "head": if has_head { hex::encode(&manifest[..HEAD_BYTES]) } else { String::new() },
        "manifest_bytes": manifest.len(),
        "manifest_sha256": sha256([manifest]),
        "blob_id": id,
    })
}
