//! The safety net under the change feeds: every few minutes the digests of all buckets are compared
//! with each peer's. Where they differ, the peer's bucket is read and what is new in it taken over,
//! by the same checks as from a feed. What agrees, and what is read, also tells whether peers hold
//! this node's old claims live: those that others worth n-f shards do not hold are dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{NameStatement, Statements};
use floe_api::{ApiError, ErrorCode, Target};
use floe_env::{BoxFuture, Work};
use floe_model::catalog::{Bucket, BucketDigest};
use floe_model::{BlobId, CatalogEntry, ClaimId, NodeName, SignedRelease, Timestamp};
use floe_plan::custody::{LiveClaim, LiveClaimFacts, live_claim};
use floe_store::{Entry, State};

use crate::ageing::old_claims;
use crate::node::{Epoch, Node};
use crate::routes;
use crate::throttle::ByteRate;
use crate::worker::{Step, Worker};

/// How often all peers are compared with.
const ROUND: Duration = Duration::from_mins(5);
/// How soon again while an old claim is neither vouched for nor denied.
const DOUBTFUL_ROUND: Duration = Duration::from_mins(1);
/// How often to look whether this node may judge others' words.
const CHECKING_PAUSE: Duration = Duration::from_secs(1);
/// Pages of one bucket; a peer that shows more is not read further.
const MOST_PAGES: usize = 256;
/// What a statement weighs, roughly.
const STATEMENT_BYTES: usize = 1024;

/// An old claim, and who said whether they hold it live.
struct OldClaim {
    blob: BlobId,
    signed: Timestamp,
    said: BTreeMap<NodeName, bool>,
}

/// Compares this node's catalog with its peers'.
pub(crate) struct DigestWorker {
    node: Arc<Node>,
    rate: ByteRate,
}

impl DigestWorker {
    pub(crate) fn new(node: Arc<Node>) -> Self {
        let rate = ByteRate::new(Some(node.limits.pull_bytes_per_second));
        Self { node, rate }
    }
}

impl Worker for DigestWorker {
    fn name(&self) -> &'static str {
        "digests"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(async {
            let Ok(epoch) = self.node.epoch() else { return Ok(Step::Throttled(CHECKING_PAUSE)) };
            if self.node.gate.standing().may_confirm().is_err() {
                return Ok(Step::Throttled(CHECKING_PAUSE));
            }
            let doubtful = self.round(&epoch).await.map_err(|error| error.to_string())?;
            Ok(Step::Idle(if doubtful > 0 { DOUBTFUL_ROUND } else { ROUND }))
        })
    }
}

impl DigestWorker {
    /// Compares with all peers; returns how many old claims stay in doubt.
    async fn round(&self, epoch: &Arc<Epoch>) -> Result<usize, ApiError> {
        let node = &self.node;
        let (now, retention) = (node.now(), epoch.record.policy.release_retention_millis);
        let old = node.read(move |state| {
            let old = old_claims(state, now, retention);
            let old = old
                .map(|(id, blob, signed)| (id, OldClaim { blob, signed, said: BTreeMap::new() }));
            old.collect::<BTreeMap<ClaimId, OldClaim>>()
        });
        let mut old = old.await?;
        let digests = node.with_store(Work::Repair, |store| Ok(store.digests())).await?;
        for (_, peer) in epoch.peers() {
            if let Err(error) = self.compare(epoch, &peer, &digests, &mut old).await {
                tracing::debug!(%peer, %error, "a peer's catalog cannot be compared with");
            }
        }
        self.settle(epoch, old).await
    }

    async fn compare(
        &self,
        epoch: &Arc<Epoch>,
        peer: &Target,
        own: &[BucketDigest],
        old: &mut BTreeMap<ClaimId, OldClaim>,
    ) -> Result<(), String> {
        let answer = self.node.peers.digests(peer).await.map_err(|error| error.to_string())?;
        let numbered = (0_u16..).map(Bucket).zip(own.iter().zip(&answer.value.0));
        let differing: BTreeSet<Bucket> =
            numbered.filter(|(_, (own, theirs))| own != theirs).map(|(bucket, _)| bucket).collect();
        for (claim, known) in old.iter_mut().filter(|(id, _)| !differing.contains(&Bucket::of(id)))
        {
            tracing::trace!(%peer, %claim, "an old claim is held there too");
            known.said.insert(peer.node.clone(), true);
        }
        for bucket in differing {
            let live = self.read_bucket(epoch, peer, bucket).await?;
            for (claim, known) in old.iter_mut().filter(|(id, _)| Bucket::of(id) == bucket) {
                // The id alone says nothing: it may have come again, for other content.
                known.said.insert(peer.node.clone(), live.contains(&(*claim, known.blob)));
            }
        }
        Ok(())
    }

