//! What the relay promises, tested from outside.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed, and says where")]

mod signatures;
