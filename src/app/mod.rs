//! The composition root: the only module that knows all the others. It builds what a process needs from its
//! configuration, starts its tasks, and ends with them.

mod bootstrap;
mod commands;
mod dev;
mod doctor;
mod listening;
mod open_files;
mod readiness;
pub mod rotation;
mod sampler;
mod serve;
mod signals;

pub use commands::run;
pub use serve::Relay;
