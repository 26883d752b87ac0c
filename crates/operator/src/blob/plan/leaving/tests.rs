use super::*;

const SOON: Duration = Duration::from_secs(1);

fn leaving() -> Leaving {
    Leaving {
        retain: false,
        keeper: Keeper::Runs,
        since: SOON,
        was_certified: false,
        content: None,
        closed: None,
        handed_on: false,
        stored: None,
    }
}

fn farewell(facts: &Leaving) -> String {
    match leave(facts) {
        Farewell::LetGo(ending) => format!("{ending:?}"),
        Farewell::Wait(_) => "wait".to_owned(),
        other => format!("{other:?}"),
    }
}

#[test]
fn a_blob_leaves_when_its_release_is_stored_and_not_on_the_absence_of_anything() {
    let certified = Content::Certified { sha256: [1; 32], by_enough: false };
    let unknown = Content::Unknown { answered: 2, needed: 3 };
    let content = |content| Leaving { content: Some(content), ..leaving() };
    let closed = |closed| Leaving { closed: Some(closed), ..content(Content::Absent) };
    let few = Closed::TooFew { answered: 2, needed: 3 };
    let table = [
        (Leaving { retain: true, ..leaving() }, "Retained"),
        (Leaving { keeper: Keeper::None, ..leaving() }, "Nothing"),
        (Leaving { keeper: Keeper::Gone, ..leaving() }, "CommitteeGone"),
        (Leaving { keeper: Keeper::Away, ..leaving() }, "wait"),
        (leaving(), "Look"),
        (content(certified), "Release"),
        (content(Content::Released), "Release"),
        (content(unknown.clone()), "wait"),
        (Leaving { was_certified: true, ..content(unknown) }, "Release"),
        (Leaving { was_certified: true, ..content(Content::Absent) }, "Release"),
        (content(Content::Absent), "Close"),
        (closed(few), "wait"),
        (closed(Closed::Yes), "Release"),
        (closed(Closed::Certified), "HandOn"),
        (Leaving { handed_on: true, ..closed(Closed::Certified) }, "Release"),
        (Leaving { stored: Some((2, 3)), ..closed(Closed::Yes) }, "wait"),
        (Leaving { stored: Some((3, 3)), ..closed(Closed::Yes) }, "Released"),
    ];
    for (facts, expected) in table {
        assert_eq!(farewell(&facts), expected, "{facts:?}");
        // After ten minutes nothing is waited for; what can be done is done.
        let late = Leaving { since: LONGEST_FAREWELL, ..facts };
        let expected = if expected == "wait" { "Orphaned" } else { expected };
        assert_eq!(farewell(&late), expected, "{late:?}");
    }
}
