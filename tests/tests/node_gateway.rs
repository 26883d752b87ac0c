//! What applications see of a gateway over real nodes: every status, header and byte.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "test code: it talks to real processes, and a broken assumption fails the test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::Barrier;
use std::time::Duration;

use floe_model::{BlobLayout, Geometry};
use floe_tests::process::{Committee, Http, Reply, Size, content, copy_dir, page, wait_for};

const SMALL: Size = Size { nodes: 4, shards: 4 };

fn path(name: &str) -> String {
    format!("/v1/namespaces/shop/blobs/{name}")
}

fn list(http: &Http, query: &str) -> (Vec<String>, String) {
    let page = http.get(&format!("/v1/namespaces/shop/blobs{query}")).expect(200).json();
    let names = page["items"].as_array().unwrap().iter();
    let names = names.map(|item| item["name"].as_str().unwrap().to_owned()).collect();
    (names, page["metadata"]["continue"].as_str().unwrap().to_owned())
}

/// The id that the command line computes.
fn id_of(committee: &Committee, bytes: &[u8]) -> String {
    let file = committee.scene().dir().join("to-identify");
    fs::write(&file, bytes).unwrap();
    let shards = committee.size().shards.to_string();
    let mut command = committee.scene().floe(&["id", "--shards", &shards]);
    let output = command.arg(&file).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn a_blob_lives_and_dies_and_its_name_lives_again() {
    let committee = Committee::start("gateway-life", SMALL);
    let http = committee.http();
    let (bytes, others) = (content(1, 300_000), content(2, 300_000));

    let stored = http.request("PUT", &path("model")).header("Content-Type", "text/x-model");
    let stored = stored.body(&bytes).send().expect(201);
    assert_eq!(stored.header("location"), path("model"));
    let status = stored.json();
    let id = id_of(&committee, &bytes);
    assert_eq!((&status["name"], &status["namespace"]), (&"model".into(), &"shop".into()));
    assert_eq!((&status["blobID"], &status["size"]), (&id.as_str().into(), &300_000.into()));
    assert!(status["certificateSigners"].as_array().unwrap().len() >= 3, "{status}");

    let got = http.get(&path("model")).expect(200);
    assert!(got.is_whole && got.body == bytes);
    assert_eq!(got.header("etag"), format!("\"{id}\""));
    assert_eq!(got.header("content-type"), "text/x-model");
    assert_eq!(got.header("accept-ranges"), "bytes");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert_eq!(got.header("content-security-policy"), "sandbox");
    assert!(!got.header("x-request-id").is_empty() && got.header("last-modified").ends_with("GMT"));
    let head = http.request("HEAD", &path("model")).send().expect(200);
    for name in ["content-length", "etag", "content-type", "repr-digest", "last-modified"] {
        assert_eq!(head.header(name), got.header(name), "{name}");
    }
    assert_eq!((head.header("content-length"), head.body.len()), ("300000", 0));
    assert_eq!(http.get(&format!("{}/status", path("model"))).expect(200).json(), status);

    assert_eq!(http.put(&path("model"), &bytes).expect(200).json()["blobID"], id);
    let detail = http.put(&path("model"), &others).expect_problem(409, "content-differs");
    assert!(detail.contains(&id), "{detail}");
    http.put(&path("model"), &bytes[1..]).expect_problem(409, "content-differs");
    let only_new = http.request("PUT", &path("model")).header("If-None-Match", "*");
    only_new.body(&bytes).send().expect_problem(412, "precondition-failed");
    assert_eq!(http.get(&path("model")).body, bytes);

    let wrong = http.request("DELETE", &path("model")).header("If-Match", "\"other\"").send();
    wrong.expect_problem(412, "precondition-failed");
    assert_eq!(http.delete(&path("model")).expect(202).json()["blobID"], id);
    http.get(&path("model")).expect_problem(404, "not-found");
    http.delete(&path("model")).expect_problem(404, "not-found");
    assert_eq!(list(&http, "").0, Vec::<String>::new());

    let only_new = http.request("PUT", &path("model")).header("If-None-Match", "*");
    only_new.body(&others).send().expect(201);
    assert_eq!(http.get(&path("model")).expect(200).body, others);
    // And the first bytes, which the nodes still hold, once more.
    http.delete(&path("model")).expect(202);
    assert_eq!(http.put(&path("model"), &bytes).expect(201).json()["blobID"], id);
    assert_eq!(http.get(&path("model")).expect(200).body, bytes);
    assert_eq!(http.get(&format!("{}?check=strict", path("model"))).expect(200).body, bytes);
}

#[test]
fn ranges_and_conditions() {
    let committee = Committee::start("gateway-ranges", SMALL);
    let http = committee.http();
    let stripe = Geometry::of_shards(4).unwrap().full_stripe_bytes();
    let bytes = content(3, 5 * stripe + 77);
    let length = bytes.len();
    http.put(&path("big"), &bytes).expect(201);
    let tag = http.request("HEAD", &path("big")).send().header("etag").to_owned();
    let ranged = |range: &str| http.request("GET", &path("big")).header("Range", range).send();

    let last = length - 1;
    for (first, end) in [
        (0, 1),
        (0, length),
        (stripe - 1, stripe + 1),
        (stripe, 2 * stripe),
        (2 * stripe + 5, 4 * stripe + 9),
        (last, length),
    ] {
        let part = ranged(&format!("bytes={first}-{}", end - 1)).expect(206);
        assert!(part.is_whole && part.body == bytes[first..end], "{first}..{end}");
        let wanted = format!("bytes {first}-{}/{length}", end - 1);
        assert_eq!(part.header("content-range"), wanted);
        assert_eq!(part.header("content-length"), (end - first).to_string());
        assert_eq!(part.header("etag"), tag);
    }
    assert_eq!(ranged("bytes=-100").expect(206).body, bytes[length - 100..]);
    assert_eq!(ranged(&format!("bytes={}-", length - 9)).expect(206).body, bytes[length - 9..]);
    assert_eq!(ranged("bytes=0-99999999999999999999").expect(206).body, bytes);
    // Several ranges, or none: the whole, as RFC 9110 allows.
    assert_eq!(ranged("bytes=0-1,5-6").expect(200).body, bytes);
    assert_eq!(ranged("stripes=0-1").expect(200).body, bytes);
    for beyond in [format!("bytes={length}-"), "bytes=-0".to_owned()] {
        let refused = ranged(&beyond);
        assert_eq!(refused.header("content-range"), format!("bytes */{length}"), "{beyond}");
        refused.expect_problem(416, "range-not-satisfiable");
    }

    let asked = |name: &str, value: &str| {
        let request = http.request("GET", &path("big")).header("Range", "bytes=0-9");
        request.header(name, value).send()
    };
    assert_eq!(asked("If-Range", &tag).expect(206).body, bytes[..10]);
    assert_eq!(asked("If-Range", "\"another\"").expect(200).body, bytes);
    assert_eq!(asked("If-Match", &tag).expect(206).body, bytes[..10]);
    asked("If-Match", "\"another\"").expect_problem(412, "precondition-failed");
    for matching in [tag.as_str(), "*", &format!("\"x\", W/{tag}")] {
        let same = asked("If-None-Match", matching).expect(304);
        assert_eq!((same.header("etag"), same.body.len()), (tag.as_str(), 0));
    }
    assert_eq!(asked("If-None-Match", "\"another\"").expect(206).body, bytes[..10]);
    let head = http.request("HEAD", &path("big")).header("Range", "bytes=0-9").send().expect(206);
    assert_eq!((head.header("content-length"), head.body.len()), ("10", 0));
}

#[test]
fn a_body_that_is_not_what_its_digest_says_is_not_certified() {
    use sha2::Digest as _;
    let committee = Committee::start("gateway-digest", SMALL);
    let http = committee.http();
    for (name, length) in [("small", 10_000), ("large", 9 << 20)] {
        let (bytes, wrong) = (content(4, length), content(5, length));
        let field = |bytes: &[u8]| format!("sha-256=:{}:", base64(&sha2::Sha256::digest(bytes)));
        let put = |field: &str| {
            http.request("PUT", &path(name)).header("Repr-Digest", field).body(&bytes).send()
        };
        put("sha-256=:nonsense:").expect_problem(400, "invalid-request");
        put(&field(&wrong)).expect_problem(422, "digest-mismatch");
        http.get(&path(name)).expect_problem(404, "not-found");
        put(&field(&bytes)).expect(201);
        put(&field(&wrong)).expect_problem(422, "digest-mismatch");
        let got = http.get(&path(name)).expect(200);
        assert!(got.body == bytes && got.header("repr-digest") == field(&bytes));
    }
    assert_eq!(committee.wait_all_whole(), 2, "blobs that nobody certified are owed");
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let group = |three: &[u8]| {
        let bits = three.iter().fold(0, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - three.len()));
        let digit = |at: usize| {
            let bits = (bits >> (18 - 6 * at)) as usize & 63;
            if at <= three.len() { char::from(DIGITS[bits]) } else { '=' }
        };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(group).collect()
}

#[test]
fn who_may_do_what() {
    let committee = Committee::start("gateway-tokens", SMALL);
    let http = committee.http();
    let tokens = fs::read_to_string(committee.tokens()).unwrap();
    fs::write(committee.tokens(), format!("{tokens}shop-token ci shop web\n")).unwrap();
    http.put(&path("mine"), b"mine").expect(201);
    http.put("/v1/namespaces/bank/blobs/theirs", b"theirs").expect(201);

    let ci = http.with_token(Some("shop-token"));
    assert_eq!(ci.get(&path("mine")).expect(200).body, b"mine");
    ci.put("/v1/namespaces/web/blobs/page", b"page").expect(201);
    assert_eq!(list(&ci, "").0, ["mine"]);
    ci.get("/v1/status").expect(200);

    for stranger in [http.with_token(None), http.with_token(Some("guess"))] {
        for (method, path) in [
            ("GET", path("mine")),
            ("HEAD", path("mine")),
            ("PUT", path("mine")),
            ("DELETE", path("mine")),
            ("GET", "/v1/namespaces/shop/blobs".to_owned()),
            ("GET", format!("{}/status", path("mine"))),
            ("GET", "/v1/status".to_owned()),
        ] {
            let reply = stranger.request(method, &path).body(b"").send().expect(401);
            assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"floe\"");
            if method != "HEAD" {
                reply.expect_problem(401, "unauthenticated");
            }
        }
    }
    // Before any look-up: existing and missing names look alike, and no node is asked.
    let forbidden = |when: &str| {
        for (method, path) in [
            ("GET", "/v1/namespaces/bank/blobs/theirs"),
            ("GET", "/v1/namespaces/bank/blobs/missing"),
            ("PUT", "/v1/namespaces/bank/blobs/theirs"),
            ("DELETE", "/v1/namespaces/bank/blobs/theirs"),
            ("DELETE", "/v1/namespaces/bank/blobs/theirs?unfinished=true"),
            ("GET", "/v1/namespaces/bank/blobs"),
            ("GET", "/v1/namespaces/bank/blobs/theirs/status"),
        ] {
            let reply = ci.request(method, path).body(b"").send();
            let detail = reply.expect_problem(403, "forbidden");
            assert!(detail.contains("ci") && detail.contains("bank"), "{when}: {detail}");
        }
    };
    forbidden("nodes up");
    committee.kill_nodes(&[0, 1, 2, 3]);
    forbidden("nodes down");
    http.with_token(Some("guess")).get(&path("mine")).expect_problem(401, "unauthenticated");
}

