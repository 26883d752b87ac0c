//! A changed pod template reaches the storage nodes one by one: the next only once all hold all that
//! they owe. What is stuck is mended first.

use floe_model::NodeName;

/// What there is of a storage node's pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodState {
    /// None, or one on its way out: the StatefulSet makes the next from its newest template.
    Absent,
    /// It cannot run as it is made: no host takes it, its image cannot be pulled, it ends at once.
    Stuck,
    /// It runs, ready or not.
    Running,
}

/// A storage node, as a roll-out sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// Its name.
    pub node: NodeName,
    /// Shards that it owns.
    pub shards: u16,
    /// Its pod.
    pub pod: PodState,
    /// Its pod was made from another template than is wanted.
    pub stale: bool,
    /// It serves its accepted epoch, and has done so long enough to know what it missed.
    pub serving: bool,
    /// It holds all that it owes.
    pub whole: bool,
}

/// What a roll-out does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing: all pods are as wanted.
    Done,
    /// This node's pod is deleted.
    Restart(NodeName),
    /// Nothing before these serve and are whole.
    Wait(Vec<NodeName>),
}

/// The next step. A pod that is stuck serves nobody, so it is made anew whatever the others do;
/// any other only while every node serves and is whole, and then the one with the fewest shards.
pub fn next(candidates: &[Candidate]) -> Step {
    let stale = || candidates.iter().filter(|it| it.stale && it.pod != PodState::Absent);
    if let Some(stuck) = stale().find(|it| it.pod == PodState::Stuck) {
        return Step::Restart(stuck.node.clone());
    }
    let Some(first) = stale().min_by_key(|it| (it.shards, &it.node)) else { return Step::Done };
    let is_busy = |it: &&Candidate| it.pod == PodState::Absent || !it.serving || !it.whole;
    let busy = candidates.iter().filter(is_busy);
    let busy: Vec<_> = busy.map(|it| it.node.clone()).collect();
    if busy.is_empty() { Step::Restart(first.node.clone()) } else { Step::Wait(busy) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `name shards state`: `.` as wanted and whole, `s` stale and whole, `S` stale and stuck, `r`
    /// stale and running without being whole, `h` as wanted and not whole, `d` as wanted and not
    /// serving, `x` stale and not serving, `-` absent, `+` absent while its last word still counts.
    fn candidate(text: &str) -> Candidate {
        let mut words = text.split(' ');
        let (node, shards) = (words.next().unwrap(), words.next().unwrap());
        let state = words.next().unwrap();
        Candidate {
            node: node.parse().unwrap(),
            shards: shards.parse().unwrap(),
            pod: match state {
                "S" => PodState::Stuck,
                "-" | "+" => PodState::Absent,
                _ => PodState::Running,
            },
            stale: !matches!(state, "." | "h" | "d" | "+"),
            serving: !matches!(state, "S" | "-" | "d" | "x"),
            whole: matches!(state, "." | "s" | "+"),
        }
    }

    #[test]
    fn one_at_a_time_while_all_are_whole() {
        let restart = |node: &str| Step::Restart(node.parse().unwrap());
        let wait =
            |nodes: &[&str]| Step::Wait(nodes.iter().map(|node| node.parse().unwrap()).collect());
        for (candidates, step) in [
            (vec![], Step::Done),
            (vec!["a 3 .", "b 2 ."], Step::Done),
            (vec!["a 3 .", "b 2 h"], Step::Done),
            (vec!["a 3 s", "b 2 s", "c 2 s"], restart("b")),
            (vec!["a 3 s", "b 2 .", "c 2 s"], restart("c")),
            // The one before is still catching up, or has not come back.
            (vec!["a 3 s", "b 2 h", "c 2 s"], wait(&["b"])),
            (vec!["a 3 s", "b 2 d", "c 2 h"], wait(&["b", "c"])),
            // It is not whole itself: stopping it would make it later still.
            (vec!["a 3 r", "b 2 ."], wait(&["a"])),
            // Not ready is no reason: it may be reading its log.
            (vec!["a 3 x", "b 2 ."], wait(&["a"])),
            // The last template was bad: mended where it hurts, without waiting for itself.
            (vec!["a 3 s", "b 2 S", "c 2 s"], restart("b")),
            (vec!["a 3 S", "b 2 S", "c 2 d"], restart("a")),
            // Made anew by its StatefulSet, from the newest template.
            (vec!["a 3 .", "b 2 -"], Step::Done),
            (vec!["a 3 s", "b 2 -"], wait(&["b"])),
            (vec!["a 3 s", "b 2 +"], wait(&["b"])),
        ] {
            let all: Vec<_> = candidates.iter().map(|text| candidate(text)).collect();
            assert_eq!(next(&all), step, "{candidates:?}");
        }
    }
}
