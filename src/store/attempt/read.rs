//! Reading attempts.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::model::id::{AttemptId, DeliveryId, PartnerId};
use crate::store::Result;

/// The most attempts a delivery is shown with: sending again by hand has no end.
const MOST_OF_A_DELIVERY: i64 = 200;

/// One HTTP request of a delivery. Durations are in milliseconds.
#[derive(Debug, Clone)]
pub struct Attempt {
    pub attempt_id: AttemptId,
    pub at: DateTime<Utc>,
    pub status_code: Option<i16>,
    pub error: Option<String>,
    pub remote_ip: Option<String>,
    pub dns_ms: Option<i32>,
    pub connect_ms: Option<i32>,
    pub tls_ms: Option<i32>,
    pub first_byte_ms: Option<i32>,
    pub total_ms: i32,
    /// A JSON object, as sent.
    pub request_headers: String,
    /// A JSON object.
    pub response_headers: Option<String>,
    /// The beginning of what was answered.
    pub response_body: Option<Vec<u8>>,
    /// Whether there was, or may have been, more; not known of old attempts.
    pub response_truncated: Option<bool>,
}

/// The attempts of one delivery, oldest first; of many, the newest 200.
pub async fn of_delivery(
    conn: &mut PgConnection,
    partner_id: PartnerId,
    delivery_id: DeliveryId,
) -> Result<Vec<Attempt>> {
    let rows = sqlx::query_as!(
        Attempt,
        r#"select attempt_id as "attempt_id: _", at, status_code, error, remote_ip, dns_ms, connect_ms, tls_ms,
                  first_byte_ms, total_ms, request_headers, response_headers, response_body,
                  response_truncated
           from attempt
           where partner_id = $1 and delivery_id = $2
             -- Only the partitions since then are looked into; the clocks may differ by a little.
             and at >= (select created_at - interval '1 hour' from delivery where partner_id = $1 and delivery_id = $2)
           order by attempt_id desc
           limit $3"#,
        partner_id as _,
        delivery_id as _,
        MOST_OF_A_DELIVERY,
    );
    let mut attempts = rows.fetch_all(conn).await?;
    attempts.reverse();
    Ok(attempts)
}
