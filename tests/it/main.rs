//! Tests from outside, in one binary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in the functions its tests share")]

mod official_clients;
