//! HTTP/1.1 to nodes: connections with mutual TLS over the environment's network, kept for reuse.

mod pool;

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use floe_env::{Clock, Env, Net, Spawn, timeout};
use floe_model::{Incarnation, Member, NodeName};
use futures::FutureExt;
use http::{HeaderValue, Request, Response, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;

use crate::body::{BodyError, read_capped};
use crate::pieces::Pieces;
use crate::role::Peer;
use crate::tls::{Credentials, TlsError, TlsIdentity};
use pool::{Connection, Pool};

/// Bytes that the body of a refusal may have.
const REFUSAL_CAP_BYTES: usize = 64 * 1024;

/// A node and where it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Target {
    /// The node; its certificate must name it.
    pub node: NodeName,
    /// Which of its volumes; its certificate must name it.
    pub incarnation: Incarnation,
    /// `host:port`.
    pub address: String,
}

impl From<&Member> for Target {
    fn from(member: &Member) -> Self {
        Self {
            node: member.node.clone(),
            incarnation: member.incarnation,
            address: member.address.clone(),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node {} (incarnation {}) at {}", self.node, self.incarnation, self.address)
    }
}

/// Bounds of a [`Transport`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransportLimits {
    /// How long opening a connection may take, TLS included.
    pub connect_timeout: Duration,
    /// How long a connection is kept without use: less than servers wait for a request.
    pub idle_timeout: Duration,
    /// Unused connections kept per node.
    pub most_idle_per_target: usize,
    /// Unused connections kept in all.
    pub most_idle: usize,
}

impl Default for TransportLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            // Servers close connections after 30 s without a request.
            idle_timeout: Duration::from_secs(25),
            most_idle_per_target: 32,
            most_idle: 256,
        }
    }
}

/// An exchange that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No connection, or it broke.
    #[error("{0}")]
    Unreachable(String),
    /// No whole answer in time.
    #[error("no answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The answer is no HTTP, or too large.
    #[error("{0}")]
    Protocol(String),
}

/// An answer, its body read.
pub type Received = Response<Bytes>;

/// Exchanges requests for answers. Clones share the connections.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    credentials: Credentials,
    limits: TransportLimits,
    pool: Mutex<Pool>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("own", self.own()).finish_non_exhaustive()
    }
}

impl Transport {
    /// Shows `identity` to the nodes of its committee.
    pub fn new(
        env: &Env,
        identity: &TlsIdentity,
        limits: TransportLimits,
    ) -> Result<Self, TlsError> {
        Ok(Self::with(env, Credentials::fixed(env, identity)?, limits))
    }

    /// Shows what the credentials are at the time.
    pub fn with(env: &Env, credentials: Credentials, limits: TransportLimits) -> Self {
        Self(Arc::new(Inner {
            net: Arc::clone(&env.net),
            clock: Arc::clone(&env.clock),
            spawn: Arc::clone(&env.spawn),
            credentials,
            limits,
            pool: Mutex::new(Pool::new(limits)),
        }))
    }

    /// Who this process is by its certificate.
    pub fn own(&self) -> &Peer {
        self.0.credentials.own()
    }

    /// Sends a request, whose URI is a path, and reads the answer: its body has at most
    /// `response_cap_bytes`, and all of it takes at most `within`. If a kept connection turns out
    /// to be closed, the request is sent once more: it must be idempotent. Dropping the call closes
    /// its connection.
    pub async fn call(
        &self,
        target: &Target,
        request: Request<impl Into<Pieces>>,
        response_cap_bytes: usize,
        within: Duration,
    ) -> Result<Received, TransportError> {
        let name = Peer::node(self.own().committee, &target.node, target.incarnation).dns_name();
        let host = HeaderValue::from_str(&name)
            .map_err(|error| TransportError::Protocol(error.to_string()))?;
        let mut request = request.map(Into::into);
        request.headers_mut().insert(header::HOST, host);
        let exchange = self.0.exchange(target, name, request, response_cap_bytes);
        let answer = timeout(self.0.clock.as_ref(), within, exchange)
            .await
            .unwrap_or(Err(TransportError::Timeout(within)));
        if answer.is_err() {
            // The others may lead to the same dead end: behind a partition no stream says so.
            self.0.pool().forget(target);
        }
        answer
    }
}

impl Inner {
    async fn exchange(
        &self,
        target: &Target,
        name: String,
        request: Request<Pieces>,
        cap_bytes: usize,
    ) -> Result<Received, TransportError> {
        let kept = self.pool().take(target, self.clock.monotonic());
        if let Some(mut connection) = kept
            && let Ok(response) = connection.send(request.clone()).await
        {
            return self.receive(target, connection, &request, response, cap_bytes).await;
        }
        let mut connection = self.connect(target, name).await?;
        let response = connection.send(request.clone()).await.map_err(|error| broken(&error))?;
        self.receive(target, connection, &request, response, cap_bytes).await
    }

    async fn connect(&self, target: &Target, name: String) -> Result<Connection, TransportError> {
        let unreachable = |reason: String| TransportError::Unreachable(reason);
        let server = ServerName::try_from(name).map_err(|error| unreachable(error.to_string()))?;
        let open = async {
            let stream = self.net.connect(&target.address).await;
            let stream = stream.map_err(|error| unreachable(error.to_string()))?;
            let stream = self.credentials.connector().await.connect(server, stream).await;
            let stream = stream.map_err(|error| unreachable(format!("tls: {error}")))?;
            http1::handshake::<_, Pieces>(TokioIo::new(stream))
                .await
                .map_err(|error| broken(&error))
        };
        let limit = self.limits.connect_timeout;
        let (sender, connection) = timeout(self.clock.as_ref(), limit, open)
            .await
            .map_err(|_| unreachable(format!("no connection within {} ms", limit.as_millis())))??;
        // Its errors come out at the sender.
        let task = self.spawn.spawn("api-connection", connection.map(drop).boxed());
        Ok(Connection::new(sender, task))
    }

    async fn receive(
        &self,
        target: &Target,
        connection: Connection,
        request: &Request<Pieces>,
        response: Response<hyper::body::Incoming>,
        cap_bytes: usize,
    ) -> Result<Received, TransportError> {
        let (head, body) = response.into_parts();
        let cap_bytes = if head.status.is_success() { cap_bytes } else { REFUSAL_CAP_BYTES };
        let body = read_capped(body, cap_bytes).await.map_err(|error| match error {
            BodyError::TooLarge { .. } => TransportError::Protocol(error.to_string()),
            BodyError::Broken { reason } => TransportError::Unreachable(reason),
        })?;
        // A refusal may have come before the request's body was sent: then the connection is stuck.
        if head.status.is_success() || request.body().is_empty() {
            self.pool().put(target, connection, self.clock.monotonic());
        }
        Ok(Response::from_parts(head, body))
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The error with all that caused it.
pub(crate) fn broken(error: &hyper::Error) -> TransportError {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    TransportError::Unreachable(text)
}

#[cfg(test)]
mod tests;
