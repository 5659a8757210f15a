-- $1: the most that is counted.
with recursive pending as (
    -- One step along the index for each endpoint that is owed anything, however much that is.
    (select partner_id, endpoint_id from delivery where state = 'pending'
     order by partner_id, endpoint_id limit 1)
    union all
    select next.partner_id, next.endpoint_id from pending cross join lateral (
        select partner_id, endpoint_id from delivery
        where state = 'pending' and (partner_id, endpoint_id) > (pending.partner_id, pending.endpoint_id)
        order by partner_id, endpoint_id limit 1) as next
), sendable as (
    select endpoint.* from pending join endpoint using (partner_id, endpoint_id)
    where endpoint.state = 'enabled' and endpoint.deleted_at is null
      and (endpoint.paused_until is null or endpoint.paused_until <= now())
), waiting as (
    select oldest.next_attempt_at,
           -- Leased deliveries stand right after what is due: somebody is sending to this endpoint.
           exists (select from delivery
                   where delivery.partner_id = sendable.partner_id and delivery.endpoint_id = sendable.endpoint_id
                     and delivery.state = 'pending' and delivery.leased_at is not null
                     and delivery.next_attempt_at > now() and delivery.next_attempt_at < now() + interval '2 minutes')
           -- One that is sent to slowly on purpose is not stuck either.
           or sendable.rate_thousandths is not null as sending
    from sendable cross join lateral (
        select next_attempt_at from delivery
        where delivery.partner_id = sendable.partner_id and delivery.endpoint_id = sendable.endpoint_id
          and delivery.state = 'pending' and delivery.next_attempt_at <= now()
        order by delivery.next_attempt_at limit 1) as oldest
)
select (select count(*) from (
            select from sendable cross join lateral (
                select from delivery
                where delivery.partner_id = sendable.partner_id and delivery.endpoint_id = sendable.endpoint_id
                  and delivery.state = 'pending' and delivery.next_attempt_at <= now() limit $1) as one
            limit $1) as counted) as "due!",
       coalesce((select extract(epoch from now() - min(next_attempt_at))::float8 from waiting), 0)
           as "oldest_due_seconds!",
       coalesce((select extract(epoch from now() - min(next_attempt_at))::float8 from waiting where not sending), 0)
           as "oldest_stuck_seconds!",
       (select count(*) from (select from delivery where state = 'held' limit $1) as counted) as "held!"
