//! The other side of a gateway's port for applications: HTTPS without a client certificate, a
//! connection for each request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use floe_env::{Clock, Env, Net, Spawn, timeout};
use futures::FutureExt as _;
use http::{HeaderValue, Request, Response, header};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio_rustls::TlsConnector;

use crate::body::read_capped;
use crate::pieces::Pieces;
use crate::tls::{TlsError, application_connector};
use crate::transport::{Received, TransportError, broken};

/// Bytes of an answer: what is known of a blob, or a problem.
const ANSWER_CAP_BYTES: usize = 64 * 1024;

/// Sends requests to one gateway, as applications do.
#[derive(Clone)]
pub struct ApplicationClient {
    net: Arc<dyn Net>,
    clock: Arc<dyn Clock>,
    spawn: Arc<dyn Spawn>,
    tls: TlsConnector,
    address: String,
}

impl fmt::Debug for ApplicationClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApplicationClient").field("address", &self.address).finish_non_exhaustive()
    }
}

impl ApplicationClient {
    /// For the gateway at `address`, `host:port`, whose certificate is of the CA and names the host.
    pub fn new(env: &Env, ca_pem: &str, address: &str) -> Result<Self, TlsError> {
        Ok(Self {
            net: Arc::clone(&env.net),
            clock: Arc::clone(&env.clock),
            spawn: Arc::clone(&env.spawn),
            tls: application_connector(ca_pem, Arc::clone(&env.clock))?,
            address: address.to_owned(),
        })
    }

    /// Sends a request, whose URI is a path, and reads the answer of at most 64 KiB: all of it takes
    /// at most `within`.
    pub async fn call(
        &self,
        mut request: Request<Pieces>,
        within: Duration,
    ) -> Result<Received, TransportError> {
        let host = HeaderValue::from_str(&self.address)
            .map_err(|error| TransportError::Protocol(error.to_string()))?;
        request.headers_mut().insert(header::HOST, host);
        let exchange = self.exchange(request);
        let answer = timeout(self.clock.as_ref(), within, exchange).await;
        answer.unwrap_or(Err(TransportError::Timeout(within)))
    }

    async fn exchange(&self, request: Request<Pieces>) -> Result<Received, TransportError> {
        let unreachable = |reason: String| TransportError::Unreachable(reason);
        let host = self.address.rsplit_once(':').map_or(self.address.as_str(), |(host, _)| host);
        let server = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
        let server = server.map_err(|error| unreachable(error.to_string()))?;
        let stream = self.net.connect(&self.address).await;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        let stream = self.tls.connect(server, stream).await;
        let stream = stream.map_err(|error| unreachable(format!("tls: {error}")))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
        // Its errors come out at the sender; dropped, the task ends and closes the connection.
        let _task = self.spawn.spawn("application-connection", connection.map(drop).boxed());
        let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let body = read_capped(body, ANSWER_CAP_BYTES).await;
        let body = body.map_err(|error| TransportError::Protocol(error.to_string()))?;
        Ok(Response::from_parts(head, body))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use http_body_util::Full;

    use super::*;
    use crate::role::Role;
    use crate::server::{Limits, Security};
    use crate::tests::fixture::{Answer, Ca, Running, env, loopback, peer};
    use crate::tls::Credentials;

    const LONG: Duration = Duration::from_secs(20);

    async fn echo(request: Request<hyper::body::Incoming>) -> Answer {
        let host = request.headers()[header::HOST].clone();
        let body = read_capped(request.into_body(), ANSWER_CAP_BYTES).await.unwrap();
        let mut answer = Response::new(Full::new(body));
        answer.headers_mut().insert("x-host", host);
        Ok(answer)
    }

    #[tokio::test]
    async fn an_application_talks_to_the_host_that_the_ca_names() {
        let (env, ca) = (env(), Ca::new());
        let gateway = Ca::uri(&peer(Role::Gateway, "gateway").spiffe_uri());
        let identity = ca.with_names(&[gateway, Ca::dns("localhost")], 2090);
        let security = Security::Applications(Credentials::fixed(&env, &identity).unwrap());
        let server = Running::start(&env, loopback(), security, Limits::default(), echo).await;
        let port = server.address.port();
        let put =
            || Request::put("/v1/x").body(Pieces::from(Bytes::from_static(b"hello"))).unwrap();

        let address = format!("localhost:{port}");
        let client = ApplicationClient::new(&env, &identity.ca_pem, &address).unwrap();
        let answer = client.call(put(), LONG).await.unwrap();
        assert_eq!(
            (answer.body().as_ref(), answer.headers()["x-host"].as_bytes()),
            (&b"hello"[..], address.as_bytes())
        );

        let other = ApplicationClient::new(&env, &identity.ca_pem, &format!("127.0.0.1:{port}"));
        let refused = other.unwrap().call(put(), LONG).await.unwrap_err();
        assert!(matches!(refused, TransportError::Unreachable(_)), "another name: {refused}");
        let foreign = Ca::new().with_names(&[Ca::dns("localhost")], 2090).ca_pem;
        let foreign = ApplicationClient::new(&env, &foreign, &address).unwrap();
        let refused = foreign.call(put(), LONG).await.unwrap_err();
        assert!(matches!(refused, TransportError::Unreachable(_)), "another CA: {refused}");
    }
}
