-- Born leased, due, waiting in the lane of their order, or held.
insert into delivery (partner_id, delivery_id, event_id, endpoint_id, order_id, state, attempts, claims, next_attempt_at,
                      leased_at, position)
select given.partner_id, given.delivery_id, given.event_id, given.endpoint_id, given.order_id, given.state,
       given.leased::int, given.leased::int,
       case when given.leased then now() + make_interval(secs => $9)
            when given.state = 'pending' and given.in_lane and (given.follows or exists (
                select from delivery as earlier
                where earlier.partner_id = given.partner_id and earlier.endpoint_id = given.endpoint_id
                  and earlier.order_id = given.order_id and earlier.state = 'pending'
                  and earlier.position is not null)) then '9999-01-01Z'
            when given.state = 'pending' then now() end,
       case when given.leased then now() end,
       case when given.in_lane then nextval('delivery_position') end
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::delivery_state[], $7::boolean[],
            $8::boolean[], $10::boolean[])
     as given (partner_id, delivery_id, event_id, endpoint_id, order_id, state, leased, in_lane, follows)
