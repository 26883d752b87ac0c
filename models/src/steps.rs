//! What may happen in a state, one step at a time.

use crate::state::{
    CORRECT, FAULTY, INCARNATIONS, NODES, NONE, Record, SHARDS, State, VOLUMES, only, volume,
};

/// From whom a new owner reads the catalog before it says `whole`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// Other nodes worth n-f shards of the record that it accepted.
    Others,
    /// The same, and the nodes need not have accepted the record that names the reader.
    Unfenced,
    /// Nodes worth n-f shards of the record in which the shard was filled last and of every one
    /// since; where a record names the reader's volume, it counts for itself.
    SinceFilled,
}

/// When the former owner of a moved shard lets go of its pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Letting {
    /// When it has accepted the record that moves the shard.
    AtOnce,
    /// When a committed record calls the shard filled.
    WhenFilled,
    /// And no upload of an older record is open here.
    WhenFilledAndClosed,
}

/// The rules that are tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) reading: Reading,
    pub(crate) letting: Letting,
    /// A certificate counts only the confirmations of owners that the accepted record still names.
    pub(crate) current: bool,
    /// Whoever holds a stolen operator's key proposes.
    pub(crate) stolen: bool,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Start,
    Propose(Record),
    Accept(usize, u8),
    Lose(usize),
    Away(usize),
    Lie(usize),
    Open(u8),
    Confirm(usize),
    Learn(usize),
    Acknowledge(usize),
    Heal(usize, usize),
    Whole(usize, usize),
    LetGo(usize, usize),
}

impl Step {
    /// Which kind of step, for random walks.
    pub(crate) const fn kind(&self) -> usize {
        match self {
            Self::Start | Self::Propose(_) => 0,
            Self::Accept(..) => 1,
            Self::Lose(_) | Self::Away(_) => 2,
            Self::Lie(_) => 3,
            Self::Open(_) => 4,
            Self::Confirm(_) => 5,
            Self::Learn(_) => 6,
            Self::Acknowledge(_) => 7,
            Self::Heal(..) => 8,
            Self::Whole(..) => 9,
            Self::LetGo(..) => 10,
        }
    }
}

/// Kinds of steps.
pub(crate) const KINDS: usize = 11;

/// All steps from a state, within what the environment may do: at most f shards are faulty.
pub(crate) fn steps(rules: Rules, state: &State) -> Vec<(Step, State)> {
    let mut steps = Vec::new();
    propose(rules, state, &mut steps);
    for at in 0..VOLUMES {
        fail(state, at, &mut steps);
        if state.is_honest(at) && state.heads[at] != NONE || is_spare(state, at) {
            accept(state, at, &mut steps);
        }
        if state.is_honest(at) && state.heads[at] != NONE {
            blob(rules, state, at, &mut steps);
            for shard in 0..SHARDS {
                fill(rules, state, (at, shard), &mut steps);
                let_go(rules, state, (at, shard), &mut steps);
            }
        }
    }
    open(state, &mut steps);
    // Where a human may force a record, one shard too many is lost.
    let forced = state.left.forces > 0 || state.records.iter().any(|record| record.forced);
    let most = FAULTY + u32::from(forced);
    steps.retain(|(_, next)| next.faulty() <= most);
    for (_, next) in &mut steps {
        next.durable = next.durable || is_durable(next);
    }
    steps
}

/// A volume that is there and has accepted nothing.
fn is_spare(state: &State, at: usize) -> bool {
    state.is_honest(at) && state.heads[at] == NONE && !at.is_multiple_of(INCARNATIONS)
}

/// Enough acknowledged, counted over the newest record that any of them names.
fn is_durable(state: &State) -> bool {
    state.indices().any(|index| {
        let record = state.record(index);
        let counted = (0..VOLUMES).filter(|&at| {
            let said = state.acknowledged[at];
            said != NONE && said <= index && record.names(at)
        });
        let honest = counted.fold(0, |set, at| set | only(at));
        let named = (0..VOLUMES).any(|at| state.acknowledged[at] == index);
        named && record.worth(honest | state.liars) >= CORRECT
    })
}

fn propose(rules: Rules, state: &State, steps: &mut Vec<(Step, State)>) {
    if state.left.records == 0 {
        return;
    }
    let (newest, last) = (state.newest(), state.indices().max().unwrap_or(0));
    // An honest steward sees in its log what it made last, and builds on that unless it is dead.
    let honest = if state.is_ancestor(newest, last) { last } else { newest };
    for parent in state.indices() {
        if parent != honest && !rules.stolen {
            continue;
        }
        for (record, moved, forced) in children(rules, state, parent) {
            let mut next = state.clone();
            next.left.records -= 1;
            next.left.moves -= moved;
            next.left.forces -= forced;
            next.records.push(record.clone());
            next.accepted.push(0);
            steps.push((Step::Propose(record), next));
        }
    }
}

