//! Names: what they stand for, and which there are.

mod deleted;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{CertifiedClaim, NameStatement, Statements};
use floe_env::{Work, compute};
use floe_model::{
    BlobName, Certificate, ClaimId, EpochRecord, Layout as _, Member, NamespaceUid, RecordHash,
    SignedClaim, SignedRecord, SignedRelease, hash,
};

use tokio::sync::Mutex;

pub use deleted::{Deleted, UndeleteError};

use crate::ballot::Standing;
use crate::client::Client;
use crate::committee::Committee;
use crate::failure::{Failure, NotEnoughNodes, Phase};
use crate::nodes::PageOf;
use crate::peers::Peers;
use crate::resolution::{NameAnswer, Resolution, Verdict, resolve};
use crate::round::Round;

/// How long a node that is needed may take to come back.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the rest may take when they could settle a doubt.
const REST: Duration = Duration::from_secs(2);

/// A name that could not be resolved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// Too few nodes answered.
    #[error(transparent)]
    NotEnoughNodes(#[from] NotEnoughNodes),
    /// An old claim is shown by too few to believe it, and denied by too few to forget it.
    #[error("claim {claim} is old, and too few nodes vouch for it or deny it: try again later")]
    Unresolved {
        /// The claim in doubt.
        claim: ClaimId,
    },
}

/// Names of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// Live claims with their certificates, by rising name.
    pub found: Vec<(SignedClaim, Certificate)>,
    /// Names of which it is unclear what they stand for.
    pub unresolved: Vec<BlobName>,
    /// Go on behind this name; `None` when all were listed.
    pub next: Option<BlobName>,
}

/// One node's page, checked.
struct NodePage {
    names: BTreeMap<BlobName, NameAnswer>,
    /// Nothing is known of names behind this one; `None` when all are known.
    known_to: Option<BlobName>,
}

impl Client {
    /// What a name stands for, by the word of nodes worth n-f shards.
    pub async fn resolve(
        &self,
        namespace_uid: NamespaceUid,
        name: &BlobName,
    ) -> Result<Resolution, ResolveError> {
        let turns = Turns::default();
        let ask = |member: Member| {
            let (peers, name) = (Arc::clone(self.peers()), name.clone());
            let turns = Arc::clone(&turns);
            async move {
                let call = peers.persist(&member, PATIENCE, |nodes, to| {
                    nodes.resolve(to, namespace_uid, &name)
                });
                let statements = call.await?;
                let scope = Scope { namespace_uid, name: Some(name) };
                let _turn = turns.lock().await;
                let mut names = checked(&peers, &member, scope, statements).await?;
                Ok(names.pop_first().map(|(_, answer)| answer).unwrap_or_default())
            }
        };
        let (mut round, standing) = Round::counted(self.peers(), Committee::newest, ask).await;
        let record = Arc::clone(round.ballot.record());
        let mut all_asked = standing == Standing::Lost;
        loop {
            let answers = round.ballot.answers();
            match resolve(&record, answers, all_asked, self.unix_now()) {
                Verdict::Resolved(resolution) => return Ok(resolution),
                Verdict::Unresolved { claim } => return Err(ResolveError::Unresolved { claim }),
                Verdict::TooFew { .. } => {
                    return Err(round.ballot.not_enough(Phase::Resolve).into());
                }
                Verdict::AskMore => {
                    all_asked = !round.step_within(REST).await || round.ballot.is_complete();
                }
            }
        }
    }

    /// Up to `limit` names behind `after`, and what they stand for.
    pub async fn list(
        &self,
        namespace_uid: NamespaceUid,
        after: Option<BlobName>,
        limit: u32,
    ) -> Result<Page, ResolveError> {
        let page = PageOf { namespace_uid, after, limit };
        let turns = Turns::default();
        let ask = |member: Member| {
            let (peers, page) = (Arc::clone(self.peers()), page.clone());
            let turns = Arc::clone(&turns);
            async move { node_page(&peers, &member, &page, &turns).await }
        };
        let (mut round, standing) = Round::counted(self.peers(), Committee::newest, ask).await;
        let record = Arc::clone(round.ballot.record());
        let mut all_asked = standing == Standing::Lost;
        loop {
            if all_asked && round.ballot.standing() != Standing::Reached {
                return Err(round.ballot.not_enough(Phase::List).into());
            }
            let pages = round.ballot.answers();
            if let Some(page) = merge(&record, pages, all_asked, self.unix_now()) {
                return Ok(page);
            }
            all_asked = !round.step_within(REST).await || round.ballot.is_complete();
        }
    }
}

