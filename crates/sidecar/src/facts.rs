//! Facts for decisions, gathered from the state.

use std::collections::BTreeSet;

use floe_model::{BlobId, Claim, Release};
use floe_store::{Closing, State};

use crate::node::Epoch;

/// Slivers of a claim's blob that this node owes and does not hold.
pub(crate) fn missing_slivers(state: &State, epoch: &Epoch, claim: &Claim) -> u64 {
    let owed = || {
        let node = epoch.record.members.get(epoch.position).map(|member| &member.node);
        node.map_or(u64::MAX, |node| {
            floe_plan::custody::owed_slivers(&epoch.record, node, claim.length)
        })
    };
    let Some((_, under)) = state.blob_key(&claim.blob) else { return owed() };
    if under.holds_all(epoch.geometry(), &epoch.shards) {
        return 0;
    }
    let whole_extent = 2 * epoch.shards.len();
    let missing = under.missing(epoch.geometry(), &epoch.shards);
    missing.map(|extent| extent.slivers.map_or(whole_extent, |slivers| slivers.len()) as u64).sum()
}

/// Every blob that a claim id is known to be bound to.
pub(crate) fn bound(state: &State, claim: &Claim) -> BTreeSet<BlobId> {
    let Some(known) = state.claim(&claim.claim) else { return BTreeSet::new() };
    let certified = known.certified.as_ref().map(|(claim, _)| claim.body.blob);
    known.bindings.iter().copied().chain(certified).collect()
}

/// A release at hand that covers the claim.
pub(crate) fn release<'a>(state: &'a State, claim: &Claim) -> Option<&'a Release> {
    state.covering_release(claim).map(|release| &release.body)
}

/// Whether the claim id is closed, and the closing not void.
pub(crate) fn closed(state: &State, claim: &Claim) -> bool {
    state.claim(&claim.claim).is_some_and(|known| known.closing == Closing::Closed)
}
