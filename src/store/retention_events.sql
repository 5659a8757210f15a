-- $1: partner, $2: after this event, $3: before this id, $4: what was heard before may go, $5: most events.
with page as (
    select event_id, order_id, received_at from event
    where partner_id = $1 and event_id > $2 and event_id < $3
    order by event_id limit $5
), events as (
    delete from event using page
    where event.partner_id = $1 and event.event_id = page.event_id and page.received_at < $4
      and not exists (select from "order" where "order".partner_id = $1 and "order".order_id = page.order_id)
      and not exists (
          select from delivery
          where delivery.partner_id = $1 and delivery.event_id = page.event_id
            and delivery.state in ('pending', 'held'))
    returning event.event_id
), deliveries as (
    delete from delivery using events where delivery.partner_id = $1 and delivery.event_id = events.event_id
)
select (select event_id from page order by event_id desc limit 1) as last,
       (select count(*) from page) as "seen!", (select count(*) from events) as "deleted!"
