use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;

use bytes::Bytes;
use floe_env::{Net, Random, Work, compute, read_file, timeout, write_file_durably};
use futures::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;

use super::*;

const HOST: &str = "server";
const ADDRESS: &str = "server:7000";

/// PUT keeps a body durably, GET gives it back.
async fn answer(env: Env, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    let is_put = request.method() == Method::PUT;
    let Ok(body) = request.into_body().collect().await else {
        return Ok(respond(StatusCode::BAD_REQUEST, Bytes::new()));
    };
    let body = body.to_bytes();
    let disk = Arc::clone(&env.disk);
    let work = move || {
        if is_put {
            write_file_durably(&*disk, Path::new(&path), &body).map(|()| Vec::new())
        } else {
            read_file(&*disk, Path::new(&path), 1 << 20)
        }
    };
    Ok(match compute(&*env.compute, Work::Foreground, work).await {
        Ok(Ok(bytes)) => respond(StatusCode::OK, bytes.into()),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            respond(StatusCode::NOT_FOUND, Bytes::new())
        }
        Ok(Err(_)) | Err(_) => respond(StatusCode::INTERNAL_SERVER_ERROR, Bytes::new()),
    })
}

fn respond(status: StatusCode, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response
}

async fn serve(env: Env) -> turmoil::Result {
    let mut listener = env.net.listen("127.0.0.1:7000".parse()?).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let connection_env = env.clone();
        let connection = async move {
            let service = service_fn(move |request| answer(connection_env.clone(), request));
            let server = hyper::server::conn::http1::Builder::new();
            // A client that went away is no news.
            let _ = server.serve_connection(TokioIo::new(stream), service).await;
        };
        env.spawn.spawn("connection", connection.boxed()).detach();
    }
}