#[test]
fn what_makes_no_sense_is_refused_as_a_problem() {
    let committee = Committee::start("gateway-invalid", SMALL);
    let http = committee.http();
    let long = "n".repeat(300);
    for name in ["Model", "a%20b", "..", "a%2Fb", "-a", "a_b", "%FF", &long] {
        for method in ["GET", "PUT", "DELETE"] {
            let reply = http.request(method, &path(name)).body(b"").send();
            assert_eq!(reply.status.as_u16(), 400, "{method} {name}");
            reply.expect_problem(400, "invalid-request");
        }
        let listed = http.get(&format!("/v1/namespaces/{name}/blobs"));
        assert_eq!(listed.status.as_u16(), 400, "list {name}");
        listed.expect_problem(400, "invalid-request");
    }
    http.put(&path("real"), b"x").expect(201);
    for query in ["?limit=many", "?limit=-1", "?continue=Not%20a%20name"] {
        let reply = http.get(&format!("/v1/namespaces/shop/blobs{query}"));
        reply.expect_problem(400, "invalid-request");
    }
    let unknown_check = http.get(&format!("{}?check=lax", path("real")));
    unknown_check.expect_problem(400, "invalid-request");
    let typed = http.request("PUT", &path("typed")).header("Content-Type", &"t".repeat(256));
    typed.body(b"x").send().expect_problem(400, "invalid-request");
    for nowhere in ["/", "/v1", "/v1/namespaces/shop", "/v2/status", "/v1/blobs/abc"] {
        http.get(nowhere).expect_problem(404, "not-found");
    }
    let wrong_method = http.request("POST", &path("real")).body(b"").send();
    assert_eq!(wrong_method.status.as_u16(), 405);
    assert!(wrong_method.header("allow").contains("PUT"), "{:?}", wrong_method.headers);
}

