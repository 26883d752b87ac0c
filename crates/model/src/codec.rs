//! Fixed little-endian layouts: what is hashed, signed, kept or sent is written by hand, field by field.

use std::fmt;

/// Bytes that are not of the expected layout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("{field} needs {need} bytes, {have} are left")]
    Truncated {
        /// The field.
        field: &'static str,
        /// Bytes it needs.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// Bytes are left behind the last field.
    #[error("{0} bytes behind the last field")]
    Trailing(usize),
    /// A field holds what it must not.
    #[error("{field}: {reason}")]
    Invalid {
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Made by a newer version.
    #[error("{what} has format version {found}, this program knows {known}: upgrade it")]
    Version {
        /// What was read.
        what: &'static str,
        /// The version it carries.
        found: u16,
        /// The version known here.
        known: u16,
    },
}

impl DecodeError {
    /// A field that holds what it must not.
    pub fn invalid(field: &'static str, reason: impl fmt::Display) -> Self {
        Self::Invalid { field, reason: reason.to_string() }
    }
}

/// Writes fields one behind the other.
#[derive(Debug, Default)]
pub struct Encoder(Vec<u8>);

impl Encoder {
    /// The bytes written.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Two bytes.
    pub fn u16(&mut self, value: u16) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    /// Bytes whose count is known from the layout.
    pub fn fixed(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// A count of four bytes, then the bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
        self.0.extend_from_slice(bytes);
    }

    /// A count of four bytes, then UTF-8.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// A count of four bytes, then the items.
    pub fn list<T>(&mut self, items: &[T], mut each: impl FnMut(&mut Self, &T)) {
        self.u32(u32::try_from(items.len()).unwrap_or(u32::MAX));
        for item in items {
            each(self, item);
        }
    }
}

/// Reads fields one behind the other.
#[derive(Debug)]
pub struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    /// Reads from the start of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Nothing may be left.
    pub const fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }

    /// All that is left.
    pub const fn rest(self) -> &'a [u8] {
        self.rest
    }

    /// `count` bytes.
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated {
            field,
            need: count,
            have: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(taken)
    }

    /// N bytes.
    pub fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(field, N)?);
        Ok(bytes)
    }

    /// One byte.
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.fixed(field)?))
    }

    /// Two bytes.
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.fixed(field)?))
    }

    /// Four bytes.
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.fixed(field)?))
    }

    /// Eight bytes.
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.fixed(field)?))
    }

    /// A count, at most `most`, then as many bytes.
    pub fn bytes(&mut self, field: &'static str, most: usize) -> Result<&'a [u8], DecodeError> {
        let count = self.count(field, most)?;
        self.take(field, count)
    }

    /// A count, at most `most`, then UTF-8 that parses.
    pub fn text<T>(&mut self, field: &'static str, most: usize) -> Result<T, DecodeError>
    where
        T: std::str::FromStr<Err: fmt::Display>,
    {
        let text = std::str::from_utf8(self.bytes(field, most)?)
            .map_err(|error| DecodeError::invalid(field, error))?;
        text.parse().map_err(|error: T::Err| DecodeError::invalid(field, error))
    }

    /// A count, at most `most`, then the items.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        most: usize,
        mut each: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.count(field, most)?;
        // The count is somebody's word: memory grows with the items that are really there.
        let mut items = Vec::new();
        for _ in 0..count {
            items.push(each(self)?);
        }
        Ok(items)
    }

    fn count(&mut self, field: &'static str, most: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        if count > most {
            return Err(DecodeError::invalid(
                field,
                format!("{count}, at most {most} are allowed"),
            ));
        }
        Ok(count)
    }
}

/// A value with a fixed little-endian layout.
pub trait Layout: Sized {
    /// Writes the fields in order.
    fn encode(&self, to: &mut Encoder);

    /// Reads the fields in order.
    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError>;

    /// The layout's bytes.
    fn to_bytes(&self) -> Vec<u8> {
        let mut encoder = Encoder::default();
        self.encode(&mut encoder);
        encoder.finish()
    }

    /// Reads the value; nothing may be left.
    fn from_bytes(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let value = Self::decode(&mut decoder)?;
        decoder.finish()?;
        Ok(value)
    }
}
