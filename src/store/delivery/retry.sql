-- $1: the partner, $2: the delivery. Nothing if its endpoint was deleted or a request for it is under way.
update delivery d
set state = case e.state when 'enabled' then 'pending' else 'held' end::delivery_state,
    next_attempt_at = case when e.state = 'disabled' then null
                           when not (e.ordered and d.order_id is not null) then now()
                           when d.state = 'pending' and d.position is not null and d.next_attempt_at < '9999-01-01Z'
                               then now()
                           else '9999-01-01Z' end,
    position = case when e.ordered and d.order_id is not null
                   then coalesce(case when d.state in ('pending', 'held') then d.position end, nextval('delivery_position')) end,
    not_before = null, schedule_start = d.attempts, leased_at = null, finished_at = null, reason = null
from endpoint e
where d.partner_id = $1 and d.delivery_id = $2
  and e.partner_id = d.partner_id and e.endpoint_id = d.endpoint_id and e.deleted_at is null
  and (d.leased_at is null or d.next_attempt_at <= now())
returning d.endpoint_id as "endpoint_id: EndpointId", d.order_id, d.position is not null as "in_lane!"
