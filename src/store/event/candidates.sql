-- Of each telling: the kept events that it may be. Its identity is kept; or an event of its order and status is known from
-- a row of the history alone; or it is such a row itself, and there is a message of that order and status that is not
-- later than it by more than $7 seconds, or does not say its time: of those the nearest.
select given.at as "at!", kept.event_id as "event_id!: EventId", kept.identity as "identity!",
       kept.occurred_at as "occurred_at!", kept.received_at as "received_at!", kept.verified as "verified!",
       kept.from_history as "from_history!"
from unnest($1::uuid[], $2::bytea[], $3::text[], $4::text[], $5::timestamptz[], $6::boolean[]) with ordinality
     as given (partner_id, identity, order_id, status, occurred_at, from_history, at)
cross join lateral (
    (select own.event_id, own.identity, own.occurred_at, own.received_at, own.verified, own.from_history
     from event as own
     where own.partner_id = given.partner_id and own.identity = given.identity)
    union all
    (select told.event_id, told.identity, told.occurred_at, told.received_at, told.verified, told.from_history
     from event as told
     where told.partner_id = given.partner_id and told.order_id = given.order_id and told.status = given.status
       and told.from_history
     order by told.event_id limit 1)
    union all
    (select near.event_id, near.identity, near.occurred_at, near.received_at, near.verified, near.from_history
     from event as near
     where given.from_history and near.partner_id = given.partner_id and near.order_id = given.order_id
       and near.status = given.status and not near.from_history
       and (near.occurred_at <= given.occurred_at + make_interval(secs => $7) or near.occurred_at = near.received_at)
     order by abs(extract(epoch from near.occurred_at - given.occurred_at)), near.identity limit 1)
) as kept
