//! Orders: where each stands, and its newest snapshot.

pub mod read;