    /// Takes over what is new in a peer's bucket; returns the claims that it holds live.
    async fn read_bucket(
        &self,
        epoch: &Arc<Epoch>,
        peer: &Target,
        bucket: Bucket,
    ) -> Result<BTreeSet<(ClaimId, BlobId)>, String> {
        let mut live = BTreeSet::new();
        let mut after = None;
        for _ in 0..MOST_PAGES {
            if let Some(wait) = self.rate.wait(self.node.monotonic()) {
                self.node.env.clock.sleep(wait).await;
            }
            let answer = self.node.peers.bucket(peer, bucket, after).await;
            let page = answer.map_err(|error| error.to_string())?.value;
            self.rate.spend(self.node.monotonic(), STATEMENT_BYTES * (1 + page.items.len()));
            let last = last_of(&page, bucket, after)?;
            live.extend(page.items.iter().filter_map(|item| match item {
                NameStatement::Certified(certified) => {
                    Some((certified.claim.body.claim, certified.claim.body.blob))
                }
                NameStatement::Release(_) => None,
            }));
            let complete = page.complete;
            for item in page.items {
                self.take(epoch, peer, item).await?;
            }
            match last {
                Some(last) if !complete => after = Some(last),
                _ => return Ok(live),
            }
        }
        Err(format!("bucket {} has more pages than are read", bucket.0))
    }

