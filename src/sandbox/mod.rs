//! (see below)

pub mod postgres;
