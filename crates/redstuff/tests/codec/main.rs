//! The codec from outside: the plain definition, round trips, refusals and lies.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod huge;
mod lies;
mod naive;
mod plain;
mod properties;
mod refusals;
mod sample;

/// Whether to take the time for rare cases.
fn slow() -> bool {
    std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0")
}