    /// Takes over one statement, unless it is known or refused.
    async fn take(
        &self,
        epoch: &Arc<Epoch>,
        peer: &Target,
        item: NameStatement,
    ) -> Result<(), String> {
        let entry = entry_of(&item);
        let known = self.node.read(move |state| state.knows(&entry)).await;
        if known.map_err(|error| error.to_string())? {
            return Ok(());
        }
        let taken = match item {
            NameStatement::Certified(certified) => self.take_claim(*certified).await,
            NameStatement::Release(release) => self.take_release(epoch, *release).await,
        };
        match taken {
            Err(error)
                if matches!(
                    error.code,
                    ErrorCode::StatementInvalid | ErrorCode::CertificateInvalid
                ) =>
            {
                let what = format!("node {} shows what does not verify: {error}", peer.node);
                self.node.metrics.verification_failed(&peer.node);
                self.node.metrics.worker_failed("digests", self.node.now(), &what);
                Err(what)
            }
            // It may be the release without which the peer seems to deny the claim.
            Err(error) if error.code == ErrorCode::NeedEpoch => Err(error.to_string()),
            // Old: nobody takes it any more.
            Err(error) => {
                tracing::debug!(%peer, %error, "a statement of a peer's catalog is not taken over");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn take_claim(
        &self,
        certified: floe_api::messages::CertifiedClaim,
    ) -> Result<(), ApiError> {
        let checked = routes::check_claim(&self.node, certified).await?;
        let (blob, length) =
            (checked.certified.claim.body.blob, checked.certified.claim.body.length);
        let news = self.node.transact(move |state| {
            let entries = routes::keep_claim(state, &checked)?;
            let news = !entries.is_empty();
            Ok((entries, news))
        });
        if news.await? {
            self.node.sync().await?;
            self.node.repairs.want(blob, length, false);
        }
        Ok(())
    }

    async fn take_release(
        &self,
        epoch: &Arc<Epoch>,
        release: SignedRelease,
    ) -> Result<(), ApiError> {
        let release = routes::check_release(&self.node, release).await?;
        let (epoch, moment) = (Arc::clone(epoch), self.node.moment());
        let kept = self.node.transact(move |state| {
            Ok((routes::keep_release(state, &epoch, &release, moment)?, ()))
        });
        kept.await?;
        self.node.sync().await
    }

    /// Notes what is vouched for, and drops what has ended everywhere else. Returns how many stay in
    /// doubt.
    async fn settle(
        &self,
        epoch: &Arc<Epoch>,
        old: BTreeMap<ClaimId, OldClaim>,
    ) -> Result<usize, ApiError> {
        let node = &self.node;
        let now = node.now();
        node.signals.ageing.forget_stale(now);
        let (mut doubtful, mut ended) = (0, Vec::new());
        for (claim, known) in old {
            let facts = LiveClaimFacts {
                now,
                accepted: &epoch.record,
                me: &node.me.node,
                signed: known.signed,
                said: &known.said,
            };
            match live_claim(&facts) {
                LiveClaim::Young => {}
                LiveClaim::Vouched => node.signals.ageing.vouch(claim, now),
                LiveClaim::Ended => ended.push((claim, known.signed)),
                LiveClaim::Doubtful => doubtful += 1,
            }
        }
        if !ended.is_empty() {
            tracing::info!(claims = ended.len(), "old claims that nobody else holds are dropped");
            node.transact(move |state| Ok((dropped(state, &ended), ()))).await?;
            node.sync().await?;
        }
        Ok(doubtful)
    }
}

/// The claims that are still as they were when others were asked about them. One that was released
/// meanwhile is kept for its window: that is why others do not hold it live.
fn dropped(state: &State, ended: &[(ClaimId, Timestamp)]) -> Vec<Entry> {
    let same = |(claim, signed): &&(ClaimId, Timestamp)| {
        let live = state.claim(claim).filter(|known| known.released.is_none());
        let known = live.and_then(|known| known.certified.as_ref());
        known.is_some_and(|(known, _)| known.body.signed == *signed)
    };
    let ended = ended.iter().filter(same);
    ended.map(|&(claim, _)| Entry::ForgottenClaim { claim }).collect()
}

fn entry_of(item: &NameStatement) -> CatalogEntry {
    match item {
        NameStatement::Certified(certified) => CatalogEntry::Claim(
            Box::new(certified.claim.clone()),
            Box::new(certified.certificate.clone()),
        ),
        NameStatement::Release(release) => CatalogEntry::Release(release.clone()),
    }
}

/// The last claim id of a page, which must rise from `after` and be of the bucket.
fn last_of(
    page: &Statements,
    bucket: Bucket,
    after: Option<ClaimId>,
) -> Result<Option<ClaimId>, String> {
    let ids = page.items.iter().map(|item| match item {
        NameStatement::Certified(certified) => certified.claim.body.claim,
        NameStatement::Release(release) => release.body.claim,
    });
    let mut last = None;
    for id in ids {
        let risen = after.is_none_or(|after| id > after) && last.is_none_or(|last| id >= last);
        if !risen || Bucket::of(&id) != bucket {
            return Err(format!("claim {id} does not stand there in bucket {}", bucket.0));
        }
        last = Some(id);
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use floe_model::{Release, Signed};

    use super::*;
    use crate::tests::fixture::{COMMITTEE, registrar};

    fn release(claim: u16) -> NameStatement {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&claim.to_be_bytes());
        let body = Release {
            claim: ClaimId(id),
            namespace_uid: floe_model::NamespaceUid([1; 16]),
            name: "a".parse().unwrap(),
            created: Timestamp(1),
            signed: Timestamp(2),
        };
        let key = registrar(floe_model::record::RegistrarRole::Gateway);
        let signed = Signed::sign(body, &COMMITTEE, floe_model::RecordHash([0; 32]), &key);
        NameStatement::Release(Box::new(signed))
    }

    #[test]
    fn a_page_must_rise_and_be_of_its_bucket() {
        let id = |claim: u16| match release(claim) {
            NameStatement::Release(release) => release.body.claim,
            NameStatement::Certified(_) => unreachable!(),
        };
        let told = |claims: &[u16], after: Option<u16>| {
            let items = claims.iter().map(|&claim| release(claim)).collect();
            last_of(&Statements { items, complete: true }, Bucket(1), after.map(id))
        };
        assert_eq!(told(&[], None), Ok(None));
        assert_eq!(told(&[64, 64, 127], None), Ok(Some(id(127))), "two names may share an id");
        assert_eq!(told(&[66], Some(65)), Ok(Some(id(66))));
        for (claims, after) in [
            (&[63][..], None),
            (&[128], None),
            (&[66, 65], None),
            (&[65], Some(65)),
            (&[64], Some(65)),
        ] {
            assert!(told(claims, after).is_err(), "{claims:?} behind {after:?}");
        }
    }
}
