//! What must hold in every state.

use crate::state::{DECODING, FAULTY, INCARNATIONS, State, volume};
use crate::steps::{Rules, Step, steps};

/// The first property that the state breaks.
pub(crate) fn broken(state: &State) -> Option<String> {
    // More was lost than may be: what is left is what a human wants to save.
    let forced = state.left.forces > 0 || state.records.iter().any(|record| record.forced);
    if state.durable && state.held() < DECODING && !forced {
        return Some(format!(
            "LOST: acknowledged, and {} shards are held by honest volumes, {DECODING} are needed",
            state.held()
        ));
    }
    let committed = state.committed();
    for one in state.indices().filter(|index| committed >> index & 1 == 1) {
        let record = state.record(one);
        if !record.forced && record.unfilled.count_ones() > FAULTY && !forced {
            return Some(format!("EMPTY: record {one} has more than f unfilled shards"));
        }
        for other in state.indices().filter(|index| committed >> index & 1 == 1) {
            if one < other && !state.is_ancestor(one, other) {
                return Some(format!("FORK: records {one} and {other} are both committed"));
            }
        }
    }
    None
}

/// Where an honest committee gets when faults stop: none if it comes to rest with something unfilled
/// or a lost owner.
pub(crate) fn stuck(rules: Rules, state: &State) -> Option<String> {
    let mut calm = state.clone();
    calm.left.losses = 0;
    calm.left.liars = 0;
    calm.left.moves = 0;
    calm.left.forces = 0;
    // Numbers do not run out in the world.
    calm.left.records = 4;
    loop {
        let newest = calm.newest();
        let record = calm.record(newest);
        let lost = (0..crate::state::NODES).any(|node| {
            let at = volume(node, usize::from(record.incarnations[node]));
            let replaceable = at % INCARNATIONS + 1 < INCARNATIONS;
            (calm.dead | calm.away) & crate::state::only(at) != 0
                && record.worth(crate::state::only(at)) > 0
                && replaceable
        });
        if record.unfilled == 0 && !lost {
            return None;
        }
        let next = steps(rules, &calm).into_iter().find(|(step, next)| match step {
            Step::Accept(at, index) => {
                *index == calm.indices().max().unwrap_or(0) && next.heads[*at] == *index
            }
            Step::Heal(..) | Step::Whole(..) | Step::Learn(_) => true,
            Step::Propose(_) => {
                // One at a time, on the newest.
                let last = calm.indices().max().unwrap_or(0);
                last == newest || !calm.is_ancestor(newest, last)
            }
            _ => false,
        });
        match next {
            Some((_, next)) => calm = next,
            None => {
                return Some(format!(
                    "STUCK: unfilled {:04b}, a lost owner: {lost}, and nothing more happens",
                    record.unfilled
                ));
            }
        }
    }
}
