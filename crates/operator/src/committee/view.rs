//! One StorageNode as everything that was observed shows it.

use std::collections::BTreeMap;

use floe_api::report::{NodeReport, ServingState};
use floe_crd::StorageNode;
use floe_model::{EpochRecord, Incarnation, Member, NodeName, ShardIndex};
use floe_steward::{Deficit, Pass, Standing};
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use k8s_openapi::jiff::Timestamp;

use super::observed::Observed;
use super::places::{Place, Terms, storage_node};
use super::plan::Plan;
use super::repair::{Repair, repair};
use super::trouble::{Trouble, trouble};
use crate::disruption::{self, DrainBlocked, Limits, drain_blocked};
use crate::loss::{self, Host, Sight};

/// One StorageNode as everything that was observed shows it.
#[derive(Debug, Clone)]
pub(super) struct View<'a> {
    /// Its name.
    pub(super) node: NodeName,
    /// Which volume it has now.
    pub(super) incarnation: Incarnation,
    /// Its object.
    pub(super) object: Option<&'a StorageNode>,
    /// Where its pod runs.
    pub(super) place: Option<Place>,
    /// How that host is.
    pub(super) host: Host,
    /// Its pod.
    pub(super) pod: Option<&'a Pod>,
    /// Its claim.
    pub(super) claim: Option<&'a PersistentVolumeClaim>,
    /// What the newest committed record says of it.
    pub(super) member: Option<&'a Member>,
    /// What is held of the volume that the record names.
    pub(super) standing: Option<&'a Standing>,
    /// Its own word.
    pub(super) report: Option<&'a NodeReport>,
    /// What is unfilled.
    pub(super) deficit: Option<&'a Deficit>,
    /// What is done about that.
    pub(super) repair: Repair,
    /// What keeps its pod from running.
    pub(super) trouble: Option<Trouble>,
    /// Its host takes no pods: it is about to be drained.
    pub(super) is_cordoned: bool,
    /// Why its pod may not be stopped now.
    pub(super) drain: Option<DrainBlocked>,
}

/// What views are made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene<'a> {
    /// What is to be.
    pub(super) plan: &'a Plan,
    /// What the API server has.
    pub(super) observed: &'a Observed,
    /// What the steward saw, once there is a committed record.
    pub(super) pass: Option<&'a Pass>,
    /// Where volumes are.
    pub(super) terms: Terms<'a>,
    /// What must not be gone below.
    pub(super) limits: Limits,
    /// Nothing is repaired.
    pub(super) is_repair_paused: bool,
    /// Now.
    pub(super) now: Timestamp,
}

impl<'a> Scene<'a> {
    /// The newest committed record.
    pub(super) fn record(&self) -> Option<&'a EpochRecord> {
        self.pass?.record.as_ref().map(|(_, record)| record)
    }

    /// All StorageNodes.
    pub(super) fn views(&self) -> Vec<View<'a>> {
        let nodes = self.plan.current.iter();
        let mut views: Vec<View<'a>> = nodes.map(|(node, it)| self.view(node, *it)).collect();
        let members: Vec<_> = views.iter().filter_map(View::as_member).collect();
        for view in &mut views {
            view.drain = drain_blocked(&members, self.limits, &view.node);
        }
        views
    }

    fn view(&self, node: &NodeName, incarnation: Incarnation) -> View<'a> {
        let volume = (node.clone(), incarnation);
        let (pod, claim) = (self.observed.pods.get(&volume), self.observed.claims.get(&volume));
        let place = self.terms.seen(self.observed, node, incarnation);
        let kubernetes_node = place.as_ref().and_then(|it| self.observed.hosts.get(&it.host));
        let spec = kubernetes_node.and_then(Option::as_ref).and_then(|it| it.spec.as_ref());
        let member = self.record().and_then(|record| record.member(node));
        let standing = member.and_then(|member| {
            self.pass?.standings.get(&(member.node.clone(), member.incarnation))
        });
        let report = self.pass.and_then(|pass| pass.reports.get(node));
        let report = report.filter(|report| report.incarnation == incarnation);
        let mut deficits = self.pass.into_iter().flat_map(|pass| &pass.deficits);
        let deficit = deficits.find(|it| it.node == *node && it.incarnation == incarnation);
        let jobs = &self.observed.jobs;
        let repair = deficit.map_or(Repair::Nothing, |deficit| {
            repair(deficit, report, jobs, self.is_repair_paused)
        });
        let recorded = member.filter(|member| member.incarnation == incarnation);
        View {
            node: node.clone(),
            incarnation,
            object: storage_node(self.observed, node),
            host: host_of(place.as_ref(), recorded, &self.observed.hosts),
            place,
            pod,
            claim,
            member,
            standing,
            report,
            deficit,
            repair,
            trouble: trouble(claim, pod, self.observed.classes.as_ref(), self.now),
            is_cordoned: spec.and_then(|spec| spec.unschedulable).unwrap_or(false),
            drain: None,
        }
    }
}

impl View<'_> {
    /// The record names the volume that the node has now.
    pub(super) fn is_current(&self) -> bool {
        self.member.is_some_and(|member| member.incarnation == self.incarnation)
    }

    /// It serves its epoch.
    pub(super) fn serves(&self) -> bool {
        let serving = self.report.is_some_and(|it| it.serving.state == ServingState::Serving);
        self.is_current() && serving && self.standing == Some(&Standing::Present)
    }

    /// It holds all that it owes.
    pub(super) fn is_whole(&self) -> bool {
        let holds = |it: &NodeReport| it.slivers.held >= it.slivers.owed;
        self.serves() && self.deficit.is_none() && self.report.is_some_and(holds)
    }

    /// Bytes that it owes and does not hold.
    pub(super) fn remaining_bytes(&self) -> u64 {
        let Some(report) = self.report else { return 0 };
        let lacks = report.unfilled.iter().map(|it| it.owed_bytes.saturating_sub(it.held_bytes));
        lacks.sum::<u64>().max(report.repair.queued_bytes)
    }

    /// The shards that the record gives it.
    pub(super) fn shards(&self) -> &[ShardIndex] {
        self.member.map_or(&[], |member| &member.shards)
    }

    /// How it counts for a budget.
    pub(super) fn as_member(&self) -> Option<disruption::Member> {
        let member = self.member?;
        Some(disruption::Member {
            node: member.node.clone(),
            shards: u16::try_from(member.shards.len()).unwrap_or(u16::MAX),
            serving: self.serves(),
            whole: self.is_whole(),
        })
    }

    /// What there is to be seen of its volume.
    pub(super) fn sight(&self) -> Sight<'_> {
        let volume_id = self.member.map(|member| member.volume.to_string());
        let is_given_up =
            self.object.is_some_and(|object| loss::is_given_up(object, volume_id.as_deref()));
        let is_given_up = is_given_up && self.is_current();
        Sight { claim: self.claim, pod: self.pod, host: self.host, is_given_up }
    }
}

/// How the host of a volume is: the one of its pod, or where the record has the volume.
fn host_of(
    place: Option<&Place>,
    recorded: Option<&Member>,
    hosts: &BTreeMap<String, Option<Node>>,
) -> Host {
    let recorded = recorded.map(|member| &member.host);
    let host = place.map(|place| &place.host).or(recorded);
    let host = host.and_then(|host| hosts.get(host));
    host.map_or(Host::Unknown, |node| loss::host(node.as_ref()))
}
