//! Sightings: the arrivals of an event, from every source that brought it.

pub mod read;
