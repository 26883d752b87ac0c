//! What model promises to the rest of the world: layouts, refusals, arithmetic.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod epochs;
mod fixture;
mod layouts;
mod quorum;
mod refusals;
