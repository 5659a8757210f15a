//! Recording attempts.
