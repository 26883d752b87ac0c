//! What is explored, and what each case is to show.

use crate::state::Left;
use crate::steps::{Letting, Reading, Rules};

/// One exploration.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) rules: Rules,
    pub(crate) left: Left,
    pub(crate) live: bool,
    /// Breadth first up to so many states, then so many random walks.
    pub(crate) most_states: usize,
    pub(crate) walks: usize,
    /// It shows nothing before so many states are seen.
    pub(crate) is_deep: bool,
    /// It is to find a violation: a clause is missing.
    pub(crate) violated: bool,
}

/// What a search that is not deep goes through.
const SHALLOW_STATES: usize = 60_000;
const SHALLOW_WALKS: usize = 3_000;

const RULES: Rules = Rules {
    reading: Reading::SinceFilled,
    letting: Letting::WhenFilledAndClosed,
    current: true,
    stolen: false,
};

const fn left(records: u8, moves: u8, losses: u8, liars: u8) -> Left {
    Left { records, moves, losses, liars, forces: 0 }
}

const fn holds(name: &'static str, rules: Rules, left: Left, live: bool) -> Case {
    Case {
        name,
        rules,
        left,
        live,
        most_states: 1_000_000,
        walks: 60_000,
        is_deep: false,
        violated: false,
    }
}

const fn fails(name: &'static str, rules: Rules, left: Left, live: bool) -> Case {
    Case { violated: true, ..holds(name, rules, left, live) }
}

/// The cases; those that need a deep search for what they are to show, only if it is one.
pub(crate) fn all(deep: bool) -> Vec<Case> {
    let mut cases = every();
    if !deep {
        cases.retain(|case| !case.is_deep);
        for case in &mut cases {
            case.most_states = case.most_states.min(SHALLOW_STATES);
            case.walks = SHALLOW_WALKS;
        }
    }
    cases
}

const fn deep(mut case: Case, most_states: usize) -> Case {
    case.is_deep = true;
    case.most_states = most_states;
    case
}

fn every() -> Vec<Case> {
    let reading = |reading| Rules { reading, ..RULES };
    let letting = |letting| Rules { letting, ..RULES };
    let loose = Rules { current: false, ..RULES };
    let stolen = Rules { stolen: true, ..RULES };
    let unfenced = reading(Reading::Unfenced);
    let force = |left| Left { forces: 1, ..left };
    vec![
        // What each clause is for.
        fails("move: lets go at once", letting(Letting::AtOnce), left(1, 1, 0, 1), false),
        fails("move: only others are read", reading(Reading::Others), left(3, 1, 1, 0), true),
        deep(fails("replace: read from anybody", unfenced, left(1, 0, 1, 1), false), 1_000_000),
        // Here old confirmations do no harm: whoever acknowledges holds its pairs, and a replaced
        // volume accepts nothing. They are not counted all the same: what certifies them may be gone.
        deep(holds("replace: old confirmations count", loose, left(1, 0, 2, 0), false), 2_000_000),
        // For acknowledged content alone the former owner need not wait for open uploads: nobody
        // acknowledges on its old word. It waits all the same, or writers would wait for a rebuild.
        holds("move: lets go when filled", letting(Letting::WhenFilled), left(2, 1, 1, 0), false),
        holds("move: one loss", RULES, left(3, 1, 1, 0), true),
        holds("move: one liar", RULES, left(3, 1, 0, 1), false),
        holds("move: two moves and a loss", RULES, left(4, 2, 1, 0), false),
        holds("replace: one loss", RULES, left(1, 0, 1, 0), true),
        holds("replace: two losses", RULES, left(4, 0, 2, 0), true),
        holds("replace: a loss and a liar", RULES, left(1, 0, 1, 1), false),
        holds("stolen key", stolen, left(2, 1, 0, 1), false),
        holds("force: a disk too many", RULES, force(left(2, 0, 2, 0)), false),
        // A forced record needs n-2f acceptances: with a liar, whoever has the key forks the chain.
        fails("force: a stolen key", stolen, force(left(2, 0, 2, 1)), false),
    ]
}
