//! Tests from outside, in one binary.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, also in the functions its tests share")]

mod fake_transak;
mod intake_house;
mod official_clients;
mod reconcile;
mod requeue;
mod tokens;
