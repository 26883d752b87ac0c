use std::pin::Pin;
use std::task::{Context, Poll};

use floe_env::Task;
use http::StatusCode;
use http_body::Frame;
use http_body_util::Full;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{Notify, oneshot};

use super::*;
use crate::body::read_capped;
use crate::error::ApiError;
use crate::tests::fixture::{Answer, Running, env, loopback};

/// Nothing here waits this long unless something is broken.
const HANGS: Duration = Duration::from_secs(20);

const CAP_BYTES: usize = 1000;

async fn capped(request: Request<Incoming>) -> Answer {
    Ok(match read_capped(request.into_body(), CAP_BYTES).await {
        Ok(body) => Response::new(Full::new(body)),
        Err(error) => ApiError::from(error).to_response().map(Full::new),
    })
}

async fn plain(env: &Env, limits: Limits) -> Running {
    Running::start(env, loopback(), Security::Plain, limits, capped).await
}

async fn dial(env: &Env, server: &Running) -> (ReadHalf<BoxStream>, WriteHalf<BoxStream>) {
    let stream = env.net.connect(&server.address.to_string()).await.unwrap();
    tokio::io::split(stream)
}

/// Reads until the other end closes; an error is an end too.
async fn read_all(env: &Env, reader: &mut ReadHalf<BoxStream>) -> String {
    let mut read = Vec::new();
    let all = timeout(env.clock.as_ref(), HANGS, reader.read_to_end(&mut read));
    let _ = all.await.expect("the connection stays open");
    String::from_utf8_lossy(&read).into_owned()
}

/// Reads an answer up to the end of its head.
async fn read_head(env: &Env, reader: &mut ReadHalf<BoxStream>) -> String {
    let mut read = Vec::new();
    let head = async {
        while !read.ends_with(b"\r\n\r\n") {
            read.push(reader.read_u8().await?);
        }
        std::io::Result::Ok(())
    };
    let _ = timeout(env.clock.as_ref(), HANGS, head).await.expect("no answer comes");
    String::from_utf8(read).unwrap()
}

