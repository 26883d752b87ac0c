use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use floe_env::{BoxFuture, Env};
use floe_model::Incarnation;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;

use super::*;
use crate::client::{CallError, NodeClient};
use crate::error::{ApiError, ErrorCode};
use crate::messages::Chain;
use crate::role::Role;
use crate::route::authorize;
use crate::route::call::Call;
use crate::server::{Limits, Security};
use crate::tests::fixture::{Answer, COMMITTEE, Ca, Running, env, loopback, peer};
use crate::transport::TransportLimits;

/// Answers every call that it lets in with 404 and the caller's name.
async fn answer(request: Request<hyper::body::Incoming>) -> Answer {
    let peer = request.extensions().get::<Peer>();
    let call = Call::parse(request.method(), request.uri().path(), request.uri().query());
    let verdict = call.and_then(|call| authorize(call.spec(), peer, &COMMITTEE));
    let error = match verdict {
        Ok(()) => ApiError::not_found(format_args!("hello {}", peer.unwrap())),
        Err(error) => error,
    };
    Ok(error.to_response().map(Full::new))
}

async fn start(env: &Env, identity: &TlsIdentity) -> Running {
    let security = Security::Members(Credentials::fixed(env, identity).unwrap());
    Running::start(env, loopback(), security, Limits::default(), answer).await
}

/// A member's call to `node-1`.
async fn call(env: &Env, server: &Running, identity: &TlsIdentity) -> CallError {
    let client = NodeClient::new(env, identity, TransportLimits::default()).unwrap();
    client.push_epoch(&server.target("node-1"), &Chain::default()).await.unwrap_err()
}

fn code(error: &CallError) -> ErrorCode {
    error.refusal().unwrap_or_else(|| panic!("no refusal: {error}")).code
}

#[track_caller]
fn unreachable(error: &CallError, why: &str) {
    match error {
        CallError::Unreachable { reason, .. } if reason.contains(why) => {}
        error => panic!("{error:?}"),
    }
}

