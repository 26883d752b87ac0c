//! Old claims: they may be deleted ones that come back, so other nodes must vouch for them.

use std::collections::BTreeSet;
use std::sync::Arc;

use floe_api::ApiError;
use floe_api::messages::NameStatement;
use floe_model::{Claim, NodeName, SignedClaim, Threshold};
use futures::future::join_all;

use crate::node::{Epoch, Node};

/// What peers say about an old claim.
#[derive(Debug, Default)]
pub(crate) struct Vouching {
    /// Those that hold it live.
    pub(crate) vouchers: BTreeSet<NodeName>,
    /// Nodes worth n-f shards said something, or nobody had to be asked.
    pub(crate) decided: bool,
}

/// The peers that hold an old claim live, as they say now; nobody is asked about a young one.
pub(crate) async fn ask(
    node: &Arc<Node>,
    epoch: &Arc<Epoch>,
    claim: &SignedClaim,
) -> Result<Vouching, ApiError> {
    let claim = &claim.body;
    let retention_millis = epoch.record.policy.release_retention_millis;
    let id = claim.claim;
    let old = node.now().millis_since(claim.signed) > retention_millis;
    let held = move |state: &floe_store::State| {
        state.claim(&id).is_some_and(|known| known.certified.is_some())
    };
    if !old || node.read(held).await? {
        return Ok(Vouching { decided: true, ..Vouching::default() });
    }
    let asked = epoch.peers().map(|(_, target)| async move {
        let (namespace, name) = (claim.namespace_uid, claim.name.clone());
        let answer = node.peers.resolve(&target, namespace, name).await.ok()?;
        Some((holds_live(&answer.value.items, claim), target.node))
    });
    let answers: Vec<(bool, NodeName)> = join_all(asked).await.into_iter().flatten().collect();
    let answered = answers.iter().map(|(_, peer)| peer).chain([&node.me.node]);
    let decided = epoch.record.reaches(Threshold::Correct, answered);
    let vouchers = answers.into_iter().filter_map(|(live, peer)| live.then_some(peer)).collect();
    Ok(Vouching { vouchers, decided })
}

/// Whether a node that says this of the name holds the claim live.
fn holds_live(statements: &[NameStatement], claim: &Claim) -> bool {
    let shown = statements.iter().any(|statement| match statement {
        NameStatement::Certified(certified) => certified.claim.body == *claim,
        NameStatement::Release(_) => false,
    });
    let ended = statements.iter().any(|statement| match statement {
        NameStatement::Certified(_) => false,
        NameStatement::Release(release) => release.body.covers(claim),
    });
    shown && !ended
}
