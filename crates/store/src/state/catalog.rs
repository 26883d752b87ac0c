//! Claims, releases, bindings and closings, and the change feed of them.

mod digest;
mod feed;
mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use floe_model::{
    BlobId, BlobName, CatalogEntry, Certificate, Claim, ClaimId, NamespaceUid, RecordHash, Release,
    SignedClaim, SignedRelease, Timestamp,
};

pub use digest::BucketItem;
use feed::Feed;

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
    /// Which blob.
    pub blob: BlobId,
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
    /// The release that covers it; only of certified claims.
    pub released: Option<Released>,
    /// Its entries of the feed.
    told: Vec<u64>,
}

/// The end of a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// When the first release that covers it was signed.
    pub signed: Timestamp,
    /// How long this volume had run when it first stored one.
    pub ran_millis: u64,
}

impl Released {
    /// The earlier of two ends.
    fn or_before(self, other: Option<Self>) -> Self {
        let other = other.unwrap_or(self);
        Self {
            signed: self.signed.min(other.signed),
            ran_millis: self.ran_millis.min(other.ran_millis),
        }
    }
}

/// How long released content is kept, and how long this volume has run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The time of day.
    pub now: Timestamp,
    /// How long the volume has run by now, under all its processes.
    pub ran_millis: u64,
    /// How long it keeps what is released, counted in that time.
    pub undelete_millis: u64,
}

impl Window {
    /// Whether what was released then is still kept.
    pub const fn holds(&self, released: &Released) -> bool {
        self.ran_millis <= released.ran_millis.saturating_add(self.undelete_millis)
    }

    /// Whether what was released then is to be restored where it is missing: as long as it is kept, and
    /// others that ran all the time keep it too. A new volume reads releases of many weeks, each of which
    /// begins a window here.
    pub const fn restores(&self, released: &Released) -> bool {
        self.holds(released) && self.now.millis_since(released.signed) <= self.undelete_millis
    }
}

/// A release, as it is known here.
#[derive(Debug, Clone, PartialEq, Eq)]
struct KnownRelease {
    release: Arc<SignedRelease>,
    ran_millis: u64,
    /// Its entries of the feed.
    told: Vec<u64>,
}

impl KnownRelease {
    fn ending(&self) -> Released {
        Released { signed: self.release.body.signed, ran_millis: self.ran_millis }
    }
}

/// All that is known of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameState {
    claims: BTreeSet<ClaimId>,
    releases: BTreeMap<ClaimId, KnownRelease>,
}

impl NameState {
    /// The certified claims of the name.
    pub fn claims(&self) -> impl Iterator<Item = &ClaimId> + '_ {
        self.claims.iter()
    }

    /// The releases of the name.
    pub fn releases(&self) -> impl Iterator<Item = &Arc<SignedRelease>> + '_ {
        self.releases.values().map(|known| &known.release)
    }

    fn covering(&self, claim: &Claim) -> Option<&Arc<SignedRelease>> {
        let covering = self.releases().filter(|release| release.body.covers(claim));
        covering.min_by_key(|release| (release.body.signed, release.body.claim))
    }

    /// The earliest of all ends of a claim, and of the one it had.
    fn ending(&self, claim: &Claim, had: Option<Released>) -> Option<Released> {
        let covering = self.releases.values().filter(|known| known.release.body.covers(claim));
        covering.map(KnownRelease::ending).fold(had, |had, end| Some(end.or_before(had)))
    }

    fn is_empty(&self) -> bool {
        self.claims.is_empty() && self.releases.is_empty()
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
    /// The names of which there is a release with this claim id.
    ended: BTreeMap<ClaimId, BTreeSet<(NamespaceUid, BlobName)>>,
    feed: Feed,
    /// How long the volume had run when that was last written down.
    ran_millis: u64,
}

impl Catalog {
    pub(super) fn add(&mut self, entry: &CatalogEntry, at: LogSpan, epochs: &Epochs) {
        let told = self.feed.push(at);
        match entry {
            CatalogEntry::Claim(claim, certificate) => {
                self.certify(claim, certificate, epochs);
                self.state(claim.body.claim).told.push(told);
            }
            CatalogEntry::Release(release) => self.release(release, told),
            CatalogEntry::Binding { claim, blob } => {
                self.of_blob.entry(*blob).or_default().insert(*claim);
                let state = self.state(*claim);
                if !state.bindings.contains(blob) {
                    state.bindings.push(*blob);
                }
                state.told.push(told);
            }
            CatalogEntry::Closed { claim } => self.close(*claim, Closing::Closed, told),
            CatalogEntry::ClosingVoid { claim } => self.close(*claim, Closing::Void, told),
        }
    }

