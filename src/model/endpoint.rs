//! An endpoint: a callback URL a partner registered, and what it wants to hear.

use serde::{Deserialize, Serialize};

/// Whether anything is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "endpoint_state", rename_all = "lowercase")]
pub enum EndpointState {
    /// Deliveries are sent.
    Enabled,
    /// Deliveries are held until it is enabled.
    Disabled,
}

/// The form of a callback's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "payload_format", rename_all = "lowercase")]
pub enum PayloadFormat {
    /// `{"type", "timestamp", "data"}`, as Standard Webhooks has it.
    #[default]
    Standard,
    /// `{"data": "<JWT>"}`, as Transak's own webhooks have it.
    Transak,
}

/// How a callback is signed, by the names of Standard Webhooks 1.0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "lowercase")]
#[sqlx(type_name = "signature_version", rename_all = "lowercase")]
pub enum SignatureVersion {
    /// HMAC-SHA256 with a secret that both sides hold.
    V1,
    /// Ed25519: the receiver holds a public key.
    V1a,
}

/// Every event an endpoint can ask for: Transak's (docs.transak.com, "Webhooks"), then the relay's own.
pub const EVENTS: [&str; 14] = [
    "ORDER_CREATED",
    "ORDER_PAYMENT_VERIFYING",
    "ORDER_PROCESSING",
    "ORDER_COMPLETED",
    "ORDER_FAILED",
    "ORDER_CANCELLED",
    "ORDER_REFUNDED",
    "KYC_SUBMITTED",
    "KYC_APPROVED",
    "KYC_REJECTED",
    "relay.endpoint.disabled",
    "relay.endpoint.recovered",
    "relay.delivery.exhausted",
    "relay.test",
];

/// Every status an endpoint can ask for (docs.transak.com, "Track order status").
pub const STATUSES: [&str; 10] = [
    "AWAITING_PAYMENT_FROM_USER",
    "PAYMENT_DONE_MARKED_BY_USER",
    "PROCESSING",
    "PENDING_DELIVERY_FROM_TRANSAK",
    "ON_HOLD_PENDING_DELIVERY_FROM_TRANSAK",
    "COMPLETED",
    "CANCELLED",
    "FAILED",
    "REFUNDED",
    "EXPIRED",
];
