//! What becomes of claims and releases that are older than the retention of releases.

use std::collections::{BTreeMap, BTreeSet};

use floe_model::{Claim, ClaimId, EpochRecord, NodeName, Release, Threshold, Timestamp};

use super::is_old;

/// What is known of a live claim that is held here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveClaimFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// The newest record accepted here.
    pub accepted: &'a EpochRecord,
    /// This node: its own word does not count.
    pub me: &'a NodeName,
    /// When the claim was signed.
    pub signed: Timestamp,
    /// What others answered: whether they hold it live. Who was silent is not among them.
    pub said: &'a BTreeMap<NodeName, bool>,
}

/// Whether a live claim is still believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveClaim {
    /// A release of it would be at hand: nobody needs to be asked.
    Young,
    /// Others worth f+1 shards hold it live too.
    Vouched,
    /// Others worth n-f shards answered that they do not hold it live: drop it in this step.
    Ended,
    /// Too few said the one or the other: it stays, and is asked for again.
    Doubtful,
}

/// Whether a claim that is held live may be one that was deleted while this node was away for longer
/// than releases are kept. Silence is no answer.
pub fn live_claim(facts: &LiveClaimFacts<'_>) -> LiveClaim {
    let LiveClaimFacts { now, accepted, me, signed, said } = *facts;
    if !is_old(signed, now, accepted.policy.release_retention_millis) {
        return LiveClaim::Young;
    }
    let who_says = |word: bool| {
        said.iter().filter(move |(node, live)| **live == word && *node != me).map(|(node, _)| node)
    };
    if accepted.reaches(Threshold::Vouching, who_says(true)) {
        LiveClaim::Vouched
    } else if accepted.reaches(Threshold::Correct, who_says(false)) {
        LiveClaim::Ended
    } else {
        LiveClaim::Doubtful
    }
}

/// A released claim, and whether everything of it is over here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedClaim<'a> {
    /// The claim.
    pub claim: &'a Claim,
    /// Its undelete window has ended, and its pairs are gone or kept for another claim.
    pub collected: bool,
}

/// All that is known of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameFacts<'a> {
    /// This node's clock.
    pub now: Timestamp,
    /// The accepted record's retention of releases, in milliseconds.
    pub retention_millis: u64,
    /// The claims of the name that a release covers.
    pub claims: &'a [ReleasedClaim<'a>],
    /// Its releases.
    pub releases: &'a [&'a Release],
}

/// What leaves in one step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Forget {
    /// Claims.
    pub claims: BTreeSet<ClaimId>,
    /// Releases, by the claim id that they name.
    pub releases: BTreeSet<ClaimId>,
}

/// What of a name may be forgotten: a claim when everything of it is over, and it and the first
/// release that covers it are so old that nobody takes them again; a release when it is that old
/// itself and no claim stays that it covers. So no claim is ever left without its release.
pub fn forget(facts: &NameFacts<'_>) -> Forget {
    let is_old = |signed| is_old(signed, facts.now, facts.retention_millis);
    let leaves = |known: &&ReleasedClaim<'_>| {
        let covering = facts.releases.iter().filter(|release| release.covers(known.claim));
        let first = covering.map(|release| release.signed).min();
        known.collected && is_old(known.claim.signed) && first.is_some_and(is_old)
    };
    let claims: BTreeSet<ClaimId> =
        facts.claims.iter().filter(leaves).map(|known| known.claim.claim).collect();
    let stays = |release: &Release| {
        let mut staying = facts.claims.iter().filter(|known| !claims.contains(&known.claim.claim));
        staying.any(|known| release.covers(known.claim))
    };
    let releases =
        facts.releases.iter().filter(|release| is_old(release.signed) && !stays(release));
    let releases = releases.map(|release| release.claim).collect();
    Forget { claims, releases }
}
