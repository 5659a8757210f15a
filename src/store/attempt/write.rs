//! Recording attempts.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::model::attempt::AttemptRecord;
use crate::model::delivery::Job;
use crate::store::Result;

/// Records attempts, also those whose delivery was taken over meanwhile: each was a request that somebody received. One that is
/// recorded already stays as it is: a write-back may come twice. Of a delivery that was erased meanwhile nothing is
/// recorded; the lock lets an erasure of this moment see what is.
pub async fn insert(conn: &mut PgConnection, attempts: &[(&Job, &AttemptRecord)]) -> Result<()> {
    sqlx::query!(
        "insert into attempt (partner_id, delivery_id, attempt_id, at, status_code, error, remote_ip, dns_ms, connect_ms,
                              tls_ms, first_byte_ms, total_ms, request_headers, response_headers, response_body,
                              response_truncated)
         select given.*
         from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::timestamptz[], $5::smallint[], $6::text[], $7::text[],
                     $8::integer[], $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::text[],
                     $14::text[], $15::bytea[], $16::boolean[])
             as given (partner_id, delivery_id, attempt_id, at, status_code, error, remote_ip, dns_ms, connect_ms, tls_ms,
                       first_byte_ms, total_ms, request_headers, response_headers, response_body, response_truncated)
         join delivery on delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
         for key share of delivery
         on conflict do nothing",
        &column(attempts, |job, _| job.partner_id.uuid()) as &[Uuid],
        &column(attempts, |job, _| job.delivery_id.uuid()),
        &column(attempts, |_, attempt| attempt.attempt_id.uuid()),
        &column(attempts, |_, attempt| attempt.at),
        &column(attempts, |_, attempt| attempt.status_code.and_then(|code| i16::try_from(code).ok())) as &[Option<i16>],
        &column(attempts, |_, attempt| attempt.error.as_deref()) as &[Option<&str>],
        &column(attempts, |_, attempt| attempt.remote_ip.map(|ip| ip.to_string())) as &[Option<String>],
        &column(attempts, |_, attempt| attempt.durations.dns.map(ms)) as &[Option<i32>],
        &column(attempts, |_, attempt| attempt.durations.connect.map(ms)) as &[Option<i32>],
        &column(attempts, |_, attempt| attempt.durations.tls.map(ms)) as &[Option<i32>],
        &column(attempts, |_, attempt| attempt.durations.first_byte.map(ms)) as &[Option<i32>],
        &column(attempts, |_, attempt| ms(attempt.durations.total)),
        &column(attempts, |_, attempt| attempt.request_headers.as_str()) as &[&str],
        &column(attempts, |_, attempt| attempt.response_headers.as_deref()) as &[Option<&str>],
        &column(attempts, |_, attempt| attempt.response_body.as_deref()) as &[Option<&[u8]>],
        &column(attempts, |_, attempt| attempt.response_truncated) as &[Option<bool>],
    )
    .execute(conn)
    .await?;
    Ok(())
}

pub(in crate::store) fn ms(milliseconds: u32) -> i32 {
    i32::try_from(milliseconds).unwrap_or(i32::MAX)
}

fn column<'a, T>(
    attempts: &'a [(&Job, &AttemptRecord)],
    of: impl Fn(&'a Job, &'a AttemptRecord) -> T,
) -> Vec<T> {
    attempts.iter().map(|(job, attempt)| of(job, attempt)).collect()
}
