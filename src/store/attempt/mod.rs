//! Attempts: the HTTP requests of deliveries, kept as evidence.

pub mod read;
