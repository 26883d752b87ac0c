//! What a started node must learn before it serves, speaks, confirms.
//!
//! ```text
//! no record ──PushEpoch──▶ serving, silent ──cursor check──▶ speaking ──caught up──▶ confirming
//!      (any) ──old copy of the volume, or a record that names another──▶ refused
//!      (any) ──a committed record that does not name the node──▶ left ──one that does──▶ (as before)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use floe_api::{ApiError, ErrorCode, Route};
use floe_model::{EpochNumber, EpochRecord, FeedPosition, Incarnation, NodeName};
use floe_plan::custody::{self, CatchUp, CursorAnswer, CursorCheck, Standing};

use crate::refusal;

/// Seconds after which to ask again a node that waits for its epoch record.
const NO_EPOCH_RETRY_SECONDS: u32 = 5;

#[derive(Debug, Default)]
struct Learnt {
    answers: BTreeMap<NodeName, Option<FeedPosition>>,
    cursors_checked: bool,
    caught_up: bool,
    /// Peers whose feeds were read to their heads.
    read: BTreeSet<NodeName>,
    /// Why the node serves its identity and nothing else.
    refused: Option<String>,
    /// Why it is no member now.
    left: Option<String>,
    /// Why the last epoch record offered was not accepted.
    last_violation: Option<String>,
}

/// What a started node has learnt so far.
#[derive(Debug, Default)]
pub(crate) struct Gate(Mutex<Learnt>);

impl Gate {
    fn learnt(&self) -> MutexGuard<'_, Learnt> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What decisions are to be told.
    pub(crate) fn standing(&self) -> Standing {
        let learnt = self.learnt();
        Standing { cursors_checked: learnt.cursors_checked, caught_up: learnt.caught_up }
    }

    /// The node serves its identity and nothing else from now on.
    pub(crate) fn refuse(&self, reason: String) {
        tracing::error!(reason, "the node serves its identity and nothing else");
        self.learnt().refused.get_or_insert(reason);
    }

    /// The node is no member: until a record names it again it serves its identity and takes chains.
    pub(crate) fn left(&self, reason: String) {
        tracing::warn!(reason, "the node is not a member of its committee");
        self.learnt().left = Some(reason);
    }

    /// A record names the node.
    pub(crate) fn joined(&self) {
        self.learnt().left = None;
    }

    /// Why the node serves nothing.
    pub(crate) fn refused(&self) -> Option<String> {
        let learnt = self.learnt();
        learnt.refused.as_ref().or(learnt.left.as_ref()).cloned()
    }

    /// An epoch record was offered and not accepted.
    pub(crate) fn violated(&self, violation: String) {
        self.learnt().last_violation = Some(violation);
    }

    /// No record was accepted yet.
    pub(crate) fn no_epoch(&self) -> ApiError {
        let learnt = self.learnt();
        let Some(violation) = &learnt.last_violation else {
            // Whoever has the chain may push it.
            return ApiError::need_epoch(EpochNumber(0));
        };
        let detail =
            format!("no epoch record is accepted here; the last one was refused: {violation}");
        ApiError::new(ErrorCode::NotServing, detail).retry_after(NO_EPOCH_RETRY_SECONDS)
    }

    /// Whether a route is open; `has_epoch` if a record is accepted.
    pub(crate) fn admit(&self, route: Route, has_epoch: bool) -> Result<(), ApiError> {
        if route == Route::Identity {
            return Ok(());
        }
        let returns = matches!(route, Route::Epoch | Route::PushEpoch);
        let left = if returns { None } else { self.learnt().left.clone() };
        if let Some(reason) = self.learnt().refused.clone().or(left) {
            return Err(ApiError::new(ErrorCode::NotServing, reason));
        }
        if !has_epoch && !matches!(route, Route::Report | Route::Epoch | Route::PushEpoch) {
            return Err(self.no_epoch());
        }
        let speaks = matches!(
            route,
            Route::Finish
                | Route::PutCertificate
                | Route::PutRelease
                | Route::Close
                | Route::Resolve
                | Route::List
        );
        if speaks {
            self.standing().may_speak().map_err(refusal::refused)?;
        }
        if matches!(route, Route::Digests | Route::Bucket) {
            // Who asks takes what is not shown for denied: only a whole memory may do that.
            self.standing().may_confirm().map_err(refusal::refused)?;
        }
        Ok(())
    }

    /// Peers that have not said yet how far they read this node's feed.
    pub(crate) fn unasked(&self, record: &EpochRecord, me: &NodeName) -> Vec<NodeName> {
        let learnt = self.learnt();
        let members = record.members.iter().map(|member| &member.node);
        members.filter(|node| *node != me && !learnt.answers.contains_key(node)).cloned().collect()
    }

    /// A peer said how far it read this node's feed.
    pub(crate) fn cursor_told(&self, node: NodeName, cursor: Option<FeedPosition>) {
        self.learnt().answers.insert(node, cursor);
    }