/// One request on a connection of its own.
async fn ask(
    env: &Env,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<(StatusCode, Bytes)> {
    let exchange = async {
        let stream = env.net.connect(ADDRESS).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = async move { drop(connection.await) };
        let _driver = env.spawn.spawn("client connection", driver.boxed());
        let request = Request::builder().method(method).uri(path).header("host", HOST);
        let response = sender.send_request(request.body(Full::new(Bytes::from(body)))?).await?;
        let status = response.status();
        anyhow::Ok((status, response.into_body().collect().await?.to_bytes()))
    };
    timeout(&*env.clock, Duration::from_secs(1), exchange).await?
}

/// What each file may be, none at all included.
type Possible = BTreeMap<String, Vec<Option<Vec<u8>>>>;

/// Puts files until it is told to check; every acknowledged one must be there, in the last
/// acknowledged content or one tried since.
async fn put_and_check(env: Env, log: EventLog, rounds: u64) -> turmoil::Result {
    let mut possible = Possible::new();
    for round in 0..rounds {
        let path = format!("/{}", env.random.below(3));
        let mut body = vec![0; usize::try_from(env.random.below(5000))?];
        env.random.fill(&mut body);
        let answer = ask(&env, Method::PUT, &path, body.clone()).await;
        let status = answer.map(|(status, _)| status.as_u16()).map_err(|error| error.to_string());
        log.note("client", format!("put {round} {path} {}: {status:?}", body.len()));
        let contents = possible.entry(path).or_insert_with(|| vec![None]);
        if matches!(status, Ok(200)) {
            contents.clear();
        }
        contents.push(Some(body));
        env.clock.sleep(Duration::from_millis(env.random.below(200))).await;
    }
    for (path, contents) in possible {
        let (status, body) = ask(&env, Method::GET, &path, Vec::new()).await?;
        log.note("client", format!("get {path}: {status} {}", body.len()));
        let content = match status {
            StatusCode::OK => Some(body.to_vec()),
            StatusCode::NOT_FOUND => None,
            other => panic!("{path}: {other}"),
        };
        assert!(contents.contains(&content), "{path} is not what was acknowledged");
    }
    Ok(())
}

/// A server that loses power again and again, some of the times amid its disk work.
fn run(seed: u64) -> EventLog {
    let log = EventLog::default();
    let random = SimRandom::new(seed, 1000);
    let server_disk = SimDisk::new(HOST, 1 << 20, &log);
    let client_disk = SimDisk::new("client", 0, &log);
    let mut sim = sim_builder(seed).build();
    let disk = server_disk.clone();
    sim.host(HOST, move || {
        let disk = disk.clone();
        async move { serve(sim_env(seed, &disk)).await }
    });
    let client_log = log.clone();
    sim.client("client", async move {
        put_and_check(sim_env(seed + 1, &client_disk), client_log, 40).await
    });
    let mut crashes = 0;
    let mut quiet_steps = random.below(300);
    while !sim.step().expect("the simulation goes on") {
        if crashes == 8 {
            continue;
        }
        quiet_steps = quiet_steps.saturating_sub(1);
        if quiet_steps == 1 && random.below(2) == 0 {
            server_disk.halt_after(random.below(8));
            quiet_steps = 2000;
        }
        if quiet_steps == 0 || server_disk.is_halted() {
            sim.crash(HOST);
            server_disk.crash(&random);
            log.note("harness", "crash");
            sim.bounce(HOST);
            crashes += 1;
            quiet_steps = random.below(600) + 2;
        }
    }
    log
}

#[test]
fn an_http_server_keeps_what_it_acknowledged_over_power_losses() {
    let mut crashes = 0;
    let mut amid_work = 0;
    let seeds = seeds(20);
    for &seed in &seeds {
        println!("seed {seed}");
        let log = run(seed);
        assert_eq!(log.panics(), Vec::<String>::new());
        let lines = log.lines();
        crashes += lines.iter().filter(|line| line.ends_with("harness crash")).count();
        amid_work += lines.iter().filter(|line| line.contains("simulated machine is off")).count();
        assert!(lines.iter().any(|line| line.ends_with(": Ok(200)")), "seed {seed}");
    }
    let is_enough = seeds.len() < 20 || crashes > 40 && amid_work > 10;
    assert!(is_enough, "{crashes} crashes, {amid_work} amid disk work");
}

#[test]
fn equal_seeds_give_equal_logs() {
    let seed = seeds(1)[0];
    let (first, again, other) = (run(seed), run(seed), run(seed + 1));
    println!("seed {seed}: log {}", first.sha256());
    assert_eq!(first.first_difference(&again), None);
    assert_eq!(first.sha256(), again.sha256());
    assert_ne!(first.sha256(), other.sha256());
}

#[test]
fn tasks_end_with_their_host_and_the_next_start_draws_other_bytes() {
    let log = EventLog::default();
    let disk = SimDisk::new("node", 0, &log);
    let mut sim = sim_builder(1).build();
    let host_disk = disk.clone();
    sim.host("node", move || {
        let disk = host_disk.clone();
        async move {
            let env = sim_env(9, &disk);
            let ticking = env.clone();
            let ticks = async move {
                let started = ticking.random.next_u64();
                loop {
                    ticking.clock.sleep(Duration::from_millis(10)).await;
                    let millis = ticking.clock.unix_millis() - SIM_EPOCH_UNIX_MILLIS;
                    disk.note(format!("tick of {started:x} at {millis}"));
                }
            };
            env.spawn.spawn("ticks", ticks.boxed()).detach();
            std::future::pending().await
        }
    });
    let ticks = |sim: &mut turmoil::Sim<'_>| {
        let before = log.lines().len();
        for _ in 0..100 {
            sim.step().unwrap();
        }
        log.lines().split_off(before)
    };
    let first = ticks(&mut sim);
    assert!((9..=10).contains(&first.len()), "{first:?}");
    sim.crash("node");
    assert_eq!(ticks(&mut sim), Vec::<String>::new());
    sim.bounce("node");
    let second = ticks(&mut sim);
    assert!((9..=10).contains(&second.len()), "one task, not two: {second:?}");
    let start = |lines: &[String]| lines[0].split_whitespace().nth(4).unwrap().to_owned();
    assert_ne!(start(&first), start(&second));
    let last = second.last().unwrap().rsplit(' ').next().unwrap().parse::<u64>().unwrap();
    assert!((290..=300).contains(&last), "time goes on over a crash: {second:?}");
}

#[test]
fn a_halted_machine_gives_no_result_and_a_panic_is_noted() {
    let log = EventLog::default();
    let disk = SimDisk::new("node", 1000, &log);
    let mut sim = sim_builder(1).build();
    let host_disk = disk.clone();
    sim.client("node", async move {
        let env = sim_env(1, &host_disk);
        let mut task = env.spawn.spawn("broken", async { panic!("on purpose") }.boxed());
        assert!(task.join().await.is_err());
        host_disk.halt_after(0);
        let disk = Arc::clone(&env.disk);
        let work = move || disk.create(Path::new("f")).map(drop);
        let result = compute(&*env.compute, Work::Repair, work);
        assert!(timeout(&*env.clock, Duration::from_mins(1), result).await.is_err());
        Ok(())
    });
    sim.run().unwrap();
    assert!(disk.is_halted());
    assert_eq!(log.panics().len(), 1);
}

#[test]
fn unknown_and_refusing_hosts_are_errors() {
    let mut sim = sim_builder(1).build();
    sim.client("here", async {
        assert!(SimNet.connect("nowhere:1").await.is_err());
        let refused = SimNet.connect("here:1").await.map(drop).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        Ok(())
    });
    sim.run().unwrap();
}
