//! The turns of the story that Events tell: what a status says now and did not say before. Said
//! before the status is written, so that none is missed; told twice, they are one Event.

use floe_crd::condition::{
    self, Condition, DRAIN_BLOCKED, READY, REPAIR_IN_PROGRESS, STALLED, VOLUME_LOST,
};
use floe_crd::{CommitteeStatus, StorageNodeStatus};

use crate::events::EventType;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Turn {
    /// Whether it is as it should be.
    pub(super) event_type: EventType,
    /// Why.
    pub(super) reason: &'static str,
    /// In words.
    pub(super) message: String,
}

/// Something that is as it should be.
pub(super) fn normal(reason: &'static str, message: String) -> Turn {
    Turn { event_type: EventType::Normal, reason, message }
}

/// Something that is not.
pub(super) fn warning(reason: &'static str, message: String) -> Turn {
    Turn { event_type: EventType::Warning, reason, message }
}

/// How a condition changed: into true, out of it, or neither.
fn change<'a>(old: &[Condition], new: &'a [Condition], type_: &str) -> (bool, bool, &'a str) {
    let (was, is) = (condition::is_true(old, type_), condition::is_true(new, type_));
    let message = condition::get(new, type_).map_or("", |it| it.message.as_str());
    (is && !was, was && !is, message)
}

fn reason<'a>(conditions: &'a [Condition], type_: &str) -> &'a str {
    condition::get(conditions, type_).map_or("", |it| it.reason.as_str())
}

/// What happened to a StorageNode.
pub(super) fn node_turns(old: &StorageNodeStatus, new: &StorageNodeStatus) -> Vec<Turn> {
    let (before, now) = (&old.conditions, &new.conditions);
    let volume = new.incarnation.unwrap_or_default();
    let mut turns = Vec::new();
    let (serves, left, why) = change(before, now, READY);
    if left && reason(now, READY) == "Away" {
        turns.push(warning("Away", why.to_owned()));
    }
    if serves && reason(before, READY) == "Away" {
        turns.push(normal("Returned", "it is back; what it missed it rebuilds itself".to_owned()));
    }
    match change(before, now, VOLUME_LOST) {
        (true, _, message) => turns.push(warning("VolumeLost", message.to_owned())),
        (_, true, _) if old.volume != new.volume || serves => {
            turns.push(normal("VolumeReplaced", format!("volume {volume} is a member now")));
        }
        _ => {}
    }
    match change(before, now, REPAIR_IN_PROGRESS) {
        (true, _, message) => turns.push(normal("RepairInProgress", message.to_owned())),
        (_, true, _) if reason(now, REPAIR_IN_PROGRESS) == "Whole" => {
            turns.push(normal("Repaired", format!("volume {volume} holds all that it owes")));
        }
        _ => {}
    }
    match change(before, now, DRAIN_BLOCKED) {
        (true, _, message) => turns.push(warning("DrainBlocked", message.to_owned())),
        (_, _, message)
            if reason(now, DRAIN_BLOCKED) == "SafeToStop"
                && reason(before, DRAIN_BLOCKED) != "SafeToStop" =>
        {
            turns.push(normal("DrainStarted", message.to_owned()));
        }
        _ => {}
    }
    turns
}

/// What happened to a Committee.
pub(super) fn committee_turns(old: &CommitteeStatus, new: &CommitteeStatus) -> Vec<Turn> {
    let mut turns = Vec::new();
    if let Some(epoch) = new.epoch.filter(|epoch| old.epoch != Some(*epoch)) {
        turns.push(normal("EpochCommitted", format!("epoch record {epoch} is committed")));
    }
    let (before, now) = (&old.conditions, &new.conditions);
    if let (true, _, message) = change(before, now, STALLED) {
        turns.push(warning("Stalled", message.to_owned()));
    }
    match change(before, now, READY) {
        (true, ..) => turns.push(normal("Ready", format!("{} nodes serve", new.summary.nodes))),
        (_, true, message) => turns.push(warning("NotReady", message.to_owned())),
        _ => {}
    }
    turns
}

#[cfg(test)]
mod tests {
    use k8s_openapi::jiff::Timestamp;

    use super::*;

    fn status(conditions: &[(&str, bool, &str)], incarnation: u32) -> StorageNodeStatus {
        let mut status =
            StorageNodeStatus { incarnation: Some(incarnation), ..StorageNodeStatus::default() };
        for (type_, is_true, reason) in conditions {
            let said = (Some(*is_true), *reason, "why");
            condition::set(&mut status.conditions, type_, said, None, Timestamp::UNIX_EPOCH);
        }
        status
    }

    #[test]
    fn each_turn_is_told_once() {
        let serves = [(READY, true, "Serving"), (VOLUME_LOST, false, "Fine")];
        let away = [(READY, false, "Away"), (VOLUME_LOST, false, "Fine")];
        let lost = [(READY, false, "VolumeLost"), (VOLUME_LOST, true, "VolumeLost")];
        let fills = [
            (READY, true, "Serving"),
            (VOLUME_LOST, false, "Fine"),
            (REPAIR_IN_PROGRESS, true, "Repairing"),
        ];
        let whole = [
            (READY, true, "Serving"),
            (VOLUME_LOST, false, "Fine"),
            (REPAIR_IN_PROGRESS, false, "Whole"),
        ];
        let story = [
            (status(&serves, 0), ""),
            (status(&serves, 0), ""),
            (status(&away, 0), "Away"),
            (status(&serves, 0), "Returned"),
            (status(&lost, 0), "VolumeLost"),
            (status(&lost, 1), ""),
            (status(&fills, 1), "VolumeReplaced RepairInProgress"),
            (status(&fills, 1), ""),
            (status(&whole, 1), "Repaired"),
        ];
        for pair in story.windows(2) {
            let [(old, _), (new, expected)] = pair else { unreachable!() };
            let reasons: Vec<_> = node_turns(old, new).iter().map(|turn| turn.reason).collect();
            assert_eq!(reasons.join(" "), *expected, "{new:?}");
        }
    }

    #[test]
    fn a_committee_tells_epochs_and_what_stalls_it() {
        let mut old = CommitteeStatus::default();
        let mut new = CommitteeStatus { epoch: Some(0), ..CommitteeStatus::default() };
        let said = (Some(true), "NoVolume", "why");
        condition::set(&mut new.conditions, STALLED, said, None, Timestamp::UNIX_EPOCH);
        let reasons = |old: &_, new: &_| -> Vec<&str> {
            committee_turns(old, new).iter().map(|turn| turn.reason).collect()
        };
        assert_eq!(reasons(&old, &new), ["EpochCommitted", "Stalled"]);
        old = new.clone();
        assert_eq!(reasons(&old, &new), [""; 0]);
    }
}
