//! `cargo xtask layers`: which crate may use which, and what it must not contain (`table`).
//! Looks at direct edges, as the manifests declare them.

mod table;
#[cfg(test)]
mod tests;

use std::fs;

use anyhow::Context;

use self::table::{BANNED_PACKAGES, Ban, CRATES, MAY_LIFT_THE_BAN, Rule, Uses};
use crate::source::{Sources, Use, blank, lines_with, production};
use crate::workspace::{Dependency, DependencyKind, Member, Workspace, report};

/// Checks the workspace.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let mut problems = edges(&workspace.members);
    for member in &workspace.members {
        let manifest = fs::read_to_string(&member.manifest)
            .with_context(|| format!("read {}", member.manifest.display()))?;
        if !inherits_lints(&manifest) {
            problems
                .push(format!("{}: its Cargo.toml lacks `[lints] workspace = true`", member.name));
        }
    }
    let lock = fs::read_to_string(workspace.root.join("Cargo.lock")).context("read Cargo.lock")?;
    problems.extend(banned_packages(&lock));
    problems.extend(lifted_bans(&Sources::load(workspace)?));
    report("layers", &problems)
}

/// What a crate is called in the table: its package name without `floe-`.
fn short_name(package: &str) -> &str {
    package.strip_prefix("floe-").unwrap_or(package)
}

fn rule(name: &str) -> Option<&'static Rule> {
    CRATES.iter().find(|rule| rule.name == name)
}

/// Every edge that the table does not allow.
fn edges(members: &[Member]) -> Vec<String> {
    let mut problems = Vec::new();
    for member in members {
        let name = short_name(&member.name);
        let Some(rule) = rule(name) else {
            problems.push(format!("{name}: not in the table of layers; add a row for it"));
            continue;
        };
        for dependency in &member.dependencies {
            let ours = members.iter().any(|other| other.name == dependency.name);
            let problem =
                if ours { inner_edge(rule, dependency) } else { outer_edge(rule, dependency) };
            problems.extend(problem);
        }
    }
    problems
}

/// An edge to one of our crates; those of tests count too.
fn inner_edge(rule: &Rule, dependency: &Dependency) -> Option<String> {
    let target = short_name(&dependency.name);
    let Uses::Only(allowed) = rule.may_use else { return None };
    let from = rule.name;
    (!allowed.contains(&target)).then(|| match allowed {
        [] => format!("{from} -> {target}: {from} may use none of our crates"),
        allowed => format!("{from} -> {target}: {from} may use only {}", allowed.join(", ")),
    })
}

/// An edge to a foreign crate; tests may use what they like.
fn outer_edge(rule: &Rule, dependency: &Dependency) -> Option<String> {
    if dependency.kind == Some(DependencyKind::Dev) {
        return None;
    }
    let ban = rule.must_not_contain.iter().find(|ban| ban.forbids(dependency))?;
    let from = rule.name;
    Some(format!("{from} -> {}: {from} must not contain {}", dependency.name, ban.what))
}

impl Ban {
    /// Whether it names this package, or a feature of it that is on.
    fn forbids(&self, dependency: &Dependency) -> bool {
        self.packages.iter().any(|banned| match banned.split_once('/') {
            None => *banned == dependency.name,
            Some((package, feature)) => {
                package == dependency.name
                    && (dependency.features.iter().any(|on| on == feature)
                        || feature == "default" && dependency.uses_default_features)
            }
        })
    }
}

/// Whether a manifest takes its lints from the workspace.
fn inherits_lints(manifest: &str) -> bool {
    let mut section = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        section == "[lints]" && line.replace(' ', "") == "workspace=true"
    })
}

/// Packages in Cargo.lock that no build of ours may hold.
fn banned_packages(lock: &str) -> Vec<String> {
    let names = lock.lines().filter_map(|line| line.strip_prefix("name = ")?.split('"').nth(1));
    names
        .filter(|name| BANNED_PACKAGES.contains(name))
        .map(|name| {
            format!("Cargo.lock: {name} is banned (deny.toml); find who pulls it in: cargo tree -i {name}")
        })
        .collect()
}

/// Production code that lifts clippy's ban on what belongs to `floe-env`.
fn lifted_bans(sources: &Sources) -> Vec<String> {
    let mut problems = Vec::new();
    for (path, text, how) in sources.files() {
        let may = MAY_LIFT_THE_BAN.iter().any(|place| path.starts_with(place));
        if may || how != Use::Production {
            continue;
        }
        let code = production(&blank(text)).code;
        problems.extend(lines_with(&code, "clippy::disallowed_methods").iter().map(|line| {
            format!(
                "{}:{line}: lifts the ban on what belongs to floe-env; take it from Env",
                path.display()
            )
        }));
    }
    problems
}
