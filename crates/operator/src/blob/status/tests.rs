use floe_model::keys::RegistrarPublicKey;
use floe_model::record::{NO_PARENT, Policy, Registrar, RegistrarRole};
use floe_model::{CommitteeId, EpochNumber, Geometry, ShardIndex};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn certified() -> Findings {
    Findings {
        keeper: Some(CommitteeReference { name: "main".into(), namespace: "floe".into() }),
        url: Some("https://main-gateway.floe.svc/v1/namespaces/shop/blobs/greeting".into()),
        certified: Some(Certified { blob_id: "id".into(), size_bytes: 12, epoch: 3 }),
        protection: Some((Protection::Full, 6)),
        job: None,
    }
}

fn ready(status: &BlobStatus) -> (&str, &str) {
    let ready = condition::get(&status.conditions, READY).unwrap();
    (ready.status.as_str(), ready.reason.as_str())
}

#[test]
fn a_certified_blob_says_what_it_is_and_nothing_new_the_next_time() {
    let new = status(&BlobStatus::default(), &Verdict::Certified, certified(), Some(1), at(5));
    assert_eq!(ready(&new), ("True", "Certified"));
    assert!(!condition::is_true(&new.conditions, STALLED));
    assert_eq!(new.blob_id.as_deref(), Some("id"));
    assert_eq!((new.size, new.certified_epoch), (Some(12), Some(3)));
    assert_eq!(new.certified_time, Some(Time(at(5))));
    assert_eq!((new.protection, new.margin), (Some(Protection::Full), Some(6)));
    assert_eq!(new.summary.size, "12 B");
    assert!(is_certified(&new, Some(1)) && !is_certified(&new, Some(2)));

    let again = status(&new, &Verdict::Certified, certified(), Some(1), at(9));
    assert_eq!(again, new, "nothing changed");
    let later = status(&new, &Verdict::Certified, Findings::default(), Some(1), at(9));
    assert_eq!(later, new, "what is not looked at again stays");
    let changed = status(&new, &Verdict::Certified, Findings::default(), Some(2), at(9));
    assert!(is_certified(&changed, Some(2)), "a new generation is seen");
}

#[test]
fn a_blob_that_waits_or_never_gets_ready_says_so() {
    let waiting = Verdict::waiting(Reason::Importing, "a Job reads it");
    let job = Some("floe-import-x".to_owned());
    let findings = Findings { job, ..Findings::default() };
    let new = status(&BlobStatus::default(), &waiting, findings, Some(1), at(5));
    assert_eq!(ready(&new), ("False", "Importing"));
    assert!(condition::is_true(&new.conditions, PROGRESSING));
    assert!(!condition::is_true(&new.conditions, STALLED));
    assert_eq!((new.protection, new.margin), (Some(Protection::Pending), None));
    assert_eq!(new.importing.as_ref().unwrap().job_name, "floe-import-x");
    assert!(!is_final(&new, Some(1)));

    let refused = Verdict::refused(Reason::DigestMismatch, "it has another");
    let new = status(&new, &refused, Findings::default(), Some(1), at(6));
    assert_eq!(ready(&new), ("False", "DigestMismatch"));
    assert!(condition::is_true(&new.conditions, STALLED));
    assert!(!condition::is_true(&new.conditions, PROGRESSING));
    assert_eq!(new.importing, None);
    assert!(is_final(&new, Some(1)) && !is_final(&new, Some(2)));
}

#[test]
fn the_committee_of_a_blob_is_recorded_once() {
    let first = status(&BlobStatus::default(), &Verdict::Certified, certified(), Some(1), at(5));
    let other = CommitteeReference { name: "other".into(), namespace: "floe".into() };
    let findings = Findings { keeper: Some(other), ..certified() };
    let again = status(&first, &Verdict::Certified, findings, Some(1), at(6));
    assert_eq!(again.committee_ref, first.committee_ref);
}

#[test]
fn a_blob_that_cannot_leave_says_why() {
    let old = status(&BlobStatus::default(), &Verdict::Certified, certified(), Some(1), at(5));
    let new = blocked(&old, "2 shards answer, 3 are needed", Some(2), at(6));
    assert!(condition::is_true(&new.conditions, DELETION_BLOCKED));
    assert_eq!(blocked(&new, "2 shards answer, 3 are needed", Some(2), at(7)), new);
}

fn record(shards: u16, unfilled: u16) -> EpochRecord {
    let key = RegistrarPublicKey([0; 32]);
    EpochRecord {
        committee: CommitteeId([1; 16]),
        number: EpochNumber(0),
        parent: NO_PARENT,
        forced: false,
        geometry: Geometry::of_shards(shards).unwrap(),
        policy: Policy::default(),
        registrars: vec![Registrar { role: RegistrarRole::Operator, key }],
        members: Vec::new(),
        unfilled: (0..unfilled).map(ShardIndex).collect(),
        wholes: Vec::new(),
    }
}

#[test]
fn protection_counts_what_is_unfilled_as_lost() {
    // n = 10, f = 3: 4 primaries decode.
    let table = [
        (0, (Protection::Full, 6)),
        (1, (Protection::Reduced, 5)),
        (3, (Protection::Reduced, 3)),
        (6, (Protection::AtRisk, 0)),
        (7, (Protection::Unreadable, 0)),
    ];
    for (unfilled, expected) in table {
        assert_eq!(protection(&record(10, unfilled)), expected, "{unfilled} unfilled");
    }
}

#[test]
fn sizes_are_shown_as_people_read_them() {
    let table = [
        (0, "0 B"),
        (12, "12 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1024 * 1024 - 1, "1.0 MiB"),
        (4_509_715_660, "4.2 GiB"),
        (4_508_876, "4.3 MiB"),
        (u64::MAX, "16.0 EiB"),
    ];
    for (bytes, expected) in table {
        assert_eq!(human(bytes), expected, "{bytes}");
    }
}
