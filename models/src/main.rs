//! A small model of Floe's epochs where shards move between living nodes, and where a human forces a
//! record: what is explored, breadth first, is every order of steps within a few records and faults.
//!
//! ```text
//! cargo run --release -p floe-models                    all cases, with what each is to show
//! cargo run --release -p floe-models -- --deep          ten minutes instead of one
//! cargo run --release -p floe-models -- --deep move     cases whose name begins so
//! ```
//!
//! n = 4, f = 1; nodes A to D own a shard each, E none; X.2 is X's second volume. One blob stands for
//! all. A commit exists as soon as enough acceptances do; a record may reach any node at any later
//! time, or never; every step is atomic, and none is forced to follow. Liars accept, confirm,
//! acknowledge and say `whole` whenever it helps, and hide what they know. At most f shards are faulty
//! at any time: lying or lost, nobody left who had them since they were filled.
//!
//! Checked in every state: what was acknowledged stays readable; no two committed records on different
//! branches; at most f unfilled shards unless forced. With `live`: once faults stop, honest nodes and
//! an honest steward come to a committed record without unfilled shards.

mod cases;
mod explore;
mod properties;
mod state;
mod steps;
mod walk;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut wanted: Vec<String> = std::env::args().skip(1).collect();
    let deep = wanted.iter().any(|it| it == "--deep");
    wanted.retain(|it| it != "--deep");
    let mut wrong = 0;
    for case in cases::all(deep) {
        if !wanted.is_empty() && !wanted.iter().any(|it| case.name.starts_with(it.as_str())) {
            continue;
        }
        let outcome = explore::explore(&case);
        let as_expected = outcome.violation.is_some() == case.violated;
        println!(
            "{}: {} states, depth {}, {}{}",
            case.name,
            outcome.states,
            outcome.depth,
            outcome.verdict(),
            if as_expected { "" } else { "  <-- not what it is to show" }
        );
        if let Some(violation) = &outcome.violation {
            println!("  {}", violation.what);
            for (at, step) in violation.trace.iter().enumerate() {
                println!("  {:2}. {step}", at + 1);
            }
        }
        wrong += u8::from(!as_expected);
    }
    if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
