//! Claims, releases, bindings and closings, and the change feed of them.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use floe_model::{
    BlobId, BlobName, CatalogEntry, Certificate, Claim, ClaimId, NamespaceUid, RecordHash, Release,
    SignedClaim, SignedRelease, Timestamp,
};

use super::State;
use super::epochs::Epochs;
use crate::entry::BlobKey;
use crate::log::LogSpan;

/// How far the closing of a claim went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Closing {
    /// Nobody asked.
    #[default]
    Open,
    /// Not to be acknowledged any more.
    Closed,
    /// A certificate was found: closings have no effect, this and later ones.
    Void,
}

/// The node's own confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Confirmed {
    /// Under which record.
    pub record: RecordHash,
    /// When, the last time.
    pub at: Timestamp,
}

/// All that is known of a claim id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClaimState {
    /// The claim and its certificate.
    pub certified: Option<(Arc<SignedClaim>, Arc<Certificate>)>,
    /// The blobs that nodes, this one or others, confirmed for it: more than one is a conflict.
    pub bindings: Vec<BlobId>,
    /// Whether it may be acknowledged.
    pub closing: Closing,
    /// What this node confirmed and still holds.
    pub confirmed: Option<Confirmed>,
    /// When the first release that covers it was signed; only of certified claims.
    pub released: Option<Timestamp>,
}

/// All that is known of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameState {
    claims: BTreeSet<ClaimId>,
    releases: BTreeMap<ClaimId, Arc<SignedRelease>>,
}

impl NameState {
    /// The certified claims of the name.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimId> + '_ {
        self.claims.iter()
    }

    /// The releases of the name.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<SignedRelease>> + '_ {
        self.releases.values()
    }

    fn covering(&self, claim: &Claim) -> Option<&Arc<SignedRelease>> {
        let covering = self.releases.values().filter(|release| release.body.covers(claim));
        covering.min_by_key(|release| (release.body.signed, release.body.claim))
    }
}

/// A blob whose pairs this node owes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owed {
    /// The blob.
    pub blob: BlobId,
    /// Bytes of content, as its claims say.
    pub length: u64,
    /// Where it lives; `None` if not even its manifest is here.
    pub key: Option<BlobKey>,
}

#[derive(Debug, Default)]
pub(super) struct Catalog {
    claims: BTreeMap<ClaimId, ClaimState>,
    names: BTreeMap<NamespaceUid, BTreeMap<BlobName, NameState>>,
    /// Claims that were bound to the blob or certified for it.
    of_blob: BTreeMap<BlobId, BTreeSet<ClaimId>>,
    feed: Vec<LogSpan>,
}

impl Catalog {
    pub(super) fn add(&mut self, entry: &CatalogEntry, at: LogSpan, epochs: &Epochs) {
        self.feed.push(at);
        match entry {
            CatalogEntry::Claim(claim, certificate) => self.certify(claim, certificate, epochs),
            CatalogEntry::Release(release) => self.release(release),
            CatalogEntry::Binding { claim, blob } => {
                self.of_blob.entry(*blob).or_default().insert(*claim);
                let bindings = &mut self.claims.entry(*claim).or_default().bindings;
                if !bindings.contains(blob) {
                    bindings.push(*blob);
                }
            }
            CatalogEntry::Closed { claim } => self.close(*claim, Closing::Closed),
            CatalogEntry::ClosingVoid { claim } => self.close(*claim, Closing::Void),
        }
    }

    fn certify(&mut self, claim: &SignedClaim, certificate: &Certificate, epochs: &Epochs) {
        let body = &claim.body;
        let state = self.claims.entry(body.claim).or_default();
        if let Some((known, held)) = &state.certified
            && !(newer(epochs, certificate, held) && same_wish(&known.body, body))
        {
            return;
        }
        state.certified = Some((Arc::new(claim.clone()), Arc::new(certificate.clone())));
        let names = self.names.entry(body.namespace_uid).or_default();
        let name = names.entry(body.name.clone()).or_default();
        name.claims.insert(body.claim);
        state.released = name.covering(body).map(|release| release.body.signed);
        self.of_blob.entry(body.blob).or_default().insert(body.claim);
    }

