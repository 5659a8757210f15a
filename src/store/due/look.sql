-- $1: the dispatcher, $2: the most that are looked at, $3: the most of one partner if there are more, and fewer if there are
-- many partners, $4: only partners after this one.
with recursive soonest as materialized (
    select partner_id, endpoint_due_id, endpoint_id, due_at from endpoint_due
    where due_at <= now() order by due_at limit $2
), owner as (
    -- More than can be looked at: then some of each partner, by one step along the index for each partner.
    (select partner_id from endpoint_due
     where (select count(*) from soonest) >= $2 and partner_id > $4 order by partner_id limit 1)
    union all
    select next.partner_id from owner cross join lateral (
        select partner_id from endpoint_due where partner_id > owner.partner_id
        order by partner_id limit 1) as next
), spread as materialized (
    select due.* from owner cross join lateral (
        select partner_id, endpoint_due_id, endpoint_id, due_at from endpoint_due
        where endpoint_due.partner_id = owner.partner_id and due_at <= now() order by due_at
        limit (select least($3, greatest(1, $2 / greatest(1, count(*)))) from owner)) as due
    limit $2
), looked as materialized (
    select * from spread
    union all
    select * from soonest where not exists (select from spread)
), judged as materialized (
    select looked.*,
           -- `offset`: one step along the index for each endpoint.
           (endpoint.state = 'enabled' and endpoint.deleted_at is null
            and (endpoint.paused_until is null or endpoint.paused_until <= now())
            and exists (select from delivery
                        where delivery.partner_id = looked.partner_id and delivery.endpoint_id = looked.endpoint_id
                          and delivery.state = 'pending' and delivery.next_attempt_at <= now() offset 0)) is true as due,
           (endpoint_lease.dispatcher_id is null or endpoint_lease.dispatcher_id = $1) as takeable
    from looked left join endpoint using (partner_id, endpoint_id)
    left join endpoint_lease using (partner_id, endpoint_id)
), turned as (
    -- Whoever has been looked at stands behind the others, also if nothing can be sent to it now.
    update endpoint_due set due_at = now()
    from (select endpoint_due.partner_id, endpoint_due.endpoint_due_id from judged
          join endpoint_due using (partner_id, endpoint_due_id)
          where judged.due and judged.takeable and endpoint_due.due_at < now() - interval '1 s'
          for no key update of endpoint_due skip locked) as old
    where endpoint_due.partner_id = old.partner_id and endpoint_due.endpoint_due_id = old.endpoint_due_id
)
select partner_id as "partner_id!: PartnerId", endpoint_id as "endpoint_id!: EndpointId", due as "due!",
       takeable as "takeable!", (select count(*) >= $2 from spread) as "more!"
from judged
group by partner_id, endpoint_id, due, takeable
order by min(due_at)
