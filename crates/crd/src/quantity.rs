//! Quantities as Kubernetes writes them: a decimal number and a unit.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

/// What a quantity must be, as admission says it.
pub(crate) const EXPECTATION: &str =
    "must be a quantity such as 500Gi or 1Ti (units: Ki Mi Gi Ti Pi or k M G T P, never GB)";

/// A quantity as written: a number, or a number with a unit. The API server keeps a plain number
/// a number, hence a type of our own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Quantity(pub String);

impl Quantity {
    /// The bytes it stands for, rounded up.
    pub fn bytes(&self) -> Result<u64, QuantityError> {
        quantity_bytes(&self.0)
    }
}

impl From<&str> for Quantity {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(i64),
            Text(String),
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Number(number) => Self(number.to_string()),
            Written::Text(text) => Self(text),
        })
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        crate::schema::quantity(None)
    }
}

/// A text that is no quantity of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
}

impl std::fmt::Display for QuantityError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {EXPECTATION}", self.text)
    }
}

impl std::error::Error for QuantityError {}

/// Bytes of a quantity such as `500Gi`, `1.5Ti`, `1e9` or `1048576`, rounded up; at most
/// `i64::MAX`, as Kubernetes has it. A negative one is an error.
pub fn quantity_bytes(text: &str) -> Result<u64, QuantityError> {
    parse(text).ok_or_else(|| QuantityError { text: text.to_owned() })
}

const GREATEST_BYTES: u128 = i64::MAX as u128;

fn parse(text: &str) -> Option<u64> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let (multiplier, divisor) = scale(unit)?;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    // Digits that cannot change the rounded result are more than Kubernetes reads either.
    if whole.len() > 19 || fraction.len() > 12 {
        return None;
    }
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<u128>().ok() };
    let parts = 10u128.pow(u32::try_from(fraction.len()).ok()?);
    let scaled = digits(whole)? * parts + digits(fraction)?;
    let bytes = scaled.checked_mul(multiplier)?.div_ceil(parts * divisor);
    u64::try_from(bytes.min(GREATEST_BYTES)).ok()
}

/// What a number with this unit is multiplied with, and divided by.
fn scale(unit: &str) -> Option<(u128, u128)> {
    Some(match unit {
        "" => (1, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        "n" => (1, 1_000_000_000),
        "u" => (1, 1_000_000),
        "m" => (1, 1_000),
        "k" => (1_000, 1),
        "M" => (1_000_000, 1),
        "G" => (1_000_000_000, 1),
        "T" => (1_000_000_000_000, 1),
        "P" => (1_000_000_000_000_000, 1),
        "E" => (1_000_000_000_000_000_000, 1),
        _ => return exponent(unit),
    })
}

fn exponent(unit: &str) -> Option<(u128, u128)> {
    let exponent: i32 = unit.strip_prefix(['e', 'E'])?.parse().ok()?;
    let power = 10u128.checked_pow(exponent.unsigned_abs()).filter(|_| exponent.abs() <= 18)?;
    Some(if exponent < 0 { (1, power) } else { (power, 1) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_as_kubernetes_reads_them() {
        let gib = 1u64 << 30;
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("+5", 5),
            ("1Gi", gib),
            ("1.5Gi", gib * 3 / 2),
            (".5Gi", gib / 2),
            ("1.Gi", gib),
            ("500G", 500_000_000_000),
            ("100m", 1),
            ("1500m", 2),
            ("1e9", 1_000_000_000),
            ("1E3", 1_000),
            ("25e-1", 3),
            ("1E", 1_000_000_000_000_000_000),
            ("9999999999Ti", i64::MAX as u64),
        ] {
            assert_eq!(quantity_bytes(text), Ok(bytes), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_quantity_is_refused_with_the_words_of_admission() {
        for text in ["", "500GB", "Gi", ".", "1..2", "1.2.3", "-1", "1 Gi", "1gi", "0x10", "1e99"] {
            let error = quantity_bytes(text).unwrap_err();
            assert_eq!(error.to_string(), format!("{text:?} {EXPECTATION}"));
        }
    }

    #[test]
    fn a_plain_number_is_a_quantity_too() {
        let number: Quantity = serde_json::from_str("1073741824").unwrap();
        assert_eq!(number, Quantity::from("1073741824"));
        let text: Quantity = serde_json::from_str("\"1Gi\"").unwrap();
        assert_eq!(text.bytes(), number.bytes());
    }
}
