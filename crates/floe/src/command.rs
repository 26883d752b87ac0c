//! The commands, one module each.

pub(crate) mod catalog;
pub(crate) mod committee;
pub(crate) mod get;
pub(crate) mod id;
pub(crate) mod import;
pub(crate) mod operator;
pub(crate) mod put;
pub(crate) mod repair;
pub(crate) mod server;
pub(crate) mod standalone;
