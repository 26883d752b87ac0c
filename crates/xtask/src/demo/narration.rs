//! What the demo shows while it runs: acts, steps, checks, bars.

use std::fmt::Write as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A heading.
pub(super) fn act(title: &str) {
    println!("\n{title}");
}

/// Something that happened.
pub(super) fn step(text: &str) {
    println!("  {text}");
}

/// The claims of the story, and which of them failed.
#[derive(Debug, Default)]
pub(super) struct Checks {
    failed: Vec<String>,
}

impl Checks {
    /// Something that must be true.
    pub(super) fn check(&mut self, holds: bool, claim: &str) {
        println!("  {} {claim}", if holds { "ok    " } else { "FAILED" });
        if !holds {
            self.failed.push(claim.to_owned());
        }
    }

    /// The checks that failed.
    pub(super) fn failed(&self) -> &[String] {
        &self.failed
    }
}

/// A bar over bytes; hidden unless standard error is a terminal.
pub(super) fn bytes_bar(what: &str, bytes: u64) -> ProgressBar {
    bar(what, bytes, "  {msg} {wide_bar} {binary_bytes}/{binary_total_bytes} {eta}")
}

/// A bar over countable things; hidden unless standard error is a terminal.
pub(super) fn count_bar(what: &str, count: u64) -> ProgressBar {
    bar(what, count, "  {msg} {wide_bar} {pos}/{len} {elapsed}")
}

fn bar(what: &str, length: u64, template: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(template);
    ProgressBar::new(length)
        .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        .with_message(what.to_owned())
}

/// `268.4 MB`.
pub(super) fn megabytes(bytes: u64) -> String {
    format!("{} MB", decimal(u128::from(bytes), 1_000_000, 1))
}

/// `86.1 MB/s`.
pub(super) fn rate(bytes: u64, took: Duration) -> String {
    // Bytes per microsecond are megabytes per second.
    format!("{} MB/s", decimal(u128::from(bytes), took.as_micros(), 1))
}

/// `3.1 s`.
pub(super) fn seconds(took: Duration) -> String {
    format!("{} s", decimal(took.as_millis(), 1000, 1))
}

/// `over / under` with so many digits behind the point, rounded; `-` without an `under`.
pub(super) fn decimal(over: u128, under: u128, digits: u32) -> String {
    if under == 0 {
        return "-".to_owned();
    }
    let scale = 10_u128.pow(digits);
    let scaled = (over * scale + under / 2) / under;
    format!("{}.{:0width$}", scaled / scale, scaled % scale, width = digits as usize)
}

/// Rows of (what, value, remark) in columns.
pub(super) fn table(rows: &[[String; 3]]) -> String {
    let width =
        |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (first, second) = (width(0), width(1));
    let mut text = String::new();
    for [what, value, remark] in rows {
        let line = format!("  {what:first$}  {value:>second$}  {remark}");
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!(megabytes(268_435_456), "268.4 MB");
        assert_eq!(rate(268_435_456, Duration::from_secs(2)), "134.2 MB/s");
        assert_eq!(rate(1, Duration::ZERO), "- MB/s");
        assert_eq!(seconds(Duration::from_millis(3149)), "3.1 s");
        assert_eq!(decimal(1_049, 1_000, 3), "1.049");
        assert_eq!(decimal(1_999, 1_000, 2), "2.00");
    }

    #[test]
    fn a_failed_check_is_remembered() {
        let mut checks = Checks::default();
        checks.check(true, "one");
        checks.check(false, "two");
        assert_eq!(checks.failed(), ["two"]);
    }
}
