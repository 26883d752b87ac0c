use std::io;
use std::net::SocketAddr;

use floe_env::{BoxFuture, BoxStream, Listener};
use http::StatusCode;
use http_body_util::Full;

use super::*;
use crate::client::{CallError, NodeClient};
use crate::error::ErrorCode;
use crate::messages::{
    Chain, EPOCH_HEADER, Encode, EpochHint, Extent, Received as Content, Sliver,
};
use crate::report::{IdentityReport, Serving, ServingState};
use crate::role::Role;
use crate::route::LARGEST_BODY_BYTES;
use crate::server::{Limits, Security};
use crate::tests::fixture::{Answer, COMMITTEE, Ca, MemoryNet, Running, env, loopback, peer};
use floe_model::keys::{NodePublicKey, NodeSignature};
use floe_model::{
    Axis, BlobId, EpochNumber, ExtentIndex, PairIndex, RecordHash, UploadId, VolumeId,
};

struct Committee {
    env: Env,
    node: TlsIdentity,
    gateway: TlsIdentity,
}

impl Committee {
    fn new() -> Self {
        let ca = Ca::new();
        Self {
            env: env(),
            node: ca.identity(&peer(Role::Node, "node-1")),
            gateway: ca.identity(&peer(Role::Gateway, "gateway")),
        }
    }

    async fn start<F>(
        &self,
        address: SocketAddr,
        answer: impl Fn(Request<hyper::body::Incoming>) -> F + Clone + Send + Unpin + 'static,
    ) -> Running
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let security = Security::Members(Credentials::fixed(&self.env, &self.node).unwrap());
        Running::start(&self.env, address, security, Limits::default(), answer).await
    }

    fn transport(&self, limits: TransportLimits) -> Transport {
        Transport::new(&self.env, &self.gateway, limits).unwrap()
    }

    fn client(&self) -> NodeClient {
        NodeClient::new(&self.env, &self.gateway, TransportLimits::default()).unwrap()
    }
}

fn get() -> Request<Bytes> {
    Request::get("/v1/identity").body(Bytes::new()).unwrap()
}

const LONG: Duration = Duration::from_secs(20);

async fn echo(request: Request<hyper::body::Incoming>) -> Answer {
    let body = read_capped(request.into_body(), LARGEST_BODY_BYTES).await.unwrap();
    Ok(Response::new(Full::new(body)))
}

#[tokio::test]
async fn one_connection_serves_calls_one_after_the_other() {
    let committee = Committee::new();
    let server = committee.start(loopback(), echo).await;
    let transport = committee.transport(TransportLimits::default());
    let target = server.target("node-1");
    for length in [0, 1, 5_000_000, LARGEST_BODY_BYTES] {
        let body = Bytes::from(vec![7; length]);
        let request = Request::put("/").body(body.clone()).unwrap();
        let answer = transport.call(&target, request, LARGEST_BODY_BYTES, LONG).await.unwrap();
        assert!(*answer.body() == body, "{length}");
    }
    assert_eq!(server.accepted(), 1);
    let at_once = (0..3).map(|_| transport.call(&target, get(), 10, LONG));
    for answer in futures::future::join_all(at_once).await {
        answer.unwrap();
    }
    assert_eq!(server.accepted(), 3, "one was there, two were needed beside it");
}

#[tokio::test]
async fn kept_connections_are_bounded_and_age() {
    let committee = Committee::new();
    let server = committee.start(loopback(), echo).await;
    let target = server.target("node-1");
    for limits in [
        TransportLimits { most_idle_per_target: 0, ..TransportLimits::default() },
        TransportLimits { most_idle: 0, ..TransportLimits::default() },
        TransportLimits { idle_timeout: Duration::ZERO, ..TransportLimits::default() },
    ] {
        let transport = committee.transport(limits);
        let before = server.accepted();
        for _ in 0..3 {
            transport.call(&target, get(), 10, LONG).await.unwrap();
        }
        assert_eq!(server.accepted() - before, 3, "{limits:?}");
    }
    let two = TransportLimits { most_idle_per_target: 2, ..TransportLimits::default() };
    let transport = committee.transport(two);
    for fresh in [4, 2] {
        let before = server.accepted();
        let at_once = (0..4).map(|_| transport.call(&target, get(), 10, LONG));
        for answer in futures::future::join_all(at_once).await {
            answer.unwrap();
        }
        assert_eq!(server.accepted() - before, fresh);
    }
}

