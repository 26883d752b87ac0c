//! Who may connect, which routes a role may use, how large a body may be.

use bytes::Bytes;
use floe_api::{ErrorCode, Peer, ROUTES, Role, TlsIdentity};
use floe_model::Incarnation;
use floe_steward::Trust;
use floe_tests::local::Committee;
use floe_tests::local::raw::{self, Connection};
use http::Method;

use crate::scene::Scene;

#[tokio::test(flavor = "multi_thread")]
async fn roles() {
    let scene = Scene::start("roles").await;
    let committee = &scene.committee;
    let (env, target) = (committee.env(), committee.target(0));
    let before = committee.holding(0).await;
    let mut tried = 0;
    for role in Role::ALL {
        let name = if role == Role::Node { "node-1" } else { "caller" };
        let identity = committee.identity(role, name, Incarnation(0));
        for spec in ROUTES.iter().filter(|spec| !spec.roles.contains(&role)) {
            let at = (&spec.method, raw::path(spec));
            let refusal =
                raw::refusal(env, (&identity, &target), (at.0, &at.1), Bytes::new()).await;
            assert_eq!(refusal.code, ErrorCode::ForbiddenRole, "{role} {}: {refusal}", spec.name);
            let says = format!("may not use route {}", spec.name);
            assert!(refusal.detail.contains(&says), "{refusal}");
            tried += 1;
        }
    }
    assert!(tried > 20, "{tried}");
    // A node of the committee, but not with the volume that the record names.
    let replaced = committee.identity(Role::Node, "node-1", Incarnation(1));
    let stranger = committee.identity(Role::Node, "node-9", Incarnation(0));
    for identity in [replaced, stranger] {
        let at = (&Method::GET, "/v1/report");
        let refusal = raw::refusal(env, (&identity, &target), at, Bytes::new()).await;
        assert_eq!(refusal.code, ErrorCode::ForbiddenRole);
        assert!(refusal.detail.contains("is not a member"), "{refusal}");
    }
    // Paths and methods that are no route.
    let gateway = committee.identity(Role::Gateway, "caller", Incarnation(0));
    for (method, path, code) in [
        (Method::GET, "/v1/nothing", ErrorCode::NotFound),
        (Method::DELETE, "/v1/report", ErrorCode::MethodNotAllowed),
        (Method::PUT, "/v1/uploads/no-upload", ErrorCode::Malformed),
        (Method::GET, "/v1/blobs/short/manifest", ErrorCode::Malformed),
        (
            Method::PUT,
            "/v1/uploads/00000000-0000-0000-0000-000000000001/extents/4294967296",
            ErrorCode::Malformed,
        ),
    ] {
        let ends = (&gateway, &target);
        let refusal = raw::refusal(env, ends, (&method, path), Bytes::new()).await;
        assert_eq!(refusal.code, code, "{method} {path}: {refusal}");
    }
    assert_eq!(committee.holding(0).await, before);
}

/// A connection to node 0 that shows this certificate.
fn connect(committee: &Committee, own: Option<&TlsIdentity>) -> Connection {
    let peer = Peer::node(committee.record().committee, committee.node(0), Incarnation(0));
    Connection::open(committee.address(0), &peer, committee.trust().ca_pem(), own)
}

/// What comes for a plain request; an error if TLS fails.
fn report_over(mut connection: Connection) -> std::io::Result<String> {
    connection.send(b"GET /v1/report HTTP/1.1\r\nhost: node\r\n\r\n")?;
    connection.receive()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers() {
    let scene = Scene::start("strangers").await;
    let committee = &scene.committee;
    let (env, scratch) = (committee.env(), committee.scratch());
    let own = committee.identity(Role::Gateway, "caller", Incarnation(0));
    assert!(report_over(connect(committee, Some(&own))).unwrap().starts_with("HTTP/1.1 200"));

    let error = report_over(connect(committee, None)).unwrap_err();
    assert!(error.to_string().contains("CertificateRequired"), "{error}");
    // Another committee's CA.
    let (disk, clock) = (env.disk.as_ref(), env.clock.as_ref());
    let elsewhere = scratch.join("elsewhere");
    let other = Trust::create(disk, clock, env.random.as_ref(), &elsewhere).unwrap();
    let foreign = other.leaf(clock, Role::Gateway, "caller", Incarnation(0), &[]).unwrap();
    let error = report_over(connect(committee, Some(&foreign))).unwrap_err();
    assert!(
        error.to_string().contains("UnknownCA") || error.to_string().contains("alert"),
        "{error}"
    );
    // The same CA with the certificate of another committee.
    for file in ["ca-key.pem", "ca.pem", "operator-key", "gateway-key"] {
        let of = scratch.parent().unwrap().join("trust").join(file);
        std::fs::copy(of, elsewhere.join(file)).unwrap();
    }
    let shared = Trust::open(disk, &elsewhere).unwrap();
    assert!(shared.committee() != committee.record().committee);
    let foreign = shared.leaf(clock, Role::Gateway, "caller", Incarnation(0), &[]).unwrap();
    let answer = report_over(connect(committee, Some(&foreign))).unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("unauthenticated") && answer.contains("check the address"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_above_their_cap() {
    let scene = Scene::start("caps").await;
    let committee = &scene.committee;
    let before = committee.holding(0).await;
    let own = committee.identity(Role::Gateway, "caller", Incarnation(0));
    let mut tried = 0;
    for spec in ROUTES.iter().filter(|spec| spec.roles.contains(&Role::Gateway)) {
        let (head, cap) = (
            format!("{} {} HTTP/1.1\r\nhost: node\r\n", spec.method, raw::path(spec)),
            spec.request_cap_bytes,
        );
        // Announced: not a byte of it is read.
        let mut connection = connect(committee, Some(&own));
        let announced = format!("{head}content-length: {}\r\n\r\n", cap + 1);
        connection.send(announced.as_bytes()).unwrap();
        let answer = connection.receive().unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{}: {answer}", spec.name);
        assert!(answer.contains("body-too-large") && answer.contains(&format!("{cap} bytes")));
        tried += 1;
        // Not announced: it ends with the first byte too many, before the body does.
        if cap > 1 << 20 {
            continue;
        }
        let mut connection = connect(committee, Some(&own));
        connection.send(format!("{head}transfer-encoding: chunked\r\n\r\n").as_bytes()).unwrap();
        let chunk = vec![b'x'; cap + 1];
        connection.send(format!("{:x}\r\n", chunk.len()).as_bytes()).unwrap();
        connection.send(&chunk).unwrap();
        let answer = connection.receive().unwrap();
        assert!(answer.starts_with("HTTP/1.1 413"), "{}: {answer}", spec.name);
    }
    assert!(tried > 10, "{tried}");
    assert_eq!(committee.holding(0).await, before);
}
