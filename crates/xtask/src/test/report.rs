//! The table at the end, and the counting of tests.

use std::fmt::Write;
use std::ops::Add;
use std::time::Duration;

use super::Family;

/// How one family went.
#[derive(Debug)]
pub(super) struct Row {
    /// Which.
    pub(super) family: Family,
    /// Wall time.
    pub(super) took: Duration,
    /// Where it has tests.
    pub(super) tests: Option<Count>,
    /// None = passed.
    pub(super) failure: Option<String>,
}

impl Row {
    /// The family's name.
    pub(super) fn name(&self) -> String {
        self.family.name()
    }
}

/// Tests by result.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl Count {
    /// From the line with which a test program closes:
    /// `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    pub(super) fn of_line(line: &str) -> Option<Self> {
        let (_, results) = line.strip_prefix("test result: ")?.split_once(". ")?;
        let number = |what: &str| {
            results.split("; ").find_map(|part| part.strip_suffix(what)?.trim().parse().ok())
        };
        Some(Self {
            passed: number("passed")?,
            failed: number("failed")?,
            ignored: number("ignored")?,
        })
    }
}

/// All rows, a line each, and the total.
pub(super) fn table(rows: &[Row]) -> String {
    let mut table = format!(
        "{:<12}{:>8}{:>10}{:>8}{:>9}  result\n",
        "family", "minutes", "passed", "failed", "ignored"
    );
    for row in rows {
        let result = if row.failure.is_none() { "ok" } else { "FAILED" };
        line(&mut table, &row.name(), row.took, row.tests, result);
    }
    let took = rows.iter().map(|row| row.took).sum();
    let tests = rows.iter().filter_map(|row| row.tests).reduce(Add::add);
    let failed = rows.iter().filter(|row| row.failure.is_some()).count();
    let result = match failed {
        0 => "ok".to_owned(),
        _ => format!("{failed} of {} families FAILED", rows.len()),
    };
    line(&mut table, "all", took, tests, &result);
    table
}

fn line(table: &mut String, name: &str, took: Duration, tests: Option<Count>, result: &str) {
    let minutes = took.as_secs_f64() / 60.0;
    let counts = tests.map_or_else(
        || format!("{:>10}{:>8}{:>9}", "-", "-", "-"),
        |count| format!("{:>10}{:>8}{:>9}", count.passed, count.failed, count.ignored),
    );
    // Writing to a string cannot fail.
    let _ = writeln!(table, "{name:<12}{minutes:>8.2}{counts}  {result}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_are_counted_from_closing_lines_only() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        assert_eq!(Count::of_line(line), Some(Count { passed: 3, failed: 2, ignored: 1 }));
        for other in
            ["running 3 tests", "test result::tests::parse ... ok", "test result: ok. oops"]
        {
            assert_eq!(Count::of_line(other), None, "{other}");
        }
    }

    #[test]
    fn the_table_adds_up_and_names_failures() {
        let row = |family, seconds, tests, failure: Option<&str>| Row {
            family,
            took: Duration::from_secs(seconds),
            tests,
            failure: failure.map(str::to_owned),
        };
        let count = Count { passed: 3, failed: 1, ignored: 0 };
        let rows = [
            row(Family::Format, 3, None, None),
            row(Family::Unit, 90, Some(count), Some("cargo test")),
            row(Family::Sim, 60, Some(count), None),
        ];
        assert_eq!(
            table(&rows),
            "family       minutes    passed  failed  ignored  result\n\
             format          0.05         -       -        -  ok\n\
             unit            1.50         3       1        0  FAILED\n\
             sim             1.00         3       1        0  ok\n\
             all             2.55         6       2        0  1 of 3 families FAILED\n"
        );
    }
}