/// A call of whoever sees to it that the server's name is right.
async fn raw(
    env: &Env,
    address: SocketAddr,
    connector: TlsConnector,
) -> Result<Response<Bytes>, String> {
    let name = ServerName::try_from(peer(Role::Node, "node-1").dns_name()).unwrap();
    let stream = env.net.connect(&address.to_string()).await.unwrap();
    let stream = connector.connect(name, stream).await.map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    let exchange = async {
        let request = Request::get("/v1/identity").body(Full::<Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.map_err(|error| format!("{error:?}"))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::select! {
        biased;
        answer = exchange => answer,
        ended = connection => Err(format!("{ended:?}")),
    }
}

#[tokio::test]
async fn members_are_let_in_by_role() {
    let (env, ca) = (env(), Ca::new());
    let server = start(&env, &ca.identity(&peer(Role::Node, "node-1"))).await;
    for role in Role::ALL {
        let error = call(&env, &server, &ca.identity(&peer(role, "someone"))).await;
        let wanted =
            if role == Role::Repair { ErrorCode::ForbiddenRole } else { ErrorCode::NotFound };
        assert_eq!(code(&error), wanted, "{error}");
        assert!(error.to_string().contains(role.as_str()), "{error}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_without_a_certificate_is_not_let_in() {
    let (env, ca) = (env(), Ca::new());
    let identity = ca.identity(&peer(Role::Node, "node-1"));
    let server = start(&env, &identity).await;
    let config = client_builder(Arc::clone(&env.clock), roots(&identity.ca_pem).unwrap()).unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    let error = raw(&env, server.address, connector).await.unwrap_err();
    assert!(error.contains("CertificateRequired"), "{error}");
}

#[tokio::test]
async fn applications_are_let_in_without_a_certificate() {
    let (env, ca) = (env(), Ca::new());
    let identity = ca.identity(&peer(Role::Node, "node-1"));
    let security = Security::Applications(Credentials::fixed(&env, &identity).unwrap());
    let server = Running::start(&env, loopback(), security, Limits::default(), answer).await;
    let config = client_builder(Arc::clone(&env.clock), roots(&identity.ca_pem).unwrap()).unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_no_client_auth()));
    assert_eq!(raw(&env, server.address, connector).await.unwrap().status(), 401);
    // A certificate that nobody asked for and nobody checked makes no peer.
    let shown = identity.connector(Arc::clone(&env.clock)).unwrap();
    assert_eq!(raw(&env, server.address, shown).await.unwrap().status(), 401);
}

#[tokio::test]
async fn another_ca_is_refused_at_either_end() {
    let (env, ca, other) = (env(), Ca::new(), Ca::new());
    let identity = ca.identity(&peer(Role::Node, "node-1"));
    let server = start(&env, &identity).await;
    let stranger = other.identity(&peer(Role::Gateway, "gateway"));
    unreachable(&call(&env, &server, &stranger).await, "invalid peer certificate");
    let fooled = TlsIdentity { ca_pem: identity.ca_pem.clone(), ..stranger };
    let error = call(&env, &server, &fooled).await;
    assert!(error.refusal().is_none(), "{error}");
    let connector = fooled.connector(Arc::clone(&env.clock)).unwrap();
    let error = raw(&env, server.address, connector).await.unwrap_err();
    assert!(error.contains("AlertReceived"), "{error}");
}

#[tokio::test]
async fn another_committee_of_the_same_ca_is_refused_at_either_end() {
    let (env, ca) = (env(), Ca::new());
    let server = start(&env, &ca.identity(&peer(Role::Node, "node-1"))).await;
    let foreign =
        Peer { committee: floe_model::CommitteeId([0x22; 16]), ..peer(Role::Gateway, "gateway") };
    let identity = ca.identity(&foreign);
    unreachable(&call(&env, &server, &identity).await, "not valid for name");
    let connector = identity.connector(Arc::clone(&env.clock)).unwrap();
    let response = raw(&env, server.address, connector).await.unwrap();
    let error: ApiError = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert!(error.detail.contains("committee"), "{error}");
}

#[tokio::test]
async fn a_server_of_another_name_role_or_incarnation_is_refused() {
    let (env, ca) = (env(), Ca::new());
    let gateway = ca.identity(&peer(Role::Gateway, "gateway"));
    for wrong in [
        peer(Role::Node, "node-2"),
        peer(Role::Gateway, "node-1"),
        Peer { incarnation: Incarnation(1), ..peer(Role::Node, "node-1") },
    ] {
        let server = start(&env, &ca.identity(&wrong)).await;
        unreachable(&call(&env, &server, &gateway).await, "not valid for name");
    }
}

#[tokio::test]
async fn certificates_expire_in_the_environments_time() {
    let (mut env, ca) = (env(), Ca::new());
    let named = |role, name, until| {
        let peer = peer(role, name);
        ca.with_names(&[Ca::uri(&peer.spiffe_uri()), Ca::dns(&peer.dns_name())], until)
    };
    let (node, gateway) = (named(Role::Node, "node-1", 2090), named(Role::Gateway, "g", 2090));
    let (old_node, old_gateway) =
        (named(Role::Node, "node-1", 2001), named(Role::Gateway, "g", 2001));
    let server = start(&env, &node).await;
    assert_eq!(code(&call(&env, &server, &gateway).await), ErrorCode::NotFound);
    let connector = old_gateway.connector(Arc::clone(&env.clock)).unwrap();
    let error = raw(&env, server.address, connector).await.unwrap_err();
    assert!(error.contains("CertificateExpired"), "{error}");
    let old_server = start(&env, &old_node).await;
    unreachable(&call(&env, &old_server, &gateway).await, "expired");

    env.clock = Arc::new(Year2000(Arc::clone(&env.clock)));
    let old_server = start(&env, &old_node).await;
    assert_eq!(code(&call(&env, &old_server, &old_gateway).await), ErrorCode::NotFound);
}

/// The real clock, in which it is the year 2000.
struct Year2000(Arc<dyn Clock>);

impl Clock for Year2000 {
    fn unix_millis(&self) -> u64 {
        950_000_000_000
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

#[tokio::test]
async fn certificates_without_one_good_uri_are_not_let_in() {
    let (env, ca) = (env(), Ca::new());
    let server = start(&env, &ca.identity(&peer(Role::Node, "node-1"))).await;
    let good = Ca::uri(&peer(Role::Node, "a").spiffe_uri());
    for names in [
        vec![],
        vec![Ca::dns("a.example")],
        vec![Ca::uri("spiffe://floe/x")],
        vec![good.clone(), Ca::uri("https://a.example/")],
    ] {
        let identity = ca.with_names(&names, 2090);
        assert!(matches!(identity.own(), Err(TlsError::NoPeer(_))), "{names:?}");
        let connector = identity.connector(Arc::clone(&env.clock)).unwrap();
        raw(&env, server.address, connector).await.unwrap_err();
    }
    let identity = ca.with_names(&[good], 2090);
    assert_eq!(identity.own(), Ok(peer(Role::Node, "a")));
}

#[test]
fn files_that_hold_something_else_are_named() {
    let ca = Ca::new();
    let good = ca.identity(&peer(Role::Node, "a"));
    let other = ca.identity(&peer(Role::Node, "b"));
    let clock = env().clock;
    let reason = |identity: TlsIdentity| {
        let error = identity.acceptor(Arc::clone(&clock)).err().unwrap();
        assert_eq!(identity.connector(Arc::clone(&clock)).err(), Some(error.clone()));
        error.to_string()
    };
    let no_ca = TlsIdentity { ca_pem: String::new(), ..good.clone() };
    assert!(reason(no_ca).starts_with("CA:"));
    let no_key = TlsIdentity { key_pem: "x".to_owned(), ..good.clone() };
    assert!(reason(no_key).starts_with("key:"));
    let swapped = TlsIdentity { key_pem: other.key_pem, ..good.clone() };
    assert!(reason(swapped).contains("certificate with this key"));
    assert!(!format!("{good:?}").contains(&good.key_pem));
}
