//! client
pub mod resolution;
