//! What Transak speaks: signed messages, order objects, and its partner REST API.
//!
//! Decoding is pure and tolerant: unknown fields, drifting types and the three wrappings seen in the field are
//! accepted. Verification is strict: HS256 only, over the partner's own access tokens.

pub mod claims;
pub mod jws;
pub mod order;
pub mod rest;
