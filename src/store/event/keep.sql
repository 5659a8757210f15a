-- Given, independently of each other: sightings ($1 to $5), payloads of new events ($6 to $9), and orders as they are from
-- now on ($10 to $29), sorted by key and each once. Orders are written only where the revision that was read still
-- stands; answered: how many were. What the REST API tells again and again is one sighting.
with seen as (
    insert into sighting (partner_id, event_id, source, at, verified)
    select given.* from unnest($1::uuid[], $2::uuid[], $3::event_source[], $4::timestamptz[], $5::boolean[])
        as given (partner_id, event_id, source, at, verified)
    where given.source <> 'reconcile'
       or not exists (select from sighting as earlier
                      where earlier.partner_id = given.partner_id and earlier.event_id = given.event_id
                        and earlier.source = 'reconcile')
), said as (
    insert into payload (partner_id, event_id, received_at, body)
    select * from unnest($6::uuid[], $7::uuid[], $8::timestamptz[], $9::bytea[])
), moved as (
    insert into "order" as kept (partner_id, order_id, partner_order_id, status, status_at, verified, product,
        wallet_address, fiat_currency, fiat_amount, crypto_currency, crypto_amount, network, created_at,
        updated_at, snapshot_event_id, snapshot_received_at, snapshot_at, revision,
        reconcile_at)
    select given.* from unnest($10::uuid[], $11::text[], $12::text[], $13::text[], $14::timestamptz[], $15::boolean[],
        $16::product[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[],
        $23::timestamptz[], $24::timestamptz[], $25::uuid[], $26::timestamptz[], $27::timestamptz[], $28::integer[],
        $29::timestamptz[]) as given
    on conflict on constraint order_pkey do update set
        partner_order_id = coalesce(excluded.partner_order_id, kept.partner_order_id),
        status = excluded.status, status_at = excluded.status_at, verified = excluded.verified,
        product = coalesce(excluded.product, kept.product),
        wallet_address = coalesce(excluded.wallet_address, kept.wallet_address),
        fiat_currency = coalesce(excluded.fiat_currency, kept.fiat_currency),
        fiat_amount = coalesce(excluded.fiat_amount, kept.fiat_amount),
        crypto_currency = coalesce(excluded.crypto_currency, kept.crypto_currency),
        crypto_amount = coalesce(excluded.crypto_amount, kept.crypto_amount),
        network = coalesce(excluded.network, kept.network),
        updated_at = excluded.updated_at, snapshot_event_id = excluded.snapshot_event_id,
        snapshot_received_at = excluded.snapshot_received_at, snapshot_at = excluded.snapshot_at,
        revision = excluded.revision, reconcile_at = excluded.reconcile_at
    where kept.revision = excluded.revision - 1
    returning 1
)
select count(*) as "moved!" from moved
