//! Requests without their bodies: paths and queries, headers, certificates.

use floe_api::tls::peer_of;
use floe_api::{Call, EpochHint, Peer};
use http::Method;
use rustls::pki_types::CertificateDer;

use crate::target::Target;

// The gateway's own reader of ranges: it is not part of the crate's interface.
#[path = "../../../crates/gateway/src/range.rs"]
mod range;

use self::range::{Wanted, names_tag, wanted};

pub(crate) const TARGETS: &[Target] = &[
    Target::of_values("api_calls", call_seeds, calls),
    Target::of_values("api_certificates", certificate_seeds, certificates),
    Target::of_values("gateway_ranges", range_seeds, ranges),
];

fn call_seeds() -> Vec<Vec<u8>> {
    const UUID: &str = "00112233-4455-6677-8899-aabbccddeeff";
    const ID: &str = "RcU82Mwf-CFkv1LaI_2qcpANwpGUuG3TMwnVzZxD2kY";
    let mut seeds = Vec::new();
    for spec in &floe_api::ROUTES {
        let segments = spec.path.split('/').map(|segment| match segment {
            "{upload}" | "{claim}" | "{namespace}" | "{volume}" | "{lease}" => UUID,
            "{blob}" => ID,
            "{axis}" => "primary",
            "{name}" | "{node}" => "weights",
            segment if segment.starts_with('{') => "1",
            segment => segment,
        });
        let path = segments.collect::<Vec<_>>().join("/");
        for query in ["", "?after=3", "?first=0&count=9&wait=100", "?stripes=1-2"] {
            seeds.push(format!("{} {path}{query}", spec.method).into_bytes());
        }
    }
    seeds.push(format!("7:{ID}").into_bytes());
    seeds.push(format!("spiffe://floe/{UUID}/node/node-3/12").into_bytes());
    seeds
}

fn calls(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(hint) = text.parse::<EpochHint>() {
        assert_eq!(hint.to_string().parse(), Ok(hint));
    }
    if let Ok(peer) = text.parse::<Peer>() {
        assert_eq!(peer.spiffe_uri(), text, "two texts for one peer");
    }
    let Some((method, target)) = text.split_once(' ') else { return };
    let Ok(method) = Method::from_bytes(method.as_bytes()) else { return };
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    if let Ok(call) = Call::parse(&method, path, query) {
        let written = call.path_and_query();
        let (path, query) = match written.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (written.as_str(), None),
        };
        let method = &call.spec().method;
        assert!(Call::parse(method, path, query).is_ok_and(|again| again == call), "{written}");
    }
}

/// Self-signed, made by `rcgen` for `spiffe://floe/…/node/node-3/12`.
fn certificate_seeds() -> Vec<Vec<u8>> {
    vec![include_bytes!("../seeds/node.der").to_vec()]
}

fn certificates(input: &[u8]) {
    if let Ok(peer) = peer_of(&CertificateDer::from(input)) {
        assert!(peer.spiffe_uri().parse::<Peer>().is_ok_and(|again| again == peer));
    }
}

/// A length of eight bytes, then the header.
fn range_seeds() -> Vec<Vec<u8>> {
    let headers = ["bytes=0-3", "bytes=4-", "bytes=-3", "bytes=0-1,3-4", "\"a\", W/\"b\"", "*"];
    let lengths = [10, 0, u64::MAX];
    let seed = |length: u64| headers.map(|text| [&length.to_le_bytes(), text.as_bytes()].concat());
    lengths.map(seed).concat()
}

fn ranges(input: &[u8]) {
    let Some((length, header)) = input.split_first_chunk::<8>() else { return };
    let Ok(header) = std::str::from_utf8(header) else { return };
    let length = u64::from_le_bytes(*length);
    match wanted(Some(header), length) {
        Wanted::Whole | Wanted::Unsatisfiable => {}
        Wanted::Part(range) => {
            assert!(range.start < range.end && range.end <= length, "{range:?} of {length}");
        }
    }
    let _ = names_tag(header, "\"a\"", true) | names_tag(header, "\"a\"", false);
}
