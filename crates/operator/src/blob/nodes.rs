//! What a committee's nodes say of one Blob's claim, and what they are told.
//!
//! Nodes are counted over the newest committed record that the link knows. Whoever has accepted a
//! newer one by then does not count: a volume that the newer record names reads the catalogs of nodes
//! that have accepted it, so what a node stores before that is found there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use floe_api::messages::{CertifiedClaim, Chain, Closing, NameStatement, Statements};
use floe_api::{Answer, CallError, Target};
use floe_env::{Env, Work, compute, timeout};
use floe_model::{
    BlobName, ClaimId, EpochNumber, EpochRecord, Namespace, NamespaceUid, NodeName, RecordHash,
    Release, Signed, SignedRelease, Tally, Threshold, Timestamp,
};
use futures::future::join_all;

use super::plan::{Closed, Content};
use crate::link::Link;

/// How long a node may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Blob, as nodes know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Its UID.
    pub(crate) claim: ClaimId,
    /// Its namespace.
    pub(crate) namespace: Namespace,
    /// That namespace's UID.
    pub(crate) namespace_uid: NamespaceUid,
    /// Its name.
    pub(crate) name: BlobName,
    /// When it was created.
    pub(crate) created: Timestamp,
}

impl Subject {
    /// Where the gateway serves it.
    pub(crate) fn path(&self) -> String {
        format!("/v1/namespaces/{}/blobs/{}", self.namespace, self.name)
    }

    fn is_ended_by(&self, release: &Release) -> bool {
        release.covers_name(&self.namespace_uid, &self.name)
            && (release.claim == self.claim || self.created < release.created)
    }

    fn is_claimed_by(&self, certified: &CertifiedClaim) -> bool {
        let claim = &certified.claim.body;
        claim.claim == self.claim
            && (claim.namespace_uid, &claim.name) == (self.namespace_uid, &self.name)
    }
}

/// What nodes said; what is in it was checked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    /// The claim with its certificate.
    pub(crate) certified: Option<CertifiedClaim>,
    /// The number of the record that the certificate names.
    pub(crate) epoch: Option<EpochNumber>,
    /// A release that ends the claim.
    pub(crate) release: Option<SignedRelease>,
    /// Who answered.
    answered: BTreeSet<NodeName>,
    /// Who showed the certificate.
    holders: BTreeSet<NodeName>,
}

impl Survey {
    /// What that means for the content.
    pub(crate) fn content(&self, record: &EpochRecord) -> Content {
        let needed = Threshold::Correct.shards(record.geometry);
        let answered = shards(record, &self.answered);
        match &self.certified {
            _ if self.release.is_some() => Content::Released,
            Some(certified) => Content::Certified {
                sha256: certified.claim.body.policy.sha256,
                by_enough: shards(record, &self.holders) >= needed,
            },
            None if answered >= needed => Content::Absent,
            None => Content::Unknown { answered, needed },
        }
    }
}

fn shards(record: &EpochRecord, nodes: &BTreeSet<NodeName>) -> usize {
    Tally::of(record, nodes.iter().filter_map(|node| record.position(node))).shards()
}

/// The nodes of a committee, asked about one Blob.
#[derive(Clone, Copy)]
pub(crate) struct Nodes<'a> {
    /// Clock, randomness, CPU.
    pub(crate) env: &'a Env,
    /// The committee.
    pub(crate) link: &'a Link,
    /// The Blob.
    pub(crate) subject: &'a Subject,
}

