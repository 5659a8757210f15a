//! The service from outside its functions: real databases, real sockets, other people's clients.

#![expect(clippy::unwrap_used, reason = "a test that cannot set up its world fails, and says where")]

mod main_job;
mod official_clients;
mod signatures;
mod world;
