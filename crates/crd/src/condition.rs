//! Conditions of all kinds: `metav1.Condition`, one of each type, with observed generations.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::Timestamp;

pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What the object is for works: a Committee serves, a Blob is certified.
pub const READY: &str = "Ready";
/// Something is under way towards what the spec says.
pub const PROGRESSING: &str = "Progressing";
/// A human must act; nothing is tried again by itself until the cause changes.
pub const STALLED: &str = "Stalled";
/// The spec or an annotation holds something back.
pub const PAUSED: &str = "Paused";
/// A Committee serves with less than all its nodes or less than full margin.
pub const DEGRADED: &str = "Degraded";
/// Some blob survives no further loss.
pub const DURABILITY_AT_RISK: &str = "DurabilityAtRisk";
/// Slivers are being rebuilt.
pub const REPAIR_IN_PROGRESS: &str = "RepairInProgress";
/// Slivers are missing and nothing rebuilds them.
pub const REPAIR_BLOCKED: &str = "RepairBlocked";
/// More shards on one host or zone than may fail.
pub const PLACEMENT_UNSAFE: &str = "PlacementUnsafe";
/// A StorageNode's pod may not be evicted now.
pub const DRAIN_BLOCKED: &str = "DrainBlocked";
/// A StorageNode's volume is lost.
pub const VOLUME_LOST: &str = "VolumeLost";
/// A Blob's finalizer waits.
pub const DELETION_BLOCKED: &str = "DeletionBlocked";

/// The longest message that the schema admits, in characters.
const LONGEST_MESSAGE: usize = 1024;

/// Sets the condition of type `type_`: `status` is `Some(true)`, `Some(false)` or `None` for
/// unknown. The transition time moves only with the status. Returns whether anything changed.
/// Messages that are too long are cut.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    (status, reason, message): (Option<bool>, &str, &str),
    observed_generation: Option<i64>,
    now: Timestamp,
) -> bool {
    let old = conditions.iter_mut().find(|condition| condition.type_ == type_);
    let mut new = Condition {
        last_transition_time: Time(now),
        message: message.chars().take(LONGEST_MESSAGE).collect(),
        observed_generation,
        reason: reason.to_owned(),
        status: word(status).to_owned(),
        type_: type_.to_owned(),
    };
    let Some(old) = old else {
        conditions.push(new);
        return true;
    };
    if old.status == new.status {
        new.last_transition_time = old.last_transition_time.clone();
    }
    let changed = *old != new;
    *old = new;
    changed
}

/// Removes the condition of type `type_`. Returns whether there was one.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) -> bool {
    let before = conditions.len();
    conditions.retain(|condition| condition.type_ != type_);
    conditions.len() != before
}

/// The condition of type `type_`.
pub fn get<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|condition| condition.type_ == type_)
}

/// Whether the condition of type `type_` is there and `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    get(conditions, type_).is_some_and(|condition| condition.status == "True")
}

fn word(status: Option<bool>) -> &'static str {
    match status {
        Some(true) => "True",
        Some(false) => "False",
        None => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let mut conditions = Vec::new();
        let ready = |second, status, reason, generation, conditions: &mut Vec<_>| {
            set(conditions, READY, (status, reason, "text"), Some(generation), at(second))
        };
        assert!(ready(1, Some(false), "Starting", 1, &mut conditions));
        assert!(!ready(2, Some(false), "Starting", 1, &mut conditions), "nothing changed");
        assert!(ready(3, Some(false), "Waiting", 1, &mut conditions), "the reason changed");
        assert!(ready(4, Some(false), "Waiting", 2, &mut conditions), "the generation changed");
        assert_eq!(conditions[0].last_transition_time, Time(at(1)));
        assert!(ready(5, Some(true), "Serving", 2, &mut conditions));
        assert_eq!(conditions[0].last_transition_time, Time(at(5)));
        assert!(ready(6, None, "NoReports", 2, &mut conditions));
        assert_eq!((conditions.len(), conditions[0].status.as_str()), (1, "Unknown"));
    }

    #[test]
    fn conditions_are_found_and_removed_by_type() {
        let mut conditions = Vec::new();
        set(&mut conditions, READY, (Some(true), "Serving", ""), None, at(1));
        set(&mut conditions, STALLED, (Some(false), "Fine", ""), None, at(1));
        assert!(is_true(&conditions, READY));
        assert!(!is_true(&conditions, STALLED));
        assert!(!is_true(&conditions, PAUSED));
        assert!(remove(&mut conditions, STALLED));
        assert!(!remove(&mut conditions, STALLED));
        assert_eq!(get(&conditions, STALLED), None);
    }

    #[test]
    fn messages_are_cut_to_what_the_schema_admits() {
        let mut conditions = Vec::new();
        set(&mut conditions, READY, (None, "Long", &"ä".repeat(2_000)), None, at(1));
        assert_eq!(conditions[0].message.chars().count(), LONGEST_MESSAGE);
    }
}