/// The records that may follow a parent, with the moves and forces that they take.
fn children(rules: Rules, state: &State, parent: u8) -> Vec<(Record, u8, u8)> {
    let base = state.record(parent);
    let mut plain = Record { parent, forced: false, ..base.clone() };
    let mut filled = plain.clone();
    for shard in (0..SHARDS).filter(|&shard| base.is_unfilled(shard)) {
        if has_whole(state, parent, shard) {
            filled.unfilled &= !(1 << shard);
        }
    }
    let mut children = Vec::new();
    if filled.unfilled != plain.unfilled {
        children.push((filled.clone(), 0, 0));
        plain = filled;
    }
    for node in 0..NODES {
        let at = volume(node, usize::from(plain.incarnations[node]));
        let lost = (state.dead | state.away) & only(at) != 0 || rules.stolen;
        if lost && at % INCARNATIONS + 1 < INCARNATIONS && plain.worth(only(at)) > 0 {
            children.push((replaced(&plain, &[node]), 0, 0));
        }
    }
    if state.left.forces > 0 {
        let lost = |node: &usize| {
            let at = volume(*node, usize::from(plain.incarnations[*node]));
            (state.dead | state.away) & only(at) != 0 && at % INCARNATIONS + 1 < INCARNATIONS
        };
        let lost: Vec<usize> = (0..NODES).filter(lost).collect();
        let record = Record { forced: true, ..replaced(&plain, &lost) };
        if record.unfilled.count_ones() > FAULTY {
            children.push((record, 0, 1));
        }
    }
    if state.left.moves > 0 && (plain.unfilled == 0 || rules.stolen) {
        for shard in 0..SHARDS {
            for to in [volume(0, 0), volume(4, 0)] {
                // No node may have more than f shards.
                if plain.worth(only(to)) < FAULTY && plain.names(to) {
                    let mut record = plain.clone();
                    record.owners[shard] = u8::try_from(to).unwrap_or(NONE);
                    record.unfilled |= 1 << shard;
                    children.push((record, 1, 0));
                }
            }
        }
    }
    children.retain(|(record, _, _)| record.forced || record.unfilled.count_ones() <= FAULTY);
    children
}

fn replaced(parent: &Record, nodes: &[usize]) -> Record {
    let mut record = parent.clone();
    for &node in nodes {
        let old = volume(node, usize::from(record.incarnations[node]));
        record.incarnations[node] += 1;
        for shard in 0..SHARDS {
            if parent.owns(shard, old) {
                record.owners[shard] += 1;
                record.unfilled |= 1 << shard;
            }
        }
    }
    record
}

/// Whether a word of `whole` is at hand for a child of `parent`: said by its owner of now, under the
/// record that made it owner or a later one of the chain. Liars say it whenever it helps.
fn has_whole(state: &State, parent: u8, shard: usize) -> bool {
    let owner = state.record(parent).owners[shard];
    if state.liars & only(usize::from(owner)) != 0 {
        return true;
    }
    let counts = |under: u8| {
        let mut at = parent;
        while state.record(at).owners[shard] == owner {
            if at == under {
                return true;
            }
            at = state.record(at).parent;
            if at == NONE {
                break;
            }
        }
        false
    };
    let said = |(said, by, under): &(u8, u8, u8)| {
        usize::from(*said) == shard && *by == owner && counts(*under)
    };
    state.wholes.iter().any(said)
}

fn accept(state: &State, at: usize, steps: &mut Vec<(Step, State)>) {
    let committed = state.committed();
    for index in state.indices().skip(1) {
        let record = state.record(index);
        let head = state.heads[at];
        let above = head == NONE || index > head;
        let through_committed = || {
            state.indices().any(|other| {
                committed >> other & 1 == 1
                    && !state.is_ancestor(other, head)
                    && state.is_ancestor(other, index)
            })
        };
        let continues = head == NONE || state.is_ancestor(head, index) || through_committed();
        if above && record.names(at) && continues {
            let mut next = state.clone();
            next.heads[at] = index;
            next.accepted[usize::from(index)] |= only(at);
            steps.push((Step::Accept(at, index), next));
        }
    }
}

fn fail(state: &State, at: usize, steps: &mut Vec<(Step, State)>) {
    if !state.is_honest(at) || state.heads[at] == NONE {
        return;
    }
    if state.left.losses > 0 {
        let mut next = state.clone();
        next.left.losses -= 1;
        next.dead |= only(at);
        steps.push((Step::Lose(at), next));
        if state.away & only(at) == 0 {
            let mut next = state.clone();
            next.left.losses -= 1;
            next.away |= only(at);
            steps.push((Step::Away(at), next));
        }
    }
    if state.left.liars > 0 {
        let mut next = state.clone();
        next.left.liars -= 1;
        next.liars |= only(at);
        steps.push((Step::Lie(at), next));
    }
}

fn open(state: &State, steps: &mut Vec<(Step, State)>) {
    if state.upload != NONE {
        return;
    }
    let committed = state.committed();
    for index in state.indices().filter(|index| committed >> index & 1 == 1) {
        let mut next = state.clone();
        next.upload = index;
        steps.push((Step::Open(index), next));
    }
}

