//! What may be asked of the catalog.

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use floe_model::{
    BlobId, BlobName, CatalogEntry, Certificate, Claim, ClaimId, NamespaceUid, SignedClaim,
    SignedRelease,
};

use super::{ClaimState, Closing, NameState, Owed, Released, Window, newer, replaces, same_wish};
use crate::state::State;

impl State {
    /// All that is known of a claim id.
    pub fn claim(&self, claim: &ClaimId) -> Option<&ClaimState> {
        self.catalog.claims.get(claim)
    }

    /// All claim ids of which something is known, rising.
    pub fn claims(&self) -> impl Iterator<Item = (&ClaimId, &ClaimState)> + '_ {
        self.catalog.claims.iter()
    }

    /// The claims that were bound to a blob or certified for it.
    pub fn claims_of_blob<'a>(
        &'a self,
        blob: &BlobId,
    ) -> impl Iterator<Item = (&'a ClaimId, &'a ClaimState)> + 'a {
        let ids = self.catalog.of_blob.get(blob).into_iter().flatten();
        ids.filter_map(|id| self.catalog.claims.get_key_value(id))
    }

    /// The certified claims of a name.
    pub fn claims_of_name<'a>(
        &'a self,
        namespace: &NamespaceUid,
        name: &BlobName,
    ) -> impl Iterator<Item = (&'a Arc<SignedClaim>, &'a Arc<Certificate>)> + 'a {
        let ids = self.catalog.name(namespace, name).into_iter().flat_map(NameState::claims);
        ids.filter_map(|id| {
            let (claim, certificate) = self.catalog.claims.get(id)?.certified.as_ref()?;
            Some((claim, certificate))
        })
    }

    /// The releases of a name.
    pub fn releases_of_name<'a>(
        &'a self,
        namespace: &NamespaceUid,
        name: &BlobName,
    ) -> impl Iterator<Item = &'a Arc<SignedRelease>> + 'a {
        self.catalog.name(namespace, name).into_iter().flat_map(NameState::releases)
    }

    /// Up to `limit` names of a namespace with a claim or a release, rising, behind `after`.
    pub fn names(
        &self,
        namespace: &NamespaceUid,
        after: Option<&BlobName>,
        limit: usize,
    ) -> Vec<&BlobName> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.catalog.names.get(namespace);
        let range = names.into_iter().flat_map(|names| names.range((start, Bound::Unbounded)));
        range.map(|(name, _)| name).take(limit).collect()
    }

    /// The release, signed first, that covers a claim.
    pub fn covering_release(&self, claim: &Claim) -> Option<&Arc<SignedRelease>> {
        self.catalog.name(&claim.namespace_uid, &claim.name)?.covering(claim)
    }

    /// The bytes of content of a blob that is wanted here: a certified claim of it is live or was released
    /// within the window.
    pub fn wanted(&self, blob: &BlobId, window: &Window) -> Option<u64> {
        self.wanted_if(blob, |released| window.holds(released))
    }

    /// As [`State::wanted`], of a blob that is to be restored where it is missing.
    pub fn owes(&self, blob: &BlobId, window: &Window) -> Option<u64> {
        self.wanted_if(blob, |released| window.restores(released))
    }

    fn wanted_if(&self, blob: &BlobId, keeps: impl Fn(&Released) -> bool) -> Option<u64> {
        let of_blob = self.catalog.of_blob.get(blob)?;
        of_blob.iter().find_map(|id| {
            let state = self.catalog.claims.get(id)?;
            let (claim, _) =
                state.certified.as_ref().filter(|(claim, _)| claim.body.blob == *blob)?;
            let wanted = state.released.as_ref().is_none_or(&keeps);
            wanted.then_some(claim.body.length)
        })
    }

    /// The blobs whose pairs this node owes, by id: with a certified claim that is live, or that
    /// was released within the window, also as others count it.
    pub fn owed(&self, window: Window) -> impl Iterator<Item = Owed> + '_ {
        self.catalog.of_blob.keys().filter_map(move |blob| {
            let length = self.owes(blob, &window)?;
            Some(Owed { blob: *blob, length, key: self.live_key(blob) })
        })
    }

    /// How long this volume had run when that was last written down, in milliseconds.
    pub const fn ran_millis(&self) -> u64 {
        self.catalog.ran_millis
    }

    /// The names of which there are releases, with all that is known of them.
    pub fn ended_names(&self) -> impl Iterator<Item = (&NamespaceUid, &BlobName, &NameState)> + '_ {
        let ended: BTreeSet<_> = self.catalog.ended.values().flatten().collect();
        ended.into_iter().filter_map(|(uid, name)| Some((uid, name, self.catalog.name(uid, name)?)))
    }

    /// Whether there is any release.
    pub fn has_releases(&self) -> bool {
        !self.catalog.ended.is_empty()
    }

    /// Whether an entry would change nothing: a feed need not carry it again.
    pub fn knows(&self, entry: &CatalogEntry) -> bool {
        let claim = |id| self.catalog.claims.get(id);
        match entry {
            CatalogEntry::Claim(offered, certificate) => {
                let known = claim(&offered.body.claim).and_then(|state| state.certified.as_ref());
                known.is_some_and(|(known, held)| {
                    !same_wish(&known.body, &offered.body)
                        || !newer(&self.epochs, certificate, held)
                })
            }
            CatalogEntry::Release(offered) => {
                let body = &offered.body;
                let name = self.catalog.name(&body.namespace_uid, &body.name);
                let known = name.and_then(|name| name.releases.get(&body.claim));
                known.is_some_and(|known| !replaces(body, &known.release.body))
            }
            CatalogEntry::Binding { claim: id, blob } => {
                claim(id).is_some_and(|state| state.bindings.contains(blob))
            }
            CatalogEntry::Closed { claim: id } => {
                claim(id).is_some_and(|state| state.closing >= Closing::Closed)
            }
            CatalogEntry::ClosingVoid { claim: id } => {
                claim(id).is_some_and(|state| state.closing == Closing::Void)
            }
        }
    }
}
