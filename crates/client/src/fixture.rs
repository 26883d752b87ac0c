//! A committee in memory.
