-- $1: the most that is counted.
with waiting as materialized (
    -- Who has something due is found by an index: what waits for its time costs nothing.
    select endpoint.partner_id, endpoint.endpoint_id, oldest.next_attempt_at, noted.due_at
    from (select partner_id, endpoint_id, min(due_at) as due_at from endpoint_due where due_at <= now()
          group by partner_id, endpoint_id) as noted
    join endpoint using (partner_id, endpoint_id)
    cross join lateral (
        select next_attempt_at from delivery
        where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
          and delivery.state = 'pending' and delivery.next_attempt_at <= now()
        order by delivery.next_attempt_at limit 1) as oldest
    where endpoint.state = 'enabled' and endpoint.deleted_at is null
      and (endpoint.paused_until is null or endpoint.paused_until <= now())
)
select (select count(*) from (
            select from waiting cross join lateral (
                select from delivery
                where delivery.partner_id = waiting.partner_id and delivery.endpoint_id = waiting.endpoint_id
                  and delivery.state = 'pending' and delivery.next_attempt_at <= now() limit $1) as one
            limit $1) as counted) as "due!",
       coalesce((select extract(epoch from now() - min(next_attempt_at))::float8 from waiting), 0)
           as "oldest_due_seconds!",
       -- Whoever sends to an endpoint looks at it again and again, also while nothing can be sent to it, and then it stands
       -- behind the others.
       coalesce((select extract(epoch from now() - min(due_at))::float8 from waiting), 0) as "oldest_stuck_seconds!",
       (select count(*) from (select from delivery where state = 'held' limit $1) as counted) as "held!"
