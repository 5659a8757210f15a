-- $1 and $2: after which endpoint the walk along what is pending begins, $3 and $4: that along what is held, $5: the most
-- steps of each. Answered: every endpoint on the way, whether it should be noted, and whether what it is owed is not as
-- it is.
with recursive pending as (
    -- One step along the index for each endpoint, however much it is owed.
    (select partner_id, endpoint_id, next_attempt_at, 1 as step from delivery
     where state = 'pending' and (partner_id, endpoint_id) > ($1::uuid, $2::uuid)
     order by partner_id, endpoint_id, next_attempt_at limit 1)
    union all
    select next.*, pending.step + 1 from pending cross join lateral (
        select partner_id, endpoint_id, next_attempt_at from delivery
        where state = 'pending' and (partner_id, endpoint_id) > (pending.partner_id, pending.endpoint_id)
        order by partner_id, endpoint_id, next_attempt_at limit 1) as next
    where pending.step < $5
), held as (
    (select partner_id, endpoint_id, 1 as step from delivery
     where state = 'held' and (partner_id, endpoint_id) > ($3::uuid, $4::uuid)
     order by partner_id, endpoint_id limit 1)
    union all
    select next.*, held.step + 1 from held cross join lateral (
        select partner_id, endpoint_id from delivery
        where state = 'held' and (partner_id, endpoint_id) > (held.partner_id, held.endpoint_id)
        order by partner_id, endpoint_id limit 1) as next
    where held.step < $5
), owed as (
    select partner_id, endpoint_id, next_attempt_at, false as held from pending
    union all
    select partner_id, endpoint_id, null, true from held
)
select owed.partner_id as "partner_id!: PartnerId", owed.endpoint_id as "endpoint_id!: EndpointId", owed.held as "held!",
       (not owed.held and endpoint.state = 'enabled' and endpoint.deleted_at is null
        and owed.next_attempt_at < '9999-01-01Z'
        and not exists (select from endpoint_due
                        where endpoint_due.partner_id = owed.partner_id and endpoint_due.endpoint_id = owed.endpoint_id
                          and endpoint_due.due_at <= greatest(owed.next_attempt_at, endpoint.paused_until, now())
                        offset 0)) is true as "late!",
       (endpoint.deleted_at is not null
        or (owed.held and endpoint.state = 'enabled')
        or (not owed.held and endpoint.state = 'disabled'
            and exists (select from delivery
                        where delivery.partner_id = owed.partner_id and delivery.endpoint_id = owed.endpoint_id
                          and delivery.state = 'pending'
                          and (delivery.leased_at is null or delivery.next_attempt_at <= now()) offset 0))
        or (not owed.held and not endpoint.ordered
            and exists (select from delivery
                        where delivery.partner_id = owed.partner_id and delivery.endpoint_id = owed.endpoint_id
                          and delivery.state in ('pending', 'held') and delivery.position is not null offset 0))
       ) is true as "astray!"
from owed left join endpoint using (partner_id, endpoint_id)
order by owed.held, owed.partner_id, owed.endpoint_id
