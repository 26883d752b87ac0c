//! The codec from outside: round trips, refusals, and vectors of our own.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod properties;
mod refusals;
mod sample;
mod vectors;
