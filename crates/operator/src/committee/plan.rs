//! Which StorageNodes there are to be, and which volume each of them has now.
//!
//! A volume that was given up leaves a mark: its claim is labelled as retired before anything else
//! happens. So whoever decides next, after a crash or an installation anew, finds the same volumes.

use std::collections::{BTreeMap, BTreeSet};

use floe_crd::names;
use floe_model::{Incarnation, NodeName};
use floe_plan::succession::VolumeName;
use kube::{Resource as _, ResourceExt as _};

use super::observed::{Observed, is_retired};
use crate::error::{Error, Result};

/// What there is of volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Marks {
    /// Volumes that have a claim or a StatefulSet.
    pub(super) there: BTreeSet<VolumeName>,
    /// Those of them whose claim is labelled as retired.
    pub(super) retired: BTreeSet<VolumeName>,
    /// StorageNodes.
    pub(super) nodes: BTreeSet<NodeName>,
    /// The volumes that the newest committed record names, where it is known.
    pub(super) members: Option<BTreeSet<VolumeName>>,
    /// Volumes that any record names: there were these.
    pub(super) known: BTreeSet<VolumeName>,
}

impl Marks {
    /// What was observed, and what the newest committed record names.
    pub(super) fn of(
        observed: &Observed,
        members: Option<BTreeSet<VolumeName>>,
        known: BTreeSet<VolumeName>,
    ) -> Self {
        let claims = observed.claims.iter();
        let retired = claims.filter(|(_, claim)| is_retired(claim.meta()));
        let nodes = observed.nodes.iter().filter_map(|node| node.name_any().parse().ok());
        Self {
            there: observed.claims.keys().chain(observed.sets.keys()).cloned().collect(),
            retired: retired.map(|(volume, _)| volume.clone()).collect(),
            nodes: nodes.collect(),
            members,
            known,
        }
    }
}

/// What is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Which volume each StorageNode has now.
    pub(super) current: BTreeMap<NodeName, Incarnation>,
    /// StorageNodes that give up their shards.
    pub(super) leaving: BTreeSet<NodeName>,
    /// StorageNodes that no record names any more and nobody wants.
    pub(super) gone: BTreeSet<NodeName>,
    /// Volumes that were replaced and of which something is left to be put away.
    pub(super) stale: BTreeSet<VolumeName>,
}

/// Decides.
pub(super) fn plan(committee: &str, replicas: u16, marks: &Marks) -> Result<Plan> {
    let wanted = (0..replicas).map(|ordinal| node_name(&names::storage_node(committee, ordinal)));
    let wanted: BTreeSet<NodeName> = wanted.collect::<Result<_>>()?;
    let members = marks.members.iter().flatten().map(|(node, _)| node.clone());
    let members: BTreeSet<NodeName> = members.collect();
    let is_member = |node: &NodeName| marks.members.is_none() || members.contains(node);
    let extra = marks.nodes.iter().chain(&members).filter(|node| !wanted.contains(*node));
    let (leaving, gone): (BTreeSet<_>, BTreeSet<_>) =
        extra.cloned().partition(|node| is_member(node));
    let current: BTreeMap<NodeName, Incarnation> =
        wanted.iter().chain(&leaving).map(|node| (node.clone(), current(node, marks))).collect();
    let is_stale = |(node, incarnation): &&VolumeName| {
        gone.contains(node) || current.get(node).is_some_and(|current| incarnation < current)
    };
    let stale = marks.there.iter().filter(is_stale).cloned().collect();
    Ok(Plan { current, leaving, gone, stale })
}

/// The newest volume that anyone knows of; the next one if that was given up.
fn current(node: &NodeName, marks: &Marks) -> Incarnation {
    let members = marks.members.iter().flatten();
    let known = marks.there.iter().chain(members).chain(&marks.known);
    let known = known.filter(|(of, _)| of == node);
    let Some(newest) = known.map(|(_, incarnation)| *incarnation).max() else {
        return Incarnation(0);
    };
    let is_given_up = marks.retired.contains(&(node.clone(), newest));
    Incarnation(newest.0.saturating_add(u32::from(is_given_up)))
}

fn node_name(name: &str) -> Result<NodeName> {
    let refused = |error| Error::refused("InvalidName", format!("metadata.name: {error}"));
    name.parse().map_err(refused)
}

