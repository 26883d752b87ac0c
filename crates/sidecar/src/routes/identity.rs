//! Who the node is.

use std::sync::Arc;

use floe_api::report::{IdentityReport, Serving, ServingState};

use super::{Answer, ok};
use crate::node::Node;

/// What the node serves now, and why not more.
pub(crate) fn serving(node: &Node) -> Serving {
    let state = |state, reason: String| Serving { state, reason };
    if let Some(reason) = node.gate.refused() {
        return state(ServingState::Refusing, reason);
    }
    if node.signals.epoch.borrow().is_none() {
        return state(ServingState::Joining, node.gate.no_epoch().detail);
    }
    match node.gate.standing().may_speak() {
        Err(refusal) => state(ServingState::Checking, refusal.to_string()),
        Ok(()) => state(ServingState::Serving, String::new()),
    }
}

/// Answers [`floe_api::Route::Identity`].
pub(super) async fn identity(node: &Arc<Node>) -> Answer {
    let genesis = node.read(floe_store::State::genesis).await?;
    let store = Arc::clone(&node.store);
    let possession = node.run(floe_env::Work::Foreground, move || store.possession()).await?;
    let me = &node.me;
    ok(&IdentityReport {
        committee: me.committee,
        node: me.node.clone(),
        incarnation: me.incarnation,
        volume: me.volume,
        key: me.key,
        possession,
        genesis,
        serving: serving(node),
    })
}
