//! Asking peers how far they read this node's feed: a volume that ends before that is an old copy.

use std::sync::Arc;
use std::time::Duration;

use floe_api::ErrorCode;
use floe_env::BoxFuture;
use floe_model::FeedPosition;
use floe_store::State;
use futures::future::join_all;

use crate::node::Node;
use crate::pull::push_chain;
use crate::routes;
use crate::worker::{Step, Worker};

/// How long to wait before those are asked again that did not answer.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// How long to wait when the check has passed, and for the rest to come back.
const REST: Duration = Duration::from_secs(30);

/// Runs the check until everybody has answered.
pub(crate) struct Cursors(pub(crate) Arc<Node>);

impl Worker for Cursors {
    fn name(&self) -> &'static str {
        "cursors"
    }

    fn step(&mut self) -> BoxFuture<'_, Result<Step, String>> {
        Box::pin(check(&self.0))
    }
}

async fn check(node: &Arc<Node>) -> Result<Step, String> {
    let Some(epoch) = node.signals.epoch.borrow().clone() else { return Ok(Step::Idle(ASK_AGAIN)) };
    let unasked = node.gate.unasked(&epoch.record, &node.me.node);
    let asked = epoch.peers().filter(|(_, target)| unasked.contains(&target.node));
    let asks = asked.map(|(_, target)| async move {
        match node.peers.cursor(&target, node.me.node.clone()).await {
            Ok(answer) => Some((target.node, answer.value.head)),
            Err(error) => {
                // Its feed is not read before the check has passed, and without the chain it never
                // answers: two such nodes would wait for each other for ever.
                match error.refusal().map(|refusal| refusal.code) {
                    Some(ErrorCode::NeedEpoch) => push_chain(node, &target),
                    // It may know a record in which this volume is replaced.
                    Some(ErrorCode::ForbiddenRole) => routes::fetch_chain(node, &target),
                    _ => {}
                }
                None
            }
        }
    });
    let answers = join_all(asks).await;
    for (peer, head) in answers.into_iter().flatten() {
        // Only what this node sealed itself: a peer's own word would let one liar stop it for ever.
        let sealed = head.filter(|head| head.is_sealed_with(node.store.key()));
        node.gate.cursor_told(peer, sealed.map(|head| head.position));
    }
    // Nothing is added to the feed before the check has passed, here or in an earlier life. Later the
    // peers that answer late may have read what came since: this looks at the feed as it is then.
    let sequence = node.read(State::feed_head).await.map_err(|error| error.to_string())?;
    let head = FeedPosition { volume: node.me.volume, sequence };
    let passed = node.gate.check_cursors(&epoch.record, &node.me.node, head);
    Ok(Step::Idle(if passed || node.gate.refused().is_some() { REST } else { ASK_AGAIN }))
}
