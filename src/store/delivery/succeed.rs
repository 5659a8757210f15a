//! Writing back what was answered with 2xx and has no other consequence: nearly everything, so in one statement, which
//! is a transaction of its own.

use std::collections::HashSet;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::attempt::AttemptRecord;
use crate::model::delivery::Job;
use crate::model::id::DeliveryId;
use crate::store::Result;
use crate::store::attempt::write::ms;

/// Records attempts that were answered with 2xx and finishes their deliveries. Answers those that are finished; the
/// others were taken over meanwhile, or stand in a lane, or were asked for again, and are left as they are.
pub async fn succeed(
    conn: &mut PgConnection,
    tried: &[(&Job, &AttemptRecord)],
) -> Result<HashSet<DeliveryId>> {
    let finished = sqlx::query_file_scalar!(
        "src/store/delivery/succeed.sql",
        &column(tried, |job, _| job.partner_id.uuid()) as &[Uuid],
        &column(tried, |job, _| job.delivery_id.uuid()),
        &column(tried, |job, _| job.attempts),
        &column(tried, |_, attempt| attempt.status_code.and_then(|code| i16::try_from(code).ok()))
            as &[Option<i16>],
        &column(tried, |_, attempt| attempt.attempt_id.uuid()),
        &column(tried, |_, attempt| attempt.at),
        &column(tried, |_, attempt| attempt.remote_ip.map(|ip| ip.to_string())) as &[Option<String>],
        &column(tried, |_, attempt| attempt.durations.dns.map(ms)) as &[Option<i32>],
        &column(tried, |_, attempt| attempt.durations.connect.map(ms)) as &[Option<i32>],
        &column(tried, |_, attempt| attempt.durations.tls.map(ms)) as &[Option<i32>],
        &column(tried, |_, attempt| attempt.durations.first_byte.map(ms)) as &[Option<i32>],
        &column(tried, |_, attempt| ms(attempt.durations.total)),
        &column(tried, |_, attempt| attempt.request_headers.as_str()) as &[&str],
        &column(tried, |_, attempt| attempt.response_headers.as_deref()) as &[Option<&str>],
        &column(tried, |_, attempt| attempt.response_body.as_deref()) as &[Option<&[u8]>],
        &column(tried, |job, _| job.claims),
        &column(tried, |_, attempt| attempt.response_truncated) as &[Option<bool>],
    );
    Ok(finished.fetch_all(conn).await?.into_iter().collect())
}

fn column<'a, T>(
    tried: &'a [(&Job, &AttemptRecord)],
    of: impl Fn(&'a Job, &'a AttemptRecord) -> T,
) -> Vec<T> {
    tried.iter().map(|(job, attempt)| of(job, attempt)).collect()
}
