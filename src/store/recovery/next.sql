-- $1: the partner, $2: the endpoint, $3 and $4: between these event ids, $5 and $6: received in this span, $7: the scope,
-- $8: the most deliveries. Answered: the events that are owed, in the order of their ids, and behind them the last one
-- that was looked at, unless the end was reached.
with looked as materialized (
    select event.* from event
    where event.partner_id = $1 and event.event_id > $3 and event.event_id < $4
    order by event.event_id
    limit 5000
), matching as (
    select looked.event_id, looked.order_id
    from looked
    join endpoint on endpoint.partner_id = looked.partner_id and endpoint.endpoint_id = $2
    left join delivery on delivery.partner_id = looked.partner_id and delivery.event_id = looked.event_id
                      and delivery.endpoint_id = endpoint.endpoint_id
    where looked.received_at >= $5 and looked.received_at < $6
      and case $7::recovery_scope
              when 'failed' then delivery.state = 'exhausted'
              when 'missing' then delivery.delivery_id is null
              else true end
      and looked.event not like 'relay.test%'
      and (delivery.delivery_id is not null
           or (looked.event not like 'relay.%'
               and (endpoint.events is null or looked.event = any (endpoint.events))
               and (endpoint.statuses is null or looked.status = any (endpoint.statuses)
                    or (looked.status is null and looked.event not like 'ORDER\_%'))))
      and exists (select from payload
                  where payload.partner_id = looked.partner_id and payload.event_id = looked.event_id
                    and payload.received_at = looked.received_at)
    order by looked.event_id
    limit $8
)
select event_id as "event_id!: EventId", order_id, true as "owed!" from matching
union all
select event_id, null, false from (select event_id from looked order by event_id offset 4999 limit 1) as last
where (select count(*) from matching) < $8
order by 3 desc, 1
