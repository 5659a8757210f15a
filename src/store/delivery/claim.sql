-- $1: the lease in seconds, $2: the dispatcher, $3 to $6: endpoints, the most deliveries of each, and which one to take if it
-- is to tell whether the endpoint is up.
with candidate as materialized (
    select endpoint.*, wanted.most, endpoint_lease.dispatcher_id,
           -- A probe: what was tried before and what was not by turns, so that one delivery that always fails does not
           -- decide alone, and neither does a block of them.
           case when breaker_trips = 0 then wanted.pick when breaker_trips % 2 = 0 then 'tried'
                else (array['newest', 'anywhere', 'oldest'])[breaker_trips / 2 % 3 + 1] end as probe
    from unnest($3::uuid[], $4::uuid[], $5::integer[], $6::text[]) as wanted (partner_id, endpoint_id, most, pick)
    join endpoint using (partner_id, endpoint_id)
    left join endpoint_lease using (partner_id, endpoint_id)
    where endpoint.state = 'enabled' and endpoint.deleted_at is null
      and (endpoint.paused_until is null or endpoint.paused_until <= now())
      and (endpoint_lease.dispatcher_id is null or endpoint_lease.dispatcher_id = $2)
      -- `offset`: one step along the index for each endpoint. Without it Postgres reads all that is due and then looks
      -- which endpoints it belongs to.
      and exists (select from delivery
                  where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                    and delivery.state = 'pending' and delivery.next_attempt_at <= now() offset 0)
), taken as (
    -- Whoever comes second waits for the first and then finds it taken.
    insert into endpoint_lease (partner_id, endpoint_id, dispatcher_id)
    select partner_id, endpoint_id, $2 from candidate where dispatcher_id is null order by partner_id, endpoint_id
    on conflict on constraint endpoint_lease_pkey do update set dispatcher_id = excluded.dispatcher_id
    where endpoint_lease.dispatcher_id is null
    returning partner_id, endpoint_id, lost_at
), ours as materialized (
    select candidate.*, taken.lost_at is not null as lost
    from candidate left join taken using (partner_id, endpoint_id)
    where candidate.dispatcher_id = $2 or taken.endpoint_id is not null
), due as materialized (
    select ours.partner_id, due.delivery_id, ours.revision, ours.max_in_flight, ours.rate_thousandths, ours.rate_burst,
           ours.ordered, ours.breaker_trips, ours.lost
    from ours cross join lateral (
        select delivery.delivery_id from delivery
        where delivery.partner_id = ours.partner_id and delivery.endpoint_id = ours.endpoint_id
          and delivery.state = 'pending' and delivery.next_attempt_at <= now()
        order by delivery.next_attempt_at
        limit ours.most
        for update skip locked) as due
    where ours.probe is null
    union all
    -- A test comes first.
    select ours.partner_id, probe.delivery_id, ours.revision, ours.max_in_flight, ours.rate_thousandths, ours.rate_burst,
           ours.ordered, ours.breaker_trips, ours.lost
    from ours cross join lateral (
        select delivery.delivery_id from delivery
        where delivery.partner_id = ours.partner_id and delivery.delivery_id = (
            select delivery_id from (
                (select delivery_id, attempts, next_attempt_at, 'oldest' as part from delivery
                 where delivery.partner_id = ours.partner_id and delivery.endpoint_id = ours.endpoint_id
                   and delivery.state = 'pending' and delivery.next_attempt_at <= now()
                 order by delivery.next_attempt_at limit 50)
                union all
                (select delivery_id, attempts, next_attempt_at, 'newest' from delivery
                 where delivery.partner_id = ours.partner_id and delivery.endpoint_id = ours.endpoint_id
                   and delivery.state = 'pending' and delivery.next_attempt_at <= now()
                 order by delivery.next_attempt_at desc limit 50)
                union all
                (select part.*, 'anywhere' from (
                    select next_attempt_at + random() * (now() - next_attempt_at) as begin from delivery
                    where delivery.partner_id = ours.partner_id and delivery.endpoint_id = ours.endpoint_id
                      and delivery.state = 'pending' and delivery.next_attempt_at > '1970-01-01Z'
                    order by delivery.next_attempt_at limit 1) as anywhere
                 cross join lateral (
                    select delivery_id, attempts, next_attempt_at from delivery
                    where delivery.partner_id = ours.partner_id and delivery.endpoint_id = ours.endpoint_id
                      and delivery.state = 'pending' and delivery.next_attempt_at between anywhere.begin and now()
                    order by delivery.next_attempt_at limit 50) as part)) as parts
            order by next_attempt_at > '1970-01-01Z', (attempts > 0) = (ours.probe <> 'tried'), part <> ours.probe,
                     -- Many become due in the same moment: then their keys, which grow with time, say which is newest.
                     case when ours.probe = 'newest' then next_attempt_at end desc,
                     case when ours.probe = 'newest' then delivery_id end desc,
                     case when ours.probe = 'anywhere' then random() end,
                     next_attempt_at
            limit 1)
        for update skip locked) as probe
    where ours.probe is not null
), claimed as (
    update delivery set attempts = attempts + 1, claims = claims + 1, leased_at = now(), again = false,
                        schedule_start = case when again then attempts else schedule_start end,
                        next_attempt_at = now() + make_interval(secs => $1)
    from due where delivery.partner_id = due.partner_id and delivery.delivery_id = due.delivery_id
    returning delivery.*, due.revision, due.max_in_flight, due.rate_thousandths, due.rate_burst, due.ordered,
              due.breaker_trips, due.lost
)
select claimed.partner_id as "partner_id!: PartnerId", delivery_id as "delivery_id!: DeliveryId",
       endpoint_id as "endpoint_id!: EndpointId", attempts as "attempts!", claims as "claims!", schedule_start as "schedule_start!",
       position is not null as "in_lane!", claimed.event_id as "event_id!: EventId", claimed.order_id,
       revision as "revision!", max_in_flight as "max_in_flight!", rate_thousandths, rate_burst, ordered as "ordered!",
       breaker_trips as "breaker_trips!", lost as "lost!",
       event.event, event.occurred_at, event.received_at, event.hops, event.traceparent, payload.body as "body?"
-- In this order whatever Postgres knows of the tables: first what was claimed, then one step along an index for each.
from claimed cross join lateral (
    select * from event where event.partner_id = claimed.partner_id and event.event_id = claimed.event_id
    offset 0) as event
-- A payload may be gone with its partition.
left join lateral (
    select body from payload
    where payload.partner_id = event.partner_id and payload.event_id = event.event_id
      and payload.received_at = event.received_at
    offset 0) as payload on true
