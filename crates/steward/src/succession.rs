//! The chain goes on: observe, decide, create, push, gather, prove, push the proof.
//!
//! [`floe_plan::succession`] decides; this does it. Every step may be the last one before the process
//! dies, and another steward may do the same at the same time: the next pass starts from what the log
//! and the nodes hold.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{Chain, ChainLink};
use floe_api::report::NodeReport;
use floe_api::{NodeClient, Target};
use floe_env::Env;
use floe_model::{
    EpochNumber, EpochRecord, EpochTree, Incarnation, Member, NodeName, RecordHash, ShardIndex,
    SignedRecord, Tally, Threshold,
};
use floe_plan::epoch::{self, Violation};
use floe_plan::succession::{
    Blocker, Decision, Situation, Tip, VolumeName, Wanted, force, succeed,
};

use crate::genesis::Keys;
use crate::loss::{Glimpse, Standing, Word, glimpse, standing};
use crate::observation::{Observation, observe, target_of_member};
use crate::push::{gather, push};
use crate::record_log::{LogError, RecordLog};

/// What a pass came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything is as it is wanted, and committed.
    Settled,
    /// Something is wanted that cannot be had now.
    Waiting(Vec<Blocker>),
    /// This record was committed in this pass; what it leaves out.
    Committed(EpochNumber, Vec<Blocker>),
    /// This record was pushed, and is not committed: what is missing.
    Pushed(EpochNumber, String),
    /// Two records were accepted, and neither can be committed: a human decides.
    Conflict(Vec<Tip>),
}

/// What a pass saw and did.
#[derive(Debug, Clone)]
pub struct Pass {
    /// What it came to.
    pub outcome: Outcome,
    /// The newest committed record, after it.
    pub record: Option<(RecordHash, EpochRecord)>,
    /// What is held of each volume of it.
    pub standings: BTreeMap<VolumeName, Standing>,
    /// How each node is, by its own word, before it.
    pub reports: BTreeMap<NodeName, NodeReport>,
    /// What is unfilled by the newest committed record, by node.
    pub deficits: Vec<Deficit>,
}

/// Shards of a volume that are unfilled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deficit {
    /// The node.
    pub node: NodeName,
    /// Which of its volumes.
    pub incarnation: Incarnation,
    /// The shards, rising.
    pub shards: Vec<ShardIndex>,
    /// The record since which all of them are unfilled and this volume's.
    pub since: RecordHash,
}

impl Pass {
    /// Volumes that are lost and that nobody has replaced yet, as far as the rules allow it.
    pub fn to_replace(&self) -> Vec<VolumeName> {
        let blockers = match &self.outcome {
            Outcome::Waiting(blockers) | Outcome::Committed(_, blockers) => blockers.as_slice(),
            _ => &[],
        };
        if blockers.iter().any(|blocker| matches!(blocker, Blocker::BeyondLimit { .. })) {
            return Vec::new();
        }
        let lost = blockers.iter().filter_map(|blocker| match blocker {
            Blocker::NotReplaced { node, incarnation } => Some((node.clone(), *incarnation)),
            _ => None,
        });
        lost.collect()
    }
}

