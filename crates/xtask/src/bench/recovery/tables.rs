//! Figures as a table for the document: a row for each, a column for each case.

use std::fmt::Write as _;

use crate::bench::figures::{Figure, number};

/// A table of cases that have the same figures.
pub(super) fn markdown(figures: &[Figure]) -> String {
    let mut cases: Vec<&str> = figures.iter().map(|figure| figure.case.as_str()).collect();
    cases.dedup();
    let mut text = format!("| | {} |\n|---|", cases.join(" | "));
    for _ in &cases {
        text.push_str("---:|");
    }
    text.push('\n');
    let first = cases.first().copied().unwrap_or_default();
    for row in figures.iter().filter(|figure| figure.case == first) {
        let _ = write!(text, "| {}, {} |", row.what, row.unit);
        for case in &cases {
            let of = figures.iter().find(|it| it.case == *case && it.what == row.what);
            let _ = write!(text, " {} |", of.map(cell).unwrap_or_default());
        }
        text.push('\n');
    }
    text
}

fn cell(figure: &Figure) -> String {
    let beside = figure.floor.map_or_else(String::new, |floor| {
        format!(" ({:.2} / {})", figure.value / floor, number(floor))
    });
    format!("{}{beside}", number(figure.value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::figures::Figures;

    #[test]
    fn cases_are_columns() {
        let mut figures = Figures::default();
        for (case, rate) in [("a", 30.0), ("b", 15.0)] {
            figures.add_beside((case, "rate"), (rate, 60.0), "MB/s");
            figures.add(case, "took", 1.5, "s");
        }
        assert_eq!(
            markdown(&figures.0),
            "| | a | b |\n|---|---:|---:|\n\
             | rate, MB/s | 30.0 (0.50 / 60.0) | 15.0 (0.25 / 60.0) |\n\
             | took, s | 1.500 | 1.500 |\n"
        );
    }
}
