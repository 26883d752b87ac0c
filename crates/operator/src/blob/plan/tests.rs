use super::*;

const GOOD: [u8; 32] = [1; 32];
const OTHER: [u8; 32] = [2; 32];
const DAY: Duration = Duration::from_hours(24);

fn facts(origin: Origin) -> Facts {
    Facts {
        origin,
        digest: None,
        age: Duration::from_secs(3),
        content: Some(Content::Absent),
        handed_on: false,
        put: None,
        import: None,
        entry: None,
        closed: None,
    }
}

fn upload() -> Facts {
    facts(Origin::Upload { expire_after: DAY })
}

fn inline() -> Facts {
    facts(Origin::Inline(Ok(GOOD)))
}

fn config_map() -> Facts {
    facts(Origin::ConfigMap("ConfigMap shop/x, key y".to_owned()))
}

/// The step as a word: what is done, or the reason with how it is meant.
fn step(facts: &Facts) -> String {
    match next(facts) {
        Step::Settle(Verdict::Certified, _) => "certified".to_owned(),
        Step::Settle(Verdict::Waiting { reason, .. }, _) => format!("wait {}", reason.word()),
        Step::Settle(Verdict::Refused { reason, .. }, _) => format!("refuse {}", reason.word()),
        Step::Import(sha256) => format!("import {}", sha256[0]),
        other => format!("{other:?}"),
    }
}

#[test]
fn content_decides_before_anything_else() {
    let certified = |by_enough| Content::Certified { sha256: GOOD, by_enough };
    let unknown = Content::Unknown { answered: 2, needed: 3 };
    let table = [
        (None, None, false, "Look"),
        (Some(unknown), None, false, "wait CommitteeNotReady"),
        (Some(Content::Released), None, false, "refuse ContentMissing"),
        (Some(certified(true)), None, false, "certified"),
        (Some(certified(true)), Some(GOOD), false, "certified"),
        (Some(certified(true)), Some(OTHER), false, "refuse DigestMismatch"),
        (Some(certified(false)), Some(OTHER), false, "refuse DigestMismatch"),
        (Some(certified(false)), None, false, "HandOn"),
        (Some(certified(false)), None, true, "wait Importing"),
    ];
    for origin in [upload(), inline(), config_map()] {
        for (content, digest, handed_on, expected) in table.clone() {
            let facts = Facts { digest, content, handed_on, ..origin.clone() };
            assert_eq!(step(&facts), expected, "{facts:?}");
        }
    }
}

#[test]
fn an_upload_is_awaited_and_closed_when_nobody_came() {
    let closed = |closed| Facts { age: DAY, closed, ..upload() };
    let few = Closed::TooFew { answered: 2, needed: 3 };
    let table = [
        (upload(), "wait AwaitingUpload"),
        (Facts { age: DAY.saturating_sub(SOON), ..upload() }, "wait AwaitingUpload"),
        (closed(None), "Close"),
        (closed(Some(few)), "wait CommitteeNotReady"),
        (closed(Some(Closed::Yes)), "refuse UploadExpired"),
        (closed(Some(Closed::Certified)), "HandOn"),
        (Facts { handed_on: true, ..closed(Some(Closed::Certified)) }, "wait Importing"),
    ];
    for (facts, expected) in table {
        assert_eq!(step(&facts), expected, "{facts:?}");
    }
}

#[test]
fn a_young_upload_is_looked_at_more_often_than_an_old_one() {
    let table = [
        (Duration::ZERO, SOON),
        (Duration::from_secs(30), Duration::from_secs(3)),
        (Duration::from_hours(1), LATER),
        (DAY.saturating_sub(Duration::from_secs(2)), Duration::from_secs(2)),
        (DAY.saturating_sub(Duration::from_millis(1)), SOON),
    ];
    for (age, expected) in table {
        let Step::Settle(_, again) = next(&Facts { age, ..upload() }) else { panic!("{age:?}") };
        assert_eq!(again, expected, "{age:?}");
    }
}

#[test]
fn inline_content_is_put_once_a_turn() {
    let put = |put| Facts { put: Some(put), ..inline() };
    let odd = facts(Origin::Inline(Err("no base64".to_owned())));
    let table = [
        (inline(), "Put"),
        (Facts { digest: Some(GOOD), ..inline() }, "Put"),
        (Facts { digest: Some(OTHER), ..inline() }, "refuse DigestMismatch"),
        (odd, "refuse ImportFailed"),
        (put(Put::Stored), "wait Importing"),
        (put(Put::Failed("busy".to_owned())), "wait Importing"),
        (put(Put::Refused("taken".to_owned())), "refuse ImportFailed"),
    ];
    for (facts, expected) in table {
        assert_eq!(step(&facts), expected, "{facts:?}");
    }
}

#[test]
fn a_config_map_is_imported_by_one_job_as_it_is_when_the_job_begins() {
    let import = |import| Facts { import: Some(import), ..config_map() };
    let entry = |entry, digest| Facts { entry: Some(entry), digest, ..import(Import::None) };
    let failed = |ago| Import::Failed { message: "no".to_owned(), ago };
    let most = MOST_CONFIG_MAP_BYTES;
    let table = [
        (config_map(), "SeeImport"),
        (import(Import::None), "SeeEntry"),
        (entry(Entry::NoConfigMap, None), "wait ImportFailed"),
        (entry(Entry::NoKey, None), "wait ImportFailed"),
        (entry(Entry::Bytes(most + 1, GOOD), None), "refuse ImportFailed"),
        (entry(Entry::Bytes(most, GOOD), None), "import 1"),
        (entry(Entry::Bytes(0, GOOD), Some(GOOD)), "import 1"),
        (entry(Entry::Bytes(0, OTHER), Some(GOOD)), "refuse DigestMismatch"),
        (import(Import::Running), "wait Importing"),
        (import(Import::Foreign), "wait Importing"),
        (import(Import::Done), "wait Importing"),
        (import(Import::Changed), "DropImport"),
        (import(failed(SOON)), "wait ImportFailed"),
        (import(failed(IMPORT_PAUSE)), "DropImport"),
    ];
    for (facts, expected) in table {
        assert_eq!(step(&facts), expected, "{facts:?}");
    }
}

#[test]
fn messages_name_what_is_wrong_and_what_to_do() {
    let said = |facts: &Facts| match next(facts) {
        Step::Settle(Verdict::Waiting { message, .. } | Verdict::Refused { message, .. }, _) => {
            message
        }
        other => panic!("{other:?}"),
    };
    let missing = Facts { import: Some(Import::None), entry: Some(Entry::NoKey), ..config_map() };
    assert_eq!(said(&missing), "ConfigMap shop/x, key y: the ConfigMap has no such key; add it");
    let digests = ("01".repeat(32), "02".repeat(32));
    assert_eq!(
        said(&Facts { digest: Some(OTHER), ..inline() }),
        format!(
            "spec.source.inline has sha256:{}, spec.digest says {}; create a Blob with the right digest",
            digests.0, digests.1
        )
    );
}
