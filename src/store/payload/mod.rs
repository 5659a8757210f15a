//! Payloads: what was heard, byte for byte. They go with retention, earlier than their events.

pub mod read;
