-- $1: the partner, $2: events, $3: their orders, $4: to which endpoints, $5: the ids of deliveries that are new. What is
-- under way is left as it is. Answered: what is owed now. An event that is erased at this moment is owed to nobody.
insert into delivery as d (partner_id, delivery_id, event_id, endpoint_id, order_id, state, next_attempt_at, position, due_noted)
select e.partner_id, n.delivery_id, n.event_id, e.endpoint_id, n.order_id,
       case e.state when 'enabled' then 'pending' else 'held' end::delivery_state,
       case when e.state = 'disabled' then null
            when e.ordered and n.order_id is not null then '9999-01-01Z'
            else now() end,
       case when e.ordered and n.order_id is not null then nextval('delivery_position') end, true
from unnest($2::uuid[], $3::text[], $4::uuid[], $5::uuid[]) as n (event_id, order_id, endpoint_id, delivery_id)
join endpoint e on e.partner_id = $1 and e.endpoint_id = n.endpoint_id and e.deleted_at is null
join event on event.partner_id = $1 and event.event_id = n.event_id
for key share of event
on conflict on constraint delivery_one_per_event_and_endpoint do update
set state = excluded.state,
    next_attempt_at = case when excluded.next_attempt_at is not null and excluded.position is not null
                                and d.state = 'pending' and d.position is not null
                                and d.next_attempt_at < '9999-01-01Z' then now()
                           else excluded.next_attempt_at end,
    position = case when excluded.position is not null
                   then coalesce(case when d.state in ('pending', 'held') then d.position end, excluded.position) end,
    not_before = null, schedule_start = d.attempts, leased_at = null, finished_at = null, due_noted = true,
    reason = null
where d.leased_at is null or d.next_attempt_at <= now()
returning d.delivery_id as "delivery_id: DeliveryId", d.endpoint_id as "endpoint_id: EndpointId", d.order_id,
          d.position is not null as "in_lane!"