    /// Draws the conclusion from the cursors told; true once the check has passed.
    pub(crate) fn check_cursors(
        &self,
        record: &EpochRecord,
        me: &NodeName,
        head: FeedPosition,
    ) -> bool {
        let mut learnt = self.learnt();
        let answers: Vec<CursorAnswer> = learnt
            .answers
            .iter()
            .map(|(node, cursor)| CursorAnswer { node: node.clone(), cursor: *cursor })
            .collect();
        match custody::check_cursors(record, me, head, &answers) {
            CursorCheck::Passed => {
                learnt.cursors_checked = true;
                true
            }
            CursorCheck::Waiting { .. } => false,
            CursorCheck::OldCopy { node, cursor } => {
                drop(learnt);
                self.refuse(format!(
                    "this volume is an old copy: node {node} has read its feed up to {cursor}, it ends at {head}: \
                     it counts as lost; start the next incarnation on an empty volume"
                ));
                false
            }
        }
    }

    /// The bindings of others were read, in this life or an earlier one.
    pub(crate) fn set_caught_up(&self) {
        self.learnt().caught_up = true;
    }

    /// A peer's feed was read to its head; true if that makes the node catch up now. `records` as
    /// [`custody::caught_up`] wants them.
    pub(crate) fn feed_read(
        &self,
        records: &[&EpochRecord],
        (me, incarnation): (&NodeName, Incarnation),
        peer: NodeName,
    ) -> bool {
        let mut learnt = self.learnt();
        learnt.read.insert(peer);
        if learnt.caught_up {
            return false;
        }
        let facts = CatchUp { me, incarnation, since_genesis: false, read: &learnt.read };
        custody::caught_up(records, &facts)
    }
}

#[cfg(test)]
mod tests {
    use floe_model::VolumeId;

    use super::*;
    use crate::tests::fixture;

    fn position(volume: u8, sequence: u64) -> FeedPosition {
        FeedPosition { volume: VolumeId([volume; 16]), sequence }
    }

    #[test]
    fn routes_open_one_after_the_other() {
        let gate = Gate::default();
        let code = |outcome: Result<(), ApiError>| outcome.map_err(|error| error.code);
        assert_eq!(code(gate.admit(Route::Identity, false)), Ok(()));
        assert_eq!(code(gate.admit(Route::PushEpoch, false)), Ok(()));
        assert_eq!(code(gate.admit(Route::Sliver, false)), Err(ErrorCode::NeedEpoch));
        gate.violated("no".to_owned());
        assert_eq!(code(gate.admit(Route::Sliver, false)), Err(ErrorCode::NotServing));
        assert_eq!(code(gate.admit(Route::Sliver, true)), Ok(()));
        assert_eq!(code(gate.admit(Route::Resolve, true)), Err(ErrorCode::NotServing));
        let (record, me) = (fixture::record(4, 4), "node-0".parse().unwrap());
        assert_eq!(gate.unasked(&record, &me).len(), 3);
        gate.cursor_told("node-1".parse().unwrap(), None);
        assert!(!gate.check_cursors(&record, &me, position(0, 3)));
        gate.cursor_told("node-2".parse().unwrap(), Some(position(0, 3)));
        assert!(gate.check_cursors(&record, &me, position(0, 3)));
        assert_eq!(code(gate.admit(Route::Resolve, true)), Ok(()));
        gate.refuse("lost".to_owned());
        assert_eq!(code(gate.admit(Route::PushEpoch, true)), Err(ErrorCode::NotServing));
        assert_eq!(code(gate.admit(Route::Identity, true)), Ok(()));
    }

    #[test]
    fn a_node_that_left_takes_chains_and_may_come_back() {
        let gate = Gate::default();
        let open = |route| gate.admit(route, true).is_ok();
        gate.left("not named".to_owned());
        assert!(open(Route::Identity) && open(Route::Epoch) && open(Route::PushEpoch));
        assert!(!open(Route::Sliver) && !open(Route::Report));
        assert_eq!(gate.refused().as_deref(), Some("not named"));
        gate.joined();
        assert!(open(Route::Sliver) && gate.refused().is_none());
        // A volume that was replaced never comes back.
        gate.refuse("lost".to_owned());
        gate.joined();
        assert!(!open(Route::PushEpoch) && gate.refused().is_some());
    }

    #[test]
    fn an_old_copy_is_refused() {
        let gate = Gate::default();
        let (record, me) = (fixture::record(4, 4), "node-0".parse().unwrap());
        gate.cursor_told("node-3".parse().unwrap(), Some(position(0, 8)));
        assert!(!gate.check_cursors(&record, &me, position(0, 7)));
        assert!(gate.refused().unwrap().contains("old copy"));
    }

    #[test]
    fn a_new_incarnation_reads_others_first() {
        let gate = Gate::default();
        let (record, me) = (fixture::record(4, 4), "node-0".parse().unwrap());
        let read =
            |peer: &str| gate.feed_read(&[&record], (&me, Incarnation(1)), peer.parse().unwrap());
        assert!(!read("node-1"));
        assert!(!read("node-2"));
        assert!(read("node-3"));
    }
}
