-- One of the endpoints that are owed something that is not as the endpoint is, whichever by chance.
with recursive held as (
    -- One step along the index for each endpoint, however much it is owed.
    (select partner_id, endpoint_id from delivery where state = 'held'
     order by partner_id, endpoint_id limit 1)
    union all
    select next.partner_id, next.endpoint_id from held cross join lateral (
        select partner_id, endpoint_id from delivery
        where state = 'held' and (partner_id, endpoint_id) > (held.partner_id, held.endpoint_id)
        order by partner_id, endpoint_id limit 1) as next
), pending as (
    (select partner_id, endpoint_id from delivery where state = 'pending'
     order by partner_id, endpoint_id limit 1)
    union all
    select next.partner_id, next.endpoint_id from pending cross join lateral (
        select partner_id, endpoint_id from delivery
        where state = 'pending' and (partner_id, endpoint_id) > (pending.partner_id, pending.endpoint_id)
        order by partner_id, endpoint_id limit 1) as next
), owed as (
    select partner_id, endpoint_id, true as held from held
    union all
    select partner_id, endpoint_id, false from pending
)
select endpoint.partner_id as "partner_id!: PartnerId", endpoint.endpoint_id as "endpoint_id!: EndpointId"
from owed join endpoint using (partner_id, endpoint_id)
where endpoint.deleted_at is not null
   or (owed.held and endpoint.state = 'enabled')
   or (not owed.held and endpoint.state = 'disabled'
       and exists (select from delivery
                   where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                     and delivery.state = 'pending'
                     and (delivery.leased_at is null or delivery.next_attempt_at <= now()) offset 0))
   or (not owed.held and not endpoint.ordered
       and exists (select from delivery
                   where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                     and delivery.state in ('pending', 'held') and delivery.position is not null offset 0))
order by random() limit 1