impl Nodes<'_> {
    /// Whether one node, drawn at random, knows something of the Blob, or does not answer: then all are
    /// worth asking. Spares the others where nothing happens for long.
    pub(crate) async fn may_know(&self) -> bool {
        let targets = &self.link.targets;
        let drawn = usize::try_from(self.env.random.next_u64()).unwrap_or_default();
        let Some(target) = drawn.checked_rem(targets.len()).and_then(|at| targets.get(at)) else {
            return true;
        };
        let answers = self.ask([target], |target| self.resolve(target)).await;
        let statements = answers.into_iter().next().map(|(_, statements)| statements);
        statements.is_none_or(|statements| {
            let concerns = |statement: &NameStatement| match statement {
                NameStatement::Certified(certified) => self.subject.is_claimed_by(certified),
                NameStatement::Release(release) => self.subject.is_ended_by(&release.body),
            };
            statements.items.iter().any(concerns)
        })
    }

    /// What all nodes say of the Blob.
    pub(crate) async fn survey(&self) -> Survey {
        let answers = self.ask(&self.link.targets, |target| self.resolve(target)).await;
        let mut claims = Vec::new();
        let mut releases = Vec::new();
        let mut named = BTreeSet::new();
        let mut answered = BTreeSet::new();
        for (node, statements) in answers {
            answered.insert(node.clone());
            for statement in statements.items {
                match statement {
                    NameStatement::Certified(certified)
                        if self.subject.is_claimed_by(&certified) =>
                    {
                        named.extend([certified.claim.record, certified.certificate.record]);
                        claims.push((node.clone(), *certified));
                    }
                    NameStatement::Release(release) if self.subject.is_ended_by(&release.body) => {
                        named.insert(release.record);
                        releases.push(*release);
                    }
                    NameStatement::Certified(_) | NameStatement::Release(_) => {}
                }
            }
        }
        let records = self.records(named).await;
        let job = move || checked(&records, answered, claims, releases);
        compute(&*self.env.compute, Work::Foreground, job).await.unwrap_or_default()
    }

    /// Gives the certificate to all nodes. From the operator it also voids a closing.
    pub(crate) async fn hand_on(&self, certified: &CertifiedClaim) {
        let client = &self.link.client;
        let give = |target| async move { client.put_certificate(target, certified).await };
        self.ask(&self.link.targets, give).await;
    }

    /// Has nodes close the claim; a certificate that one of them holds comes back.
    pub(crate) async fn close(&self) -> (Closed, Option<CertifiedClaim>) {
        let (client, claim) = (&self.link.client, self.subject.claim);
        let close = |target| async move { client.close(target, claim).await };
        let answers = self.ask(&self.link.targets, close).await;
        let mut closed = BTreeSet::new();
        for (node, answer) in answers {
            match answer {
                Closing::Closed => {
                    closed.insert(node);
                }
                Closing::Certified(certified) => {
                    if let Some(certified) = self.verified(node, *certified).await {
                        return (Closed::Certified, Some(certified));
                    }
                }
            }
        }
        let record = &self.link.record;
        let (answered, needed) =
            (shards(record, &closed), Threshold::Correct.shards(record.geometry));
        let enough = answered >= needed;
        (if enough { Closed::Yes } else { Closed::TooFew { answered, needed } }, None)
    }

    async fn verified(&self, node: NodeName, certified: CertifiedClaim) -> Option<CertifiedClaim> {
        if !self.subject.is_claimed_by(&certified) {
            return None;
        }
        let named = [certified.claim.record, certified.certificate.record].into();
        let records = self.records(named).await;
        let claims = vec![(node, certified)];
        let job = move || checked(&records, BTreeSet::new(), claims, Vec::new());
        compute(&*self.env.compute, Work::Foreground, job).await.unwrap_or_default().certified
    }

    /// Signs the release of the Blob's claim.
    pub(crate) fn sign_release(&self) -> SignedRelease {
        let subject = self.subject;
        let release = Release {
            claim: subject.claim,
            namespace_uid: subject.namespace_uid,
            name: subject.name.clone(),
            created: subject.created,
            signed: Timestamp(self.env.clock.unix_millis()),
        };
        let (keys, record) = (&self.link.keys, self.link.record.hash());
        Signed::sign(release, &keys.committee, record, &keys.operator)
    }

    /// Has nodes store a release: shards of those that did, and n-f.
    pub(crate) async fn release(&self, release: &SignedRelease) -> (usize, usize) {
        let client = &self.link.client;
        let give = |target| async move { client.put_release(target, release).await };
        let stored = self.ask(&self.link.targets, give).await;
        let stored = stored.into_iter().map(|(node, _)| node).collect();
        let record = &self.link.record;
        (shards(record, &stored), Threshold::Correct.shards(record.geometry))
    }

    async fn resolve(&self, target: &Target) -> Result<Answer<Statements>, CallError> {
        let Subject { namespace_uid, name, .. } = self.subject;
        self.link.client.resolve(target, *namespace_uid, name.clone()).await
    }

    /// Puts a question to nodes, to all at a time. Only answers that count come back.
    async fn ask<'t, T, F>(
        &self,
        targets: impl IntoIterator<Item = &'t Target>,
        question: impl Fn(&'t Target) -> F,
    ) -> Vec<(NodeName, T)>
    where
        F: Future<Output = Result<Answer<T>, CallError>>,
    {
        let ask = |target: &'t Target| {
            let asked = question(target);
            async move {
                let answer = match timeout(&*self.env.clock, PATIENCE, asked).await {
                    Ok(Ok(answer)) => answer,
                    Ok(Err(error)) => {
                        tracing::debug!(node = %target.node, %error, "a node does not help");
                        return None;
                    }
                    Err(elapsed) => {
                        tracing::debug!(node = %target.node, %elapsed, "a node does not answer");
                        return None;
                    }
                };
                let ours = self.link.record.number;
                let counts = answer.epoch.is_none_or(|accepted| accepted.number <= ours);
                counts.then(|| (target.node.clone(), answer.value))
            }
        };
        join_all(targets.into_iter().map(ask)).await.into_iter().flatten().collect()
    }

    /// Those of the records that are the link's, or its ancestors: older ones come from the nodes, and
    /// are believed because a chain of hashes leads to them.
    async fn records(&self, wanted: BTreeSet<RecordHash>) -> BTreeMap<RecordHash, EpochRecord> {
        let newest = &self.link.record;
        let mut known = BTreeMap::from([(newest.hash(), newest.clone())]);
        for target in &self.link.targets {
            if wanted.iter().all(|hash| known.contains_key(hash)) {
                break;
            }
            let client = &self.link.client;
            let chain = self.ask([target], |target| client.epoch(target)).await;
            if let Some((_, chain)) = chain.into_iter().next() {
                known = ancestry(newest, chain);
            }
        }
        known
    }
}

