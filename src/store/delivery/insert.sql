-- Due, or held.
insert into delivery (partner_id, delivery_id, event_id, endpoint_id, state, next_attempt_at, due_noted)
select given.partner_id, given.delivery_id, given.event_id, given.endpoint_id, given.state,
       case when given.state = 'pending' then now() end, true
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::delivery_state[])
     as given (partner_id, delivery_id, event_id, endpoint_id, state)
