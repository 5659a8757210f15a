-- Given events that are not kept under their own identity; answered: which of them are kept after all, and as what.
with given as (
    select * from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::boolean[])
        as given (partner_id, given_id, order_id, status, identity, from_history)
), history as (
    select given.partner_id, given.given_id, kept.event_id
    from given cross join lateral (
        select event_id from event
        where event.partner_id = given.partner_id and event.order_id = given.order_id and event.status = given.status
        order by event_id limit 1) as kept
    where given.from_history
      and not exists (select from event as own
                      where own.partner_id = given.partner_id and own.identity = given.identity)
), message as (
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
)
select given_id as "given_id!: EventId", event_id as "kept_id!: EventId" from adopted
union all
select given_id, event_id from history