/// Every length at which something begins or ends.
fn boundaries(geometry: Geometry) -> BTreeSet<usize> {
    let (stripe, extent) = (geometry.full_stripe_bytes(), geometry.full_extent_bytes());
    let cells = geometry.rows() * geometry.columns();
    let around = |length: usize| [length - 1, length, length + 1];
    let mut lengths: BTreeSet<usize> = [0, 1, 2, cells, 2 * cells + 1, 4096].into();
    for length in [stripe, 2 * stripe, extent, extent + stripe] {
        lengths.extend(around(length));
    }
    lengths
}

fn sizes_come_back(test: &str, size: Size) {
    let committee = Committee::start(test, size);
    let http = committee.http();
    let geometry = Geometry::of_shards(u16::try_from(size.shards).unwrap()).unwrap();
    let lengths = boundaries(geometry);
    for &length in &lengths {
        let name = format!("of-{length}");
        let bytes = content(length as u64, length);
        let status = http.put(&path(&name), &bytes).expect(201).json();
        let layout = BlobLayout::new(geometry, length as u64);
        assert_eq!(status["stripes"], layout.stripes(), "{length}");
        assert_eq!(status["blobID"], id_of(&committee, &bytes), "{length}");
        let got = http.get(&path(&name)).expect(200);
        assert!(got.is_whole && got.body == bytes, "{length} bytes came back otherwise");
        assert_eq!(got.header("content-length"), length.to_string());
        assert_eq!(got.header("etag"), format!("\"{}\"", status["blobID"].as_str().unwrap()));
        if length > 0 {
            let end = format!("bytes={}-", length - 1);
            let part = http.request("GET", &path(&name)).header("Range", &end).send().expect(206);
            assert_eq!(part.body, bytes[length - 1..], "{length}");
        } else {
            let part = http.request("GET", &path(&name)).header("Range", "bytes=0-").send();
            part.expect_problem(416, "range-not-satisfiable");
        }
    }
    assert_eq!(committee.wait_all_whole(), lengths.len() as u64);
}

