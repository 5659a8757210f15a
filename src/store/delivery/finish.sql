-- Given results of attempts; answered: those whose lease still stood.
update delivery set state = given.final, leased_at = null,
    last_status_code = coalesce(given.status_code, last_status_code),
    next_attempt_at = case when given.final = 'pending' then now() + make_interval(secs => given.retry_after) end,
    not_before = case when given.asked then now() + make_interval(secs => given.retry_after) end,
    finished_at = case when given.final in ('succeeded', 'exhausted', 'cancelled') then now() end
from (
    select given.*,
           case when given.state = 'pending'
                     and exists (select from delivery as mine
                                 join endpoint using (partner_id, endpoint_id)
                                 where mine.partner_id = given.partner_id and mine.delivery_id = given.delivery_id
                                   and endpoint.state = 'disabled')
                then 'held' else given.state end as final
    from unnest($1::uuid[], $2::uuid[], $3::integer[], $4::delivery_state[], $5::float8[], $6::smallint[], $7::boolean[],
                $8::integer[])
         as given (partner_id, delivery_id, attempts, state, retry_after, status_code, asked, claims)
) as given
where delivery.partner_id = given.partner_id and delivery.delivery_id = given.delivery_id
  and delivery.claims = given.claims and delivery.attempts = given.attempts and delivery.leased_at is not null
returning delivery.partner_id as "partner_id: PartnerId", delivery.delivery_id as "delivery_id: DeliveryId",
          delivery.endpoint_id as "endpoint_id: EndpointId", delivery.order_id,
          delivery.state as "state: DeliveryState", position is not null as "in_lane!"
