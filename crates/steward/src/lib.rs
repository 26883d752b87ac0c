//! How a committee comes to be, and goes on: its trust, its log of epoch records, its first record
//! and all that follow.
//!
//! | module | what |
//! |---|---|
//! | [`trust`] | committee id, CA and registrar keys, made once; TLS leaves |
//! | [`start_files`] | what sidecar, gateway and repair are started with |
//! | [`record_log`] | where records are put before anyone hears of them, so that no number is used twice |
//! | [`mod@genesis`] | observed identities → adopt, propose, or wait for whom; then push, gather, tell |
//! | [`loss`] | what was seen of a volume, and when → present, away, lost |
//! | [`succession`] | observed chains, volumes, losses → the next record; then push, gather, tell |

pub mod genesis;
pub mod loss;
mod observation;
mod push;
pub mod record_log;
pub mod start_files;
pub mod succession;
pub mod trust;

pub use genesis::{Genesis, GenesisConfig, GenesisError, GenesisNode, Keys, genesis};
pub use loss::{Standing, Word};
pub use record_log::{FileRecordLog, LogError, RecordLog};
pub use succession::{Deficit, Outcome, Pass, Steward, StewardError};
pub use trust::{Trust, TrustError};

#[cfg(test)]
mod tests;
