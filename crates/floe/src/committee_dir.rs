//! The directory of a committee on one machine.
//!
//! | path | what |
//! |---|---|
//! | `committee.json` | its size and addresses; written first, never moved |
//! | `trust/` | the control plane's secrets |
//! | `records/` | the log of epoch records |
//! | `nodes/<node>/` | a node: `node.json`, `tls/`, `volume/` |
//! | `gateway/` | the gateway: `gateway.json`, `tls/`, `registrar-key`, `tokens` |
//! | `client.env` | variables for `floe`, to be sourced by a shell |

mod addresses;
mod files;
mod init;
mod size;

pub(crate) use files::{GatewayFile, NodeFile, read_json, read_tls};
pub(crate) use init::{CommitteeDir, init};
