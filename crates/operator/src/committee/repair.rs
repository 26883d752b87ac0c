//! When a repair Job is started: one for each StorageNode and deficit.
//!
//! The truth is what nodes hold, never what a Job's status says: a Job that ended early is not
//! missed, since the node rebuilds by itself what nobody leases; one that was deleted, or whose time
//! to be kept is over, comes again while the node still owes.

use floe_api::report::NodeReport;
use floe_crd::names;
use floe_steward::Deficit;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;

/// What is to be done about a deficit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Repair {
    /// Nothing: the node owes nothing on these shards, or does not know yet what it owes.
    Nothing,
    /// The spec says that nothing is repaired.
    Paused,
    /// This Job is to be created.
    Start,
    /// This Job runs, or is about to.
    Running(String),
    /// This Job ended, and the node still owes: it goes on by itself.
    Ended(String),
    /// This Job failed, for this reason: the node goes on by itself.
    Failed(String, String),
}

/// Decides about a deficit.
pub(super) fn repair(
    deficit: &Deficit,
    report: Option<&NodeReport>,
    jobs: &[Job],
    is_paused: bool,
) -> Repair {
    let name = job_name(deficit);
    if let Some(job) = jobs.iter().find(|job| job.name_any() == name) {
        return match (end(job), owes(report)) {
            (None, _) => Repair::Running(name),
            (Some(_), false) => Repair::Nothing,
            (Some(Ok(())), true) => Repair::Ended(name),
            (Some(Err(reason)), true) => Repair::Failed(name, reason),
        };
    }
    match (owes(report), is_paused) {
        (false, _) => Repair::Nothing,
        (true, true) => Repair::Paused,
        (true, false) => Repair::Start,
    }
}

/// The name of the Job that fills a deficit.
pub(super) fn job_name(deficit: &Deficit) -> String {
    names::repair_job(deficit.node.as_str(), deficit.incarnation, &identity(deficit))
}

/// What tells a deficit from any other of the same volume: its shards, and the record that unfilled
/// them.
pub(super) fn identity(deficit: &Deficit) -> Vec<u8> {
    let shards = deficit.shards.iter().flat_map(|shard| shard.0.to_le_bytes());
    shards.chain(deficit.since.to_string().into_bytes()).collect()
}

/// Whether the node says that its unfilled shards lack something.
fn owes(report: Option<&NodeReport>) -> bool {
    let unfilled = report.iter().flat_map(|report| &report.unfilled);
    unfilled.into_iter().any(|it| it.slivers.held < it.slivers.owed)
}

/// How a Job ended, if it did.
fn end(job: &Job) -> Option<Result<(), String>> {
    let status = job.status.as_ref()?;
    let mut conditions = status.conditions.iter().flatten().filter(|it| it.status == "True");
    conditions.find_map(|condition| match condition.type_.as_str() {
        "Complete" => Some(Ok(())),
        "Failed" => Some(Err(condition.message.clone().unwrap_or_default())),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use floe_api::report::{SliverCounts, UnfilledReport};
    use floe_model::{Incarnation, RecordHash, ShardIndex};
    use serde_json::{from_value, json};

    use super::*;
    use crate::committee::tests::fixture::report;

    fn deficit() -> Deficit {
        Deficit {
            node: "main-0".parse().unwrap(),
            incarnation: Incarnation(1),
            shards: vec![ShardIndex(0), ShardIndex(4)],
            since: RecordHash([7; 32]),
        }
    }

    fn job(name: &str, condition: Option<&str>) -> Job {
        let conditions = condition.map(|type_| {
            json!([{"type": type_, "status": "True", "message": "it ended",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}])
        });
        from_value(json!({"metadata": {"name": name}, "status": {"conditions": conditions}}))
            .unwrap()
    }

    type Case<'a> = (&'a str, Option<&'a NodeReport>, &'a [Job], bool, Repair);

    #[test]
    fn one_job_for_each_deficit() {
        let report = |owed, held| {
            let mut report = report("main-0", 1);
            let slivers = SliverCounts { owed, held };
            let shard = ShardIndex(4);
            report.unfilled =
                vec![UnfilledReport { shard, slivers, owed_bytes: owed, held_bytes: held }];
            report
        };
        let (owing, whole) = (report(9, 3), report(9, 9));
        let name = job_name(&deficit());
        let running = [job(&name, None)];
        let (done, failed) = ([job(&name, Some("Complete"))], [job(&name, Some("Failed"))]);
        let other = [job("main-0-1-repair-01234567", Some("Complete"))];
        let table: [Case<'_>; 10] = [
            ("it does not answer", None, &[], false, Repair::Nothing),
            ("it owes nothing", Some(&whole), &[], false, Repair::Nothing),
            ("it owes", Some(&owing), &[], false, Repair::Start),
            ("of another deficit", Some(&owing), &other, false, Repair::Start),
            ("paused", Some(&owing), &[], true, Repair::Paused),
            ("runs", Some(&owing), &running, false, Repair::Running(name.clone())),
            (
                "runs, and is paused now",
                Some(&owing),
                &running,
                true,
                Repair::Running(name.clone()),
            ),
            ("ended early", Some(&owing), &done, false, Repair::Ended(name.clone())),
            ("failed", Some(&owing), &failed, false, Repair::Failed(name, "it ended".to_owned())),
            ("done", Some(&whole), &done, false, Repair::Nothing),
        ];
        for (text, report, jobs, is_paused, expected) in table {
            assert_eq!(repair(&deficit(), report, jobs, is_paused), expected, "{text}");
        }
    }

    #[test]
    fn a_later_deficit_of_the_same_shards_is_another() {
        let mut later = deficit();
        later.since.0[0] ^= 1;
        assert_ne!(job_name(&later), job_name(&deficit()));
        assert!(job_name(&deficit()).starts_with("main-0-1-repair-"));
        let mut fewer = deficit();
        fewer.shards.pop();
        assert_ne!(job_name(&fewer), job_name(&deficit()));
    }
}
