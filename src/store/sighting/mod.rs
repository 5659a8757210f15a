//! Table `sighting`: one row per arrival of an event, from whichever source.

pub mod read;
