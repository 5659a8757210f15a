-- $1: the partner, $2: the endpoint, $3 and $4: between these event ids, $5 and $6: received in this span, $7: the scope,
-- $8: the most events that are looked at.
with looked as materialized (
    select event_id, event, status, received_at from event
    where partner_id = $1 and event_id > $3 and event_id < $4
    order by event_id
    limit $8
)
select count(*) filter (where matches) as "total!", (select count(*) from looked) = $8 as "is_at_least!"
from (
    select looked.received_at >= $5 and looked.received_at < $6
           and case $7::recovery_scope
                   when 'failed' then delivery.state is not distinct from 'exhausted'
                   when 'missing' then delivery.delivery_id is null
                   else true end
           and looked.event not like 'relay.test%'
           and (delivery.delivery_id is not null
                or (looked.event not like 'relay.%'
                    and (endpoint.events is null or looked.event = any (endpoint.events))
                    and (endpoint.statuses is null or looked.status = any (endpoint.statuses)
                         or (looked.status is null and looked.event not like 'ORDER\_%'))))
           and exists (select from payload
                       where payload.partner_id = $1 and payload.event_id = looked.event_id
                         and payload.received_at = looked.received_at) as matches
    from looked
    join endpoint on endpoint.partner_id = $1 and endpoint.endpoint_id = $2
    left join delivery on delivery.partner_id = $1 and delivery.event_id = looked.event_id
                      and delivery.endpoint_id = endpoint.endpoint_id
) as judged
