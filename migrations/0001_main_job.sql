-- The main job: partners and their secrets, what was heard, and what is owed to whom.
--
-- Every table that is read by partner has the partner first in its primary key and indexes, so that the schema can be
-- spread by partner. Sightings, payloads and attempts grow with the traffic and are partitioned by time.

create type environment as enum ('STAGING', 'PRODUCTION');
create type product as enum ('BUY', 'SELL', 'NFT');
create type event_source as enum ('stream', 'webhook', 'reconcile');
create type api_scope as enum ('admin', 'write', 'read');
create type endpoint_state as enum ('enabled', 'disabled');
create type payload_format as enum ('standard', 'transak');
create type delivery_state as enum ('pending', 'succeeded', 'exhausted', 'held', 'cancelled');

-- A constant sealed with the master key: a process with another key notices at start, not at the first delivery.
create table master_key_check (
    key_id bytea constraint master_key_check_pkey primary key,
    sealed bytea not null,
    created_at timestamptz not null default now()
);

create table partner (
    partner_id uuid constraint partner_pkey primary key,
    name text not null constraint partner_name_not_blank check (btrim(name) <> ''),
    environment environment not null,
    api_key text not null constraint partner_api_key_not_blank check (btrim(api_key) <> ''),
    api_secret bytea,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz
);
-- A deleted partner's key may be registered again.
create unique index partner_api_key_is_unique on partner (environment, api_key) where deleted_at is null;

-- Transak's access tokens of a partner: the newest one signs and calls, the older ones still verify.
create table access_token (
    partner_id uuid not null constraint access_token_partner references partner,
    access_token_id uuid not null,
    token bytea not null,
    fingerprint bytea not null,
    expires_at timestamptz,
    created_at timestamptz not null default now(),
    constraint access_token_pkey primary key (partner_id, access_token_id),
    constraint access_token_is_kept_once unique (partner_id, fingerprint)
);

create table api_token (
    api_token_id uuid constraint api_token_pkey primary key,
    token_hash bytea not null constraint api_token_hash_is_unique unique,
    name text not null,
    scope api_scope not null,
    partner_id uuid constraint api_token_partner references partner,
    created_at timestamptz not null default now(),
    constraint api_token_admin_has_no_partner check ((scope = 'admin') = (partner_id is null))
);
create index api_token_by_partner on api_token (partner_id);

create table "order" (
    partner_id uuid not null,
    order_id text not null,
    partner_order_id text,
    status text not null,
    status_at timestamptz not null,
    verified boolean not null,
    product product,
    wallet_address text,
    fiat_currency text,
    -- JSON literals as they came: never through a binary float.
    fiat_amount text,
    crypto_currency text,
    crypto_amount text,
    network text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    -- The event whose payload is the newest snapshot.
    snapshot_event_id uuid not null,
    snapshot_received_at timestamptz not null,
    snapshot_at timestamptz not null,
    -- Counts the writes: a writer that read an older revision loses and tries again.
    revision integer not null default 1,
    constraint order_pkey primary key (partner_id, order_id)
) with (fillfactor = 85);
create index order_newest on "order" (partner_id, created_at desc, order_id desc);
create index order_by_partner_order_id on "order" (partner_id, partner_order_id) where partner_order_id is not null;
create index order_by_wallet on "order" (partner_id, wallet_address) where wallet_address is not null;

