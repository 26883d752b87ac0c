//! Manifests: the ordered stripe ids of a blob, and the blob id over them.
//!
//! A blob of one stripe, where f is the largest for n, needs none: its id is the stripe's. Any other
//! blob's id is the hash of these fields, little endian:
//!
//! | field | bytes |
//! |---|---|
//! | `floe/v1/manifest` | 16 |
//! | version | u16, 1 |
//! | n, f | u16, u16 |
//! | length of the blob | u64 |
//! | bytes in a full stripe | u64 |
//! | root | 32 |
//!
//! The root is that of a Merkle tree over the roots of *pages*; a page is a Merkle tree over up to
//! 1024 stripe ids. A manifest's own bytes are the same fields from `version` on, with all stripe ids
//! in place of the root; those of a blob without one are its stripe id.

use floe_model::{BlobId, BlobLayout, ExtentIndex, Geometry, Hash, StripeId};

use crate::merkle;
use crate::verified::Verified;

const DOMAIN: &[u8; 16] = b"floe/v1/manifest";
const VERSION: u16 = 1;
const IDS_PER_PAGE: usize = 1024;
const ID_BYTES: usize = 32;
const HEAD_BYTES: usize = 2 + 2 + 2 + 8 + 8;

/// Bytes that are not the manifest wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// Not the length that the blob's layout asks for.
    #[error("a manifest of {actual} bytes: {expected} expected")]
    WrongLength {
        /// Bytes that the layout asks for.
        expected: u64,
        /// Bytes given.
        actual: u64,
    },
    /// Not as many stripes as the layout has.
    #[error("{actual} stripe ids for a blob of {expected} stripes")]
    WrongStripes {
        /// Stripes of the layout.
        expected: u64,
        /// Ids given.
        actual: u64,
    },
    /// A format of another version.
    #[error(
        "a manifest of version {found}: this program reads version {known}; use one that knows it"
    )]
    UnknownVersion {
        /// What the bytes say.
        found: u16,
        /// What this code reads.
        known: u16,
    },
    /// The manifest of a blob of another layout.
    #[error("a manifest of another layout: {field} is {actual}, not {expected}")]
    OtherLayout {
        /// Which field differs.
        field: &'static str,
        /// What the layout says.
        expected: u64,
        /// What the bytes say.
        actual: u64,
    },
    /// The manifest of another blob.
    #[error("the manifest belongs to {actual}, not to {expected}")]
    WrongId {
        /// The id wanted.
        expected: BlobId,
        /// The id of the bytes.
        actual: BlobId,
    },
}

/// A blob's geometry, length and stripe ids; every blob has one as a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    layout: BlobLayout,
    ids: Vec<StripeId>,
    id: BlobId,
}

impl Manifest {
    /// The manifest of a blob whose stripes, in order, have these ids.
    pub fn new(layout: BlobLayout, ids: Vec<StripeId>) -> Result<Self, ManifestError> {
        let (expected, actual) = (layout.stripes(), ids.len() as u64);
        if actual != expected {
            return Err(ManifestError::WrongStripes { expected, actual });
        }
        let id = match ids.first() {
            Some(only) if layout.is_single_stripe() => BlobId(only.0),
            _ => {
                let head = head(layout);
                BlobId(floe_model::hash(&[DOMAIN, &head, &paged_root(&ids).0]).0)
            }
        };
        Ok(Self { layout, ids, id })
    }

    /// The blob's id.
    pub const fn id(&self) -> BlobId {
        self.id
    }

    /// How the blob is cut.
    pub const fn layout(&self) -> BlobLayout {
        self.layout
    }

    /// The committee's geometry.
    pub const fn geometry(&self) -> Geometry {
        self.layout.geometry()
    }

    /// All stripe ids, in order.
    pub fn all_stripe_ids(&self) -> &[StripeId] {
        &self.ids
    }