fn blob(rules: Rules, state: &State, at: usize, steps: &mut Vec<(Step, State)>) {
    if state.upload == NONE {
        return;
    }
    let (under, head) = (state.record(state.upload), state.record(state.heads[at]));
    let known = state.is_ancestor(state.upload, state.heads[at]);
    if state.confirmed & only(at) == 0 && known && under.worth(only(at)) > 0 {
        let mut next = state.clone();
        next.confirmed |= only(at);
        for shard in (0..SHARDS).filter(|&shard| under.owns(shard, at)) {
            next.holders[shard] |= only(at);
        }
        steps.push((Step::Confirm(at), next));
    }
    if !state.is_certified() {
        return;
    }
    let holds = |shard: usize| state.holders[shard] & only(at) != 0;
    let holds_all = (0..SHARDS).all(|shard| !head.owns(shard, at) || holds(shard));
    let voters = state.confirmed | state.liars;
    let still = |shard: &usize| {
        let owner = under.owners[*shard];
        voters & only(usize::from(owner)) != 0 && head.owners[*shard] == owner
    };
    let counted = u32::try_from((0..SHARDS).filter(still).count()).unwrap_or(0);
    let enough = !rules.current || counted >= CORRECT;
    // A certificate enters the catalogs where it counts; from then on every feed carries it.
    let shown = state.knowing & state.honest() != 0 || state.liars != 0;
    if state.knowing & only(at) == 0 && (enough || shown) {
        let mut next = state.clone();
        next.knowing |= only(at);
        steps.push((Step::Learn(at), next));
    }
    if state.acknowledged[at] == NONE && holds_all && enough && head.worth(only(at)) > 0 {
        let mut next = state.clone();
        next.knowing |= only(at);
        next.acknowledged[at] = state.heads[at];
        steps.push((Step::Acknowledge(at), next));
    }
}

fn fill(rules: Rules, state: &State, (at, shard): (usize, usize), steps: &mut Vec<(Step, State)>) {
    let head = state.record(state.heads[at]);
    if !head.owns(shard, at) {
        return;
    }
    let holds = state.holders[shard] & only(at) != 0;
    let knows = state.knowing & only(at) != 0;
    let others = state.honest() & !only(at);
    let readable = state.held() >= crate::state::DECODING || state.holders[shard] & others != 0;
    if knows && !holds && readable {
        let mut next = state.clone();
        next.holders[shard] |= only(at);
        steps.push((Step::Heal(at, shard), next));
    }
    let word = u8::try_from(shard).ok().zip(u8::try_from(at).ok());
    let Some((said, by)) = word else { return };
    let new = !state.wholes.iter().any(|(known, of, _)| (*known, *of) == (said, by));
    if !head.is_unfilled(shard) || !new || knows && !holds {
        return;
    }
    if reads_nothing_new(rules, state, (at, shard)) {
        let mut next = state.clone();
        next.wholes.push((said, by, state.heads[at]));
        next.wholes.sort_unstable();
        steps.push((Step::Whole(at, shard), next));
    }
}

/// Whether some reading that suffices shows the new owner nothing that it does not know.
fn reads_nothing_new(rules: Rules, state: &State, (at, shard): (usize, usize)) -> bool {
    let head = state.heads[at];
    let knows = state.knowing & only(at) != 0;
    // Liars hide all. Honest ones show what they know, those that know nothing new are read.
    let shows_nothing = |other: &usize| {
        let other = *other;
        let honest = state.is_honest(other) && state.heads[other] != NONE;
        let liar = state.liars & only(other) != 0;
        let fenced = rules.reading == Reading::Unfenced
            || honest && state.record(state.heads[other]).owns(shard, at);
        other != at && (liar || honest && fenced && (knows || state.knowing & only(other) == 0))
    };
    let read = (0..VOLUMES).filter(shows_nothing).fold(0, |set, other| set | only(other));
    match rules.reading {
        Reading::Others | Reading::Unfenced => state.record(head).worth(read) >= CORRECT,
        Reading::SinceFilled => state
            .since_filled(head, shard)
            .iter()
            .all(|&index| state.record(index).worth(read | only(at)) >= CORRECT),
    }
}

fn let_go(
    rules: Rules,
    state: &State,
    (at, shard): (usize, usize),
    steps: &mut Vec<(Step, State)>,
) {
    let head = state.heads[at];
    let record = state.record(head);
    if state.holders[shard] & only(at) == 0 || record.owns(shard, at) {
        return;
    }
    let committed = state.committed();
    let filled = committed >> head & 1 == 1 && !record.is_unfilled(shard);
    let open = state.upload != NONE
        && state.record(state.upload).owns(shard, at)
        && state.knowing & only(at) == 0;
    let may = match rules.letting {
        Letting::AtOnce => true,
        Letting::WhenFilled => filled,
        Letting::WhenFilledAndClosed => filled && !open,
    };
    if may {
        let mut next = state.clone();
        next.holders[shard] &= !only(at);
        steps.push((Step::LetGo(at, shard), next));
    }
}
