-- Given rows, sorted by key and each once: written only where the revision that was read still stands.
insert into "order" as kept (partner_id, order_id, partner_order_id, status, status_at, verified, product,
    wallet_address, fiat_currency, fiat_amount, crypto_currency, crypto_amount, network, created_at,
    updated_at, snapshot_event_id, snapshot_received_at, snapshot_at, revision,
    reconcile_at)
select given.* from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::boolean[],
    $7::product[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
    $14::timestamptz[], $15::timestamptz[], $16::uuid[], $17::timestamptz[], $18::timestamptz[], $19::integer[],
    $20::timestamptz[]) as given
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
