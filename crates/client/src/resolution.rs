//! Which blob a name stands for: a pure decision over what nodes answered.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use floe_model::{
    Certificate, Claim, ClaimId, EpochRecord, SignedClaim, SignedRelease, Tally, Threshold,
    Timestamp,
};

/// A claim with the certificate without which it does not count.
pub type Certified = (SignedClaim, Certificate);

/// What one node holds about one name; every signature in it was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameAnswer {
    /// Claims with their certificates, live or not.
    pub claims: Vec<Certified>,
    /// Releases of this name.
    pub releases: Vec<SignedRelease>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// A live claim.
    Found(Box<Certified>),
    /// No live claim.
    Absent {
        /// The release of the newest object of this name that was seen.
        last_release: Option<Box<SignedRelease>>,
    },
}

/// What the answers so far allow to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Decided.
    Resolved(Resolution),
    /// The nodes that were not asked yet may decide it.
    AskMore,
    /// Everyone was asked, and too few answered.
    TooFew {
        /// Shards that answered.
        answered: usize,
        /// n-f.
        needed: usize,
    },
    /// Everyone was asked; an old claim is neither vouched for by nodes worth f+1 shards nor denied
    /// by nodes worth n-f.
    Unresolved {
        /// The claim in doubt.
        claim: ClaimId,
    },
}

/// One claim id among the answers. Claims of one id carry one blob (nodes bind them), but may have
/// been signed more than once.
struct Candidate<'a> {
    newest: &'a Certified,
    signed: Timestamp,
    holders: BTreeSet<usize>,
}

/// Decides over the answers of members {position in the record: what it holds}. `all_asked`: nobody
/// is left who could still answer.
pub fn resolve(
    record: &EpochRecord,
    answers: &BTreeMap<usize, NameAnswer>,
    all_asked: bool,
    now: Timestamp,
) -> Verdict {
    let asked = Tally::of(record, answers.keys().copied());
    if !asked.reaches(Threshold::Correct) {
        let needed = Threshold::Correct.shards(record.geometry);
        return if all_asked {
            Verdict::TooFew { answered: asked.shards(), needed }
        } else {
            Verdict::AskMore
        };
    }
    for candidate in newest_first(answers) {
        let age_millis = now.millis_since(candidate.signed);
        let is_young = age_millis <= record.policy.release_retention_millis;
        let holders = Tally::of(record, candidate.holders.iter().copied());
        if is_young || holders.reaches(Threshold::Vouching) {
            return Verdict::Resolved(Resolution::Found(Box::new(candidate.newest.clone())));
        }
        let others = answers.keys().copied().filter(|member| !candidate.holders.contains(member));
        if !Tally::of(record, others).reaches(Threshold::Correct) {
            return if all_asked {
                Verdict::Unresolved { claim: candidate.newest.0.body.claim }
            } else {
                Verdict::AskMore
            };
        }
    }
    let last_release = releases(answers).max_by_key(|release| release_order(release)).cloned();
    Verdict::Resolved(Resolution::Absent { last_release: last_release.map(Box::new) })
}

/// The newest of all claims among the answers that a release among them covers. One that was released
/// longer ago than releases are kept counts only when nodes worth f+1 shards still show it: a liar, or
/// a node from the past, may know what all others have forgotten.
pub(crate) fn newest_released(
    record: &EpochRecord,
    answers: &BTreeMap<usize, NameAnswer>,
    now: Timestamp,
) -> Option<Certified> {
    let is_young = |release: &&SignedRelease| {
        now.millis_since(release.body.signed) <= record.policy.release_retention_millis
    };
    let shows = |member: &usize, claim: &Claim| {
        let claims = answers.get(member).into_iter().flat_map(|answer| &answer.claims);
        claims.into_iter().any(|shown| shown.0.body.claim == claim.claim)
    };
    let counts = |claim: &Claim| {
        let mut ends = releases(answers).filter(|release| release.body.covers(claim)).peekable();
        let holders = || answers.keys().copied().filter(|member| shows(member, claim));
        ends.peek().is_some()
            && (ends.any(|release| is_young(&release))
                || Tally::of(record, holders()).reaches(Threshold::Vouching))
    };
    let shown = answers.values().flat_map(|answer| &answer.claims);
    shown.filter(|shown| counts(&shown.0.body)).max_by_key(|it| end_order(it)).cloned()
}

/// The claim ids that no release among the answers covers: of the newest object first.
fn newest_first(answers: &BTreeMap<usize, NameAnswer>) -> Vec<Candidate<'_>> {
    let is_live = |claim: &Claim| !releases(answers).any(|release| release.body.covers(claim));
    let mut candidates: BTreeMap<ClaimId, Candidate<'_>> = BTreeMap::new();
    for (&member, answer) in answers {
        for shown in answer.claims.iter().filter(|shown| is_live(&shown.0.body)) {
            let candidate = candidates.entry(shown.0.body.claim).or_insert_with(|| Candidate {
                newest: shown,
                signed: shown.0.body.signed,
                holders: BTreeSet::new(),
            });
            candidate.holders.insert(member);
            candidate.signed = candidate.signed.max(shown.0.body.signed);
            if claim_order(shown) > claim_order(candidate.newest) {
                candidate.newest = shown;
            }
        }
    }
    let mut candidates: Vec<_> = candidates.into_values().collect();
    candidates.sort_by_key(|candidate| Reverse(claim_order(candidate.newest)));
    candidates
}

fn releases(answers: &BTreeMap<usize, NameAnswer>) -> impl Iterator<Item = &SignedRelease> {
    answers.values().flat_map(|answer| &answer.releases)
}

fn claim_order((claim, _): &Certified) -> impl Ord + use<> {
    let claim = &claim.body;
    (claim.created, claim.claim, claim.signed, claim.blob)
}

/// Objects are created in whole seconds: of two of one second, what was signed later came later.
fn end_order((claim, _): &Certified) -> impl Ord + use<> {
    let claim = &claim.body;
    (claim.created, claim.signed, claim.claim, claim.blob)
}

/// As [`end_order`].
fn release_order(release: &SignedRelease) -> impl Ord + use<> {
    (release.body.created, release.body.signed, release.body.claim)
}

#[cfg(test)]
mod tests;
