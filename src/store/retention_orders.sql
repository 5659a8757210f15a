-- $1: partner, $2: orders to look at, $3: the statuses of orders that are over, $4: what is older may go, $5: so may orders
-- that are not over and of which nothing was heard since then.
with gone as (
    select one.order_id from "order" one
    where one.partner_id = $1 and one.order_id = any ($2) 
      and (one.status = any ($3) or (one.updated_at < $5 and one.snapshot_received_at < $5))
      and one.updated_at < $4 and one.snapshot_received_at < $4
      and not exists (
          select from event
          where event.partner_id = $1 and event.order_id = one.order_id
            and (event.received_at >= $4 or exists (
                select from delivery
                where delivery.partner_id = $1 and delivery.event_id = event.event_id
                  and delivery.state in ('pending', 'held'))))
    for update of one skip locked
), orders as (
    delete from "order" using gone where "order".partner_id = $1 and "order".order_id = gone.order_id
), events as (
    delete from event using gone where event.partner_id = $1 and event.order_id = gone.order_id
    returning event.event_id
), deliveries as (
    delete from delivery using events where delivery.partner_id = $1 and delivery.event_id = events.event_id
)
select count(*) as "deleted!" from gone
