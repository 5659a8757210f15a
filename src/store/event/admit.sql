-- Given events, each identity once and sorted by it. Those that are kept already under another identity are adopted (see
-- adopted and history below), the others inserted unless their identity is kept, and the orders of the new ones locked.
--
-- Answered: a given event and the one it is kept as; a given event alone, which was inserted; or an order as it stands.
with given as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[],
                         $8::timestamptz[], $9::boolean[], $10::boolean[], $11::smallint[], $12::text[])
        as given (partner_id, given_id, order_id, event, status, identity, occurred_at, received_at, from_history,
                  verified, hops, traceparent)
), history as (
    -- A history row is any event of its order and status.
    select given.partner_id, given.given_id, kept.event_id
    from given cross join lateral (
        select event_id from event
        where event.partner_id = given.partner_id and event.order_id = given.order_id and event.status = given.status
        order by event_id limit 1) as kept
    where given.from_history
      and not exists (select from event as own
                      where own.partner_id = given.partner_id and own.identity = given.identity)
), message as (
    -- A message is the event that was so far known only from a history row.
    select distinct on (kept.event_id) given.partner_id, given.given_id, given.identity, kept.event_id
    from given cross join lateral (
        select event_id from event
        where event.partner_id = given.partner_id and event.order_id = given.order_id and event.status = given.status
          and event.from_history
        order by event_id limit 1) as kept
    where not given.from_history
      and not exists (select from event as own
                      where own.partner_id = given.partner_id and own.identity = given.identity)
    order by kept.event_id, given.given_id
), adopted as (
    update event set from_history = false, identity = message.identity
    from message where event.partner_id = message.partner_id and event.event_id = message.event_id
    returning message.given_id, event.event_id
), inserted as (
    insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at, from_history,
                       verified, hops, traceparent)
    select partner_id, given_id, order_id, event, status, identity, occurred_at, received_at, from_history, verified,
           hops, traceparent
    from given
    where given_id not in (select given_id from history union all select given_id from message)
    on conflict on constraint event_identity_is_unique do nothing
    returning partner_id, event_id, order_id
), standing as (
    select "order".partner_id, "order".order_id, "order".status, "order".status_at, "order".verified, "order".revision,
           "order".snapshot_at
    from "order" join (select distinct partner_id, order_id from inserted order by partner_id, order_id) as moved
        using (partner_id, order_id)
    order by "order".partner_id, "order".order_id
    for update of "order"
)
select given_id as "given_id: EventId", event_id as "kept_id: EventId",
       null::uuid as "partner_id: PartnerId", null::text as order_id, null::text as status,
       null::timestamptz as status_at, null::boolean as verified, null::integer as revision, null::timestamptz as snapshot_at
from (select given_id, event_id from adopted union all select given_id, event_id from history) as kept
union all
select event_id, null, null, null, null, null, null, null, null from inserted
union all
select null, null, partner_id, order_id, status, status_at, verified, revision, snapshot_at from standing