    fn state(&mut self, claim: ClaimId) -> &mut ClaimState {
        self.claims.entry(claim).or_default()
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
        state.released = name.ending(body, state.released);
        self.of_blob.entry(body.blob).or_default().insert(body.claim);
    }

    fn release(&mut self, release: &SignedRelease, told: u64) {
        let body = &release.body;
        let names = self.names.entry(body.namespace_uid).or_default();
        let name = names.entry(body.name.clone()).or_default();
        let known = name.releases.get(&body.claim);
        if known.is_some_and(|known| !replaces(body, &known.release.body)) {
            self.feed.forget([told]);
            return;
        }
        let mut places = known.map(|known| known.told.clone()).unwrap_or_default();
        places.push(told);
        let release = Arc::new(release.clone());
        let known = KnownRelease { release, ran_millis: self.ran_millis, told: places };
        let ending = known.ending();
        name.releases.insert(body.claim, known);
        self.ended.entry(body.claim).or_default().insert((body.namespace_uid, body.name.clone()));
        for claim in &name.claims {
            let Some(state) = self.claims.get_mut(claim) else { continue };
            let Some((claim, _)) = &state.certified else { continue };
            // The others were looked at when they came: names may have thousands of both.
            if body.covers(&claim.body) {
                state.released = Some(ending.or_before(state.released));
            }
        }
    }

    fn close(&mut self, claim: ClaimId, closing: Closing, told: u64) {
        let state = self.state(claim);
        state.closing = state.closing.max(closing);
        state.told.push(told);
    }

    pub(super) fn confirm(&mut self, claim: ClaimId, confirmed: Confirmed) {
        self.state(claim).confirmed = Some(confirmed);
    }

    /// The blob is gone: what was confirmed about it holds no more.
    pub(super) fn unconfirm(&mut self, blob: &BlobId) {
        for claim in self.of_blob.get(blob).into_iter().flatten() {
            if let Some(state) = self.claims.get_mut(claim)
                && state.confirmed.is_some_and(|confirmed| confirmed.blob == *blob)
            {
                state.confirmed = None;
            }
        }
    }

    pub(super) fn run(&mut self, ran_millis: u64) {
        self.ran_millis = self.ran_millis.max(ran_millis);
    }

    /// Nothing is known of the claim any more, and the feed shows it to nobody.
    pub(super) fn forget_claim(&mut self, claim: &ClaimId) {
        let Some(state) = self.claims.remove(claim) else { return };
        self.feed.forget(state.told);
        let certified = state.certified.map(|(claim, _)| claim);
        for blob in state.bindings.iter().chain(certified.iter().map(|claim| &claim.body.blob)) {
            if let Some(claims) = self.of_blob.get_mut(blob) {
                claims.remove(claim);
                if claims.is_empty() {
                    self.of_blob.remove(blob);
                }
            }
        }
        if let Some(SignedClaim { body, .. }) = certified.as_deref() {
            self.of_name(&body.namespace_uid, &body.name, |name| {
                name.claims.remove(claim);
            });
        }
    }

    /// As [`Self::forget_claim`], of a release.
    pub(super) fn forget_release(&mut self, uid: &NamespaceUid, name: &BlobName, claim: &ClaimId) {
        let mut places = Vec::new();
        self.of_name(uid, name, |name| {
            places = name.releases.remove(claim).map(|known| known.told).unwrap_or_default();
        });
        self.feed.forget(places);
        if let Some(names) = self.ended.get_mut(claim) {
            names.remove(&(*uid, name.clone()));
            if names.is_empty() {
                self.ended.remove(claim);
            }
        }
    }

    /// Changes a name; one of which nothing is left is gone.
    fn of_name(
        &mut self,
        uid: &NamespaceUid,
        name: &BlobName,
        change: impl FnOnce(&mut NameState),
    ) {
        let Some(names) = self.names.get_mut(uid) else { return };
        if let Some(state) = names.get_mut(name) {
            change(state);
            if state.is_empty() {
                names.remove(name);
            }
        }
        if names.is_empty() {
            self.names.remove(uid);
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
