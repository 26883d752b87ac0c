use super::*;

/// What is found in one production file.
fn in_file(path: &str, text: &str) -> Vec<String> {
    problems(&Sources::of(&[(path, text)], &[(path, true)]))
}

#[test]
fn the_budget_counts_lines_without_test_items() {
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "    x();\n".repeat(50));
    let at_budget = "line\n".repeat(500) + &tests;
    assert_eq!(in_file("crates/a/src/lib.rs", &at_budget), [""; 0]);
    let above = "line\n".repeat(501) + &tests;
    let found = in_file("crates/a/src/lib.rs", &above);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("501 lines without tests"), "{found:?}");
}

#[test]
fn test_files_may_be_long() {
    let root = ("crates/a/src/lib.rs", "#[cfg(test)]\nmod tests;\n");
    let long = "line\n".repeat(900);
    let sources = Sources::of(&[root, ("crates/a/src/tests.rs", &long)], &[(root.0, true)]);
    assert_eq!(problems(&sources), [""; 0]);
}

#[test]
fn leftovers_are_found_in_code_only() {
    let text = "// todo!\nfn a() { let t = \"dbg!\"; my_todo!(); }\nfn b() { todo!() }\n";
    assert_eq!(in_file("crates/a/src/lib.rs", text), ["crates/a/src/lib.rs:3: todo! left over"]);
}

#[test]
fn files_that_no_module_declares_are_listed() {
    let root = ("crates/a/src/lib.rs", "");
    let sources = Sources::of(&[root, ("crates/a/src/lost.rs", "")], &[(root.0, true)]);
    let found = problems(&sources);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("crates/a/src/lost.rs: no module declares"), "{found:?}");
}

#[test]
fn names_without_meaning_are_refused() {
    for path in ["crates/a/src/utils.rs", "crates/a/src/common/io.rs", "crates/a/src/io/mod.rs"] {
        assert_eq!(in_file(path, "").len(), 1, "{path}");
    }
    assert_eq!(in_file("crates/a/src/community.rs", ""), [""; 0]);
}
