//! The families of checks, in the order in which they run: what fails fast comes first.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::Context;
use clap::ValueEnum;

use super::Options;
use super::fuzz;
use super::kubernetes;
use super::report::Count;
use crate::artefact::artefact;
use crate::workspace::{Workspace, cargo};
use crate::{generate, instructions, layers, sizes, vectors};

/// One family of checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Family {
    /// rustfmt
    Format,
    /// which crate may use which, and what it must not contain
    Layers,
    /// lengths of files, names, leftovers, files no module declares
    Sizes,
    /// files made from code are what the code says
    Generated,
    /// clippy, warnings are errors
    Lints,
    /// tests inside the crates
    Unit,
    /// documentation without warnings, its examples run
    Doc,
    /// cases kept as data, bit for bit: the reference codec's and ours
    Conformance,
    /// decoders of bytes from outside: mutants; with --slow a minute each under libFuzzer
    Fuzz,
    /// instructions of two cases of the codec, under valgrind
    Instructions,
    /// the model of the epochs' rules: every order of steps, as far as it goes
    Models,
    /// real processes with the release binary
    Node,
    /// the same code in a deterministic simulation
    Sim,
    /// a real Kubernetes: its API server alone, and whole clusters of several nodes
    K8s,
}

/// How a family went: tests counted where there are any, what failed if something did.
#[derive(Debug, Default)]
pub(super) struct Ran {
    /// Tests by result.
    pub(super) tests: Option<Count>,
    /// None = passed.
    pub(super) failure: Option<String>,
}

impl Family {
    /// As typed on the command line.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it checks: the help text of its name.
    pub(super) fn purpose(self) -> String {
        let value = self.to_possible_value();
        value.and_then(|value| value.get_help().map(ToString::to_string)).unwrap_or_default()
    }

    /// Runs it. An error means that it could not run, which counts as failed.
    pub(super) fn run(self, workspace: &Workspace, options: &Options) -> anyhow::Result<Ran> {
        match self {
            Self::Format => steps(&mut [check(workspace, "fmt --all --check")]),
            Self::Layers => layers::run(workspace).map(|()| Ran::default()),
            Self::Sizes => sizes::run(workspace).map(|()| Ran::default()),
            Self::Generated => generate::check(workspace).map(|()| Ran::default()),
            Self::Lints => steps(&mut [check(
                workspace,
                "clippy --workspace --all-targets --locked -- -D warnings",
            )]),
            Self::Unit => {
                let mut unit = tests(workspace, options, "--lib --bins");
                unit.args(integration_tests(workspace));
                steps(&mut [unit])
            }
            Self::Doc => {
                let mut build = check(workspace, "doc --workspace --no-deps --locked");
                build.env("RUSTDOCFLAGS", "-D warnings");
                steps(&mut [build, tests(workspace, options, "--doc")])
            }
            Self::Conformance => vectors::conform(workspace).map(|()| Ran::default()),
            Self::Fuzz => {
                let mut ran = steps(&mut [tests(workspace, options, "--test fuzz_*")])?;
                if options.slow
                    && let Err(error) = fuzz::guided(workspace)
                {
                    ran.failure.get_or_insert(format!("{error:#}"));
                }
                Ok(ran)
            }
            Self::Instructions => instructions::check(workspace).map(|()| Ran::default()),
            Self::Models => {
                let deep = if options.slow { " -- --deep" } else { "" };
                let line = format!("run --release --locked -p floe-models{deep}");
                steps(&mut [check(workspace, &line)])
            }
            Self::Node => running_system(workspace, options, "node_", |command| {
                command.env("FLOE_BIN", artefact(workspace)?);
                Ok(())
            }),
            Self::Sim => running_system(workspace, options, "sim_", |_| Ok(())),
            Self::K8s => kubernetes::run(workspace, options),
        }
    }
}

/// The tests in `tests/tests` whose names begin with `prefix`.
pub(super) fn running_system(
    workspace: &Workspace,
    options: &Options,
    prefix: &str,
    prepare: impl FnOnce(&mut Command) -> anyhow::Result<()>,
) -> anyhow::Result<Ran> {
    let exist = test_targets(workspace, true).any(|name| name.starts_with(prefix));
    if !exist {
        println!("no tests yet");
        return Ok(Ran::default());
    }
    let mut command = tests(workspace, options, &format!("--test {prefix}*"));
    prepare(&mut command)?;
    steps(&mut [command])
}

/// Names of the tests in `tests/` folders: of the member `floe-tests`, or of all others.
fn test_targets(workspace: &Workspace, of_running_systems: bool) -> impl Iterator<Item = &str> {
    let members = workspace
        .members
        .iter()
        .filter(move |member| (member.name == "floe-tests") == of_running_systems);
    members.flat_map(|member| &member.targets).filter_map(|target| {
        let is_test = target.kind.iter().any(|kind| kind == "test");
        is_test.then_some(target.name.as_str())
    })
}

/// Selects the integration tests of the crates one by one. Selecting packages instead would build
/// everything again with other features than the other families use.
fn integration_tests(workspace: &Workspace) -> Vec<&str> {
    let units = test_targets(workspace, false).filter(|name| !name.starts_with("fuzz_"));
    units.flat_map(|name| ["--test", name]).collect()
}

/// `cargo LINE` in the top folder.
fn check(workspace: &Workspace, line: &str) -> Command {
    let mut command = cargo();
    command.current_dir(&workspace.root).args(line.split(' '));
    command
}

/// `cargo test` for the targets that `selection` names, with what tests read from the environment.
fn tests(workspace: &Workspace, options: &Options, selection: &str) -> Command {
    let mut command =
        check(workspace, &format!("test --workspace --locked --no-fail-fast {selection}"));
    if options.slow {
        command.env("FLOE_SLOW", "1");
    }
    if let Some(seed) = options.seed {
        command.env("FLOE_SEED", seed.to_string());
    }
    command
}

/// Runs the commands, all of them, and counts the tests that they report.
fn steps(commands: &mut [Command]) -> anyhow::Result<Ran> {
    let mut ran = Ran::default();
    for command in commands {
        println!("$ {}", shown(command));
        let mut child = command.stdout(Stdio::piped()).spawn().context("cargo did not start")?;
        let output = child.stdout.take().context("cargo has no output")?;
        for line in BufReader::new(output).split(b'\n') {
            let line = line.context("read cargo's output")?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            if let Some(count) = Count::of_line(&line) {
                ran.tests = Some(ran.tests.unwrap_or_default() + count);
            }
        }
        let status = child.wait().context("wait for cargo")?;
        if !status.success() {
            ran.failure = Some(format!("`{}` ended with {status}", shown(command)));
        }
    }
    Ok(ran)
}

fn shown(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|part| part.to_string_lossy()).collect();
    format!("cargo {}", arguments.join(" "))
}
