//! (see below)

pub mod book;
pub mod lifecycle;
pub mod postgres;
pub mod pusher;
pub mod receiver;
pub mod rest;
pub mod signing;
