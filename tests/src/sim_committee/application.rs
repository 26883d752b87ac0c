//! What an application does: HTTP to a gateway.

use std::time::Duration;

use bytes::Bytes;
use floe_api::{Peer, Role};
use floe_env::{Env, timeout};
use floe_model::Incarnation;
use futures::FutureExt;
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;

use super::World;
use super::world::{APPLICATION_PORT, SCRIPT, TOKEN};

/// How long an application waits for a whole answer.
const PATIENCE: Duration = Duration::from_secs(90);
/// The namespace that all requests are about.
const NAMESPACE: &str = "team";

/// A whole answer of a gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The status.
    pub status: StatusCode,
    /// The body.
    pub body: Bytes,
}

/// An application that talks to one gateway. Each request has a connection of its own; an error
/// says that there was no whole answer.
pub struct Application<'a> {
    world: &'a World,
    env: &'a Env,
    gateway: String,
}

impl<'a> Application<'a> {
    /// Talks to the gateway on this host.
    pub fn new(world: &'a World, env: &'a Env, gateway: &str) -> Self {
        Self { world, env, gateway: gateway.to_owned() }
    }

    /// The gateway's host.
    pub fn gateway(&self) -> &str {
        &self.gateway
    }

    /// Writes a blob.
    pub async fn put(&self, name: &str, content: Bytes) -> Result<Reply, String> {
        self.ask(Method::PUT, name, None, content).await
    }

    /// Reads a blob, or a part of it {first byte, last byte}.
    pub async fn get(&self, name: &str, range: Option<(u64, u64)>) -> Result<Reply, String> {
        let range = range.map(|(first, last)| format!("bytes={first}-{last}"));
        self.ask(Method::GET, name, range, Bytes::new()).await
    }

    /// Reads a blob, all of it encoded again.
    pub async fn get_strictly(&self, name: &str) -> Result<Reply, String> {
        self.ask(Method::GET, &format!("{name}?check=strict"), None, Bytes::new()).await
    }

    /// Deletes a blob.
    pub async fn delete(&self, name: &str) -> Result<Reply, String> {
        self.ask(Method::DELETE, name, None, Bytes::new()).await
    }

    /// Brings back what was deleted.
    pub async fn undelete(&self, name: &str) -> Result<Reply, String> {
        self.ask(Method::POST, &format!("{name}/undelete"), None, Bytes::new()).await
    }

    /// Ends a write that was never certified.
    pub async fn delete_unfinished(&self, name: &str) -> Result<Reply, String> {
        self.ask(Method::DELETE, &format!("{name}?unfinished=true"), None, Bytes::new()).await
    }

    async fn ask(
        &self,
        method: Method,
        name: &str,
        range: Option<String>,
        body: Bytes,
    ) -> Result<Reply, String> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/v1/namespaces/{NAMESPACE}/blobs/{name}"))
            .header(header::HOST, &self.gateway)
            .header(header::AUTHORIZATION, format!("Bearer {TOKEN}"))
            // A gateway believes its last answer for 10 s, whatever another one deleted since.
            .header(header::CACHE_CONTROL, "no-cache");
        if let Some(range) = range {
            request = request.header(header::RANGE, range);
        }
        let exchange = self.exchange(request.body(Full::new(body)).unwrap());
        match timeout(&*self.env.clock, PATIENCE, exchange).await {
            Ok(reply) => reply,
            Err(late) => Err(late.to_string()),
        }
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Reply, String> {
        let address = format!("{}:{APPLICATION_PORT}", self.gateway);
        let stream = self.env.net.connect(&address).await.map_err(|error| error.to_string())?;
        let peer = Peer {
            committee: self.world.committee(),
            role: Role::Gateway,
            name: self.gateway.clone(),
            incarnation: Incarnation(0),
        };
        let connector = self.world.identity(SCRIPT).connector(self.env.clock.clone()).unwrap();
        let name = ServerName::try_from(peer.dns_name()).unwrap();
        let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let driver = async move { drop(connection.await) };
        let _driver = self.env.spawn.spawn("application-connection", driver.boxed());
        let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = response.status();
        let body = response.into_body().collect().await.map_err(|error| error.to_string())?;
        Ok(Reply { status, body: body.to_bytes() })
    }
}