/// A pass that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum StewardError {
    /// The log failed.
    #[error("the record log failed")]
    Log(#[from] LogError),
    /// What was decided breaks a rule: a fault of this program, and nothing was signed.
    #[error("the next epoch record would not be in order")]
    Illegal(#[from] Violation),
    /// A human asked for what cannot be done.
    #[error(transparent)]
    Blocked(#[from] Blocker),
}

/// Keeps a committee's chain as it is wanted.
pub struct Steward {
    env: Env,
    client: NodeClient,
    log: Arc<dyn RecordLog>,
    keys: Keys,
    loss_grace: Duration,
    /// Records that were checked once.
    tree: EpochTree,
    standings: BTreeMap<VolumeName, Standing>,
    words: BTreeMap<VolumeName, Word>,
}

impl Steward {
    /// A steward that has seen nothing yet; volumes are lost after `loss_grace` without an answer.
    pub fn new(
        env: Env,
        client: NodeClient,
        log: Arc<dyn RecordLog>,
        keys: Keys,
        loss_grace: Duration,
    ) -> Self {
        let (tree, standings) = (EpochTree::default(), BTreeMap::new());
        Self { env, client, log, keys, loss_grace, tree, standings, words: BTreeMap::new() }
    }

    /// From now on, this is what somebody says of volumes who sees hosts and disks, and so long may
    /// volumes be silent.
    pub fn hear(&mut self, words: BTreeMap<VolumeName, Word>, loss_grace: Duration) {
        (self.words, self.loss_grace) = (words, loss_grace);
    }

    /// One look at everything, and at most one new record.
    pub async fn pass(&mut self, wanted: &[Wanted]) -> Result<Pass, StewardError> {
        let seen = self.look(wanted).await?;
        let lost = self.lost();
        let decision = succeed(&situation(&self.tree, &seen, wanted, &lost));
        let outcome = match decision {
            Decision::Nothing => Outcome::Settled,
            Decision::Wait(blockers) => Outcome::Waiting(blockers),
            Decision::Conflict(tips) => Outcome::Conflict(tips),
            Decision::Push(hash) => self.roll_out(hash, wanted, Vec::new()).await,
            Decision::Propose(record, blockers) => {
                let hash = self.create(*record).await?;
                self.roll_out(hash, wanted, blockers).await
            }
        };
        self.tell_stragglers(&seen, wanted).await;
        Ok(self.end(outcome, seen.reports))
    }

    /// Only looks: what a pass would say now.
    pub async fn glance(&mut self, wanted: &[Wanted]) -> Result<Pass, StewardError> {
        let seen = self.look(wanted).await?;
        let lost = self.lost();
        let outcome = match succeed(&situation(&self.tree, &seen, wanted, &lost)) {
            Decision::Nothing => Outcome::Settled,
            Decision::Wait(blockers) | Decision::Propose(_, blockers) => Outcome::Waiting(blockers),
            Decision::Conflict(tips) => Outcome::Conflict(tips),
            Decision::Push(hash) => {
                let number = self.tree.record(&hash).map_or(EpochNumber(0), |it| it.record.number);
                Outcome::Pushed(number, "no proof of its commitment was found".to_owned())
            }
        };
        Ok(self.end(outcome, seen.reports))
    }

    /// A human's decision: all lost volumes are replaced, on `on` or what most nodes accepted. Data
    /// may be lost; the record says so for ever.
    pub async fn force(
        &mut self,
        wanted: &[Wanted],
        on: Option<RecordHash>,
    ) -> Result<Pass, StewardError> {
        let seen = self.look(wanted).await?;
        let lost = self.lost();
        let (record, blockers) = force(&situation(&self.tree, &seen, wanted, &lost), on)?;
        let hash = self.create(record).await?;
        let outcome = self.roll_out(hash, wanted, blockers).await;
        Ok(self.end(outcome, seen.reports))
    }

    fn end(&self, outcome: Outcome, reports: BTreeMap<NodeName, NodeReport>) -> Pass {
        let newest = self.tree.committed();
        let record = newest.map(|(hash, signed)| (hash, signed.record.clone()));
        let deficits = newest.map_or_else(Vec::new, |(hash, signed)| {
            let members = signed.record.members.iter();
            members.filter_map(|member| deficit(&self.tree, &hash, signed, member)).collect()
        });
        Pass { outcome, record, standings: self.standings.clone(), reports, deficits }
    }

    async fn look(&mut self, wanted: &[Wanted]) -> Result<Observation, StewardError> {
        let logged = self.log.read_all().await?;
        let seen = observe(&self.client, &self.keys, wanted, logged, &mut self.tree).await;
        self.judge(&seen);
        Ok(seen)
    }

    /// What is held of each volume of the newest committed record.
    fn judge(&mut self, seen: &Observation) {
        let now = self.env.clock.monotonic();
        let members = self.tree.committed().map(|(_, signed)| signed.record.members.clone());
        let before = std::mem::take(&mut self.standings);
        for member in members.unwrap_or_default() {
            let answer = seen.identities.get(&member.node);
            let glimpse = match answer {
                Some(answer) => glimpse(&member, answer.as_ref().map_err(String::as_str)),
                None => Glimpse::Silent("it was not asked".to_owned()),
            };
            let volume: VolumeName = (member.node.clone(), member.incarnation);
            let word = self.words.get(&volume);
            let glimpse = word.map_or(glimpse.clone(), |word| word.with(glimpse));
            let standing = standing(before.get(&volume), glimpse, now, self.loss_grace);
            let standing = word.map_or(standing.clone(), |word| word.weighed(standing, now));
            self.standings.insert(volume, standing);
        }
        if !self.is_connected() {
            let doubted = std::mem::take(&mut self.standings).into_iter();
            self.standings = doubted.map(|(volume, it)| (volume, it.doubted(now))).collect();
        }
    }

    /// Whether enough nodes answer for a commit.
    fn is_connected(&self) -> bool {
        let Some((_, signed)) = self.tree.committed() else { return false };
        let present = self.standings.iter().filter(|(_, standing)| **standing == Standing::Present);
        let present = present.filter_map(|((node, _), _)| signed.record.position(node));
        Tally::of(&signed.record, present).reaches(Threshold::Correct)
    }

    /// The volumes that are given up. Where too few nodes answer for a commit, it may be this process
    /// that is cut off: [`Self::judge`] then takes silence for no proof.
    fn lost(&self) -> BTreeSet<VolumeName> {
        let lost = self.standings.iter().filter(|(_, standing)| standing.is_lost());
        lost.map(|(volume, _)| volume.clone()).collect()
    }

    /// Signs a record, checks it as nodes will, and creates it in the log before anyone hears of it.
    async fn create(&mut self, record: EpochRecord) -> Result<RecordHash, StewardError> {
        let signature = self.keys.operator.sign(&SignedRecord::statement(&record));
        let signed = SignedRecord { record, key: self.keys.operator.public(), signature };
        epoch::check(&self.tree, &signed, Some(&self.keys.operator.public()))?;
        self.log.create(&signed).await?;
        let hash = signed.record.hash();
        tracing::info!(number = signed.record.number.0, %hash, "epoch record created");
        self.tree.insert(Arc::new(signed));
        Ok(hash)
    }

    async fn roll_out(
        &mut self,
        hash: RecordHash,
        wanted: &[Wanted],
        blockers: Vec<Blocker>,
    ) -> Outcome {
        let Some(signed) = self.tree.record(&hash).cloned() else {
            return Outcome::Waiting(vec![Blocker::NotBegun]);
        };
        let number = signed.record.number;
        let targets = targets(&signed.record, wanted, |_| true);
        let answers = push(&self.client, &targets, &self.chain(&hash)).await;
        let Some(lineage) = self.tree.lineage(&signed.record) else {
            return Outcome::Waiting(vec![Blocker::NotBegun]);
        };
        match gather(&signed.record, &lineage, &answers) {
            Ok(proof) => {
                self.tree.insert_proof(Arc::new(proof));
                tracing::info!(number = number.0, "epoch record committed");
                push(&self.client, &targets, &self.chain(&hash)).await;
                Outcome::Committed(number, blockers)
            }
            Err((error, refused)) => {
                let refused: Vec<String> =
                    refused.iter().map(|(node, reason)| format!("{node} ({reason})")).collect();
                Outcome::Pushed(number, format!("{error}; not by: {}", refused.join(", ")))
            }
        }
    }

    /// The record with its ancestors and all proofs known.
    fn chain(&self, tip: &RecordHash) -> Chain {
        let link = |signed: &Arc<SignedRecord>| {
            let proof = self.tree.proof(&signed.record.hash());
            let proof = proof.map(|proof| proof.as_ref().clone());
            ChainLink { record: signed.as_ref().clone(), proof }
        };
        Chain { links: self.tree.path(tip).into_iter().map(link).collect() }
    }

    /// Pushes the newest committed record to the members that had not accepted it when they were asked.
    async fn tell_stragglers(&self, seen: &Observation, wanted: &[Wanted]) {
        let Some((newest, signed)) = self.tree.committed() else { return };
        let behind = |member: &Member| {
            let volume: VolumeName = (member.node.clone(), member.incarnation);
            let head = seen.heads.get(&volume);
            let answers = seen.volumes.get(&member.node);
            let behind = head.is_none_or(|head| !self.tree.is_ancestor(&newest, head));
            answers.is_some_and(|it| it.key == member.key) && behind
        };
        let targets = targets(&signed.record, wanted, behind);
        for (node, answer) in push(&self.client, &targets, &self.chain(&newest)).await {
            if let Err(reason) = answer {
                tracing::debug!(%node, reason, "a node did not take the newest epoch record");
            }
        }
    }
}

/// What of a member's shards is unfilled, and since when.
fn deficit(
    tree: &EpochTree,
    newest: &RecordHash,
    signed: &SignedRecord,
    member: &Member,
) -> Option<Deficit> {
    let unfilled = |record: &EpochRecord, shard: &ShardIndex| record.unfilled.contains(shard);
    let shards = member.shards.iter().filter(|shard| unfilled(&signed.record, shard));
    let shards: Vec<ShardIndex> = shards.copied().collect();
    let lacks_them = |record: &EpochRecord| {
        let then = record.member(&member.node);
        let same = then.filter(|then| then.incarnation == member.incarnation);
        same.is_some_and(|then| {
            shards.iter().all(|shard| then.shards.contains(shard) && unfilled(record, shard))
        })
    };
    let path = tree.path(newest).into_iter().rev();
    let since = path.take_while(|it| lacks_them(&it.record)).last()?.record.hash();
    let (node, incarnation) = (member.node.clone(), member.incarnation);
    (!shards.is_empty()).then_some(Deficit { node, incarnation, shards, since })
}

fn situation<'a>(
    tree: &'a EpochTree,
    seen: &'a Observation,
    wanted: &'a [Wanted],
    lost: &'a BTreeSet<VolumeName>,
) -> Situation<'a> {
    Situation {
        tree,
        highest: EpochNumber(seen.highest),
        heads: &seen.heads,
        volumes: &seen.volumes,
        wholes: &seen.wholes,
        wanted,
        lost,
    }
}

/// Where the members of a record are: as wanted now, else by the record.
fn targets(record: &EpochRecord, wanted: &[Wanted], such: impl Fn(&Member) -> bool) -> Vec<Target> {
    let address = |node: &NodeName| wanted.iter().find(|wanted| wanted.node == *node);
    let members = record.members.iter().filter(|member| such(member));
    let target = |member: &Member| {
        let target = target_of_member(member);
        let address = address(&member.node).map_or(target.address, |it| it.address.clone());
        Target { address, ..target }
    };
    members.map(target).collect()
}

#[cfg(test)]
mod tests;
