//! Figures: medians over rounds, as a table or as JSON.

use std::fmt::Write as _;

use serde::Serialize;

/// Something measured.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figure {
    /// What was done.
    pub(super) case: String,
    /// What of it was measured.
    pub(super) what: String,
    /// How much.
    pub(super) value: f64,
    /// In what.
    pub(super) unit: &'static str,
    /// What the machine does with the same bytes in the same round.
    pub(super) floor: Option<f64>,
}

/// The figures of one round, in order.
#[derive(Debug, Default)]
pub(super) struct Figures(pub(super) Vec<Figure>);

impl Figures {
    /// Adds a figure.
    pub(super) fn add(&mut self, case: &str, what: &str, value: f64, unit: &'static str) {
        self.push(case, what, value, unit, None);
    }

    /// Adds a figure that has a floor.
    pub(super) fn add_beside(
        &mut self,
        (case, what): (&str, &str),
        (value, floor): (f64, f64),
        unit: &'static str,
    ) {
        self.push(case, what, value, unit, Some(floor));
    }

    fn push(&mut self, case: &str, what: &str, value: f64, unit: &'static str, floor: Option<f64>) {
        self.0.push(Figure { case: case.to_owned(), what: what.to_owned(), value, unit, floor });
    }
}

/// Each figure of the first round with the medians over all rounds.
pub(super) fn medians(rounds: &[Figures]) -> Vec<Figure> {
    let first = rounds.first().map_or(&[][..], |round| &round.0);
    let over_all = |figure: &Figure| {
        let same = |other: &&Figure| (&other.case, &other.what) == (&figure.case, &figure.what);
        let all: Vec<&Figure> =
            rounds.iter().filter_map(|round| round.0.iter().find(same)).collect();
        let floors: Vec<f64> = all.iter().filter_map(|figure| figure.floor).collect();
        Figure {
            value: median(all.iter().map(|figure| figure.value).collect()).unwrap_or(figure.value),
            floor: median(floors),
            ..figure.clone()
        }
    };
    first.iter().map(over_all).collect()
}

/// The middle one, or the mean of both in the middle.
pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = *values.get((values.len() - 1) / 2)?;
    Some(f64::midpoint(lower, upper))
}

/// The value so many percent of the others do not exceed.
pub(super) fn percentile(mut values: Vec<f64>, percent: usize) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied()
}

#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    case: String,
    value: f64,
    unit: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    floor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
}

/// One object per line.
pub(super) fn json_lines(bench: &str, figures: &[Figure]) -> anyhow::Result<String> {
    let mut text = String::new();
    for figure in figures {
        let line = Line {
            bench,
            case: format!("{}: {}", figure.case, figure.what),
            value: rounded(figure.value),
            unit: figure.unit,
            floor: figure.floor.map(rounded),
            ratio: figure.floor.map(|floor| rounded(figure.value / floor)),
        };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    Ok(text)
}

/// To the thousandth: more digits would only be noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A block per case.
pub(super) fn table(figures: &[Figure]) -> String {
    let width = |of: fn(&Figure) -> usize| figures.iter().map(of).max().unwrap_or(0);
    let (what, value) =
        (width(|figure| figure.what.len()), width(|figure| number(figure.value).len()));
    let unit = width(|figure| figure.unit.chars().count());
    let mut text = String::new();
    let mut case = "";
    for figure in figures {
        if figure.case != case {
            case = &figure.case;
            let _ = writeln!(text, "\n{case}");
        }
        let beside = figure.floor.map_or_else(String::new, |floor| {
            format!("floor {}, ratio {:.2}", number(floor), figure.value / floor)
        });
        let line = format!(
            "  {:what$}  {:>value$} {:unit$}  {beside}",
            figure.what,
            number(figure.value),
            figure.unit
        );
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// With digits enough to compare.
pub(super) fn number(value: f64) -> String {
    let digits = if value.abs() < 10.0 { 3 } else { 1 };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(rate: f64, floor: f64) -> Figures {
        let mut figures = Figures::default();
        figures.add_beside(("put", "rate"), (rate, floor), "MB/s");
        figures.add("put", "cpu", rate * 2.0, "s");
        figures
    }

    #[test]
    fn medians_are_taken_over_the_rounds_one_figure_at_a_time() {
        let figures = medians(&[round(3.0, 30.0), round(1.0, 10.0), round(2.0, 40.0)]);
        assert_eq!((figures[0].value, figures[0].floor), (2.0, Some(30.0)));
        assert_eq!((figures[1].value, figures[1].floor), (4.0, None));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred: Vec<f64> = (1..=100_i32).rev().map(f64::from).collect();
        assert_eq!(percentile(hundred.clone(), 50), Some(50.0));
        assert_eq!(percentile(hundred, 99), Some(99.0));
        assert_eq!(percentile(vec![7.0, 5.0], 99), Some(7.0));
        assert_eq!(percentile(Vec::new(), 99), None);
    }

    #[test]
    fn a_floor_and_its_ratio_stand_where_there_is_one() {
        let lines = json_lines("data-path", &medians(&[round(3.0, 30.0)])).unwrap();
        assert_eq!(
            lines,
            "{\"bench\":\"data-path\",\"case\":\"put: rate\",\"value\":3.0,\"unit\":\"MB/s\",\"floor\":30.0,\"ratio\":0.1}\n\
             {\"bench\":\"data-path\",\"case\":\"put: cpu\",\"value\":6.0,\"unit\":\"s\"}\n"
        );
        assert!(table(&medians(&[round(3.0, 30.0)])).contains("floor 30.0, ratio 0.10"));
    }
}