/// Resolves the names that all answerers know about; `None` when more answers are needed.
fn merge(
    record: &EpochRecord,
    pages: &BTreeMap<usize, NodePage>,
    all_asked: bool,
    now: floe_model::Timestamp,
) -> Option<Page> {
    let known_to = pages.values().filter_map(|page| page.known_to.as_ref()).min().cloned();
    let is_known = |name: &&BlobName| known_to.as_ref().is_none_or(|last| *name <= last);
    let names: BTreeSet<&BlobName> =
        pages.values().flat_map(|page| page.names.keys()).filter(is_known).collect();
    let mut merged = Page { next: known_to.clone(), ..Page::default() };
    for name in names {
        let answer = |page: &NodePage| page.names.get(name).cloned().unwrap_or_default();
        let answers = pages.iter().map(|(&member, page)| (member, answer(page))).collect();
        match resolve(record, &answers, all_asked, now) {
            Verdict::Resolved(Resolution::Found(found)) => merged.found.push(*found),
            Verdict::Resolved(Resolution::Absent { .. }) => {}
            Verdict::Unresolved { .. } => merged.unresolved.push(name.clone()),
            Verdict::AskMore | Verdict::TooFew { .. } => return None,
        }
    }
    Some(merged)
}

async fn node_page(
    peers: &Peers,
    member: &Member,
    page: &PageOf,
    turns: &Turns,
) -> Result<NodePage, Failure> {
    let statements = peers.persist(member, PATIENCE, |nodes, to| nodes.list(to, page)).await?;
    let complete = statements.complete;
    let scope = Scope { namespace_uid: page.namespace_uid, name: None };
    let turn = turns.lock().await;
    let names = checked(peers, member, scope, statements).await?;
    drop(turn);
    let last = names.last_key_value().map(|(name, _)| name.clone());
    let first = names.first_key_value().map(|(name, _)| name);
    let misplaced =
        first.is_some_and(|first| page.after.as_ref().is_some_and(|after| first <= after));
    if misplaced || (!complete && last.is_none()) {
        return Err(peers.unverifiable(member, "a page of other names than asked for".to_owned()));
    }
    Ok(NodePage { names, known_to: last.filter(|_| !complete) })
}

/// What statements must be about.
struct Scope {
    namespace_uid: NamespaceUid,
    /// `None`: any name.
    name: Option<BlobName>,
}

/// The answers to one question are checked one after the other: they show the same certificates, and
/// those that the first has checked the others need not.
type Turns = Arc<Mutex<()>>;

/// Checks every signature of an answer. A node that shows one bad statement is not believed at all.
async fn checked(
    peers: &Peers,
    member: &Member,
    scope: Scope,
    statements: Statements,
) -> Result<BTreeMap<BlobName, NameAnswer>, Failure> {
    let committee = Arc::clone(&peers.committee);
    let job = move || check(&committee, &scope, statements);
    let checked = compute(&*peers.env.compute, Work::Foreground, job).await;
    checked
        .map_err(|stopped| Failure::Protocol(stopped.to_string()))?
        .map_err(|what| peers.unverifiable(member, what))
}

fn check(
    committee: &Committee,
    scope: &Scope,
    statements: Statements,
) -> Result<BTreeMap<BlobName, NameAnswer>, String> {
    let mut names: BTreeMap<BlobName, NameAnswer> = BTreeMap::new();
    for statement in statements.items {
        let name = statement.name().clone();
        if scope.name.as_ref().is_some_and(|wanted| *wanted != name) {
            return Err(format!("a statement about {name}"));
        }
        let uid = match &statement {
            NameStatement::Certified(certified) => certified.claim.body.namespace_uid,
            NameStatement::Release(release) => release.body.namespace_uid,
        };
        if uid != scope.namespace_uid {
            return Err(format!("a statement about namespace {uid}"));
        }
        let answer = names.entry(name).or_default();
        match statement {
            NameStatement::Certified(certified) => {
                check_certified(committee, &certified)?;
                let CertifiedClaim { claim, certificate } = *certified;
                answer.claims.push((claim, certificate));
            }
            NameStatement::Release(release) => {
                check_release(committee, &release)?;
                answer.releases.push(*release);
            }
        }
    }
    Ok(names)
}

/// Checks a claim and the certificate that makes it count.
pub(crate) fn check_certified(
    committee: &Committee,
    certified: &CertifiedClaim,
) -> Result<(), String> {
    let CertifiedClaim { claim, certificate } = certified;
    let statement = hash(&[&claim.to_bytes(), &certificate.to_bytes()]);
    if committee.was_checked(&statement) {
        return Ok(());
    }
    let signed = known(committee, &claim.record)?;
    claim.verify(&signed.record).map_err(|error| error.to_string())?;
    let signed = known(committee, &certificate.record)?;
    certificate.verify(&signed.record, &claim.body).map_err(|error| error.to_string())?;
    committee.remember_checked(statement);
    Ok(())
}

/// Checks a release. A name that is written and deleted again and again has many, for as long as
/// releases are kept.
fn check_release(committee: &Committee, release: &SignedRelease) -> Result<(), String> {
    let statement = hash(&[&release.to_bytes()]);
    if committee.was_checked(&statement) {
        return Ok(());
    }
    let signed = known(committee, &release.record)?;
    release.verify(&signed.record).map_err(|error| error.to_string())?;
    committee.remember_checked(statement);
    Ok(())
}

fn known(committee: &Committee, hash: &RecordHash) -> Result<Arc<SignedRecord>, String> {
    committee.record(hash).ok_or_else(|| format!("epoch record {hash} is not known here"))
}

#[cfg(test)]
mod tests;
