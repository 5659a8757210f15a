-- Given deliveries that were answered with 2xx, and the attempts that were; answered: those whose lease still stood and
-- that stand in no lane and were not asked for again. The attempts are recorded either way: each was a request that
-- somebody received. Only of what was erased meanwhile nothing is.
with given as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::smallint[], $5::uuid[], $6::timestamptz[], $7::text[],
                         $8::integer[], $9::integer[], $10::integer[], $11::integer[], $12::integer[], $13::text[],
                         $14::text[], $15::bytea[], $16::integer[], $17::boolean[])
        as given (partner_id, delivery_id, attempts, status_code, attempt_id, at, remote_ip, dns_ms, connect_ms, tls_ms,
                  first_byte_ms, total_ms, request_headers, response_headers, response_body, claims, response_truncated)
), standing as materialized (
    -- Locked first: what is being erased at this moment is gone by then, or this is written before and erased with it.
    select given.* from given
    join delivery on delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
    for no key update of delivery
), recorded as (
    insert into attempt (partner_id, delivery_id, attempt_id, at, status_code, remote_ip, dns_ms, connect_ms, tls_ms,
                         first_byte_ms, total_ms, request_headers, response_headers, response_body, response_truncated)
    select partner_id, delivery_id, attempt_id, at, status_code, remote_ip, dns_ms, connect_ms, tls_ms, first_byte_ms,
           total_ms, request_headers, response_headers, response_body, response_truncated
    from standing
    -- A write-back may come twice.
    on conflict do nothing
)
update delivery set state = 'succeeded', leased_at = null, last_status_code = given.status_code, next_attempt_at = null,
                    not_before = null, finished_at = now()
from standing as given
where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
  and delivery.claims = given.claims and delivery.attempts = given.attempts
  and delivery.leased_at is not null and delivery.position is null
  and not delivery.again
returning delivery.delivery_id as "delivery_id: DeliveryId"
