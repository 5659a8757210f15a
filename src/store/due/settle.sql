-- $1 and $2: rows that are locked. In their place comes one for the time at which each endpoint has something due, unless
-- another is soon enough. An endpoint that is paused is looked at when its pause is over; one that is disabled or deleted
-- never, or when it is enabled.
with taken as (
    delete from endpoint_due using unnest($1::uuid[], $2::uuid[]) as given (partner_id, endpoint_due_id)
    where endpoint_due.partner_id = given.partner_id and endpoint_due.endpoint_due_id = given.endpoint_due_id
    returning endpoint_due.partner_id, endpoint_due.endpoint_due_id, endpoint_due.endpoint_id
), next as materialized (
    select endpoint.partner_id, endpoint.endpoint_id, greatest(first.next_attempt_at, endpoint.paused_until) as due_at
    from (select distinct partner_id, endpoint_id from taken) as one
    join endpoint using (partner_id, endpoint_id)
    cross join lateral (
        select next_attempt_at from delivery
        where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
          and delivery.state = 'pending' and delivery.next_attempt_at < '9999-01-01Z'
        order by next_attempt_at limit 1) as first
    where endpoint.state = 'enabled' and endpoint.deleted_at is null
)
insert into endpoint_due (partner_id, endpoint_id, due_at)
select partner_id, endpoint_id, due_at from next
where not exists (select from endpoint_due as noted
                  where noted.partner_id = next.partner_id and noted.endpoint_id = next.endpoint_id
                    and noted.due_at <= next.due_at
                    and noted.endpoint_due_id not in (select endpoint_due_id from taken)
                  for key share skip locked)
