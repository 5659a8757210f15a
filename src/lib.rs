//! transak-relay hears every Transak order event, keeps it in Postgres, and tells everyone who registered.
//!
//! ARCHITECTURE.md is the map; this list is its first line.

pub mod app;
pub mod cli;
pub mod config;
pub mod delivery;
pub mod http;
pub mod intake;
pub mod maintenance;
pub mod model;
pub mod pusher;
pub mod sandbox;
pub mod shutdown;
pub mod store;
pub mod telemetry;
pub mod trace;
pub mod transak;
