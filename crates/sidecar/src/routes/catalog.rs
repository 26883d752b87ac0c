//! Names, and the change feed.

use std::sync::Arc;
use std::time::Duration;

use floe_api::messages::{
    CertifiedClaim, Change, Changes, CursorAnswer, Digests, NameStatement, Statements,
};
use floe_api::{ApiError, ErrorCode};
use floe_env::Work;
use floe_model::catalog::Bucket;
use floe_model::{BlobName, ClaimId, FeedPosition, NamespaceUid, NodeName, SealedHead};
use floe_store::{BucketItem, State};

use super::{Answer, ok};
use crate::node::Node;
use crate::worker::stopped;

/// Bytes of statements on one page, well below the route's cap: the last name may go beyond.
const PAGE_BYTES: usize = 1 << 20;
/// What one statement takes at most, roughly.
const STATEMENT_BYTES: usize = 2048;

/// What a reader needs of a name. A claim that a release in the same answer covers is left out,
/// unless it is `released` ones that are asked for: the reader would only strike it out again, for
/// all answers alike. No release is left out: one of an
/// older object may be all that ends a claim of its id that another gateway signed with a clock
/// that was ahead.
fn statements(
    state: &State,
    (namespace, name): (&NamespaceUid, &BlobName),
    released: bool,
) -> Vec<NameStatement> {
    let shown = state.claims_of_name(namespace, name).filter(|(claim, _)| {
        let known = state.claim(&claim.body.claim);
        released || known.is_none_or(|known| known.released.is_none())
    });
    let claims = shown.map(|(claim, certificate)| {
        NameStatement::Certified(Box::new(CertifiedClaim {
            claim: claim.as_ref().clone(),
            certificate: certificate.as_ref().clone(),
        }))
    });
    let releases = state
        .releases_of_name(namespace, name)
        .map(|release| NameStatement::Release(Box::new(release.as_ref().clone())));
    claims.chain(releases).collect()
}

/// Answers [`floe_api::Route::Resolve`].
pub(super) async fn resolve(
    node: &Arc<Node>,
    namespace: NamespaceUid,
    name: BlobName,
    released: bool,
) -> Answer {
    let items = node.read(move |state| statements(state, (&namespace, &name), released)).await?;
    ok(&Statements { items, complete: true })
}

/// Answers [`floe_api::Route::List`].
pub(super) async fn list(
    node: &Arc<Node>,
    namespace: NamespaceUid,
    after: Option<BlobName>,
    limit: u32,
) -> Answer {
    let page = node.read(move |state| {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        // One more tells whether there is more.
        let names = state.names(&namespace, after.as_ref(), limit.saturating_add(1));
        let mut page = Statements { items: Vec::new(), complete: names.len() <= limit };
        for name in names.into_iter().take(limit) {
            if page.items.len() * STATEMENT_BYTES >= PAGE_BYTES {
                page.complete = false;
                break;
            }
            page.items.extend(statements(state, (&namespace, name), false));
        }
        page
    });
    ok(&page.await?)
}

/// Answers [`floe_api::Route::Digests`].
pub(super) async fn digests(node: &Arc<Node>) -> Answer {
    ok(&Digests(node.with_store(Work::Foreground, |store| Ok(store.digests())).await?))
}

/// Answers [`floe_api::Route::Bucket`].
pub(super) async fn bucket(node: &Arc<Node>, bucket: Bucket, after: Option<ClaimId>) -> Answer {
    ok(&node.read(move |state| bucket_page(state.bucket(bucket), after)).await?)
}

/// A page of a bucket; the statements of one claim id stay together.
fn bucket_page(items: Vec<BucketItem>, after: Option<ClaimId>) -> Statements {
    let mut page = Statements { items: Vec::new(), complete: true };
    let mut last = None;
    for item in items.into_iter().filter(|item| after.is_none_or(|after| item.claim() > after)) {
        let is_full = page.items.len() * STATEMENT_BYTES >= PAGE_BYTES;
        if is_full && last != Some(item.claim()) {
            page.complete = false;
            break;
        }
        last = Some(item.claim());
        page.items.push(match item {
            BucketItem::Live(claim, certificate) => {
                NameStatement::Certified(Box::new(CertifiedClaim {
                    claim: claim.as_ref().clone(),
                    certificate: certificate.as_ref().clone(),
                }))
            }
            BucketItem::Release(release) => {
                NameStatement::Release(Box::new(release.as_ref().clone()))
            }
        });
    }
    page
}

/// Answers [`floe_api::Route::Changes`]: what is on stable storage behind a position, waiting for
/// it if there is nothing.
pub(super) async fn changes(
    node: &Arc<Node>,
    after: Option<FeedPosition>,
    wait_millis: u64,
) -> Answer {
    let volume = node.me.volume;
    let after = after.unwrap_or(FeedPosition { volume, sequence: 0 });
    let head = node.feed_position();
    if after.volume != volume || after.sequence > head.sequence {
        let detail = format!(
            "the feed here ends at {head}, entries behind {after} are unknown: read it from its start"
        );
        return Err(ApiError { volume: Some(volume), ..ApiError::new(ErrorCode::Gone, detail) });
    }
    if after.sequence == head.sequence && wait_millis > 0 {
        let mut stop = node.signals.stop.clone();
        let grown = async {
            tokio::select! {
                biased;
                () = stopped(&mut stop) => {}
                () = node.signals.feed.beyond(after.sequence) => {}
            }
        };
        let wait = Duration::from_millis(wait_millis);
        // No news within that time is an answer too.
        let _ = floe_env::timeout(&*node.env.clock, wait, grown).await;
    }
    let limit_bytes = node.limits.feed_bytes;
    // Before the feed is looked at: whatever was promised under an older record is in it.
    let accepted = node.epoch()?.accepted;
    let read = move |store: &floe_store::Store| {
        let head = store.feed_head();
        store.feed(after.sequence, limit_bytes).map(|entries| (head, entries))
    };
    let (head, entries) = node.with_store(Work::Foreground, read).await?;
    let entries: Vec<Change> =
        entries.into_iter().map(|(sequence, entry)| Change { sequence, entry }).collect();
    // The feed may have grown between the two looks.
    let sequence = head.max(entries.last().map_or(0, |last| last.sequence));
    let sealed = SealedHead::new(FeedPosition { volume, sequence }, node.store.key());
    ok(&Changes { head: sealed.position, accepted, seal: sealed.seal, entries })
}

/// Answers [`floe_api::Route::Cursor`].
pub(super) async fn cursor(node: &Arc<Node>, of: NodeName) -> Answer {
    let head = node.read(move |state| state.head_of(&of).copied()).await?;
    ok(&CursorAnswer { head })
}