/// The record and those of its ancestors that a chain has, by hash.
fn ancestry(newest: &EpochRecord, chain: Chain) -> BTreeMap<RecordHash, EpochRecord> {
    let records = chain.links.into_iter().map(|link| link.record.record);
    let mut offered: BTreeMap<RecordHash, EpochRecord> =
        records.map(|record| (record.hash(), record)).collect();
    let mut parent = newest.parent;
    let mut known = BTreeMap::from([(newest.hash(), newest.clone())]);
    while let Some(record) = offered.remove(&parent) {
        let hash = std::mem::replace(&mut parent, record.parent);
        known.insert(hash, record);
    }
    known
}

/// What is true of what nodes said.
fn checked(
    records: &BTreeMap<RecordHash, EpochRecord>,
    answered: BTreeSet<NodeName>,
    claims: Vec<(NodeName, CertifiedClaim)>,
    releases: Vec<SignedRelease>,
) -> Survey {
    let is_genuine = |release: &SignedRelease| {
        records.get(&release.record).is_some_and(|record| release.verify(record).is_ok())
    };
    let release = releases.into_iter().find(is_genuine);
    let mut survey = Survey { release, answered, ..Survey::default() };
    for (node, certified) in claims {
        // All show the same one: it is checked once.
        if survey.certified.as_ref() == Some(&certified) {
            survey.holders.insert(node);
            continue;
        }
        let CertifiedClaim { claim, certificate } = &certified;
        let (Some(signed), Some(counted)) =
            (records.get(&claim.record), records.get(&certificate.record))
        else {
            continue;
        };
        if claim.verify(signed).is_ok() && certificate.verify(counted, &claim.body).is_ok() {
            survey.epoch = Some(counted.number);
            survey.holders.insert(node);
            survey.certified = Some(certified);
        } else {
            tracing::warn!(%node, claim = %claim.body.claim, "a node shows a false certificate");
        }
    }
    survey
}

#[cfg(test)]
mod tests;