#[test]
fn sizes_around_every_boundary_of_4_shards() {
    sizes_come_back("gateway-sizes-4", SMALL);
}

#[test]
fn sizes_around_every_boundary_of_10_shards() {
    sizes_come_back("gateway-sizes-10", Size { nodes: 5, shards: 10 });
}

#[test]
fn many_small_blobs_at_a_time() {
    const WRITERS: u64 = 8;
    const EACH: u64 = 25;
    let committee = Committee::start("gateway-many", SMALL);
    let http = committee.http();
    let blob = |writer: u64, number: u64| {
        let seed = writer * 1000 + number;
        let length = usize::try_from(seed * 37 % 4096).unwrap();
        (format!("b-{writer}-{number:03}"), content(seed, length))
    };
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let http = &http;
            scope.spawn(move || {
                for number in 0..EACH {
                    let (name, bytes) = blob(writer, number);
                    http.put(&path(&name), &bytes).expect(201);
                    assert_eq!(http.get(&path(&name)).expect(200).body, bytes, "{name}");
                }
            });
        }
    });
    let all: BTreeMap<String, Vec<u8>> =
        (0..WRITERS).flat_map(|writer| (0..EACH).map(move |number| blob(writer, number))).collect();
    let (mut listed, mut next) = list(&http, "?limit=33");
    while !next.is_empty() {
        assert_eq!(listed.len() % 33, 0, "a page that is not the last is full");
        let (names, after) = list(&http, &format!("?limit=33&continue={next}"));
        assert!(!names.is_empty() && after != next);
        listed.extend(names);
        next = after;
    }
    assert!(listed.is_sorted() && listed.iter().eq(all.keys()), "{} names", listed.len());
    assert_eq!(list(&http, "").0, listed);
    for (name, bytes) in &all {
        assert_eq!(&http.get(&path(name)).expect(200).body, bytes, "{name}");
    }
    assert_eq!(committee.wait_all_whole(), {
        let ids: BTreeSet<&Vec<u8>> = all.values().collect();
        ids.len() as u64
    });
}

