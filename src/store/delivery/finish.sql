-- Given results of attempts; answered: those whose lease still stood.
update delivery set
    leased_at = null, again = false, last_status_code = coalesce(given.status_code, last_status_code),
    -- What somebody asked for meanwhile is owed again, whatever came of this attempt.
    state = case when delivery.again then given.open else given.final end,
    next_attempt_at = case when delivery.again then case given.open when 'pending' then now() end
                           when given.final = 'pending' then now() + make_interval(secs => given.retry_after) end,
    not_before = case when not delivery.again then now() + make_interval(secs => given.asked) end,
    schedule_start = case when delivery.again then delivery.attempts else delivery.schedule_start end,
    finished_at = case when (case when delivery.again then given.open else given.final end)
                            in ('succeeded', 'exhausted', 'cancelled') then now() end
from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::delivery_state[], $5::float8[], $6::smallint[], $7::float8[],
            $8::integer[], $9::boolean[])
     as result (partner_id, delivery_id, attempts, state, retry_after, status_code, asked, claims, is_over)
-- open: what it is while it is owed.
cross join lateral (
    select case when result.is_over then 'cancelled'
                when exists (select from delivery as mine join endpoint using (partner_id, endpoint_id)
                             where mine.partner_id = result.partner_id and mine.delivery_id = result.delivery_id
                               and endpoint.state = 'disabled' offset 0) then 'held'
                else 'pending' end::delivery_state as open
    offset 0) as owed
cross join lateral (
    select result.*, owed.open, case when result.state = 'pending' then owed.open else result.state end as final
) as given
where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
  and delivery.claims = given.claims and delivery.attempts = given.attempts and delivery.leased_at is not null
returning delivery.partner_id as "partner_id: PartnerId", delivery.delivery_id as "delivery_id: DeliveryId",
          delivery.endpoint_id as "endpoint_id: EndpointId", delivery.order_id,
          delivery.state as "state: DeliveryState", position is not null as "in_lane!",
          (delivery.state = 'pending' and delivery.next_attempt_at <= now()) as "due_now!"
