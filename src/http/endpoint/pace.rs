//! How much at once and how fast an endpoint is sent to, as a partner may say it.

use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::settings::{check, checked, set};
use crate::http::body::Object;
use crate::http::problem::FieldError;
use crate::model::change::Change;
use crate::model::rate::{InvalidRate, Rate};
use crate::store::endpoint::EndpointSettings;

/// Bounds of `maxInFlight`, and what it is if nobody says.
const MAX_IN_FLIGHT: std::ops::RangeInclusive<i32> = 1..=1000;
pub(super) const DEFAULT_MAX_IN_FLIGHT: i32 = 16;

/// How fast an endpoint is sent to at most.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RateLimit {
    /// Requests per second, with at most three decimals.
    #[schema(value_type = f64, exclusive_minimum = 0, maximum = 10000, example = 2.5)]
    per_second: Box<RawValue>,
    /// Requests at once after a pause.
    #[schema(minimum = 1, maximum = 10000, default = 1)]
    burst: Option<u64>,
}

/// How much at once, and how fast.
pub(super) fn apply_pace(
    max_in_flight: Change<i32>,
    rate_limit: Change<Object<RateLimit>>,
    to: &mut EndpointSettings,
    errors: &mut Vec<FieldError>,
) {
    let at_once = check("maxInFlight", max_in_flight, errors, |most| {
        let (least, highest) = (MAX_IN_FLIGHT.start(), MAX_IN_FLIGHT.end());
        MAX_IN_FLIGHT
            .contains(&most)
            .then_some(most)
            .ok_or_else(|| format!("must be from {least} to {highest}"))
    });
    set(&mut to.max_in_flight, at_once, || DEFAULT_MAX_IN_FLIGHT, |most| most);
    let rate = match rate_limit {
        Change::Keep => Change::Keep,
        Change::Clear => Change::Clear,
        Change::Set(Object(limit)) => {
            let rate = Rate::parse(limit.per_second.get(), limit.burst.unwrap_or(1));
            let field = match rate {
                Err(InvalidRate::Burst) => "rateLimit.burst",
                _ => "rateLimit.perSecond",
            };
            checked(field, rate, errors).into()
        }
    };
    set(&mut to.rate, rate, || None, Some);
}
