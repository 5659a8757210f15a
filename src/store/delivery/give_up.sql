-- $1: the partner, $2: the endpoint, $3: those made before this id, $4: the most, $5: why. A test of the endpoint is nobody's to
-- see to: it is cancelled.
with old as (
    select partner_id, delivery_id from delivery
    where partner_id = $1 and endpoint_id = $2 and state = 'held' and delivery_id < $3
    order by delivery_id limit $4 for update skip locked
)
update delivery set state = case when event.event = 'relay.test' or starts_with(event.event, 'relay.test.')
                                then 'cancelled' else 'exhausted' end::delivery_state,
                    finished_at = now(), reason = $5
from old, event
where delivery.partner_id = old.partner_id and delivery.delivery_id = old.delivery_id
  and event.partner_id = delivery.partner_id and event.event_id = delivery.event_id
returning delivery.partner_id as "partner_id: _", delivery.endpoint_id as "endpoint_id: _",
          delivery.delivery_id as "delivery_id: _", delivery.event_id as "event_id: _", event.event, delivery.order_id,
          delivery.attempts, delivery.last_status_code, false as "released_lane!", delivery.reason
