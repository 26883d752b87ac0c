//! Random walks, for what breadth-first search does not reach.

use crate::cases::Case;
use crate::explore::{Violation, tell};
use crate::properties::broken;
use crate::state::State;
use crate::steps::{KINDS, Step, steps};

/// Steps of one walk.
const LENGTH: usize = 45;
/// How often a kind of step is drawn: each walk has weights of its own, so that rare orders come up.
const WEIGHTS: [usize; 5] = [0, 1, 4, 16, 64];

/// A small generator: the same walks each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap_or(0) % limit.max(1)
    }
}

/// The deepest walk, and the violation that was found, shortened.
pub(crate) fn walk(case: &Case) -> (usize, Option<Violation>) {
    let mut dice = Dice(0x5eed);
    for _ in 0..case.walks {
        let weights: [usize; KINDS] = std::array::from_fn(|_| WEIGHTS[dice.below(WEIGHTS.len())]);
        let mut state = State::start(case.left);
        let mut taken: Vec<Step> = Vec::new();
        for _ in 0..LENGTH {
            let mut next = steps(case.rules, &state);
            let Some(choice) = choose(&next, &weights, &mut dice) else { break };
            let (step, after) = next.swap_remove(choice);
            taken.push(step);
            state = after;
            if broken(&state).is_some() {
                return (taken.len(), shorten(case, taken));
            }
        }
    }
    (LENGTH, None)
}

fn choose(next: &[(Step, State)], weights: &[usize; KINDS], dice: &mut Dice) -> Option<usize> {
    let kinds: Vec<usize> = (0..KINDS)
        .filter(|kind| weights[*kind] > 0 && next.iter().any(|(step, _)| step.kind() == *kind))
        .collect();
    let sum = kinds.iter().map(|&kind| weights[kind]).sum();
    let mut drawn = dice.below(sum);
    let kind = kinds.into_iter().find(|&kind| {
        let here = drawn < weights[kind];
        drawn = drawn.saturating_sub(weights[kind]);
        here
    })?;
    let of_kind: Vec<usize> = (0..next.len()).filter(|&at| next[at].0.kind() == kind).collect();
    of_kind.get(dice.below(of_kind.len())).copied()
}

/// Leaves out steps as long as the end still breaks something.
fn shorten(case: &Case, mut taken: Vec<Step>) -> Option<Violation> {
    let mut at = taken.len();
    while at > 0 {
        at -= 1;
        let mut fewer = taken.clone();
        fewer.remove(at);
        if let Some((used, _)) = replay(case, &fewer) {
            fewer.truncate(used);
            taken = fewer;
            at = at.min(taken.len());
        }
    }
    let (_, end) = replay(case, &taken)?;
    let trace = taken.iter().map(|step| tell(step, &end)).collect();
    broken(&end).map(|what| Violation { what, trace })
}

/// How many of the steps lead to a broken state, and that state.
fn replay(case: &Case, taken: &[Step]) -> Option<(usize, State)> {
    let mut state = State::start(case.left);
    for (at, wanted) in taken.iter().enumerate() {
        let next = steps(case.rules, &state);
        (_, state) = next.into_iter().find(|(step, _)| step == wanted)?;
        if broken(&state).is_some() {
            return Some((at + 1, state));
        }
    }
    None
}
