-- $1: the dispatcher that looks, $2: a heartbeat this old in seconds is a dead one's, $3: the lease in seconds.
with dead as materialized (
    select dispatcher_id from dispatcher
    where dispatcher_id <> $1
      and case
          when heartbeat_at < now() - make_interval(secs => $2) then true
          when heartbeat_at < now() - interval '3 s' and pg_postmaster_start_time() < now() - interval '10 s'
              then pg_try_advisory_xact_lock(hashtextextended(dispatcher_id::text, 0))
          else false
      end
    order by dispatcher_id
    for update skip locked
), freed as (
    update endpoint_lease set dispatcher_id = null, lost_at = now()
    from dead where endpoint_lease.dispatcher_id = dead.dispatcher_id
    returning partner_id, endpoint_id
), begun as (
    update delivery set next_attempt_at = now()
    from freed
    where delivery.partner_id = freed.partner_id and delivery.endpoint_id = freed.endpoint_id
      and delivery.state = 'pending' and delivery.leased_at is not null
      and delivery.next_attempt_at > now() and delivery.next_attempt_at <= now() + make_interval(secs => $3)
), noted as (
    -- As in `store::due`: what had been begun is due now.
    insert into endpoint_due (partner_id, endpoint_id, due_at)
    select partner_id, endpoint_id, now() from freed
    where not exists (select from endpoint_due as noted
                      where noted.partner_id = freed.partner_id and noted.endpoint_id = freed.endpoint_id
                        and noted.due_at <= now()
                      for key share)
), buried as (
    delete from dispatcher using dead where dispatcher.dispatcher_id = dead.dispatcher_id
    returning 1
)
select count(*) as "count!" from buried
