use super::*;

#[test]
fn comments_and_literals_are_blanked_and_code_stays() {
    for (text, code) in [
        ("a // todo!()\nb", "a\nb"),
        ("a /* x /* y */ z */ b", "a b"),
        ("f(\"a \\\" mod x; \") g", "f( ) g"),
        ("r#\"mod \" x;\"# b", "b"),
        ("br\"\\\" c", "c"),
        ("'{' '\\'' '\\u{1f}' <'a> 'outer: b'x'", "<'a> 'outer: b"),
        ("r#mod = for_r\"x\"", "r#mod = for_r"),
        ("\"unclosed", ""),
    ] {
        let squeezed = |text: &str| text.replace("  ", " ").replace(' ', "");
        assert_eq!(squeezed(&blank(text)), squeezed(code), "{text}");
    }
    assert_eq!(blank("\"a\nb\"\n/*\n*/").matches('\n').count(), 3);
}

#[test]
fn test_items_are_cut_with_their_lines() {
    let code = "fn a() {}\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\nmod more {\n    fn b() { if x { y } }\n}\nstruct S {\n    #[cfg(test)]\n    probe: Vec<[u8; 4]>,\n    kept: u8,\n}\n";
    let found = production(code);
    let kept: Vec<_> = found.code.lines().map(str::trim).collect();
    assert_eq!(kept, ["fn a() {}", "", "", "", "", "", "", "struct S {", "", "", "kept: u8,", "}"]);
    assert_eq!(found.lines, 4);
}

#[test]
fn modules_are_followed_and_what_only_tests_see_is_known() {
    let sources = Sources::of(
        &[
            ("crates/a/src/lib.rs", "mod b;\nmod inline {\n    pub mod deep;\n}\n// mod lost;"),
            ("crates/a/src/b.rs", "mod c;\n#[cfg(test)]\nmod tests;"),
            ("crates/a/src/b/c.rs", ""),
            ("crates/a/src/b/tests.rs", "mod cases;"),
            ("crates/a/src/b/tests/cases.rs", ""),
            ("crates/a/src/inline/deep.rs", ""),
            ("crates/a/src/lost.rs", ""),
            ("crates/a/tests/whole.rs", "mod harness;"),
            ("crates/a/tests/harness/mod.rs", ""),
        ],
        &[("crates/a/src/lib.rs", true), ("crates/a/tests/whole.rs", false)],
    );
    let uses: Vec<_> =
        sources.files().map(|(path, _, how)| (path.to_str().unwrap(), how)).collect();
    assert_eq!(
        uses,
        [
            ("crates/a/src/b/c.rs", Use::Production),
            ("crates/a/src/b/tests/cases.rs", Use::Test),
            ("crates/a/src/b/tests.rs", Use::Test),
            ("crates/a/src/b.rs", Use::Production),
            ("crates/a/src/inline/deep.rs", Use::Production),
            ("crates/a/src/lib.rs", Use::Production),
            ("crates/a/src/lost.rs", Use::Undeclared),
            ("crates/a/tests/harness/mod.rs", Use::Test),
            ("crates/a/tests/whole.rs", Use::Test),
        ]
    );
}

#[test]
fn patterns_stand_as_a_whole() {
    let code = "std::fs::read(p)\nmy_fs::read(p)\nInstant::now()\nInstant::nowhere()\n";
    assert_eq!(lines_with(code, "fs::"), [1]);
    assert_eq!(lines_with(code, "Instant::now"), [3]);
}
