use serde_json::json;

use super::*;

/// A dependency made up from its name and kind.
type Edge<'a> = (&'a str, Option<&'a str>);

/// Members made up from their names and dependencies.
fn members(packages: &[(&str, &[Edge<'_>])]) -> Vec<Member> {
    packages.iter().map(|(name, dependencies)| member(name, dependencies, &[])).collect()
}

fn member(name: &str, dependencies: &[Edge<'_>], features: &[&str]) -> Member {
    let dependencies: Vec<_> = dependencies
        .iter()
        .map(|(name, kind)| {
            json!({"name": name, "kind": kind, "features": features, "uses_default_features": false})
        })
        .collect();
    serde_json::from_value(json!({
        "name": name,
        "manifest_path": format!("/floe/{name}/Cargo.toml"),
        "dependencies": dependencies,
        "targets": [],
    }))
    .unwrap()
}

#[test]
fn allowed_edges_pass() {
    let members = members(&[
        ("floe-model", &[("thiserror", None), ("tokio", Some("dev"))]),
        ("floe-redstuff", &[("floe-model", None)]),
        ("floe-tests", &[("floe-redstuff", None), ("tokio", None)]),
    ]);
    assert_eq!(edges(&members), [""; 0]);
}

#[test]
fn a_foreign_edge_between_our_crates_is_named_whatever_its_kind() {
    for kind in [None, Some("dev"), Some("build")] {
        let members = members(&[
            ("floe-model", &[]),
            ("floe-redstuff", &[("floe-model", None), ("floe-store", kind)]),
            ("floe-store", &[("floe-redstuff", None)]),
        ]);
        assert_eq!(edges(&members), ["redstuff -> store: redstuff may use only model"]);
    }
    let members = members(&[("floe-model", &[("floe-env", None)]), ("floe-env", &[])]);
    assert_eq!(edges(&members), ["model -> env: model may use none of our crates"]);
}

#[test]
fn a_foreign_package_is_named_with_the_rule() {
    let members = members(&[
        ("floe-plan", &[("tokio", None)]),
        ("floe-store", &[("hyper", Some("build"))]),
        ("floe-sidecar", &[("kube", None), ("axum", None)]),
    ]);
    assert_eq!(
        edges(&members),
        [
            "plan -> tokio: plan must not contain an async runtime",
            "store -> hyper: store must not contain HTTP",
            "sidecar -> kube: sidecar must not contain kube",
        ]
    );
}

#[test]
fn a_ban_on_a_feature_lets_the_package_pass_without_it() {
    let kube = [("kube", None)];
    assert_eq!(edges(&[member("floe-crd", &kube, &["derive"])]), [""; 0]);
    assert_eq!(
        edges(&[member("floe-crd", &kube, &["derive", "client"])]),
        ["crd -> kube: crd must not contain kube's client"]
    );
}

#[test]
fn an_unknown_crate_needs_a_row() {
    let members = members(&[("floe-extras", &[])]);
    assert_eq!(edges(&members), ["extras: not in the table of layers; add a row for it"]);
}

#[test]
fn rows_are_unique_and_name_only_rows() {
    for (at, row) in CRATES.iter().enumerate() {
        assert!(CRATES.iter().skip(at + 1).all(|other| other.name != row.name), "{}", row.name);
        if let Uses::Only(allowed) = row.may_use {
            assert!(allowed.iter().all(|name| rule(name).is_some()), "{}", row.name);
        }
    }
}

#[test]
fn lints_must_come_from_the_workspace() {
    assert!(inherits_lints("[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n"));
    assert!(!inherits_lints(
        "[package]\nname = \"a\"\n[lints.rust]\n[dependencies]\nworkspace = true\n"
    ));
}

#[test]
fn banned_packages_are_found_in_the_lock() {
    let lock = "[[package]]\nname = \"ring\"\n\n[[package]]\nname = \"aws-lc-rs\"\n";
    let found = banned_packages(lock);
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("aws-lc-rs is banned"), "{found:?}");
}

#[test]
fn only_env_and_binaries_lift_the_ban_and_tests() {
    let lift = "#![expect(clippy::disallowed_methods, reason = \"\")]\n";
    let in_test = "fn a() {}\n#[cfg(test)]\n#[expect(clippy::disallowed_methods)]\nmod tests {}\n";
    let sources = Sources::of(
        &[
            ("crates/env/src/real/disk.rs", lift),
            ("crates/floe/src/main.rs", lift),
            ("crates/store/src/lib.rs", lift),
            ("crates/steward/src/lib.rs", in_test),
        ],
        &[
            ("crates/env/src/real/disk.rs", true),
            ("crates/floe/src/main.rs", true),
            ("crates/store/src/lib.rs", true),
            ("crates/steward/src/lib.rs", true),
        ],
    );
    let found = lifted_bans(&sources);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("crates/store/src/lib.rs:1: lifts"), "{found:?}");
}
