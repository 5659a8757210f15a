//! What Transak speaks: signed messages, order objects, and its partner REST API.
//!
//! Decoding is pure and tolerant: unknown fields, drifting types, any wrapping, and whatever a reasonable writer of JSON
//! writes are accepted. Verification is strict: HS256 only, over the partner's own access tokens.

pub mod claims;
pub mod json;
pub mod jws;
pub mod order;
pub mod packing;
pub mod rest;
pub mod time;