create table event (
    partner_id uuid not null,
    event_id uuid not null,
    -- Null: an event that belongs to no order (KYC, tests, the relay's own).
    order_id text,
    event text not null,
    status text,
    -- The first 16 bytes of a SHA-256 over (order, status, updatedAt or payload).
    identity bytea not null constraint event_identity_length check (octet_length(identity) = 16),
    occurred_at timestamptz not null,
    received_at timestamptz not null,
    anomaly text,
    constraint event_pkey primary key (partner_id, event_id),
    constraint event_identity_is_unique unique (partner_id, identity)
);
create index event_by_order on event (partner_id, order_id, event_id) where order_id is not null;
create index event_by_occurrence on event (partner_id, occurred_at);

create table payload (
    partner_id uuid not null,
    event_id uuid not null,
    received_at timestamptz not null,
    -- The order as it came, byte for byte.
    body bytea not null,
    constraint payload_pkey primary key (partner_id, event_id, received_at)
) partition by range (received_at);
create table payload_default partition of payload default;

create table sighting (
    partner_id uuid not null,
    event_id uuid not null,
    source event_source not null,
    at timestamptz not null,
    verified boolean not null
) partition by range (at);
create table sighting_default partition of sighting default;
create index sighting_by_event on sighting (partner_id, event_id);

create table endpoint (
    partner_id uuid not null constraint endpoint_partner references partner,
    endpoint_id uuid not null,
    url text not null,
    description text,
    events text[],
    statuses text[],
    format payload_format not null default 'standard',
    -- Sealed JSON object: values may be credentials.
    headers bytea,
    timeout_ms integer not null default 15000 constraint endpoint_timeout_range check (timeout_ms between 100 and 30000),
    retry_schedule integer[] not null,
    redact text[] not null default '{}',
    state endpoint_state not null default 'enabled',
    disabled_reason text,
    -- Set by the first failure after a success, cleared by the next success.
    failing_since timestamptz,
    -- Changes with every write of what a sender needs to know, so that caches notice.
    revision integer not null default 1,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now(),
    deleted_at timestamptz,
    constraint endpoint_pkey primary key (partner_id, endpoint_id),
    constraint endpoint_disabled_has_reason check ((state = 'disabled') = (disabled_reason is not null)),
    constraint endpoint_schedule_is_bounded check (cardinality(retry_schedule) <= 50)
);

create table endpoint_secret (
    partner_id uuid not null,
    endpoint_id uuid not null,
    endpoint_secret_id uuid not null,
    secret bytea not null,
    created_at timestamptz not null default now(),
    -- Null: current. Signs until then, judged when signing.
    expires_at timestamptz,
    constraint endpoint_secret_pkey primary key (partner_id, endpoint_id, endpoint_secret_id),
    constraint endpoint_secret_endpoint foreign key (partner_id, endpoint_id) references endpoint on delete cascade
);

-- A claim moves next_attempt_at past the lease and adds one to attempts; attempts is the fence of the write-back.
create table delivery (
    partner_id uuid not null,
    delivery_id uuid not null,
    event_id uuid not null,
    endpoint_id uuid not null,
    order_id text,
    state delivery_state not null default 'pending',
    attempts integer not null default 0,
    -- The attempts made before the schedule was last started anew (by hand).
    schedule_start integer not null default 0,
    next_attempt_at timestamptz,
    -- When the lease was taken; null: nobody is sending it.
    leased_at timestamptz,
    last_status_code smallint,
    created_at timestamptz not null default now(),
    finished_at timestamptz,
    constraint delivery_pkey primary key (partner_id, delivery_id),
    constraint delivery_one_per_event_and_endpoint unique (partner_id, event_id, endpoint_id),
    constraint delivery_finished_iff_finished_at check ((state in ('succeeded', 'exhausted', 'cancelled')) = (finished_at is not null)),
    constraint delivery_pending_iff_next_attempt_at check ((state = 'pending') = (next_attempt_at is not null)),
    constraint delivery_leased_is_pending check (leased_at is null or state = 'pending')
) with (
    fillfactor = 80,
    -- Every delivery is inserted and updated at least once: the default of 20 % of a large table would leave
    -- millions of dead versions in the hot index before the first vacuum.
    autovacuum_vacuum_scale_factor = 0.01,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05
);
create index delivery_due on delivery (partner_id, endpoint_id, next_attempt_at) where state = 'pending';
create index delivery_by_endpoint on delivery (partner_id, endpoint_id, delivery_id);
create index delivery_held on delivery (partner_id, endpoint_id) where state = 'held';

create table attempt (
    partner_id uuid not null,
    delivery_id uuid not null,
    attempt_id uuid not null,
    at timestamptz not null,
    status_code smallint,
    error text,
    remote_ip text,
    dns_ms integer,
    connect_ms integer,
    tls_ms integer,
    first_byte_ms integer,
    total_ms integer not null,
    request_headers text not null,
    response_headers text,
    response_body bytea,
    constraint attempt_answered_or_failed check ((status_code is not null) or (error is not null)),
    constraint attempt_pkey primary key (partner_id, delivery_id, attempt_id, at)
) partition by range (at);
create table attempt_default partition of attempt default;

-- Messages that could not be verified or read, as they came. A message for no known partner has none.
create table quarantine (
    quarantine_id uuid constraint quarantine_pkey primary key,
    partner_id uuid,
    source event_source not null,
    -- What it came under: the channel, or nothing.
    channel text,
    event text,
    reason text not null,
    raw bytea not null,
    -- The same message again is counted, not stored again.
    fingerprint bytea not null,
    received_at timestamptz not null,
    times integer not null default 1
);
create unique index quarantine_is_kept_once on quarantine (partner_id, fingerprint) nulls not distinct;
create index quarantine_newest on quarantine (partner_id, quarantine_id);