/// A plan that would harm: never carried out.
///
/// Every volume that the newest committed record names stays, unless it was marked before, or a
/// newer one of the same node is there.
pub(super) fn check(plan: &Plan, marks: &Marks) -> Result<()> {
    let members = marks.members.iter().flatten();
    for (node, incarnation) in members.filter(|volume| plan.stale.contains(volume)) {
        let volume = (node.clone(), *incarnation);
        let next = plan.current.get(node).is_some_and(|current| current > incarnation);
        let newer = || marks.there.iter().any(|(of, it)| of == node && it > incarnation);
        if !next || !(marks.retired.contains(&volume) || newer()) {
            let reason = format!("the plan would put away {node}-{incarnation}, which is in use");
            return Err(Error::refused("UnsafePlan", reason));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `main-0-1` is a volume, `main-0-1!` a retired one.
    fn marks(nodes: u16, there: &[&str], members: Option<&[&str]>) -> Marks {
        let volume = |text: &&str| {
            let (node, incarnation) = text.trim_end_matches('!').rsplit_once('-').unwrap();
            (node.parse().unwrap(), Incarnation(incarnation.parse().unwrap()))
        };
        let nodes = (0..nodes).map(|at| format!("main-{at}").parse().unwrap());
        Marks {
            there: there.iter().map(volume).collect(),
            retired: there.iter().filter(|text| text.ends_with('!')).map(volume).collect(),
            nodes: nodes.collect(),
            members: members.map(|members| members.iter().map(volume).collect()),
            known: BTreeSet::new(),
        }
    }

    fn shown(plan: &Plan) -> String {
        let volumes = |volumes: &mut dyn Iterator<Item = VolumeName>| {
            let texts: Vec<String> = volumes.map(|(node, it)| format!("{node}-{it}")).collect();
            texts.join(" ")
        };
        let names = |nodes: &BTreeSet<NodeName>| {
            nodes.iter().map(NodeName::as_str).collect::<Vec<_>>().join(" ")
        };
        format!(
            "{}; leaving {}; gone {}; stale {}",
            volumes(&mut plan.current.clone().into_iter()),
            names(&plan.leaving),
            names(&plan.gone),
            volumes(&mut plan.stale.clone().into_iter())
        )
    }

    #[test]
    fn which_volume_each_node_has() {
        let table: [(&str, u16, Marks, &str); 10] = [
            ("a new one", 2, marks(0, &[], None), "main-0-0 main-1-0; leaving ; gone ; stale "),
            (
                "as it is",
                2,
                marks(2, &["main-0-0", "main-1-0"], Some(&["main-0-0", "main-1-0"])),
                "main-0-0 main-1-0; leaving ; gone ; stale ",
            ),
            (
                "one is given up",
                2,
                marks(2, &["main-0-0!", "main-1-0"], Some(&["main-0-0", "main-1-0"])),
                "main-0-1 main-1-0; leaving ; gone ; stale main-0-0",
            ),
            (
                "its next one is there, and another is not marked",
                2,
                marks(2, &["main-0-0!", "main-0-1", "main-1-3", "main-1-2"], None),
                "main-0-1 main-1-3; leaving ; gone ; stale main-0-0 main-1-2",
            ),
            (
                "installed anew",
                2,
                marks(0, &["main-0-4", "main-0-3!", "main-1-0!"], None),
                "main-0-4 main-1-1; leaving ; gone ; stale main-0-3 main-1-0",
            ),
            (
                "the claim is gone, the record knows",
                1,
                marks(1, &[], Some(&["main-0-2"])),
                "main-0-2; leaving ; gone ; stale ",
            ),
            (
                "scaled down",
                1,
                marks(2, &["main-0-0", "main-1-0"], Some(&["main-0-0", "main-1-0"])),
                "main-0-0 main-1-0; leaving main-1; gone ; stale ",
            ),
            (
                "nobody knows yet whether it is a member",
                1,
                marks(2, &["main-0-0", "main-1-0"], None),
                "main-0-0 main-1-0; leaving main-1; gone ; stale ",
            ),
            (
                "installed anew, for fewer",
                1,
                marks(0, &["main-0-0", "main-1-0"], Some(&["main-0-0", "main-1-0"])),
                "main-0-0 main-1-0; leaving main-1; gone ; stale ",
            ),
            (
                "it has left",
                1,
                marks(2, &["main-0-0", "main-1-0"], Some(&["main-0-0"])),
                "main-0-0; leaving ; gone main-1; stale main-1-0",
            ),
        ];
        for (name, replicas, marks, expected) in table {
            let plan = plan("main", replicas, &marks).unwrap();
            assert_eq!(shown(&plan), expected, "{name}");
            check(&plan, &marks).unwrap();
        }
    }

    #[test]
    fn a_volume_in_use_is_not_put_away() {
        let marks = marks(1, &["main-0-0"], Some(&["main-0-0"]));
        let mut plan = plan("main", 1, &marks).unwrap();
        plan.stale.insert(("main-0".parse().unwrap(), Incarnation(0)));
        assert!(check(&plan, &marks).unwrap_err().is_terminal());
        plan.current.insert("main-0".parse().unwrap(), Incarnation(1));
        assert!(check(&plan, &marks).is_err(), "nobody gave it up");
    }
}
