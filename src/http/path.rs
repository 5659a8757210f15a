//! What stands in a path.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::problem::Problem;
use crate::model::id::{
    DeliveryId, EndpointId, EventId, PartnerId, QuarantineId, RecoveryId, TokenId, WatchId,
};
use crate::model::order::OrderId;

/// Something that a path names. What cannot be an id names nothing: 404.
pub trait Named: Sized {
    /// What it is, for the problem.
    const WHAT: &'static str;

    /// Reads the one parameter of the path.
    fn read(text: &str) -> Option<Self>;
}

/// The one parameter of the path.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: Named> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let params = RawPathParams::from_request_parts(parts, state).await.ok();
        let read =
            params.as_ref().and_then(|params| params.iter().next()).and_then(|(_, text)| T::read(text));
        read.map(Self).ok_or(Problem::NotFound(T::WHAT))
    }
}

impl Named for OrderId {
    const WHAT: &'static str = "order";

    fn read(text: &str) -> Option<Self> {
        Self::parse(text)
    }
}

macro_rules! named {
    ($($id:ident = $what:literal;)*) => {$(
        impl Named for $id {
            const WHAT: &'static str = $what;

            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
        }
    )*};
}

named! {
    PartnerId = "partner";
    TokenId = "token";
    EndpointId = "endpoint";
    EventId = "event";
    DeliveryId = "delivery";
    WatchId = "watch";
    RecoveryId = "recovery";
    QuarantineId = "quarantined message";
}
