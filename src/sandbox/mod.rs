//! (see below)

pub mod lifecycle;
pub mod postgres;
pub mod pusher;
pub mod signing;
