-- $1: partner, $2: order, $3: the id of the record, $4: the hash of the caller's token, $5: what the relay itself told
-- of it. Its messages in quarantine come after.
with orders as (
    delete from "order" where partner_id = $1 and order_id = $2 returning partner_id, partner_order_id
), events as (
    delete from event
    where partner_id = $1 and (order_id = $2 or event_id = any ($5))
    returning event_id, received_at
), deliveries as (
    delete from delivery using events
    where delivery.partner_id = $1 and delivery.event_id = events.event_id
    returning delivery.delivery_id
), attempts as (
    delete from attempt using deliveries
    where attempt.partner_id = $1 and attempt.delivery_id = deliveries.delivery_id
    returning 1
), payloads as (
    delete from payload using events
    where payload.partner_id = $1 and payload.event_id = events.event_id and payload.received_at = events.received_at
), sightings as (
    delete from sighting using events
    where sighting.partner_id = $1 and sighting.event_id = events.event_id
    returning 1
), watches as (
    delete from watch
    where partner_id = $1
      and (order_id = $2 or partner_order_id = (select partner_order_id from orders))
), repairs as (
    delete from gap_repair_order where partner_id = $1 and order_id = $2
), record as (
    insert into erasure (partner_id, erasure_id, order_id, token_hash, events, deliveries, attempts, sightings, quarantined)
    select partner_id, $3, $2, $4, (select count(*) from events), (select count(*) from deliveries),
           (select count(*) from attempts), (select count(*) from sightings), 0
    from orders
    returning 1
)
select count(*) as "erased!" from record
