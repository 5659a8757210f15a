-- $1: most deliveries, $2: most of one endpoint, $3: the lease in seconds.
with recursive lane as (
    (select partner_id, endpoint_id from delivery where state = 'pending'
     order by partner_id, endpoint_id limit 1)
    union all
    select next.partner_id, next.endpoint_id from lane cross join lateral (
        select partner_id, endpoint_id from delivery
        where state = 'pending' and (partner_id, endpoint_id) > (lane.partner_id, lane.endpoint_id)
        order by partner_id, endpoint_id limit 1) as next
), due as materialized (
    select due.partner_id, due.delivery_id, lane.revision
    from (select lane.*, endpoint.revision from lane join endpoint using (partner_id, endpoint_id)
          where endpoint.state = 'enabled' and endpoint.deleted_at is null order by random()) as lane
    cross join lateral (
        select delivery.partner_id, delivery.delivery_id from delivery
        where delivery.partner_id = lane.partner_id and delivery.endpoint_id = lane.endpoint_id
          and state = 'pending' and next_attempt_at <= now()
        order by next_attempt_at limit $2 for update skip locked) as due
    limit $1
), claimed as (
    update delivery set attempts = attempts + 1, leased_at = now(),
                        next_attempt_at = now() + make_interval(secs => $3)
    from due where delivery.partner_id = due.partner_id and delivery.delivery_id = due.delivery_id
    returning delivery.*, due.revision
)
select claimed.partner_id as "partner_id!: PartnerId", delivery_id as "delivery_id!: DeliveryId",
       endpoint_id as "endpoint_id!: EndpointId", revision as "revision!", attempts as "attempts!",
       schedule_start as "schedule_start!", claimed.event_id as "event_id!: EventId", claimed.order_id,
       event.event, event.occurred_at, event.received_at, payload.body
from claimed join event using (partner_id, event_id)
join payload on payload.partner_id = event.partner_id and payload.event_id = event.event_id
            and payload.received_at = event.received_at
