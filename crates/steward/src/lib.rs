//! How a committee comes to be: its trust, its log of epoch records, and its first record.
//!
//! | module | what |
//! |---|---|
//! | [`trust`] | committee id, CA and registrar keys, made once; TLS leaves |
//! | [`record_log`] | where records are put before anyone hears of them, so that no number is used twice |
//! | [`mod@genesis`] | observed identities → adopt, propose, or wait for whom; then push, gather, tell |

pub mod genesis;
pub mod record_log;
pub mod trust;

pub use genesis::{Genesis, GenesisConfig, GenesisError, GenesisNode, Keys, genesis};
pub use record_log::{FileRecordLog, LogError, RecordLog};
pub use trust::{Trust, TrustError};

#[cfg(test)]
mod fixture;