#[tokio::test]
async fn a_restarted_server_is_found_again() {
    let committee = Committee::new();
    let transport = committee.transport(TransportLimits::default());
    let mut address = loopback();
    for _ in 0..5 {
        let server = committee.start(address, echo).await;
        address = server.address;
        let target = server.target("node-1");
        transport.call(&target, get(), 10, LONG).await.unwrap();
        server.stop().await;
    }
}

#[tokio::test]
async fn what_takes_too_long_is_a_timeout() {
    let committee = Committee::new();
    let never = |_| std::future::pending::<Answer>();
    let server = committee.start(loopback(), never).await;
    let transport = committee.transport(TransportLimits::default());
    let within = Duration::from_millis(100);
    let error = transport.call(&server.target("node-1"), get(), 10, within).await.unwrap_err();
    assert_eq!(error, TransportError::Timeout(within));
}

#[tokio::test]
async fn nodes_that_are_not_there_are_unreachable() {
    let mut committee = Committee::new();
    let server = committee.start(loopback(), echo).await;
    let target = server.target("node-1");
    server.stop().await;
    let transport = committee.transport(TransportLimits::default());
    let error = transport.call(&target, get(), 10, LONG).await.unwrap_err();
    assert!(matches!(&error, TransportError::Unreachable(why) if why.contains(&target.address)));
    committee.env.net = Arc::new(BlackHole);
    let connect_timeout = Duration::from_millis(50);
    let limits = TransportLimits { connect_timeout, ..TransportLimits::default() };
    let error = committee.transport(limits).call(&target, get(), 10, LONG).await.unwrap_err();
    let wanted = "no connection within 50 ms".to_owned();
    assert_eq!(error, TransportError::Unreachable(wanted));
}

struct BlackHole;

impl Net for BlackHole {
    fn connect<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<BoxStream>> {
        std::future::pending().boxed()
    }

    fn listen(&self, _: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        std::future::pending().boxed()
    }
}

#[tokio::test]
async fn an_answer_above_its_cap_is_not_read() {
    let committee = Committee::new();
    let server = committee.start(loopback(), echo).await;
    let transport = committee.transport(TransportLimits::default());
    let request = Request::put("/").body(Bytes::from(vec![0; 1000])).unwrap();
    let target = server.target("node-1");
    let error = transport.call(&target, request.clone(), 999, LONG).await.unwrap_err();
    assert!(matches!(&error, TransportError::Protocol(why) if why.contains("999")), "{error}");
    transport.call(&target, request, 1000, LONG).await.unwrap();
}

fn identity() -> IdentityReport {
    IdentityReport {
        committee: COMMITTEE,
        node: "node-1".parse().unwrap(),
        incarnation: Incarnation(0),
        volume: VolumeId([1; 16]),
        key: NodePublicKey([2; 48]),
        possession: NodeSignature([3; 96]),
        genesis: Some(RecordHash([4; 32])),
        serving: Serving { state: ServingState::Serving, reason: String::new() },
    }
}

#[tokio::test]
async fn answers_carry_the_epoch() {
    let committee = Committee::new();
    let hint = EpochHint { number: EpochNumber(3), hash: RecordHash([4; 32]) };
    let answer = move |_| async move {
        let mut response = identity().to_response(StatusCode::OK);
        let value = hint.to_string().parse().unwrap();
        response.headers_mut().insert(EPOCH_HEADER, value);
        Answer::Ok(response.map(Full::new))
    };
    let server = committee.start(loopback(), answer).await;
    let answer = committee.client().identity(&server.target("node-1")).await.unwrap();
    assert_eq!((answer.value, answer.epoch), (identity(), Some(hint)));
}

/// Always the same status and body.
async fn fixed(committee: &Committee, status: u16, body: Bytes) -> Running {
    let answer = move |_| {
        let body = Full::new(body.clone());
        async move { Answer::Ok(Response::builder().status(status).body(body).unwrap()) }
    };
    committee.start(loopback(), answer).await
}

