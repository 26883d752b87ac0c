//! Durations as Gateway API writes them (GEP-2257): `168h`, `1h30m`, `10s`, `500ms`.

use std::time::Duration;

/// The grammar, as admission checks it.
pub(crate) const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";
/// What a duration must be, as admission says it.
pub(crate) const EXPECTATION: &str =
    "must be a duration in h, m, s, ms such as 168h or 1h30m (there is no unit for days)";

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DurationError {
    text: String,
}

impl std::fmt::Display for DurationError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {EXPECTATION}", self.text)
    }
}

impl std::error::Error for DurationError {}

/// Reads a duration: one to four numbers of at most five digits, each with its unit.
pub fn duration(text: &str) -> Result<Duration, DurationError> {
    parse(text).ok_or_else(|| DurationError { text: text.to_owned() })
}

fn parse(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    for _ in 0..4 {
        let digits =
            rest.find(|c: char| !c.is_ascii_digit()).filter(|digits| (1..=5).contains(digits))?;
        let (number, after) = rest.split_at(digits);
        let number: u64 = number.parse().ok()?;
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        total += match unit {
            "h" => Duration::from_secs(number * 3600),
            "m" => Duration::from_secs(number * 60),
            "s" => Duration::from_secs(number),
            "ms" => Duration::from_millis(number),
            _ => return None,
        };
        rest = after;
        if rest.is_empty() {
            return Some(total);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sums_of_numbers_with_units() {
        for (text, millis) in [
            ("168h", 168 * 3_600_000),
            ("1h30m", 5_400_000),
            ("10s", 10_000),
            ("500ms", 500),
            ("1h2m3s4ms", 3_723_004),
            ("0s", 0),
            ("99999h", 99_999 * 3_600_000),
        ] {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused_with_the_words_of_admission() {
        for text in ["", "7d", "10", "h", "1.5h", "-1h", "123456s", "1h1h1h1h1h", "1h ", "1hm"] {
            let error = duration(text).unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} {EXPECTATION}"));
        }
    }
}
