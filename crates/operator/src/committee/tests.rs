//! What the tests of this controller share.

pub(crate) mod fixture;
