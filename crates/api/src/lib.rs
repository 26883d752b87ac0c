//! The HTTP contracts between Floe's processes: no contract stands anywhere else.
//!
//! | module | what |
//! |---|---|
//! | [`role`] | roles, and the names that certificates carry |
//! | [`route`] | the table of routes with role, cap and timeout; [`route::authorize`]; [`route::call::Call`] writes and reads paths |
//! | [`messages`] | bodies: frames and JSON |
//! | [`report`] | what nodes report |
//! | [`error`] | refusals |
//! | [`tls`] | mutual TLS in the environment's time |
//! | [`server`] | serving HTTP/1.1 within limits |
//! | [`transport`], [`client`] | calling nodes |
//! | [`ApplicationClient`] | calling a gateway, as applications do |
//!
//! A server of routes does, per request: [`route::call::Call::parse`]; [`route::authorize`] with the
//! request extension [`Peer`] (absent without a client certificate); [`body::read_capped`];
//! [`messages::Decode`]; and answers [`messages::Encode::to_response`] or
//! [`ApiError::to_response`], with the header [`messages::EPOCH_HEADER`] on either.

mod application;
pub mod body;
pub mod client;
pub mod error;
pub mod messages;
mod pieces;
pub mod report;
pub mod role;
pub mod route;
pub mod server;
#[cfg(test)]
mod tests;
mod time;
pub mod tls;
pub mod transport;

pub use application::ApplicationClient;
pub use client::{Answer, CallError, NodeClient};
pub use error::{ApiError, ErrorCode};
pub use messages::EpochHint;
pub use pieces::Pieces;
pub use role::{Peer, Role};
pub use route::call::{Call, Span};
pub use route::{ROUTES, Route, RouteSpec, authorize};
pub use tls::{Credentials, TLS_FILES, TlsError, TlsIdentity, TlsSource};
pub use transport::{Target, TransportError, TransportLimits};
