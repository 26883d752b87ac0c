//! Breadth first through all states, so that the first violation has the shortest trace; then random
//! walks, which come deeper.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::cases::Case;
use crate::properties::{broken, stuck};
use crate::state::{INCARNATIONS, State};
use crate::steps::{Step, steps};

/// A state that must not be, and the way there.
pub(crate) struct Violation {
    pub(crate) what: String,
    pub(crate) trace: Vec<String>,
}

/// How far it came.
pub(crate) struct Outcome {
    pub(crate) states: usize,
    pub(crate) depth: usize,
    exhausted: bool,
    pub(crate) violation: Option<Violation>,
}

impl Outcome {
    pub(crate) fn verdict(&self) -> &'static str {
        match (&self.violation, self.exhausted) {
            (Some(_), _) => "violated",
            (None, true) => "holds, exhausted",
            (None, false) => "holds as far as it was explored",
        }
    }
}

/// Explores a case.
pub(crate) fn explore(case: &Case) -> Outcome {
    let start = State::start(case.left);
    let mut seen = HashSet::from([key(&start)]);
    let mut parents: Vec<(usize, Step)> = vec![(0, Step::Start)];
    let mut queue = VecDeque::from([(0_usize, 0_usize, start)]);
    let mut depth = 0;
    while let Some((id, at, state)) = queue.pop_front() {
        depth = at;
        for (step, next) in steps(case.rules, &state) {
            if !seen.insert(key(&next)) {
                continue;
            }
            parents.push((id, step));
            let id = parents.len() - 1;
            let live = || if case.live { stuck(case.rules, &next) } else { None };
            if let Some(what) = broken(&next).or_else(live) {
                let trace = trace(&parents, id, &next);
                let violation = Some(Violation { what, trace });
                return Outcome { states: seen.len(), depth: at + 1, exhausted: false, violation };
            }
            queue.push_back((id, at + 1, next));
        }
        if seen.len() > case.most_states {
            let (deepest, violation) = crate::walk::walk(case);
            let depth = depth.max(deepest);
            return Outcome { states: seen.len(), depth, exhausted: false, violation };
        }
    }
    Outcome { states: seen.len(), depth, exhausted: true, violation: None }
}

/// 128 bits stand for a state.
fn key(state: &State) -> u128 {
    let half = |salt: u8| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        state.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    half(1) << 64 | half(2)
}

fn trace(parents: &[(usize, Step)], last: usize, end: &State) -> Vec<String> {
    let mut steps = Vec::new();
    let mut at = last;
    while at != 0 {
        let (before, step) = &parents[at];
        steps.push(tell(step, end));
        at = *before;
    }
    steps.reverse();
    steps
}

fn name(volume: usize) -> String {
    let node = char::from(b'A' + u8::try_from(volume / INCARNATIONS).unwrap_or(0));
    format!("{node}.{}", volume % INCARNATIONS + 1)
}

pub(crate) fn tell(step: &Step, end: &State) -> String {
    match *step {
        Step::Start => "start".to_owned(),
        Step::Propose(ref record) => {
            let index = end.records.iter().position(|known| known == record).unwrap_or(0);
            let owners: Vec<String> =
                record.owners.iter().map(|owner| name(usize::from(*owner))).collect();
            let unfilled: Vec<usize> =
                (0..owners.len()).filter(|shard| record.is_unfilled(*shard)).collect();
            format!(
                "record {index} on {}: owners {}, unfilled {unfilled:?}{}",
                record.parent,
                owners.join(" "),
                if record.forced { ", forced" } else { "" }
            )
        }
        Step::Accept(at, index) => format!("{} accepts record {index}", name(at)),
        Step::Lose(at) => format!("{} is lost", name(at)),
        Step::Away(at) => format!("{} is declared lost, though it lives", name(at)),
        Step::Lie(at) => format!("{} becomes a liar", name(at)),
        Step::Open(index) => format!("an upload opens under record {index}"),
        Step::Confirm(at) => format!("{} confirms", name(at)),
        Step::Learn(at) => format!("{} stores the certificate", name(at)),
        Step::Acknowledge(at) => format!("{} acknowledges", name(at)),
        Step::Heal(at, shard) => format!("{} heals shard {shard}", name(at)),
        Step::Whole(at, shard) => format!("{} says whole({shard})", name(at)),
        Step::LetGo(at, shard) => format!("{} lets go of shard {shard}", name(at)),
    }
}
