-- Of the endpoints that changed not long ago, the one that was looked at longest ago among those that are owed something
-- that is not as the endpoint is.
select endpoint.partner_id as "partner_id!: PartnerId", endpoint.endpoint_id as "endpoint_id!: EndpointId"
from endpoint_change join endpoint using (partner_id, endpoint_id)
-- `offset`: one step along the index for each endpoint, however much it is owed.
where (endpoint.state = 'enabled' or endpoint.deleted_at is not null)
      and exists (select from delivery
                  where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                    and delivery.state = 'held' offset 0)
   or (endpoint.state = 'disabled' or endpoint.deleted_at is not null)
      and exists (select from delivery
                  where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                    and delivery.state = 'pending'
                    and (delivery.leased_at is null or delivery.next_attempt_at <= now()
                         or endpoint.deleted_at is not null) offset 0)
   or not endpoint.ordered
      and exists (select from delivery
                  where delivery.partner_id = endpoint.partner_id and delivery.endpoint_id = endpoint.endpoint_id
                    and delivery.state in ('pending', 'held') and delivery.position is not null offset 0)
order by endpoint_change.looked_at limit 1
