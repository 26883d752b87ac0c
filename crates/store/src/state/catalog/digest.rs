//! Digests of the catalog: two nodes that know the same claims and releases have equal ones.
//!
//! A bucket's digest is the exclusive or of 16 bytes for each of its items: for a live claim with its
//! certificate those of `H(1 ‖ claim id ‖ blob id)`, for a release those of
//! `H(2 ‖ claim id ‖ namespace UID ‖ created ‖ signed ‖ name)`. What is released and not forgotten yet
//! is left out, since each node forgets it by a clock of its own.

use std::ops::RangeInclusive;
use std::sync::Arc;

use floe_model::catalog::{Bucket, BucketDigest};
use floe_model::{Certificate, ClaimId, SignedClaim, SignedRelease, hash};

use crate::state::State;

/// What a bucket holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BucketItem {
    /// A live claim with its certificate.
    Live(Arc<SignedClaim>, Arc<Certificate>),
    /// A release.
    Release(Arc<SignedRelease>),
}

impl BucketItem {
    /// The claim id that puts it into its bucket.
    pub fn claim(&self) -> ClaimId {
        match self {
            Self::Live(claim, _) => claim.body.claim,
            Self::Release(release) => release.body.claim,
        }
    }

    fn digest(&self) -> BucketDigest {
        let hashed = match self {
            Self::Live(claim, _) => {
                hash(&[&[1], claim.body.claim.as_bytes(), claim.body.blob.as_bytes()])
            }
            Self::Release(release) => {
                let body = &release.body;
                hash(&[
                    &[2],
                    body.claim.as_bytes(),
                    body.namespace_uid.as_bytes(),
                    &body.created.0.to_le_bytes(),
                    &body.signed.0.to_le_bytes(),
                    body.name.as_str().as_bytes(),
                ])
            }
        };
        let mut digest = BucketDigest::default();
        digest.0.copy_from_slice(hashed.0.get(..16).unwrap_or(&[0; 16]));
        digest
    }
}

/// The claim ids of a bucket.
fn ids(bucket: Bucket) -> RangeInclusive<ClaimId> {
    let [high, low] = (bucket.0 << 6).to_be_bytes();
    let (mut first, mut last) = ([0; 16], [0xff; 16]);
    (first[0], first[1]) = (high, low);
    (last[0], last[1]) = (high, low | 0x3f);
    ClaimId(first)..=ClaimId(last)
}

impl State {
    /// What a bucket holds, by rising claim id.
    pub fn bucket(&self, bucket: Bucket) -> Vec<BucketItem> {
        let live = self.catalog.claims.range(ids(bucket)).filter_map(|(_, state)| {
            let (claim, certificate) = state.certified.as_ref()?;
            let item = || BucketItem::Live(Arc::clone(claim), Arc::clone(certificate));
            state.released.is_none().then(item)
        });
        let ended = self.catalog.ended.range(ids(bucket)).flat_map(|(claim, names)| {
            let known = names.iter().filter_map(|(uid, name)| self.catalog.name(uid, name));
            known.filter_map(|name| {
                let known = name.releases.get(claim)?;
                Some(BucketItem::Release(Arc::clone(&known.release)))
            })
        });
        let mut items: Vec<BucketItem> = live.chain(ended).collect();
        items.sort_by_key(BucketItem::claim);
        items
    }

    /// The digest of a bucket.
    pub fn digest(&self, bucket: Bucket) -> BucketDigest {
        let items = self.bucket(bucket).into_iter();
        items.fold(BucketDigest::default(), |sum, item| sum.and(&item.digest()))
    }
}
