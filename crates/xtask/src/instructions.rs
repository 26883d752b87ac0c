//! Instructions that two cases of the codec take, held against recorded numbers: a guard against
//! regressions that does not depend on the load.
//!
//! They are counted under valgrind, because machines in the cloud let nobody read the counters of the
//! processor. It shows every program the same processor, with AVX2 and without AVX-512, whatever is
//! underneath: so the four-lane path is counted, and the numbers hold on every machine with AVX2.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, bail, ensure};
use rustix::process::geteuid;

use crate::test::is_ci;
use crate::workspace::{Workspace, cargo};

const RECORD: &str = "crates/redstuff/benches/instructions.txt";
const HEAD: &str = "# Instructions of one go of each case of instructions.rs, and the compiler that made them.\n\
                    # Written by `cargo xtask bench instructions`; `cargo xtask test instructions` compares.\n";
const CASES: [&str; 2] = ["encode", "rebuild"];
/// Goes in the two runs whose difference is taken, so that what comes before the first go falls out.
const GOES: (u64, u64) = (1, 3);
/// More than this is a regression.
const TOLERANCE_PERCENT: u64 = 3;
const TOOL: &str = "valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null";
/// Where the processor copies by itself, valgrind counts every step of it; versions of the C library
/// differ in when they use that.
const TUNABLES: &str = "glibc.cpu.hwcaps=-ERMS,-FSRM";

/// What was counted, and by which compiler the program was made.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    compiler: String,
    instructions: [u64; CASES.len()],
}

/// Counts and compares; what is wrong, if something is.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<()> {
    let has_avx2 = fs::read_to_string("/proc/cpuinfo").is_ok_and(|cpu| cpu.contains(" avx2"));
    if !has_avx2 {
        println!("not compared: the recorded numbers are those of machines with AVX2");
        return Ok(());
    }
    if let Err(error) = provide_tool() {
        ensure!(!is_ci(), "{error:#}");
        println!("not compared: {error:#}");
        return Ok(());
    }
    let path = workspace.root.join(RECORD);
    let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let (recorded, counted) = (Counts::parse(&text)?, Counts::take(workspace)?);
    print!("{}", counted.beside(&recorded));
    match counted.complaint(&recorded) {
        Some(complaint) => bail!("{complaint}"),
        None => Ok(()),
    }
}

/// Counts, and writes down what was counted.
pub(crate) fn record(workspace: &Workspace) -> anyhow::Result<()> {
    provide_tool()?;
    let path: PathBuf = workspace.root.join(RECORD);
    let before = fs::read_to_string(&path).ok().and_then(|text| Counts::parse(&text).ok());
    let counted = Counts::take(workspace)?;
    print!("{}", counted.beside(before.as_ref().unwrap_or(&counted)));
    fs::write(&path, counted.encode()).with_context(|| format!("write {}", path.display()))
}

/// Installs valgrind if it is missing and that is possible.
fn provide_tool() -> anyhow::Result<()> {
    let is_there = || {
        let output = Command::new("valgrind").arg("--version").output();
        output.is_ok_and(|output| output.status.success())
    };
    if is_there() {
        return Ok(());
    }
    ensure!(geteuid().is_root(), "valgrind is missing: install the package of that name");
    for arguments in [&["update", "--quiet"][..], &["install", "--quiet", "--yes", "valgrind"]] {
        println!("$ apt-get {}", arguments.join(" "));
        let status = Command::new("apt-get").args(arguments).status();
        let status = status.context("valgrind is missing, and apt-get did not start")?;
        ensure!(status.success(), "valgrind is missing, and apt-get ended with {status}");
    }
    ensure!(is_there(), "valgrind is missing after its package was installed");
    Ok(())
}

