//! Pure decisions: from values to a plan. No I/O, no clock, no randomness; the caller gathers the
//! facts, asks, and does what it is told, in one step.
//!
//! | module | decides |
//! |---|---|
//! | [`placement`] | which node owns which shards: at the start, and after the fewest moves |
//! | [`succession`] | what the next epoch record is, or why there is none |
//! | [`epoch`] | whether a record is in order, and whether this node accepts it |
//! | [`custody`] | whether a node opens, confirms, stores, acknowledges, releases, closes |
//! | [`expiry`] | whether anything still needs a blob that nobody certified |
//! | [`handover`] | whether a new owner's shard is whole, and the former owner lets go of it |
//! | [`repair`] | what is repaired first, and on which path |

pub mod custody;
pub mod epoch;
pub mod expiry;
pub mod handover;
pub mod placement;
pub mod repair;
pub mod succession;

#[cfg(test)]
mod tests;
