use super::*;

const OWN: &str = "floe-operator-a";

fn sight(holder: Option<&str>, since_seconds: u64) -> Sight {
    Sight {
        holder: holder.map(str::to_owned),
        lasts: Duration::from_secs(15),
        version: Some("7".to_owned()),
        since: Duration::from_secs(since_seconds),
    }
}

#[test]
fn a_lease_is_taken_when_it_is_nobodys_and_no_sooner() {
    let now = Duration::from_secs(100);
    let table = [
        ("there is none", None, Step::Create),
        ("given back", Some(sight(None, 100)), Step::Take),
        ("given back by an older client", Some(sight(Some(""), 100)), Step::Take),
        ("ours", Some(sight(Some(OWN), 100)), Step::Renew),
        ("ours, and long not renewed", Some(sight(Some(OWN), 0)), Step::Renew),
        ("another's, just seen", Some(sight(Some("b"), 100)), Step::Wait),
        ("another's, almost silent", Some(sight(Some("b"), 86)), Step::Wait),
        ("another's, silent", Some(sight(Some("b"), 85)), Step::Take),
    ];
    for (what, sight, step) in table {
        assert_eq!(decide(sight.as_ref(), OWN, now), step, "{what}");
    }
}

fn lease(holder: &str, version: &str) -> Lease {
    Lease {
        metadata: ObjectMeta {
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(15),
            // Long ago by the writer's clock: nobody believes it.
            renew_time: Some(MicroTime(Timestamp::UNIX_EPOCH)),
            ..LeaseSpec::default()
        }),
    }
}

#[test]
fn silence_is_counted_from_the_first_sight_of_what_did_not_change() {
    let times = LeaseTimes::default();
    let at = Duration::from_secs;
    let first = look(&lease("b", "1"), None, at(100), times);
    assert_eq!(decide(Some(&first), OWN, at(100)), Step::Wait);
    let same = look(&lease("b", "1"), Some(&first), at(114), times);
    assert_eq!(decide(Some(&same), OWN, at(114)), Step::Wait);
    let renewed = look(&lease("b", "2"), Some(&same), at(115), times);
    assert_eq!(decide(Some(&renewed), OWN, at(129)), Step::Wait);
    let silent = look(&lease("b", "2"), Some(&renewed), at(130), times);
    assert_eq!(decide(Some(&silent), OWN, at(130)), Step::Take);
}