#[tokio::test]
async fn answers_that_the_route_does_not_carry_are_errors() {
    let committee = Committee::new();
    let client = committee.client();
    for (status, body) in [(200, "[]"), (200, ""), (500, "oops"), (404, ""), (302, "")] {
        let server = fixed(&committee, status, Bytes::from(body)).await;
        let error = client.identity(&server.target("node-1")).await.unwrap_err();
        assert!(matches!(error, CallError::Protocol { route: "identity", .. }), "{error:?}");
    }
    let (blob, extent) = (BlobId([1; 32]), ExtentIndex(0));
    let sliver = Sliver { axis: Axis::Primary, pair: PairIndex(1), bytes: b"x" };
    let server = fixed(&committee, 200, sliver.encode()).await;
    let target = server.target("node-1");
    let ask = async |axis, pair| {
        client.sliver(&target, (blob, extent), (axis, PairIndex(pair)), None).await
    };
    let good = ask(Axis::Primary, 1).await.unwrap().value;
    assert_eq!(good.bytes, Content::new(b"x".to_vec()));
    for (axis, pair) in [(Axis::Secondary, 1), (Axis::Primary, 2)] {
        let error = ask(axis, pair).await.unwrap_err();
        assert!(matches!(error, CallError::Protocol { route: "sliver", .. }), "{error:?}");
    }
}

#[tokio::test]
async fn refusals_and_bodies_above_the_cap_come_back_as_such() {
    let committee = Committee::new();
    let client = committee.client();
    let refusal = crate::ApiError::need_epoch(EpochNumber(7));
    let body = refusal.to_response().into_body();
    let server = fixed(&committee, 409, body).await;
    let target = server.target("node-1");
    let error = client.push_epoch(&target, &Chain::default()).await.unwrap_err();
    assert_eq!(error, CallError::Api(refusal));
    let before = server.accepted();
    let extent =
        Extent { length_bytes: 1, metadata: vec![0; LARGEST_BODY_BYTES], slivers: Vec::new() };
    let put = client.put_extent(&target, UploadId([1; 16]), ExtentIndex(0), &extent);
    let code = put.await.unwrap_err().refusal().map(|error| error.code);
    assert_eq!((code, server.accepted()), (Some(ErrorCode::BodyTooLarge), before));
}

#[tokio::test(start_paused = true)]
async fn all_waiting_is_by_the_environments_clock() {
    let mut committee = Committee::new();
    committee.env.net = Arc::new(MemoryNet::default());
    let clock = Arc::clone(&committee.env.clock);
    let answer = |request: Request<hyper::body::Incoming>| async move {
        if request.uri().path() == "/v1/report" {
            std::future::pending::<()>().await;
        }
        Answer::Ok(identity().to_response(StatusCode::OK).map(Full::new))
    };
    let server = committee.start(loopback(), answer).await;
    let (client, target) = (committee.client(), server.target("node-1"));
    let started = clock.monotonic();
    let waited = || clock.monotonic().saturating_sub(started).as_millis();
    for _ in 0..3 {
        client.identity(&target).await.unwrap();
    }
    assert_eq!((server.accepted(), waited()), (1, 0));
    let error = client.report(&target).await.unwrap_err();
    let wanted = CallError::Timeout { target: target.to_string(), millis: 10_000 };
    assert_eq!((error, waited()), (wanted, 10_000));
    client.identity(&target).await.unwrap();
    assert_eq!((server.accepted(), waited()), (2, 10_000));
    clock.sleep(Duration::from_hours(1)).await;
    client.identity(&target).await.unwrap();
    assert_eq!((server.accepted(), waited()), (3, 3_610_000));
    // A connection that says nothing is closed after the handshake's time.
    let mut silent = committee.env.net.connect(&target.address).await.unwrap();
    let mut byte = [0];
    let read = tokio::io::AsyncReadExt::read(&mut silent, &mut byte).await.unwrap();
    assert_eq!((read, waited()), (0, 3_615_000));
}

#[test]
fn a_client_drops_connections_before_servers_do() {
    let servers = Limits::default().header_timeout;
    assert!(TransportLimits::default().idle_timeout < servers);
}
