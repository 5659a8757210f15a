-- Of each telling the kept events that it may be: that with its identity; of its order and status the nearest that is known
-- from a row of the history alone; the nearest visit, if it is no further than $8 seconds from it; and if it is told by the
-- history itself, the nearest message or visit that is not later than it by more than $7 seconds, or does not say its time.
select given.at as "at!", kept.event_id as "event_id!: EventId", kept.identity as "identity!",
       kept.occurred_at as "occurred_at!", kept.received_at as "received_at!", kept.verified as "verified!",
       kept.from_history as "from_history!", kept.is_visit as "is_visit!"
from unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::timestamptz[], $6::boolean[]) with ordinality
     as given (partner_id, identity, order_id, status, occurred_at, from_history, at)
cross join lateral (
    (select own.event_id, own.identity, own.occurred_at, own.received_at, own.verified, own.from_history, own.is_visit
     from event as own
     where own.partner_id = given.partner_id and own.identity = given.identity)
    union all
    (select told.event_id, told.identity, told.occurred_at, told.received_at, told.verified, told.from_history, told.is_visit
     from event as told
     where told.partner_id = given.partner_id and told.order_id = given.order_id and told.status = given.status
       and told.from_history and not told.is_visit
     order by abs(extract(epoch from told.occurred_at - given.occurred_at)), told.event_id limit 1)
    union all
    (select visit.event_id, visit.identity, visit.occurred_at, visit.received_at, visit.verified, visit.from_history, visit.is_visit
     from event as visit
     where visit.partner_id = given.partner_id and visit.order_id = given.order_id and visit.status = given.status
       and visit.from_history and visit.is_visit
       and abs(extract(epoch from visit.occurred_at - given.occurred_at)) <= $8::float8
     order by abs(extract(epoch from visit.occurred_at - given.occurred_at)), visit.event_id limit 1)
    union all
    (select near.event_id, near.identity, near.occurred_at, near.received_at, near.verified, near.from_history, near.is_visit
     from event as near
     where given.from_history and near.partner_id = given.partner_id and near.order_id = given.order_id
       and near.status = given.status and (near.is_visit or not near.from_history)
       and (near.occurred_at <= given.occurred_at + make_interval(secs => $7) or near.occurred_at = near.received_at)
     order by abs(extract(epoch from near.occurred_at - given.occurred_at)), near.identity limit 1)
) as kept