#[tokio::test]
async fn a_head_that_does_not_end_ends_the_connection() {
    let env = env();
    let header_timeout = Duration::from_millis(50);
    let server = plain(&env, Limits { header_timeout, ..Limits::default() }).await;
    for start in ["", "GET / HTTP/1.1\r\nhost: a\r\nx-slow: "] {
        let (mut reader, mut writer) = dial(&env, &server).await;
        writer.write_all(start.as_bytes()).await.unwrap();
        assert!(!read_all(&env, &mut reader).await.contains("200"), "{start:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_head_that_is_too_long_is_refused() {
    let env = env();
    let server = plain(&env, Limits { buffer_bytes: 8192, ..Limits::default() }).await;
    let (mut reader, mut writer) = dial(&env, &server).await;
    let head = format!("GET / HTTP/1.1\r\nhost: a\r\nx-long: {}\r\n\r\n", "a".repeat(64 * 1024));
    let _ = writer.write_all(head.as_bytes()).await;
    let answer = read_all(&env, &mut reader).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn a_body_above_its_cap_is_refused_unread() {
    let env = env();
    let server = plain(&env, Limits::default()).await;
    // Announced: the answer comes before any of it is sent.
    let (mut reader, mut writer) = dial(&env, &server).await;
    let head = "PUT / HTTP/1.1\r\nhost: a\r\ncontent-length: 1099511627776\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let answer = read_head(&env, &mut reader).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // Not announced, without end: the answer comes, then nobody takes any more.
    let (mut reader, mut writer) = dial(&env, &server).await;
    let head = "PUT / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    writer.write_all(head.as_bytes()).await.unwrap();
    let endless = async {
        let chunk = format!("200\r\n{}\r\n", "a".repeat(0x200));
        while writer.write_all(chunk.as_bytes()).await.is_ok() {}
    };
    let both = async { tokio::join!(read_head(&env, &mut reader), endless) };
    let (answer, ()) = timeout(env.clock.as_ref(), HANGS, both).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    // At the cap: it is taken.
    let (mut reader, mut writer) = dial(&env, &server).await;
    let body = "a".repeat(CAP_BYTES);
    let head = format!(
        "PUT / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {CAP_BYTES}\r\n\r\n{body}"
    );
    writer.write_all(head.as_bytes()).await.unwrap();
    assert!(read_all(&env, &mut reader).await.ends_with(&body));
}

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_until_one_ends() {
    let env = env();
    let server = plain(&env, Limits { most_connections: 1, ..Limits::default() }).await;
    let (mut reader, mut writer) = dial(&env, &server).await;
    writer.write_all(REQUEST).await.unwrap();
    assert!(read_head(&env, &mut reader).await.contains("200"));
    let (mut refused, _writer) = dial(&env, &server).await;
    assert_eq!(read_all(&env, &mut refused).await, "");
    writer.write_all(REQUEST).await.unwrap();
    assert!(read_head(&env, &mut reader).await.contains("200"), "the first one goes on");
    drop((reader, writer));
    let again = async {
        loop {
            let (mut reader, mut writer) = dial(&env, &server).await;
            let _ = writer.write_all(REQUEST).await;
            if read_head(&env, &mut reader).await.contains("200") {
                break;
            }
        }
    };
    timeout(env.clock.as_ref(), HANGS, again).await.unwrap();
}

#[tokio::test]
async fn a_handshake_that_does_not_end_ends_the_connection() {
    let (env, ca) = (env(), crate::tests::fixture::Ca::new());
    let identity = ca.identity(&crate::tests::fixture::peer(crate::role::Role::Node, "a"));
    let security = Security::Members(Credentials::fixed(&env, &identity).unwrap());
    let limits = Limits { handshake_timeout: Duration::from_millis(50), ..Limits::default() };
    let server = Running::start(&env, loopback(), security, limits, capped).await;
    let (mut reader, _writer) = dial(&env, &server).await;
    assert_eq!(read_all(&env, &mut reader).await, "");
}

#[tokio::test]
async fn silent_connections_take_no_place_from_requests() {
    let (env, ca) = (env(), crate::tests::fixture::Ca::new());
    let identity = ca.identity(&crate::tests::fixture::peer(crate::role::Role::Node, "a"));
    let security = Security::Members(Credentials::fixed(&env, &identity).unwrap());
    let handshake_timeout = Duration::from_hours(1);
    let limits =
        Limits { most_connections: 1, most_handshakes: 3, handshake_timeout, ..Limits::default() };
    let server = Running::start(&env, loopback(), security, limits, capped).await;
    let silent = [dial(&env, &server).await, dial(&env, &server).await];
    let transport = crate::transport::Transport::new(
        &env,
        &ca.identity(&crate::tests::fixture::peer(crate::role::Role::Gateway, "b")),
        crate::transport::TransportLimits::default(),
    );
    let (transport, target) = (transport.unwrap(), server.target("a"));
    let call = || {
        let request = Request::get("/").body(Bytes::new()).unwrap();
        transport.call(&target, request, 1024, HANGS)
    };
    assert!(call().await.unwrap().status().is_success(), "two are silent, one place is free");
    // A third silent one, and no handshake is left: another connection waits until one ends.
    let third = dial(&env, &server).await;
    assert!(call().await.unwrap().status().is_success(), "the one that is known goes on");
    drop(transport);
    let newcomer = crate::transport::Transport::new(
        &env,
        &ca.identity(&crate::tests::fixture::peer(crate::role::Role::Gateway, "c")),
        crate::transport::TransportLimits::default(),
    );
    let newcomer = newcomer.unwrap();
    let request = Request::get("/").body(Bytes::new()).unwrap();
    let waiting = newcomer.call(&target, request, 1024, HANGS);
    let ended = async { drop((silent, third)) };
    let (answer, ()) = futures::join!(waiting, ended);
    assert!(answer.unwrap().status().is_success());
}

/// A server whose answers wait, and the means to see them begin and to let them end.
async fn waiting(env: &Env, limits: Limits) -> (Running, Arc<Notify>, Arc<Notify>) {
    let (begun, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let hold = (Arc::clone(&begun), Arc::clone(&release));
    let answer = move |_| {
        let (begun, release) = hold.clone();
        async move {
            begun.notify_one();
            release.notified().await;
            Answer::Ok(Response::new(Full::default()))
        }
    };
    (Running::start(env, loopback(), Security::Plain, limits, answer).await, begun, release)
}

#[tokio::test]
async fn a_shutdown_lets_requests_end_and_closes_the_rest() {
    let env = env();
    let (server, begun, release) = waiting(&env, Limits::default()).await;
    let (mut idle, _writer) = dial(&env, &server).await;
    let (mut reader, mut writer) = dial(&env, &server).await;
    writer.write_all(REQUEST).await.unwrap();
    begun.notified().await;
    let address = server.address.to_string();
    let mut task: Task = server.begin_stop();
    assert_eq!(read_all(&env, &mut idle).await, "");
    assert!(!task.is_finished());
    assert!(env.net.connect(&address).await.is_err(), "nobody listens any more");
    release.notify_one();
    assert!(read_all(&env, &mut reader).await.contains("200"));
    drop((idle, reader, writer));
    timeout(env.clock.as_ref(), HANGS, task.join()).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_ever() {
    let env = env();
    let limits = Limits { drain_timeout: Duration::from_millis(50), ..Limits::default() };
    let (server, begun, _release) = waiting(&env, limits).await;
    let (mut reader, mut writer) = dial(&env, &server).await;
    writer.write_all(REQUEST).await.unwrap();
    begun.notified().await;
    timeout(env.clock.as_ref(), HANGS, server.stop()).await.unwrap();
    assert_eq!(read_all(&env, &mut reader).await, "");
}

#[tokio::test]
async fn a_dropped_server_closes_everything() {
    let env = env();
    let (server, begun, _release) = waiting(&env, Limits::default()).await;
    let (mut reader, mut writer) = dial(&env, &server).await;
    writer.write_all(REQUEST).await.unwrap();
    begun.notified().await;
    drop(server.task);
    assert_eq!(read_all(&env, &mut reader).await, "");
}

/// A body without end that tells when it is dropped.
struct Endless(Option<oneshot::Sender<()>>);

impl Drop for Endless {
    fn drop(&mut self) {
        let _ = self.0.take().map(|dropped| dropped.send(()));
    }
}

impl Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[0; 8 * 1024])))))
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_dropped() {
    let env = env();
    let (sender, dropped) = oneshot::channel();
    let body = Arc::new(std::sync::Mutex::new(Some(Endless(Some(sender)))));
    let service = tower::service_fn(move |_: Request<Incoming>| {
        let body = body.lock().unwrap().take().unwrap();
        async move {
            Ok::<_, Infallible>(Response::builder().status(StatusCode::OK).body(body).unwrap())
        }
    });
    let listener = env.net.listen(loopback()).await.unwrap();
    let address = listener.local_address().unwrap().to_string();
    let limits = Limits { write_stall_timeout: Duration::from_millis(50), ..Limits::default() };
    let never = std::future::pending();
    let serve = serve(env.clone(), listener, Security::Plain, service, limits, never);
    let _task = env.spawn.spawn("test-server", serve.boxed());
    let mut stream = env.net.connect(&address).await.unwrap();
    stream.write_all(REQUEST).await.unwrap();
    timeout(env.clock.as_ref(), HANGS, dropped).await.unwrap().unwrap();
}
