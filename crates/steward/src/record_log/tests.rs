//! One file per record: once each, whole or absent.

use floe_env::real_env;
use floe_model::EpochRecord;

use super::*;
use crate::genesis::{Decision, decide};
use crate::tests::fixture::{config, identity, keys, report, signed};

fn records() -> [SignedRecord; 2] {
    let names = ["a", "b", "c", "d"];
    let observed =
        names.iter().map(|name| (name.parse().unwrap(), identity(report(name)))).collect();
    let Ok(Decision::Propose(first)) = decide(&keys(), &config(), &observed, None) else {
        panic!("no proposal");
    };
    let second = EpochRecord { number: EpochNumber(12), parent: first.hash(), ..*first.clone() };
    [*first, second].map(|record| signed(record, &keys().operator))
}

#[tokio::test]
async fn a_number_is_used_once() {
    let dir = tempfile::tempdir().unwrap();
    let log = FileRecordLog::new(real_env(1).unwrap(), dir.path().join("records"));
    assert_eq!(log.read_all().await.unwrap(), []);
    let [first, second] = records();
    log.create(&second).await.unwrap();
    log.create(&first).await.unwrap();
    assert_eq!(log.read_all().await.unwrap(), [first.clone(), second.clone()]);
    let mut other = second.clone();
    other.record.policy.undelete_window_millis = 1;
    for again in [&second, &other] {
        let refused = log.create(again).await.unwrap_err();
        assert!(matches!(refused, LogError::Exists(EpochNumber(12))), "{refused}");
    }
    let reopened = FileRecordLog::new(real_env(1).unwrap(), dir.path().join("records"));
    assert_eq!(reopened.read_all().await.unwrap(), [first, second]);
}

#[tokio::test]
async fn one_steward_writes_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let env = real_env(1).unwrap();
    let log = FileRecordLog::new(env.clone(), dir.path().to_owned());
    let [first, _] = records();
    let held = env.disk.lock(&dir.path().join(LOCK_FILE)).unwrap();
    assert!(matches!(log.create(&first).await, Err(LogError::Locked(_))));
    drop(held);
    log.create(&first).await.unwrap();
}

#[tokio::test]
async fn a_damaged_record_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let env = real_env(1).unwrap();
    let log = FileRecordLog::new(env.clone(), dir.path().to_owned());
    let [first, _] = records();
    log.create(&first).await.unwrap();
    let path = dir.path().join(format!("{:020}{SUFFIX}", 0));
    let file = env.disk.open(&path).unwrap();
    let mut byte = [0];
    file.read_exact_at(60, &mut byte).unwrap();
    file.write_at(60, &[byte[0] ^ 1]).unwrap();
    let refused = log.read_all().await.unwrap_err();
    assert!(matches!(refused, LogError::Damaged { .. }), "{refused}");
    // The number stays used.
    assert!(matches!(log.create(&first).await, Err(LogError::Exists(_))));
}
