//! Single byte ranges of HTTP (RFC 9110 §14), and the conditions that decide over them.

use std::ops::Range;

/// What of a representation is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it: no range, several ranges, or a header that is none.
    Whole,
    /// These bytes.
    Part(Range<u64>),
    /// Bytes that do not exist.
    Unsatisfiable,
}

/// Reads a `Range` header for a representation of `length` bytes.
pub(crate) fn wanted(header: Option<&str>, length: u64) -> Wanted {
    let Some(spec) = header.and_then(|value| value.trim().strip_prefix("bytes=")) else {
        return Wanted::Whole;
    };
    let Some((first, last)) = spec.trim().split_once('-') else {
        return Wanted::Whole;
    };
    match (number(first), number(last)) {
        (Some(Some(first)), Some(last)) => between(first, last, length),
        (Some(None), Some(Some(count))) => suffix(count, length),
        _ => Wanted::Whole,
    }
}

/// `None` for what is no number, `Some(None)` for nothing at all.
#[expect(clippy::option_option, reason = "absent and malformed are two answers")]
fn number(text: &str) -> Option<Option<u64>> {
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Some(text.parse().unwrap_or(u64::MAX)))
}

fn between(first: u64, last: Option<u64>, length: u64) -> Wanted {
    match last {
        Some(last) if last < first => Wanted::Whole,
        _ if first >= length => Wanted::Unsatisfiable,
        last => Wanted::Part(first..last.map_or(length, |last| last.saturating_add(1).min(length))),
    }
}

const fn suffix(count: u64, length: u64) -> Wanted {
    if count == 0 || length == 0 {
        return Wanted::Unsatisfiable;
    }
    Wanted::Part(length.saturating_sub(count)..length)
}

/// Whether a list of entity tags (`If-Match`, `If-None-Match`) names this one. Weak tags match
/// only where `weak` comparison is asked for.
pub(crate) fn names_tag(header: &str, tag: &str, weak: bool) -> bool {
    header.trim() == "*"
        || header.split(',').map(str::trim).any(|one| {
            let strong = one.strip_prefix("W/");
            strong.map_or(one == tag, |strong| weak && strong == tag)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_ten_bytes() {
        let table = [
            (None, Wanted::Whole),
            (Some("bytes=0-3"), Wanted::Part(0..4)),
            (Some("bytes=9-9"), Wanted::Part(9..10)),
            (Some("bytes=4-"), Wanted::Part(4..10)),
            (Some("bytes=4-99"), Wanted::Part(4..10)),
            (Some("bytes=-3"), Wanted::Part(7..10)),
            (Some("bytes=-99"), Wanted::Part(0..10)),
            (Some("bytes=0-99999999999999999999999"), Wanted::Part(0..10)),
            (Some("bytes=10-"), Wanted::Unsatisfiable),
            (Some("bytes=-0"), Wanted::Unsatisfiable),
            (Some("bytes=3-2"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("bytes=a-b"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes="), Wanted::Whole),
            (Some("lines=0-3"), Wanted::Whole),
        ];
        for (header, expected) in table {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Unsatisfiable);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Unsatisfiable);
    }

    #[test]
    fn tags() {
        for (header, weak, expected) in [
            ("*", false, true),
            ("\"a\"", false, true),
            ("\"b\", \"a\"", false, true),
            ("W/\"a\"", false, false),
            ("W/\"a\"", true, true),
            ("a", true, false),
        ] {
            assert_eq!(names_tag(header, "\"a\"", weak), expected, "{header}");
        }
    }
}
