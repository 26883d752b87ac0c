//! The codec from outside: round trips, refusals, and vectors of our own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod lies;
mod naive;
mod properties;
mod refusals;
mod sample;
mod vectors;

/// Whether to take the time for rare cases.
fn slow() -> bool {
    std::env::var("FLOE_SLOW").is_ok_and(|slow| slow != "0")
}
