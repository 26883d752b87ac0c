//! What the codec must reach, held against the figures of a run.

use std::fmt::Write as _;

use super::Line;

/// What is asked of a figure. Ratios are to the floor of the same run, so they hold on any machine.
enum Want {
    Ratio(f64),
    AtLeast(f64),
    Below(f64),
}

struct Goal {
    text: &'static str,
    case: &'static str,
    shards: &'static [u16],
    /// Where a case is measured with blobs of several sizes; else any.
    blob_bytes: Option<u64>,
    want: Want,
}

const GOALS: [Goal; 10] = [
    Goal {
        text: "encode full stripes: 0.80 of the floor",
        want: Want::Ratio(0.80),
        ..of("encode", &[4, 7, 10, 31, 100])
    },
    Goal {
        text: "encode: 350 MB/s where the floor is 680",
        want: Want::Ratio(350.0 / 680.0),
        ..of("encode", &[10])
    },
    Goal {
        text: "encode: 215 MB/s where the floor is 300",
        want: Want::Ratio(215.0 / 300.0),
        ..of("encode", &[100])
    },
    Goal {
        text: "decode 64 MiB from the worst primaries: half the speed of encoding",
        want: Want::Ratio(0.5),
        ..of("decode 64 MiB, worst primaries, beside encode", &[10])
    },
    Goal {
        text: "decode 64 MiB from the worst secondaries: half the speed of encoding",
        want: Want::Ratio(0.5),
        ..of("decode 64 MiB, worst secondaries, beside encode", &[10])
    },
    Goal {
        text: "rebuild a lost shard of 1 GiB, verified: 300 MB/s",
        want: Want::AtLeast(300.0),
        ..of("rebuild a lost shard of 1 GiB", &[7, 10])
    },
    Goal {
        text: "10,000 lost primaries of 2 KiB: 20,000 per second",
        want: Want::AtLeast(20_000.0),
        ..of("rebuild 10,000 primaries of 2 KiB", &[10])
    },
    Goal {
        text: "10,000 lost secondaries of 2 KiB: 20,000 per second",
        want: Want::AtLeast(20_000.0),
        ..of("rebuild 10,000 secondaries of 2 KiB", &[10])
    },
    Goal {
        text: "encode 4 KiB: below 100 us",
        blob_bytes: Some(4096),
        want: Want::Below(100.0),
        ..of("encode", &[10])
    },
    Goal {
        text: "id of 4 KiB: below 60 us",
        blob_bytes: Some(4096),
        want: Want::Below(60.0),
        ..of("id only", &[10])
    },
];

const fn of(case: &'static str, shards: &'static [u16]) -> Goal {
    Goal { text: "", case, shards, blob_bytes: None, want: Want::AtLeast(0.0) }
}

impl Goal {
    /// The figure of each n, if it was measured, and whether it is good enough.
    fn figures<'a>(&'a self, lines: &'a [Line]) -> impl Iterator<Item = Option<(f64, bool)>> + 'a {
        self.shards.iter().map(|&n| {
            let line = lines.iter().find(|line| {
                let is_size = match self.blob_bytes {
                    Some(bytes) => line.blob_bytes == bytes,
                    None => line.unit != "us",
                };
                line.case == self.case && line.n == n && is_size
            })?;
            Some(match self.want {
                Want::Ratio(least) => (line.ratio?, line.ratio? >= least),
                Want::AtLeast(least) => (line.value, line.value >= least),
                Want::Below(most) => (line.value, line.value < most),
            })
        })
    }
}

/// A row for each goal.
pub(super) fn table(lines: &[Line]) -> String {
    let mut text = String::from("| goal | n | measured | met |\n|---|---|---:|---|\n");
    for goal in &GOALS {
        let figures: Vec<Option<(f64, bool)>> = goal.figures(lines).collect();
        let is_met = figures.iter().all(|figure| figure.is_some_and(|(_, is_met)| is_met));
        let met = if is_met { "yes" } else { "NO" };
        let shards: Vec<String> = goal.shards.iter().map(u16::to_string).collect();
        let figures: Vec<String> = figures.into_iter().map(shown).collect();
        let (shards, figures) = (shards.join(", "), figures.join(", "));
        let _ = writeln!(text, "| {} | {shards} | {figures} | {met} |", goal.text);
    }
    text
}

fn shown(figure: Option<(f64, bool)>) -> String {
    match figure {
        None => "not measured".to_owned(),
        Some((value, _)) if value < 10.0 => format!("{value:.2}"),
        Some((value, _)) => format!("{value:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(case: &str, n: u16, value: f64, ratio: Option<f64>) -> Line {
        let (case, unit) = (case.to_owned(), "MB/s".to_owned());
        Line { case, n, blob_bytes: 1 << 20, value, unit, ratio, peak_bytes: None }
    }

    fn encodes(last: f64) -> Vec<Line> {
        let ratios = [(4, 1.3), (7, 1.2), (10, 1.2), (31, 0.9), (100, last)];
        ratios.map(|(n, ratio)| line("encode", n, 500.0, Some(ratio))).to_vec()
    }

    #[test]
    fn one_figure_below_misses_the_goal() {
        let met = "| encode full stripes: 0.80 of the floor | 4, 7, 10, 31, 100 | 1.30, 1.20, 1.20, 0.90, 0.80 | yes |";
        assert!(table(&encodes(0.80)).contains(met), "{}", table(&encodes(0.80)));
        assert!(table(&encodes(0.79)).contains("0.79 | NO |"));
    }

    #[test]
    fn what_was_not_measured_is_not_met() {
        let lines = [line("rebuild a lost shard of 1 GiB", 7, 900.0, None)];
        assert!(table(&lines).contains("| 7, 10 | 900, not measured | NO |"));
    }

    #[test]
    fn small_blobs_do_not_pass_for_full_stripes() {
        let mut small = line("encode", 10, 31.0, Some(9.0));
        small.unit = "us".to_owned();
        small.blob_bytes = 4096;
        let table = table(&[small]);
        assert!(table.contains("| encode 4 KiB: below 100 us | 10 | 31 | yes |"), "{table}");
        assert!(table.contains("floor is 680 | 10 | not measured | NO |"), "{table}");
    }
}
