//! What the queues are told, and what they make of it.

use std::time::Instant;

use super::Place;
use crate::model::breaker::Change;
use crate::model::id::DeliveryId;
use crate::model::retry::Found;

/// An endpoint that is leased to this process.
#[derive(Debug, Clone, Copy)]
pub struct Leased {
    /// Which.
    pub place: Place,
    /// Its last holder died.
    pub lost: bool,
    /// It may be sent to: it is neither disabled nor deleted.
    pub enabled: bool,
    /// The endpoint's revision. Whatever waits for it is sent as this one has it, or a newer one.
    pub revision: i32,
}

/// How a request ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// Of which delivery.
    pub of: DeliveryId,
    /// It was answered with 2xx.
    pub succeeded: bool,
    /// How the endpoint was found.
    pub found: Found,
    /// The answer was that the endpoint wants nothing any more.
    pub gone: bool,
    /// When it began.
    pub began: Instant,
}

/// What the end of a request means for its endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Effect {
    /// The breaker opened or closed.
    pub change: Option<Change>,
    /// It is the first success since a failure, or since this process sends to the endpoint.
    pub first_success: bool,
}
