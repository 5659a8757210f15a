//! A delivery: one event owed to one endpoint.

use serde::{Deserialize, Serialize};

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "delivery_state", rename_all = "lowercase")]
pub enum DeliveryState {
    /// Owed: being sent, or waiting for its next try.
    Pending,
    /// The endpoint answered 2xx.
    Succeeded,
    /// The schedule is used up; sent again only by hand or by a recovery.
    Exhausted,
    /// Kept because the endpoint is disabled.
    Held,
    /// Owed no more: the endpoint was deleted.
    Cancelled,
}