    fn release(&mut self, release: &SignedRelease) {
        let body = &release.body;
        let names = self.names.entry(body.namespace_uid).or_default();
        let name = names.entry(body.name.clone()).or_default();
        if name.releases.get(&body.claim).is_some_and(|known| !replaces(body, &known.body)) {
            return;
        }
        name.releases.insert(body.claim, Arc::new(release.clone()));
        for claim in &name.claims {
            let Some(state) = self.claims.get_mut(claim) else { continue };
            let Some((claim, _)) = &state.certified else { continue };
            state.released = name.covering(&claim.body).map(|release| release.body.signed);
        }
    }

    fn close(&mut self, claim: ClaimId, closing: Closing) {
        let state = self.claims.entry(claim).or_default();
        state.closing = state.closing.max(closing);
    }

    pub(super) fn confirm(&mut self, claim: ClaimId, confirmed: Confirmed) {
        self.claims.entry(claim).or_default().confirmed = Some(confirmed);
    }

    /// The blob is gone: nothing that was confirmed about it holds any more.
    pub(super) fn unconfirm(&mut self, blob: &BlobId) {
        for claim in self.of_blob.get(blob).into_iter().flatten() {
            if let Some(state) = self.claims.get_mut(claim) {
                state.confirmed = None;
            }
        }
    }

    fn name(&self, namespace: &NamespaceUid, name: &BlobName) -> Option<&NameState> {
        self.names.get(namespace)?.get(name)
    }
}

/// Whether two claims of one id differ at most in who signed them when.
fn same_wish(one: &Claim, other: &Claim) -> bool {
    one.blob == other.blob
        && one.length == other.length
        && one.namespace_uid == other.namespace_uid
        && one.name == other.name
        && one.created == other.created
}

/// Whether a certificate counts a later record's shards than the one held.
fn newer(epochs: &Epochs, offered: &Certificate, held: &Certificate) -> bool {
    epochs.number(&offered.record) > epochs.number(&held.record)
}

/// Whether a release says more than a known one of the same claim id.
fn replaces(release: &Release, known: &Release) -> bool {
    (release.created, release.signed) > (known.created, known.signed)
}

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

    /// The blobs whose pairs this node owes, by id: with a certified claim that is live, or that
    /// was released later than `released_after`.
    pub fn owed(&self, released_after: Timestamp) -> impl Iterator<Item = Owed> + '_ {
        let wanted = move |id: &ClaimId, blob: &BlobId| {
            let state = self.catalog.claims.get(id)?;
            let (claim, _) =
                state.certified.as_ref().filter(|(claim, _)| claim.body.blob == *blob)?;
            let wanted = state.released.is_none_or(|released| released > released_after);
            wanted.then_some(claim.body.length)
        };
        self.catalog.of_blob.iter().filter_map(move |(blob, claims)| {
            let length = claims.iter().find_map(|id| wanted(id, blob))?;
            Some(Owed { blob: *blob, length, key: self.live_key(blob) })
        })
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
                known.is_some_and(|known| !replaces(body, &known.body))
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

    /// The number of the newest entry of this node's feed, synced or not; 0 for none.
    pub fn feed_head(&self) -> u64 {
        self.catalog.feed.len() as u64
    }

    /// The number of the newest entry that ends at or before `durable` in the log.
    pub(crate) fn feed_durable(&self, durable: u64) -> u64 {
        self.catalog.feed.partition_point(|span| span.end() <= durable) as u64
    }

    /// Where the feed's entries behind number `after` stand in the log.
    pub(crate) fn feed_spans(&self, after: u64) -> impl Iterator<Item = (u64, LogSpan)> + '_ {
        let skip = usize::try_from(after).unwrap_or(usize::MAX);
        let spans = self.catalog.feed.get(skip..).unwrap_or_default();
        (after.saturating_add(1)..).zip(spans.iter().copied())
    }
}