/// A second gateway of the same committee, beside the first.
fn second_gateway(committee: &Committee) -> Http {
    let (from, to) = (committee.dir().join("gateway"), committee.scene().dir().join("gateway-b"));
    copy_dir(&from, &to);
    let mut file: serde_json::Value =
        serde_json::from_slice(&fs::read(to.join("gateway.json")).unwrap()).unwrap();
    let mut moved = |member: &str| {
        let mut address: std::net::SocketAddr = file[member].as_str().unwrap().parse().unwrap();
        address.set_port(address.port() + 1);
        file[member] = address.to_string().into();
        address
    };
    let (listen, plain) = (moved("listen"), moved("metricsListen"));
    fs::write(to.join("gateway.json"), file.to_string()).unwrap();
    committee.start_process("gateway-b", "gateway", &to);
    committee.wait_ready_at("gateway-b", plain);
    Http::to_gateway(listen, &to.join("tls/ca.pem"), &committee.token())
}

#[test]
fn of_two_writers_of_one_name_at_most_one_is_certified() {
    const ROUNDS: u64 = 12;
    let committee = Committee::start("gateway-two-writers", SMALL);
    let (one, other) = (committee.http(), second_gateway(&committee));
    let mut won = 0;
    for round in 0..ROUNDS {
        let name = format!("contested-{round}");
        // Some of one stripe, some of several.
        let length = if round % 2 == 0 { 20_000 } else { 500_000 };
        let bodies = [content(2 * round, length), content(2 * round + 1, length)];
        let start = Barrier::new(2);
        let put = |http: &Http, body: &[u8]| {
            start.wait();
            http.put(&path(&name), body)
        };
        // Through one gateway, and through two.
        let second = if round % 3 == 0 { &one } else { &other };
        let replies: Vec<Reply> = std::thread::scope(|scope| {
            let first = scope.spawn(|| put(&one, &bodies[0]));
            let second = scope.spawn(|| put(second, &bodies[1]));
            vec![first.join().unwrap(), second.join().unwrap()]
        });
        let winners: Vec<usize> = (0..2).filter(|&at| replies[at].status == 201).collect();
        assert!(winners.len() < 2, "both were certified");
        for loser in replies.iter().filter(|reply| reply.status != 201) {
            let slug = loser.json()["type"].as_str().unwrap().to_owned();
            let is_told =
                ["content-differs", "write-unfinished"].iter().any(|it| slug.ends_with(it));
            assert!(is_told, "{}", loser.json());
            loser.clone().expect(409);
        }
        if let [winner] = winners[..] {
            won += 1;
            for http in [&one, &other] {
                assert_eq!(http.get(&path(&name)).expect(200).body, bodies[winner], "{name}");
            }
        } else {
            one.get(&path(&name)).expect_problem(404, "not-found");
            one.delete(&format!("{}?unfinished=true", path(&name))).expect(202);
            other.put(&path(&name), &bodies[0]).expect(201);
            assert_eq!(one.get(&path(&name)).expect(200).body, bodies[0]);
        }
    }
    println!("{won} of {ROUNDS} contests had a winner");
}

#[test]
fn a_client_that_goes_away_leaves_nothing_certified() {
    let committee = Committee::start("gateway-disconnect", SMALL);
    let http = committee.http();
    let plain = committee.gateway_metrics_address();
    for (name, length) in [("one-stripe", 150_000), ("extents", 12 << 20)] {
        let bytes = content(6, length);
        let before = committee.gateway_metrics().sum("floe_gateway_received_bytes_total", &[]);
        let put = http.request("PUT", &path(name)).header("Content-Length", &length.to_string());
        let mut put = put.begin().unwrap();
        put.send(&bytes[..length - 1]).unwrap();
        let metric = |name: &str| committee.gateway_metrics().sum(name, &[]);
        wait_for("the gateway has the bytes", Duration::from_secs(30), || {
            let received = metric("floe_gateway_received_bytes_total") - before;
            let all = received == length as u64 - 1;
            if all { Ok(()) } else { Err(format!("{received} of {length} bytes")) }
        });
        assert_eq!(metric("floe_gateway_writes_in_flight"), 1);
        drop(put);
        wait_for("the gateway gives up", Duration::from_secs(30), || {
            match metric("floe_gateway_writes_in_flight") {
                0 => Ok(()),
                count => Err(format!("{count} writes in flight")),
            }
        });
        http.get(&path(name)).expect_problem(404, "not-found");
        assert_eq!(list(&http, "").0, Vec::<String>::new());
        // Nothing was bound: the name takes other bytes.
        let others = content(7, length);
        http.put(&path(name), &others).expect(201);
        assert_eq!(http.get(&path(name)).expect(200).body, others);
        http.delete(&path(name)).expect(202);
    }
    assert_eq!(page(plain, "/livez").unwrap().0, 200);
}
