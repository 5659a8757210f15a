-- Given, independently of each other: events that nobody is believed to have told before ($1 to $12, $54), sightings ($13
-- to $17), payloads of new events ($18 to $21), orders as they are from now on ($22 to $41), and deliveries ($42 to $50;
-- $51: the lease in seconds); what has a key is sorted by it and each once. Orders are written only where the revision
-- that was read still stands. If one is not, or if one of the events is kept already or may be what a row of the order's
-- history told ($55: the slack in seconds, see model::dedupe), nothing at all is written; nor if the endpoints of these
-- partners ($52) have other versions than these ($53) by now.
-- Orders come before events, so that every transaction that keeps an event holds the lock of its order first.
-- What the REST API tells again and again is one sighting; of what another source tells again and again, the first of a
-- day are sightings ($57; $56: the event is new).
with moved as (
    insert into "order" as kept (partner_id, order_id, partner_order_id, status, status_at, verified, product,
        wallet_address, fiat_currency, fiat_amount, crypto_currency, crypto_amount, network, created_at,
        updated_at, snapshot_event_id, snapshot_received_at, snapshot_at, revision,
        reconcile_at)
    select given.* from unnest($22::uuid[], $23::text[], $24::text[], $25::text[], $26::timestamptz[], $27::boolean[],
        $28::product[], $29::text[], $30::text[], $31::text[], $32::text[], $33::text[], $34::text[],
        $35::timestamptz[], $36::timestamptz[], $37::uuid[], $38::timestamptz[], $39::timestamptz[], $40::integer[],
        $41::timestamptz[])
        as given (partner_id, order_id, partner_order_id, status, status_at, verified, product, wallet_address,
                  fiat_currency, fiat_amount, crypto_currency, crypto_amount, network, created_at, updated_at,
                  snapshot_event_id, snapshot_received_at, snapshot_at, revision, reconcile_at)
    -- One that was read and is gone was erased: nothing that was known of it may come back.
    where given.revision = 1
       or exists (select from "order" as read
                  where read.partner_id = given.partner_id and read.order_id = given.order_id)
    on conflict on constraint order_pkey do update set
        partner_order_id = excluded.partner_order_id, status = excluded.status, status_at = excluded.status_at,
        verified = excluded.verified, product = excluded.product, wallet_address = excluded.wallet_address,
        fiat_currency = excluded.fiat_currency, fiat_amount = excluded.fiat_amount,
        crypto_currency = excluded.crypto_currency, crypto_amount = excluded.crypto_amount, network = excluded.network,
        created_at = excluded.created_at, updated_at = excluded.updated_at,
        snapshot_event_id = excluded.snapshot_event_id, snapshot_received_at = excluded.snapshot_received_at,
        snapshot_at = excluded.snapshot_at,
        revision = excluded.revision, reconcile_at = excluded.reconcile_at
    where kept.revision = excluded.revision - 1
    returning 1
), arrived as (
    insert into event (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at, verified, hops,
                       traceparent, anomaly, from_history, is_visit)
    select given.*
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::timestamptz[],
                $8::timestamptz[], $9::boolean[], $10::smallint[], $11::text[], $12::text[], $54::boolean[], $58::boolean[])
        as given (partner_id, event_id, order_id, event, status, identity, occurred_at, received_at, verified, hops,
                  traceparent, anomaly, from_history, is_visit)
    where (select count(*) from moved) = cardinality($22::uuid[])
      and (given.is_visit or not exists (
                      select from event as kept
                      where kept.partner_id = given.partner_id and kept.order_id = given.order_id
                        and kept.status = given.status and kept.from_history and not kept.is_visit
                        and (given.from_history or given.occurred_at = given.received_at
                             or given.occurred_at <= kept.occurred_at + make_interval(secs => $55))))
    on conflict on constraint event_identity_is_unique do nothing
    returning 1
), seen as (
    insert into sighting (partner_id, event_id, source, at, verified)
    select given.partner_id, given.event_id, given.source, given.at, given.verified
    from (select heard.*, row_number() over (partition by partner_id, event_id, source order by at) as nth
          from unnest($13::uuid[], $14::uuid[], $15::event_source[], $16::timestamptz[], $17::boolean[], $56::boolean[])
              as heard (partner_id, event_id, source, at, verified, is_new)) as given
    where case when given.source = 'reconcile' then
                   given.nth = 1 and not exists (
                       select from sighting as earlier
                       where earlier.partner_id = given.partner_id and earlier.event_id = given.event_id
                         and earlier.source = 'reconcile')
               when given.is_new then given.nth <= $57
               else given.nth <= $57 - (
                       select count(*) from (
                           select from sighting as earlier
                           where earlier.partner_id = given.partner_id and earlier.event_id = given.event_id
                             and earlier.source = given.source and earlier.at > given.at - interval '1 day'
                           limit $57) as seen)
          end
), said as (
    insert into payload (partner_id, event_id, received_at, body)
    select * from unnest($18::uuid[], $19::uuid[], $20::timestamptz[], $21::bytea[])
), owed as (
    -- Born leased, due, waiting in the lane of their order, or held.
    insert into delivery (partner_id, delivery_id, event_id, endpoint_id, order_id, state, attempts, claims,
                          next_attempt_at, leased_at, position, due_noted)
    select given.partner_id, given.delivery_id, given.event_id, given.endpoint_id, given.order_id, given.state,
           given.leased::int, given.leased::int,
           case when given.leased then now() + make_interval(secs => $51)
                when given.state = 'pending' and given.in_lane and (given.follows or exists (
                    select from delivery as earlier
                    where earlier.partner_id = given.partner_id and earlier.endpoint_id = given.endpoint_id
                      and earlier.order_id = given.order_id and earlier.state in ('pending', 'held')
                      and earlier.position is not null)) then '9999-01-01Z'
                when given.state = 'pending' then now() end,
           case when given.leased then now() end,
           case when given.in_lane then nextval('delivery_position') end, true
    from unnest($42::uuid[], $43::uuid[], $44::uuid[], $45::uuid[], $46::text[], $47::delivery_state[], $48::boolean[],
                $49::boolean[], $50::boolean[])
         as given (partner_id, delivery_id, event_id, endpoint_id, order_id, state, leased, in_lane, follows)
), noted as (
    -- As in `store::due`. What waits in a lane is looked at once in vain.
    insert into endpoint_due (partner_id, endpoint_id, due_at)
    select given.partner_id, given.endpoint_id, given.due_at
    from (select partner_id, endpoint_id,
                 case when bool_and(leased) then now() + make_interval(secs => $51) else now() end as due_at
          from unnest($42::uuid[], $45::uuid[], $47::delivery_state[], $48::boolean[])
               as given (partner_id, endpoint_id, state, leased)
          where state = 'pending' group by partner_id, endpoint_id order by partner_id, endpoint_id) as given
    where not exists (select from endpoint_due as noted
                      where noted.partner_id = given.partner_id and noted.endpoint_id = given.endpoint_id
                        and noted.due_at <= given.due_at
                      for key share)
)
select case when (select count(*) from arrived) = cardinality($1::uuid[])
             and (select count(*) from moved) = cardinality($22::uuid[])
             and (cardinality($52::uuid[]) = 0 or $53::bigint[] = array(
                 select endpoint.xmin::text::bigint from endpoint
                 where endpoint.partner_id = any ($52) and endpoint.deleted_at is null
                 order by endpoint.partner_id, endpoint.endpoint_id))
       then true else overtaken() end as "kept!"