    /// The stripe ids of an extent, none beyond the end.
    pub fn stripe_ids(&self, extent: ExtentIndex) -> &[StripeId] {
        let stripes = self.layout.extent_stripes(extent);
        let place = |stripe| usize::try_from(stripe).unwrap_or(usize::MAX);
        self.ids.get(place(stripes.start)..place(stripes.end)).unwrap_or_default()
    }

    /// Bytes of the manifest of a blob of this layout: the only length that [`Self::decode`] takes.
    pub const fn encoded_bytes(layout: BlobLayout) -> u64 {
        if layout.is_single_stripe() {
            ID_BYTES as u64
        } else {
            (layout.stripes() * ID_BYTES as u64).saturating_add(HEAD_BYTES as u64)
        }
    }

    /// The manifest as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.ids.len() * ID_BYTES);
        if !self.layout.is_single_stripe() {
            bytes.extend_from_slice(&head(self.layout));
        }
        bytes.extend(self.ids.iter().flat_map(|id| id.0));
        bytes
    }

    /// Reads the manifest of some blob of this layout.
    pub fn decode(bytes: &[u8], layout: BlobLayout) -> Result<Self, ManifestError> {
        let (expected, actual) = (Self::encoded_bytes(layout), bytes.len() as u64);
        let ids = if layout.is_single_stripe() { bytes } else { check_head(bytes, layout)? };
        if actual != expected {
            return Err(ManifestError::WrongLength { expected, actual });
        }
        let ids = ids.as_chunks::<ID_BYTES>().0.iter().map(|&id| StripeId(id)).collect();
        Self::new(layout, ids)
    }

    /// Reads the manifest of the blob with this id.
    pub fn verify(
        bytes: &[u8],
        expected: BlobId,
        layout: BlobLayout,
    ) -> Result<Verified<Self>, ManifestError> {
        let manifest = Self::decode(bytes, layout)?;
        if manifest.id != expected {
            return Err(ManifestError::WrongId { expected, actual: manifest.id });
        }
        Ok(Verified::new(manifest))
    }
}

/// Version, n, f, length, full stripe bytes.
fn head(layout: BlobLayout) -> [u8; HEAD_BYTES] {
    let geometry = layout.geometry();
    let mut head = [0; HEAD_BYTES];
    head[0..2].copy_from_slice(&VERSION.to_le_bytes());
    head[2..4].copy_from_slice(&geometry.shards().to_le_bytes());
    head[4..6].copy_from_slice(&geometry.faulty().to_le_bytes());
    head[6..14].copy_from_slice(&layout.length().to_le_bytes());
    head[14..22].copy_from_slice(&(geometry.full_stripe_bytes() as u64).to_le_bytes());
    head
}

/// Compares the head with the layout's; what follows it are the stripe ids.
fn check_head(bytes: &[u8], layout: BlobLayout) -> Result<&[u8], ManifestError> {
    let Some((found, ids)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        let (expected, actual) = (Manifest::encoded_bytes(layout), bytes.len() as u64);
        return Err(ManifestError::WrongLength { expected, actual });
    };
    let version = u16::from_le_bytes([found[0], found[1]]);
    if version != VERSION {
        return Err(ManifestError::UnknownVersion { found: version, known: VERSION });
    }
    let wanted = head(layout);
    let fields =
        [("n", 2..4), ("f", 4..6), ("the length", 6..14), ("the size of a full stripe", 14..22)];
    for (field, range) in fields {
        let number = |head: &[u8; HEAD_BYTES]| {
            head[range.clone()].iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
        };
        let (expected, actual) = (number(&wanted), number(found));
        if actual != expected {
            return Err(ManifestError::OtherLayout { field, expected, actual });
        }
    }
    Ok(ids)
}

fn paged_root(ids: &[StripeId]) -> Hash {
    let page_roots = ids
        .chunks(IDS_PER_PAGE)
        .map(|page| merkle::root_of(page.iter().map(|id| id.as_bytes().as_slice())));
    let page_roots: Vec<Hash> = page_roots.collect();
    merkle::root_of(page_roots.iter().map(|root| root.0.as_slice()))
}
