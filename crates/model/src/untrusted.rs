//! The mark of bytes that nobody has checked yet.

/// Something from a peer or a client that has not been checked against an id, a root or a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    /// Marks what came from outside.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// A look at it, for the one who checks it.
    pub const fn as_unverified(&self) -> &T {
        &self.0
    }

    /// The value without its mark, for the one who checks it.
    pub fn into_unverified(self) -> T {
        self.0
    }
}
