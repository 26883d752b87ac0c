use super::*;

const TOP: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

fn cases(file: &str) -> Vec<Map<String, Value>> {
    let text = fs::read_to_string(Path::new(TOP).join(file)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_reference_cases_agree() {
    assert_eq!(check_file(&Path::new(TOP).join(REFERENCE)).unwrap(), 26);
}

/// What the definition is worth as a judge of our own cases.
#[test]
fn the_plain_definition_computes_the_reference_cases() {
    let quick = |case: &Map<String, Value>| {
        case["length"].as_u64() < Some(500_000) && case["n"].as_u64() <= Some(301)
    };
    let computed = cases(REFERENCE).into_iter().filter(quick);
    let mut count = 0;
    for mut case in computed {
        let input = Input::of(&case).unwrap();
        case.insert("f".to_owned(), input.faulty.into());
        case.insert("kind".to_owned(), "stripe".into());
        same(&case, &stripe::plainly(input)).unwrap();
        count += 1;
    }
    assert_eq!(count, 19);
}

/// One field after the other altered, dropped and added, in one case of every kind.
#[test]
fn any_difference_is_named() {
    let mut seen = Vec::new();
    let files = OWN.iter().map(|(file, _)| *file).chain([REFERENCE]);
    for case in files.flat_map(cases) {
        let kind = case.get("kind").cloned();
        if seen.contains(&kind) || case.get("length") == Some(&0.into()) {
            continue;
        }
        seen.push(kind);
        check(&case).unwrap();
        for (field, value) in &case {
            let mut altered = case.clone();
            altered.insert(field.clone(), other(value));
            check(&altered).expect_err(field);
            altered.remove(field);
            if field != "f" && field != "kind" {
                check(&altered).expect_err(field);
            }
        }
        let mut longer = case.clone();
        longer.insert("more".to_owned(), 1.into());
        assert!(check(&longer).unwrap_err().to_string().contains("more"));
    }
    assert_eq!(seen.len(), 5);
}

/// Something else of the same type; of lists and objects, the last item is changed.
fn other(value: &Value) -> Value {
    match value {
        Value::Number(number) => (number.as_u64().unwrap() + 1).into(),
        Value::Array(items) => {
            let (last, first) = items.split_last().unwrap();
            first.iter().cloned().chain([other(last)]).collect()
        }
        Value::Object(fields) => {
            let mut fields = fields.clone();
            let last = fields.values_mut().next_back().unwrap();
            *last = other(last);
            Value::Object(fields)
        }
        _ => "other".into(),
    }
}

#[test]
fn a_stale_line_is_named() {
    assert!(current("a\nb\n", "a\nb\n").is_ok());
    let error = current("a\nb\n", "a\nc\n").unwrap_err().to_string();
    assert!(error.starts_with("line 2 "), "{error}");
    assert!(current("a\n", "a\nb\n").is_err());
    assert!(current("a\nb\n", "a\n").is_err());
}
