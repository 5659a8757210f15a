//! The one way out: what is owed to an endpoint leaves here and nowhere else.

pub mod resolver;
pub mod sender;
