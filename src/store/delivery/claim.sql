-- $1: most deliveries, $2: the lease in seconds, $3: the dispatcher, $4 and $5: the endpoints it sends to and the room
-- that each has, $6: look for others too, $7: the room of an endpoint that is new to it.
with recursive known as (
    select known.endpoint_id, known.room from unnest($4::uuid[], $5::integer[]) as known (endpoint_id, room)
), pending as (
    -- One step along the index for each endpoint that is owed anything, however much that is.
    (select partner_id, endpoint_id from delivery where $6 and state = 'pending'
     order by partner_id, endpoint_id limit 1)
    union all
    select next.partner_id, next.endpoint_id from pending cross join lateral (
        select partner_id, endpoint_id from delivery
        where state = 'pending' and (partner_id, endpoint_id) > (pending.partner_id, pending.endpoint_id)
        order by partner_id, endpoint_id limit 1) as next
), candidate as materialized (
    select endpoint.*, coalesce(known.room, $7) as room, endpoint_lease.dispatcher_id
    from (select partner_id, endpoint_id from pending
          union
          select partner_id, endpoint_id from endpoint_lease
          where not $6 and dispatcher_id = $3 and endpoint_id = any ($4)) as owed
    join endpoint using (partner_id, endpoint_id)
    left join endpoint_lease using (partner_id, endpoint_id)
    left join known using (endpoint_id)
    where endpoint.state = 'enabled' and endpoint.deleted_at is null
      and (endpoint.paused_until is null or endpoint.paused_until <= now())
      and (endpoint_lease.dispatcher_id is null or endpoint_lease.dispatcher_id = $3)
      and coalesce(known.room, $7) > 0
      -- `offset`: one step along the index for each endpoint. Without it Postgres reads all that is due and then looks
      -- which endpoints it belongs to.
      and exists (select from delivery
                  where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                    and delivery.state = 'pending' and delivery.next_attempt_at <= now() offset 0)
    order by random()
    -- Enough to keep a process busy; the others have their turn in the next claim.
    limit least($1::bigint, 128)
), taken as (
    -- Whoever comes second waits for the first and then finds it taken.
    insert into endpoint_lease (partner_id, endpoint_id, dispatcher_id)
    select partner_id, endpoint_id, $3 from candidate where dispatcher_id is null order by partner_id, endpoint_id
    on conflict on constraint endpoint_lease_pkey do update set dispatcher_id = excluded.dispatcher_id
    where endpoint_lease.dispatcher_id is null
    returning partner_id, endpoint_id, lost_at
), ours as materialized (
    select candidate.*, taken.lost_at is not null as lost
    from candidate left join taken using (partner_id, endpoint_id)
    where candidate.dispatcher_id = $3 or taken.endpoint_id is not null
), due as materialized (
    select due.partner_id, due.delivery_id, ours.revision, ours.max_in_flight, ours.rate_thousandths, ours.rate_burst,
           ours.ordered, ours.breaker_trips, ours.lost
    from ours cross join lateral (
        select delivery.partner_id, delivery.delivery_id from delivery
        where delivery.partner_id = ours.partner_id and delivery.endpoint_id = ours.endpoint_id
          and delivery.state = 'pending' and delivery.next_attempt_at <= now()
        order by delivery.next_attempt_at
        limit case when ours.breaker_trips > 0 then 1 else ours.room end
        for update skip locked) as due
    limit $1
), claimed as (
    update delivery set attempts = attempts + 1, claims = claims + 1, leased_at = now(), again = false,
                        schedule_start = case when again then attempts else schedule_start end,
                        next_attempt_at = now() + make_interval(secs => $2)
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
