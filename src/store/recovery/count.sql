-- $1: the partner, $2: the endpoint, $3 and $4: between these event ids, $5 and $6: received in this span, $7: the scope.
select count(*) as "count!"
from endpoint
join event on event.partner_id = endpoint.partner_id
left join delivery on delivery.partner_id = event.partner_id and delivery.event_id = event.event_id
                  and delivery.endpoint_id = endpoint.endpoint_id
where endpoint.partner_id = $1 and endpoint.endpoint_id = $2
  and event.event_id > $3 and event.event_id < $4 and event.received_at >= $5 and event.received_at < $6
  and case $7::recovery_scope
          when 'failed' then delivery.state = 'exhausted'
          when 'missing' then delivery.delivery_id is null
          else true end
  and event.event <> 'relay.test'
  and (delivery.delivery_id is not null
       or (event.event not like 'relay.%'
           and (endpoint.events is null or event.event = any (endpoint.events))
           and (endpoint.statuses is null or event.status = any (endpoint.statuses)
                or (event.status is null and event.event not like 'ORDER\_%'))))
  and exists (select from payload where payload.partner_id = event.partner_id and payload.event_id = event.event_id
                                    and payload.received_at = event.received_at)
