-- Small for ever: what keeps the database from growing, and the record of what was erased on request.

-- One order erased by an administrator: that it happened, not what it was about.
create table erasure (
    partner_id uuid not null constraint erasure_partner references partner,
    erasure_id uuid not null,
    order_id text not null,
    erased_at timestamptz not null default now(),
    -- The hash of the token that asked for it, as in api_token; the bootstrap token has no row there.
    token_hash bytea not null constraint erasure_token_hash_length check (octet_length(token_hash) = 32),
    -- How much there was.
    events integer not null,
    deliveries integer not null,
    attempts integer not null,
    sightings integer not null,
    quarantined integer not null,
    constraint erasure_pkey primary key (partner_id, erasure_id)
);
create index erasure_by_order on erasure (partner_id, order_id);

-- Retention looks for the oldest.
create index quarantine_by_age on quarantine (received_at);

-- Retention deletes from these a little at a time: their dead rows must go as steadily, or the tables grow all the same.
alter table event set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
alter table "order" set (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000);
