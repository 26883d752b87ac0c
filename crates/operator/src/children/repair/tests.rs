use serde_json::json;

use super::*;
use crate::children::tests::fixture::{assert_restricted, scope, volume};

#[test]
fn the_same_deficit_is_the_same_job() {
    let scope = scope(&json!({}));
    let name = |deficit: &[u8]| job(&scope, &volume(), deficit).unwrap().metadata.name.unwrap();
    assert_eq!(name(b"shard 1 since 4"), name(b"shard 1 since 4"));
    assert_ne!(name(b"shard 1 since 4"), name(b"shard 1 since 5"));
    assert!(name(b"").starts_with("main-0-1-repair-"));
}

#[test]
fn it_reads_no_faster_than_the_spec_says() {
    for (written, bytes) in [(json!({}), "104857600"), (json!("25Mi"), "26214400")] {
        let repair = match &written {
            serde_json::Value::Object(_) => json!({}),
            rate => json!({"maxBytesPerSecond": rate}),
        };
        let job = job(&scope(&json!({"repair": repair})), &volume(), b"").unwrap();
        let spec = job.spec.unwrap().template.spec.unwrap();
        assert_restricted(&spec, false);
        let arguments = spec.containers[0].args.clone().unwrap();
        let at = arguments.iter().position(|word| word == "--max-bytes-per-second").unwrap();
        assert_eq!(arguments[at + 1], bytes);
    }
    assert!(
        job(&scope(&json!({"repair": {"maxBytesPerSecond": "100MB"}})), &volume(), b"").is_err()
    );
}
