-- Kept events as they are from now on; where their name and body ($8, $9) are null they keep those they have.
with given as materialized (
    select * from unnest($1::uuid[], $2::uuid[], $3::timestamptz[], $4::bytea[], $5::timestamptz[], $6::boolean[],
                         $7::boolean[], $8::text[], $9::bytea[], $10::boolean[])
        as given (partner_id, event_id, received_at, identity, occurred_at, verified, from_history, event, body, is_visit)
), said as (
    update payload set body = given.body from given
    where payload.partner_id = given.partner_id and payload.event_id = given.event_id
      and payload.received_at = given.received_at and given.body is not null
)
update event set identity = given.identity, occurred_at = given.occurred_at, verified = given.verified,
       from_history = given.from_history, is_visit = given.is_visit, event = coalesce(given.event, event.event)
from given
where event.partner_id = given.partner_id and event.event_id = given.event_id