impl Counts {
    fn take(workspace: &Workspace) -> anyhow::Result<Self> {
        let mut instructions = [0; CASES.len()];
        for (case, instructions) in CASES.iter().zip(&mut instructions) {
            let few = count(workspace, case, GOES.0)?;
            let more = count(workspace, case, GOES.1)?;
            *instructions = more.saturating_sub(few) / (GOES.1 - GOES.0);
        }
        let compiler = Command::new("rustc").arg("--version").output();
        let compiler = String::from_utf8(compiler.context("rustc did not start")?.stdout)?;
        Ok(Self { compiler: compiler.trim().to_owned(), instructions })
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let line = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            line.with_context(|| format!("{RECORD} has no line that begins with `{name}: `"))
        };
        let mut instructions = [0; CASES.len()];
        for (case, instructions) in CASES.iter().zip(&mut instructions) {
            let number = line(case)?;
            *instructions =
                number.parse().with_context(|| format!("`{number}` in {RECORD} is no number"))?;
        }
        Ok(Self { compiler: line("compiler")?.to_owned(), instructions })
    }

    fn encode(&self) -> String {
        let mut text = format!("{HEAD}compiler: {}\n", self.compiler);
        for (case, instructions) in CASES.iter().zip(self.instructions) {
            let _ = writeln!(text, "{case}: {instructions}");
        }
        text
    }

    fn pairs(&self, recorded: &Self) -> impl Iterator<Item = (&'static str, u64, u64)> {
        let pairs = self.instructions.into_iter().zip(recorded.instructions);
        CASES.into_iter().zip(pairs).map(|(case, (now, then))| (case, now, then))
    }

    fn beside(&self, recorded: &Self) -> String {
        let mut text = String::new();
        for (case, now, then) in self.pairs(recorded) {
            let _ = writeln!(text, "{case}: {now} instructions, {then} recorded");
        }
        text
    }

    /// What takes more instructions than recorded, and what to do about it.
    fn complaint(&self, recorded: &Self) -> Option<String> {
        let is_more = |now: u64, then: u64| now * 100 > then * (100 + TOLERANCE_PERCENT);
        let worse: Vec<&str> = self
            .pairs(recorded)
            .filter_map(|(case, now, then)| is_more(now, then).then_some(case))
            .collect();
        if worse.is_empty() {
            return None;
        }
        let mut text = format!(
            "more than {TOLERANCE_PERCENT} % above the recorded instructions: {}; if it is worth it, run `cargo xtask bench instructions` \
             and commit {RECORD}",
            worse.join(", ")
        );
        if self.compiler != recorded.compiler {
            let _ =
                write!(text, " (recorded with {}, this is {})", recorded.compiler, self.compiler);
        }
        Some(text)
    }
}

/// Instructions of a whole run.
fn count(workspace: &Workspace, case: &str, goes: u64) -> anyhow::Result<u64> {
    let mut bench = cargo();
    bench.current_dir(&workspace.root);
    bench.args(["bench", "--quiet", "--locked", "--package", "floe-redstuff"]);
    bench.args(["--bench", "instructions", "--", case, &goes.to_string()]);
    bench.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", TOOL);
    bench.env("GLIBC_TUNABLES", TUNABLES);
    let output = bench.output().context("cargo bench did not start")?;
    let text = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "counting {case} failed ({}):\n{text}", output.status);
    counted(&text).with_context(|| format!("valgrind told no number of instructions:\n{text}"))
}

/// From `==17== I   refs:      110,605,454`.
fn counted(text: &str) -> Option<u64> {
    let line = text.lines().find(|line| line.contains("I   refs:"))?;
    let (_, number) = line.split_once("refs:")?;
    number.trim().replace(',', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(instructions: [u64; 2]) -> Counts {
        Counts { compiler: "rustc 1.95.0".to_owned(), instructions }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let counts = counts([18_695_764, 2_506_000]);
        assert_eq!(Counts::parse(&counts.encode()).unwrap(), counts);
        let error = Counts::parse("compiler: rustc\nencode: 1\n").unwrap_err();
        assert!(error.to_string().contains("`rebuild: `"), "{error}");
    }

    #[test]
    fn only_what_is_beyond_the_tolerance_is_a_regression() {
        let recorded = counts([1000, 1000]);
        assert_eq!(counts([1030, 10]).complaint(&recorded), None);
        let complaint = counts([1000, 1031]).complaint(&recorded).unwrap();
        assert!(complaint.contains("instructions: rebuild; "), "{complaint}");
        assert!(!complaint.contains("recorded with"));
        let other = Counts { compiler: "rustc 1.96.0".to_owned(), ..counts([1031, 1]) };
        let complaint = other.complaint(&recorded).unwrap();
        assert!(complaint.ends_with("(recorded with rustc 1.95.0, this is rustc 1.96.0)"));
    }

    #[test]
    fn the_number_is_found_among_warnings() {
        let text = "--1-- warning: L3 cache found\n==17== \n==17== I   refs:      110,605,454\n";
        assert_eq!(counted(text), Some(110_605_454));
        assert_eq!(counted("==17== refs"), None);
    }
}
